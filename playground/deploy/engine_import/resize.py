"""Resize: along every axis, new numbers are weighted sums of old ones. One matrix an axis, every mode of ONNX."""

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
        p = np.arange(self.out, dtype=np.float64)
        last, exact = self.length - 1, self.scale * self.length
        if mode == "align_corners":
            return p * (last / (exact - 1)) if exact != 1 else np.zeros(self.out)
        if mode == "asymmetric":
            return p / self.scale
        if mode == "tf_crop_and_resize":
            start, end = self.roi
            inside = p * (end - start) * last / (exact - 1) if exact != 1 else (end - start) * last / 2 + 0 * p
            return inside + start * last
        if mode == "pytorch_half_pixel" and exact == 1:
            return np.full(self.out, -0.5)
        centre = self.length / 2 * (1 - self.out / exact) if mode == "half_pixel_symmetric" else 0.0
        if mode not in ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel"):
            raise refuse(f"it resizes with coordinates {mode!r}")
        return centre + (p + 0.5) / self.scale - 0.5


@operator("Resize", since=11)
def resize(x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None, *,
           antialias: int = 0, axes: Sequence[int] | None = None, coordinate_transformation_mode: str = "half_pixel",
           cubic_coeff_a: float = -0.75, exclude_outside: int = 0, extrapolation_value: float = 0.0,
           keep_aspect_ratio_policy: str = "stretch", mode: str = "nearest", nearest_mode: str = "round_prefer_floor",
           ) -> Tensor:
    named = [axis % x.ndim for axis in axes] if axes is not None else list(range(x.ndim))
    if mode != "nearest" and not is_float(x):
        raise refuse(f"it resizes {x.dtype} numbers with weights; it would have to cast them first")
    coordinates = coordinate_transformation_mode
    outside: list[tuple[int, Array]] = []
    for axis, plan in _plans(x.shape, named, roi, scales, sizes, keep_aspect_ratio_policy):
        if plan.out == plan.length and plan.scale == 1 and coordinates != "tf_crop_and_resize":
            continue
        places = plan.places(coordinates)
        if mode == "nearest":
            nearest = np.clip(_ROUNDED[nearest_mode](places), 0, plan.length - 1).astype(np.int64)
            x = x[(*(slice(None),) * axis, nearest)]
        else:
            shrunk = min(plan.scale, 1.0) if antialias else 1.0
            kernel, reach = (_triangle, 1) if mode == "linear" else (_cubic(cubic_coeff_a), 2)
            x = _along(x, axis, _matrix(places, plan.length, kernel, reach, shrunk, bool(exclude_outside)))
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


def _plans(shape: Sequence[int], axes: Sequence[int], roi: Tensor | None, scales: Tensor | None, sizes: Tensor | None,
           policy: str) -> list[tuple[int, _Axis]]:
    lengths = [shape[axis] for axis in axes]
    if scales is not None and scales.size:
        factors = [float(s) for s in scales.data]
        outs = [math.floor(n * s) for n, s in zip(lengths, factors, strict=True)]
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


def _matrix(places: Array, length: int, kernel: Callable[[Array], Array], reach: int, shrunk: float,
            exclude_outside: bool) -> Array:
    """(out, length): how much of each old number is in each new one.

    Antialiased, the kernel is widened to the spacing of the new numbers (`shrunk` < 1). Weights that fall outside
    count for the number at the edge, or for nothing with `exclude_outside`; what is left sums to 1.
    """
    taps = math.ceil(reach / shrunk)
    indices = np.floor(places)[:, None] + np.arange(-taps, taps + 2)  # (out, taps)
    weights = kernel((indices - places[:, None]) * shrunk)
    if exclude_outside:
        weights = np.where((indices >= 0) & (indices < length), weights, 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    matrix = np.zeros((len(places), length))
    np.add.at(matrix, (np.arange(len(places))[:, None], np.clip(indices, 0, length - 1).astype(int)), weights)
    return matrix


def _along(x: Tensor, axis: int, matrix: Array) -> Tensor:
    """The matrix applied along one axis."""
    weights = Tensor(np.ascontiguousarray(matrix.T, x.dtype))
    if axis == x.ndim - 1:
        return x @ weights
    order = [k for k in range(x.ndim) if k != axis] + [axis]
    return (x.permute(*order) @ weights).permute(*np.argsort(order).tolist())
