"""Two convolutions with nothing between them are one: its kernel, product by product; and the best one with something
between them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from playground.errors import PlaygroundError


@dataclass(frozen=True, slots=True)
class MergeStep:
    """One product of two weights and the weight of the merged kernel it is added to, which then holds `value`."""

    first: tuple[int, int]
    second: tuple[int, int]
    target: tuple[int, int]
    value: float


@dataclass(frozen=True)
class BestKernel:
    """The kernel and bias that come nearest to given answers, and how far off they stay: the root mean square of what
    is left over the answers' standard deviation (0: nothing is left, 1: no better than their mean)."""

    kernel: np.ndarray
    bias: float
    left: float


def merge_steps(first: np.ndarray, second: np.ndarray) -> Iterator[MergeStep]:
    """The full convolution of two kernels: merged[a + b] = sum of first[a] * second[b].

    first (k, k), second (m, m) -> k² m² records, ending in a kernel (k + m - 1, k + m - 1). Convolving with `first` and
    then with `second` (neither flipped, nothing padded) is convolving with it. Raises PlaygroundError when one is no
    matrix.

    >>> [step.value for step in merge_steps(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))]
    [3.0, 6.0, 10.0, 8.0]
    """
    if first.ndim != 2 or second.ndim != 2:
        raise PlaygroundError("Two kernels are merged, each a matrix of weights.")
    held = np.zeros((first.shape[0] + second.shape[0] - 1, first.shape[1] + second.shape[1] - 1))
    for i, j in np.ndindex(second.shape):
        for p, q in np.ndindex(first.shape):
            held[p + i, q + j] += first[p, q] * second[i, j]
            yield MergeStep((p, q), (i, j), (p + i, q + j), float(held[p + i, q + j]))


def merged(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The one kernel of two.

    >>> merged(np.array([[1.0, 1.0]]), np.array([[1.0], [2.0]])).tolist()
    [[1.0, 1.0], [2.0, 2.0]]
    """
    kernel = np.zeros((first.shape[0] + second.shape[0] - 1, first.shape[1] + second.shape[1] - 1))
    for step in merge_steps(first, second):
        kernel[step.target] = step.value
    return kernel


def best_kernel(x: np.ndarray, y: np.ndarray) -> BestKernel:
    """The single kernel with a bias whose answers to pictures x (N, H, W) are nearest to y (N, OH, OW), least squares.

    >>> x = np.random.default_rng(0).normal(size=(20, 4, 4))
    >>> round(best_kernel(x, x[:, 1:, 1:] - x[:, :-1, :-1]).left, 9)
    0.0
    """
    size = x.shape[1] - y.shape[1] + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, x.shape[2] - y.shape[2] + 1), axis=(1, 2))
    rows = windows.reshape(y.size, -1)
    design = np.concatenate([rows, np.ones((len(rows), 1))], axis=1)
    found = np.linalg.lstsq(design, y.ravel(), rcond=None)[0]
    left = y.ravel() - design @ found
    spread = float(y.std())
    return BestKernel(found[:-1].reshape(windows.shape[3:]), float(found[-1]),
                      float(np.sqrt((left**2).mean())) / spread if spread else 0.0)
