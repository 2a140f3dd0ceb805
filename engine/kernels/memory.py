"""In which order a batch of images lies in memory, and buffers that are kept from call to call.

A NumPy array carries its strides, so an (N, C, H, W) array may lie in memory with another axis innermost and still be
an ordinary (N, C, H, W) array to everybody. Three orders are known here, each a rotation of the others:

    NCHW   as torch and people write it
    CHWN   one channel after the other, a row of all images contiguous: good for few channels
    HWNC   one pixel after the other, the channels of all images contiguous: good for many channels

A kernel picks the order it is fast in and returns its result in it; the next one finds it there (`lies`) and need not
convert. Nothing else depends on it: an array in no known order is copied into one.
"""

import math
import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from engine.arrays import Array, Pads
from engine.kernels.threads import Part, parts, together

Order: TypeAlias = tuple[int, int, int, int]

NCHW: Order = (0, 1, 2, 3)
CHWN: Order = (1, 2, 3, 0)
HWNC: Order = (2, 3, 0, 1)
_BACK = {NCHW: NCHW, CHWN: (3, 0, 1, 2), HWNC: HWNC}
# One small array an order, to allocate like: a result then owns its memory, and nobody need copy it to be sure.
_LIKE = {order: np.empty((2, 2, 2, 2)).transpose(_BACK[order]) for order in _BACK}
_CUT = {frozenset((NCHW, HWNC)): 0, frozenset((NCHW, CHWN)): 1, frozenset((CHWN, HWNC)): 2}
_WAYS = 8  # lines of one set that the first-level cache holds
_MUCH = 1 << 15  # values from which on turning memory by way of a buffer pays
_SLAB = 1 << 16  # values of that buffer


def lies(x: Array, order: Order) -> bool:
    """Whether the images x (N, C, H, W) lie in memory in this order, without gaps.

    >>> x = np.zeros((2, 3, 4, 5))
    >>> lies(x, NCHW), lies(x, HWNC), lies(ordered(x, HWNC).transpose(_BACK[HWNC]), HWNC)
    (True, False, True)
    """
    return x.transpose(order).flags.c_contiguous


def order_of(x: Array) -> Order | None:
    """The first known order x lies in."""
    if x.flags.c_contiguous:
        return NCHW
    if x.shape[1] > 1 and x.strides[0] == x.itemsize:  # no other order has the images innermost: ask this one first
        return CHWN if lies(x, CHWN) else None
    return HWNC if lies(x, HWNC) else CHWN if lies(x, CHWN) else None


def ordered(x: Array, order: Order) -> Array:
    """The images x (N, C, H, W) as a contiguous array whose *axes* are in this order: a view where they lie so."""
    turned = x.transpose(order)
    if turned.flags.c_contiguous:
        return turned
    out = np.empty(turned.shape, x.dtype)
    copy_into(out, x, order)
    return out


def images(a: Array, order: Order) -> Array:
    """The view of `a`, whose axes are in this order, as (N, C, H, W)."""
    return a.transpose(_BACK[order])


def empty(shape: tuple[int, ...], order: Order, dtype: Any) -> Array:
    """An uninitialised (N, C, H, W) array that lies in this order and owns its memory.

    >>> lies(empty((2, 3, 4, 5), HWNC, np.float32), HWNC)
    True
    """
    return np.empty_like(_LIKE[order], dtype=dtype, shape=shape)


def alike(g: Array, x: Array) -> Array:
    """g, of x's shape, in the memory order of x (itself where it is so already)."""
    if g.strides == x.strides or g.ndim != 4:
        return g
    order = order_of(x)
    if order is None or lies(g, order):
        return g
    out = empty(g.shape, order, g.dtype)  # its own memory: a view would be copied again to become somebody's .grad
    copy_into(out.transpose(order), g, order)
    return out


def in_c_order(x: Array) -> Array:
    """x with its last axis innermost in memory: itself where it lies so."""
    return ordered(x, NCHW) if x.ndim == 4 and x.size >= _MUCH else np.ascontiguousarray(x)


def copy_into(out: Array, x: Array, order: Order, rows: slice = slice(None)) -> None:
    """out[...] = x.transpose(order), by way of a small buffer where reading x that way would miss the cache.

    With `rows` only these rows of pixels are copied.
    """
    turned = x.transpose(order)
    by_buffer = x.size >= _MUCH and turned.shape[3] > _WAYS and turned.strides[3] % 1024 == 0
    source = None if not by_buffer else HWNC if _is_row_of_channels(x) else order_of(x)
    if rows != slice(None):
        x, out = x[:, :, rows], images(out, order)[:, :, rows].transpose(order)
        turned = x.transpose(order)
    if source is not None and source != order:
        n, c, _, w = x.shape
        if {source, order} == {NCHW, HWNC} and n * c * w <= 2 * _SLAB:  # n and c stand together: longer runs
            x, out = _as_one_image(x), _as_one_image(images(out, order)).transpose(order)
        return _turn(out, x, source, order)
    out[...] = turned


