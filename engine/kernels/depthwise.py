"""Depthwise convolution, one small filter a channel: too little arithmetic for a matrix product to pay its copies.

einsum's inner loop is a fused multiply-add, out[run] += x[run] * weight, so each place of the kernel is one pass over
a long run of memory. In CHWN order the run is a row of pixels of all images, and the weight one number; in HWNC order
it is the channels of all images at one pixel, and so are the weights. Images that come in HWNC stay so, others become
CHWN.
"""

import numpy as np

from engine.arrays import crop, windows
from engine.core import Array, Vjp
from engine.geometry import Placement
from engine.kernels.memory import CHWN, HWNC, Order, empty, framed, images, lies
from engine.kernels.sums import channel_sums
from engine.kernels.threads import Part, parts, together


def fits(x: Array, w: Array, where: Placement, groups: int) -> bool:
    """The rule: one filter a channel, float32, steps of one pixel, and padding less than the kernel reaches."""
    if groups == 1 or not groups == x.shape[1] == w.shape[0] or x.dtype != np.float32 or w.dtype != np.float32:
        return False
    return where.can_turn and x.size > 0


def conv(x: Array, w: Array, b: Array | None, where: Placement) -> tuple[Array, Vjp]:
    """conv2d with a filter a channel: the value and the way back to (dx, dw, db)."""
    # one image has no run of images, and einsum would take the columns of the kernel for its run
    by_pixel = lies(x, HWNC) or x.shape[0] < 4
    order, respond, correlate = (
        (HWNC, _respond_pixels, _correlate_pixels) if by_pixel else (CHWN, _respond_rows, _correlate_rows)
    )
    taps = w[:, 0]  # (C, KH, KW)
    padded = _framed(x, where, order)
    y = respond(padded, taps, b, where)

    def vjp(g: Array, needs: tuple[bool, bool, bool] = (True, True, True)) -> tuple[Array | None, ...]:
        turned = where.turned()
        arrived = _framed(g, turned, order)
        inside = crop(images(arrived, order), turned.pads)
        dx = respond(arrived, np.ascontiguousarray(taps[:, ::-1, ::-1]), None, turned) if needs[0] else None
        dw = correlate(inside, padded, where)[:, None] if needs[1] else None
        return dx, dw, channel_sums(images(arrived, order)) if needs[2] else None  # the frame is zeros

    return y, vjp


def _framed(x: Array, where: Placement, order: Order) -> Array:
    """The padded images, axes in this order; not a kept buffer, for the way back holds on to it."""
    (top, bottom), (left, right) = where.pads
    h, w = where.image
    return framed(x, order, where.pads, (h + top + bottom, w + left + right), None)


# --- HWNC: one run is the channels of all images at one pixel ---


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


# --- CHWN: one run is a row of pixels of all images; a step to the right is a step over all images ---


def _seen_rows(padded: Array, where: Placement) -> Array:
    """(c, kh, kw, oh, ow * n): the windows, a view of the padded images."""
    c, hp, wp, n = padded.shape
    dh, dw = where.dilation
    return windows(padded.reshape(c, hp, wp * n), where.size, (1, 1), (dh, dw * n))


def _respond_rows(padded: Array, taps: Array, b: Array | None, where: Placement) -> Array:
    seen = _seen_rows(padded, where)
    result = empty((padded.shape[3], padded.shape[0], *where.out), CHWN, padded.dtype)
    y = result.transpose(CHWN).reshape(seen.shape[0], *seen.shape[3:])

    def channels(part: Part) -> None:
        for k in range(*part, 4):
            c = slice(k, min(k + 4, part[1]))
            np.einsum("cijpx,cij->cpx", seen[c], taps[c], out=y[c])
            if b is not None:
                y[c] += b[c, None, None]

    together(channels, parts(y.shape[0], 0.25 * y.size * taps[0].size))
    return result


def _correlate_rows(g: Array, padded: Array, where: Placement) -> Array:
    seen = _seen_rows(padded, where)
    c, kh, kw, oh, run = seen.shape
    arrived = g.transpose(CHWN)
    found = np.empty((c, kh, kw, oh), padded.dtype)  # a row of results each: added up at the end, all at once

    def channels(part: Part) -> None:
        for k in range(*part, 16):
            some = slice(k, min(k + 16, part[1]))
            here = arrived[some].reshape(-1, oh, run)  # a view: a row of results is contiguous
            for i in range(kh):
                for j in range(kw):
                    np.vecdot(here, seen[some, i, j], out=found[some, i, j])

    together(channels, parts(c, 0.2 * arrived.size * kh * kw))
    return np.asarray(found.sum(axis=3))
