"""Resize: along every axis, new numbers are weighted sums of a few old ones. Every mode of ONNX.

Where a new number stands among the old ones is computed in float32, as onnxruntime does it: on which side of a whole
number it falls decides what `nearest` takes, and how many there are.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import Array, is_float, operator, refuse, whole


@dataclass(frozen=True)
class _Axis:
    """One axis: `length` numbers become `out`, `scale` times as many (not always out / length: outs are rounded)."""

    length: int
    out: int
    scale: float
    roi: tuple[float, float] = (0.0, 1.0)

    def places(self, mode: str) -> Array:
        """Where in the old numbers each new one stands, (out,)."""
        p = np.arange(self.out, dtype=np.float32)
        last, scale = np.float32(self.length - 1), np.float32(self.scale)
        exact = scale * np.float32(self.length)
        if mode == "align_corners":
            return p * last / (exact - 1) if exact != 1 else np.zeros(self.out, np.float32)
        if mode == "asymmetric":
            return p / scale
        if mode == "tf_crop_and_resize":
            start, end = (np.float32(edge) for edge in self.roi)
            inside = p * (end - start) * last / (exact - 1) if exact != 1 else (end - start) * last / 2 + 0 * p
            return inside + start * last
        if mode == "pytorch_half_pixel" and self.out == 1:
            return np.zeros(1, np.float32)
        symmetric = mode == "half_pixel_symmetric"
        centre = np.float32(self.length / 2) * (1 - np.float32(self.out) / exact) if symmetric else np.float32(0)
        if mode not in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"):
            raise refuse(f"it resizes with coordinates {mode!r}")
        return np.asarray(centre + (p + np.float32(0.5)) / scale - np.float32(0.5))


@operator("Resize", since=11)
def resize(x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None, *,
           antialias: int = 0, axes: Sequence[int] | None = None, coordinate_transformation_mode: str = "half_pixel",
           cubic_coeff_a: float = -0.75, exclude_outside: int = 0, extrapolation_value: float = 0.0,
           keep_aspect_ratio_policy: str = "stretch", mode: str = "nearest", nearest_mode: str = "round_prefer_floor",
           ) -> Tensor:
    """Whole numbers, as quantised files have them, are resized as real ones and cut off behind the point, as
    onnxruntime does."""
    named = [axis % x.ndim for axis in axes] if axes is not None else list(range(x.ndim))
    if mode == "linear" and not antialias and x.dtype.name in ("int8", "uint8"):
        real = resize(Tensor(x.data.astype(np.float32)), roi, scales, sizes, axes=axes, exclude_outside=exclude_outside,
                      coordinate_transformation_mode=coordinate_transformation_mode, mode=mode,
                      extrapolation_value=extrapolation_value, keep_aspect_ratio_policy=keep_aspect_ratio_policy)
        return Tensor(np.trunc(real.data).astype(x.dtype))
    if mode != "nearest" and not is_float(x):
        raise refuse(f"it resizes {x.dtype} numbers with weights; it would have to cast them first")
    coordinates = coordinate_transformation_mode
    outside: list[tuple[int, Array]] = []
    plans = _plans(x.shape, named, roi, scales, sizes, keep_aspect_ratio_policy)
    if coordinates != "tf_crop_and_resize":
        if all(plan.out == plan.length for _, plan in plans):  # as it is, whatever the scale, as onnxruntime has it
            return x
        plans = [(axis, plan) for axis, plan in plans if plan.out != plan.length or plan.scale != 1]
    for axis, plan in plans:
        places = plan.places(coordinates).astype(np.float64)
        if mode == "nearest":
            nearest = np.clip(_ROUNDED[nearest_mode](places), 0, plan.length - 1).astype(np.int64)
            x = x[(*(slice(None),) * axis, nearest)]
        else:
            shrunk = min(plan.scale, 1.0) if antialias else 1.0
            kernel, reach = (_triangle, 1) if mode == "linear" else (_cubic(cubic_coeff_a), 2)
            taps = _taps(places, plan.length, kernel, reach, shrunk, bool(exclude_outside))
            x = _along(x, axis, *taps)
        if coordinates == "tf_crop_and_resize":
            outside.append((axis, (places < 0) | (places > plan.length - 1)))
    inside = np.ones(x.shape, bool)
    for axis, out in outside:
        inside &= ~out.reshape(-1, *(1,) * (x.ndim - 1 - axis))
    if inside.all():
        return x
    return F.where(Tensor(inside), x, Tensor(np.full(x.shape, extrapolation_value, x.dtype)))


@operator("Resize", since=10)
def resize_10(x: Tensor, scales: Tensor, *, mode: str = "nearest") -> Tensor:
    return resize(x, None, scales, mode=mode, coordinate_transformation_mode="asymmetric", nearest_mode="floor")


@operator("Upsample", since=9)
def upsample(x: Tensor, scales: Tensor, *, mode: str = "nearest") -> Tensor:
    return resize_10(x, scales, mode=mode)


@operator("Upsample", since=7)
def upsample_7(x: Tensor, *, scales: Sequence[float], mode: str = "nearest") -> Tensor:
    return resize_10(x, Tensor(np.array(scales, np.float32)), mode=mode)


def _plans(shape: Sequence[int], axes: Sequence[int], roi: Tensor | None, scales: Tensor | None, sizes: Tensor | None,
           policy: str) -> list[tuple[int, _Axis]]:
    lengths = [shape[axis] for axis in axes]
    if scales is not None and scales.size:
        factors = [float(s) for s in scales.data]
        outs = [math.floor(np.float32(n) * np.float32(s)) for n, s in zip(lengths, factors, strict=True)]
    else:
        outs = whole(sizes)
        factors = [out / n for n, out in zip(lengths, outs, strict=True)]
        if policy != "stretch":
            factor = min(factors) if policy == "not_larger" else max(factors)
            factors = [factor] * len(axes)
            outs = [math.floor(n * factor + 0.5) for n in lengths]
    rois = [(0.0, 1.0)] * len(axes)
    if roi is not None and roi.size:
        numbers = [float(r) for r in roi.data]
        rois = list(zip(numbers[: len(axes)], numbers[len(axes):], strict=True))
    return [(axis, _Axis(length, out, factor, region)) for axis, length, out, factor, region in
            zip(axes, lengths, outs, factors, rois, strict=True)]


_ROUNDED: dict[str, Callable[[Array], Array]] = {
    "round_prefer_floor": lambda places: np.ceil(places - 0.5),
    "round_prefer_ceil": lambda places: np.floor(places + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def _triangle(d: Array) -> Array:
    return np.maximum(0.0, 1.0 - np.abs(d))


def _cubic(a: float) -> Callable[[Array], Array]:
    def kernel(d: Array) -> Array:
        d = np.abs(d)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))

    return kernel


def _taps(places: Array, length: int, kernel: Callable[[Array], Array], reach: int, shrunk: float,
          exclude_outside: bool) -> tuple[Array, Array]:
    """Which old numbers each new one is a sum of, and the weight of each: (out, taps) twice.

    Antialiased, the kernel is widened to the spacing of the new numbers (`shrunk` < 1). Weights that fall outside
    count for the number at the edge, or for nothing with `exclude_outside`; what is left sums to 1.
    """
    many = math.ceil(reach / shrunk)
    indices = np.floor(places)[:, None] + np.arange(1 - many, many + 1)
    weights = kernel((indices - places[:, None]) * shrunk)
    if exclude_outside:
        weights = np.where((indices >= 0) & (indices < length), weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    if exclude_outside or shrunk < 1:
        # What weighs nothing may stand far away, where an inf would make nan of it: take the heaviest several times.
        heaviest = weights.argmax(axis=1)[:, None]
        light = weights == 0
        share = np.take_along_axis(weights, heaviest, 1) / (1 + light.sum(axis=1, keepdims=True))
        np.put_along_axis(light, heaviest, True, 1)
        indices = np.where(light, np.take_along_axis(indices, heaviest, 1), indices)
        weights = np.where(light, share, weights)
    return np.clip(indices, 0, length - 1).astype(np.int64), weights


def _along(x: Tensor, axis: int, indices: Array, weights: Array) -> Tensor:
    """The weighted sums along one axis."""
    before, after = (slice(None),) * axis, (1,) * (x.ndim - 1 - axis)
    parts = [x[(*before, indices[:, k])] * Tensor(weights[:, k].reshape(-1, *after).astype(x.dtype))
             for k in range(indices.shape[1]) if weights[:, k].any()]
    return sum(parts[1:], start=parts[0])
