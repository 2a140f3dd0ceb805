"""Pooling: the largest or the average of every window."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.arrays import Pair, crop, fold, pad, windows
from engine.core import Array, ShapeError, Vjp, op
from engine.geometry import Padding, Placement, Sizes, is_framed, place, remembered
from engine.kernels import pooling
from engine.kernels.memory import alike
from engine.onnx_spec import Node, Refused, Situation, Spelled


@remembered
def _pool_placement(
    x: tuple[int, ...], kernel_size: Sizes, stride: Sizes | None, padding: Padding, dilation: Sizes, ceil_mode: bool
) -> Placement:
    if len(x) != 4:
        raise ShapeError(f"pooling takes images (N, C, H, W), not {x}")
    step = kernel_size if stride is None or stride == [] else stride
    where = place(x, kernel_size, step, padding, dilation, ceil_mode)
    # A window must not see padding only; a number or a pair obeys torch's tighter rule.
    most = [r - 1 for r in where.reach] if is_framed(padding) else [k // 2 for k in where.size]
    if any(max(pads) > m for pads, m in zip(where.asked, most, strict=True)):
        raise ValueError(f"padding {padding} is more than {tuple(most)}, half of the kernel {where.size}")
    return where


def _spell_max_pool(s: Situation) -> Node:
    (x,) = s.shapes
    assert x is not None
    o = s.options
    where = _pool_placement(x, o["kernel_size"], o.get("stride"), o.get("padding", 0), o.get("dilation", 1),
                            o.get("ceil_mode", False))
    return Node("MaxPool", attributes=where.onnx)  # what ceil_mode adds is already in the pads


@op(onnx=_spell_max_pool)
def max_pool2d(
    x: Array, *, kernel_size: Sizes = 2, stride: Sizes | None = None, padding: Padding = 0, dilation: Sizes = 1,
    ceil_mode: bool = False,
) -> tuple[Array, Vjp]:
    """The largest value of every window.

    x (N, C, H, W) -> (N, C, OH, OW); windows do not overlap unless `stride` (default: kernel_size) says so.

        y[n,c,p,q] = max over i,j of x[n, c, p*stride + i*dilation, q*stride + j*dilation]

    Padding counts as minus infinity, nan as larger than everything. Of equal values the first one, reading the window
    row by row, is the maximum and alone receives the gradient, as in torch. With `ceil_mode` a last window may hang
    over the edge. Raises ValueError when the padding is more than half the window.

    >>> y, vjp = max_pool2d.rule(np.array([[1.0, 3.0, 5.0, 5.0], [2.0, 0.0, 5.0, 5.0]]).reshape(1, 1, 2, 4))
    >>> y[0, 0]
    array([[3., 5.]])
    >>> vjp(np.ones_like(y))[0][0, 0]
    array([[0., 1., 1., 0.],
           [0., 0., 0., 0.]])
    """
    where = _pool_placement(x.shape, kernel_size, stride, padding, dilation, ceil_mode)
    order = pooling.fits(x, where)
    fast = pooling.max_pool(x, where, order) if order is not None else None
    if fast is not None:
        return fast
    y, winner = _largest(x, where)
    places, padded = where.size[0] * where.size[1], _padded(x.shape, where)

    def vjp(g: Array) -> tuple[Array]:
        dx = np.zeros_like(y, g.dtype, shape=padded)  # in the memory order of y, which is that of x
        g = alike(g, y)
        for k in range(places):
            _seen(dx, where, k)[...] += g * (winner == k)
        return (crop(dx, where.pads),)

    return y, vjp


def max_pool2d_indices(x: Array, **options: Any) -> Array:
    """Where in its (H, W) plane each maximum stands, counted row by row: int64 (N, C, OH, OW), torch's return_indices.

    >>> max_pool2d_indices(np.array([[1.0, 3.0], [2.0, 0.0]]).reshape(1, 1, 2, 2), kernel_size=2)
    array([[[[1]]]])
    """
    where = _pool_placement(x.shape, options["kernel_size"], options.get("stride"), options.get("padding", 0),
                            options.get("dilation", 1), options.get("ceil_mode", False))
    _, winner = _largest(x, where)
    (oh, ow), (_, kw) = where.out, where.size
    (sh, sw), (dh, dw), ((top, _), (left, _)) = where.stride, where.dilation, where.pads
    i, j = np.divmod(winner.astype(np.int64), kw)
    rows = np.arange(oh)[:, None] * sh - top + i * dh
    columns = np.arange(ow) * sw - left + j * dw
    indices: Array = rows * x.shape[3] + columns
    return indices


def _padded(shape: tuple[int, ...], where: Placement) -> tuple[int, ...]:
    (top, bottom), (left, right) = where.pads
    return (*shape[:-2], shape[-2] + top + bottom, shape[-1] + left + right)


def _largest(x: Array, where: Placement) -> tuple[Array, Array]:
    """The maximum of every window and which of its KH*KW places, counted row by row, holds it."""
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    padded = pad(x, where.pads, lowest)
    kh, kw = where.size
    places = np.uint8 if kh * kw <= 256 else np.int32
    # Where everything is -inf nothing is larger than the start: let that be the first place inside the image.
    first = _first_inside(where, 0)[:, None] * kw + _first_inside(where, 1)
    best = np.full_like(x, lowest, shape=(*x.shape[:2], *where.out))
    winner = np.empty_like(best, places)
    winner[...] = first
    for k in range(kh * kw):
        here = _seen(padded, where, k)
        np.copyto(winner, places(k), where=(here > best) | (here != here))
        np.maximum(best, here, out=best)
    return best, winner


def _seen(padded: Array, where: Placement, k: int) -> Array:
    """What place k of every window looks at, a view (N, C, OH, OW)."""
    i, j = divmod(k, where.size[1])
    (oh, ow), (sh, sw), (dh, dw) = where.out, where.stride, where.dilation
    rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
    return padded[:, :, rows, slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)]


def _first_inside(where: Placement, axis: int) -> Array:
    starts = np.arange(where.out[axis]) * where.stride[axis] - where.pads[axis][0]
    return np.maximum(0, -(starts // where.dilation[axis]))


# --- averages ---


def _divisors(image: tuple[int, ...], where: Placement, include_pad: bool, override: int | None) -> Array:
    """What the sum of every window is divided by, (OH, OW)."""
    if override is not None:
        if override == 0:
            raise ValueError("divisor_override must not be zero")
        return np.full(where.out, float(override))
    counts = []
    for axis, length in enumerate(image[-2:]):
        start = np.arange(where.out[axis]) * where.stride[axis] - where.pads[axis][0]
        stop = start + where.size[axis]
        if include_pad:
            counts.append(np.minimum(stop, length + where.asked[axis][1]) - start)
        else:
            counts.append(np.minimum(stop, length) - np.maximum(start, 0))
    return np.multiply.outer(counts[0], counts[1]).astype(float)


def _spell_avg_pool(s: Situation) -> Spelled:
    (x,) = s.shapes
    assert x is not None
    o = s.options
    where = _pool_placement(x, o["kernel_size"], o.get("stride"), o.get("padding", 0), 1, o.get("ceil_mode", False))
    include_pad, override = o.get("count_include_pad", True), o.get("divisor_override")
    divisors = _divisors(x, where, include_pad, override)
    attributes = {name: value for name, value in where.onnx.items() if name != "dilations"}
    if not include_pad and override is None:
        return Node("AveragePool", attributes={**attributes, "count_include_pad": 0})
    # Runtimes disagree about windows that hang over: let them divide by the whole window, and put right what differs.
    pool = Node("AveragePool", attributes={**attributes, "count_include_pad": 1}, output="whole")
    factors = where.size[0] * where.size[1] / divisors
    if np.all(factors == 1):
        return replace(pool, output="result")
    return [pool, Node("Mul", inputs=("whole", factors.astype(s.dtypes[0])))]


@op(onnx=_spell_avg_pool)
def avg_pool2d(
    x: Array, *, kernel_size: Sizes = 2, stride: Sizes | None = None, padding: Padding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> tuple[Array, Vjp]:
    """The average of every window.

    x (N, C, H, W) -> (N, C, OH, OW); windows do not overlap unless `stride` (default: kernel_size) says so.

        y[n,c,p,q] = 1/divisor * sum over i,j of x[n, c, p*stride + i, q*stride + j]

    The divisor is the number of pixels of the window, zero padding included unless `count_include_pad` is False, and
    never what a last window hangs over with `ceil_mode`; `divisor_override` replaces it (torch's avg_pool2d).

    >>> y, vjp = avg_pool2d.rule(np.arange(4.0).reshape(1, 1, 2, 2))
    >>> y.item()
    1.5
    >>> vjp(np.ones_like(y))[0][0, 0]
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    where = _pool_placement(x.shape, kernel_size, stride, padding, 1, ceil_mode)
    shares = (1.0 / _divisors(x.shape, where, count_include_pad, divisor_override)).astype(x.dtype)
    y = windows(pad(x, where.pads), where.size, where.stride, where.dilation).sum(axis=(2, 3)) * shares
    shape = x.shape

    def vjp(g: Array) -> tuple[Array]:
        sent = np.broadcast_to((g * shares)[:, :, None, None], (*shape[:2], *where.size, *where.out))
        return (crop(fold(sent, _padded(shape, where), where.stride, where.dilation), where.pads),)

    return y, vjp


# Averages over regions of any size are a matrix over rows and one over columns; the way back is the transposed ones.


def _adaptive(output_size: Any, image: tuple[int, ...]) -> Pair:
    sizes = list(output_size) if isinstance(output_size, Sequence) else [output_size] * 2
    if len(sizes) != 2:
        raise ValueError(f"output_size is a number or a pair (rows, columns), not {output_size!r}")
    h, w = (length if size is None else int(size) for size, length in zip(sizes, image[-2:], strict=True))
    return h, w


def _adaptive_averages(length: int, out: int) -> Array:
    matrix = np.zeros((out, length))
    for p, inside in enumerate(_regions(length, out)):
        matrix[p, inside] = 1.0 / (inside.stop - inside.start)
    return matrix


def _spell_adaptive_avg_pool(s: Situation) -> Spelled:
    (x,) = s.shapes
    assert x is not None
    out = _adaptive(s.options.get("output_size", 1), x)
    if out == (1, 1):
        return Node("GlobalAveragePool")
    h, w = x[-2:]
    if h % out[0] == 0 and w % out[1] == 0:
        size = [h // out[0], w // out[1]]
        return Node("AveragePool", attributes={"kernel_shape": size, "strides": size})
    rows, columns = _adaptive_averages(h, out[0]), _adaptive_averages(w, out[1])
    return [
        Node("MatMul", inputs=(rows.astype(s.dtypes[0]), 0), output="rows"),
        Node("MatMul", inputs=("rows", np.ascontiguousarray(columns.T).astype(s.dtypes[0]))),
    ]


@op(onnx=_spell_adaptive_avg_pool)
def adaptive_avg_pool2d(x: Array, *, output_size: Any = 1) -> tuple[Array, Vjp]:
    """Averages over as many regions as asked, whatever the image's size; output_size 1 is global average pooling.

    x (N, C, H, W) -> (N, C, OH, OW) with output_size OH = OW or (OH, OW), None keeping a side as it is.
    Region p of OH covers rows floor(p*H/OH) up to ceil((p+1)*H/OH), so regions may share a row (torch's rule).

    >>> y, vjp = adaptive_avg_pool2d.rule(np.arange(6.0).reshape(1, 1, 2, 3), output_size=(1, 2))
    >>> y[0, 0]
    array([[2., 3.]])
    >>> vjp(np.ones_like(y))[0][0, 0]
    array([[0.25, 0.5 , 0.25],
           [0.25, 0.5 , 0.25]])
    """
    if x.ndim != 4:
        raise ShapeError(f"pooling takes images (N, C, H, W), not {x.shape}")
    oh, ow = _adaptive(output_size, x.shape)
    rows = _adaptive_averages(x.shape[2], oh).astype(x.dtype)
    columns = _adaptive_averages(x.shape[3], ow).astype(x.dtype)

    def vjp(g: Array) -> tuple[Array]:
        return (rows.T @ g @ columns,)

    y: Array = rows @ x @ columns.T
    return y, vjp


# --- the largest of regions of any size ---


def _regions(length: int, out: int) -> list[slice]:
    return [slice(p * length // out, -((p + 1) * length // -out)) for p in range(out)]


def _spell_adaptive_max_pool(s: Situation) -> Spelled:
    (x,) = s.shapes
    assert x is not None
    out = _adaptive(s.options.get("output_size", 1), x)
    if out == (1, 1):
        return Node("GlobalMaxPool")
    if x[2] % out[0] or x[3] % out[1]:
        return Refused(f"adaptive_max_pool2d to {out} is a plain MaxPool only where {out} divides the image {x[2:]}.")
    size = [x[2] // out[0], x[3] // out[1]]
    return Node("MaxPool", attributes={"kernel_shape": size, "strides": size})


@op(onnx=_spell_adaptive_max_pool)
def adaptive_max_pool2d(x: Array, *, output_size: Any = 1) -> tuple[Array, Vjp]:
    """The largest value of as many regions as asked, whatever the image's size.

    x (N, C, H, W) -> (N, C, OH, OW) with output_size OH = OW or (OH, OW), None keeping a side as it is. The regions are
    those of adaptive_avg_pool2d; of equal values the first, row by row, receives the gradient.

    >>> y, vjp = adaptive_max_pool2d.rule(np.array([[[[1.0, 7.0, 3.0]]]]), output_size=(1, 2))
    >>> y[0, 0]
    array([[7., 7.]])
    >>> vjp(np.ones_like(y))[0][0, 0]           # the middle one was the largest of both regions
    array([[0., 2., 0.]])
    """
    indices = adaptive_max_pool2d_indices(x, output_size=output_size)
    n, c, h, w = x.shape
    flat = indices.reshape(n, c, -1)
    y = np.take_along_axis(x.reshape(n, c, h * w), flat, axis=2).reshape(indices.shape)

    def vjp(g: Array) -> tuple[Array]:
        dx = np.zeros((n * c, h * w), g.dtype)
        np.add.at(dx, (np.arange(n * c)[:, None], flat.reshape(n * c, -1)), g.reshape(n * c, -1))
        return (dx.reshape(n, c, h, w),)

    return y, vjp


def adaptive_max_pool2d_indices(x: Array, *, output_size: Any = 1) -> Array:
    """Where in its (H, W) plane each maximum stands, counted row by row: int64 (N, C, OH, OW)."""
    if x.ndim != 4:
        raise ShapeError(f"pooling takes images (N, C, H, W), not {x.shape}")
    n, c, h, w = x.shape
    oh, ow = _adaptive(output_size, x.shape)
    indices = np.empty((n, c, oh, ow), np.int64)
    for p, rows in enumerate(_regions(h, oh)):
        for q, columns in enumerate(_regions(w, ow)):
            region = x[:, :, rows, columns]
            i, j = np.divmod(region.reshape(n, c, -1).argmax(axis=2), region.shape[3])
            indices[:, :, p, q] = (i + rows.start) * w + j + columns.start
    return indices
