"""2x2 max pooling: the larger of every two columns, then of every two rows, the comparisons kept for the way back.

Columns first, then rows, and the earlier one wins a tie: that is torch's "first maximum, reading row by row".

Where a pixel is a run of images or channels (HWNC, CHWN) columns and rows are slices of long runs. Where it is a single
number (NCHW) every other number, and every other short row, has to be picked: NumPy copies such slices two to four
times as fast as it compares them, and copies a short row as one item of its length. So they are copied apart first.
Of small images, where it is the number of calls that costs, one copy sets the four places of all windows apart.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from engine.arrays import BITS
from engine.core import Array, Vjp
from engine.geometry import Placement
from engine.kernels.memory import HWNC, NCHW, Order, empty, order_of, ordered, workspace
from engine.kernels.memory import images as as_images
from engine.kernels.runs import run_by_run
from engine.kernels.threads import Part, parts, together

CHUNK = 1 << 19  # values of x at a time: less costs more in calls than it saves in memory
SMALL = 1 << 18  # values of x up to which one copy sets the places of all windows apart
FEW = 1 << 12  # and where a pixel is a single number
LONG = 1 << 12  # bytes of a pixel from which on there is nothing to be gained by that
Piece: TypeAlias = tuple[slice, slice, slice]  # of the planes, of the rows of results, of their rows of images
Do: TypeAlias = Callable[[Array, Array, Array, Array], None]


def fits(x: Array, where: Placement) -> Order | None:
    """The rule: windows of 2x2 side by side, no padding, floats in a known memory order (which is returned)."""
    return order_of(x) if where.halves and x.dtype.kind == "f" and x.itemsize in BITS and x.size else None


def max_pool(x: Array, where: Placement, order: Order) -> tuple[Array, Vjp] | None:
    """max_pool2d: the value and the way back to (dx,); None when there is a nan, whose place this way would lose."""
    if x.size <= (FEW if order == NCHW else SMALL) and x.strides[3] < LONG:
        return _small(x, where, order)
    (oh, ow), (h, w) = where.out, where.image
    n, c = x.shape[:2]
    before, run = _planes(n, c, order)
    shape = (before, h, w, run)
    pixels = x.transpose(order).reshape(shape)
    result = empty((n, c, oh, ow), order, x.dtype)
    y = result.transpose(order).reshape(before, oh, ow, run)
    left_larger = np.empty((before, 2 * oh, ow, run), bool)
    upper_larger = np.empty((before, oh, ow, run), bool)
    forward, backward = (_forward_apart, _backward_apart) if run == 1 else (_forward, _backward)
    pieces = None if x.size <= CHUNK else _pieces(before, oh, 2 * w * run)
    shares = parts(1 if pieces is None else len(pieces), 1.5 * x.size)

    def in_pieces(do: Do, images: Array, results: Array) -> None:
        images = images[:, : 2 * oh, : 2 * ow]
        if pieces is None:  # small images, where Python's own steps are the cost
            with run_by_run(run):
                do(images, results, left_larger, upper_larger)
            return

        def some(part: Part) -> None:
            with run_by_run(run):
                for planes, rows, both in pieces[slice(*part)]:
                    do(images[planes, both], results[planes, rows], left_larger[planes, both],
                       upper_larger[planes, rows])

        together(some, shares)

    in_pieces(forward, pixels, y)
    flat = y.reshape(-1)
    square = np.dot(flat, flat)
    if square != square:
        return None

    def vjp(g: Array) -> tuple[Array]:
        result = empty(x.shape, order, g.dtype)
        dx = result.transpose(order).reshape(shape)
        if h > 2 * oh:
            dx[:, 2 * oh :] = 0
        if w > 2 * ow:
            dx[:, :, 2 * ow :] = 0
        in_pieces(backward, dx, ordered(g, order).reshape(before, oh, ow, run))
        return (result,)

    return result, vjp


def _planes(n: int, c: int, order: Order) -> tuple[int, int]:
    """In memory, how many planes of pixels there are, and how many values a pixel is."""
    return (n * c, 1) if order == NCHW else (1, n * c) if order == HWNC else (c, n)


@lru_cache(maxsize=256)
def _shapes(shape: tuple[int, ...], where: Placement, order: Order) -> tuple[tuple[int, ...], ...]:
    """Of images of this shape: those a plane, the windows', the results'; the first is empty where windows see all."""
    n, c, h, w = shape
    (oh, ow), (before, run) = where.out, _planes(n, c, order)
    planes = () if (h, w) == (2 * oh, 2 * ow) else (before, h, w, run)
    result = (n, c, oh, ow)
    return planes, (before, oh, 2, ow, 2, run), tuple(result[axis] for axis in order)


def _small(x: Array, where: Placement, order: Order) -> tuple[Array, Vjp] | None:
    """max_pool of small images: the places of all windows set apart, so that every call meets arrays without gaps."""
    planes, windows, results = _shapes(x.shape, where, order)

    def places(images: Array) -> Array:
        """What the windows see: (left or right, upper or lower, before, OH, OW, run), a view."""
        pixels = images.transpose(order)
        if planes:  # there is a last row or column that no window sees
            pixels = pixels.reshape(planes)[:, : 2 * windows[1], : 2 * windows[3]]
        return pixels.reshape(windows).transpose(4, 2, 0, 1, 3, 5)

    apart = places(x).copy()
    left, right = apart[0], apart[1]  # taking an array apart by unpacking costs three times as much
    left_larger = left >= right
    np.maximum(left, right, out=left)
    upper, lower = left[0], left[1]
    upper_larger = upper >= lower
    y = np.maximum(upper, lower)
    flat = y.reshape(-1)
    square = flat.dot(flat)
    if square != square:
        return None

    def vjp(g: Array) -> tuple[Array]:
        dx = empty(x.shape, order, g.dtype)
        if planes:
            dx[...] = 0
        apart = np.empty((2, *left_larger.shape), g.dtype)
        left, right = apart[0], apart[1]
        upper, lower = right[0], right[1]
        g = ordered(g, order).reshape(upper.shape)
        _dealt(g, upper_larger, upper, lower)
        _dealt(right, left_larger, left, right)
        places(dx)[...] = apart
        return (dx,)

    return as_images(y.reshape(results), order), vjp


def _dealt(g: Array, first_larger: Array, first: Array, second: Array) -> None:
    """g to the larger of the two, 0 to the other (second may be g). As bits: 0 times inf would be nan."""
    bits = BITS[g.itemsize]
    np.bitwise_and(g.view(bits), np.negative(first_larger.view(np.int8)), out=first.view(bits))
    np.bitwise_xor(g.view(bits), first.view(bits), out=second.view(bits))


# Each of the four below does one piece: images (x, dx) and results (y, g), and the comparisons of columns and of rows.


def _forward(x: Array, y: Array, left_larger: Array, upper_larger: Array) -> None:
    left, right = x[:, :, 0::2], x[:, :, 1::2]
    np.greater_equal(left, right, out=left_larger)
    larger = np.maximum(left, right)
    upper, lower = larger[:, 0::2], larger[:, 1::2]
    np.greater_equal(upper, lower, out=upper_larger)
    np.maximum(upper, lower, out=y)


def _backward(dx: Array, g: Array, left_larger: Array, upper_larger: Array) -> None:
    larger = np.empty(left_larger.shape, g.dtype)
    upper, lower = larger[:, 0::2], larger[:, 1::2]
    _dealt(g, upper_larger, upper, lower)
    _dealt(larger, left_larger, dx[:, :, 0::2], dx[:, :, 1::2])


def _forward_apart(x: Array, y: Array, left_larger: Array, upper_larger: Array) -> None:
    left, right = _apart("columns", left_larger.shape, x.dtype)
    np.copyto(left, x[:, :, 0::2])
    np.copyto(right, x[:, :, 1::2])
    np.greater_equal(left, right, out=left_larger)
    np.maximum(left, right, out=left)
    upper, lower = _apart("rows", y.shape, x.dtype)
    for half, rows in zip((upper, lower), _row_pairs(left), strict=True):
        np.copyto(_whole_rows(half), rows)
    np.greater_equal(upper, lower, out=upper_larger)
    np.maximum(upper, lower, out=y)


def _backward_apart(dx: Array, g: Array, left_larger: Array, upper_larger: Array) -> None:
    upper, lower = _apart("rows", g.shape, g.dtype)
    _dealt(g, upper_larger, upper, lower)
    larger, left = _apart("columns", left_larger.shape, g.dtype)
    for half, rows in zip((upper, lower), _row_pairs(larger), strict=True):
        np.copyto(rows, _whole_rows(half))
    _dealt(larger, left_larger, left, larger)
    np.copyto(dx[:, :, 0::2], left)
    np.copyto(dx[:, :, 1::2], larger)


def _apart(role: str, shape: tuple[int, ...], dtype: Any) -> tuple[Array, Array]:
    both = workspace(f"pool {role}", (2, *shape), dtype)
    return both[0], both[1]


def _whole_rows(a: Array) -> Array:
    """Every row of a contiguous (planes, rows, OW, 1) as one item."""
    return a.reshape(-1, a.shape[2]).view(f"V{a.shape[2] * a.itemsize}").reshape(-1)


def _row_pairs(a: Array) -> tuple[Array, Array]:
    """The upper and the lower of every two rows, each row one item: views."""
    rows = _whole_rows(a)
    return rows[0::2], rows[1::2]


def _pieces(before: int, oh: int, a_row: int) -> list[Piece]:
    """(before, oh) in pieces of at most CHUNK values of x, where a row of results is not more."""
    rows = max(1, min(oh, CHUNK // a_row))
    many = max(1, CHUNK // (a_row * oh)) if rows == oh else 1
    return [
        (slice(b, min(b + many, before)), slice(r, min(r + rows, oh)), slice(2 * r, 2 * min(r + rows, oh)))
        for b in range(0, before, many) for r in range(0, oh, rows)
    ]
