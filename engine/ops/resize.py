"""Resizing images: every new pixel is a weighted sum of a few old ones, rows and columns one after the other."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.arrays import put, take
from engine.core import Array, ShapeError, Vjp, op
from engine.onnx_spec import Node, Situation, Spelled, weighted_sums

MODES = ("nearest", "nearest-exact", "bilinear", "bicubic")


@dataclass(frozen=True)
class _Axis:
    """One axis resized: new pixel p is the sum over taps t of weights[t][p] * old[indices[t][p]]."""

    length: int
    indices: tuple[Array, ...]
    weights: tuple[Array, ...]
    even: bool  # whether new pixels stand length / out old ones apart: what Resize does, asked for a size


def _axis(length: int, out: int, factor: float | None, mode: str, align_corners: bool) -> _Axis:
    p = np.arange(out)
    ratio = length / out if factor is None else 1.0 / factor  # old pixels a new one
    even = align_corners or ratio * out == length
    if mode.startswith("nearest"):
        # in float32, as torch does it: which side of a whole number p * ratio falls on is part of the answer
        offset = np.float32(0.5 if mode == "nearest-exact" else 0.0)
        at = np.floor((p.astype(np.float32) + offset) * np.float32(ratio)).astype(int)
        if mode == "nearest" and out in (length, 2 * length):  # whatever the factor: torch's short cuts
            at = p * length // out
        even = out % length == 0 and np.array_equal(at, p * length // out)  # elsewhere runtimes round as they like
        return _Axis(length, (np.minimum(at, length - 1),), (np.ones(out),), even)
    if align_corners:
        where = p * ((length - 1) / (out - 1) if out > 1 else 0.0)
    else:
        where = (p + 0.5) * ratio - 0.5
    if mode == "bilinear":
        if out == length:  # as it is, whatever the factor, as in torch
            return _Axis(length, (p, p), (np.ones(out), np.zeros(out)), True)
        where = np.clip(where, 0, length - 1)
        first = np.floor(where).astype(int)
        t = where - first
        return _Axis(length, (first, np.minimum(first + 1, length - 1)), (1 - t, t), even)
    first = np.floor(where).astype(int)
    t = where - first
    indices = tuple(np.clip(first + k, 0, length - 1) for k in (-1, 0, 1, 2))
    return _Axis(length, indices, tuple(_cubic(np.abs(t - k)) for k in (-1, 0, 1, 2)), even)


def _cubic(d: Array) -> Array:
    """Keys' kernel with a = -0.75 at distance d."""
    a = -0.75
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _plan(
    x: tuple[int, ...], size: Any, scale_factor: Any, mode: str, align_corners: bool | None,
    recompute_scale_factor: bool | None,
) -> tuple[_Axis, _Axis]:
    if len(x) != 4:
        raise ShapeError(f"interpolate takes images (N, C, H, W), not {x}")
    if 0 in x[1:]:
        raise ShapeError(f"interpolate needs at least one channel and one pixel, not images {x}")
    if mode not in MODES:
        raise ValueError(f"interpolate's mode is one of {', '.join(MODES)}, not {mode!r}")
    if align_corners is not None and mode.startswith("nearest"):
        raise ValueError(f"align_corners means something for bilinear and bicubic only, not for {mode}")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate takes either size or scale_factor")
    factors: list[float | None] = [None, None]
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor needs a scale_factor, not a size")
        sizes = [int(n) for n in _both(size)]
    else:
        factors = [float(f) for f in _both(scale_factor)]
        sizes = [math.floor(n * f) for n, f in zip(x[2:], factors, strict=True)]  # type: ignore[operator]
        if recompute_scale_factor:
            factors = [None, None]
    if min(sizes) < 1:
        raise ShapeError(f"an image of {x[2:]} cannot become {tuple(sizes)}")
    rows, columns = (
        _axis(length, out, factor, mode, bool(align_corners))
        for length, out, factor in zip(x[2:], sizes, factors, strict=True)
    )
    return rows, columns


def _both(value: Any) -> Sequence[Any]:
    values = list(value) if hasattr(value, "__len__") else [value, value]
    if len(values) != 2:
        raise ValueError(f"size and scale_factor are a number or a pair (rows, columns), not {value!r}")
    return values


def _spell_interpolate(s: Situation) -> Spelled:
    (x,) = s.shapes
    assert x is not None
    o = s.options
    mode = o.get("mode", "nearest")
    rows, columns = _plan(x, *(o[name] for name in ("size", "scale_factor", "mode", "align_corners",
                                                     "recompute_scale_factor")))
    if not (rows.even and columns.even):  # given a scale, runtimes differ in how they round it, and what it makes
        down, across = ((np.stack(a.indices, 1), np.stack(a.weights, 1)) for a in (rows, columns))
        return [*weighted_sums(0, 2, 4, *down, s.dtypes[0], "rows"),
                *weighted_sums("rows", 3, 4, *across, s.dtypes[0], "result")]
    where = "asymmetric" if mode == "nearest" else "align_corners" if o.get("align_corners") else "half_pixel"
    attributes: dict[str, Any] = {"axes": [2, 3], "coordinate_transformation_mode": where}
    attributes["mode"] = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, "nearest")
    if mode == "bicubic":
        attributes["cubic_coeff_a"] = -0.75
    if mode.startswith("nearest"):
        attributes["nearest_mode"] = "floor" if mode == "nearest" else "round_prefer_ceil"
    return Node("Resize", inputs=(0, None, None, np.array(s.output_shape[2:], np.int64)), attributes=attributes)


@op(onnx=_spell_interpolate)
def interpolate(
    x: Array, *, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
) -> tuple[Array, Vjp]:
    """Images stretched or shrunk to another size.

    x (N, C, H, W) -> (N, C, OH, OW), with size (OH, OW), or scale_factor giving floor(H * factor)

        nearest        y[p] = x[floor(p * ratio)]                        ratio = H / OH
        bilinear       between the two pixels around (p + 0.5) * ratio - 0.5
        bicubic        the four around it, Keys' kernel with a = -0.75

    A given scale_factor is the ratio, even where rounding gave another size, unless recompute_scale_factor is True.
    With align_corners the corner pixels stay where they are: p * (H - 1) / (OH - 1). Shrinking is not antialiased.
    Source: torch.nn.functional.interpolate, ONNX Resize.

    >>> y, vjp = interpolate.rule(np.array([[[[0.0, 4.0]]]]), size=(1, 4), mode="bilinear")
    >>> y[0, 0]
    array([[0., 1., 3., 4.]])
    >>> vjp(np.ones_like(y))[0][0, 0]
    array([[2., 2.]])
    """
    rows, columns = _plan(x.shape, size, scale_factor, mode, align_corners, recompute_scale_factor)
    y = _resized(_resized(x, rows, 2), columns, 3)
    if mode == "bicubic" and y.shape == x.shape and rows.even and columns.even:  # not 0 times an inf beside it
        return y, lambda g: (np.array(g),)
    return y, lambda g: (_unresized(_unresized(g, columns, 3), rows, 2),)


def _resized(x: Array, axis: _Axis, at: int) -> Array:
    parts = [take(x, i, at) * _facing(w, at, x) for i, w in zip(axis.indices, axis.weights, strict=True)]
    return sum(parts[1:], start=parts[0])


def _unresized(g: Array, axis: _Axis, at: int) -> Array:
    parts = [put(g * _facing(w, at, g), i, at, axis.length) for i, w in zip(axis.indices, axis.weights, strict=True)]
    return sum(parts[1:], start=parts[0])


def _facing(weights: Array, at: int, x: Array) -> Array:
    return weights.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - at))
