"""Batch norm in few passes over memory: statistics by BLAS sums, then one multiply and one add a value.

    y = x * scale + shift               scale = w / sqrt(var + eps), shift = b - mean * scale
    dx = (x * slope + c + g) * scale    slope, c chosen so that the statistics' own gradients are in

The variance is E[x^2] - mean^2 in one reading of x. Where the mean is large beside the spread that difference would
lose its digits, so then x is taken relative to its mean first (`offset`), at the price of one more pass.
"""

import numpy as np

from engine.core import Array, Vjp
from engine.kernels.memory import alike
from engine.kernels.runs import run_by_run
from engine.kernels.sums import Lanes, chunks, totals
from engine.kernels.threads import Part, together

MUCH = 1 << 16  # values from which on inference is faster here than as it is written
FAR = 16.0  # mean^2 / var from where on x is taken relative to its mean


def fits(x: Array) -> Lanes | None:
    """The rule: float32 without gaps in one of the known memory orders."""
    return Lanes.of(x) if x.dtype == np.float32 else None


def _far(mean: Array, var: Array) -> bool:
    return bool(np.any(mean * mean > FAR * var))


def moments(x: Array, lanes: Lanes) -> tuple[Array, Array]:
    """The mean and the biased variance of every channel, float64 (C,)."""
    count = x.size // lanes.channels
    mean, square = (s / count for s in totals(lanes, x, x))
    var = square - mean * mean
    if _far(mean, var):
        var = totals(lanes, x, x, mean)[1] / count
    return mean, np.maximum(var, 0.0)


def training(
    x: Array, w: Array | None, b: Array | None, eps: float, mean: Array, var: Array, lanes: Lanes
) -> tuple[Array, Vjp]:
    """batch_norm_training with its batch's statistics: the value and the way back to (dx, dw, db)."""
    mean, var = mean.astype(np.float64), var.astype(np.float64)
    inv = 1.0 / np.sqrt(var + eps)
    scale = inv if w is None else inv * w
    offset = mean if _far(mean, var) else None
    centre = mean if offset is None else np.zeros_like(mean)  # what is left of the mean in x - offset
    count = x.size // lanes.channels

    def vjp(g: Array, need_dx: bool) -> tuple[Array | None, ...]:
        g = alike(g, x)
        sum_g, sum_gx = totals(lanes, g, x, offset)
        dw = inv * (sum_gx - centre * sum_g)  # the sum of g * (x - mean) / sqrt(var + eps)
        dx = None
        if need_dx:
            slope = -inv * dw / count
            dx = combined(lanes, x, offset, slope, -sum_g / count - slope * centre, g, scale)
        return dx, dw.astype(x.dtype), sum_g.astype(x.dtype)

    return inference(x, mean, var, scale, b, lanes), vjp


def inference(x: Array, mean: Array, var: Array, scale: Array, b: Array | None, lanes: Lanes) -> Array:
    """The value with these statistics, the batch's or kept ones, scale being w / sqrt(var + eps)."""
    mean, scale = mean.astype(np.float64), scale.astype(np.float64)
    shift = np.zeros_like(mean) if b is None else b.astype(np.float64)
    if _far(mean, var):
        return combined(lanes, x, mean, scale, shift)
    return combined(lanes, x, None, scale, shift - mean * scale)


def combined(
    lanes: Lanes, x: Array, offset: Array | None, scale: Array, shift: Array, g: Array | None = None,
    scale_g: Array | None = None,
) -> Array:
    """(x - offset) * scale + shift, where given (that + g) * scale_g: one number a channel each, in the order of x."""
    shape = lanes.spread_shape
    by_row = lanes.spread_by_row
    pieces, shares = chunks(shape, (0.6 if g is None else 1.2) * x.size)
    m, other = lanes.matrix(x, shape), None if g is None else lanes.matrix(g, shape)
    result = np.empty_like(x)  # in the memory order of x
    y = lanes.matrix(result, shape)
    minus, times, plus, times_g = (
        None if v is None else lanes.spread(v, x.dtype) for v in (offset, scale, shift, scale_g)
    )
    assert times is not None
    assert plus is not None

    def some(part: Part) -> None:
        with run_by_run(shape[1]):
            for rows in pieces[slice(*part)]:
                at = rows if by_row else ...
                out = y[rows]
                if minus is None:
                    np.multiply(m[rows], times[at], out=out)
                else:
                    np.subtract(m[rows], minus[at], out=out)
                    out *= times[at]
                out += plus[at]
                if other is not None and times_g is not None:
                    out += other[rows]
                    out *= times_g[at]

    together(some, shares)
    return result
