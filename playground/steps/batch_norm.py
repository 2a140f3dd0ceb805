"""Batch normalization of one channel, taken one number at a time, forward and backward."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from playground.errors import PlaygroundError

EPS = 1e-5


@dataclass(frozen=True)
class Normalized:
    """Everything batch norm computes of one channel's numbers x (N,), in the order it is needed."""

    mean: float
    variance: float
    scale: float  # 1 / sqrt(variance + eps)
    centred: np.ndarray
    hat: np.ndarray
    y: np.ndarray


@dataclass(frozen=True, slots=True)
class NormStep:
    """One product added (or put) into a number.

    part: 0 the mean, 1 the variance, 2 the normalized number, 3 the output; index: which of the N numbers; value: what
    the target holds after the step.
    """

    part: int
    index: int
    value: float


@dataclass(frozen=True, slots=True)
class NormBackwardStep:
    """Part 0: dy[index] is added to both sums. Part 1: dx[index] is put together of them."""

    part: int
    index: int
    beta_gradient: float
    gamma_gradient: float
    bracket: float
    input_gradient: float


def normalize(x: np.ndarray, gamma: float, beta: float, eps: float = EPS) -> Normalized:
    """Batch norm in training mode of one channel: x (N,) -> y = gamma * (x - mean) / sqrt(var + eps) + beta.

    The variance is divided by N, as the layer does. Raises PlaygroundError when there is no number.

    >>> normalize(np.array([1.0, 3.0]), 2.0, 5.0, eps=0.0).y.tolist()
    [3.0, 7.0]
    """
    if x.size == 0:
        raise PlaygroundError("Batch norm needs at least one number.")
    centred = x - x.mean()
    variance = float((centred**2).mean())
    scale = 1 / float(np.sqrt(variance + eps))
    return Normalized(float(x.mean()), variance, scale, centred, centred * scale, gamma * centred * scale + beta)


def norm_steps(x: np.ndarray, gamma: float, beta: float) -> Iterator[NormStep]:
    """Four rounds over the N numbers: mean, variance, normalized, output. x (N,) -> 4 N records.

    >>> [round(s.value, 3) for s in norm_steps(np.array([1.0, 3.0]), 1.0, 0.0)]
    [0.5, 2.0, 0.5, 1.0, -1.0, 1.0, -1.0, 1.0]
    """
    found, n = normalize(x, gamma, beta), len(x)
    for part, rising in enumerate((np.cumsum(x) / n, np.cumsum(found.centred**2) / n, found.hat, found.y)):
        for index in range(n):
            yield NormStep(part, index, float(rising[index]))


def norm_backward_steps(x: np.ndarray, dy: np.ndarray, gamma: float) -> Iterator[NormBackwardStep]:
    """First the sums d_beta = sum of dy and d_gamma = sum of dy * hat, then for each number

        dx = gamma * scale / N * (N * dy - d_beta - hat * d_gamma)

    since every number has moved the mean and the variance of all. x, dy (N,) -> 2 N records.

    >>> [round(s.input_gradient, 6) for s in norm_backward_steps(np.array([1.0, 3.0, 8.0]), np.ones(3), 1.0)][3:]
    [0.0, 0.0, 0.0]
    """
    if dy.shape != x.shape:
        raise PlaygroundError(f"{len(dy)} gradients do not fit {len(x)} numbers.")
    found, n = normalize(x, gamma, 0.0), len(x)
    beta_gradient, gamma_gradient = np.cumsum(dy), np.cumsum(dy * found.hat)
    for index in range(n):
        yield NormBackwardStep(0, index, float(beta_gradient[index]), float(gamma_gradient[index]), 0.0, 0.0)
    total_beta, total_gamma = float(beta_gradient[-1]), float(gamma_gradient[-1])
    for index in range(n):
        bracket = n * float(dy[index]) - total_beta - float(found.hat[index]) * total_gamma
        yield NormBackwardStep(1, index, total_beta, total_gamma, bracket, gamma * found.scale / n * bracket)
