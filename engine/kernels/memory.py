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
from typing import Any, TypeAlias

import numpy as np

from engine.arrays import Pads
from engine.core import Array

Order: TypeAlias = tuple[int, int, int, int]

NCHW: Order = (0, 1, 2, 3)
CHWN: Order = (1, 2, 3, 0)
HWNC: Order = (2, 3, 0, 1)
_BACK = {NCHW: NCHW, CHWN: (3, 0, 1, 2), HWNC: HWNC}
# One small array an order, to allocate like: a result then owns its memory, and nobody need copy it to be sure.
_LIKE = {order: np.empty((2, 2, 2, 2)).transpose(_BACK[order]) for order in _BACK}
_BLOCK = 16  # channels copied at a time: 16 floats are a cache line


def lies(x: Array, order: Order) -> bool:
    """Whether the images x (N, C, H, W) lie in memory in this order, without gaps.

    >>> x = np.zeros((2, 3, 4, 5))
    >>> lies(x, NCHW), lies(x, HWNC), lies(ordered(x, HWNC).transpose(_BACK[HWNC]), HWNC)
    (True, False, True)
    """
    return x.transpose(order).flags.c_contiguous


def order_of(x: Array) -> Order | None:
    """The first known order x lies in."""
    return next((order for order in (NCHW, HWNC, CHWN) if lies(x, order)), None)


def ordered(x: Array, order: Order) -> Array:
    """The images x (N, C, H, W) as a contiguous array whose *axes* are in this order: a view where they lie so."""
    turned = x.transpose(order)
    if turned.flags.c_contiguous:
        return turned
    out = np.empty(turned.shape, x.dtype)
    _copy_into(out, x, order)
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
    return g if order is None else images(ordered(g, order), order)


def _copy_into(out: Array, x: Array, order: Order) -> None:
    """out[...] = x.transpose(order), going block by block where the innermost axis would jump far at every step."""
    turned = x.transpose(order)
    inner = turned.shape[3]
    if inner <= _BLOCK or turned.strides[3] == x.itemsize:
        out[...] = turned
    elif order == HWNC and lies(x, NCHW):
        for n in range(x.shape[0]):
            for c in range(0, inner, _BLOCK):
                out[:, :, n, c : c + _BLOCK] = turned[:, :, n, c : c + _BLOCK]
    else:
        for k in range(0, inner, _BLOCK):
            out[..., k : k + _BLOCK] = turned[..., k : k + _BLOCK]


def framed(x: Array, order: Order, pads: Pads, size: tuple[int, int], role: str | None) -> Array:
    """The images in this order, zero-padded to `size` (rows, columns), or x itself where that is its size.

    The result is the kept buffer of this role; without a role it is an array of its own.
    """
    n, c, h, w = x.shape
    (top, _), (left, _) = pads
    if (h, w) == size:
        return ordered(x, order)
    shape = [n, c, *size]
    axes = tuple(shape[axis] for axis in order)
    out = np.empty(axes, x.dtype) if role is None else workspace(role, axes, x.dtype)
    inside = images(out, order)
    for frame in (inside[:, :, :top], inside[:, :, top + h :]):
        frame[...] = 0
    for frame in (inside[..., :left], inside[..., left + w :]):
        frame[...] = 0
    _copy_into(inside[:, :, top : top + h, left : left + w].transpose(order), x, order)
    return out


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