def _is_row_of_channels(x: Array) -> bool:
    """Whether at every pixel the channels of all images stand side by side: HWNC, or a frame cut off it."""
    return x.strides[1] == x.itemsize and x.strides[0] == x.shape[1] * x.itemsize


def _as_one_image(x: Array) -> Array:
    """Images (N, C, H, W) whose channels follow each other in memory, as (1, N * C, H, W): a view."""
    n, c, h, w = x.shape
    return x.reshape(1, n * c, h, w)


def _turn(out: Array, x: Array, source: Order, order: Order) -> None:
    """Slab by slab along the one axis that both orders can be cut along.

    A slab is a matrix to be transposed. Where its rows are a multiple of 1 KB apart they fall into the same few lines
    of the cache and push each other out; copied first into a buffer with a little room after each row, they do not,
    which makes it two to four times as fast.
    """
    cut = _CUT[frozenset((source, order))]
    before, after = ([axis for axis in axes if axis != cut] for axes in (source, order))
    rows = 1 if before[1:] + before[:1] == after else 2  # axes that make up the rows of the matrix
    shape = [x.shape[axis] for axis in before]
    slabs = x.transpose(cut, *before)  # and where they go, axes in the same order
    places = out.transpose(order.index(cut), *(order.index(axis) for axis in before))
    width = math.prod(shape[rows:])
    some = max(1, _SLAB // max(1, width * math.prod(shape[1:rows])))  # of the first axis at a time
    pieces = [(k, slice(start, min(start + some, shape[0]))) for k in range(x.shape[cut])
              for start in range(0, shape[0], some)]

    def turn(part: Part) -> None:
        buffer = workspace("turn", (min(some, shape[0]) * math.prod(shape[1:rows]), width + 16), x.dtype)
        view = buffer[:, :width].reshape(-1, *shape[1:])
        for k, here in pieces[slice(*part)]:
            rest = view[: here.stop - here.start]
            rest[...] = slabs[k, here]
            places[k, here] = rest

    together(turn, parts(len(pieces), 2.0 * x.size))


def framed(x: Array, order: Order, pads: Pads, size: tuple[int, int], role: str | None) -> Array:
    """The images in this order, zero-padded to `size` (rows, columns), or x itself where that is its size.

    The result is the kept buffer of this role; without a role it is an array of its own.
    """
    out, bring = framing(x, order, pads, size, role)
    bring(0, size[0])
    return out


def framing(
    x: Array, order: Order, pads: Pads, size: tuple[int, int], role: str | None
) -> tuple[Array, Callable[[int, int], None]]:
    """`framed` without the images, and what brings rows start to stop - 1 of it: for threads that bring their own."""
    n, c, h, w = x.shape
    (top, _), (left, _) = pads
    if (h, w) == size and lies(x, order):
        return x.transpose(order), lambda start, stop: None
    shape = [n, c, *size]
    axes = tuple(shape[axis] for axis in order)
    out = np.empty(axes, x.dtype) if role is None else workspace(role, axes, x.dtype)
    inside = images(out, order)
    for frame in (inside[:, :, :top], inside[:, :, top + h :]):
        frame[...] = 0
    for frame in (inside[..., :left], inside[..., left + w :]):
        frame[...] = 0
    place = inside[:, :, top : top + h, left : left + w].transpose(order)

    def bring(start: int, stop: int) -> None:
        copy_into(place, x, order, slice(max(0, start - top), max(0, stop - top)))

    return out, bring


_ONES = {np.dtype(kind): np.ones(1024, kind) for kind in "efdg"}


def ones(count: int, dtype: np.dtype[Any]) -> Array:
    """So many ones, not to be changed: few of them are a view, for making them takes longer than adding up with them.

    >>> ones(3, np.dtype("f")).dot(np.arange(6, dtype="f").reshape(3, 2))
    array([6., 9.], dtype=float32)
    """
    kept = _ONES.get(dtype)
    return np.ones(count, dtype) if kept is None or count > len(kept) else kept[:count]


def square_sum(x: Array) -> float:
    """The sum of the squares of a contiguous array by BLAS: finite only if every number is (the cheapest way to ask).

    >>> square_sum(np.array([3.0, 4.0])), square_sum(np.array([1.0, np.nan]))
    (25.0, nan)
    """
    flat = x.reshape(-1)
    return float(flat.dot(flat))


# --- buffers kept from call to call: a fresh large array costs a page fault every 4 KB ---

_MOST = 64 << 20  # bytes one role may keep


class _Kept(threading.local):
    def __init__(self) -> None:
        self.buffers: dict[tuple[str, Any], Array] = {}


_kept = _Kept()


def workspace(role: str, shape: tuple[int, ...], dtype: Any) -> Array:
    """An uninitialised array of this thread's own; the next call with the same role overwrites it.

    For what a kernel needs only until it returns: results and what a way back holds on to are never kept buffers.
    """
    size = math.prod(shape)
    dtype = np.dtype(dtype)
    kept = _kept.buffers.get((role, dtype))
    if kept is None or kept.size < size:
        kept = np.empty(size, dtype)
        if kept.nbytes <= _MOST:
            _kept.buffers[role, dtype] = kept
    return kept[:size].reshape(shape)
