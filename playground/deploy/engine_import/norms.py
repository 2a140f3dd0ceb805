"""Normalisations."""

import math
from collections.abc import Sequence

import numpy as np

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import operator, refuse
from playground.deploy.engine_import.reductions import l1, l2


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


@operator("BatchNormalization")
def batch_norm_1(x: Tensor, scale: Tensor, b: Tensor, mean: Tensor, var: Tensor, *, epsilon: float = 1e-5,
                 is_test: int = 0, momentum: float = 0.9, spatial: int = 1, outputs: int = 1) -> Tensor:
    if not is_test:
        raise refuse("its batch norm is in training mode (is_test=0)")
    return batch_norm_7(x, scale, b, mean, var, epsilon=epsilon, spatial=spatial)


@operator("LRN")
def local_response_norm(x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0) -> Tensor:
    """Every number divided by a power of the mean square of the `size` channels around it (AlexNet, 2012):

        y[c] = x[c] / (bias + alpha / size * sum of x[i]**2)**beta,   i from c - (size-1)//2 to c + size//2

    Channels that are not there count as 0."""
    n, c, *places = x.shape
    squares = (x * x).reshape((n, 1, c, math.prod(places)))
    around = (((size - 1) // 2, size // 2), (0, 0))
    means = F.avg_pool2d(squares, (size, 1), 1, around, False, True).reshape(x.shape)
    return x * (means * alpha + bias) ** -beta


@operator("LpNormalization")
def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    """Divided by the length along an axis; nothing of length 0 stays 0, without a slope."""
    length = (l1 if p == 1 else l2)(x, (axis % x.ndim,), True)
    return x / F.where(Tensor(length.data == 0), Tensor(np.ones((), x.dtype)), length)


@operator("MeanVarianceNormalization", since=9)
def mean_variance_normalization(x: Tensor, *, axes: Sequence[int] = (0, 2, 3)) -> Tensor:
    off = x - x.mean(axis=tuple(axes), keepdims=True)
    return off / ((off * off).mean(axis=tuple(axes), keepdims=True).sqrt() + 1e-9)


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


@operator("InstanceNormalization")
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
