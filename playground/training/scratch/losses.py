"""What a network's scores are worth: the loss that is learnt from, and how many pictures are named rightly.

Scores are (N, K), a column a class, of which the softmax is taken, or (N, 1) for two classes, of which the sigmoid is:
in every loss one score z is worth what the two scores [0, z] are, as in the exported file.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from engine import Tensor, functional, layers, no_grad
from playground.datasets.augmentation import Mixed
from playground.network.kind import Shape
from playground.network.parts import Network, Part
from playground.network.shapes import walk

AT_ONCE = 256
CROSS_ENTROPY, SQUARED_ERROR, HINGE = LOSSES = ("cross-entropy", "squared-error", "hinge")
"""The losses that can be learnt from: see `loss_of`."""
WORDS = {CROSS_ENTROPY: "cross-entropy", SQUARED_ERROR: "squared error", HINGE: "hinge loss"}


def learnt_from(request: Mapping[str, Any]) -> str:
    """The loss of a training that was asked for so; of what is not said, or is none, the cross-entropy."""
    said = request.get("loss")
    return said if said in LOSSES else CROSS_ENTROPY


def chance(loss: str, classes: int) -> float:
    """What a guess costs in a loss that gives all K classes the same score: ln K, (K - 1) / K², (K - 1) / K.

    >>> [round(chance(loss, 10), 3) for loss in LOSSES]
    [2.303, 0.09, 0.9]
    """
    if loss == CROSS_ENTROPY:
        return math.log(classes)
    return (classes - 1) / (classes**2 if loss == SQUARED_ERROR else classes)


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


def mixed_loss(scores: Tensor, y: np.ndarray, mixed: Mixed, label_smoothing: float = 0.0,
               loss: str = CROSS_ENTROPY) -> Tensor:
    """The loss against mixed labels: λ · loss(scores, y) + (1 - λ) · loss(scores, y of the partners).

    Of the cross-entropy, which is linear in the label, that is the loss against λ y_i + (1 - λ) y_j; of the squared
    error it is that and λ (1 - λ) |y_i - y_j|² / K, which no score changes, so its gradients are the same.
    """
    found = loss_of(scores, y, label_smoothing, loss=loss)
    if mixed.share == 1.0:
        return found
    return mixed.share * found + (1 - mixed.share) * loss_of(scores, y[mixed.partner], label_smoothing, loss=loss)


def loss_of(scores: Tensor, y: np.ndarray, label_smoothing: float = 0.0, reduction: str = "mean",
            loss: str = CROSS_ENTROPY) -> Tensor:
    """A loss of LOSSES, of scores (N, K) or of one score for two classes (N, 1); the mean over pictures, or the "sum".

        cross-entropy   -sum over k of t[k] log p[k]
        squared-error   mean over k of (p[k] - t[k])²
        hinge           mean over k, 0 for the label, of max(0, 1 - z[label] + z[k])

    with p the softmax of the scores z (of one score the sigmoid), t 1 for the label and 0 for the others; the share
    `label_smoothing` of it is spread over all classes, but by the hinge, which knows one right class. The margin 1 has
    slope 0 where it is just kept. Source: torch.nn.functional.cross_entropy, mse_loss (as Keras "mse" behind a softmax)
    and multi_margin_loss.

    >>> for loss in LOSSES:
    ...     print([round(loss_of(Tensor(np.array(z)), np.array([1]), loss=loss).item(), 4)
    ...            for z in ([[0.0, 0.5]], [[0.5]])])
    [0.4741, 0.4741]
    [0.1425, 0.1425]
    [0.25, 0.25]
    """
    classes = scores.shape[1]
    if loss == HINGE:
        return _hinge(scores, y, reduction)
    if loss == CROSS_ENTROPY and classes > 1:
        return functional.cross_entropy(scores, y, label_smoothing=label_smoothing, reduction=reduction)
    right = y[:, None] == np.arange(classes) if classes > 1 else y[:, None]
    target = ((1 - label_smoothing) * right + label_smoothing / max(classes, 2)).astype(scores.dtype)
    if loss == CROSS_ENTROPY:
        return functional.binary_cross_entropy_with_logits(scores, target, reduction=reduction)
    p = functional.softmax(scores, 1) if classes > 1 else functional.sigmoid(scores)
    squares = functional.mse_loss(p, target, reduction=reduction)
    return squares if reduction == "mean" else squares * (1 / classes)


def _hinge(scores: Tensor, y: np.ndarray, reduction: str) -> Tensor:
    count, classes = scores.shape
    if classes == 1:
        short, others = functional.relu(1 - scores * np.where(y[:, None], 1, -1).astype(scores.dtype)), 2
    else:
        own = scores[np.arange(count), y].reshape((count, 1))
        short = functional.relu(scores - own + 1) * (y[:, None] != np.arange(classes)).astype(scores.dtype)
        others = classes
    return short.sum() * (1 / (others * (count if reduction == "mean" else 1)))


def said(scores: Tensor) -> np.ndarray:
    """The likeliest class of each row, (N,): the largest score, or for one score whether it is above 0."""
    return np.asarray(scores.data.argmax(1) if scores.shape[1] > 1 else (scores.data[:, 0] > 0).astype(np.int64))


def evaluate(model: layers.Sequential, x: np.ndarray, y: np.ndarray, classes: int, loss: str = CROSS_ENTROPY
             ) -> tuple[float, np.ndarray]:
    """Mean loss and confusion[true, predicted] on prepared pictures, in evaluation mode."""
    model.eval()
    total, confusion = 0.0, np.zeros((classes, classes), np.int64)
    with no_grad():
        for start in range(0, len(x), AT_ONCE):
            truth = y[start:start + AT_ONCE]
            scores = model(Tensor(x[start:start + AT_ONCE]))
            total += loss_of(scores, truth, reduction="sum", loss=loss).item()
            np.add.at(confusion, (truth, said(scores)), 1)
    return total / max(len(x), 1), confusion
