"""Sums over everything but the channel, by BLAS, and numbers a channel spread over the values they belong to.

Whatever the memory order, an (N, C, ...) array without gaps is three axes in memory, (before, C, after): NCHW is
(N, C, HW), HWNC is (HWN, C, 1), CHWN is (1, C, HWN). Seen as a matrix, every row belongs to one channel, or every
column does; NumPy is fast when rows are long, so which of the two is a question of size. Sums of short pieces are made
in the array's own dtype, the pieces added up in float64.
"""

from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from engine.arrays import Array
from engine.kernels.memory import CHWN, HWNC, lies, workspace
from engine.kernels.threads import Part, parts, together

CHUNK = 1 << 18  # floats at a time: less costs more in calls than it saves in memory
FEW = 1 << 16  # floats that NumPy's own sum is good enough for
LONG = 1 << 14  # floats in a row from which on its length does not matter


class Lanes(NamedTuple):
    """The three axes in memory of an (N, C, ...) array."""

    before: int
    channels: int
    after: int

    @staticmethod
    def of(x: Array) -> "Lanes | None":
        """Those of x; None when it has gaps or lies in no known order."""
        n, c = x.shape[:2]
        if x.size == 0:
            return None
        rest = x.size // (n * c)
        if x.flags.c_contiguous:
            return Lanes(n, c, rest)
        if x.ndim == 4 and lies(x, HWNC):
            return Lanes(rest * n, c, 1)
        if x.ndim == 4 and lies(x, CHWN):
            return Lanes(1, c, rest * n)
        return None

    def matrix(self, x: Array, shape: tuple[int, int]) -> Array:
        """x, of the memory order the lanes were made for, as a matrix: a view."""
        if not x.flags.c_contiguous:
            x = x.transpose(HWNC) if lies(x, HWNC) else x.transpose(CHWN)
        return x.reshape(shape)

    def _side_by_side(self, least: int) -> int:
        """How many pieces (C, after) make a row of at least so many floats (a power of two that divides `before`)."""
        many = 1
        while self.before % (2 * many) == 0 and many * self.channels * self.after < least:
            many *= 2
        return many

    # --- sums ---

    @property
    def sums_by_row(self) -> bool:
        return self.after >= 128

    @property
    def sums_shape(self) -> tuple[int, int]:
        """The matrix to sum over: a channel a row, or a channel a column."""
        if self.sums_by_row:
            return self.before * self.channels, self.after
        many = self._side_by_side(4096)
        return self.before // many, many * self.channels * self.after

    def total(self, found: Array) -> Array:
        """Sums along the lanes of that matrix, added up a channel in float64: (C,)."""
        shape = (self.before, self.channels, 1) if self.sums_by_row else (-1, self.channels, self.after)
        return np.asarray(found.reshape(shape).sum(axis=(0, 2), dtype=np.float64))

    # --- one number a channel, spread ---

    @property
    def spread_by_row(self) -> bool:
        return self.after >= LONG or (self.after >= 128 and self.channels * self.after > 2 * FEW)

    @property
    def spread_shape(self) -> tuple[int, int]:
        """The matrix to multiply by one number a channel."""
        if self.spread_by_row:
            return self.before * self.channels, self.after
        many = self._side_by_side(LONG)
        return self.before // many, many * self.channels * self.after

    def spread(self, v: Array, dtype: Any) -> Array:
        """One number a channel, (C,), shaped to meet that matrix."""
        return self.beside(v.astype(dtype), self.spread_by_row, self.spread_shape)

    def beside(self, v: Array, by_row: bool, shape: tuple[int, int]) -> Array:
        """One number a channel, (C,), beside every row of a matrix of this shape, or beside every value of its rows."""
        if by_row:
            return np.tile(v, self.before)[:, None]
        many = shape[1] // (self.channels * self.after)
        if many == 1:
            return np.repeat(v, self.after)
        row = np.empty((many, self.channels, self.after), v.dtype)
        row[...] = v[:, None]
        return row.reshape(-1)


def chunks(shape: tuple[int, int], nanoseconds: float) -> tuple[tuple[slice, ...], tuple[Part, ...]]:
    """The rows of a matrix in pieces of about CHUNK numbers, and which of the pieces each thread is to do."""
    return _chunks(shape, tuple(parts(shape[0], nanoseconds)))


@lru_cache(1024)
def _chunks(shape: tuple[int, int], shares: tuple[Part, ...]) -> tuple[tuple[slice, ...], tuple[Part, ...]]:
    step = max(1, CHUNK // shape[1])
    pieces: list[slice] = []
    ends = [0]
    for start, stop in shares:
        pieces += [slice(k, min(k + step, stop)) for k in range(start, stop, step)]
        ends.append(len(pieces))
    return tuple(pieces), tuple(pairwise(ends))


def totals(lanes: Lanes, a: Array, d: Array | None = None, offset: Array | None = None) -> tuple[Array, Array]:
    """The sums of a and (where d is given) of a * (d - offset) of every channel: float64 (C,) twice.

    With d the same array as a the second is the sum of (a - offset)^2.
    """
    shape = lanes.sums_shape
    by_row = lanes.sums_by_row
    pieces, shares = chunks(shape, (0.2 if d is None else 0.4) * a.size)
    m = lanes.matrix(a, shape)
    other = None if d is None else m if d is a else lanes.matrix(d, shape)
    minus = None if offset is None else lanes.beside(offset.astype(a.dtype), by_row, shape)
    first = np.empty(shape[0] if by_row else (len(pieces), shape[1]), a.dtype)
    second = np.zeros_like(first)
    ones = np.ones(shape[1] if by_row else max(rows.stop - rows.start for rows in pieces), a.dtype)

    def some(part: Part) -> None:
        for k in range(*part):
            rows = pieces[k]
            one = m[rows]
            if by_row:
                np.matmul(one, ones, out=first[rows])
            else:
                np.matmul(ones[: len(one)], one, out=first[k])
            if other is None:
                continue
            two = other[rows]
            if minus is not None:
                two = np.subtract(two, minus[rows] if by_row else minus, out=workspace("sums", two.shape, a.dtype))
            if by_row:
                np.vecdot(two if d is a else one, two, out=second[rows])
            else:
                np.einsum("ij,ij->j", two if d is a else one, two, out=second[k])

    together(some, shares)
    return lanes.total(first), lanes.total(second)


def channel_sums(x: Array) -> Array:
    """The sum of every channel of x (N, C, ...): (C,) in x's dtype.

    >>> channel_sums(np.ones((2, 3, 4, 5)))
    array([40., 40., 40.])
    """
    lanes = Lanes.of(x) if x.dtype == np.float32 and x.size >= FEW else None
    if lanes is None:
        return np.asarray(x.sum(axis=(0, *range(2, x.ndim))))
    return totals(lanes, x)[0].astype(x.dtype)
