"""What depth multiplies: the gain of every layer, forward and backward, and the ways a gradient has through shortcuts.

A layer of random weights is a = φ(z), z = W x with W independent of x. Over wide layers z is normally distributed, so
sizes follow from one integral a layer (Glorot and Bengio, 2010; He et al., 2015; with batch norm Yang et al., 2019).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import comb, sqrt

import numpy as np

from playground.errors import PlaygroundError

Curve = Callable[[np.ndarray], np.ndarray]


def _sigmoid(z: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


ACTIVATIONS: Mapping[str, tuple[Curve, Curve]] = {
    "none": (lambda z: z, np.ones_like),
    "ReLU": (lambda z: np.maximum(z, 0), lambda z: (z > 0).astype(float)),
    "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
    "sigmoid": (_sigmoid, lambda z: _sigmoid(z) * (1 - _sigmoid(z))),
}
"""Name -> the function φ and its slope φ'."""


@dataclass(frozen=True)
class Moments:
    """What is known of numbers: the mean of their squares, their mean, and how they vary from picture to picture."""

    square: float
    mean: float
    variance: float


@dataclass(frozen=True)
class GainStep:
    """One layer, counted from 1: the deviation of z, the size (root mean square) of what comes out, the slope φ' there
    (root mean square), and by how much sizes are multiplied, forward and backward."""

    layer: int
    z: float
    size: float
    slope: float
    forward: float
    backward: float


@dataclass(frozen=True)
class Ways:
    """All ways through `layers` blocks that go through f in `through` of them: how many, and what they bring back."""

    through: int
    count: int
    each: float
    together: float


def gain_steps(layers: int, activation: str, fan_in_times_variance: float, given: Moments, *, batch_norm: bool = False,
               shortcuts: bool = False) -> Iterator[GainStep]:
    """Layer after layer: var(z) = fan_in var(w) E[x²], then the size of φ(z); backward fan_in var(w) E[φ'(z)²].

    Batch norm makes var(z) 1 and divides the gradient by the deviation it took away. A shortcut adds: x + φ(z) has the
    squares of both, and the gradient 1 more. Raises PlaygroundError for an activation that is none of ACTIVATIONS.

    >>> [round(step.forward, 2) for step in gain_steps(2, "ReLU", 2.0, Moments(1.0, 0.0, 1.0))]
    [1.0, 1.0]
    >>> [round(step.backward, 2) for step in gain_steps(1, "sigmoid", 1e-6, Moments(1.0, 0.0, 1.0))][0] < 0.25
    True
    """
    if activation not in ACTIVATIONS:
        raise PlaygroundError(f"There is no activation {activation!r}: choose {', '.join(ACTIVATIONS)}.")
    function, slope = ACTIVATIONS[activation]
    x = given
    for layer in range(1, layers + 1):
        spread = sqrt(fan_in_times_variance * (x.variance if batch_norm else x.square))
        z = 1.0 if batch_norm else spread
        square, mean = expected(lambda v: function(v) ** 2, z), expected(function, z)
        sloping = sqrt(expected(lambda v: slope(v) ** 2, z))
        back = fan_in_times_variance * sloping**2 / (spread**2 if batch_norm and spread else 1.0)
        out = Moments(square, mean, square - mean**2)
        if shortcuts:
            out = Moments(x.square + square + 2 * x.mean * mean, x.mean + mean, x.variance + out.variance)
            back += 1
        before = sqrt(x.square)
        yield GainStep(layer, z, sqrt(out.square), sloping, sqrt(out.square) / before if before else 0.0, sqrt(back))
        x = out


def expected(function: Curve, deviation: float) -> float:
    """The mean of a function over normally distributed numbers with mean 0, by adding up 8,001 narrow stripes.

    >>> round(expected(lambda z: z**2, 3.0), 6), round(expected(lambda z: np.maximum(z, 0) ** 2, 1.0), 6)
    (9.0, 0.5)
    """
    places = np.linspace(-10, 10, 8001)
    weights = np.exp(-(places**2) / 2)
    return float((weights * function(deviation * places)).sum() / weights.sum())


def ways(layers: int, slope: float) -> Iterator[Ways]:
    """The 2 to the power of `layers` ways of a gradient through blocks y = x + f(x), by how often they go through f.

    (1 + f')^L = sum over k of C(L, k) f'^k: the way with k = 0 is the shortcut all along, and brings back 1.

    >>> [(way.count, way.together) for way in ways(2, 0.5)]
    [(1, 1.0), (2, 1.0), (1, 0.25)]
    """
    for through in range(layers + 1):
        each = slope**through
        yield Ways(through, comb(layers, through), each, comb(layers, through) * each)
