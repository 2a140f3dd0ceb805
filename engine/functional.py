"""The public functions, with torch.nn.functional's names, positional order and keywords.

Tensors or arrays in, Tensors out; what a function computes stands in the docstring of the op of its name in
`engine/ops`. What torch accepts and the engine does not is refused by name (`RefusedArgument`), never ignored.
Functions that draw random numbers take one more keyword, `rng`.

>>> relu(np.array([-1.0, 2.0])).data
array([0., 2.])
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine import arithmetic, losses
from engine.arithmetic import *  # noqa: F403
from engine.core import RefusedArgument, ShapeError, Tensor, TensorLike, as_tensor
from engine.geometry import Padding, Sizes
from engine.losses import *  # noqa: F403
from engine.ops import activation as _a
from engine.ops import conv as _conv
from engine.ops import elementwise as _e
from engine.ops import index as _index
from engine.ops import linear as _linear
from engine.ops import norm as _norm
from engine.ops import pool as _pool
from engine.ops import resize as _resize
from engine.ops import shape as _shape
from engine.ops.dropout import dropout as _dropout

# --- layers with weights ---


def linear(input: TensorLike, weight: TensorLike, bias: TensorLike | None = None) -> Tensor:
    """input @ weight^T + bias."""
    return _linear.linear(input, weight, bias)


def conv2d(
    input: TensorLike, weight: TensorLike, bias: TensorLike | None = None, stride: Sizes = 1, padding: Padding = 0,
    dilation: Sizes = 1, groups: int = 1,
) -> Tensor:
    """The response of filters at every place of images (N, C, H, W), or of one image (C, H, W)."""
    x = input if isinstance(input, Tensor) else as_tensor(input)
    one = x.data.ndim == 3
    y = _conv.conv2d(
        x.unsqueeze(0) if one else x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
    )
    return y.squeeze(0) if one else y


def conv_transpose2d(
    input: TensorLike, weight: TensorLike, bias: TensorLike | None = None, stride: Sizes = 1, padding: Padding = 0,
    output_padding: Sizes = 0, groups: int = 1, dilation: Sizes = 1,
) -> Tensor:
    """Images (N, C, H, W) or one image (C, H, W) painted larger: the adjoint of conv2d."""
    x = as_tensor(input)
    one = x.ndim == 3
    y = _conv.conv_transpose2d(
        x.unsqueeze(0) if one else x, weight, bias, stride=stride, padding=padding, output_padding=output_padding,
        dilation=dilation, groups=groups,
    )
    return y.squeeze(0) if one else y


# --- pooling ---


def _one_or_many(op: Callable[..., Tensor], x: Tensor, options: dict[str, Any]) -> Tensor:
    return op(x.unsqueeze(0), **options).squeeze(0) if x.data.ndim == 3 else op(x, **options)


def _step(stride: Sizes | None) -> Sizes | None:
    return None if stride == () or stride == [] else stride  # torch reads () as None


def max_pool2d(
    input: TensorLike, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, dilation: Sizes = 1,
    ceil_mode: bool = False, return_indices: bool = False,
) -> Any:
    """The largest value of every window; with return_indices also where in its (H, W) plane each one stood."""
    options = {"kernel_size": kernel_size, "stride": _step(stride), "padding": padding, "dilation": dilation,
               "ceil_mode": ceil_mode}
    x = as_tensor(input)
    y = _one_or_many(_pool.max_pool2d, x, options)
    return (y, _places(_pool.max_pool2d_indices, x, options)) if return_indices else y


def avg_pool2d(
    input: TensorLike, kernel_size: Sizes, stride: Sizes | None = None, padding: Padding = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:
    """The average of every window."""
    return _one_or_many(_pool.avg_pool2d, as_tensor(input), {
        "kernel_size": kernel_size, "stride": _step(stride), "padding": padding, "ceil_mode": ceil_mode,
        "count_include_pad": count_include_pad, "divisor_override": divisor_override,
    })


def adaptive_avg_pool2d(input: TensorLike, output_size: Any) -> Tensor:
    """Averages over output_size regions that cover the image."""
    return _one_or_many(_pool.adaptive_avg_pool2d, as_tensor(input), {"output_size": output_size})


def adaptive_max_pool2d(input: TensorLike, output_size: Any, return_indices: bool = False) -> Any:
    """The largest values of output_size regions that cover the image."""
    x, options = as_tensor(input), {"output_size": output_size}
    y = _one_or_many(_pool.adaptive_max_pool2d, x, options)
    return (y, _places(_pool.adaptive_max_pool2d_indices, x, options)) if return_indices else y


def _places(indices: Callable[..., Any], x: Tensor, options: dict[str, Any]) -> Tensor:
    return Tensor(indices(x.data[None], **options)[0] if x.ndim == 3 else indices(x.data, **options))


def interpolate(
    input: TensorLike, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
    align_corners: bool | None = None, recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:
    """Images stretched or shrunk to another size."""
    if antialias:
        raise RefusedArgument("interpolate", "antialias", "shrink by averaging first instead")
    if mode == "area":
        return _averaged_area(as_tensor(input), size, scale_factor)
    return _resize.interpolate(
        input, size=size, scale_factor=scale_factor, mode=mode, align_corners=align_corners,
        recompute_scale_factor=recompute_scale_factor,
    )


def _averaged_area(x: Tensor, size: Any, scale_factor: Any) -> Tensor:
    if x.ndim != 4:
        raise ShapeError(f"interpolate takes images (N, C, H, W), not {x.shape}")
    if size is None:
        factors = scale_factor if isinstance(scale_factor, Sequence) else (scale_factor, scale_factor)
        size = tuple(int(n * factor) for n, factor in zip(x.shape[2:], factors, strict=True))
    return adaptive_avg_pool2d(x, size)


# --- normalisation ---


def batch_norm(
    input: TensorLike, running_mean: Any, running_var: Any, weight: TensorLike | None = None,
    bias: TensorLike | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:
    """Every channel shifted and scaled: by the batch's own statistics while training, by the running ones else.

    While training, running_mean and running_var (arrays or Tensors, or None) are moved towards the batch's mean and
    unbiased variance by the share `momentum`, in place.
    """
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm without training=True needs running_mean and running_var")
        return _norm.batch_norm_inference(input, running_mean, running_var, weight, bias, eps=eps)
    if running_mean is None:
        return _norm.batch_norm_training(input, weight, bias, eps=eps)
    x = as_tensor(input)
    if not x.size:  # nothing to learn from
        return _norm.batch_norm_training(x, weight, bias, eps=eps)
    moments = _norm.batch_moments(x.data)
    y = _norm.batch_norm_training(x, weight, bias, eps=eps, moments=moments)
    count = x.size // x.shape[1]
    _move(running_mean, moments[0], momentum)
    _move(running_var, moments[1] * (count / (count - 1)), momentum)
    return y


def _move(running: Any, now: Any, momentum: float) -> None:
    kept = running.data if isinstance(running, Tensor) else running
    kept *= 1 - momentum
    kept += momentum * now


def layer_norm(
    input: TensorLike, normalized_shape: Any, weight: TensorLike | None = None, bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Every sample brought to mean 0 and variance 1 over its last axes."""
    return _norm.layer_norm(input, weight, bias, normalized_shape=normalized_shape, eps=eps)


