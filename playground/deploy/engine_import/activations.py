"""Activations, softmax and dropout."""

import math

import numpy as np

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import is_float, operator, refuse


@operator("Relu")
def relu(x: Tensor) -> Tensor:
    return F.relu(x)


@operator("LeakyRelu")
def leaky_relu(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return F.leaky_relu(x, alpha)


@operator("PRelu", since=7)
def prelu(x: Tensor, slope: Tensor) -> Tensor:
    """At 0 the slope is the learned one, as torch has it."""
    positive = Tensor(x.data > 0)
    return F.where(positive, x, slope * F.where(positive, Tensor(np.zeros((), x.dtype)), x))


@operator("PRelu")
def prelu_1(x: Tensor, slope: Tensor) -> Tensor:
    """One slope for all or one a channel."""
    return prelu(x, slope if slope.size == 1 else slope.reshape((-1, *(1,) * (x.ndim - 2))))


@operator("Elu")
def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.elu(x, alpha)


@operator("Celu", since=12)
def celu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.elu(x / alpha) * alpha


@operator("Selu", since=6)
def selu(x: Tensor, *, alpha: float = 1.6732632423543772, gamma: float = 1.0507009873554805) -> Tensor:
    return F.elu(x, alpha) * gamma


@operator("Mish", since=18)
def mish(x: Tensor) -> Tensor:
    return x * F.tanh(F.softplus(x))


@operator("ThresholdedRelu", since=10)
def thresholded_relu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.where(Tensor(x.data > alpha), x, Tensor(np.zeros((), x.dtype)))


@operator("Softsign")
def softsign(x: Tensor) -> Tensor:
    return x / (F.abs(x) + 1.0)


@operator("Shrink", since=9)
def shrink(x: Tensor, *, bias: float = 0.0, lambd: float = 0.5) -> Tensor:
    if not is_float(x):
        return Tensor(np.where(x.data < -lambd, x.data + bias, np.where(x.data > lambd, x.data - bias, 0)).astype(
            x.dtype))
    small = F.where(Tensor(x.data > lambd), x - bias, Tensor(np.zeros((), x.dtype)))
    return F.where(Tensor(x.data < -lambd), x + bias, small)


@operator("Gelu", since=20)
def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return F.gelu(x, approximate=approximate)


@operator("Erf", since=9)
def erf(x: Tensor) -> Tensor:
    return F.erf(x)


@operator("HardSigmoid")
def hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    if np.float32(alpha) == np.float32(1 / 6) and beta == 0.5:  # torch's, with slope 0 at its bends
        return F.hardsigmoid(x)
    return F.clip(x * alpha + beta, 0.0, 1.0)


@operator("HardSwish", since=14)
def hard_swish(x: Tensor) -> Tensor:
    return F.hardswish(x)


@operator("Swish", since=24)
def swish(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    return F.silu(x) if alpha == 1 else x * F.sigmoid(x * alpha)


@operator("Sigmoid")
def sigmoid(x: Tensor) -> Tensor:
    return F.sigmoid(x)


@operator("Tanh")
def tanh(x: Tensor) -> Tensor:
    return F.tanh(x)


@operator("Softplus")
def softplus(x: Tensor) -> Tensor:
    return F.softplus(x)


@operator("Softmax", since=13)
def softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    return F.softmax(x, dim=axis)


@operator("LogSoftmax", since=13)
def log_softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    return F.log_softmax(x, dim=axis)


@operator("Softmax")
def softmax_1(x: Tensor, *, axis: int = 1) -> Tensor:
    """Before opset 13 the axes from `axis` on were one."""
    rows = math.prod(x.shape[: axis % x.ndim])
    return F.softmax(x.reshape(rows, -1), dim=1).reshape(*x.shape)


@operator("LogSoftmax")
def log_softmax_1(x: Tensor, *, axis: int = 1) -> Tensor:
    rows = math.prod(x.shape[: axis % x.ndim])
    return F.log_softmax(x.reshape(rows, -1), dim=1).reshape(*x.shape)


@operator("Dropout", since=12)
def dropout(x: Tensor, ratio: Tensor | None = None, training_mode: Tensor | None = None, *, seed: int | None = None,
            outputs: int = 1) -> Tensor | tuple[Tensor, ...]:
    """In a graph that asks for training the mask is drawn as ONNX's reference implementation draws it (the standard
    leaves it open), so that a seed gives the same mask there and here."""
    p = 0.5 if ratio is None else ratio.item()
    if training_mode is None or not training_mode.data or p == 0:
        return (x, Tensor(np.ones(x.shape, bool)))[:outputs]
    kept = np.random.RandomState(seed).uniform(0, 1.0, x.shape) >= p
    return (x * Tensor((kept / (1 - p)).astype(x.dtype)), Tensor(kept))[:outputs]


@operator("Dropout", since=7)
def dropout_7(x: Tensor, *, ratio: float = 0.5, outputs: int = 1) -> Tensor | tuple[Tensor, ...]:
    return (x, Tensor(np.ones(x.shape, bool)))[:outputs]


@operator("Dropout")
def dropout_1(x: Tensor, *, is_test: int = 0, ratio: float = 0.5, outputs: int = 1) -> Tensor | tuple[Tensor, ...]:
    if not is_test:
        raise refuse("its dropout is in training mode (is_test=0)")
    return dropout_7(x, ratio=ratio, outputs=outputs)
