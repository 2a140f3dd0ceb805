"""First weights, by torch.nn.init's names: each fills a tensor in place and returns it.

Random ones take `rng`, a np.random.Generator, as their last keyword; without one they draw from a fresh, unseeded one.
"""

import math
from typing import Any

import numpy as np

from engine.core import ShapeError, Tensor

Rng = np.random.Generator | None


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """How much wider weights must be so that an activation passes on the variance it gets.

    >>> calculate_gain("relu") ** 2
    2.0000000000000004
    """
    if nonlinearity in ("linear", "conv2d", "conv_transpose2d", "sigmoid"):
        return 1.0
    if nonlinearity == "leaky_relu":
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    gains = {"tanh": 5.0 / 3, "relu": math.sqrt(2.0), "selu": 0.75}
    if nonlinearity not in gains:
        raise ValueError(f"no gain is known for the nonlinearity {nonlinearity!r}")
    return gains[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """How many numbers feed one output and how many outputs one input feeds: weights (OUT, IN, ...).

    >>> fans(Tensor(np.zeros((8, 3, 5, 5))))
    (75, 200)
    """
    if tensor.ndim < 2:
        raise ShapeError(f"weights of shape {tensor.shape} have no fan in and fan out: two axes are needed")
    pixels = math.prod(tensor.shape[2:])
    return tensor.shape[1] * pixels, tensor.shape[0] * pixels


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Evenly from a to b."""
    return _fill(tensor, _generator(rng).uniform(a, b, tensor.shape))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, *, rng: Rng = None) -> Tensor:
    """From the normal distribution."""
    return _fill(tensor, _generator(rng).normal(mean, std, tensor.shape))


def trunc_normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0, *, rng: Rng = None
) -> Tensor:
    """From the normal distribution between a and b: what falls outside is drawn again."""
    generator = _generator(rng)
    drawn = generator.normal(mean, std, tensor.shape)
    while (outside := (drawn < a) | (drawn > b)).any():
        drawn[outside] = generator.normal(mean, std, int(outside.sum()))
    return _fill(tensor, drawn)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """One number everywhere."""
    return _fill(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return _fill(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return _fill(tensor, 1.0)


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Evenly within ±gain * sqrt(6 / (fan in + fan out)). Source: Glorot and Bengio, 2010."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound, rng=rng)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, *, rng: Rng = None) -> Tensor:
    """Normal with variance gain² * 2 / (fan in + fan out). Source: Glorot and Bengio, 2010."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))), rng=rng)


def kaiming_uniform_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, rng: Rng = None
) -> Tensor:
    """Evenly within ±sqrt(3) * gain / sqrt(fan). Source: He et al., 2015.

    >>> w = kaiming_uniform_(Tensor(np.zeros((4, 6), np.float32)), nonlinearity="relu", rng=np.random.default_rng(0))
    >>> bool(abs(w.data).max() <= 1)
    True
    """
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, rng=rng)


def kaiming_normal_(
    tensor: Tensor, a: float = 0, mode: str = "fan_in", nonlinearity: str = "leaky_relu", *, rng: Rng = None
) -> Tensor:
    """Normal with standard deviation gain / sqrt(fan). Source: He et al., 2015."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), rng=rng)


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"mode is 'fan_in' or 'fan_out', not {mode!r}")
    fan = fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan) if fan else 0.0  # of no weights


def _generator(rng: Rng) -> np.random.Generator:
    return np.random.default_rng() if rng is None else rng


def _fill(tensor: Tensor, values: Any) -> Tensor:
    tensor.data[...] = values
    return tensor
