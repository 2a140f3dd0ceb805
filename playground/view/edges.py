"""What counts most in a map, or in a number of a row: the maps and numbers it is made of, the strongest first; and, on
the way back, those that its gradient comes from."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from engine import Tensor
from playground.view import maps, numbers
from playground.view.gradients import Gradients, size
from playground.view.trace import PICTURE, Part, Trace

MOST = 8


@dataclass(frozen=True)
class Edge:
    """`owner` (a part, -1 the picture) gives its map or number `channel`, or on the way back sends its gradient on;
    `share` is how much of the whole that is: of sizes (root mean squares) where it goes into a map, of the products,
    with their sign, where into one number."""

    owner: int
    channel: int
    share: float


def strongest(trace: Trace, part: Part, channel: int, first: int | None = None) -> list[Edge]:
    """The strongest inputs of a part's map, or of its number where it gives a row, from before the part `first`.

    What lies between, such as the convolution and batch norm before an activation, is gone through. Empty where an op
    mixes all it takes (a softmax), or makes maps of maps otherwise than by channels.

    Raises PlaygroundError when the part has no such map or number.
    """
    numbers.check_place(part, (channel, *[0] * (len(part.shape) - 1)))
    until = part.index if first is None else first
    open_: dict[tuple[int, int], float] = {(part.index, channel): 1.0}
    found: defaultdict[tuple[int, int], float] = defaultdict(float)
    while open_:
        at = max(open_)  # what is behind others is complete before it is gone through
        share = open_.pop(at)
        if at[0] < until:
            found[at] += share
            continue
        before, whole = _inputs(trace, trace.parts[at[0]], at[1])
        for key, one in before.items():
            if whole > 0 and math.isfinite(whole):
                open_[key] = open_.get(key, 0.0) + share * one / whole
    return _listed(found)


def receivers(trace: Trace, gradients: Gradients, part: Part, channel: int) -> list[Edge]:
    """Where the gradient of a part's map comes from, or of its number where it gives a row: the strongest of the maps
    and numbers made of it. Empty where a walk back begins or does not come by, and where an op mixes all it takes.

    Raises PlaygroundError when the part has no such map or number.
    """
    numbers.check_place(part, (channel, *[0] * (len(part.shape) - 1)))
    found: defaultdict[tuple[int, int], float] = defaultdict(float)
    whole = 0.0
    if gradients.at(part) is None:
        return []
    if len(part.shape) == 1:
        for account in numbers.backward(trace, gradients, part, (channel,)):
            whole += account.strength
            for term in account.terms:
                if isinstance(term.owner, int) and term.owner >= 0:
                    found[term.owner, term.place[0]] += term.product
    else:
        for taker in numbers.takers(gradients, part.output) if len(part.shape) == 3 else ():
            sizes, all_of_it = _sent(trace, gradients, part, channel, taker)
            whole += all_of_it
            for key, one in sizes.items():
                found[key] += one
    if not (whole > 0 and math.isfinite(whole)):
        return []
    return _listed({key: one / whole for key, one in found.items()})


Sizes = dict[tuple[int, int], float]


def _listed(found: Mapping[tuple[int, int], float]) -> list[Edge]:
    order = sorted(found, key=lambda key: -abs(found[key]))[:MOST]
    return [Edge(owner, own, found[owner, own]) for owner, own in order if found[owner, own]]


def _sent(trace: Trace, gradients: Gradients, part: Part, channel: int, taker: Tensor) -> tuple[Sizes, float]:
    """What the maps or numbers of an op that took a part's map sent back to it, and how much all of them."""
    owner = trace.part_of(taker)
    if owner is None:
        return {}, 0.0
    if (summed := maps.sent_by_filters(trace, gradients, part, channel, taker)) is not None:
        return {(owner, one.channel): one.weight for one in summed.summands}, summed.strength
    own, shape = maps.sent(gradients, part, taker)[channel], trace.parts[owner].shape
    whole = size(own)
    node = taker.node
    assert node is not None
    if node.op.name == "concat":
        before = next(k for k, x in enumerate(node.inputs) if x is part.output)
        return {(owner, channel + sum(x.shape[1] for x in node.inputs[:before] if x is not None)): whole}, whole
    if shape[0] == part.shape[0]:
        return {(owner, channel): whole}, whole
    if shape == (math.prod(part.shape),):  # laid out in a row: numbers of one map are next to each other
        sizes = np.abs(own.reshape(-1)).astype(np.float64)
        return {(owner, channel * own.size + k): float(one) for k, one in enumerate(sizes)}, float(sizes.sum())
    return {}, whole


def _inputs(trace: Trace, part: Part, channel: int) -> tuple[Sizes, float]:
    """What goes into one map or number of a part, how much of it there is, and how much of all."""
    if len(part.shape) == 1:
        return _of_number(trace, part, channel)
    if len(part.shape) != 3:
        return {}, 0.0
    if (summed := maps.forward_sum(trace, part, channel)) is not None:
        return {(one.owner, one.channel): one.weight for one in summed.summands}, summed.strength
    given = {source: (trace.picture if source == PICTURE else trace.parts[source].output).data[0]
             for source in part.sources}
    if part.op is not None and part.op.node is not None and part.op.node.op.name == "concat":
        for source, values in given.items():
            if channel < len(values):
                return {(source, channel): 1.0}, 1.0
            channel -= len(values)
        return {}, 0.0
    found = {(source, channel): float(np.sqrt(np.mean(np.square(values[channel], dtype=np.float64))))
             for source, values in given.items() if values.ndim == 3 and len(values) == part.shape[0]}
    return found, sum(found.values())


def _of_number(trace: Trace, part: Part, channel: int) -> tuple[Sizes, float]:
    accounts = numbers.forward(trace, part, (channel,))
    found: defaultdict[tuple[int, int], float] = defaultdict(float)
    for term in accounts[-1].terms if accounts and accounts[-1].kind != "coupled" else ():
        if isinstance(term.owner, int):
            found[term.owner, term.place[0]] += term.product
    return dict(found), accounts[-1].strength if accounts else 0.0


__all__ = ["Edge", "receivers", "strongest"]
