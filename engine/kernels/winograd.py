"""3x3 convolution with 2.25 times fewer multiplications a point: Winograd's F(4x4, 3x3) (Lavin and Gray, 2015).

Four neighbouring results of a filter of three are a polynomial product, so they can be had from six products instead of
twelve: transform six pixels (BT), transform the filter (G), multiply point by point, transform back (AT). In two
dimensions that is 36 products instead of 144 for a tile of 4x4 results. The point-by-point products, summed over
channels, are 36 matrix products; here the transforms are matrix products too (6x6 times 6xmany), because BLAS is the
fastest arithmetic NumPy has. Images lie HWNC, so that "many" is a run of contiguous pixels, images and channels.

A transform mixes the pixels of a tile, so one inf or nan would be in all of its results: where there is one, the
convolution is done again by columns. The way back is the adjoint of every step in reverse. The constants go up to 8,
which costs about one decimal digit: the result is off by 1e-5 of its largest value instead of 1e-6, hence float32 only
and never inside `kernels.exact()`.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import as_strided

from engine.core import Array, Vjp
from engine.geometry import Placement
from engine.kernels import columns, is_exact
from engine.kernels.memory import HWNC, copy_into, empty, framing, images, order_of, square_sum, workspace
from engine.kernels.runs import run_by_run
from engine.kernels.sums import channel_sums
from engine.kernels.threads import Once, Part, parts, together

F32 = np.float32
BT = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
     [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], F32,
)
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
AT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], F32)
B, A = np.ascontiguousarray(BT.T), np.ascontiguousarray(AT.T)
GG = np.kron(G, G).astype(F32)  # (36, 9)
GG_BACK = np.ascontiguousarray(GG.T)
CENTRE = 7  # the point (+1, +1) reaches all 16 results with weight 1: where a bias is added
KEPT = 32 << 20  # bytes of transformed images that may wait for the way back
BUDGET = 600_000  # floats of transformed tiles at a time, so that they stay in a cache


def fits(x: Array, w: Array, where: Placement, groups: int) -> bool:
    """The rule: float32, one group, 3x3 without gaps, 16 channels or more on both sides, little waste at the edges."""
    if is_exact() or groups != 1 or where.size != (3, 3) or where.stride != (1, 1) or where.dilation != (1, 1):
        return False
    if x.dtype != F32 or w.dtype != F32 or min(w.shape[:2]) < 16 or x.shape[0] == 0:
        return False
    (oh, ow), (th, tw) = where.out, _tiles(where)
    return 16 * th * tw <= 1.5 * oh * ow and x.shape[0] * oh * ow >= 256


def conv(x: Array, w: Array, b: Array | None, where: Placement) -> tuple[Array, Vjp]:
    """conv2d by tiles: the value (in HWNC order) and the way back to (dx, dw, db)."""
    n, c = x.shape[:2]
    f = w.shape[0]
    (oh, ow), (th, tw) = where.out, _tiles(where)
    wide = _tiles_at_once(n, c, f, tw)
    nanoseconds = n * th * tw * (1.3 * c * f + 36.0 * c + 24.0 * f)
    filters = Once(lambda: (GG @ w.transpose(2, 3, 1, 0).reshape(9, c * f)).reshape(36, c, f))
    padded, bring = _padded(x, where)
    # Transforming the images again costs a sixth of the way back: their tiles are kept, unless they are very many.
    kept: dict[tuple[int, int], Array] | None = {} if 36 * th * tw * n * c * 4 <= KEPT else None
    result = empty((n, f, oh, ow), HWNC, F32)
    whole = (oh, ow) == (4 * th, 4 * tw)
    y = (result.transpose(HWNC) if whole else np.empty((4 * th, 4 * tw, n, f), F32)).reshape(4 * th, 4 * tw, n * f)

    if not math.isfinite(square_sum(w)):
        return columns.conv(x, w, b, where, 1)
    finite: list[bool] = []

    def rows(part: Part) -> None:
        u = filters()
        bring(4 * part[0], 4 * part[1] + 2)
        for ty in range(*part):
            finite.append(math.isfinite(square_sum(padded[4 * ty : 4 * ty + 6])))
            if not all(finite):
                return
            for tx in range(0, tw, wide):
                v = _image_tiles(padded, ty, tx, min(wide, tw - tx), own=kept is not None)
                if kept is not None:
                    kept[ty, tx] = v
                m = np.matmul(v, u, out=workspace("winograd m", (36, v.shape[1], f), F32))
                if b is not None:
                    m[CENTRE] += b
                _results(m, n, y, ty, tx)

    together(rows, parts(th, nanoseconds))
    if not all(finite):
        return columns.conv(x, w, b, where, 1)
    if not whole:
        result.transpose(HWNC)[...] = y.reshape(4 * th, 4 * tw, n, f)[:oh, :ow]

    def vjp(g: Array, needs: tuple[bool, bool, bool] = (True, True, True)) -> tuple[Array | None, ...]:
        if not (needs[0] or needs[1]):
            return None, None, channel_sums(g) if needs[2] else None
        turned_filters = Once(lambda: np.ascontiguousarray(filters().swapaxes(1, 2)))
        padded, bring = _padded(x, where) if kept is None and needs[1] else (None, lambda start, stop: None)
        turned, bring_g = framing(g, HWNC, ((0, 0), (0, 0)), (4 * th, 4 * tw), "winograd g")
        arrived = turned.reshape(4 * th, 4 * tw, n * f)
        # the images' gradient, padded, and of each part the two rows that the last tiles of the part before reach too
        added = np.empty((4 * th + 2, 4 * tw + 2, n * c), F32) if needs[0] else None
        firsts: dict[int, Array] = {}
        dus: dict[int, Array] = {}
        dbs: dict[int, Array] = {}
        (top, _), (left, _) = where.pads
        h, wid = where.image
        dx = None
        if added is not None:
            order = order_of(x) or HWNC
            dx = empty(x.shape, order, F32)
            inside = images(added.reshape(*added.shape[:2], n, c)[top : top + h, left : left + wid], HWNC)

        def hand_over(start: int, stop: int) -> None:
            if dx is not None:
                copy_into(dx.transpose(order), inside, order, slice(max(0, start - top), max(0, stop - top)))

        def rows(part: Part) -> None:
            u_back = turned_filters() if needs[0] else None
            bring(4 * part[0], 4 * part[1] + 2)
            bring_g(4 * part[0], 4 * part[1])
            du = np.zeros((36, c, f), F32)
            db = np.zeros(f, np.float64)
            finite.append(math.isfinite(square_sum(arrived[4 * part[0] : 4 * part[1]])))
            if not all(finite):
                return
            if added is not None:
                firsts[part[0]] = np.empty((2, *added.shape[1:]), F32) if part[0] else added[:2]
            for ty in range(*part):
                first = firsts[part[0]] if needs[0] and ty == part[0] else None
                for tx in range(0, tw, wide):
                    dm = _gradient_tiles(arrived, n, ty, tx, min(wide, tw - tx))
                    if needs[2]:  # at the centre the weights are 1: a tile's sum
                        db += np.ones(dm.shape[1], F32) @ dm[CENTRE]
                    if needs[1]:
                        if padded is not None:
                            v = _image_tiles(padded, ty, tx, min(wide, tw - tx))
                        elif kept is not None:
                            v = kept[ty, tx]
                        du += np.matmul(v.swapaxes(1, 2), dm, out=workspace("winograd du", (36, c, f), F32))
                    if added is not None and u_back is not None:
                        dv = np.matmul(dm, u_back, out=workspace("winograd v", (36, dm.shape[1], c), F32))
                        _add_image_tiles(dv, n, added, first, ty, tx)
            dus[part[0]], dbs[part[0]] = du, db
            hand_over(4 * part[0] + (2 if part[0] else 0), 4 * part[1] + (2 if part[1] == th else 0))

        finite.clear()
        together(rows, parts(th, 2 * nanoseconds))
        if not all(finite):
            return columns.conv(x, w, b, where, 1)[1](g, needs)
        if added is not None:
            for start in sorted(firsts)[1:]:
                added[4 * start : 4 * start + 2] += firsts[start]
                hand_over(4 * start, 4 * start + 2)
        dw = None
        if needs[1]:
            du, *more = (dus[start] for start in sorted(dus))
            for other in more:
                du += other
            dw = (GG_BACK @ du.reshape(36, c * f)).reshape(3, 3, c, f).transpose(3, 2, 0, 1)
        db = np.sum([dbs[start] for start in sorted(dbs)], axis=0).astype(F32) if needs[2] else None
        return dx, dw, db

    return result, vjp


def _tiles(where: Placement) -> tuple[int, int]:
    return -(-where.out[0] // 4), -(-where.out[1] // 4)


def _tiles_at_once(n: int, c: int, f: int, tw: int) -> int:
    return max(1, min(tw, BUDGET // (36 * n * (c + f))))


def _padded(x: Array, where: Placement) -> tuple[Array, Callable[[int, int], None]]:
    """The images as the tiles see them, and what brings rows of them there."""
    th, tw = _tiles(where)
    return framing(x, HWNC, where.pads, (4 * th + 2, 4 * tw + 2), "winograd x")


# Each of the four below moves one row of `wide` tiles, beginning at tile (ty, tx). A transform along rows of pixels
# comes first (its columns are long), then one along columns of pixels.


def _image_tiles(padded: Array, ty: int, tx: int, wide: int, own: bool = False) -> Array:
    """V = BT x B of every 6x6 tile: (36, wide * n, c), a kept buffer unless it is to be the caller's own."""
    n, c = padded.shape[2:]
    pixels = padded[4 * ty : 4 * ty + 6, 4 * tx : 4 * (tx + wide) + 2]
    half = workspace("winograd half", (6, 4 * wide + 2, n * c), F32)
    np.matmul(BT, pixels.reshape(6, -1), out=half.reshape(6, -1))
    shape = (6, 6, wide, n * c)
    v = np.empty(shape, F32) if own else workspace("winograd v", shape, F32)
    np.matmul(BT, _overlapping(half, wide), out=v.transpose(0, 2, 1, 3))
    return v.reshape(36, wide * n, c)


