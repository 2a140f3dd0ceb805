"""The backward pass of a convolution taken one product at a time, and the convolution as one matrix product."""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from playground.errors import PlaygroundError
from playground.steps.conv import does_not_fit, output_size


class ConvBackwardStep(NamedTuple):
    """One product of the forward pass, walked back: what arrives at its output goes to its pixel and to its weight.

    `input_gradient`, `weight_gradient` and `bias_gradient` are the running sums after this step. On the padding
    (`padded`) there is no pixel that could receive anything, so `input_gradient` is 0 there and is dropped.
    """

    output: tuple[int, int, int]  # f, p, q
    tap: tuple[int, int, int]  # c, i, j
    position: tuple[int, int]  # row, column
    padded: bool
    upstream: float
    weight: float
    pixel: float
    input_gradient: float
    weight_gradient: float
    bias_gradient: float


def conv_backward_steps(
    x: np.ndarray, w: np.ndarray, dy: np.ndarray, *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> Iterator[ConvBackwardStep]:
    """Every product of a convolution walked back, output by output, as the chain rule says it.

    x (C, H, W), w (F, C, KH, KW), dy (F, OH, OW) -> F * OH * OW * C * KH * KW records

        dx[c, r, q'] += w[f, c, i, j] * dy[f, p, q]      dw[f, c, i, j] += x[c, r, q'] * dy[f, p, q]
        db[f] += dy[f, p, q]    (once for each output)

    Raises PlaygroundError when the channels differ, the kernel does not fit or dy has another shape than the output.

    >>> steps = list(conv_backward_steps(np.array([[[1.0, 2.0]]]), np.array([[[[3.0]]]]), np.array([[[10.0, 1.0]]])))
    >>> [s.input_gradient for s in steps], [s.weight_gradient for s in steps], steps[-1].bias_gradient
    ([30.0, 3.0], [10.0, 12.0], 11.0)
    """
    channels, height, width = x.shape
    filters, kernel_channels, kh, kw = w.shape
    if channels != kernel_channels:
        raise PlaygroundError(f"The picture has {channels} channels, but the kernel expects {kernel_channels}.")
    if refusal := does_not_fit((height, width), (kh, kw), padding=padding, dilation=dilation):
        raise PlaygroundError(refusal)
    oh, ow = (output_size(size, k, stride, padding, dilation) for size, k in ((height, kh), (width, kw)))
    if dy.shape != (filters, oh, ow):
        raise PlaygroundError(f"The gradient has shape {dy.shape}, but the output has {(filters, oh, ow)}.")
    # Numbers come out of lists several times as fast as out of arrays
    pixels, weights, arriving = x.astype(float).tolist(), w.astype(float).tolist(), dy.astype(float).tolist()
    dx: defaultdict[tuple[int, ...], float] = defaultdict(float)
    dw: defaultdict[tuple[int, ...], float] = defaultdict(float)
    db = [0.0] * filters
    taps = list(itertools.product(range(channels), range(kh), range(kw)))
    for output in itertools.product(range(filters), range(oh), range(ow)):
        f, p, q = output
        upstream = arriving[f][p][q]
        db[f] += upstream
        for tap in taps:
            c, i, j = tap
            row, column = p * stride + i * dilation - padding, q * stride + j * dilation - padding
            padded = not (0 <= row < height and 0 <= column < width)
            weight, pixel = weights[f][c][i][j], 0.0 if padded else pixels[c][row][column]
            dw[f, c, i, j] += pixel * upstream
            if not padded:
                dx[c, row, column] += weight * upstream
            yield ConvBackwardStep(
                output, tap, (row, column), padded, upstream, weight, pixel,
                input_gradient=0.0 if padded else dx[c, row, column], weight_gradient=dw[f, c, i, j],
                bias_gradient=db[f])


def im2col(
    x: np.ndarray, kernel: tuple[int, int], *, stride: int = 1, padding: int = 0, dilation: int = 1
) -> np.ndarray:
    """Every window of a picture as a column, so that a convolution is w.reshape(F, -1) @ columns.

    x (C, H, W) -> (C * KH * KW, OH * OW). Raises PlaygroundError when the kernel does not fit. The name is the one
    the method has had since Chellapilla et al., 2006; it needs about KH * KW times the picture's memory.

    >>> im2col(np.arange(9.0).reshape(1, 3, 3), (2, 2)).astype(int).tolist()
    [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]
    """
    height, width = x.shape[1:]
    if refusal := does_not_fit((height, width), kernel, padding=padding, dilation=dilation):
        raise PlaygroundError(refusal)
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    oh, ow = (output_size(n, k, stride, padding, dilation) for n, k in zip((height, width), kernel, strict=True))
    rows = [
        padded[c, i * dilation : i * dilation + (oh - 1) * stride + 1 : stride,
               j * dilation : j * dilation + (ow - 1) * stride + 1 : stride].ravel()
        for c in range(len(x)) for i in range(kernel[0]) for j in range(kernel[1])
    ]
    return np.stack(rows)
