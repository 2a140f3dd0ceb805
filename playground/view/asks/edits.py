"""Weights of a network edited: a list of edits that can be taken back to the bit, and what they make of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from playground.errors import PlaygroundError
from playground.view.asks.batches import chunks
from playground.view.asks.measured import Effect, of_scores
from playground.view.sources import Design, File, changed
from playground.view.trace import Array, Trace

Index = tuple[int, ...]


@dataclass(frozen=True)
class Edit:
    """Some weights given new values at once: what was done, in words, and (name, index, value) of each."""

    words: str
    values: tuple[tuple[str, Index, float], ...]


@dataclass(frozen=True)
class Edits:
    """What was done to a network's weights, and what was undone and may be done again.

    >>> edits = Edits().after(Edit("first", (("w", (0,), 1.0),))).after(Edit("second", (("w", (0,), 2.0),)))
    >>> edits.undone().done[-1].words, edits.undone().redone() == edits
    ('first', True)
    """

    done: tuple[Edit, ...] = ()
    taken_back: tuple[Edit, ...] = ()

    def after(self, edit: Edit) -> "Edits":
        """With one edit more; what was undone before is forgotten."""
        return Edits((*self.done, edit))

    def undone(self) -> "Edits":
        """Without the last edit; the same where there is none."""
        return Edits(self.done[:-1], (*self.taken_back, self.done[-1])) if self.done else self

    def redone(self) -> "Edits":
        """With the edit that was undone last; the same where there is none."""
        return Edits((*self.done, self.taken_back[-1]), self.taken_back[:-1]) if self.taken_back else self

    def weights(self, source: Design | File) -> dict[str, Array]:
        """The edited weights by name, whole arrays, made from the source's own, which stay as they are.

        Raises PlaygroundError when the source has no such weight, or a value is no number.
        """
        own = source.weights()
        found: dict[str, Array] = {}
        for edit in self.done:
            for name, index, value in edit.values:
                if name not in own:
                    raise PlaygroundError(f"This network has no weights called {name[:40]}.")
                if not np.isfinite(value) or abs(value) > float(np.finfo(own[name].dtype).max):
                    raise PlaygroundError("A weight has to be a number, and not infinite.")
                array = found.setdefault(name, own[name].data.copy())
                if len(index) != array.ndim or any(not 0 <= i < n for i, n in zip(index, array.shape, strict=True)):
                    sizes = " × ".join(map(str, array.shape))
                    raise PlaygroundError(f"The weights {name[:40]} are {sizes}: there is none at "
                                          f"{', '.join(map(str, index))}.")
                array[index] = value
        return found


def plane(weight: Array, index: Index) -> tuple[Array, Mapping[tuple[int, int], Index]]:
    """The kernel that a weight belongs to, as a matrix to paint in: (KH, KW) of a convolution's weights, else the
    weight alone (1, 1); and which weight stands at each row and column.

    >>> kernel, where = plane(np.arange(18.0).reshape(2, 1, 3, 3), (1, 0, 2, 2))
    >>> kernel[0].tolist(), where[0, 2]
    ([9.0, 10.0, 11.0], (1, 0, 0, 2))
    """
    if weight.ndim != 4:
        return np.array([[weight[index]]]), {(0, 0): index}
    own = weight[index[:2]]
    return own, {(i, j): (*index[:2], i, j) for i in range(own.shape[0]) for j in range(own.shape[1])}


def run_edited(source: Design | File, edits: Edits, x: Array) -> tuple[Trace, Array]:
    """The network's run on x (N, C, H, W) with its weights edited: the trace, and its scores (N, K). The trace's own
    numbers stay; its weights are the source's again."""
    with changed(source, edits.weights(source)):
        trace = source.run(x)
        return trace, trace.logits.data


def effect(source: Design | File, edits: Edits, x: Array, y: np.ndarray) -> Effect:
    """The network on pictures x (N, C, H, W) labelled y (N,), as it is and with its weights edited."""
    classes, parts = len(source.labels), list(chunks(source, x))
    with source.lock:
        before = [source.scores(x[here]) for here in parts]
        with changed(source, edits.weights(source)):
            after = [source.scores(x[here]) for here in parts]
    return Effect(of_scores(before, y, classes, source.loss), of_scores(after, y, classes, source.loss))