def _add_image_tiles(dv: Array, n: int, dx: Array, first: Array | None, ty: int, tx: int) -> None:
    """dx += B dV BT, tiles overlapping by two: the adjoint of `_image_tiles`, from left to right, top to bottom.

    What no tile before reached is written, not added to, so dx need not begin as zeros. The upper two rows go to
    `first` where it is given.
    """
    wide, nc = dv.shape[1] // n, dv.shape[2] * n
    tiles = dv.reshape(6, 6, wide, nc).transpose(0, 2, 1, 3)
    half = workspace("winograd half", (6, 4 * wide + 2, nc), F32)
    np.matmul(B[:4], tiles, out=half[:, :-2].reshape(6, wide, 4, nc))
    half[:, -2:] = 0
    over = np.matmul(B[4:], tiles, out=workspace("winograd over", (6, wide, 2, nc), F32))
    with run_by_run(nc):
        half[:, 4::4] += over[:, :, 0]
        half[:, 5::4] += over[:, :, 1]
    if tx:  # the two columns that the tile to the left reaches too
        half[:, :2] += workspace("winograd carry", (6, 2, nc), F32)
    if 4 * (tx + wide) + 2 < dx.shape[1]:  # and those that the tile to the right will
        workspace("winograd carry", (6, 2, nc), F32)[...] = half[:, -2:]
        half = half[:, :-2]
    finished, columns = half.reshape(6, -1), slice(4 * tx, 4 * tx + half.shape[1])
    upper, lower = dx[4 * ty : 4 * ty + 2, columns], dx[4 * ty + 2 : 4 * ty + 6, columns]
    np.matmul(B[2:], finished, out=lower.reshape(4, -1))
    if first is not None:
        np.matmul(B[:2], finished, out=first[:, columns].reshape(2, -1))
    else:
        more = np.matmul(B[:2], finished, out=workspace("winograd over", (2, finished.shape[1]), F32))
        upper += more.reshape(upper.shape)


