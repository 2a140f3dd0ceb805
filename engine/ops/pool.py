"""Pooling: the largest or the average of every window."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from engine.arrays import Pair, crop, fold, masked, pad, windows
from engine.core import Array, ShapeError, Vjp, op
from engine.geometry import Padding, Placement, Sizes, is_framed, place, remembered
from engine.kernels import pooling
from engine.kernels.memory import CHWN, HWNC, alike, images, ones, order_of
from engine.onnx_spec import Node, Refused, Situation, Spelled, weighted_sums


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
            _seen(dx, where, k)[...] += masked(g, winner == k)
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


# Averages over regions of any size: of rows, then of columns. Sums, not products with a matrix, whose zeros would make
# nan of an inf outside of the region.


def _adaptive(output_size: Any, image: tuple[int, ...]) -> Pair:
    if len(image) != 4:
        raise ShapeError(f"pooling takes images (N, C, H, W), not {image}")
    if 0 in image[1:]:
        raise ShapeError(f"adaptive pooling needs at least one channel and one pixel, not images {image}")
    sizes = list(output_size) if isinstance(output_size, Sequence) else [output_size] * 2
    if len(sizes) != 2:
        raise ValueError(f"output_size is a number or a pair (rows, columns), not {output_size!r}")
    h, w = (length if size is None else int(size) for size, length in zip(sizes, image[-2:], strict=True))
    return h, w


def _region_sums(x: Array, out: int, axis: int) -> Array:
    """x (N, C, H, W) summed over `out` regions of one axis, in the memory order of x."""
    if out == x.shape[axis]:
        return x
    before: tuple[Any, ...] = (slice(None),) * axis
    shape = list(x.shape)
    shape[axis] = out
    sums = np.empty_like(x, shape=shape)
    for p, inside in enumerate(_regions(x.shape[axis], out)):
        np.add.reduce(x[(*before, inside)], axis=axis, out=sums[(*before, p)])
    return sums


def _to_regions(g: Array, length: int, axis: int) -> Array:
    """Every region's number given to all its places along an axis of this length: the adjoint."""
    if g.shape[axis] == length:
        return g
    before: tuple[Any, ...] = (slice(None),) * axis
    shape = list(g.shape)
    shape[axis] = length
    given = np.zeros_like(g, shape=shape)
    for p, inside in enumerate(_regions(length, g.shape[axis])):
        given[(*before, inside)] += g[(*before, slice(p, p + 1))]
    return given


def _image_sums(x: Array) -> Array:
    """The sum of all pixels of every channel, (N, C, 1, 1), by BLAS where it can."""
    n, c, h, w = x.shape
    order = order_of(x) if x.dtype.char in "fd" else None
    one = ones(h * w, x.dtype)
    if order is None:
        return np.asarray(x.sum(axis=(2, 3), keepdims=True))
    if order == HWNC:
        return np.asarray(one.dot(x.transpose(HWNC).reshape(h * w, n * c))).reshape(n, c, 1, 1)
    if order == CHWN:
        return images(np.matmul(one, x.transpose(CHWN).reshape(c, h * w, n)).reshape(c, 1, 1, n), CHWN)
    return np.asarray(x.reshape(n * c, h * w).dot(one)).reshape(n, c, 1, 1)


def _region_taps(length: int, out: int) -> tuple[Array, Array]:
    """The places of every region and their shares of its average: (OUT, K) twice. In a region of fewer than K places
    the last one stands several times, with a smaller share."""
    regions = _regions(length, out)
    most = max(r.stop - r.start for r in regions)
    places = np.array([[min(r.start + k, r.stop - 1) for k in range(most)] for r in regions])
    same = places[:, :, None] == places[:, None, :]
    return places, 1.0 / (same.sum(axis=2) * np.array([[r.stop - r.start] for r in regions]))


def _spell_adaptive_avg_pool(s: Situation) -> Spelled:
    (x,) = s.shapes
    assert x is not None
    out = _adaptive(s.options.get("output_size", 1), x)
    if out == (1, 1):
        return Node("GlobalAveragePool")
    if 0 in out:
        return Refused(f"adaptive_avg_pool2d to {out} leaves no pixels to export.")
    h, w = x[-2:]
    if h % out[0] == 0 and w % out[1] == 0:
        size = [h // out[0], w // out[1]]
        return Node("AveragePool", attributes={"kernel_shape": size, "strides": size})
    dtype = s.dtypes[0]
    rows = weighted_sums(0, 2, 4, *_region_taps(h, out[0]), dtype, "rows")
    return [*rows, *weighted_sums("rows", 3, 4, *_region_taps(w, out[1]), dtype, "result")]


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
    oh, ow = _adaptive(output_size, x.shape)
    h, w = x.shape[2:]
    rows, columns = ([r.stop - r.start for r in _regions(*both)] for both in ((h, oh), (w, ow)))
    shares = (1.0 / np.multiply.outer(rows, columns)).astype(x.dtype)
    if (oh, ow) == (1, 1):
        y = _image_sums(x) * shares

        def spread(g: Array) -> tuple[Array]:
            dx = np.empty_like(x)  # in the memory order of x
            dx[...] = g * shares
            return (dx,)

        return y, spread
    y = _region_sums(_region_sums(x, oh, 2), ow, 3) * shares
    return y, lambda g: (_to_regions(_to_regions(alike(g, y) * shares, w, 3), h, 2),)


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
    flat = indices.reshape(n, c, indices.shape[2] * indices.shape[3])
    y = np.take_along_axis(x.reshape(n, c, h * w), flat, axis=2).reshape(indices.shape)

    def vjp(g: Array) -> tuple[Array]:
        dx = np.zeros((n * c, h * w), g.dtype)
        planes = n * c, flat.shape[2]
        np.add.at(dx, (np.arange(n * c)[:, None], flat.reshape(planes)), g.reshape(planes))
        return (dx.reshape(n, c, h, w),)

    return y, vjp


def adaptive_max_pool2d_indices(x: Array, *, output_size: Any = 1) -> Array:
    """Where in its (H, W) plane each maximum stands, counted row by row: int64 (N, C, OH, OW)."""
    oh, ow = _adaptive(output_size, x.shape)
    n, c, h, w = x.shape
    indices = np.empty((n, c, oh, ow), np.int64)
    for p, rows in enumerate(_regions(h, oh)):
        for q, columns in enumerate(_regions(w, ow)):
            region = x[:, :, rows, columns]
            place = region.reshape(n, c, region.shape[2] * region.shape[3]).argmax(axis=2)
            i, j = np.divmod(place, region.shape[3])
            indices[:, :, p, q] = (i + rows.start) * w + j + columns.start
    return indices
