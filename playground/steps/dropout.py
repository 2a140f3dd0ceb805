"""Dropout taken one unit at a time: who is present in which mini-batch, forward and backward."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from playground.errors import PlaygroundError

CLASSIC, INVERTED = "classic", "inverted"


class DropoutStep(NamedTuple):
    """One unit of one picture in one mini-batch: the factor it is multiplied by (0, 1 or 1/p), and what comes out.

    Forward `value` is the activation, backward the gradient that arrives; the factor is the same in both.
    """

    batch: int
    picture: int
    unit: int
    value: float
    factor: float
    result: float


def draw_masks(batches: int, shape: tuple[int, int], p: float, seed: int) -> np.ndarray:
    """Who is present: bool (batches, pictures, units), each True with probability p, independently.

    >>> draw_masks(2, (3, 4), 1.0, seed=0).all(), draw_masks(2, (3, 4), 0.0, seed=0).any()
    (True, False)
    """
    return np.random.default_rng(seed).random((batches, *shape)) < p


def factors(masks: np.ndarray, p: float, scheme: str) -> np.ndarray:
    """What each unit is multiplied by while training: 1 when present (classic) or 1/p (inverted), else 0.

    >>> factors(np.array([True, False]), 0.8, "classic").tolist(), factors(np.array([True, False]), 0.8, "inverted")
    ([1.0, 0.0], array([1.25, 0.  ]))
    """
    if not 0 < p <= 1:
        raise PlaygroundError(f"p = {p:g}: a unit is present with a probability above 0 and at most 1.")
    return np.asarray(masks * (1 / p if scheme == INVERTED else 1.0))


def dropout_steps(values: np.ndarray, factor: np.ndarray) -> Iterator[DropoutStep]:
    """Every multiplication: value · factor, mini-batch by mini-batch.

    values (pictures, units), factor (batches, pictures, units) -> batches * pictures * units records. Backward is the
    same with the gradients that arrive as values: what did not take part in the answer has no share in the error.
    Raises PlaygroundError when the shapes do not fit.

    >>> [s.result for s in dropout_steps(np.array([[2.0, 3.0]]), np.array([[[1.25, 0.0]], [[0.0, 1.25]]]))]
    [2.5, 0.0, 0.0, 3.75]
    """
    if factor.shape[1:] != values.shape:
        raise PlaygroundError(f"Masks of shape {factor.shape[1:]} do not fit values of shape {values.shape}.")
    for batch, picture, unit in np.ndindex(factor.shape):
        value, f = float(values[picture, unit]), float(factor[batch, picture, unit])
        yield DropoutStep(batch, picture, unit, value, f, value * f)
