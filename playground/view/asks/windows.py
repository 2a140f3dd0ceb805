"""What a filter looks for in the data: the windows of pictures that drive it most, and those that drive it least."""

from dataclasses import dataclass

import numpy as np

from playground.view.asks.batches import chunks
from playground.view.field import Region, receptive_field
from playground.view.sources import Design, File
from playground.view.trace import Array


@dataclass(frozen=True)
class Window:
    """Where a picture drives a filter most: which picture (an index into those asked), the place in the map, the value
    there, and the rectangle of the prepared picture that can reach it."""

    picture: int
    place: tuple[int, ...]
    value: float
    region: Region


@dataclass(frozen=True, eq=False)
class Peaks:
    """Of every map of a part and every picture the largest and the smallest value, (N, C), and where, (N, C): counted
    row by row. `shape` is that of the part, (C, H, W) or (F,)."""

    shape: tuple[int, ...]
    most: Array
    most_at: np.ndarray
    least: Array
    least_at: np.ndarray


def peaks(source: Design | File, x: Array, part: int) -> Peaks:
    """The largest and smallest values of a part's maps on pictures x (N, C, H, W)."""
    found: list[tuple[Array, ...]] = []
    shape: tuple[int, ...] = ()
    for here in chunks(source, x):
        with source.lock:
            output = source.run(x[here]).parts[part].output.data
        shape = output.shape[1:]
        flat = output.reshape(*output.shape[:2], -1)
        places = [flat.argmax(axis=2), flat.argmin(axis=2)]
        values = [np.take_along_axis(flat, at[..., None], axis=2)[..., 0] for at in places]
        found.append((values[0], places[0], values[1], places[1]))
    most, most_at, least, least_at = (np.concatenate(each) for each in zip(*found, strict=True))
    return Peaks(shape, most, most_at, least, least_at)


def windows(source: Design | File, x: Array, part: int, of: Peaks, one: int, *, count: int = 9,
            lowest: bool = False) -> list[Window]:
    """The `count` pictures that drive map `one` of a part most (or, `lowest`, most below zero), each with its window.

    Distinct pictures: each by its own largest value. Values that are not above (below) zero are left out, as are NaN.
    """
    values, places = (of.least, of.least_at) if lowest else (of.most, of.most_at)
    own = values[:, one] if lowest else -values[:, one]
    order = [int(n) for n in np.argsort(own, kind="stable")[:count] if own[n] < 0]
    with source.lock:
        trace = source.run(x[:1])
    found = []
    for n in order:
        at = tuple(int(k) for k in np.unravel_index(int(places[n, one]), of.shape[1:])) if len(of.shape) > 1 else ()
        found.append(Window(n, at, float(values[n, one]), receptive_field(trace, trace.parts[part], (one, *at))))
    return found
