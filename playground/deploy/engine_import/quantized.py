"""Quantised numbers: a real number r stands as the whole number q = round(r / scale) + zero_point.

Rounding has slope 0 and whole numbers are on no tape, so what is quantised has no gradient, and quantised weights are
no parameters. Only where a QuantizeLinear is followed by its DequantizeLinear, as in the files of most quantisers, a
gradient goes straight through both: 1 inside the range of whole numbers, 0 where they were clipped (Bengio et al. 2013,
arXiv 1308.3432; torch.fake_quantize_per_tensor_affine).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from engine.core import Op, Refused, Tensor, Vjp
from playground.deploy.engine_import.operators import Array, operator, refuse
from playground.deploy.engine_import.windows import conv


def _spread(values: Array, shape: Sequence[int], axis: int, block_size: int) -> Array:
    """Scales or zero points for numbers of `shape`: one for all, one for each place along `axis`, or one a block."""
    if block_size:
        return np.repeat(values, block_size, axis)[(*(slice(None),) * (axis % len(shape)), slice(0, shape[axis]))]
    if values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if k == axis % len(shape) else 1 for k in range(len(shape))])


def _quantized(x: Array, scale: Array, zero: Array, dtype: np.dtype[Any], saturate: bool = True) -> Array:
    scaled = x / scale
    if helper.np_dtype_to_tensor_dtype(dtype) in _FLOATS:
        moved = scaled + zero.astype(scaled.dtype)
        return np.asarray(numpy_helper.saturate_cast(moved, dtype) if saturate else moved.astype(dtype))
    low, high = _bounds(dtype)
    return np.asarray(np.clip(np.rint(scaled) + zero.astype(scaled.dtype), low, high).astype(dtype))


def _real(whole: Array, scale: Array, zero: Array) -> Array:
    """What whole numbers stand for."""
    return np.asarray((whole.astype(np.float64) - zero.astype(np.float64)).astype(scale.dtype) * scale)


_FLOATS = (TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E5M2FNUZ,
           TensorProto.FLOAT4E2M1)
_SMALL = {TensorProto.INT4: (-8, 7), TensorProto.UINT4: (0, 15), TensorProto.INT2: (-2, 1), TensorProto.UINT2: (0, 3)}


def _bounds(dtype: np.dtype[Any]) -> tuple[int, int]:
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    if kind in _SMALL:
        return _SMALL[kind]
    if dtype.kind not in "iu":
        raise refuse(f"it quantises to {dtype}")
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


class Quantized(Tensor):
    """Whole numbers that remember the real ones they stand for: `real`, and by which `scale` and `zero` they do."""

    __slots__ = ("real", "scale", "zero")

    def __init__(self, numbers: Array, real: Tensor, scale: Array, zero: Array):
        super().__init__(numbers)
        self.real, self.scale, self.zero = real, scale, zero


def fake_quantize(x: Array, scale: Array, zero: Array, back_scale: Array, back_zero: Array, *, dtype: str
                  ) -> tuple[Array, Vjp]:
    """x rounded to whole numbers and made real again; the gradient goes straight through, where nothing was clipped.

    scale and zero broadcast to x and are how it is quantised, back_scale and back_zero how it is made real again.

    >>> s, z = np.array(0.5), np.array(0, np.int8)
    >>> y, vjp = fake_quantize(np.array([0.3, 100.0]), s, z, s, z, dtype="int8")
    >>> y, vjp(np.ones(2))[0]
    (array([ 0.5, 63.5]), array([1., 0.]))
    """
    kind = np.dtype(dtype)
    low, high = _bounds(kind)
    moved = np.rint(x / scale) + zero.astype(x.dtype)
    real = _real(_quantized(x, scale, zero, kind), back_scale, back_zero)
    slope = ((moved >= low) & (moved <= high)) * (back_scale / scale)
    return real.astype(x.dtype), lambda g: ((g * slope).astype(x.dtype), None, None, None, None)


_FAKE_QUANTIZE = Op(fake_quantize, Refused("it is written as QuantizeLinear and DequantizeLinear"), selective=False)


@operator("QuantizeLinear", "com.microsoft.QuantizeLinear")
def quantize(x: Tensor, scale: Tensor, zero_point: Tensor | None = None, *, axis: int = 1, block_size: int = 0,
             output_dtype: int = 0, precision: int = 0, saturate: int = 1) -> Tensor:
    dtype = np.dtype(np.uint8)
    if zero_point is not None:
        dtype = zero_point.dtype
    elif output_dtype:
        dtype = helper.tensor_dtype_to_np_dtype(output_dtype)
    zero = np.zeros((), dtype) if zero_point is None else _spread(zero_point.data, x.shape, axis, block_size)
    numbers = x.data.astype(helper.tensor_dtype_to_np_dtype(precision) if precision else scale.dtype)
    steps = _spread(scale.data, x.shape, axis, block_size)
    whole = _quantized(numbers, steps, zero, dtype, bool(saturate))
    if x.requires_grad and dtype.name in ("int8", "uint8", "int16", "uint16"):
        return Quantized(whole, x, steps, zero)
    return Tensor(whole)


@operator("DequantizeLinear", "com.microsoft.DequantizeLinear")
def dequantize(x: Tensor, scale: Tensor, zero_point: Tensor | None = None, *, axis: int = 1, block_size: int = 0,
               output_dtype: int = 0) -> Tensor:
    steps = _spread(scale.data, x.shape, axis, block_size)
    zero = np.zeros((), x.dtype) if zero_point is None else _spread(zero_point.data, x.shape, axis, block_size)
    if isinstance(x, Quantized) and not output_dtype:
        return _FAKE_QUANTIZE(x.real, Tensor(x.scale), Tensor(x.zero), Tensor(steps), Tensor(zero), dtype=x.dtype.name)
    real = _real(x.data, steps, zero)
    return Tensor(real.astype(helper.tensor_dtype_to_np_dtype(output_dtype)) if output_dtype else real)


@operator("DynamicQuantizeLinear", since=11)
def dynamic_quantize(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """uint8 over the range of x, 0 in it; also the scale and the zero point."""
    low, high = np.minimum(x.data.min(initial=0), 0), np.maximum(x.data.max(initial=0), 0)
    scale = np.asarray((high - low) / np.float32(255), np.float32)
    if scale == 0:
        scale = np.ones((), np.float32)
    zero = np.asarray(np.clip(np.rint(-low / scale), 0, 255).astype(np.uint8))
    return Tensor(_quantized(x.data, scale, zero, np.dtype(np.uint8))), Tensor(scale), Tensor(zero)


# --- products of whole numbers: exact in float64, as long as a sum has fewer than 2**37 terms ---


def _off(x: Tensor, zero_point: Tensor | None, axis: int) -> Tensor:
    """x less its zero point, as float64."""
    off = x.data.astype(np.float64)
    return Tensor(off if zero_point is None else off - _spread(zero_point.data, x.shape, axis, 0))


def _whole(x: Tensor) -> Tensor:
    return Tensor(x.data.astype(np.int32))


@operator("ConvInteger", since=10)
def conv_integer(x: Tensor, w: Tensor, x_zero_point: Tensor | None = None, w_zero_point: Tensor | None = None, *,
                 auto_pad: str = "NOTSET", dilations: Sequence[int] | None = None, group: int = 1,
                 kernel_shape: Sequence[int] | None = None, pads: Sequence[int] | None = None,
                 strides: Sequence[int] | None = None) -> Tensor:
    return _whole(conv(_off(x, x_zero_point, 1), _off(w, w_zero_point, 0), auto_pad=auto_pad, dilations=dilations,
                       group=group, kernel_shape=kernel_shape, pads=pads, strides=strides))


@operator("MatMulInteger", since=10)
def matmul_integer(a: Tensor, b: Tensor, a_zero_point: Tensor | None = None, b_zero_point: Tensor | None = None,
                   ) -> Tensor:
    return _whole(_off(a, a_zero_point, -2) @ _off(b, b_zero_point, -1))


@operator("QLinearConv", since=10)
def qlinear_conv(x: Tensor, x_scale: Tensor, x_zero_point: Tensor, w: Tensor, w_scale: Tensor, w_zero_point: Tensor,
                 y_scale: Tensor, y_zero_point: Tensor, b: Tensor | None = None, *, auto_pad: str = "NOTSET",
                 dilations: Sequence[int] | None = None, group: int = 1, kernel_shape: Sequence[int] | None = None,
                 pads: Sequence[int] | None = None, strides: Sequence[int] | None = None) -> Tensor:
    sums = conv_integer(x, w, x_zero_point, w_zero_point, auto_pad=auto_pad, dilations=dilations, group=group,
                        kernel_shape=kernel_shape, pads=pads, strides=strides).data.astype(np.float64)
    if b is not None:
        sums = sums + _spread(b.data, sums.shape, 1, 0)
    scale = _spread(x_scale.data * w_scale.data / y_scale.data, sums.shape, 1, 0)
    return Tensor(_quantized(sums * scale, np.ones(()), y_zero_point.data.reshape(()), y_zero_point.dtype))


@operator("QLinearMatMul", since=10)
def qlinear_matmul(a: Tensor, a_scale: Tensor, a_zero_point: Tensor, b: Tensor, b_scale: Tensor, b_zero_point: Tensor,
                   y_scale: Tensor, y_zero_point: Tensor) -> Tensor:
    sums = (_off(a, a_zero_point, -2) @ _off(b, b_zero_point, -1)).data
    sums = sums * _spread(a_scale.data.astype(np.float64), sums.shape, -2, 0)
    sums = sums * _spread(b_scale.data.astype(np.float64), sums.shape, -1, 0)
    return Tensor(_quantized(sums, _spread(y_scale.data.astype(np.float64), sums.shape, -2, 0),
                             _spread(y_zero_point.data, sums.shape, -2, 0), y_zero_point.dtype))
