"""Depthwise convolution, one small filter a channel: too little arithmetic for a matrix product to pay its copies.

einsum's inner loop is a fused multiply-add, out[run] += x[run] * weight, so each place of the kernel is one pass over
a run of memory, and the longer the run, the better. Planes (NCHW or CHWN): the weight is one number and the run a whole
plane of results, of one image or of all. The images are copied once for each column of the kernel, so that a step to
the right is another copy, and a step down is the same copy from one row further on. Pixels (HWNC): the run is the
channels of all images at one pixel, and so are the weights; for images that come so, for few and small ones, and for
steps of more than one pixel.
"""

import numpy as np

from engine.arrays import crop, windows
from engine.core import Array, Vjp
from engine.geometry import Placement
from engine.kernels.memory import CHWN, HWNC, NCHW, Order, empty, framed, images, order_of, ordered, workspace
from engine.kernels.runs import run_by_run
from engine.kernels.sums import channel_sums
from engine.kernels.threads import Part, parts, together

LONG = 512  # numbers in a run from which on its length does not matter much
ROOM = 1 << 19  # floats of copied planes at a time: more would leave the cache, less would be many calls


def fits(x: Array, w: Array, where: Placement, groups: int) -> bool:
    """The rule: one filter a channel, float32, and with steps of one pixel padding less than the kernel reaches."""
    if groups == 1 or not groups == x.shape[1] == w.shape[0] or x.dtype != np.float32 or w.dtype != np.float32:
        return False
    return (where.can_turn or where.stride != (1, 1)) and x.size > 0


def conv(x: Array, w: Array, b: Array | None, where: Placement) -> tuple[Array, Vjp]:
    """conv2d with a filter a channel: the value and the way back to (dx, dw, db)."""
    order = _order(x, where)
    return _conv_pixels(x, w[:, 0], b, where) if order == HWNC else _conv_planes(x, w[:, 0], b, where, order)


def _order(x: Array, where: Placement) -> Order:
    """The memory order to work in: that of x, unless its runs would be short."""
    if where.stride != (1, 1) or where.many * x.shape[0] < LONG:
        return HWNC
    order = order_of(x)
    if order == CHWN or (order == HWNC and x.shape[0] >= 4):
        return order
    return NCHW if where.many >= LONG else CHWN


# --- NCHW: one run is a plane of results. CHWN: that of all images, a step to the right being over all images ---


def _conv_planes(x: Array, taps: Array, b: Array | None, where: Placement, order: Order) -> tuple[Array, Vjp]:
    """`conv` in this order, taps (C, KH, KW). The way back needs the images themselves, nothing that was copied."""
    n, c = x.shape[:2]
    each, wide = (n, 1) if order == NCHW else (1, n)  # planes a channel, and numbers a pixel
    planes = ordered(x, order).reshape(each * c, -1)
    y = empty((n, c, *where.out), order, x.dtype)
    _slide(planes, where, wide, np.tile(taps, (each, 1, 1)), y.transpose(order).reshape(each * c, -1),
           None if b is None else np.tile(b, each))

    def vjp(g: Array, needs: tuple[bool, bool, bool] = (True, True, True)) -> tuple[Array | None, ...]:
        arrived = ordered(g, order)
        dx = empty(x.shape, order, x.dtype) if needs[0] else None
        dw = np.empty((each * c, *where.size), x.dtype) if needs[1] else None
        if needs[0] or needs[1]:  # windows on the results: dx is what the turned filter sees in them
            _slide(arrived.reshape(each * c, -1), where.turned(), wide, np.tile(taps[:, ::-1, ::-1], (each, 1, 1)),
                   None if dx is None else dx.transpose(order).reshape(each * c, -1), None, planes, dw)
        total = None if dw is None else dw.reshape(each, c, *where.size).sum(axis=0)[:, None, ::-1, ::-1]
        return dx, total, channel_sums(images(arrived, order)) if needs[2] else None

    return y, vjp


