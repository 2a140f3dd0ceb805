"""A run of a network read off the engine's tape: its parts in order, what each made, from what, and with which weights.

The tape knows the ops; *marks* say which of them make a part: the calls of a design's modules, or the nodes of a file.
What no mark claims is a part of its own, so any graph that the engine can run can be drawn.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine import Tensor
from playground.numbers import counted, number
from playground.view.words import CONV, DENSE, TRANSPOSED, Sort, sort_of

Array = np.ndarray[Any, np.dtype[Any]]
PICTURE = -1
"""As the source of a part: the picture itself."""


@dataclass(frozen=True, eq=False)
class Mark:
    """Something that ended with a result: its name, what it is (None: what its ops say), and more words for a title."""

    name: str
    output: Tensor
    sort: Sort | None = None
    more: str = ""


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a network at work. Maps are (C, H, W), rows of numbers (F,), of the picture that is looked at.

    `made` are the results of its ops in their order, the last is what the part gives; empty where it passes on what it
    got (a dropout in evaluation mode). `sources` are the parts that feed it, `PICTURE` the picture itself; `weights`
    its learnt numbers by their names in the network, `fixed` other numbers that belong to it (batch norm's statistics).
    """

    index: int
    name: str
    sort: Sort
    more: str
    made: tuple[Tensor, ...]
    output: Tensor
    sources: tuple[int, ...]
    weights: Mapping[str, Tensor]
    fixed: tuple[Tensor, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it gives for one picture."""
        return self.output.shape[1:]

    @property
    def title(self) -> str:
        """What a person calls it: "convolution, 32 filters 3 × 3"."""
        return f"{self.sort.words}, {self.more}" if self.more else self.sort.words

    @property
    def parameters(self) -> int:
        return sum(weight.size for weight in self.weights.values())

    @property
    def op(self) -> Tensor | None:
        """The result of its main op: the one whose number is taken apart when the part's number is asked for."""
        for result in reversed(self.made):
            if result.node is not None and sort_of([(result.node.op.name, 2)]).key == self.sort.key:
                return result
        return self.made[-1] if self.made else None


@dataclass(frozen=True, eq=False)
class Trace:
    """A network's run on a batch, of which picture 0 is looked at. `picture` (N, C, H, W) as the network takes it,
    `logits` (N, K); `owner` says which part made a tensor of the tape."""

    picture: Tensor
    parts: tuple[Part, ...]
    logits: Tensor
    owner: Mapping[int, int]
    train: bool = False

    @property
    def bytes(self) -> int:
        """What it holds in memory, about: results and what the ways back keep of them."""
        return 2 * sum(result.data.nbytes for part in self.parts for result in part.made)

    def part_of(self, tensor: Tensor) -> int | None:
        """The part that made a tensor, PICTURE for the picture."""
        return PICTURE if tensor is self.picture else self.owner.get(id(tensor))


def read(picture: Tensor, logits: Tensor, marks: Iterable[Mark], names: Mapping[int, str],
         train: bool = False) -> Trace:
    """The trace of a run that took `picture` (a leaf that wants a gradient) and gave `logits`.

    marks: in the order in which they ended. names: of the weights, by `id` of their tensors.
    """
    moving = _moving(picture, logits)
    results = sorted((t for t in _reached(logits) if id(t) in moving and t.node is not None), key=_place)
    builder = _Builder(picture, moving, names)
    at = 0
    for mark in marks:
        if mark.output.node is None:
            continue
        claimed = []
        while at < len(results) and _place(results[at]) <= mark.output.node.place:
            claimed.append(results[at])
            at += 1
        if claimed or (mark.sort is not None and mark.sort.key == "dropout" and id(mark.output) in moving):
            builder.add(mark, claimed)
    for result in results[at:]:
        assert result.node is not None
        builder.add(Mark(result.node.op.name, result), [result])
    return Trace(picture, tuple(builder.parts), logits, builder.owner, train)


class _Builder:
    def __init__(self, picture: Tensor, moving: set[int], names: Mapping[int, str]):
        self.picture, self.moving, self.names = picture, moving, names
        self.parts: list[Part] = []
        self.owner: dict[int, int] = {}

    def add(self, mark: Mark, claimed: Sequence[Tensor]) -> None:
        index = len(self.parts)
        if not claimed:  # passes on what it got
            source = PICTURE if mark.output is self.picture else self.owner[id(mark.output)]
            assert mark.sort is not None
            self.parts.append(Part(index, mark.name, mark.sort, mark.more, (), mark.output, (source,), {}, ()))
            self.owner[id(mark.output)] = index
            return
        sources: dict[int, None] = {}
        weights: dict[str, Tensor] = {}
        fixed: list[Tensor] = []
        ops = []
        for result in claimed:
            assert result.node is not None
            moved = 0
            for x in result.node.inputs:
                if x is None:
                    continue
                if id(x) not in self.moving:
                    self._leaves(x, weights, fixed)
                    continue
                moved += 1
                fed_by = PICTURE if x is self.picture else self.owner.get(id(x))
                if fed_by is not None:
                    sources.setdefault(fed_by)
            ops.append((result.node.op.name, moved))
        for result in claimed:
            self.owner[id(result)] = index
        sort = mark.sort or sort_of(ops)
        self.parts.append(Part(index, mark.name, sort, mark.more or _sizes(sort, weights.values(), claimed),
                               tuple(claimed), claimed[-1], tuple(sources), weights, tuple(fixed)))

    def _leaves(self, tensor: Tensor, weights: dict[str, Tensor], fixed: list[Tensor]) -> None:
        """What a tensor that does not come from the picture was made of."""
        waiting = [tensor]
        while waiting:
            one = waiting.pop()
            if one.node is not None:
                waiting += [x for x in one.node.inputs if x is not None]
            elif id(one) in self.names and one.requires_grad:
                weights[self.names[id(one)]] = one
            else:
                fixed.append(one)


def _sizes(sort: Sort, weights: Iterable[Tensor], made: Sequence[Tensor]) -> str:
    """The numbers that matter most of a part, read off its weights and options."""
    shapes = [weight.shape for weight in weights]
    options = next((result.node.options for result in made if result.node and "stride" in result.node.options), {})
    stride = options.get("stride", 1)
    steps = stride if isinstance(stride, int) else max(stride, default=1) if stride else 1
    after = f", stride {steps}" if steps != 1 else ""
    if sort.key in (CONV, TRANSPOSED):
        found = next((shape for shape in shapes if len(shape) == 4), None)
        if found is not None:
            filters = found[0] if sort.key == CONV else made[-1].shape[1]
            return f"{counted(filters, 'filter')} {found[2]} × {found[3]}{after}"
    if sort.key == DENSE and len(made[-1].shape) == 2:
        return counted(made[-1].shape[1], "unit")
    kernel = next((result.node.options.get("kernel_size") for result in made if result.node), None)
    if kernel is not None:
        sides = (kernel, kernel) if isinstance(kernel, int) else tuple(kernel)
        return f"{number(sides[0])} × {number(sides[1])}"
    return ""


def _place(result: Tensor) -> int:
    assert result.node is not None
    return result.node.place


def _reached(end: Tensor) -> list[Tensor]:
    """Every tensor that `end` was made of, and `end`."""
    found, waiting = {id(end): end}, [end]
    while waiting:
        node = waiting.pop().node
        for x in node.inputs if node is not None else ():
            if x is not None and id(x) not in found:
                found[id(x)] = x
                waiting.append(x)
    return list(found.values())


def _moving(picture: Tensor, end: Tensor) -> set[int]:
    """The tensors, by `id`, that depend on the picture."""
    moving = {id(picture)}
    for result in sorted((t for t in _reached(end) if t.node is not None), key=_place):
        assert result.node is not None
        if any(x is not None and id(x) in moving for x in result.node.inputs):
            moving.add(id(result))
    return moving
