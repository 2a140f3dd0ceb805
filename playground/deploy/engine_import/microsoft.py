"""Operators of onnxruntime's own domain, com.microsoft, that its optimiser writes for several of ONNX's."""

from collections.abc import Callable, Sequence

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.arithmetic import gemm
from playground.deploy.engine_import.operators import operator, refuse
from playground.deploy.engine_import.windows import conv

_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "": lambda x: x,
    "Relu": lambda x: F.relu(x),
    "Tanh": lambda x: F.tanh(x),
    "Sigmoid": lambda x: F.sigmoid(x),
    "LeakyRelu": lambda x, alpha=0.01: F.leaky_relu(x, alpha),
    "Clip": lambda x, low, high: F.clip(x, low, high),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: F.clip(x * alpha + beta, 0.0, 1.0),
}


@operator("com.microsoft.FusedConv")
def fused_conv(x: Tensor, w: Tensor, b: Tensor | None = None, z: Tensor | None = None, *, activation: str = "",
               activation_params: Sequence[float] = (), auto_pad: str = "NOTSET",
               dilations: Sequence[int] | None = None, group: int = 1, kernel_shape: Sequence[int] | None = None,
               pads: Sequence[int] | None = None, strides: Sequence[int] | None = None) -> Tensor:
    """activation(conv(x, w, b) + z)."""
    if activation not in _ACTIVATIONS:
        raise refuse(f"its convolution has the activation {activation}")
    y = conv(x, w, b, auto_pad=auto_pad, dilations=dilations, group=group, kernel_shape=kernel_shape, pads=pads,
             strides=strides)
    return _ACTIVATIONS[activation](y if z is None else y + z, *activation_params)


@operator("com.microsoft.FusedGemm")
def fused_gemm(a: Tensor, b: Tensor, c: Tensor | None = None, *, activation: str = "",
               activation_alpha: float | None = None, activation_beta: float | None = None,
               activation_gamma: float | None = None, alpha: float = 1.0, beta: float = 1.0, transA: int = 0,
               transB: int = 0) -> Tensor:
    """activation(alpha * a @ b + beta * c)."""
    if activation not in _ACTIVATIONS or activation == "Clip" or activation_gamma is not None:
        raise refuse(f"its matrix product has the activation {activation}")
    given = [one for one in (activation_alpha, activation_beta) if one is not None]
    return _ACTIVATIONS[activation](gemm(a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB), *given)


@operator("com.microsoft.FusedMatMul")
def fused_matmul(a: Tensor, b: Tensor, *, alpha: float = 1.0, transA: int = 0, transB: int = 0, transBatchA: int = 0,
                 transBatchB: int = 0) -> Tensor:
    """alpha * a @ b, the last two axes of either exchanged first; with transBatch the first axis becomes the last but
    one."""
    y = _turned(a, transA, transBatchA) @ _turned(b, transB, transBatchB)
    return y if alpha == 1 else y * alpha


def _turned(x: Tensor, last: int, batch: int) -> Tensor:
    if batch:
        x = x.permute(*range(1, x.ndim - 1), 0, x.ndim - 1)
    return x.transpose(-2, -1) if last and x.ndim > 1 else x


@operator("com.microsoft.Gelu")
def gelu(x: Tensor) -> Tensor:
    return F.gelu(x)


@operator("com.microsoft.BiasGelu")
def bias_gelu(x: Tensor, b: Tensor) -> Tensor:
    return F.gelu(x + b)


@operator("com.microsoft.FastGelu")
def fast_gelu(x: Tensor, b: Tensor | None = None) -> Tensor:
    return F.gelu(x if b is None else x + b, approximate="tanh")


@operator("com.microsoft.QuickGelu")
def quick_gelu(x: Tensor, *, alpha: float = 1.702) -> Tensor:
    return x * F.sigmoid(x * alpha)


@operator("com.microsoft.SkipLayerNormalization")
def skip_layer_norm(x: Tensor, skip: Tensor, gamma: Tensor, beta: Tensor | None = None, bias: Tensor | None = None, *,
                    epsilon: float = 1e-12, outputs: int = 1) -> tuple[Tensor, ...]:
    """Layer norm of x + skip + bias over the last axis; the fourth result is that sum."""
    if outputs in (2, 3):
        raise refuse("it asks a layer norm for mean and deviation")
    total = x + skip if bias is None else x + skip + bias
    y = F.layer_norm(total, total.shape[-1:], gamma, beta, epsilon)
    return (y, y, y, total) if outputs == 4 else (y,)
