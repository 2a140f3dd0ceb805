"""A convolution taken one multiply-add at a time, written the way one would do it by hand."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from playground.errors import PlaygroundError


class ConvStep(NamedTuple):
    """One multiply-add: the weight at `tap` times the pixel at `position`, added to the sum of `output`.

    `position` is in the picture's own coordinates, so it is negative or past the end where `padded` is true and
    `pixel` is then the 0 of the padding. `running` is the sum including this product and the bias; it is the output
    itself when `done`.
    """

    output: tuple[int, int, int]  # f, p, q
    tap: tuple[int, int, int]  # c, i, j
    position: tuple[int, int]  # row, column
    padded: bool
    weight: float
    pixel: float
    product: float
    running: float
    done: bool


def window_extent(kernel: int, dilation: int = 1) -> int:
    """How many pixels a kernel side spans: dilation * (kernel - 1) + 1.

    >>> window_extent(3), window_extent(3, dilation=2)
    (3, 5)
    """
    return dilation * (kernel - 1) + 1


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """How many whole windows fit along one side: floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1.

    0 when not even one fits. Pixels past the last whole window are never read, as in PyTorch and ONNX.

    >>> output_size(8, 3), output_size(8, 3, stride=2), output_size(8, 3, padding=1), output_size(2, 3)
    (6, 3, 8, 0)
    """
    room = size + 2 * padding - window_extent(kernel, dilation)
    return room // stride + 1 if room >= 0 else 0


def conv_steps(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
) -> Iterator[ConvStep]:
    """Every multiply-add of a convolution of one picture, output by output, row by row.

    x (C, H, W), w (F, C, KH, KW), b (F,) -> F * OH * OW * C * KH * KW records

        y[f,p,q] = b[f] + sum over c,i,j of w[f,c,i,j] * x[c, p*stride + i*dilation - padding, q*stride + ...]

    Products with the padding's zeros are steps too: the machine does them, and a reader should see that they add
    nothing. Raises PlaygroundError when the channels differ or the kernel does not fit.

    >>> steps = list(conv_steps(np.arange(9.0).reshape(1, 3, 3), np.ones((1, 1, 2, 2))))
    >>> len(steps), [s.running for s in steps[:4]], steps[3].done
    (16, [0.0, 1.0, 4.0, 8.0], True)
    >>> [s.running for s in steps if s.done]
    [8.0, 12.0, 20.0, 24.0]
    """
    channels, height, width = x.shape
    filters, kernel_channels, kh, kw = w.shape
    if channels != kernel_channels:
        raise PlaygroundError(f"The picture has {channels} channels, but the kernel expects {kernel_channels}.")
    if refusal := does_not_fit((height, width), (kh, kw), padding=padding, dilation=dilation):
        raise PlaygroundError(refusal)
    oh = output_size(height, kh, stride, padding, dilation)
    ow = output_size(width, kw, stride, padding, dilation)
    # Numbers come out of lists several times as fast as out of arrays
    pixels, weights = x.astype(float).tolist(), w.astype(float).tolist()
    taps = list(itertools.product(range(channels), range(kh), range(kw)))
    for output in itertools.product(range(filters), range(oh), range(ow)):
        f, p, q = output
        running = float(b[f]) if b is not None else 0.0
        for tap in taps:
            c, i, j = tap
            row, column = p * stride + i * dilation - padding, q * stride + j * dilation - padding
            padded = not (0 <= row < height and 0 <= column < width)
            weight, pixel = weights[f][c][i][j], 0.0 if padded else pixels[c][row][column]
            product = weight * pixel
            running += product
            yield ConvStep(output, tap, (row, column), padded, weight, pixel, product, running, tap == taps[-1])


def does_not_fit(
    picture: tuple[int, int], kernel: tuple[int, int], *, padding: int = 0, dilation: int = 1
) -> str | None:
    """The sentence that says why no window fits and what to change, or None when one does.

    >>> print(does_not_fit((8, 8), (5, 5), dilation=3))
    The 5 × 5 kernel with dilation 3 spans 13 × 13 pixels, but the picture is only 8 × 8: choose a smaller kernel or \
dilation, or add padding.
    >>> does_not_fit((8, 8), (5, 5), padding=3, dilation=3)
    """
    span = tuple(window_extent(k, dilation) for k in kernel)
    room = tuple(n + 2 * padding for n in picture)
    if span[0] <= room[0] and span[1] <= room[1]:
        return None
    dilated = f" with dilation {dilation}" if dilation > 1 else ""
    padded = f" with padding {padding}" if padding else ""
    smaller = "kernel or dilation" if dilation > 1 else "kernel"
    return (
        f"The {kernel[0]} × {kernel[1]} kernel{dilated} spans {span[0]} × {span[1]} pixels, but the picture{padded} is "
        f"only {room[0]} × {room[1]}: choose a smaller {smaller}, or add padding."
    )