def group_norm(
    input: TensorLike, num_groups: int, weight: TensorLike | None = None, bias: TensorLike | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Every group of channels of every sample brought to mean 0 and variance 1."""
    return _norm.group_norm(input, weight, bias, num_groups=num_groups, eps=eps)


def instance_norm(
    input: TensorLike, running_mean: Any = None, running_var: Any = None, weight: TensorLike | None = None,
    bias: TensorLike | None = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:
    """Every channel of every sample brought to mean 0 and variance 1, or by running statistics as batch_norm."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, eps=eps)
    x = as_tensor(input)
    y = _norm.instance_norm(x, weight, bias, eps=eps)  # refuses what it cannot do before anything is moved
    if running_mean is not None and x.size:
        pixels = tuple(range(2, x.ndim))
        count = x.size // (x.shape[0] * x.shape[1])
        _move(running_mean, x.data.mean(axis=pixels).mean(axis=0), momentum)
        _move(running_var, x.data.var(axis=pixels).mean(axis=0) * (count / (count - 1)), momentum)
    return y


# --- dropout ---


def dropout(
    input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False, *,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """Numbers left out with probability p and the others scaled by 1/(1-p) while training; input as it is else."""
    x = as_tensor(input)
    return _left_out("dropout", x, x.shape, p, training, inplace, rng)


def dropout2d(
    input: TensorLike, p: float = 0.5, training: bool = True, inplace: bool = False, *,
    rng: np.random.Generator | None = None,
) -> Tensor:
    """Whole channels of (N, C, ...) left out with probability p while training."""
    x = as_tensor(input)
    if x.ndim < 2:
        raise ShapeError(f"dropout2d leaves out channels of (N, C, ...), not of {x.shape}")
    return _left_out("dropout2d", x, (*x.shape[:2], *[1] * (x.ndim - 2)), p, training, inplace, rng)


def _left_out(
    name: str, x: Tensor, mask: tuple[int, ...], p: float, training: bool, inplace: bool,
    rng: np.random.Generator | None,
) -> Tensor:
    if not 0 <= p <= 1:
        raise ValueError(f"{name}'s p is a probability between 0 and 1, not {p}")
    if inplace:
        raise _inplace(name)
    if not training or p == 0:
        return x
    draw = (np.random.default_rng() if rng is None else rng).random(mask, np.float32)
    return _dropout(x, draw >= p, p=p)


def _inplace(name: str) -> RefusedArgument:
    return RefusedArgument(name, "inplace", "the engine never changes an input")


# --- activations ---


def relu(input: TensorLike, inplace: bool = False) -> Tensor:
    """max(input, 0)."""
    if inplace:
        raise _inplace("relu")
    return _a.relu(input)


def leaky_relu(input: TensorLike, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """input where positive, negative_slope * input elsewhere."""
    if inplace:
        raise _inplace("leaky_relu")
    return _a.leaky_relu(input, negative_slope=negative_slope)


def elu(input: TensorLike, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """input where positive, alpha * (e**input - 1) elsewhere."""
    if inplace:
        raise _inplace("elu")
    return _a.elu(input, alpha=alpha)


def gelu(input: TensorLike, approximate: str = "none") -> Tensor:
    """input times the share of a normal distribution below it; approximate is 'none' or 'tanh'."""
    return _a.gelu(input, approximate=approximate)


def silu(input: TensorLike, inplace: bool = False) -> Tensor:
    """input * sigmoid(input)."""
    if inplace:
        raise _inplace("silu")
    return _a.silu(input)


def hardswish(input: TensorLike, inplace: bool = False) -> Tensor:
    """input * min(max(input + 3, 0), 6) / 6."""
    if inplace:
        raise _inplace("hardswish")
    return _a.hardswish(input)


def hardsigmoid(input: TensorLike, inplace: bool = False) -> Tensor:
    """min(max(input + 3, 0), 6) / 6."""
    if inplace:
        raise _inplace("hardsigmoid")
    return _a.hardsigmoid(input)


def softplus(input: TensorLike, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + e**(beta * input)) / beta."""
    return _a.softplus(input, beta=beta, threshold=threshold)


def sigmoid(input: TensorLike) -> Tensor:
    """1 / (1 + e**-input)."""
    return _a.sigmoid(input)


def tanh(input: TensorLike) -> Tensor:
    """The hyperbolic tangent."""
    return _a.tanh(input)


def softmax(input: TensorLike, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """Scores as probabilities along dim; `dtype` converts first. (_stacklevel only holds torch's third place.)"""
    return _a.softmax(_typed(input, dtype), dim=_chosen("softmax", dim))


def log_softmax(input: TensorLike, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The logarithm of softmax along dim; `dtype` converts first. (_stacklevel only holds torch's third place.)"""
    return _a.log_softmax(_typed(input, dtype), dim=_chosen("log_softmax", dim))


def _chosen(name: str, dim: int | None) -> int:
    if dim is None:
        raise RefusedArgument(name, "dim", "say along which axis: torch's old guess from the shape surprised people")
    return dim


def _typed(input: TensorLike, dtype: Any) -> TensorLike:
    return input if dtype is None else _e.cast(input, dtype=dtype)


# --- frames and classes ---


def pad(input: TensorLike, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """input in a wider frame; pad = (left, right, top, bottom, ...) counts from the last axis on."""
    return _shape.pad(input, pad=tuple(pad), mode=mode, value=value)


def one_hot(tensor: TensorLike, num_classes: int = -1) -> Tensor:
    """Class numbers as rows that are 1 at the class and 0 elsewhere."""
    return _index.one_hot(tensor, num_classes=num_classes)


__all__ = [
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "batch_norm", "conv2d", "conv_transpose2d", "dropout",
    "dropout2d", "elu", "gelu", "group_norm", "hardsigmoid", "hardswish", "instance_norm", "interpolate", "layer_norm",
    "leaky_relu", "linear", "log_softmax", "max_pool2d", "one_hot", "pad", "relu", "sigmoid", "silu", "softmax",
    "softplus", "tanh",
]
__all__ += arithmetic.__all__
__all__ += losses.__all__
