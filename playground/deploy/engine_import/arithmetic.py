"""Arithmetic, comparisons, types and matrix products."""

from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from engine import OPS, Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import is_float, operator, refuse

# --- one by one ---


@operator("Identity")
def identity(x: Tensor) -> Tensor:
    return x


@operator("Abs")
def abs_(x: Tensor) -> Tensor:
    return F.abs(x) if is_float(x) else Tensor(np.abs(x.data))


@operator("Neg")
def neg(x: Tensor) -> Tensor:
    return -x


@operator("Exp")
def exp(x: Tensor) -> Tensor:
    return x.exp()


@operator("Log")
def log(x: Tensor) -> Tensor:
    return x.log()


@operator("Sqrt")
def sqrt(x: Tensor) -> Tensor:
    return x.sqrt()


@operator("Sin", since=7)
def sin(x: Tensor) -> Tensor:
    return F.sin(x)


@operator("Cos", since=7)
def cos(x: Tensor) -> Tensor:
    return F.cos(x)


@operator("Tan", since=7)
def tan(x: Tensor) -> Tensor:
    return F.sin(x) / F.cos(x)


@operator("Reciprocal")
def reciprocal(x: Tensor) -> Tensor:
    return 1.0 / x


@operator("Floor")
def floor(x: Tensor) -> Tensor:
    return Tensor(np.floor(x.data))


@operator("Ceil")
def ceil(x: Tensor) -> Tensor:
    return Tensor(np.ceil(x.data))


@operator("Round", since=11)
def round_(x: Tensor) -> Tensor:
    """Halves go to the even neighbour. It has no gradient, as Floor and Ceil have none."""
    return Tensor(np.rint(x.data))


@operator("IsNaN", since=9)
def is_nan(x: Tensor) -> Tensor:
    return Tensor(np.isnan(x.data))


@operator("IsInf", since=10)
def is_inf(x: Tensor, *, detect_negative: int = 1, detect_positive: int = 1) -> Tensor:
    found = np.isinf(x.data)
    return Tensor(found & ((x.data < 0) & bool(detect_negative) | (x.data > 0) & bool(detect_positive)))


@operator("Sign")
def sign(x: Tensor) -> Tensor:
    return Tensor(np.sign(x.data))


@operator("Not")
def not_(x: Tensor) -> Tensor:
    return Tensor(~x.data)


# --- two by two, broadcast together ---


@operator("Add", since=7)
def add(x: Tensor, y: Tensor) -> Tensor:
    return x + y


@operator("Sub", since=7)
def sub(x: Tensor, y: Tensor) -> Tensor:
    return x - y


@operator("Mul", since=7)
def mul(x: Tensor, y: Tensor) -> Tensor:
    return x * y


@operator("Div", since=7)
def div(x: Tensor, y: Tensor) -> Tensor:
    if is_float(x):
        return x / y
    quotient = np.floor_divide(x.data, y.data)  # whole numbers are rounded towards zero, NumPy's go down
    inexact = quotient * y.data != x.data
    return Tensor(quotient + (inexact & ((x.data < 0) != (y.data < 0))).astype(quotient.dtype))


@operator("Pow", since=7)
def pow_(x: Tensor, y: Tensor) -> Tensor:
    if not is_float(x):
        return Tensor(np.power(x.data, y.data).astype(x.dtype))
    return x ** cast_to(y, x.dtype)


@operator("Mod", since=10)
def mod(x: Tensor, y: Tensor, *, fmod: int = 0) -> Tensor:
    """With `fmod` the rest has the sign of x, as C has it; without, that of y, as Python has it."""
    if x.requires_grad or y.requires_grad:
        raise refuse("it takes a gradient through a remainder")
    with np.errstate(divide="ignore", invalid="ignore"):  # what is left after division by 0 is nan, as ONNX has it
        return Tensor((np.fmod if fmod else np.mod)(x.data, y.data))


@operator("Equal", since=7)
def equal(x: Tensor, y: Tensor) -> Tensor:
    return Tensor(x.data == y.data)


@operator("Greater", since=7)
def greater(x: Tensor, y: Tensor) -> Tensor:
    return Tensor(x.data > y.data)


@operator("GreaterOrEqual", since=12)
def greater_or_equal(x: Tensor, y: Tensor) -> Tensor:
    return Tensor(x.data >= y.data)


@operator("Less", since=7)
def less(x: Tensor, y: Tensor) -> Tensor:
    return Tensor(x.data < y.data)


@operator("LessOrEqual", since=12)
def less_or_equal(x: Tensor, y: Tensor) -> Tensor:
    return Tensor(x.data <= y.data)


@operator("And", since=7)
def and_(x: Tensor, y: Tensor) -> Tensor:
    return Tensor(x.data & y.data)


@operator("Or", since=7)
def or_(x: Tensor, y: Tensor) -> Tensor:
    return Tensor(x.data | y.data)


