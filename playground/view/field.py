"""Which pixels can reach one number of a network: read off the tape, op by op from the number to the picture."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine import Tensor
from engine.geometry import Placement, pair, place
from playground.view.replay import in_order
from playground.view.trace import Part, Trace
from playground.view.words import OPS, POINTWISE_OPS

Region = tuple[int, int, int, int]
"""Rows from, to (both included), columns from, to."""
POINTWISE = (*POINTWISE_OPS, "clip", "contiguous")
MOVING = ("pad", "interpolate", "concat", "getitem")
"""Ops that put every number of the result together from some of the input's, whatever the numbers are."""


def receptive_field(trace: Trace, part: Part, at: tuple[int, ...]) -> Region:
    """The rectangle of the picture that can reach the number of a part at a place, (C, H, W) or (F,).

    Windows are followed back by kernel, stride, padding and dilation, whatever the weights in them; an op that mixes all
    places, or that is not known, sees everything.
    """
    everything = _all_of(trace.picture)
    if part.output.ndim != 4:
        return everything
    needed: dict[int, Region] = {id(part.output): (at[1], at[1], at[2], at[2])}
    for result in reversed(in_order(part.output)):
        if id(result) not in needed or result.node is None:
            continue
        for k, x in enumerate(result.node.inputs):
            if x is None or trace.part_of(x) is None:
                continue
            if x.ndim != 4:
                return everything
            before = _through(result, k, x, needed[id(result)])
            if before is not None:
                needed[id(x)] = _joined(needed.get(id(x)), _within(before, x))
    return needed.get(id(trace.picture), everything)


def _all_of(x: Tensor) -> Region:
    return 0, x.shape[2] - 1, 0, x.shape[3] - 1


def _joined(one: Region | None, other: Region) -> Region:
    if one is None:
        return other
    return min(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), max(one[3], other[3])


def _within(region: Region, x: Tensor) -> Region:
    (top, bottom, left, right), (_, last, _, end) = region, _all_of(x)
    return min(max(top, 0), last), max(min(bottom, last), 0), min(max(left, 0), end), max(min(right, end), 0)


def _through(result: Tensor, k: int, x: Tensor, region: Region) -> Region | None:
    """The region of its input k that a region of the result needs; None where it needs nothing of it."""
    node = result.node
    assert node is not None
    name = node.op.name
    if name in _RULES:
        return _RULES[name](node.options, result, x, region)
    if name in MOVING:
        return _support(result, k, region)
    pointwise = name in POINTWISE or (name in OPS and OPS[name].pointwise)
    return region if pointwise and x.shape[2:] == result.shape[2:] else _all_of(x)


def _support(result: Tensor, k: int, region: Region) -> Region | None:
    """Where a gradient of 1 in the region comes out."""
    node = result.node
    assert node is not None
    g = np.zeros(result.shape, result.dtype)
    g[:, :, region[0]:region[1] + 1, region[2]:region[3] + 1] = 1
    sent = node.vjp(g, (True,) * len(node.inputs)) if node.op.selective else node.vjp(g)
    rows, columns = (np.flatnonzero((sent[k] != 0).any(axis=axes)) for axes in ((0, 1, 3), (0, 1, 2)))
    return (int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])) if len(rows) else None


Rule = Callable[[Mapping[str, Any], Tensor, Tensor, Region], Region]


def _sides(region: Region) -> tuple[tuple[int, int], tuple[int, int]]:
    return region[:2], region[2:]


def _windows(where: Placement, region: Region) -> Region:
    (top, bottom), (left, right) = (
        (first * step - before, last * step - before + reach - 1) for (first, last), step, (before, _), reach in
        zip(_sides(region), where.stride, where.pads, where.reach, strict=True))
    return top, bottom, left, right


def _kernel(result: Tensor) -> tuple[int, ...]:
    assert result.node is not None
    weight = result.node.inputs[1]
    assert weight is not None
    return weight.shape[2:]


def _conv(options: Mapping[str, Any], result: Tensor, x: Tensor, region: Region) -> Region:
    return _windows(place(x.shape, _kernel(result), options.get("stride", 1), options.get("padding", 0),
                          options.get("dilation", 1)), region)


def _pool(options: Mapping[str, Any], result: Tensor, x: Tensor, region: Region) -> Region:
    kernel, stride = options.get("kernel_size", 2), options.get("stride")
    return _windows(place(x.shape, kernel, kernel if stride is None else stride, options.get("padding", 0),
                          options.get("dilation", 1), bool(options.get("ceil_mode"))), region)


def _transposed(options: Mapping[str, Any], result: Tensor, x: Tensor, region: Region) -> Region:
    """Pixel p paints rows from p * stride - padding on, as many as the kernel reaches: which pixels meet the region."""
    steps, away, gaps = (pair(options.get(name, usual), name) for name, usual in
                         (("stride", 1), ("padding", 0), ("dilation", 1)))
    (top, bottom), (left, right) = (
        (-((gap * (size - 1) - first - less) // step), (last + less) // step) for (first, last), step, less, gap, size in
        zip(_sides(region), steps, away, gaps, _kernel(result), strict=True))
    return top, bottom, left, right


def _adaptive(options: Mapping[str, Any], result: Tensor, x: Tensor, region: Region) -> Region:
    (top, bottom), (left, right) = (
        (first * length // many, -((last + 1) * length // -many) - 1) for (first, last), many, length in
        zip(_sides(region), result.shape[2:], x.shape[2:], strict=True))
    return top, bottom, left, right


_RULES: Mapping[str, Rule] = {
    "conv2d": _conv, "max_pool2d": _pool, "avg_pool2d": _pool, "conv_transpose2d": _transposed,
    "adaptive_avg_pool2d": _adaptive, "adaptive_max_pool2d": _adaptive,
}
