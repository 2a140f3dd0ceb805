"""Pooling taken one pixel at a time, forward and backward."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from playground.errors import PlaygroundError

MAX, AVERAGE = "max", "average"


class PoolStep(NamedTuple):
    """One pixel of one window: `running` is the maximum (or the sum over k², the mean) so far."""

    output: tuple[int, int]
    position: tuple[int, int]
    value: float
    running: float


class PoolBackwardStep(NamedTuple):
    """What one output sends to one pixel: `share` (1 or 1/k²) of what arrives; `gradient` is the pixel's sum so far."""

    output: tuple[int, int]
    position: tuple[int, int]
    upstream: float
    share: float
    gradient: float
    ties: int
    """How many pixels of the window are the maximum; the first one, row by row, gets it all (as in torch)."""


def pooled_size(size: int, kernel: int, stride: int) -> int:
    """How many windows fit along one side: floor((size - kernel) / stride) + 1.

    >>> pooled_size(8, 2, 2), pooled_size(8, 3, 2)
    (4, 3)
    """
    return (size - kernel) // stride + 1


def pool_steps(x: np.ndarray, kernel: int, stride: int, kind: str) -> Iterator[PoolStep]:
    """Every pixel of every window, window by window. x (H, W) -> OH * OW * kernel² records.

    max: y[p,q] = max over i, j of x[p*stride + i, q*stride + j]; average: their sum divided by kernel².
    Raises PlaygroundError when the window is larger than the picture.

    >>> [s.running for s in pool_steps(np.array([[3.0, 1.0], [5.0, 3.0]]), 2, 2, "max")]
    [3.0, 3.0, 5.0, 5.0]
    >>> [s.running for s in pool_steps(np.array([[3.0, 1.0], [5.0, 3.0]]), 2, 2, "average")]
    [0.75, 1.0, 2.25, 3.0]
    """
    oh, ow = _windows(x, kernel, stride)
    for p, q in np.ndindex(oh, ow):
        running = -np.inf if kind == MAX else 0.0
        for i, j in np.ndindex(kernel, kernel):
            row, column = p * stride + i, q * stride + j
            value = float(x[row, column])
            running = max(running, value) if kind == MAX else running + value / kernel**2
            yield PoolStep((p, q), (row, column), value, running)


def pool_backward_steps(
    x: np.ndarray, dy: np.ndarray, kernel: int, stride: int, kind: str
) -> Iterator[PoolBackwardStep]:
    """What arrives at the outputs goes to the pixels: all of it to the largest, or a k²-th of it to each.

    x (H, W), dy (OH, OW) -> OH * OW records (max) or OH * OW * kernel² (average). Overlapping windows add up.
    Raises PlaygroundError when the window is larger than the picture or dy has another shape than the output.

    >>> steps = pool_backward_steps(np.array([[3.0, 1.0], [5.0, 5.0]]), np.array([[2.0]]), 2, 2, "max")
    >>> [(s.position, s.gradient, s.ties) for s in steps]
    [((1, 0), 2.0, 2)]
    """
    oh, ow = _windows(x, kernel, stride)
    if dy.shape != (oh, ow):
        raise PlaygroundError(f"The gradient has shape {dy.shape}, but the output has {(oh, ow)}.")
    dx = np.zeros(x.shape)
    for p, q in np.ndindex(oh, ow):
        window = x[p * stride : p * stride + kernel, q * stride : q * stride + kernel]
        winner = int(window.argmax())
        ties = int((window == window.max()).sum())
        share = 1.0 if kind == MAX else 1 / kernel**2
        for cell in [winner] if kind == MAX else range(kernel**2):
            row, column = p * stride + cell // kernel, q * stride + cell % kernel
            dx[row, column] += share * float(dy[p, q])
            yield PoolBackwardStep((p, q), (row, column), float(dy[p, q]), share, float(dx[row, column]), ties)


def _windows(x: np.ndarray, kernel: int, stride: int) -> tuple[int, int]:
    if kernel > min(x.shape):
        raise PlaygroundError(f"A window of {kernel} × {kernel} does not fit a picture of {x.shape[0]} × {x.shape[1]}: "
                              "choose a smaller window.")
    height, width = (pooled_size(size, kernel, stride) for size in x.shape)
    return height, width
