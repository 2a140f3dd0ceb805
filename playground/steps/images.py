"""Pictures as arrays: fewer levels, what they cost, and where a number stands in memory."""

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
    # A level can only become one other: 256 answers, looked up for every pixel, are faster than computing each
    q = np.arange(256) * 2**bits // 256
    return np.asarray(np.floor((q + 0.5) * 256 / 2**bits).astype(np.uint8)[image])


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


def places_of_ones(value: int) -> list[int]:
    """The powers of two that add up to a level 0..255, largest first: what its bits stand for.

    >>> places_of_ones(200)
    [128, 64, 8]
    """
    return [2**k for k in range(7, -1, -1) if value & 2**k]


def gray_of(image: np.ndarray) -> np.ndarray:
    """Brightness 0..255 of a picture, float64, unrounded: 0.299 R + 0.587 G + 0.114 B at every pixel.

    (H, W, 3) -> (H, W), which is a 1 x 1 convolution with one filter.

    >>> gray_of(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8)).round(3).tolist()
    [[76.245, 149.685]]
    """
    return np.asarray(image @ np.array(GRAY))


def offset_channels_last(row: int, column: int, channel: int, width: int) -> int:
    """How many numbers stand before X[row, column, channel] in memory, shape (H, W, 3): (r W + c) 3 + k.

    >>> offset_channels_last(1, 0, 2, width=4)
    14
    """
    return (row * width + column) * 3 + channel


def offset_channels_first(row: int, column: int, channel: int, height: int, width: int) -> int:
    """How many numbers stand before X[channel, row, column] in memory, shape (3, H, W): (k H + r) W + c.

    >>> offset_channels_first(1, 0, 2, height=3, width=4)
    28
    """
    return (channel * height + row) * width + column


def neighbour_correlation(gray: np.ndarray, distance: int) -> float:
    """Pearson's correlation of all pairs of pixels of a picture (H, W) that are `distance` apart in a row or column.

    1 when one tells the other exactly, 0 when it tells nothing. Raises PlaygroundError when no two are so far apart.

    >>> neighbour_correlation(np.array([[0.0, 9.0, 0.0], [9.0, 0.0, 9.0]]), 1)
    -1.0
    """
    if not 0 < distance < max(gray.shape):
        raise PlaygroundError(f"A picture of {gray.shape[0]} × {gray.shape[1]} pixels has none {distance} apart.")
    here = np.concatenate([gray[:, :-distance].ravel(), gray[:-distance].ravel()])
    there = np.concatenate([gray[:, distance:].ravel(), gray[distance:].ravel()])
    return float(np.corrcoef(here, there)[0, 1])
