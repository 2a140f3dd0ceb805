"""Depthwise convolution, one small filter a channel: too little arithmetic for a matrix product to pay its copies.

einsum's inner loop is a fused multiply-add, out[run] += x[run] * weight, so each place of the kernel is one pass over a
run of memory. In HWNC order the run is the channels of all images at a pixel. In NCHW order it is a whole padded plane:
rows are left at their padded width, so that a step down is a constant distance and the plane is one run.
"""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.arrays import windows
from engine.core import Array, Vjp
from engine.geometry import Placement
from engine.kernels.memory import HWNC, NCHW, framed, images, lies, ordered, workspace
from engine.kernels.sums import channel_sums
from engine.kernels.threads import Part, parts, together


def fits(x: Array, w: Array, where: Placement, groups: int) -> bool:
    """The rule: one filter a channel, float32, steps of one pixel, and padding less than the kernel reaches."""
    if groups == 1 or not groups == x.shape[1] == w.shape[0] or x.dtype != np.float32 or w.dtype != np.float32:
        return False
    reach = where.reach
    return where.stride == (1, 1) and x.size > 0 and all(max(p) < r for p, r in zip(where.pads, reach, strict=True))


def conv(x: Array, w: Array, b: Array | None, where: Placement) -> tuple[Array, Vjp]:
    """conv2d with a filter a channel: the value, in the order of x, and the way back to (dx, dw, db)."""
    respond, correlate = (_respond_pixels, _correlate_pixels) if lies(x, HWNC) else (_respond_planes, _correlate_planes)
    taps = w[:, 0]  # (C, KH, KW)
    y = respond(x, taps, where)
    if b is not None:
        y += b[:, None, None]

    def vjp(g: Array, needs: tuple[bool, bool, bool] = (True, True, True)) -> tuple[Array | None, ...]:
        dx = respond(g, np.ascontiguousarray(taps[:, ::-1, ::-1]), _turned(where)) if needs[0] else None
        dw = correlate(g, x, where)[:, None] if needs[1] else None
        return dx, dw, channel_sums(g) if needs[2] else None

    return y, vjp


def _turned(where: Placement) -> Placement:
    """The convolution of the results with the turned filter that gives the images' gradient."""
    rows, columns = (
        (reach - 1 - before, length - out + before)
        for reach, (before, _), length, out in zip(where.reach, where.pads, where.image, where.out, strict=True)
    )
    pads = rows, columns
    return Placement(where.size, (1, 1), where.dilation, pads, pads, where.out, where.image)


def _framed(x: Array, where: Placement, order: tuple[int, int, int, int], role: str) -> Array:
    (top, bottom), (left, right) = where.pads
    h, w = where.image
    return framed(x, order, where.pads, (h + top + bottom, w + left + right), role)


# --- HWNC: one run is the channels of all images at one pixel ---


def _seen_pixels(x: Array, where: Placement) -> Array:
    """(kh, kw, oh, ow, n * c): the windows, a view of the padded images."""
    padded = _framed(x, where, HWNC, "depthwise x")
    lines = padded.reshape(*padded.shape[:2], -1).transpose(2, 0, 1)
    return windows(lines, where.size, where.stride, where.dilation).transpose(1, 2, 3, 4, 0)


def _respond_pixels(x: Array, taps: Array, where: Placement) -> Array:
    n, c = x.shape[:2]
    seen = _seen_pixels(x, where)
    weights = np.tile(taps.transpose(1, 2, 0), (1, 1, n))
    y = np.empty(seen.shape[2:], x.dtype)

    def rows(part: Part) -> None:
        p = slice(*part)
        np.einsum("ijpqx,ijx->pqx", seen[:, :, p], weights, out=y[p])

    together(rows, parts(y.shape[0], y.size))
    return images(y.reshape(*y.shape[:2], n, c), HWNC)


def _correlate_pixels(g: Array, x: Array, where: Placement) -> Array:
    n, c = x.shape[:2]
    seen = _seen_pixels(x, where)
    kh, kw = where.size
    arrived = ordered(g, HWNC).reshape(seen.shape[2:])

    def rows(part: Part) -> Array:
        total = np.zeros((kh, kw, n * c), x.dtype)
        for p in range(*part):
            for i in range(kh):
                for j in range(kw):
                    total[i, j] += np.einsum("qx,qx->x", arrived[p], seen[i, j, p])
        return total

    found = together(rows, parts(arrived.shape[0], arrived.size))
    total = sum(found[1:], start=found[0])
    return np.asarray(total.reshape(kh, kw, n, c).sum(axis=2).transpose(2, 0, 1))


# --- NCHW: one run is a plane, its rows as wide as the padded image ---


def _respond_planes(x: Array, taps: Array, where: Placement) -> Array:
    n, c = x.shape[:2]
    (oh, ow), (kh, kw), (dh, dw) = where.out, where.size, where.dilation
    padded = _framed(x, where, NCHW, "depthwise x")
    wide = padded.shape[3]
    run = (oh - 1) * wide + ow
    plane, row, one = padded.strides[1:]
    y = np.empty((n, c, oh, ow), x.dtype)

    def some(part: Part) -> None:
        sums = workspace("depthwise sums", (c, oh * wide), x.dtype)
        more = workspace("depthwise more", (c, run), x.dtype)
        total = sums[:, :run]
        for k in range(*part):
            for j in range(kw):  # einsum adds up a column of the kernel in one go
                begin = padded[k, :, :, j * dw :]
                seen = as_strided(begin, (c, kh, run), (plane, row * dh, one), writeable=False)
                np.einsum("cil,ci->cl", seen, taps[:, :, j], out=more if j else total)
                if j:
                    total += more
            y[k] = sums.reshape(c, oh, wide)[:, :, :ow]

    together(some, parts(n, y.size))
    return y


def _correlate_planes(g: Array, x: Array, where: Placement) -> Array:
    n, c = x.shape[:2]
    (oh, ow), (kh, kw), (dh, dw) = where.out, where.size, where.dilation
    padded = _framed(x, where, NCHW, "depthwise x")
    wide = padded.shape[3]
    run = (oh - 1) * wide + ow
    flat = padded.reshape(n, c, -1)

    def some(part: Part) -> Array:
        total = np.zeros((c, kh, kw), x.dtype)
        arrived = workspace("depthwise g", (c, oh, wide), x.dtype)
        arrived[:, :, ow:] = 0
        for k in range(*part):
            arrived[:, :, :ow] = g[k]
            line = arrived.reshape(c, -1)[:, :run]
            for i in range(kh):
                for j in range(kw):
                    begin = i * dh * wide + j * dw
                    total[:, i, j] += np.vecdot(line, flat[k, :, begin : begin + run])
        return total

    found = together(some, parts(n, g.size))
    return np.asarray(sum(found[1:], start=found[0]))
