"""onnxruntime's operators of quantised numbers: made real, computed, quantised again."""

from collections.abc import Callable, Sequence

import numpy as np

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.arithmetic import gemm
from playground.deploy.engine_import.operators import operator, refuse
from playground.deploy.engine_import.quantized import dequantize, quantize
from playground.deploy.engine_import.windows import average_pool, global_average_pool


def _again(x: Tensor, scale: Tensor, zero: Tensor | None, like: Tensor) -> Tensor:
    return quantize(x, scale, Tensor(np.zeros((), like.dtype)) if zero is None else zero)


def _two_by_two(join: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def computed(a: Tensor, a_scale: Tensor, a_zero_point: Tensor | None, b: Tensor, b_scale: Tensor,
                 b_zero_point: Tensor | None, c_scale: Tensor, c_zero_point: Tensor | None = None) -> Tensor:
        return _again(join(dequantize(a, a_scale, a_zero_point), dequantize(b, b_scale, b_zero_point)), c_scale,
                      c_zero_point, a)

    return computed


operator("com.microsoft.QLinearAdd")(_two_by_two(lambda a, b: a + b))
operator("com.microsoft.QLinearMul")(_two_by_two(lambda a, b: a * b))


@operator("com.microsoft.QLinearGlobalAveragePool")
def qlinear_global_average_pool(x: Tensor, x_scale: Tensor, x_zero_point: Tensor, y_scale: Tensor,
                                y_zero_point: Tensor, *, channels_last: int = 0) -> Tensor:
    if channels_last:
        raise refuse("it pools quantised images whose channels come last")
    return quantize(global_average_pool(dequantize(x, x_scale, x_zero_point)), y_scale, y_zero_point)


@operator("com.microsoft.QLinearAveragePool")
def qlinear_average_pool(x: Tensor, x_scale: Tensor, x_zero_point: Tensor | None, y_scale: Tensor,
                         y_zero_point: Tensor | None = None, *, kernel_shape: Sequence[int], auto_pad: str = "NOTSET",
                         ceil_mode: int = 0, channels_last: int = 0, count_include_pad: int = 0,
                         pads: Sequence[int] | None = None, strides: Sequence[int] | None = None) -> Tensor:
    if channels_last:
        raise refuse("it pools quantised images whose channels come last")
    y = average_pool(dequantize(x, x_scale, x_zero_point), kernel_shape=kernel_shape, auto_pad=auto_pad,
                     ceil_mode=ceil_mode, count_include_pad=count_include_pad, pads=pads, strides=strides)
    return _again(y, y_scale, y_zero_point, x)


@operator("com.microsoft.QLinearSigmoid")
def qlinear_sigmoid(x: Tensor, x_scale: Tensor, x_zero_point: Tensor | None, y_scale: Tensor,
                    y_zero_point: Tensor | None = None) -> Tensor:
    return _again(F.sigmoid(dequantize(x, x_scale, x_zero_point)), y_scale, y_zero_point, x)


@operator("com.microsoft.QLinearLeakyRelu")
def qlinear_leaky_relu(x: Tensor, x_scale: Tensor, x_zero_point: Tensor | None, y_scale: Tensor,
                       y_zero_point: Tensor | None = None, *, alpha: float = 0.01) -> Tensor:
    return _again(F.leaky_relu(dequantize(x, x_scale, x_zero_point), alpha), y_scale, y_zero_point, x)


@operator("com.microsoft.QLinearSoftmax")
def qlinear_softmax(x: Tensor, x_scale: Tensor, x_zero_point: Tensor | None, y_scale: Tensor, y_zero_point: Tensor, *,
                    axis: int = -1, opset: int) -> Tensor:
    real = dequantize(x, x_scale, x_zero_point)
    if opset < 13:  # the axes from `axis` on were one
        rows = int(np.prod(x.shape[:axis % x.ndim], dtype=int))
        return quantize(F.softmax(real.reshape(rows, -1), dim=1).reshape(*x.shape), y_scale, y_zero_point)
    return quantize(F.softmax(real, dim=axis), y_scale, y_zero_point)


@operator("com.microsoft.QLinearConcat")
def qlinear_concat(y_scale: Tensor, y_zero_point: Tensor, *inputs: Tensor, axis: int) -> Tensor:
    """The others come by three: numbers, scale, zero point."""
    real = [dequantize(*inputs[k:k + 3]) for k in range(0, len(inputs), 3)]
    return quantize(F.concat(real, axis), y_scale, y_zero_point)


@operator("com.microsoft.QGemm")
def qgemm(a: Tensor, a_scale: Tensor, a_zero_point: Tensor | None, b: Tensor, b_scale: Tensor,
          b_zero_point: Tensor | None, c: Tensor | None = None, y_scale: Tensor | None = None,
          y_zero_point: Tensor | None = None, *, alpha: float = 1.0, transA: int = 0, transB: int = 0) -> Tensor:
    """c is whole numbers in units of alpha times both scales; without y_scale the result is real."""
    rows = dequantize(a, a_scale, a_zero_point)
    columns = dequantize(b, b_scale, b_zero_point, axis=0 if transB else 1)
    y = gemm(rows, columns, transA=transA, transB=transB)
    if c is not None:
        y = y + Tensor(c.data.astype(np.float32) * a_scale.data * b_scale.data)
    y = y if alpha == 1 else y * alpha
    return y if y_scale is None else _again(y, y_scale, y_zero_point, a)
