"""What a network's scores are worth: the loss that is learnt from, and how many pictures are named rightly.

Scores are (N, K), a column a class, of which the softmax is taken, or (N, 1) for two classes, of which the sigmoid is.
"""

from dataclasses import replace

import numpy as np

from engine import Tensor, functional, layers, no_grad
from playground.datasets.augmentation import Mixed
from playground.network.kind import Shape
from playground.network.parts import Network, Part
from playground.network.shapes import walk

AT_ONCE = 256


def scoring(network: Network, shape: Shape) -> Network:
    """The network without a last sigmoid of one score: the loss and the exported file take the sigmoid themselves.

    >>> from playground.network.spelling import network_of, spelled
    >>> texts = "f-d8-sg-d1-sg", "f-{d1-sg}", "f-d1-sg-{}", "f-d2-sg"
    >>> [spelled(scoring(network_of(text), (1, 8, 8))) for text in texts]
    ['f-d8-sg-d1', 'f-{d1}', 'f-d1-{}', 'f-d2-sg']
    """
    return Network(_without_sigmoid(network.parts)) if walk(network, shape).gives == (1,) else network


def _without_sigmoid(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    for place in reversed(range(len(parts))):
        last, before, after = parts[place], parts[:place], parts[place + 1:]
        if _does_nothing(last):
            continue
        if last.kind == "block":
            inside = _without_sigmoid(last.branches[0])
            return (*before, *((replace(last, branches=(inside,)),) if inside else ()), *after)
        return (*before, *after) if last.kind == "sigmoid" else parts
    return parts


def _does_nothing(one: Part) -> bool:
    """Whether numbers leave a part as they came: a block that holds none, or only such. Without anything on their way a
    residual doubles them and branches lay them side by side."""
    return one.kind == "block" and all(map(_does_nothing, one.branches[0]))


def mixed_loss(scores: Tensor, y: np.ndarray, mixed: Mixed, label_smoothing: float = 0.0) -> Tensor:
    """The loss against mixed labels: λ · loss(scores, y) + (1 - λ) · loss(scores, y of the partners).

    That is the loss against λ y_i + (1 - λ) y_j, since it is linear in the label.
    """
    loss = loss_of(scores, y, label_smoothing)
    if mixed.share == 1.0:
        return loss
    return mixed.share * loss + (1 - mixed.share) * loss_of(scores, y[mixed.partner], label_smoothing)


def loss_of(scores: Tensor, y: np.ndarray, label_smoothing: float = 0.0, reduction: str = "mean") -> Tensor:
    """Cross-entropy of scores (N, K); of one score for two classes (N, 1) the binary one, with its sigmoid.

    The share `label_smoothing` of each label is spread over all classes, so a 1 becomes 1 - label_smoothing / 2 of two.

    >>> [round(loss_of(Tensor(np.array(z)), np.array([1])).item(), 4) for z in ([[0.0, 2.0]], [[2.0]])]
    [0.1269, 0.1269]
    """
    if scores.shape[1] > 1:
        return functional.cross_entropy(scores, y, label_smoothing=label_smoothing, reduction=reduction)
    target = (1 - label_smoothing) * y[:, None] + label_smoothing / 2
    return functional.binary_cross_entropy_with_logits(scores, target.astype(scores.dtype), reduction=reduction)


def said(scores: Tensor) -> np.ndarray:
    """The likeliest class of each row, (N,): the largest score, or for one score whether it is above 0."""
    return np.asarray(scores.data.argmax(1) if scores.shape[1] > 1 else (scores.data[:, 0] > 0).astype(np.int64))


def evaluate(model: layers.Sequential, x: np.ndarray, y: np.ndarray, classes: int) -> tuple[float, np.ndarray]:
    """Mean cross-entropy and confusion[true, predicted] on prepared pictures, in evaluation mode."""
    model.eval()
    total, confusion = 0.0, np.zeros((classes, classes), np.int64)
    with no_grad():
        for start in range(0, len(x), AT_ONCE):
            truth = y[start:start + AT_ONCE]
            scores = model(Tensor(x[start:start + AT_ONCE]))
            total += loss_of(scores, truth, reduction="sum").item()
            np.add.at(confusion, (truth, said(scores)), 1)
    return total / max(len(x), 1), confusion
