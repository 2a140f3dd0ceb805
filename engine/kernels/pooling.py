"""2x2 max pooling: the maximum of two column slices, then of two row slices, the comparisons kept for the way back.

Columns first, then rows, and the earlier one wins a tie: that is torch's "first maximum, reading row by row".
"""

import math

import numpy as np

from engine.core import Array, Vjp
from engine.geometry import Placement
from engine.kernels.memory import Order, images, order_of, ordered
from engine.kernels.threads import Part, parts, together

CHUNK = 1 << 16  # values of x at a time


def fits(x: Array, where: Placement) -> Order | None:
    """The rule: windows of 2x2 side by side, no padding, floats in a known memory order (which is returned)."""
    plain = where.size == where.stride == (2, 2) and where.dilation == (1, 1) and where.pads == ((0, 0), (0, 0))
    return order_of(x) if plain and x.dtype.kind == "f" and x.size else None


def max_pool(x: Array, where: Placement, order: Order) -> tuple[Array, Vjp] | None:
    """max_pool2d: the value and the way back to (dx,); None when there is a nan, whose place this way would lose."""
    (oh, ow), (h, w) = where.out, where.image
    row = order.index(2)  # columns come next in every order
    before, run = (math.prod(x.shape[axis] for axis in axes) for axes in (order[:row], order[row + 2 :]))
    pixels = ordered(x, order).reshape(before, h, w, run)
    y = np.empty((before, oh, ow, run), x.dtype)
    # In every window: is the left one above (below) the larger of two, and is the upper of these two the larger.
    above, below, upper = (np.empty(y.shape, bool) for _ in range(3))
    pieces = _pieces(before, oh, 2 * w * run)

    def forward(part: Part) -> None:
        for at in pieces[slice(*part)]:
            left_above, right_above, left_below, right_below = _corners(pixels, at, ow)
            np.greater_equal(left_above, right_above, out=above[at])
            np.greater_equal(left_below, right_below, out=below[at])
            top, bottom = np.maximum(left_above, right_above), np.maximum(left_below, right_below)
            np.greater_equal(top, bottom, out=upper[at])
            np.maximum(top, bottom, out=y[at])

    shares = parts(len(pieces), x.size)
    together(forward, shares)
    flat = y.reshape(-1)
    if np.isnan(np.dot(flat, flat)):
        return None

    def vjp(g: Array) -> tuple[Array]:
        arrived = ordered(g, order).reshape(y.shape)
        dx = np.empty(pixels.shape, g.dtype)
        dx[:, 2 * oh :] = 0
        dx[:, :, 2 * ow :] = 0

        def backward(part: Part) -> None:
            for at in pieces[slice(*part)]:
                left_above, right_above, left_below, right_below = _corners(dx, at, ow)
                top = arrived[at] * upper[at]
                bottom = arrived[at] - top
                np.multiply(top, above[at], out=left_above)
                np.subtract(top, left_above, out=right_above)
                np.multiply(bottom, below[at], out=left_below)
                np.subtract(bottom, left_below, out=right_below)

        together(backward, shares)
        return (images(dx.reshape([x.shape[axis] for axis in order]), order),)

    shape = (*x.shape[:2], oh, ow)
    return images(y.reshape([shape[axis] for axis in order]), order), vjp


def _pieces(before: int, oh: int, a_row: int) -> list[tuple[slice, slice]]:
    """(before, oh) cut into pieces that stay in the cache."""
    rows = max(1, min(oh, CHUNK // a_row))
    many = max(1, CHUNK // (a_row * oh)) if rows == oh else 1
    return [
        (slice(b, b + many), slice(r, min(r + rows, oh))) for b in range(0, before, many) for r in range(0, oh, rows)
    ]


def _corners(a: Array, at: tuple[slice, slice], ow: int) -> tuple[Array, Array, Array, Array]:
    """The four corners of the windows: left and right above, left and right below."""
    planes, rows = at
    above, below = slice(2 * rows.start, 2 * rows.stop, 2), slice(2 * rows.start + 1, 2 * rows.stop, 2)
    left, right = slice(0, 2 * ow, 2), slice(1, 2 * ow, 2)
    return a[planes, above, left], a[planes, above, right], a[planes, below, left], a[planes, below, right]
