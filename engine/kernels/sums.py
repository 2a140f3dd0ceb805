"""Sums over everything but the channel, by BLAS: ones @ X is the fastest sum NumPy has.

Whatever the memory order, an (N, C, ...) array without gaps is a matrix in which every row belongs to one channel (a
plane of pixels each), or every column does (the channels of many pixels side by side): `Lanes`. Sums over short pieces
are done in the array's own dtype, and the pieces added up in float64.
"""

from collections.abc import Iterator

import numpy as np

from engine.core import Array
from engine.kernels.memory import CHWN, HWNC, images, lies
from engine.kernels.threads import Part

CHUNK = 1 << 16  # floats at a time: two or three arrays of that stay in the second-level cache


class Lanes:
    """x (N, C, ...) seen as a matrix with one channel a row (`by_row`) or a column; None when x has gaps."""

    def __init__(self, before: int, channels: int, after: int):
        self.before, self.channels, self.after = before, channels, after  # (before, C, after) in memory
        self.by_row = after >= 128
        if self.by_row:
            self.repeat, self.shape = 1, (before * channels, after)
        else:  # several pixels side by side, so that rows are long
            repeat = 1
            while before % (2 * repeat) == 0 and repeat * channels * after < 4096:
                repeat *= 2
            self.repeat, self.shape = repeat, (before // repeat, repeat * channels * after)

    @staticmethod
    def of(x: Array) -> "Lanes | None":
        n, c = x.shape[:2]
        rest = x[0, 0].size if n and c else 0
        if rest == 0:
            return None
        if x.flags.c_contiguous:
            return Lanes(n, c, rest)
        if x.ndim == 4 and lies(x, HWNC):
            return Lanes(rest * n, c, 1)
        if x.ndim == 4 and lies(x, CHWN):
            return Lanes(1, c, rest * n)
        return None

    def matrix(self, x: Array) -> Array:
        """The view of x, of the memory order the lanes were made for."""
        if not x.flags.c_contiguous:
            x = x.transpose(HWNC) if lies(x, HWNC) else x.transpose(CHWN)
        return x.reshape(self.shape)

    def images(self, m: Array, x: Array) -> Array:
        """A matrix as an array of the shape and the memory order of x."""
        if x.flags.c_contiguous:
            return m.reshape(x.shape)
        order = HWNC if lies(x, HWNC) else CHWN
        return images(m.reshape([x.shape[axis] for axis in order]), order)

    def spread(self, v: Array) -> Array:
        """One number a channel, (C,), shaped to meet the matrix."""
        if self.by_row:
            return np.tile(v, self.before)[:, None]
        return np.tile(np.repeat(v, self.after), self.repeat)[None]

    def chunks(self, part: Part) -> Iterator[slice]:
        """Some rows, cut into pieces that fit into the cache."""
        step = max(1, CHUNK // self.shape[1])
        for start in range(*part, step):
            yield slice(start, min(start + step, part[1]))

    def add(self, total: Array, found: Array, rows: slice) -> None:
        """total (C,), float64, += what was found along the lanes of some rows."""
        if self.by_row:
            np.add.at(total, np.arange(rows.start, rows.stop) % self.channels, found)
        else:
            total += found.reshape(self.repeat, self.channels, self.after).sum(axis=(0, 2), dtype=np.float64)

    def sums(self, m: Array) -> Array:
        """Along the lanes of some rows m of the matrix."""
        if self.by_row:
            return m @ np.ones(m.shape[1], m.dtype)
        return np.ones(m.shape[0], m.dtype) @ m

    def dots(self, m: Array, other: Array) -> Array:
        """Sums of products along the lanes of some rows of two matrices."""
        if self.by_row:
            return np.asarray(np.vecdot(m, other))
        return np.asarray(np.einsum("ij,ij->j", m, other))


def channel_sums(x: Array) -> Array:
    """The sum of every channel of x (N, C, ...): (C,) in x's dtype.

    >>> channel_sums(np.ones((2, 3, 4, 5)))
    array([40., 40., 40.])
    """
    lanes = Lanes.of(x) if x.dtype == np.float32 else None
    if lanes is None:
        return np.asarray(x.sum(axis=(0, *range(2, x.ndim))))
    m, total = lanes.matrix(x), np.zeros(lanes.channels)
    for rows in lanes.chunks((0, m.shape[0])):
        lanes.add(total, lanes.sums(m[rows]), rows)
    return total.astype(x.dtype)