def _results(m: Array, n: int, y: Array, ty: int, tx: int) -> None:
    """y = AT M A of every tile, written to its 4x4 places of y (4 th, 4 tw, n * f)."""
    wide, nf = m.shape[1] // n, m.shape[2] * n
    half = workspace("winograd half", (6, 4, wide * nf), F32)
    np.matmul(AT, m.reshape(6, 6, -1), out=half)
    places = y[4 * ty : 4 * ty + 4, 4 * tx : 4 * (tx + wide)].reshape(4, wide, 4, nf)
    np.matmul(AT, half.reshape(6, 4, wide, nf).transpose(1, 2, 0, 3), out=places.transpose(2, 1, 0, 3))


def _gradient_tiles(g: Array, n: int, ty: int, tx: int, wide: int) -> Array:
    """dM = A g AT of every tile of g (4 th, 4 tw, n * f): (36, wide * n, f), the adjoint of `_results`."""
    nf = g.shape[2]
    half = workspace("winograd half", (6, 4 * wide, nf), F32)
    np.matmul(A, g[4 * ty : 4 * ty + 4, 4 * tx : 4 * (tx + wide)].reshape(4, -1), out=half.reshape(6, -1))
    dm = workspace("winograd m", (6, 6, wide, nf), F32)
    np.matmul(A, half.reshape(6, wide, 4, nf), out=dm.transpose(0, 2, 1, 3))
    return dm.reshape(36, wide * n, nf // n)


def _overlapping(half: Array, wide: int) -> Array:
    """Six columns of every tile, tiles four apart: (6, wide, 6, run), a view."""
    rows, _, run = half.shape
    row, column, one = half.strides
    return as_strided(half, (rows, wide, 6, run), (row, 4 * column, column, one), writeable=False)
