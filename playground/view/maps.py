"""One map of a network taken apart: the input maps times their kernels that add up to it, and, on the way back, what
the maps behind it send; and the kernels of a filter with their gradients."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine import Tensor
from engine import functional as F
from playground.errors import PlaygroundError
from playground.view.gradients import Gradients
from playground.view.numbers import PRODUCTS, takers
from playground.view.trace import Array, Part, Trace
from playground.view.words import DENSE

MOST_SUMMANDS = 8


@dataclass(frozen=True, eq=False)
class Summand:
    """One map of the sum: `owner` (a part, -1 the picture) has the map `channel` (`source`, (H, W)); with the kernel
    (KH, KW) it makes `values` (OH, OW), whose size is `weight` (root mean square)."""

    owner: int
    channel: int
    source: Array
    kernel: Array
    values: Array
    weight: float
    inside: int = 0
    """Of its filter's kernels (C, KH, KW) the one it is."""


@dataclass(frozen=True, eq=False)
class Sum:
    """A map as a sum: `values` = the `summands` (the strongest first) + `others` (how many: `left`) + `bias`.
    `strength` is the sizes of all summands added up."""

    values: Array
    summands: tuple[Summand, ...]
    others: Array
    left: int
    bias: float
    turned: bool = False
    strength: float = 0.0


def forward_sum(trace: Trace, part: Part, channel: int) -> Sum | None:
    """The map of a convolution as the sum over its input channels; None for a part that is none.

    Raises PlaygroundError when the part has no such map.
    """
    _check(part, channel)
    result = part.op
    node = result.node if result is not None else None
    if result is None or node is None or node.op.name != "conv2d":
        return None
    x, w = node.inputs[0], node.inputs[1]
    assert x is not None
    assert w is not None
    groups = int(node.options.get("groups", 1))
    share, own = w.shape[1], channel // (w.shape[0] // groups)
    first = own * share
    source = x.data[:1, first : first + share]
    options = {key: value for key, value in node.options.items() if key != "groups"}
    parts = _conv(source, w.data[channel][:, None], share, options)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    owner = trace.part_of(x)
    return _sum(result.data[0, channel], parts, -1 if owner is None else owner, range(first, first + share), source[0],
                w.data[channel], 0.0 if bias is None else float(bias.data.reshape(-1)[channel]))


def backward_sum(trace: Trace, gradients: Gradients, part: Part, channel: int) -> Sum | None:
    """The gradient of a map, as the sum over the filters of the convolution behind it: the full correlation of each
    filter's gradient with its turned kernel. None where what is behind is no convolution, or several parts take the
    map. Raises PlaygroundError when the part has no such map."""
    _check(part, channel)
    taken = list(takers(gradients, part.output))
    return sent_by_filters(trace, gradients, part, channel, taken[0]) if len(taken) == 1 else None


def sent(gradients: Gradients, part: Part, taker: Tensor) -> Array:
    """What an op that took what a part gives sent back to it, of the picture looked at."""
    node = taker.node
    assert node is not None
    shares = [one for x, one in zip(node.inputs, gradients.sent[id(taker)], strict=True)
              if x is part.output and one is not None]
    return part.of(shares[0] if len(shares) == 1 else np.sum(shares, axis=0)) if shares else np.zeros(part.shape)


def sent_by_filters(trace: Trace, gradients: Gradients, part: Part, channel: int, taker: Tensor) -> Sum | None:
    """What a convolution that took a part's map sent back to it, as the sum over its filters; None where the taker is
    none."""
    node = taker.node
    if node is None or node.op.name != "conv2d" or node.inputs[0] is not part.output:
        return None
    w = node.inputs[1]
    assert w is not None
    groups = int(node.options.get("groups", 1))
    share, filters = w.shape[1], w.shape[0] // groups
    own = channel // share
    rows = slice(own * filters, (own + 1) * filters)
    kernels = w.data[rows, channel - own * share]
    arrived = gradients.arrived[id(taker)][:1, rows]
    picture = Tensor(np.zeros((1, filters, *part.shape[1:]), w.dtype), requires_grad=True)
    options = {key: value for key, value in node.options.items() if key != "groups"}
    F.conv2d(picture, kernels[:, None], groups=filters, **options).backward(arrived)
    assert picture.grad is not None
    owner = trace.part_of(taker)
    return _sum(sent(gradients, part, taker)[channel], picture.grad[0], -1 if owner is None else owner,
                range(rows.start, rows.stop), arrived[0], kernels[:, ::-1, ::-1], 0.0, turned=True,
                inside=channel - own * share)


