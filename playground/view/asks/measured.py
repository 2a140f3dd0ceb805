"""How well a network does on labelled pictures, and what a change of it makes of that."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from engine import Tensor
from playground.datasets.named import ImageSet
from playground.errors import PlaygroundError
from playground.training.scratch.losses import CROSS_ENTROPY, loss_of, said
from playground.view.sources import Source
from playground.view.trace import Array


@dataclass(frozen=True, eq=False)
class Measured:
    """The mean loss on some pictures, and confusion[true, said]."""

    loss: float
    confusion: np.ndarray

    @property
    def count(self) -> int:
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        return int(np.trace(self.confusion))

    @property
    def accuracy(self) -> float:
        return self.right / self.count

    @property
    def recalls(self) -> np.ndarray:
        """Of each class the share that was named rightly, (K,); nan where there is none."""
        totals = self.confusion.sum(axis=1)
        shares = np.full(len(totals), np.nan)
        np.divide(np.diag(self.confusion), totals, out=shares, where=totals > 0)
        return shares


@dataclass(frozen=True, eq=False)
class Effect:
    """A network as it is and changed, on the same pictures."""

    before: Measured
    after: Measured


def of_scores(scores: Iterable[Array], y: np.ndarray, classes: int, loss: str = CROSS_ENTROPY) -> Measured:
    """What scores (N, K) of pictures labelled y (N,) are worth. They may come in parts.

    >>> of_scores([np.array([[2.0, 0.0], [2.0, 0.0]])], np.array([0, 1]), 2).confusion.tolist()
    [[1, 0], [1, 0]]
    """
    total, confusion, start = 0.0, np.zeros((classes, classes), np.int64), 0
    for part in scores:
        truth = y[start:start + len(part)]
        start += len(part)
        tensor = Tensor(np.asarray(part, np.float64))
        total += loss_of(tensor, truth, reduction="sum", loss=loss).item()
        np.add.at(confusion, (truth, said(tensor)), 1)
    return Measured(total / max(start, 1), confusion)


def prepared(source: Source, data: ImageSet, most: int) -> tuple[Array, np.ndarray, np.ndarray]:
    """At most so many pictures of a set, spread evenly over it: as the network takes them (N, C, H, W), their labels by
    the network's own classes (N,), and which they are (N,).

    Raises PlaygroundError when the set has other classes than the network.
    """
    if set(data.classes) != set(source.labels):
        raise PlaygroundError(f"These pictures show {_listed(data.classes)}, and the network knows "
                              f"{_listed(source.labels)}.")
    which = np.unique(np.linspace(0, len(data) - 1, min(most, len(data))).astype(int))
    own = np.array([source.labels.index(name) for name in data.classes])
    return source.preprocessing.apply_all(data.images[which]), own[data.labels[which]], which


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
