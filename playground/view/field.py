"""Which pixels can reach one number of a network: read off the tape, op by op from the number to the picture."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine import Tensor
from engine.geometry import pair, place
from playground.view.trace import Array, Part, Trace, in_order
from playground.view.words import OPS, POINTWISE_OPS

Region = tuple[int, int, int, int]
"""Rows from, to (both included), columns from, to."""
Box = tuple[Array, Array, Array]
"""The channels, rows and columns that are needed, each as bools: what is needed is within their product."""
POINTWISE = (*POINTWISE_OPS, "clip", "contiguous")
MOVING = ("pad", "interpolate", "concat", "getitem")
"""Ops that put every number of the result together from some of the input's, whatever the numbers are."""


def receptive_field(trace: Trace, part: Part, at: tuple[int, ...]) -> Region:
    """The rectangle of the picture that can reach the number of a part at a place, (C, H, W) or (F,).

    Windows are followed back by kernel, stride, padding and dilation, whatever the weights in them; an op that mixes
    all places, or that is not known, sees everything.
    """
    everything = _region(_all_of(trace.picture))
    if part.output.ndim != 4:
        return everything
    needed: dict[int, Box] = {id(part.output): _box(part.output, at)}
    for result in reversed(in_order(part.output)):
        if id(result) not in needed or result.node is None:
            continue
        for k, x in enumerate(result.node.inputs):
            if x is None or trace.part_of(x) is None:
                continue
            if x.ndim != 4:
                return everything
            before = _through(result, k, x, needed[id(result)])
            if all(side.any() for side in before):
                needed[id(x)] = _joined(needed.get(id(x)), before)
    return _region(needed[id(trace.picture)]) if id(trace.picture) in needed else everything


def _region(box: Box) -> Region:
    _, rows, columns = map(np.flatnonzero, box)
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])


def _box(tensor: Tensor, at: tuple[int, ...]) -> Box:
    channels, rows, columns = (np.arange(many) == one for many, one in zip(tensor.shape[1:], at, strict=True))
    return channels, rows, columns


def _all_of(x: Tensor) -> Box:
    channels, rows, columns = (np.ones(many, bool) for many in x.shape[1:])
    return channels, rows, columns


def _joined(one: Box | None, other: Box) -> Box:
    return other if one is None else (one[0] | other[0], one[1] | other[1], one[2] | other[2])


def _through(result: Tensor, k: int, x: Tensor, box: Box) -> Box:
    """What is needed of its input k for what is needed of a result."""
    node = result.node
    assert node is not None
    name = node.op.name
    if name in _RULES:
        return _RULES[name](node.options, result, x, box)
    if name in MOVING:
        return _support(result, k, box)
    if (name in POINTWISE or (name in OPS and OPS[name].pointwise)) and x.shape[2:] == result.shape[2:]:
        return box if x.shape[1] == result.shape[1] else (np.ones(x.shape[1], bool), *box[1:])
    return _all_of(x)


def _support(result: Tensor, k: int, box: Box) -> Box:
    """Where a gradient of 1 at what is needed comes out."""
    node = result.node
    assert node is not None
    g = np.zeros(result.shape, result.dtype)
    g[:, box[0][:, None, None] & box[1][:, None] & box[2]] = 1
    sent = (node.vjp(g, (True,) * len(node.inputs)) if node.op.selective else node.vjp(g))[k]
    if sent is None:
        sent = np.zeros((1, 1, 1, 1))
    channels, rows, columns = ((sent != 0).any(axis=axes) for axes in ((0, 2, 3), (0, 1, 3), (0, 1, 2)))
    return channels, rows, columns


Rule = Callable[[Mapping[str, Any], Tensor, Tensor, Box], Box]


def _hit(many: int, places: Array) -> Array:
    """Which of so many rows are among the places; what lies outside is padding."""
    found = np.zeros(many, bool)
    found[places[(places >= 0) & (places < many)]] = True
    return found


def _weight(result: Tensor) -> Tensor:
    assert result.node is not None
    weight = result.node.inputs[1]
    assert weight is not None
    return weight


def _windows(x: Tensor, box: Box, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool = False
             ) -> tuple[Array, Array]:
    where = place(x.shape, kernel, stride, padding, dilation, ceil_mode)
    rows, columns = (
        _hit(many, np.add.outer(np.flatnonzero(side) * step - before, np.arange(size) * gap)) for
        many, side, step, (before, _), size, gap in
        zip(x.shape[2:], box[1:], where.stride, where.pads, where.size, where.dilation, strict=True))
    return rows, columns


def _grouped(box: Box, given: int, groups: int) -> Array:
    """The input channels of the groups that the needed output channels are in."""
    return np.repeat(box[0].reshape(groups, -1).any(axis=1), given // groups)


def _conv(options: Mapping[str, Any], result: Tensor, x: Tensor, box: Box) -> Box:
    rows, columns = _windows(x, box, _weight(result).shape[2:], options.get("stride", 1), options.get("padding", 0),
                             options.get("dilation", 1))
    return _grouped(box, x.shape[1], options.get("groups", 1)), rows, columns


def _pool(options: Mapping[str, Any], result: Tensor, x: Tensor, box: Box) -> Box:
    kernel, stride = options.get("kernel_size", 2), options.get("stride")
    return box[0], *_windows(x, box, kernel, kernel if stride is None else stride, options.get("padding", 0),
                             options.get("dilation", 1), bool(options.get("ceil_mode")))


def _transposed(options: Mapping[str, Any], result: Tensor, x: Tensor, box: Box) -> Box:
    """Pixel p paints rows p * stride - padding + i * dilation: the pixels that paint on what is needed."""
    steps, away, gaps = (pair(options.get(name, usual), name) for name, usual in
                         (("stride", 1), ("padding", 0), ("dilation", 1)))
    sides = []
    for many, side, step, less, gap, size in zip(x.shape[2:], box[1:], steps, away, gaps, _weight(result).shape[2:],
                                                 strict=True):
        painted = np.add.outer(np.arange(many) * step - less, np.arange(size) * gap)
        inside = (painted >= 0) & (painted < len(side))
        sides.append((inside & side[painted.clip(0, len(side) - 1)]).any(axis=1))
    return _grouped(box, x.shape[1], options.get("groups", 1)), sides[0], sides[1]


def _adaptive(options: Mapping[str, Any], result: Tensor, x: Tensor, box: Box) -> Box:
    sides = []
    for many, side in zip(x.shape[2:], box[1:], strict=True):
        own = np.zeros(many, bool)
        for p in np.flatnonzero(side):
            own[p * many // len(side):-((p + 1) * many // -len(side))] = True
        sides.append(own)
    return box[0], sides[0], sides[1]


_RULES: Mapping[str, Rule] = {
    "conv2d": _conv, "max_pool2d": _pool, "avg_pool2d": _pool, "conv_transpose2d": _transposed,
    "adaptive_avg_pool2d": _adaptive, "adaptive_max_pool2d": _adaptive,
}
