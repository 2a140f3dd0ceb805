"""2x2 max pooling: the larger of every two columns, then of every two rows, the comparisons kept for the way back.

Columns first, then rows, and the earlier one wins a tie: that is torch's "first maximum, reading row by row".
"""

import numpy as np

from engine.core import Array, Vjp
from engine.geometry import Placement
from engine.kernels.memory import HWNC, NCHW, Order, empty, order_of, ordered
from engine.kernels.threads import Part, parts, together

CHUNK = 1 << 16  # values of x at a time


def fits(x: Array, where: Placement) -> Order | None:
    """The rule: windows of 2x2 side by side, no padding, floats in a known memory order (which is returned)."""
    plain = where.size == where.stride == (2, 2) and where.dilation == (1, 1) and where.pads == ((0, 0), (0, 0))
    return order_of(x) if plain and x.dtype.kind == "f" and x.size else None


def max_pool(x: Array, where: Placement, order: Order) -> tuple[Array, Vjp] | None:
    """max_pool2d: the value and the way back to (dx,); None when there is a nan, whose place this way would lose."""
    (oh, ow), (h, w) = where.out, where.image
    n, c = x.shape[:2]
    before, run = (n * c, 1) if order == NCHW else (1, n * c) if order == HWNC else (c, n)
    pixels = x.transpose(order).reshape(before, h, w, run)
    result = empty((n, c, oh, ow), order, x.dtype)
    y = result.transpose(order).reshape(before, oh, ow, run)
    left_larger = np.empty((before, 2 * oh, ow, run), bool)
    upper_larger = np.empty(y.shape, bool)
    pieces, shares = _pieces(before, oh, 2 * w * run, parts(max(before, oh), 1.5 * x.size))

    def forward(part: Part) -> None:
        for planes, rows in pieces[slice(*part)]:
            both = slice(2 * rows.start, 2 * rows.stop)
            left, right = pixels[planes, both, 0 : 2 * ow : 2], pixels[planes, both, 1 : 2 * ow : 2]
            if run == 1:  # every other float: copying reads that fast, comparing does not
                left, right = left.copy(), right.copy()
            np.greater_equal(left, right, out=left_larger[planes, both])
            larger = np.maximum(left, right)
            upper, lower = larger[:, 0::2], larger[:, 1::2]
            np.greater_equal(upper, lower, out=upper_larger[planes, rows])
            np.maximum(upper, lower, out=y[planes, rows])

    together(forward, shares)
    flat = y.reshape(-1)
    square = np.dot(flat, flat)
    if square != square:
        return None

    def vjp(g: Array) -> tuple[Array]:
        arrived = ordered(g, order).reshape(y.shape)
        result = empty(x.shape, order, g.dtype)
        dx = result.transpose(order).reshape(pixels.shape)
        dx[:, 2 * oh :] = 0
        dx[:, :, 2 * ow :] = 0

        def backward(part: Part) -> None:
            for planes, rows in pieces[slice(*part)]:
                both = slice(2 * rows.start, 2 * rows.stop)
                here = arrived[planes, rows]
                larger = np.empty((len(here), 2 * here.shape[1], ow, run), g.dtype)
                upper, lower = larger[:, 0::2], larger[:, 1::2]
                np.multiply(here, upper_larger[planes, rows], out=upper)
                np.subtract(here, upper, out=lower)
                left, right = dx[planes, both, 0 : 2 * ow : 2], dx[planes, both, 1 : 2 * ow : 2]
                np.multiply(larger, left_larger[planes, both], out=left)
                np.subtract(larger, left, out=right)

        together(backward, shares)
        return (result,)

    return result, vjp


def _pieces(before: int, oh: int, a_row: int, shares: list[Part]) -> tuple[list[tuple[slice, slice]], list[Part]]:
    """(before, oh) in pieces that stay in the cache, and which pieces each thread is to do: with several threads one
    large piece each, for short NumPy calls side by side would wait for each other."""
    if len(shares) > 1:
        whole = slice(0, before), slice(0, oh)
        pieces = [(slice(*s), whole[1]) if before >= oh else (whole[0], slice(*s)) for s in shares]
        return pieces, [(k, k + 1) for k in range(len(shares))]
    if before * oh * a_row <= CHUNK:
        return [(slice(None), slice(0, oh))], [(0, 1)]
    rows = max(1, min(oh, CHUNK // a_row))
    many = max(1, CHUNK // (a_row * oh)) if rows == oh else 1
    pieces = [
        (slice(b, b + many), slice(r, min(r + rows, oh))) for b in range(0, before, many) for r in range(0, oh, rows)
    ]
    return pieces, [(0, len(pieces))]
