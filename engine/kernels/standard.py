"""Batch norm in few passes over memory: statistics by BLAS sums, then one multiply and one add a value.

    y = x * scale + shift            scale = w / sqrt(var + eps), shift = b - mean * scale
    dx = g * scale + x * a + c       a, c chosen so that the statistics' own gradients are in

The variance is E[x^2] - mean^2 in one reading of x. Where the mean is large beside the spread that difference would
lose its digits, so then x is taken relative to its mean first (`offset`), at the price of one more pass.
"""

import numpy as np

from engine.core import Array, Vjp
from engine.kernels.memory import alike, workspace
from engine.kernels.sums import Lanes
from engine.kernels.threads import Part, parts, together

FAR = 16.0  # mean^2 / var from where on x is taken relative to its mean


def fits(x: Array) -> Lanes | None:
    """The rule: float32 without gaps in one of the known memory orders."""
    return Lanes.of(x) if x.dtype == np.float32 else None


def moments(x: Array, lanes: Lanes) -> tuple[Array, Array]:
    """The mean and the biased variance of every channel, float64 (C,)."""
    m, count = lanes.matrix(x), x.size // x.shape[1]
    mean, square = (s / count for s in _sums(lanes, m, None))
    var = square - mean * mean
    if np.any(mean * mean > FAR * var):
        var = _sums(lanes, m, mean)[1] / count
    return mean, np.maximum(var, 0.0)


def _sums(lanes: Lanes, m: Array, offset: Array | None) -> tuple[Array, Array]:
    """The sums of m and of (m - offset)^2 a channel."""
    minus = None if offset is None else lanes.spread(offset.astype(m.dtype))

    def some(part: Part) -> tuple[Array, Array]:
        total, squares = np.zeros(lanes.channels), np.zeros(lanes.channels)
        for rows in lanes.chunks(part):
            d = m[rows]
            if minus is not None:
                d = np.subtract(d, _rows(minus, rows), out=workspace("standard", d.shape, m.dtype))
            lanes.add(total, lanes.sums(d), rows)
            lanes.add(squares, lanes.dots(d, d), rows)
        return total, squares

    return _added(together(some, parts(m.shape[0], m.size)))


def _added(found: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """The totals of all parts."""
    first, second = (np.sum(totals, axis=0) for totals in zip(*found, strict=True))
    return first, second


def _rows(v: Array, rows: slice) -> Array:
    return v[rows] if v.shape[0] > 1 else v


def apply(x: Array, lanes: Lanes, scale: Array, shift: Array, offset: Array | None) -> Array:
    """(x - offset) * scale + shift, in the memory order of x; one number a channel each."""
    m = lanes.matrix(x)
    y = np.empty(m.shape, x.dtype)
    times, plus = lanes.spread(scale.astype(x.dtype)), lanes.spread(shift.astype(x.dtype))
    minus = None if offset is None else lanes.spread(offset.astype(x.dtype))

    def some(part: Part) -> None:
        for rows in lanes.chunks(part):
            out = y[rows]
            if minus is None:
                np.multiply(m[rows], _rows(times, rows), out=out)
            else:
                np.subtract(m[rows], _rows(minus, rows), out=out)
                out *= _rows(times, rows)
            out += _rows(plus, rows)

    together(some, parts(m.shape[0], m.size))
    return lanes.images(y, x)


def training(
    x: Array, w: Array | None, b: Array | None, eps: float, mean: Array, var: Array, lanes: Lanes
) -> tuple[Array, Vjp]:
    """batch_norm_training with its batch's statistics: the value and the way back to (dx, dw, db)."""
    mean, var = mean.astype(np.float64), var.astype(np.float64)
    inv = 1.0 / np.sqrt(var + eps)
    scale = inv if w is None else inv * w
    far = bool(np.any(mean * mean > FAR * var))
    offset = mean if far else None
    centre = mean if not far else np.zeros_like(mean)  # what is left of the mean in x - offset
    shift = -centre * scale if b is None else b - centre * scale
    y = apply(x, lanes, scale, shift, offset)
    count = x.size // x.shape[1]

    def vjp(g: Array, need_dx: bool) -> tuple[Array | None, ...]:
        m, a = lanes.matrix(x), lanes.matrix(alike(g, x))
        minus = None if offset is None else lanes.spread(offset.astype(x.dtype))
        sum_g, sum_gx = _products(lanes, m, a, minus)
        dw = inv * (sum_gx - centre * sum_g)  # the sum of g * (x - mean) / sqrt(var + eps)
        dx = None
        if need_dx:
            slope = -scale * inv * dw / count
            dx = lanes.images(_combine(lanes, m, a, minus, scale, slope, -scale * sum_g / count - slope * centre), x)
        return dx, dw.astype(x.dtype), sum_g.astype(x.dtype)

    return y, vjp


def _products(lanes: Lanes, m: Array, g: Array, minus: Array | None) -> tuple[Array, Array]:
    """The sums of g and of g * (m - minus) a channel."""

    def some(part: Part) -> tuple[Array, Array]:
        total, products = np.zeros(lanes.channels), np.zeros(lanes.channels)
        for rows in lanes.chunks(part):
            d, a = m[rows], g[rows]
            if minus is not None:
                d = np.subtract(d, _rows(minus, rows), out=workspace("standard", d.shape, m.dtype))
            lanes.add(total, lanes.sums(a), rows)
            lanes.add(products, lanes.dots(a, d), rows)
        return total, products

    return _added(together(some, parts(m.shape[0], m.size)))


def _combine(
    lanes: Lanes, m: Array, g: Array, minus: Array | None, scale: Array, slope: Array, constant: Array
) -> Array:
    """g * scale + (m - minus) * slope + constant."""
    out = np.empty(m.shape, m.dtype)
    s, a, c = (lanes.spread(v.astype(m.dtype)) for v in (scale, slope, constant))

    def some(part: Part) -> None:
        for rows in lanes.chunks(part):
            d = workspace("standard", m[rows].shape, m.dtype)
            if minus is None:
                np.multiply(m[rows], _rows(a, rows), out=d)
            else:
                np.subtract(m[rows], _rows(minus, rows), out=d)
                d *= _rows(a, rows)
            d += _rows(c, rows)
            np.multiply(g[rows], _rows(s, rows), out=out[rows])
            out[rows] += d

    together(some, parts(m.shape[0], m.size))
    return out
