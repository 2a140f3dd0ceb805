"""Convolution of any shape: the windows laid out as columns of a matrix, a few rows of results at a time, then BLAS.

With few channels (or groups) images lie CHWN: then each place of the kernel is a run of a whole row of all images, and
the columns are copied at the speed of memory. With many channels they lie HWNC and the run is the channels. The result
is left in the order the *next* convolution will most likely want (`orders`; see memory.py).

`forward` is linear in both arrays; `image_gradient` and `filter_gradient` are its adjoints in each of them.
"""

from typing import NamedTuple

import numpy as np

from engine.arrays import crop, windows
from engine.core import Array, Vjp
from engine.geometry import Placement
from engine.kernels.memory import CHWN, HWNC, Order, empty, framed, images, lies, ordered, workspace
from engine.kernels.sums import channel_sums
from engine.kernels.threads import Part, overlap_add, parts, together

FEW, MANY = 32, 64  # channels that are a run worth copying: if they lie so already, and if they have to be turned
BUDGET = 1 << 18  # floats of columns at a time


class Orders(NamedTuple):
    """The memory orders of the images and of the results of a convolution."""

    image: Order
    result: Order


def orders(shape: tuple[int, ...], filters: int, where: Placement, groups: int, x: Array | None = None) -> Orders:
    """The rule, for images of `shape` (x, where they are there already, for the order they lie in)."""
    if groups > 1:
        return Orders(CHWN, CHWN)
    pixels_first = x is not None and lies(x, HWNC)
    if where.is_pointwise:  # copies nothing, so it takes either order as it comes
        image = HWNC if pixels_first or (shape[1] >= FEW and not (x is not None and lies(x, CHWN))) else CHWN
        return Orders(image, image)
    image = HWNC if shape[1] >= (FEW if pixels_first else MANY) else CHWN
    small = max(where.size) <= 3  # and so, most likely, are the next ones: what Winograd wants
    return Orders(image, HWNC if image == HWNC or filters >= MANY or (small and filters >= 16) else CHWN)


def conv(x: Array, w: Array, b: Array | None, where: Placement, groups: int) -> tuple[Array, Vjp]:
    """conv2d: the value and the way back to (dx, dw, db)."""
    order = orders(x.shape, w.shape[0], where, groups, x)
    y = forward(x, w, where, groups, order, b)

    def vjp(g: Array, needs: tuple[bool, bool, bool] = (True, True, True)) -> tuple[Array | None, ...]:
        dx = image_gradient(g, w, x.shape, where, groups, order) if needs[0] else None
        dw = filter_gradient(g, x, w.shape, where, groups, order) if needs[1] else None
        return dx, dw, channel_sums(g) if needs[2] else None

    return y, vjp


def forward(
    x: Array, w: Array, where: Placement, groups: int, order: Orders, b: Array | None = None
) -> Array:
    """The responses of filters w (F, C/groups, KH, KW) to images x (N, C, H, W), plus b (F,): (N, F, OH, OW)."""
    padded = _padded(x, order.image, where)
    n, f, (oh, ow) = x.shape[0], w.shape[0], where.out
    matrix = _matrix(w, order.image, groups)
    biases = None if b is None else np.tile(b, n) if order.result == HWNC else b[:, None, None, None]
    result = empty((n, f, oh, ow), order.result, np.result_type(x, w))
    y = result.transpose(order.result)

    def rows(part: Part) -> None:
        for p in _rows_at_once(part, where, n, w):
            cols = _columns(padded, order.image, where, p, groups)
            if order == (HWNC, HWNC):  # (pixels, K) @ (K, F)
                np.matmul(cols, matrix, out=y[p].reshape(-1, f))
            elif order.image == HWNC:  # the same turned
                y[:, p] = np.matmul(matrix.T, cols.T).reshape(f, -1, ow, n)
            elif order.result == HWNC:  # (K, pixels) turned, @ (K, F)
                np.matmul(cols[0].T, matrix[0].T, out=y[p].reshape(-1, f))
            else:  # (groups, F/groups, K) @ (groups, K, pixels)
                y[:, p] = np.matmul(matrix, cols).reshape(f, -1, ow, n)
            if biases is not None and order.result == HWNC:
                y[p].reshape(-1, n * f)[...] += biases
            elif biases is not None:
                y[:, p] += biases

    together(rows, parts(oh, float(y.size) * matrix.shape[-1]))
    return result


