"""Shapes, slices, padding."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import Array, is_float, operator, refuse, whole

# --- values from nothing, or from a shape ---


@operator("Constant")
def constant(*, value: Array | None = None, value_float: float | None = None, value_floats: Any = None,
             value_int: int | None = None, value_ints: Any = None) -> Tensor:
    if value is not None:
        return Tensor(value)
    for given, dtype in ((value_float, np.float32), (value_floats, np.float32), (value_int, np.int64),
                         (value_ints, np.int64)):
        if given is not None:
            return Tensor(np.asarray(given, dtype))
    raise refuse("it holds a constant of a kind the engine does not know")


@operator("ConstantOfShape", since=9)
def constant_of_shape(shape: Tensor, *, value: Array | None = None) -> Tensor:
    fill = np.zeros(1, np.float32) if value is None else value
    return Tensor(np.full(whole(shape), fill.reshape(-1)[0], fill.dtype))


@operator("Shape")
def shape_of(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    return Tensor(np.array(x.shape[start:end], np.int64))


@operator("Size")
def size_of(x: Tensor) -> Tensor:
    return Tensor(np.array(x.size, np.int64))


@operator("OneHot", since=9)
def one_hot(indices: Tensor, depth: Tensor, values: Tensor, *, axis: int = -1) -> Tensor:
    """Indices from -depth to depth - 1; others light up nothing."""
    count = int(depth.data.reshape(-1)[0])
    places = np.where(indices.data < 0, indices.data + count, indices.data).astype(np.int64)
    on = np.arange(count) == places[..., None]
    return Tensor(np.moveaxis(np.where(on, values.data[1], values.data[0]), -1, axis))


@operator("Range", since=11)
def range_(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
    return Tensor(np.arange(start.data.item(), limit.data.item(), delta.data.item(), dtype=start.dtype))


# --- another shape for the same numbers ---


@operator("Reshape", since=5)
def reshape(x: Tensor, shape: Tensor, *, allowzero: int = 0) -> Tensor:
    wanted = whole(shape)
    if not allowzero:  # 0 means: as it was
        wanted = [x.shape[k] if n == 0 else n for k, n in enumerate(wanted)]
    return x.reshape(tuple(wanted))


@operator("Reshape")
def reshape_1(x: Tensor, *, shape: Sequence[int]) -> Tensor:
    return reshape(x, Tensor(np.array(shape)))


@operator("Flatten")
def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    first = axis + x.ndim if axis < 0 else axis
    return x.reshape((math.prod(x.shape[:first]), math.prod(x.shape[first:])))


@operator("Transpose")
def transpose(x: Tensor, *, perm: Sequence[int] | None = None) -> Tensor:
    return x.permute(*(perm or range(x.ndim)[::-1])) if x.ndim else x


@operator("Squeeze", since=13)
def squeeze(x: Tensor, axes: Tensor | None = None) -> Tensor:
    gone = {axis % x.ndim for axis in whole(axes)} or {k for k, n in enumerate(x.shape) if n == 1}
    if any(x.shape[axis] != 1 for axis in gone):
        raise refuse(f"it squeezes axes {sorted(gone)} of the shape {x.shape}")
    return x.reshape(tuple(n for k, n in enumerate(x.shape) if k not in gone))


@operator("Squeeze")
def squeeze_1(x: Tensor, *, axes: Sequence[int] | None = None) -> Tensor:
    return squeeze(x, None if axes is None else Tensor(np.array(axes)))


@operator("Unsqueeze", since=13)
def unsqueeze(x: Tensor, axes: Tensor) -> Tensor:
    ndim = x.ndim + axes.size
    new = {axis % ndim for axis in whole(axes)}
    rest = iter(x.shape)
    return x.reshape(tuple(1 if k in new else next(rest) for k in range(ndim)))


@operator("Unsqueeze")
def unsqueeze_1(x: Tensor, *, axes: Sequence[int]) -> Tensor:
    return unsqueeze(x, Tensor(np.array(axes)))


@operator("Expand", since=8)
def expand(x: Tensor, shape: Tensor) -> Tensor:
    full = np.broadcast_shapes(x.shape, tuple(whole(shape)))
    if not is_float(x):
        return Tensor(np.broadcast_to(x.data, full))
    return x + Tensor(np.zeros(full, x.dtype))


@operator("Tile", since=6)
def tile(x: Tensor, repeats: Tensor) -> Tensor:
    for axis, times in enumerate(whole(repeats)):
        if times != 1:
            x = x[(*_all(axis), np.tile(np.arange(x.shape[axis]), times))]
    return x


@operator("DepthToSpace")
def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """(N, C*b*b, H, W) -> (N, C, H*b, W*b). In which order the channels hold the block's rows, its columns and C tells
    `mode`: depth first DCR, or C first CRD, as torch.nn.PixelShuffle."""
    n, c, h, w = x.shape
    b = blocksize
    if mode == "CRD":
        return x.reshape((n, c // b**2, b, b, h, w)).permute(0, 1, 4, 2, 5, 3).reshape((n, c // b**2, h * b, w * b))
    return x.reshape((n, b, b, c // b**2, h, w)).permute(0, 3, 4, 1, 5, 2).reshape((n, c // b**2, h * b, w * b))


@operator("SpaceToDepth")
def space_to_depth(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    """(N, C, H*b, W*b) -> (N, C*b*b, H, W), the way back of DepthToSpace."""
    n, c, h, w = x.shape
    b = blocksize
    order = (0, 1, 3, 5, 2, 4) if mode == "CRD" else (0, 3, 5, 1, 2, 4)
    return x.reshape((n, c, h // b, b, w // b, b)).permute(*order).reshape((n, c * b**2, h // b, w // b))


# --- taking parts, putting together ---


@operator("Gather")
def gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    return x[(*_all(axis % x.ndim), indices.data)]


@operator("Slice", since=10)
def slice_(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
    first, last = whole(starts), whole(ends)
    index = [slice(None)] * x.ndim
    for axis, a, b, step in zip(whole(axes) or range(len(first)), first, last, whole(steps) or [1] * len(first),
                                strict=True):
        index[axis] = slice(a, b, step)  # ONNX clamps and counts from the back exactly as Python does
    return x[tuple(index)]


@operator("Slice")
def slice_1(x: Tensor, *, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int] | None = None) -> Tensor:
    return slice_(x, *(Tensor(np.array(values)) for values in (starts, ends, axes) if values is not None))


@operator("Concat", since=4)
def concat(*inputs: Tensor, axis: int) -> Tensor:
    return F.concat(inputs, axis) if len(inputs) > 1 else inputs[0]


@operator("Concat")
def concat_1(*inputs: Tensor, axis: int = 1) -> Tensor:
    return concat(*inputs, axis=axis)


@operator("Split", since=13)
def split_13(x: Tensor, sizes: Tensor | None = None, *, axis: int = 0, num_outputs: int | None = None,
          outputs: int = 1) -> tuple[Tensor, ...]:
    length = x.shape[axis]
    lengths = whole(sizes)
    if not lengths:  # equal parts, the last one smaller
        part = -(-length // (num_outputs or outputs))
        lengths = [min(part, length - k) for k in range(0, length, part)]
    edges = np.cumsum([0, *lengths])
    return tuple(x[(*_all(axis % x.ndim), slice(int(a), int(b)))] for a, b in pairwise(edges))


@operator("Split", since=2)
def split_2(x: Tensor, *, axis: int = 0, split: Sequence[int] | None = None, outputs: int = 1) -> tuple[Tensor, ...]:
    return split_13(x, None if split is None else Tensor(np.array(split)), axis=axis, outputs=outputs)


def _all(axes: int) -> tuple[slice, ...]:
    return (slice(None),) * axes


# --- padding ---


@operator("Pad", since=11)
def pad(x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None, *, mode: str = "constant",
        ) -> Tensor:
    """Negative pads cut off. The other modes repeat pixels, so they are an index along each axis."""
    numbers, named = whole(pads), whole(axes)
    places = [axis % x.ndim for axis in named] if axes is not None else list(range(x.ndim))
    sides = [(0, 0)] * x.ndim
    for axis, before, after in zip(places, numbers[: len(places)], numbers[len(places):], strict=True):
        sides[axis] = (before, after)
    cut = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, sides, strict=True))
    if min(min(side) for side in sides) < 0:
        x = x[cut]
    sides = [(max(a, 0), max(b, 0)) for a, b in sides]
    if mode == "constant":
        fill = 0 if value is None else value.data.item()
        return F.pad(x, [n for side in reversed(sides) for n in side], value=fill) if is_float(x) else Tensor(
            np.pad(x.data, sides, constant_values=fill))
    for axis, side in enumerate(sides):
        if any(side):
            x = x[(*_all(axis), np.pad(np.arange(x.shape[axis]), side, mode=mode))]  # type: ignore[call-overload]
    return x


@operator("Pad", since=2)
def pad_2(x: Tensor, *, pads: Sequence[int], value: float = 0.0, mode: str = "constant") -> Tensor:
    return pad(x, Tensor(np.array(pads)), Tensor(np.array(value)), mode=mode)
