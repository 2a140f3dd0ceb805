"""Convolution of any shape: the windows laid out as columns of a matrix, a few rows of results at a time, then BLAS.

With few channels (or groups) images lie CHWN: then each place of the kernel is a run of a whole row of all images. Only
the places beside each other are copied, each row of images once: what a row of results sees is KH such rows, a view.
With many channels images lie HWNC, the run is the channels, and every place of the kernel is copied. The result is left
in the order the *next* convolution will most likely want (`orders`; see memory.py).

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
BUDGET = 1 << 19  # floats of columns at a time


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
    """The windows on images x, a few rows of results at a time, as matrices.

    For images in HWNC order `matrix` is (pixels, KH*KW*C); in CHWN order it is (groups, rows, KH*C/groups*KW, OW*N).
    """

    def __init__(self, x: Array, where: Placement, groups: int, order: Order):
        self.where, self.groups, self.order = where, groups, order
        (top, bottom), (left, right) = where.pads
        h, w = where.image
        self.padded = framed(x, order, where.pads, (h + top + bottom, w + left + right), "columns x")
        n, c = x.shape[:2]
        self.window = where.size[0] * where.size[1] * c // groups
        self.row = where.out[1] * n  # pixels
        a_row = self.row * c * where.size[1] * (1 if order == CHWN else where.size[0])
        self.step = max(1, BUDGET // max(1, a_row) - (where.reach[0] if order == CHWN else 0))

    def rows(self, part: Part) -> list[slice]:
        """Rows of results whose columns stay in the cache."""
        return [slice(p, min(p + self.step, part[1])) for p in range(*part, self.step)]

    def matrix(self, rows: slice) -> Array:
        return self._by_pixel(rows) if self.order == HWNC else self._by_row(rows)

    def _by_pixel(self, rows: slice) -> Array:
        ow, (kh, kw), (sh, sw), (dh, dw) = self.where.out[1], self.where.size, self.where.stride, self.where.dilation
        _, _, n, c = self.padded.shape
        row, column, image, channel = self.padded.strides
        shape = (rows.stop - rows.start, ow, n, kh, kw, c)
        strides = (row * sh, column * sw, image, row * dh, column * dw, channel)
        seen = np.ndarray(shape, self.padded.dtype, self.padded, rows.start * sh * row, strides)  # a view
        if self.where.is_pointwise:
            return seen.reshape(-1, self.window)  # still a view
        cols = workspace("columns", shape, seen.dtype)
        cols[...] = seen
        return cols.reshape(-1, self.window)

    def _by_row(self, rows: slice) -> Array:
        ow, (kh, kw), (sh, sw), (dh, dw) = self.where.out[1], self.where.size, self.where.stride, self.where.dilation
        c, _, _, n = self.padded.shape
        groups, many = self.groups, rows.stop - rows.start
        channel, row, column, image = self.padded.strides
        each = self.padded.itemsize
        a_row = c // groups * kw * ow * n * each
        if dh == 1:  # (groups, rows of images, C/groups, KW, OW, N): a row of results sees KH of these rows
            tall = (many - 1) * sh + kh
            shape: tuple[int, ...] = (groups, tall, c // groups, kw, ow, n)
            strides: tuple[int, ...] = (c // groups * channel, row, channel, column * dw, column * sw, image)
            step = sh * a_row
        else:  # every row of results has KH rows of its own
            tall = many * kh
            shape = (groups, many, kh, c // groups, kw, ow, n)
            strides = (c // groups * channel, row * sh, row * dh, channel, column * dw, column * sw, image)
            step = kh * a_row
        seen = np.ndarray(shape, self.padded.dtype, self.padded, rows.start * sh * row, strides)
        cols = workspace("columns", shape, seen.dtype)
        cols[...] = seen
        matrices = (groups, many, self.window, ow * n)
        return np.ndarray(matrices, cols.dtype, cols, 0, (tall * a_row, step, ow * n * each, each))


def _matrix(w: Array, order: Order, groups: int) -> Array:
    """The filters as (KH*KW*C, F) for HWNC columns, (groups, 1, F/groups, KH*C/groups*KW) for CHWN ones."""
    f, c, kh, kw = w.shape
    if order == HWNC:
        return np.ascontiguousarray(w.transpose(2, 3, 1, 0).reshape(kh * kw * c, f))
    return np.ascontiguousarray(w.transpose(0, 2, 1, 3)).reshape(groups, 1, f // groups, kh * c * kw)


def _by_group(y: Array, groups: int) -> Array:
    """Results (F, rows, OW, N) as (groups, rows, F/groups, OW*N): a view."""
    f, rows, ow, n = y.shape
    return y.reshape(groups, f // groups, rows, ow * n).transpose(0, 2, 1, 3)


def forward(
    x: Array, w: Array, where: Placement, groups: int, order: Orders, b: Array | None = None
) -> Array:
    """The responses of filters w (F, C/groups, KH, KW) to images x (N, C, H, W), plus b (F,): (N, F, OH, OW)."""
    n, f = x.shape[0], w.shape[0]
    columns, filters = Columns(x, where, groups, order.image), _matrix(w, order.image, groups)
    result = empty((n, f, *where.out), order.result, x.dtype if x.dtype == w.dtype else np.result_type(x, w))
    y = result.transpose(order.result)
    biases = None if b is None else np.tile(b, n) if order.result == HWNC else b[:, None, None, None]

    def some(part: Part) -> None:
        for rows in columns.rows(part):
            cols = columns.matrix(rows)
            if order.result == HWNC:
                here = y[rows]
                if order.image == HWNC:  # (pixels, K) @ (K, F)
                    np.matmul(cols, filters, out=here.reshape(-1, f))
                else:  # of every row (K, OW*N) turned, @ (K, F)
                    np.matmul(cols[0].swapaxes(1, 2), filters[0, 0].T, out=here.reshape(len(here), -1, f))
                if biases is not None:
                    lines = here.reshape(-1, n * f)
                    lines += biases
            else:
                here = y[:, rows]
                if order.image == HWNC:  # (F, K) @ (K, pixels)
                    np.matmul(filters.T, cols.T, out=here.reshape(f, -1))
                else:  # of every group and row (F/groups, K) @ (K, OW*N)
                    np.matmul(filters, cols, out=_by_group(here, groups))
                if biases is not None:
                    here += biases

    together(some, parts(where.out[0], 0.03 * result.size * columns.window))
    return result


def filter_gradient(
    g: Array, x: Array, shape: tuple[int, ...], where: Placement, groups: int, order: Orders
) -> Array:
    """The gradient of filters of `shape`, given g (N, F, OH, OW), the gradient of the responses to x."""
    f, c, kh, kw = shape
    columns, arrived = Columns(x, where, groups, order.image), ordered(g, order.result)

    def some(part: Part) -> list[Array]:
        found = []
        for rows in columns.rows(part):
            cols = columns.matrix(rows)
            if order.image == HWNC:  # (K, pixels) @ (pixels, F)
                found.append(np.matmul(cols.T, arrived[rows].reshape(-1, f)))
            elif order.result == HWNC:  # of every row (K, OW*N) @ (OW*N, F)
                here = arrived[rows]
                found.append(np.matmul(cols[0], here.reshape(len(here), -1, f)).sum(axis=0))
            else:  # of every group and row (F/groups, OW*N) @ (OW*N, K)
                found.append(np.matmul(_by_group(arrived[:, rows], groups), cols.swapaxes(2, 3)).sum(axis=1))
        return found

    totals = together(some, parts(where.out[0], 0.03 * g.size * columns.window))
    total = _added([one for part in totals for one in part])
    if order.image == HWNC:  # (KH*KW*C, F)
        return total.reshape(kh, kw, c, f).transpose(3, 2, 0, 1)
    return (total.T if order.result == HWNC else total).reshape(f, kh, c, kw).transpose(0, 2, 1, 3)


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
        many = rows.stop - rows.start
        if order.image == HWNC:  # (pixels, F) @ (F, K)
            painted = workspace("columns", (many * ow * n, kh * kw * c), dtype)
            np.matmul(arrived[rows].reshape(-1, f), filters.T, out=painted)
            return painted.reshape(many, ow, n, kh, kw, c).transpose(3, 4, 0, 1, 2, 5)
        grouped = workspace("columns", (groups, many, c // groups * kh * kw, ow * n), dtype)
        if order.result == HWNC:  # of every row (K, F) @ (F, OW*N)
            np.matmul(filters[0, 0].T, arrived[rows].reshape(many, -1, f).swapaxes(1, 2), out=grouped[0])
        else:
            np.matmul(filters.swapaxes(2, 3), _by_group(arrived[:, rows], groups), out=grouped)
        tiles = grouped.reshape(groups, many, kh, c // groups, kw, ow, n).transpose(2, 4, 1, 5, 0, 3, 6)
        return tiles  # (KH, KW, rows, OW, groups, C/groups, N)

    def some(part: Part, out: Array) -> None:
        if order.image == HWNC:
            inside = out  # rows, columns, ...
        else:
            inside = out.reshape(groups, c // groups, *out.shape[1:]).transpose(2, 3, 0, 1, 4)
        for p in range(*part, step):
            rows = slice(p, min(p + step, part[1]))
            tiles, first = paint(rows), (p - part[0]) * sh
            for i in range(kh):
                for j in range(kw):
                    down = slice(first + i * dh, first + i * dh + (rows.stop - p - 1) * sh + 1, sh)
                    across = slice(j * dw, j * dw + (ow - 1) * sw + 1, sw)
                    inside[down, across] += tiles[i, j]

    whole = tuple(padded[axis] for axis in order.image)
    nanoseconds = 0.05 * g.size * filters.size / f
    dx = overlap_add(whole, order.image.index(2), oh, sh, where.reach[0], dtype, some, nanoseconds)
    if dx.shape == tuple(shape[axis] for axis in order.image):
        return images(dx, order.image)
    result = empty(shape, order.image, dtype)
    result[...] = crop(images(dx, order.image), where.pads)
    return result
