"""A convolution of a picture with many channels: one map per channel, then their sum."""

import numpy as np

from playground.errors import PlaygroundError

_BLUR = np.full((3, 3), 1 / 9)
_EDGE = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
_NONE = np.zeros((3, 3))
FILTERS: dict[str, np.ndarray] = {
    "red against green": np.stack([_BLUR, -_BLUR, _NONE]),
    "edge in red": np.stack([_EDGE, _NONE, _NONE]),
    "edge in green": np.stack([_NONE, _EDGE, _NONE]),
    "edge in blue": np.stack([_NONE, _NONE, _EDGE]),
    "edge in all": np.stack([_EDGE, _EDGE, _EDGE]),
    "blur": np.stack([_BLUR, _BLUR, _BLUR]) / 3,
    "random, seed 0": np.random.default_rng(0).normal(0, 0.3, (3, 3, 3)).round(2),
    "random, seed 1": np.random.default_rng(1).normal(0, 0.3, (3, 3, 3)).round(2),
}
"""Filters of three 3 × 3 kernels (3, 3, 3), one each for red, green and blue."""


def channel_maps(x: np.ndarray, kernels: np.ndarray) -> np.ndarray:
    """The response of each kernel on its own channel; their sum plus a bias is one feature map.

    x (C, H, W), kernels (C, KH, KW) -> (C, H - KH + 1, W - KW + 1):
    m[c, p, q] = sum over i, j of x[c, p + i, q + j] * k[c, i, j].
    Raises PlaygroundError when the numbers of channels differ or a kernel is larger than the picture.

    >>> channel_maps(np.ones((2, 2, 2)), np.array([[[1.0]], [[-2.0]]]))[:, 0, 0].tolist()
    [1.0, -2.0]
    """
    if x.shape[0] != kernels.shape[0]:
        raise PlaygroundError(f"The picture has {x.shape[0]} channels but the filter has {kernels.shape[0]} kernels: "
                              "a filter needs one for each channel.")
    if kernels.shape[1] > x.shape[1] or kernels.shape[2] > x.shape[2]:
        raise PlaygroundError("The kernel is larger than the picture: choose a larger picture.")
    windows = np.lib.stride_tricks.sliding_window_view(x, kernels.shape[1:], axis=(1, 2))
    return np.asarray(np.einsum("cpqij,cij->cpq", windows, kernels))


def parameter_count(filters: int, channels: int, height: int, width: int) -> int:
    """Weights and biases of a convolution: F * (C * KH * KW + 1), whatever the picture's size.

    >>> parameter_count(8, 3, 3, 3)
    224
    """
    return filters * (channels * height * width + 1)


def dense_count(inputs: int, outputs: int) -> int:
    """Weights and biases of a dense layer: outputs * (inputs + 1).

    >>> dense_count(12, 2)
    26
    """
    return outputs * (inputs + 1)
