"""Normalisations."""

import numpy as np

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import operator, refuse


@operator("BatchNormalization", since=14)
def batch_norm(x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor, *, epsilon: float = 1e-5,
               momentum: float = 0.9, training_mode: int = 0) -> Tensor | tuple[Tensor, ...]:
    """`momentum` is what is kept of the old statistics (torch's is what is taken of the new)."""
    if not training_mode:
        return F.batch_norm(x, mean, var, scale, b, training=False, eps=epsilon)
    y = F.batch_norm(x, None, None, scale, b, training=True, eps=epsilon)
    axes = (0, *range(2, x.ndim))
    fresh_mean, fresh_var = x.data.mean(axis=axes), x.data.var(axis=axes)  # ONNX keeps the biased variance, torch not
    kept, taken = momentum, 1 - momentum
    return (y, Tensor((mean.data * kept + fresh_mean * taken).astype(mean.dtype)),
            Tensor((var.data * kept + fresh_var * taken).astype(var.dtype)))


@operator("BatchNormalization", since=7)
def batch_norm_7(x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor, *, epsilon: float = 1e-5,
                 momentum: float = 0.9, spatial: int = 1, outputs: int = 1) -> Tensor:
    if not spatial:
        raise refuse("its batch norm keeps statistics for every pixel (spatial=0)")
    if outputs > 1:
        raise refuse("its batch norm is in training mode")
    return F.batch_norm(x, mean, var, scale, b, training=False, eps=epsilon)


@operator("LayerNormalization", since=17)
def layer_norm(x: Tensor, scale: Tensor, b: Tensor | None = None, *, axis: int = -1, epsilon: float = 1e-5,
               stash_type: int = 1, outputs: int = 1) -> Tensor | tuple[Tensor, ...]:
    if stash_type != 1 or x.dtype not in (np.float32, np.float64):
        raise refuse(f"its layer norm is computed in another precision than its data ({x.dtype})")
    first = axis % x.ndim
    y = F.layer_norm(x, x.shape[first:], scale, b, eps=epsilon)
    if outputs == 1:
        return y
    axes = tuple(range(first, x.ndim))
    mean = x.mean(axis=axes, keepdims=True)
    off = x - mean
    deviation = ((off * off).mean(axis=axes, keepdims=True) + epsilon).sqrt()
    return (y, mean, 1.0 / deviation)[:outputs]


@operator("InstanceNormalization", since=6)
def instance_norm(x: Tensor, scale: Tensor, b: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    return F.instance_norm(x, None, None, scale, b, eps=epsilon)


@operator("GroupNormalization", since=21)
def group_norm(x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5,
               stash_type: int = 1) -> Tensor:
    if stash_type != 1 or x.dtype not in (np.float32, np.float64):
        raise refuse(f"its group norm is computed in another precision than its data ({x.dtype})")
    return F.group_norm(x, num_groups, scale, bias, eps=epsilon)


@operator("GroupNormalization", since=18)
def group_norm_18(x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5) -> Tensor:
    """Until opset 21 there was one scale and bias a group, not a channel."""
    channel_of = np.repeat(np.arange(num_groups), x.shape[1] // num_groups)
    return F.group_norm(x, num_groups, scale[channel_of], bias[channel_of], eps=epsilon)
