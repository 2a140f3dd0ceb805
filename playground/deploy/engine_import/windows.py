"""Convolutions and pooling. Signals (N, C, L) are images one row high; volumes are pooled plane by plane."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine import Tensor
from engine import functional as F
from engine.ops.pool import max_pool2d_indices
from playground.deploy.engine_import.operators import Array, operator, refuse

Side = tuple[int, int]


@dataclass(frozen=True)
class Windows:
    """Where the windows stand along each axis of the pixels, ONNX's defaults and auto_pad worked out."""

    size: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[Side, ...]

    def along(self, *axes: int) -> "Windows":
        """The same along some of the axes; along an axis -1 nothing happens."""
        def chosen(values: tuple[int, ...]) -> tuple[int, ...]:
            return tuple(1 if axis < 0 else values[axis] for axis in axes)

        pads = tuple((0, 0) if axis < 0 else self.pads[axis] for axis in axes)
        return Windows(chosen(self.size), chosen(self.strides), chosen(self.dilations), pads)


def _windows(shape: Sequence[int], size: Sequence[int], auto_pad: str, pads: Sequence[int] | None,
             strides: Sequence[int] | None, dilations: Sequence[int] | None) -> Windows:
    axes = len(size)
    steps = tuple(strides or (1,) * axes)
    gaps = tuple(dilations or (1,) * axes)
    given = list(pads or (0,) * (2 * axes))
    sides = tuple(zip(given[:axes], given[axes:], strict=True))
    if auto_pad == "VALID":
        sides = ((0, 0),) * axes
    elif auto_pad.startswith("SAME"):
        spans = [(k - 1) * d + 1 for k, d in zip(size, gaps, strict=True)]
        sides = tuple(_split(max(0, (-(-n // s) - 1) * s + span - n), auto_pad)
                      for n, s, span in zip(shape[2:], steps, spans, strict=True))
    return Windows(tuple(size), steps, gaps, sides)


def _split(total: int, auto_pad: str) -> Side:
    """The padding of one axis in two; the odd pixel goes to the end, with SAME_LOWER to the beginning."""
    less = total // 2
    return (total - less, less) if auto_pad == "SAME_LOWER" else (less, total - less)


def _flat(x: Tensor) -> Tensor:
    """(N, C, L) as images (N, C, 1, L)."""
    return x.reshape((*x.shape[:2], 1, x.shape[2]))


# --- convolution ---


@operator("Conv")
def conv(x: Tensor, w: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
         dilations: Sequence[int] | None = None, group: int = 1, kernel_shape: Sequence[int] | None = None,
         pads: Sequence[int] | None = None, strides: Sequence[int] | None = None) -> Tensor:
    where = _windows(x.shape, kernel_shape or w.shape[2:], auto_pad, pads, strides, dilations)
    if x.ndim == 3:
        where = where.along(-1, 0)
        y = F.conv2d(_flat(x), _flat(w), b, where.strides, where.pads, where.dilations, group)
        return y.reshape((*y.shape[:2], y.shape[3]))
    if x.ndim != 4:
        raise refuse("it convolves volumes; the engine knows images and signals")
    return F.conv2d(x, w, b, where.strides, where.pads, where.dilations, group)


@operator("ConvTranspose")
def conv_transpose(x: Tensor, w: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
                   dilations: Sequence[int] | None = None, group: int = 1, kernel_shape: Sequence[int] | None = None,
                   output_padding: Sequence[int] | None = None, output_shape: Sequence[int] | None = None,
                   pads: Sequence[int] | None = None, strides: Sequence[int] | None = None) -> Tensor:
    """Painted in full first, then cut or extended: output_shape may ask for more than was painted."""
    axes = x.ndim - 2
    if axes == 1:
        y = conv_transpose(
            _flat(x), _flat(w), b, auto_pad=auto_pad, dilations=[1, *(dilations or (1,))], group=group,
            kernel_shape=[1, *(kernel_shape or w.shape[2:])], output_padding=[0, *(output_padding or (0,))],
            output_shape=[1, *output_shape[-1:]] if output_shape else None,
            pads=[0, pads[0], 0, pads[1]] if pads else None, strides=[1, *(strides or (1,))])
        return y.reshape((*y.shape[:2], y.shape[3]))
    if axes != 2:
        raise refuse("it convolves volumes; the engine knows images and signals")
    where = _windows(x.shape, kernel_shape or w.shape[2:], "NOTSET", pads, strides, dilations)
    more = tuple(output_padding or (0,) * axes)
    y = F.conv_transpose2d(x, w, None, where.strides, 0, 0, group, where.dilations)
    sides = list(where.pads)
    if auto_pad == "VALID":
        sides = [(0, 0)] * axes
    elif output_shape or auto_pad.startswith("SAME"):
        wanted = [n * s for n, s in zip(x.shape[2:], where.strides, strict=True)]
        if output_shape:
            wanted = list(output_shape)[-axes:]
        sides = [_split(full + extra - out, "SAME_UPPER" if auto_pad == "SAME_UPPER" else "SAME_LOWER")
                 for full, extra, out in zip(y.shape[2:], more, wanted, strict=True)]
    after = [end - extra for (_, end), extra in zip(sides, more, strict=True)]  # rows to take away, or to add
    cut = [slice(max(start, 0), n - max(end, 0))
           for n, (start, _), end in zip(y.shape[2:], sides, after, strict=True)]
    y = y[(slice(None), slice(None), *cut)]
    added = [(max(-start, 0), max(-end, 0)) for (start, _), end in zip(sides, after, strict=True)]
    if any(map(any, added)):
        y = F.pad(y, [n for side in reversed(added) for n in side])
    return y if b is None else y + b.reshape((-1, 1, 1))


# --- pooling ---


def _pooled(x: Tensor, where: Windows, pool: Callable[[Tensor, Windows], Tensor]) -> Tensor:
    """A pool of images, for signals, images and volumes: maxima and averages of boxes are those of rows of planes."""
    n, c, *lengths = x.shape
    if len(lengths) == 1:
        y = pool(_flat(x), where.along(-1, 0))
        return y.reshape((n, c, y.shape[3]))
    if len(lengths) == 2:
        return pool(x, where)
    if len(lengths) != 3:
        raise refuse(f"it pools along {len(lengths)} axes")
    planes = pool(x.reshape((n, c * lengths[0], *lengths[1:])), where.along(1, 2))
    oh, ow = planes.shape[2:]
    columns = pool(planes.reshape((n, c, lengths[0], oh * ow)), where.along(0, -1))
    return columns.reshape((n, c, columns.shape[2], oh, ow))


@operator("MaxPool")
def max_pool(x: Tensor, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
             dilations: Sequence[int] | None = None, pads: Sequence[int] | None = None, storage_order: int = 0,
             strides: Sequence[int] | None = None, outputs: int = 1) -> Tensor | tuple[Tensor, Tensor]:
    where = _windows(x.shape, kernel_shape, auto_pad, pads, strides, dilations)
    y = _pooled(x, where, lambda image, w: F.max_pool2d(
        image, w.size, w.strides, w.pads, w.dilations, bool(ceil_mode)))
    if outputs == 1:
        return y
    if x.ndim != 4:
        raise refuse("it asks where the maxima of something else than images are")
    n, c, h, w = x.shape
    places = max_pool2d_indices(x.data, kernel_size=where.size, stride=where.strides, padding=where.pads,
                                dilation=where.dilations, ceil_mode=bool(ceil_mode))
    if storage_order:  # counted column by column
        places = places % w * h + places // w
    return y, Tensor(places + (np.arange(n * c) * (h * w)).reshape(n, c, 1, 1))


@operator("AveragePool")
def average_pool(x: Tensor, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET", ceil_mode: int = 0,
                 count_include_pad: int = 0, dilations: Sequence[int] | None = None,
                 pads: Sequence[int] | None = None, strides: Sequence[int] | None = None) -> Tensor:
    where = _windows(x.shape, kernel_shape, auto_pad, pads, strides, dilations)

    def pool(image: Tensor, w: Windows) -> Tensor:
        if max(w.dilations) > 1:
            return _dilated_average(image, w, bool(ceil_mode), bool(count_include_pad))
        return F.avg_pool2d(image, w.size, w.strides, w.pads, bool(ceil_mode), bool(count_include_pad))

    return _pooled(x, where, pool)


def _dilated_average(x: Tensor, where: Windows, ceil_mode: bool, include_pad: bool) -> Tensor:
    """torch has no averages with gaps: a convolution with ones, divided by how many pixels each window saw."""
    counts, pads = [], []
    for n, k, s, d, (before, after) in zip(x.shape[2:], where.size, where.strides, where.dilations, where.pads,
                                           strict=True):
        room = n + before + after - d * (k - 1) - 1
        out = (-(-room // s) if ceil_mode else room // s) + 1
        if ceil_mode and (out - 1) * s >= n + before:
            out -= 1
        seen = np.arange(out)[:, None] * s + np.arange(k) * d - before  # (out, k): the pixels of each window
        inside = (seen < n + after) if include_pad else (seen >= 0) & (seen < n)
        counts.append(inside.sum(axis=1))
        pads.append((before, max(after, int(seen.max()) + 1 - n)))
    planes = x.reshape((math.prod(x.shape[:2]), 1, *x.shape[2:]))
    sums = F.conv2d(planes, Tensor(np.ones((1, 1, *where.size), x.dtype)), None, where.strides, pads, where.dilations)
    shares: Array = 1.0 / np.multiply.outer(*counts)
    sums = sums[:, :, : shares.shape[0], : shares.shape[1]]
    return (sums * Tensor(shares.astype(x.dtype))).reshape((*x.shape[:2], *shares.shape))


@operator("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Tensor:
    return F.adaptive_avg_pool2d(x, 1) if x.ndim == 4 else x.mean(axis=tuple(range(2, x.ndim)), keepdims=True)


@operator("GlobalMaxPool")
def global_max_pool(x: Tensor) -> Tensor:
    return F.adaptive_max_pool2d(x, 1) if x.ndim == 4 else x.max(axis=tuple(range(2, x.ndim)), keepdims=True)
