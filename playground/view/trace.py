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
from playground.training.scratch.losses import CROSS_ENTROPY
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
    head: tuple[int, ...] = (0,)
    """Where in `output` the numbers of the picture looked at stand: empty where a result has no axis of pictures."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of what it gives for one picture; a single number is a row of one."""
        return self.output.shape[len(self.head):] or (1,)

    def of(self, array: Array) -> Array:
        """The numbers of the picture looked at, of an array of the output's shape: its values, or their gradients."""
        own = np.asarray(array[self.head]).reshape(self.shape)
        return own if own.dtype.kind == "f" else own.astype(np.float32)

    def at(self, place: Sequence[int]) -> tuple[int, ...]:
        """Where in the output a number stands, by its place for one picture."""
        return (*self.head, *place)[: self.output.ndim]

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
    `logits` (N, K); `owner` says which part made a tensor of the tape, `loss` what it learnt from."""

    picture: Tensor
    parts: tuple[Part, ...]
    logits: Tensor
    owner: Mapping[int, int]
    train: bool = False
    loss: str = CROSS_ENTROPY

    @property
    def bytes(self) -> int:
        """What it holds in memory, about: results and what the ways back keep of them."""
        return 2 * sum(result.data.nbytes for part in self.parts for result in part.made)

    def part_of(self, tensor: Tensor, taker: Part | None = None) -> int | None:
        """The part that made a tensor, PICTURE for the picture; for a `taker` the one that gave it the tensor, which
        may have passed it on only."""
        for source in taker.sources if taker is not None else ():
            if (self.picture if source == PICTURE else self.parts[source].output) is tensor:
                return source
        return self.owner.get(id(tensor), PICTURE if tensor is self.picture else None)

    def head(self, tensor: Tensor) -> tuple[int, ...]:
        """Where in a tensor the numbers of picture 0 stand."""
        return _head(tensor, self.picture)

    def place(self, tensor: Tensor, index: Sequence[int]) -> tuple[int, ...]:
        """The place for one picture of a number at an index of a tensor."""
        return tuple(map(int, index[len(self.head(tensor)):])) or (0,)


def read(picture: Tensor, logits: Tensor, marks: Iterable[Mark], names: Mapping[int, str],
         train: bool = False, loss: str = CROSS_ENTROPY) -> Trace:
    """The trace of a run that took `picture` (a leaf that wants a gradient) and gave `logits`.

    marks: in the order in which they ended. names: of the weights, by `id` of their tensors.
    """
    moving = _moving(picture, logits)
    results = [t for t in in_order(logits) if id(t) in moving and t.node is not None]
    builder = _Builder(picture, moving, names)
    at = 0
    for mark in marks:
        if id(mark.output) not in moving:  # constant, or beside the way to the scores
            continue
        claimed = []
        while mark.output.node is not None and at < len(results) and _place(results[at]) <= mark.output.node.place:
            claimed.append(results[at])
            at += 1
        if claimed or (mark.sort is not None and mark.sort.key == "dropout"):
            builder.add(mark, claimed)
    for result in results[at:]:
        assert result.node is not None
        builder.add(Mark(result.node.op.name, result), [result])
    return Trace(picture, tuple(builder.parts), logits, builder.owner, train, loss)


class _Builder:
    def __init__(self, picture: Tensor, moving: set[int], names: Mapping[int, str]):
        self.picture, self.moving, self.names = picture, moving, names
        self.parts: list[Part] = []
        self.owner: dict[int, int] = {}
        self.given: dict[int, int] = {id(picture): PICTURE}  # by whom last, the owner or a part that passed it on

    def add(self, mark: Mark, claimed: Sequence[Tensor]) -> None:
        index = len(self.parts)
        if not claimed:  # passes on what it got
            assert mark.sort is not None
            source = self.given[id(mark.output)]
            self.parts.append(Part(index, mark.name, mark.sort, mark.more, (), mark.output, (source,), {}, (),
                                   _head(mark.output, self.picture)))
            self.given[id(mark.output)] = index
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
                if id(x) in self.given:
                    sources.setdefault(self.given[id(x)])
            ops.append((result.node.op.name, moved))
        for result in claimed:
            self.owner[id(result)] = self.given[id(result)] = index
        sort = mark.sort or sort_of(ops)
        self.parts.append(Part(index, mark.name, sort, mark.more or _sizes(sort, weights.values(), claimed),
                               tuple(claimed), claimed[-1], tuple(sources), weights, tuple(fixed),
                               _head(claimed[-1], self.picture)))

    def _leaves(self, tensor: Tensor, weights: dict[str, Tensor], fixed: list[Tensor]) -> None:
        """What a tensor that does not come from the picture was made of."""
        for one in in_order(tensor):
            if one.node is not None:
                continue
            if id(one) in self.names and one.requires_grad:
                weights[self.names[id(one)]] = one
            elif all(one is not known for known in fixed):
                fixed.append(one)


def _sizes(sort: Sort, weights: Iterable[Tensor], made: Sequence[Tensor]) -> str:
    """The numbers that matter most of a part, read off its weights and options."""
    shapes = [weight.shape for weight in weights]
    steps = max(_option(made, "stride") or (1,))
    after = f", stride {steps}" if steps != 1 else ""
    if sort.key in (CONV, TRANSPOSED):
        found = next((shape for shape in shapes if len(shape) == 4), None)
        if found is not None:
            filters = found[0] if sort.key == CONV else made[-1].shape[1]
            return f"{counted(filters, 'filter')} {found[2]} × {found[3]}{after}"
    if sort.key == DENSE and len(made[-1].shape) == 2:
        return counted(made[-1].shape[1], "unit")
    kernel = _option(made, "kernel_size")
    return f"{number(kernel[0])} × {number(kernel[-1])}" if kernel else ""


def _option(made: Sequence[Tensor], name: str) -> tuple[int, ...]:
    """An option of the first op that has it, a number an axis; empty where none has."""
    given = next((result.node.options[name] for result in made
                  if result.node is not None and result.node.options.get(name) is not None), ())
    return tuple(map(int, np.ravel(given)))


def _head(tensor: Tensor, picture: Tensor) -> tuple[int, ...]:
    return (0,) if tensor.ndim and tensor.shape[0] == picture.shape[0] else ()


def _place(result: Tensor) -> int:
    assert result.node is not None
    return result.node.place


def in_order(end: Tensor) -> list[Tensor]:
    """Every tensor that `end` was made of, and `end`: leaves first, then results as they were made."""
    found, waiting = {id(end): end}, [end]
    while waiting:
        node = waiting.pop().node
        for x in node.inputs if node is not None else ():
            if x is not None and id(x) not in found:
                found[id(x)] = x
                waiting.append(x)
    return sorted(found.values(), key=lambda t: -1 if t.node is None else t.node.place)


def _moving(picture: Tensor, end: Tensor) -> set[int]:
    """The tensors, by `id`, that depend on the picture."""
    moving = {id(picture)}
    for result in in_order(end):
        if result.node is not None and any(x is not None and id(x) in moving for x in result.node.inputs):
            moving.add(id(result))
    return moving