def kernels(part: Part, channel: int, gradients: Gradients | None = None) -> tuple[Array, Array | None, int] | None:
    """The weights of one filter or unit (C, KH, KW), their gradients, and how many there are in all; of a dense layer's
    unit that looks at maps they lie as those maps would. None where a part has none."""
    op, one = part.op, _filters(part)
    own = None if op is None or one is None else _of_filter(op, one, one.data, channel)
    if op is None or op.node is None or one is None or own is None:
        return None
    shape = own.shape if own.ndim == 3 else (1, 1, own.size)
    source = op.node.inputs[0]
    if part.sort.key == DENSE and source is not None:
        maps = _maps_before(source)
        shape = maps if maps is not None and math.prod(maps) == own.size else shape
    found = None if gradients is None else gradients.of(part, one)
    gradient = None if found is None else _of_filter(op, one, found, channel)
    return own.reshape(shape), None if gradient is None else gradient.reshape(shape), own.size


def weight_at(part: Part, channel: int, at: int) -> tuple[str, tuple[int, ...]]:
    """The name and the index of a weight: of a map's `kernels`, as they lie, the number `at`.

    Raises PlaygroundError when there is none, or when it is not learnt but made of others.
    """
    _check(part, channel)
    op, one = part.op, _filters(part)
    name = next((name for name, weight in part.weights.items() if weight is one), "")
    if op is None or one is None or not name:
        raise PlaygroundError(f"The {part.title} has no filters of learnt weights.")
    own = _of_filter(op, one, np.arange(one.size).reshape(one.shape), channel)
    if own is None or not 0 <= at < own.size:
        raise PlaygroundError(f"The filter {channel} of the {part.title} has {0 if own is None else own.size} "
                              f"weights: there is no number {at} among them.")
    return name, tuple(map(int, np.unravel_index(int(own.reshape(-1)[at]), one.shape)))


def _filters(part: Part) -> Tensor | None:
    """The tensor of a part's filters or units; None where it has none."""
    node = part.op.node if part.op is not None and part.weights else None
    if node is None:
        return None
    if node.op.name in PRODUCTS:
        return node.inputs[1]  # as it meets the maps, whatever the file makes it of
    return next((x for x in node.inputs if x is not None and x.ndim >= 2
                 and any(x is weight for weight in part.weights.values())), None)


def winners(part: Part, channel: int) -> list[list[int]]:
    """Where in the map before it a max pooling found what goes on: rows and columns, in order. Empty for other parts.

    A number that wins in several windows, where they overlap, stands there once.
    """
    op = part.op
    if op is None or op.node is None or op.node.op.name != "max_pool2d" or op.node.inputs[0] is None:
        return []
    x = Tensor(op.node.inputs[0].data[:1, channel : channel + 1], requires_grad=True)
    y = F.max_pool2d(x, **op.node.options)
    y.backward(np.ones(y.shape, y.dtype))
    assert x.grad is not None
    return np.argwhere(x.grad[0, 0] > 0).tolist()


def _of_filter(op: Tensor, weight: Tensor, array: Array, channel: int) -> Array | None:
    """The numbers of a weight, or of its gradient, that make one map or unit of an op's result."""
    node = op.node
    assert node is not None
    if node.op.name == "conv_transpose2d":
        groups = int(node.options.get("groups", 1))
        share, inputs = weight.shape[1], weight.shape[0] // groups
        group = channel // share
        return array[group * inputs : (group + 1) * inputs, channel - group * share]
    if node.op.name == "matmul" and node.inputs[1] is weight and weight.ndim == 2:  # (inputs, units)
        return array[:, channel] if channel < weight.shape[1] else None
    return array[channel] if channel < weight.shape[0] else None


def _maps_before(rows: Tensor) -> tuple[int, ...] | None:
    """The shape (C, H, W) of the maps that were laid out in rows; None where there were none."""
    while rows.node is not None:
        source = next((x for x in rows.node.inputs if x is not None), None)
        if source is None or source.size != rows.size:
            return None
        if source.ndim == 4:
            return source.shape[1:] if max(source.shape[2:]) > 1 else None
        rows = source
    return None


def _check(part: Part, channel: int) -> None:
    if not part.shape or not 0 <= channel < part.shape[0]:
        raise PlaygroundError(f"The {part.title} has {part.shape[0] if part.shape else 0} maps: there is no map "
                              f"{channel}.")


def _conv(x: Array, w: Array, groups: int, options: dict[str, object]) -> Array:
    """One map for each channel and its kernel, (C, OH, OW)."""
    return np.asarray(F.conv2d(x, w, groups=groups, **options).data[0])  # type: ignore[arg-type]


def _sum(values: Array, parts: Array, owner: int, channels: Sequence[int], sources: Array, weights: Array, bias: float,
         turned: bool = False, inside: int | None = None) -> Sum:
    strength = np.sqrt(np.mean(np.square(parts, dtype=np.float64), axis=(1, 2)))
    order = np.argsort(-strength, kind="stable")[:MOST_SUMMANDS]
    listed = tuple(Summand(owner, channels[k], sources[k], weights[k], parts[k], float(strength[k]),
                           int(k) if inside is None else inside) for k in order)
    left = np.delete(parts, order, axis=0)
    return Sum(values, listed, np.asarray(left.sum(axis=0, dtype=np.float64)), len(left), bias, turned,
               float(strength.sum()))