@operator("Xor", since=7)
def xor(x: Tensor, y: Tensor) -> Tensor:
    return Tensor(x.data ^ y.data)


@operator("Where")
def where(condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return F.where(condition, x, y)


# --- before opset 7 the smaller one stood along an axis the node named, or along the last ones ---


def _before_7(function: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    def met(x: Tensor, y: Tensor, *, axis: int | None = None, broadcast: int = 0) -> Tensor:
        if broadcast and axis is not None and y.ndim < x.ndim:
            y = y.reshape((*y.shape, *(1,) * (x.ndim - axis % x.ndim - y.ndim)))
        return function(x, y)

    return met


for _name, _function in {"Add": add, "Sub": sub, "Mul": mul, "Div": div, "Pow": pow_, "Equal": equal,
                         "Greater": greater, "Less": less, "And": and_, "Or": or_, "Xor": xor}.items():
    operator(_name)(_before_7(_function))


# --- any number of inputs ---


@operator("Sum")
def sum_(*inputs: Tensor) -> Tensor:
    return reduce(add, inputs)


@operator("Mean")
def mean(*inputs: Tensor) -> Tensor:
    return sum_(*inputs) / float(len(inputs))


@operator("Min")
def min_(*inputs: Tensor) -> Tensor:
    return reduce(F.minimum, inputs)


@operator("Max")
def max_(*inputs: Tensor) -> Tensor:
    return reduce(F.maximum, inputs)


# --- Clip: the bounds were attributes once ---


@operator("Clip", since=11)
def clip(x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    if not is_float(x):
        kept = x.data if low is None else np.maximum(x.data, low.data)
        return Tensor(kept if high is None else np.minimum(kept, high.data))
    if not any(bound is not None and bound.requires_grad for bound in (low, high)):  # plain numbers, as in relu6
        if low is None and high is None:
            return x
        return F.clip(x, None if low is None else low.item(), None if high is None else high.item())
    y = x if low is None else F.maximum(x, low)
    return y if high is None else F.minimum(y, high)


@operator("Clip")
def clip_6(x: Tensor, *, min: float = float(np.finfo(np.float32).min), max: float = float(np.finfo(np.float32).max),
           ) -> Tensor:
    return F.clip(x, min, max)


# --- types ---


def cast_to(x: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """x in another type. Between floating-point types it stays on the tape."""
    if x.dtype == dtype:
        return x
    if is_float(x) and dtype.kind == "f":
        return OPS["cast"](x, dtype=dtype)
    return Tensor(x.data.astype(dtype))


_SATURATING = (TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E4M3FNUZ, TensorProto.FLOAT8E5M2, TensorProto.FLOAT8E5M2FNUZ)


@operator("Cast", since=6)
def cast(x: Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> Tensor:
    """The small types beyond NumPy's own are data to the engine: they pass through, but nothing differentiates them."""
    if to == TensorProto.STRING:
        raise refuse("it casts numbers to text")
    dtype = helper.tensor_dtype_to_np_dtype(to)
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes inf, as ONNX has it
        if to == TensorProto.FLOAT8E8M0:
            return Tensor(numpy_helper.to_float8e8m0(x.data, bool(saturate), round_mode).astype(dtype))
        if to in _SATURATING and saturate:
            return Tensor(numpy_helper.saturate_cast(x.data, dtype))
        return cast_to(x, dtype)


@operator("CastLike", since=15)
def cast_like(x: Tensor, like: Tensor, *, saturate: int = 1, round_mode: str = "up") -> Tensor:
    return cast(x, to=helper.np_dtype_to_tensor_dtype(like.dtype), saturate=saturate, round_mode=round_mode)


# --- matrices ---


@operator("MatMul")
def matmul(x: Tensor, y: Tensor) -> Tensor:
    return x @ y


@operator("Einsum", since=12)
def einsum(*inputs: Tensor, equation: str) -> Tensor:
    return F.einsum(equation, *inputs)


@operator("Gemm", since=7)
def gemm(a: Tensor, b: Tensor, c: Tensor | None = None, *, alpha: float = 1.0, beta: float = 1.0, transA: int = 0,
         transB: int = 0) -> Tensor:
    if transA:
        a = a.permute(1, 0)
    if transB and alpha == beta == 1 and (c is None or c.shape == b.shape[:1]):  # a linear layer, as exporters write it
        return F.linear(a, b, c)
    y = a @ (b.permute(1, 0) if transB else b)
    if alpha != 1:
        y = y * alpha
    if c is None:
        return y
    return y + (c if beta == 1 else c * beta)


@operator("Gemm")
def gemm_1(a: Tensor, b: Tensor, c: Tensor, *, alpha: float = 1.0, beta: float = 1.0, broadcast: int = 0,
           transA: int = 0, transB: int = 0) -> Tensor:
    return gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)
