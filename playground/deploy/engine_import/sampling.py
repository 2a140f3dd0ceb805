"""GridSample: an image read at places that another array names, which may be learnt too."""

from itertools import product

import numpy as np

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import Array, operator, refuse

_MODES = {"bilinear": "linear", "linear": "linear", "nearest": "nearest", "bicubic": "cubic", "cubic": "cubic"}


@operator("GridSample", since=16)
def grid_sample(x: Tensor, grid: Tensor, *, align_corners: int = 0, mode: str = "linear", padding_mode: str = "zeros",
                ) -> Tensor:
    """x (N, C, H, W) at grid (N, OH, OW, 2) -> (N, C, OH, OW); volumes likewise, with three coordinates.

    A place is (x, y), from -1 at the left and upper edge to 1 at the right and lower one: of the outer pixels' centres
    with `align_corners`, of the image without. Both have a gradient, as torch.nn.functional.grid_sample has it; with
    "nearest" the grid's is 0."""
    if mode not in _MODES or padding_mode not in ("zeros", "border", "reflection"):
        raise refuse(f"it samples a grid with mode {mode!r} and padding {padding_mode!r}")
    lengths = x.shape[2:]
    axes = len(lengths)
    ends = [(0.0, n - 1.0) if align_corners else (-0.5, n - 0.5) for n in lengths]
    places = []  # along each axis, (N, OH, OW), in pixels
    for axis, (n, (low, high)) in enumerate(zip(lengths, ends, strict=True)):
        place = (grid[..., axes - 1 - axis] + 1.0) * ((high - low) / 2) + low
        if _MODES[mode] != "cubic":  # which pads each of its four pixels
            place = _inside(place, n, low, high, padding_mode)
        places.append(place)
    taps = [_taps(place, _MODES[mode]) for place in places]
    batch = np.arange(x.shape[0]).reshape(-1, *(1,) * axes)
    turned = x.permute(0, *range(2, x.ndim), 1)  # (N, H, W, C)
    y: Tensor | None = None
    for corner in product(*taps):
        weight: Tensor | None = None
        seen = np.ones(grid.shape[:-1], bool)
        index: list[Array] = [batch]
        for (pixel, share), n, (low, high) in zip(corner, lengths, ends, strict=True):
            if _MODES[mode] == "cubic" and padding_mode != "zeros":
                pixel = _inside(Tensor(pixel), n, low, high, padding_mode).data
            there = (pixel >= 0) & (pixel <= n - 1)
            seen &= there
            index.append(np.where(there, pixel, 0).astype(np.int64))
            if share is not None:
                weight = share if weight is None else weight * share
        values = turned[tuple(index)]  # (N, OH, OW, C)
        if not seen.all():
            values = F.where(Tensor(seen[..., None]), values, Tensor(np.zeros((), x.dtype)))
        part = values if weight is None else values * weight.reshape((*weight.shape, 1))
        y = part if y is None else y + part
    assert y is not None
    return y.permute(0, axes + 1, *range(1, axes + 1))


def _inside(place: Tensor, n: int, low: float, high: float, padding_mode: str) -> Tensor:
    """Places beyond the image moved to its border, or mirrored at its ends until they are in it."""
    if padding_mode == "border":
        return F.clip(place, 0.0, float(n - 1))
    if padding_mode == "reflection":
        span = high - low
        if span == 0:
            return place * 0.0
        off = place.data.astype(np.float64) - low
        times = np.floor(np.abs(off) / span)  # how often it was mirrored
        back = times % 2 == 1
        slope = np.where((off < 0) != back, -1.0, 1.0)
        shift = low - slope * low + np.where(back, (times + 1) * span, -times * span)
        mirrored = place * Tensor(slope.astype(place.dtype)) + Tensor(shift.astype(place.dtype))
        return F.clip(mirrored, 0.0, float(n - 1))
    return place


def _taps(place: Tensor, mode: str) -> list[tuple[Array, Tensor | None]]:
    """The pixels along one axis that count, and how much; None is all of it."""
    if mode == "nearest":
        return [(np.rint(place.data), None)]
    first = np.floor(place.data)
    t = place - Tensor(first)
    if mode == "linear":
        return [(first, 1.0 - t), (first + 1, t)]
    a = -0.75  # torch's and ONNX's

    def near(d: Tensor) -> Tensor:
        return ((a + 2) * d - (a + 3)) * d * d + 1.0

    def far(d: Tensor) -> Tensor:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    return [(first - 1, far(t + 1.0)), (first, near(t)), (first + 1, near(1.0 - t)), (first + 2, far(2.0 - t))]
