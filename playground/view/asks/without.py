"""Parts of a network switched off, on labelled pictures, and what the gradient would have guessed.

The run of a batch is recorded, and computed again from the part on, with zeros (or what a sum or a layer was given) in
its place: no weight is changed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engine import Tensor, backward_steps, no_grad
from playground.errors import PlaygroundError
from playground.training.scratch.losses import loss_of
from playground.view.asks.batches import chunks
from playground.view.asks.measured import Effect, of_scores
from playground.view.replay import Change, Now, replayed
from playground.view.sources import Design, File
from playground.view.trace import PICTURE, Array, Part, Trace, in_order
from playground.view.words import SUM

MAPS, LAYER, SHORTCUT, WAY = "maps", "layer", "shortcut", "way"


@dataclass(frozen=True)
class Off:
    """What is switched off in a part: some of its `maps`, the whole "layer", or of a sum the "shortcut" or the "way".

    Maps become zeros. A layer gives what it was given where that has the same shape, else zeros. Of a sum, only what is
    not switched off is left.
    """

    part: int
    what: str
    maps: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Guess:
    """The first-order guess for every map of a part: how much more the mean loss would be without it.

        loss without a - loss  ≈  -sum over the map's places of d(loss)/da * a

    the mean over `count` pictures. Source: Molchanov et al., 2016, who take the magnitude.
    """

    part: int
    values: Array
    count: int

    @property
    def order(self) -> np.ndarray:
        """The maps, those first without which the loss would grow most."""
        return np.argsort(-self.values, kind="stable")


def is_sum(trace: Trace, part: Part) -> bool:
    """Whether a part is a sum of two ways of which one can be switched off."""
    node = part.output.node
    return part.sort.key == SUM and node is not None and len(_ways(trace, part)) == 2


def passes_on(trace: Trace, part: Part) -> bool:
    """Whether a part that is switched off as a layer gives what it was given; it gives zeros otherwise."""
    return len(part.sources) == 1 and _given(trace, part).shape == part.output.shape


def effect(source: Design | File, x: Array, y: np.ndarray, off: Sequence[Off]) -> Effect:
    """The network on pictures x (N, C, H, W) labelled y (N,), as it is and with something switched off.

    Raises PlaygroundError when a part has no such map or is no sum.
    """
    classes = len(source.labels)
    pairs = list(_scores(source, x, off))
    return Effect(of_scores((before for before, _ in pairs), y, classes, source.loss),
                  of_scores((after for _, after in pairs), y, classes, source.loss))


def _scores(source: Design | File, x: Array, off: Sequence[Off]) -> Iterator[tuple[Array, Array]]:
    for here in chunks(source, x):
        with source.lock:
            trace = source.run(x[here])
            both = trace.logits.data, without(trace, off).data
        yield both


def without(trace: Trace, off: Sequence[Off]) -> Tensor:
    """The scores of a recorded run (N, K) with something switched off."""
    return switched(trace, off)(trace.logits)


def switched(trace: Trace, off: Sequence[Off]) -> Now:
    """A recorded run with something switched off: what stands for each of its tensors."""
    changes: dict[int, Change] = {}
    for one in off:
        if not 0 <= one.part < len(trace.parts):
            raise PlaygroundError(f"The network has {len(trace.parts)} parts, so there is no part {one.part}.")
        part = trace.parts[one.part]
        changes[id(part.output)] = _both(changes.get(id(part.output)), _change(trace, part, one))
    with no_grad():
        return replayed(trace, changes=changes)


def guess(source: Design | File, x: Array, y: np.ndarray, part: int) -> Guess:
    """The first-order guess for every map of a part, from pictures x (N, C, H, W) labelled y (N,)."""
    total: Array | None = None
    for here in chunks(source, x):
        with source.lock:
            trace = source.run(x[here])
            output = trace.parts[part].output
            loss = loss_of(trace.logits, y[here], reduction="sum", loss=trace.loss)
            # A walk that is left half-way changes no weight's gradient.
            arrived = next((step.gradient for step in backward_steps(loss) if step.output is output), None)
        products = (np.zeros(output.shape) if arrived is None else
                    -arrived.astype(np.float64) * output.data)
        own = products.sum(axis=(0, *range(2, products.ndim)))
        total = own if total is None else total + own
    assert total is not None
    return Guess(part, total / len(x), len(x))


def truly(source: Design | File, x: Array, y: np.ndarray, part: int, maps: Sequence[int]) -> Array:
    """How much more the mean loss is without each of these maps of a part, one at a time: what `guess` guesses."""
    before, after = 0.0, np.zeros(len(maps))
    for here in chunks(source, x):
        with source.lock:
            trace = source.run(x[here])
            before += _loss(trace, trace.logits, y[here])
            for k, one in enumerate(maps):
                after[k] += _loss(trace, without(trace, [Off(part, MAPS, (one,))]), y[here])
    return (after - before) / max(len(x), 1)


def _loss(trace: Trace, logits: Tensor, y: np.ndarray) -> float:
    return loss_of(Tensor(logits.data.astype(np.float64)), y, reduction="sum", loss=trace.loss).item()


def _both(first: Change | None, second: Change) -> Change:
    if first is None:
        return second
    before = first
    return lambda result, now: second(before(result, now), now)


def _change(trace: Trace, part: Part, off: Off) -> Change:
    output = part.output
    if off.what == MAPS:
        if any(not 0 <= one < output.shape[1] for one in off.maps):
            raise PlaygroundError(f"The {part.title} gives {output.shape[1]} maps, counted from 0: there is no map "
                                  f"{max(off.maps)}.")
        maps = list(off.maps)

        def zeros(result: Tensor, now: Now) -> Tensor:
            left = result.data.copy()
            left[:, maps] = 0
            return Tensor(left)

        return zeros
    if off.what == LAYER:
        given = _given(trace, part) if passes_on(trace, part) else None
        return lambda result, now: Tensor(np.zeros_like(result.data)) if given is None else now(given)
    if not is_sum(trace, part):
        raise PlaygroundError(f"The {part.title} is no sum of two ways, so neither can be switched off.")
    way, shortcut = _ways(trace, part)
    left = way if off.what == SHORTCUT else shortcut
    return lambda result, now: Tensor(np.broadcast_to(now(left).data, result.shape))


def _given(trace: Trace, part: Part) -> Tensor:
    return trace.picture if part.sources[0] == PICTURE else trace.parts[part.sources[0]].output


def _ways(trace: Trace, part: Part) -> tuple[Tensor, ...]:
    """What a sum adds: the way, then the shortcut, which is the one with fewer ops of its own; of equally many the
    second. What does not come from the picture is no way."""
    node = part.output.node
    assert node is not None
    moving = [x for x in node.inputs if x is not None and trace.part_of(x) is not None]
    if len(moving) != 2:
        return tuple(moving)
    behind = [{id(t) for t in in_order(x) if trace.part_of(t) is not None} for x in moving]
    own = [len(behind[0] - behind[1]), len(behind[1] - behind[0])]
    return (moving[1], moving[0]) if own[0] < own[1] else (moving[0], moving[1])