def _slide(
    planes: Array, where: Placement, wide: int, taps: Array, y: Array | None, b: Array | None,
    beside: Array | None = None, dots: Array | None = None,
) -> None:
    """What windows on planes (P, H * W * wide) see, a pixel being so many numbers: y (P, OH * OW * wide) by filters
    taps (P, KH, KW) and b (P,), one a plane, and dots (P, KH, KW) by the planes `beside`, shaped as y: the sum of
    products at each place of the kernel."""
    (top, bottom), (left, _) = where.pads
    (kh, kw), (dh, dw), (oh, ow), (h, w) = where.size, where.dilation, where.out, where.image
    rows = planes.reshape(-1, h, w * wide)
    taps = taps.swapaxes(1, 2)
    some = max(1, ROOM // (kw * (top + h + bottom) * ow * wide))

    def work(part: Part) -> None:
        copies = workspace("depthwise", (min(some, part[1] - part[0]), kw, top + h + bottom, ow * wide), rows.dtype)
        copies[...] = 0
        seen = windows(copies, (kh, 1), (1, 1), (dh, 1)).reshape(len(copies), kw, kh, oh * ow * wide)
        for start in range(*part, some):
            here = slice(start, min(start + some, part[1]))
            count = here.stop - start
            for j in range(kw):
                first = j * dw - left  # the image's column that is the copy's first
                begin, end = max(0, -first), min(ow, w - first)
                if begin < end:
                    copies[:count, j, top : top + h, begin * wide : end * wide] = rows[
                        here, :, (begin + first) * wide : (end + first) * wide]
            if y is not None:
                np.einsum("pjil,pji->pl", seen[:count], taps[here], out=y[here])
                if b is not None:
                    with run_by_run(y.shape[1]):
                        y[here] += b[here, None]
            if beside is not None and dots is not None:
                np.vecdot(beside[here, None, None], seen[:count], out=dots[here].swapaxes(1, 2))

    together(work, parts(len(rows), 0.3 * rows.size * kh * kw))


# --- HWNC: one run is the channels of all images at one pixel ---


def _conv_pixels(x: Array, taps: Array, b: Array | None, where: Placement) -> tuple[Array, Vjp]:
    """`conv` in HWNC order, taps (C, KH, KW)."""
    padded = _framed(x, where)
    y = _respond_pixels(padded, taps, b, where)

    def vjp(g: Array, needs: tuple[bool, bool, bool] = (True, True, True)) -> tuple[Array | None, ...]:
        if where.stride != (1, 1):
            pulls = images(ordered(g, HWNC), HWNC)
            dx = _paint_pixels(pulls, taps, where) if needs[0] else None
            dw = _correlate_pixels(pulls, padded, where)[:, None] if needs[1] else None
            return dx, dw, channel_sums(pulls) if needs[2] else None
        turned = where.turned()
        arrived = _framed(g, turned)
        inside = crop(images(arrived, HWNC), turned.pads)
        dx = _respond_pixels(arrived, taps[:, ::-1, ::-1], None, turned) if needs[0] else None
        dw = _correlate_pixels(inside, padded, where)[:, None] if needs[1] else None
        return dx, dw, channel_sums(images(arrived, HWNC)) if needs[2] else None  # the frame is zeros

    return y, vjp


def _framed(x: Array, where: Placement) -> Array:
    """The padded images in HWNC order; not a kept buffer, for the way back holds on to it."""
    (top, bottom), (left, right) = where.pads
    h, w = where.image
    return framed(x, HWNC, where.pads, (h + top + bottom, w + left + right), None)


def _seen_pixels(padded: Array, where: Placement) -> Array:
    """(kh, kw, oh, ow, n * c): the windows, a view of the padded images."""
    lines = padded.reshape(*padded.shape[:2], -1).transpose(2, 0, 1)
    return windows(lines, where.size, where.stride, where.dilation).transpose(1, 2, 3, 4, 0)


def _respond_pixels(padded: Array, taps: Array, b: Array | None, where: Placement) -> Array:
    n, c = padded.shape[2:]
    seen = _seen_pixels(padded, where)
    weights = np.tile(np.ascontiguousarray(taps.transpose(1, 2, 0)), n)  # (kh, kw, n * c)
    biases = None if b is None else np.tile(b, n)
    result = empty((n, c, *where.out), HWNC, padded.dtype)
    y = result.transpose(HWNC).reshape(seen.shape[2:])

    def rows(part: Part) -> None:
        for p in range(*part):
            np.einsum("ijqx,ijx->qx", seen[:, :, p], weights, out=y[p])
            if biases is not None:
                y[p] += biases

    together(rows, parts(y.shape[0], 0.25 * y.size * taps[0].size))
    return result


def _paint_pixels(g: Array, taps: Array, where: Placement) -> Array:
    """The images' gradient with steps of more than one pixel: every gradient paints its filter, a pixel a run."""
    n, c = g.shape[:2]
    (top, bottom), (left, right) = where.pads
    (kh, kw), (sh, sw), (dh, dw), (oh, ow), (h, w) = where.size, where.stride, where.dilation, where.out, where.image
    arrived = g.transpose(HWNC).reshape(oh, ow, n * c)
    weights = np.tile(np.ascontiguousarray(taps.transpose(1, 2, 0)), n)  # (kh, kw, n * c)
    painted = np.zeros((h + top + bottom, w + left + right, n * c), g.dtype)

    def some(part: Part) -> None:
        run = slice(*part)
        for p in range(oh):
            line = arrived[p, :, run]
            for i in range(kh):
                row = painted[p * sh + i * dh]
                for j in range(kw):
                    row[j * dw : j * dw + (ow - 1) * sw + 1 : sw, run] += line * weights[i, j, run]

    together(some, parts(n * c, 0.6 * arrived.size * kh * kw))
    dx = empty((n, c, h, w), HWNC, g.dtype)
    dx.transpose(HWNC).reshape(h, w, n * c)[...] = painted[top : top + h, left : left + w]
    return dx


def _correlate_pixels(g: Array, padded: Array, where: Placement) -> Array:
    n, c = padded.shape[2:]
    seen = _seen_pixels(padded, where)
    kh, kw = where.size
    arrived = g.transpose(HWNC)

    def rows(part: Part) -> Array:
        total = np.zeros((kh, kw, n * c), padded.dtype)
        for p in range(*part, 4):
            some = slice(p, min(p + 4, part[1]))
            here = arrived[some].reshape(some.stop - p, -1, n * c)
            for i in range(kh):
                for j in range(kw):
                    total[i, j] += np.einsum("pqx,pqx->x", here, seen[i, j, some])
        return total

    found = together(rows, parts(arrived.shape[0], 0.3 * arrived.size * kh * kw))
    total = np.sum(found, axis=0)
    return np.asarray(total.reshape(kh, kw, n, c).sum(axis=2).transpose(2, 0, 1))
