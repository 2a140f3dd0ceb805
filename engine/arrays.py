"""Array moves an op is made of, each beside its adjoint: pad and crop, windows and fold.

An adjoint is what the way back of a linear move is: for every x and g of fitting shapes
`(move(x) * g).sum() == (x * adjoint(g)).sum()`. The tests ask exactly that.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import as_strided

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Pair: TypeAlias = tuple[int, int]
Pads: TypeAlias = tuple[Pair, Pair]  # ((top, bottom), (left, right))


def pad(x: Array, pads: Pads, value: float = 0.0) -> Array:
    """x (..., H, W) in a frame of `value`; x itself when there is nothing to add.

    >>> pad(np.ones((1, 2)), ((1, 0), (0, 1)))
    array([[0., 0., 0.],
           [1., 1., 0.]])
    """
    (top, bottom), (left, right) = pads
    if top == bottom == left == right == 0:
        return x
    *lead, h, w = x.shape
    out = np.full_like(x, value, shape=(*lead, h + top + bottom, w + left + right))  # in the memory order of x
    out[..., top : top + h, left : left + w] = x
    return out


def crop(g: Array, pads: Pads) -> Array:
    """What is inside the frame, as a view: the adjoint of `pad`.

    >>> crop(np.arange(6.0).reshape(2, 3), ((1, 0), (0, 1)))
    array([[3., 4.]])
    """
    (top, bottom), (left, right) = pads
    return g[..., top : g.shape[-2] - bottom, left : g.shape[-1] - right]


def windows(x: Array, size: Pair, stride: Pair, dilation: Pair) -> Array:
    """Every whole window of x (..., H, W) as a read-only view (..., KH, KW, OH, OW): nothing is copied.

        windows(x)[..., i, j, p, q] = x[..., p * stride + i * dilation, q * stride + j * dilation]

    >>> windows(np.arange(9).reshape(3, 3), (2, 2), (1, 1), (1, 1))[:, :, 0, 1]   # the window one to the right
    array([[1, 2],
           [4, 5]])
    """
    (kh, kw), (sh, sw), (dh, dw) = size, stride, dilation
    *lead, h, w = x.shape
    *lead_strides, row, column = x.strides
    oh = (h - dh * (kh - 1) - 1) // sh + 1
    ow = (w - dw * (kw - 1) - 1) // sw + 1
    shape = (*lead, kh, kw, oh, ow)
    strides = (*lead_strides, row * dh, column * dw, row * sh, column * sw)
    return as_strided(x, shape, strides, writeable=False)


def fold(g: Array, shape: tuple[int, ...], stride: Pair, dilation: Pair) -> Array:
    """Windows g (..., KH, KW, OH, OW) added back to the places of an array of `shape` they look at: the adjoint.

    >>> fold(np.ones((2, 2, 2, 2)), (3, 3), (1, 1), (1, 1))    # how many windows each place was in
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    (sh, sw), (dh, dw) = stride, dilation
    kh, kw, oh, ow = g.shape[-4:]
    out = np.zeros(shape, g.dtype)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dh, i * dh + (oh - 1) * sh + 1, sh)
            columns = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
            out[..., rows, columns] += g[..., i, j, :, :]
    return out


BITS = {2: np.int16, 4: np.int32, 8: np.int64}  # whole numbers as wide as a float


def masked(g: Array, mask: Array) -> Array:
    """g where the mask (bools) holds and 0 elsewhere, whatever g is there: its own adjoint.

    A product with the mask would make nan of an inf that was not chosen. As bits it is as fast as the product.

    >>> masked(np.array([1.0, np.inf, np.nan]), np.array([True, False, False]))
    array([1., 0., 0.])
    """
    bits = BITS.get(g.itemsize)
    if bits is None:
        return np.where(mask, g, g.dtype.type(0))
    return np.asarray(g.view(bits) & np.negative(mask.view(np.int8))).view(g.dtype)


def take(x: Array, index: Array, axis: int) -> Array:
    """Slices of x at the places `index` (rising, a place may come twice or never) along one axis: a copy.

    >>> take(np.array([5.0, 6.0, 7.0]), np.array([0, 0, 2]), 0)
    array([5., 5., 7.])
    """
    return np.take(x, index, axis=axis)


def put(g: Array, index: Array, axis: int, length: int) -> Array:
    """Slices added back to where `take` took them from an axis of `length`: the adjoint.

    >>> put(np.array([1.0, 2.0, 4.0]), np.array([0, 0, 2]), 0, 3)
    array([3., 0., 4.])
    """
    shape = list(g.shape)
    shape[axis] = length
    out = np.zeros(shape, g.dtype)
    begins = np.flatnonzero(np.diff(index, prepend=-1))  # rising, so equal places stand together
    where: list[slice | Array] = [slice(None)] * g.ndim
    where[axis] = index[begins]
    out[tuple(where)] = np.add.reduceat(g, begins, axis=axis)
    return out