def filter_gradient(
    g: Array, x: Array, shape: tuple[int, ...], where: Placement, groups: int, order: Orders
) -> Array:
    """The gradient of filters of `shape`, given g (N, F, OH, OW), the gradient of the responses to x."""
    f = shape[0]
    padded = _padded(x, order.image, where)
    arrived = ordered(g, order.result)
    n = x.shape[0]

    def rows(part: Part) -> Array:
        total = np.zeros((groups, f // groups, shape[1] * shape[2] * shape[3]), np.result_type(g, x))
        for p in _rows_at_once(part, where, n, np.empty(shape, bool)):
            cols = _columns(padded, order.image, where, p, groups)
            if order.image == HWNC:
                total[0] += (cols.T @ arrived[p].reshape(-1, f)).T
            elif order.result == HWNC:
                total[0] += (cols[0] @ arrived[p].reshape(-1, f)).T
            else:
                total += arrived[:, p].reshape(groups, f // groups, -1) @ cols.swapaxes(1, 2)
        return total

    found = together(rows, parts(where.out[0], float(g.size) * shape[1]))
    return _filters(sum(found[1:], start=found[0]), order.image, shape)


def image_gradient(
    g: Array, w: Array, images_shape: tuple[int, ...], where: Placement, groups: int, order: Orders
) -> Array:
    """The gradient of the images, given g (N, F, OH, OW): every gradient paints its filter back.

    With steps of one pixel that is a convolution of g with the turned filters, which copies the windows of g instead of
    adding up painted windows of the images: better unless the images have far fewer channels.
    """
    n, c, h, wide = images_shape
    f, (oh, ow) = w.shape[0], where.out
    if where.can_turn and groups == 1 and f <= 2 * c:
        turned = np.ascontiguousarray(w[:, :, ::-1, ::-1].swapaxes(0, 1))
        image = HWNC if order.result == HWNC and f >= FEW else CHWN
        return forward(g, turned, where.turned(), 1, Orders(image, order.image))
    arrived = ordered(g, order.result)
    matrix = _matrix(w, order.image, groups)
    (top, bottom), (left, right) = where.pads
    (kh, kw), (sh, sw), (dh, dw) = where.size, where.stride, where.dilation
    shape = [n, c, h + top + bottom, wide + left + right]
    dtype = np.result_type(g, w)

    def rows(part: Part, out: Array) -> None:
        for p in _rows_at_once(part, where, n, w):
            size = (p.stop - p.start) * ow * n
            if order.image == HWNC:
                painted = workspace("columns", (size, matrix.shape[0]), dtype)
                np.matmul(arrived[p].reshape(-1, f), matrix.T, out=painted)
                tiles = painted.reshape(-1, ow, n, kh, kw, c).transpose(3, 4, 0, 1, 2, 5)
                inside = out
            else:
                painted = workspace("columns", (groups, matrix.shape[2], size), dtype)
                if order.result == HWNC:
                    np.matmul(matrix[0].T, arrived[p].reshape(-1, f).T, out=painted[0])
                else:
                    np.matmul(matrix.swapaxes(1, 2), arrived[:, p].reshape(groups, f // groups, -1), out=painted)
                tiles = painted.reshape(c, kh, kw, -1, ow, n).transpose(1, 2, 3, 4, 0, 5)
                inside = out.transpose(1, 2, 0, 3)
            first = (p.start - part[0]) * sh
            for i in range(kh):
                for j in range(kw):
                    down = slice(first + i * dh, first + i * dh + (p.stop - p.start - 1) * sh + 1, sh)
                    across = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
                    inside[down, across] += tiles[i, j]

    axis = order.image.index(2)
    reach = where.reach[0]
    whole = tuple(shape[a] for a in order.image)
    dx = overlap_add(whole, axis, oh, sh, reach, dtype, rows, float(g.size) * matrix.shape[-1])
    cropped = crop(images(dx, order.image), where.pads)
    return images(ordered(cropped, order.image), order.image)


def _padded(x: Array, order: Order, where: Placement) -> Array:
    (top, bottom), (left, right) = where.pads
    h, w = where.image
    return framed(x, order, where.pads, (h + top + bottom, w + left + right), "columns x")


def _rows_at_once(part: Part, where: Placement, n: int, w: Array) -> list[slice]:
    a_row = max(1, where.out[1] * n * w[0].size)
    step = max(1, BUDGET // a_row)
    return [slice(p, min(p + step, part[1])) for p in range(*part, step)]


def _columns(padded: Array, order: Order, where: Placement, rows: slice, groups: int) -> Array:
    """The windows of some rows of results: (pixels, KH*KW*C) for HWNC, (groups, C/groups*KH*KW, pixels) for CHWN."""
    sh, reach = where.stride[0], where.reach[0]
    seen = images(padded, order)[:, :, rows.start * sh : (rows.stop - 1) * sh + reach]
    seen = windows(seen, where.size, where.stride, where.dilation)  # (n, c, kh, kw, rows, ow)
    n, c, kh, kw, count, ow = seen.shape
    if order == HWNC:
        seen, shape = seen.transpose(4, 5, 0, 2, 3, 1), (count * ow * n, kh * kw * c)
    else:
        seen, shape = seen.transpose(1, 2, 3, 4, 5, 0), (groups, c // groups * kh * kw, count * ow * n)  # type: ignore[assignment]
    if where.is_pointwise:
        return seen.reshape(shape)  # a view
    cols = workspace("columns", seen.shape, padded.dtype)
    cols[...] = seen
    return cols.reshape(shape)


def _matrix(w: Array, order: Order, groups: int) -> Array:
    """The filters as (KH*KW*C, F) for HWNC columns, (groups, F/groups, C/groups*KH*KW) for CHWN ones."""
    if order == HWNC:
        return np.ascontiguousarray(w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0]))
    return w.reshape(groups, w.shape[0] // groups, -1)


def _filters(total: Array, order: Order, shape: tuple[int, ...]) -> Array:
    f, c, kh, kw = shape
    if order == HWNC:
        return total.reshape(f, kh, kw, c).transpose(0, 3, 1, 2)
    return total.reshape(shape)
