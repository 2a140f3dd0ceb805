"""Pictures as arrays: fewer levels, the error that costs, and how large the numbers are in memory."""

import numpy as np

from playground.errors import PlaygroundError

GRAY = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in brightness: ITU-R 601."""


def quantised(image: np.ndarray, bits: int) -> np.ndarray:
    """The picture with 2**bits levels a channel, each drawn at the middle of what it stands for.

    image uint8 -> uint8: q = floor(x * L / 256), shown as floor((q + 0.5) * 256 / L) with L = 2**bits; with 8 bits
    nothing changes. Raises PlaygroundError when bits is not 1..8.

    >>> quantised(np.array([0, 100, 200, 255], np.uint8), 1).tolist()
    [64, 64, 192, 192]
    """
    if not 1 <= bits <= 8:
        raise PlaygroundError(f"{bits} bits: a channel has 1 to 8.")
    levels = 2**bits
    q = image.astype(np.int64) * levels // 256
    return np.asarray(np.floor((q + 0.5) * 256 / levels)).astype(np.uint8)


def mean_squared_error(image: np.ndarray, other: np.ndarray) -> float:
    """Mean of the squared differences of two pictures of one shape, in gray levels squared.

    >>> mean_squared_error(np.array([0, 4]), np.array([0, 0]))
    8.0
    """
    return float(((image.astype(float) - other) ** 2).mean())


def peak_signal_to_noise(error: float) -> float:
    """10 log10(255² / mean squared error), in dB; infinite when nothing differs.

    >>> round(peak_signal_to_noise(65.025), 6)
    30.0
    """
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))


def colours(image: np.ndarray) -> int:
    """How many different colours (H, W, 3) or gray levels (H, W) a picture has.

    >>> colours(np.array([[[1, 2, 3], [1, 2, 3], [3, 2, 1]]], np.uint8))
    2
    """
    if image.ndim == 2:
        return len(np.unique(image))
    packed = image.astype(np.int64) @ np.array([65536, 256, 1])
    return len(np.unique(packed))


def bits_of(value: int) -> str:
    """A level 0..255 as its eight bits.

    >>> bits_of(200)
    '11001000'
    """
    return f"{value:08b}"
