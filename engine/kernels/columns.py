"""Convolution of any shape: the windows laid out as columns of a matrix, a few rows of results at a time, then BLAS.

With few channels (or groups) images lie CHWN: then each place of the kernel is a run of a whole row of all images, and
the columns are copied at the speed of memory. With many channels they lie HWNC and the run is the channels. The result
is left in the order the *next* convolution will most likely want (`orders`; see memory.py).

`forward` is linear in both arrays; `image_gradient` and `filter_gradient` are its adjoints in each of them.
"""

from typing import NamedTuple

import numpy as np

from engine.arrays import crop
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


class Columns:
    """The windows on images x, a few rows of results at a time, as a matrix.

    For images in HWNC order it is (pixels, KH*KW*C), in CHWN order (groups, C/groups*KH*KW, pixels).
    """

    def __init__(self, x: Array, where: Placement, groups: int, order: Order):
        self.where, self.groups, self.order = where, groups, order
        (top, bottom), (left, right) = where.pads
        h, w = where.image
        padded = framed(x, order, where.pads, (h + top + bottom, w + left + right), "columns x")
        n, c = x.shape[:2]
        (kh, kw), (sh, sw), (dh, dw), (oh, ow) = where.size, where.stride, where.dilation, where.out
        if order == HWNC:
            row, column, image, channel = padded.strides
            shape = (oh, ow, n, kh, kw, c)
            strides = (row * sh, column * sw, image, row * dh, column * dw, channel)
            self.a_window = kh * kw * c
        else:
            channel, row, column, image = padded.strides
            shape = (c, kh, kw, oh, ow, n)
            strides = (channel, row * dh, column * dw, row * sh, column * sw, image)
            self.a_window = kh * kw * c // groups
        self.a_row = ow * n  # pixels
        self.seen = np.ndarray(shape, padded.dtype, padded, 0, strides)  # a view, as as_strided makes, but at once

    def rows(self, part: Part) -> list[slice]:
        """Rows of results whose columns stay in the cache."""
        step = max(1, BUDGET // max(1, self.a_row * self.a_window * self.groups))
        if part[1] - part[0] <= step:
            return [slice(*part)]
        return [slice(p, min(p + step, part[1])) for p in range(*part, step)]

    def matrix(self, rows: slice) -> Array:
        pixels = (rows.stop - rows.start) * self.a_row
        if self.order == HWNC:
            seen, shape = self.seen[rows], (pixels, self.a_window)
        else:
            seen, shape = self.seen[:, :, :, rows], (self.groups, self.a_window, pixels)  # type: ignore[assignment]
        if self.where.is_pointwise:
            return seen.reshape(shape)  # still a view
        cols = workspace("columns", seen.shape, seen.dtype)
        cols[...] = seen
        return cols.reshape(shape)


def forward(
    x: Array, w: Array, where: Placement, groups: int, order: Orders, b: Array | None = None
) -> Array:
    """The responses of filters w (F, C/groups, KH, KW) to images x (N, C, H, W), plus b (F,): (N, F, OH, OW)."""
    n, f = x.shape[0], w.shape[0]
    columns, filters = Columns(x, where, groups, order.image), _matrix(w, order.image, groups)
    result = empty((n, f, *where.out), order.result, x.dtype if x.dtype == w.dtype else np.result_type(x, w))
    y = result.transpose(order.result)
    biases = None if b is None else np.tile(b, n) if order.result == HWNC else b[:, None]

    def some(part: Part) -> None:
        for rows in columns.rows(part):
            cols = columns.matrix(rows)
            if order.result == HWNC:
                here = y[rows].reshape(-1, f)  # (pixels, F)
                if order.image == HWNC:  # (pixels, K) @ (K, F)
                    np.matmul(cols, filters, out=here)
                else:  # (K, pixels) turned, @ (K, F)
                    np.matmul(cols[0].T, filters[0].T, out=here)
                if biases is not None:
                    here = here.reshape(-1, n * f)
                    here += biases
            else:
                here = y[:, rows].reshape(f, -1)  # (F, pixels)
                if order.image == HWNC:
                    np.matmul(filters.T, cols.T, out=here)
                else:  # (groups, F/groups, K) @ (groups, K, pixels)
                    np.matmul(filters, cols, out=here.reshape(groups, f // groups, -1))
                if biases is not None:
                    here += biases

    together(some, parts(where.out[0], float(result.size) * columns.a_window))
    return result


def filter_gradient(
    g: Array, x: Array, shape: tuple[int, ...], where: Placement, groups: int, order: Orders
) -> Array:
    """The gradient of filters of `shape`, given g (N, F, OH, OW), the gradient of the responses to x."""
    f = shape[0]
    columns, arrived = Columns(x, where, groups, order.image), ordered(g, order.result)

    def some(part: Part) -> list[Array]:
        found = []
        for rows in columns.rows(part):
            cols = columns.matrix(rows)
            if order.result == HWNC:  # (K, pixels) @ (pixels, F)
                found.append(np.matmul(cols.T if order.image == HWNC else cols[0], arrived[rows].reshape(-1, f)))
            else:  # (groups, F/groups, pixels) @ (groups, pixels, K)
                here = arrived[:, rows].reshape(groups, f // groups, -1)
                found.append(np.matmul(here, cols.swapaxes(1, 2)))
        return found

    totals = together(some, parts(where.out[0], float(g.size) * columns.a_window))
    total = _added([one for part in totals for one in part])
    if order.image == HWNC:  # (KH*KW*C, F)
        return total.reshape(*shape[2:], shape[1], f).transpose(3, 2, 0, 1)
    return (total.T if order.result == HWNC else total).reshape(shape)


def _added(found: list[Array]) -> Array:
    total = found[0]
    for one in found[1:]:
        total += one
    return total


def image_gradient(
    g: Array, w: Array, shape: tuple[int, ...], where: Placement, groups: int, order: Orders
) -> Array:
    """The gradient of images of `shape`, given g (N, F, OH, OW): every gradient paints its filter back.

    With steps of one pixel that is a convolution of g with the turned filters, which copies the windows of g instead of
    adding up painted windows of the images: better unless the images have far fewer channels.
    """
    f, c = w.shape[0], shape[1]
    if where.can_turn and groups == 1 and f <= 2 * c:
        turned = np.ascontiguousarray(w[:, :, ::-1, ::-1].swapaxes(0, 1))
        image = HWNC if order.result == HWNC and f >= FEW else CHWN
        return forward(g, turned, where.turned(), 1, Orders(image, order.image))
    n, _, h, wide = shape
    arrived, filters = ordered(g, order.result), _matrix(w, order.image, groups)
    (top, bottom), (left, right) = where.pads
    (kh, kw), (sh, sw), (dh, dw), (oh, ow) = where.size, where.stride, where.dilation, where.out
    padded = (n, c, h + top + bottom, wide + left + right)
    dtype = np.result_type(g, w)
    step = max(1, BUDGET // max(1, ow * n * c * kh * kw))

    def paint(rows: slice) -> Array:
        """The painted windows of some rows of results: (KH, KW, rows, OW, then the other axes in their order)."""
        pixels = (rows.stop - rows.start) * ow * n
        if order.image == HWNC:  # (pixels, F) @ (F, K)
            painted = workspace("columns", (pixels, kh * kw * c), dtype)
            np.matmul(arrived[rows].reshape(-1, f), filters.T, out=painted)
            return painted.reshape(-1, ow, n, kh, kw, c).transpose(3, 4, 0, 1, 2, 5)
        grouped = workspace("columns", (groups, c // groups * kh * kw, pixels), dtype)
        if order.result == HWNC:  # (K, F) @ (F, pixels)
            np.matmul(filters[0].T, arrived[rows].reshape(-1, f).T, out=grouped[0])
        else:
            np.matmul(filters.swapaxes(1, 2), arrived[:, rows].reshape(groups, f // groups, -1), out=grouped)
        return grouped.reshape(c, kh, kw, -1, ow, n).transpose(1, 2, 3, 4, 0, 5)

    def some(part: Part, out: Array) -> None:
        inside = out if order.image == HWNC else out.transpose(1, 2, 0, 3)  # rows, columns, ...
        for p in range(*part, step):
            rows = slice(p, min(p + step, part[1]))
            tiles, first = paint(rows), (p - part[0]) * sh
            for i in range(kh):
                for j in range(kw):
                    down = slice(first + i * dh, first + i * dh + (rows.stop - p - 1) * sh + 1, sh)
                    across = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
                    inside[down, across] += tiles[i, j]

    whole = tuple(padded[axis] for axis in order.image)
    work = float(g.size) * c * kh * kw
    dx = overlap_add(whole, order.image.index(2), oh, sh, where.reach[0], dtype, some, work)
    if dx.shape == tuple(shape[axis] for axis in order.image):
        return images(dx, order.image)
    result = empty(shape, order.image, dtype)
    result[...] = crop(images(dx, order.image), where.pads)
    return result


def _matrix(w: Array, order: Order, groups: int) -> Array:
    """The filters as (KH*KW*C, F) for HWNC columns, (groups, F/groups, C/groups*KH*KW) for CHWN ones."""
    if order == HWNC:
        return np.ascontiguousarray(w.transpose(2, 3, 1, 0).reshape(-1, w.shape[0]))
    return w.reshape(groups, w.shape[0] // groups, -1)
