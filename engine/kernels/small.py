"""Convolution of few small images, where Python's own steps are what it costs: as few of them as possible.

The columns of `columns.py`, but in buffers kept for the next call of the same shapes, with all views made already. One
more row of ones below the columns makes the bias a column of the filters, and its gradient a column of theirs.
"""

import threading
from typing import Any

import numpy as np

from engine.core import Array, Vjp
from engine.geometry import Placement
from engine.kernels.columns import image_gradient, orders
from engine.kernels.memory import CHWN, images, ordered

SMALL = 1 << 16  # floats of columns
FEW = 16  # channels
MANY_SHAPES = 64  # kept buffers a thread


class _Columns:
    """Kept buffers for images of one shape: the padded images in CHWN order, and their windows as columns."""

    def __init__(self, shape: tuple[int, ...], dtype: Any, where: Placement):
        n, c, h, w = shape
        (top, bottom), (left, right) = where.pads
        (kh, kw), (sh, sw), (dh, dw), (oh, ow) = where.size, where.stride, where.dilation, where.out
        padded = np.zeros((c, h + top + bottom, w + left + right, n), dtype)
        self.inside = padded[:, top : top + h, left : left + w].transpose(3, 0, 1, 2)
        channel, row, column, image = padded.strides
        strides = (channel, row * dh, column * dw, row * sh, column * sw, image)
        self.seen = np.ndarray((c, kh, kw, oh, ow, n), dtype, padded, 0, strides)
        self.matrix = np.ones((c * kh * kw + 1, oh * ow * n), dtype)
        self.columns = self.matrix[:-1].reshape(self.seen.shape)
        self.filters: dict[int, tuple[Array, Array, Array]] = {}  # by how many: the buffer, its weights, its biases
        self.turn = 0  # counts the fillings: who remembers his knows whether the columns are still his
        self.thread = threading.get_ident()

    def fill(self, x: Array) -> Array:
        """(C*KH*KW + 1, pixels), the last row ones; overwritten by the next filling."""
        self.inside[...] = x
        self.columns[...] = self.seen
        self.turn += 1
        return self.matrix

    def weigh(self, w: Array, b: Array | None) -> Array:
        """(F, C*KH*KW + 1), the last column the biases; overwritten by the next weighing."""
        f, *window = w.shape
        if f not in self.filters:
            filters = np.empty((f, len(self.matrix)), w.dtype)
            self.filters[f] = filters, filters[:, :-1].reshape(f, *window), filters[:, -1]
        filters, weights, biases = self.filters[f]
        weights[...] = w
        biases[...] = 0 if b is None else b
        return filters


class _Kept(threading.local):
    def __init__(self) -> None:
        self.columns: dict[tuple[object, ...], _Columns] = {}


_kept = _Kept()


def _columns(x: Array, where: Placement) -> _Columns:
    key = (x.shape, x.dtype.char, where)  # looked up in half the time of a dtype
    found = _kept.columns.get(key)
    if found is None:
        if len(_kept.columns) >= MANY_SHAPES:
            _kept.columns.clear()
        found = _kept.columns[key] = _Columns(x.shape, x.dtype, where)
    return found


def fits(x: Array, w: Array, where: Placement, groups: int) -> bool:
    """The rule: one group, few channels on both sides, and columns of at most 65,536 numbers."""
    f, c, kh, kw = w.shape
    if groups != 1 or c >= FEW or f >= FEW or x.dtype != w.dtype or x.dtype.kind != "f":
        return False
    columns: int = len(x) * c * kh * kw * where.many
    return 0 < columns <= SMALL


def conv(x: Array, w: Array, b: Array | None, where: Placement) -> tuple[Array, Vjp]:
    """conv2d: the value, in CHWN order, and the way back to (dx, dw, db)."""
    f = w.shape[0]
    kept = _columns(x, where)
    cols = kept.fill(x)
    turn = kept.turn
    y = images(kept.weigh(w, b).dot(cols).reshape(f, *where.out, x.shape[0]), CHWN)

    def vjp(g: Array, needs: tuple[bool, bool, bool] = (True, True, True)) -> tuple[Array | None, ...]:
        dx = None
        if needs[0]:
            dx = image_gradient(g, w, x.shape, where, 1, orders(x.shape, f, where, 1))
        if not (needs[1] or needs[2]):
            return dx, None, None
        if kept.turn == turn and kept.thread == threading.get_ident():
            cols = kept.matrix
        else:  # filled by another call since, or another thread's own
            cols = _columns(x, where).fill(x)
        pulls = ordered(g, CHWN).reshape(f, -1)
        if f % 8 == 0:  # (C*KH*KW + 1, F)
            total = cols.dot(pulls.T)
        else:  # BLAS is slow at a few columns that are not as many as it takes at a time: a product each, then
            total = np.matmul(cols, pulls[:, :, None])[:, :, 0].T
        return dx, total[:-1].T.reshape(w.shape).copy(), total[-1]

    return y, vjp
