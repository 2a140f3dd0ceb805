"""Layers with torch.nn's names, constructor arguments and state-dict names, so that weights move across by name.

Layers with random weights or masks take one more keyword, `rng` (a np.random.Generator); without it they draw from a
fresh, unseeded one. Numbers are float32 unless `dtype` says otherwise.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from engine import functional as F
from engine import init, stateless
from engine.core import RefusedArgument, ShapeError, Tensor, TensorLike
from engine.geometry import Padding, Sizes, pair
from engine.module import Flow, Module, ModuleList, Row, Sequential, Summary, summary
from engine.stateless import *  # noqa: F403

Rng = np.random.Generator | None


def _empty(shape: Sequence[int], dtype: Any, device: Any) -> Tensor:
    if device is not None and str(device) != "cpu":
        raise RefusedArgument("layers", "device", "the engine runs on the CPU")
    return Tensor(np.zeros(shape, np.float32 if dtype is None else dtype), requires_grad=True)


def _torch_default(weight: Tensor, bias: Tensor | None, rng: Rng) -> None:
    """torch's first weights for Linear and Conv2d: both evenly within ±1/sqrt(fan in)."""
    init.kaiming_uniform_(weight, a=math.sqrt(5), rng=rng)
    if bias is not None:
        fan_in = init.fans(weight)[0]
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        init.uniform_(bias, -bound, bound, rng=rng)


class Identity(Module):
    """Passes on what it gets."""

    def forward(self, x: TensorLike) -> Any:
        return x

    def flow(self, before: Flow, name: str) -> Flow:
        return before


# --- with weights ---


class Linear(Module):
    """x @ weight^T + bias: weight (OUT, IN), bias (OUT,)."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None, *,
        rng: Rng = None,
    ):
        self.in_features, self.out_features = in_features, out_features
        self.weight = _empty((out_features, in_features), dtype, device)
        self.bias = _empty((out_features,), dtype, device) if bias else None
        _torch_default(self.weight, self.bias, rng)

    def forward(self, x: TensorLike) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}"

    def flow(self, before: Flow, name: str) -> Flow:
        if before.channels is not None and not before.flat:  # images: which axis it works on is not known
            return Flow()
        before.must_be(self.in_features, "features", name)
        return Flow(self.out_features, flat=True)


class _Conv(Module):
    """What the two convolutions share."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes, padding: Padding, dilation: Sizes,
        groups: int, bias: bool, padding_mode: str, shape: tuple[int, int], device: Any, dtype: Any, rng: Rng,
    ):
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ShapeError(f"{in_channels} and {out_channels} channels do not both split into {groups} groups")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = pair(kernel_size, "kernel_size"), pair(stride, "stride")
        self.padding, self.dilation, self.padding_mode = padding, pair(dilation, "dilation"), padding_mode
        self.weight = _empty((*shape, *self.kernel_size), dtype, device)
        self.bias = _empty((out_channels,), dtype, device) if bias else None
        _torch_default(self.weight, self.bias, rng)

    def extra_repr(self) -> str:
        plain = (("stride", (1, 1)), ("padding", 0), ("dilation", (1, 1)), ("groups", 1))
        more = [f", {name}={getattr(self, name)}" for name, usual in plain if getattr(self, name) != usual]
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}{''.join(more)}"

    def flow(self, before: Flow, name: str) -> Flow:
        if before.flat:
            raise ShapeError(f"{before.source} gives flat features, but {name} takes images")
        before.must_be(self.in_channels, "channels", name)
        return Flow(self.out_channels)


class Conv2d(_Conv):
    """The response of out_channels filters at every place: weight (OUT, IN/groups, KH, KW), bias (OUT,).

    padding_mode 'reflect', 'replicate' or 'circular' frames the image by F.pad instead of zeros.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Padding = 0,
        dilation: Sizes = 1, groups: int = 1, bias: bool = True, padding_mode: str = "zeros", device: Any = None,
        dtype: Any = None, *, rng: Rng = None,
    ):
        if padding_mode not in ("zeros", "reflect", "replicate", "circular"):
            raise ValueError(f"padding_mode is 'zeros', 'reflect', 'replicate' or 'circular', not {padding_mode!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            (out_channels, in_channels // max(groups, 1)), device, dtype, rng,
        )

    def forward(self, x: TensorLike) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            x, padding = F.pad(x, self._frame(), self.padding_mode), 0
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)

    def _frame(self) -> list[int]:
        """The padding as F.pad takes it: left, right, top, bottom."""
        if self.padding == "valid":
            return [0, 0, 0, 0]
        if self.padding == "same":
            more = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            sides = [(n // 2, n - n // 2) for n in more]
        else:
            sides = [(n, n) for n in pair(self.padding, "padding")]
        return [*sides[1], *sides[0]]


class ConvTranspose2d(_Conv):
    """Every pixel paints its filter into a larger image: weight (IN, OUT/groups, KH, KW), bias (OUT,)."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Sizes, stride: Sizes = 1, padding: Padding = 0,
        output_padding: Sizes = 0, groups: int = 1, bias: bool = True, dilation: Sizes = 1, padding_mode: str = "zeros",
        device: Any = None, dtype: Any = None, *, rng: Rng = None,
    ):
        if padding_mode != "zeros":
            raise RefusedArgument("ConvTranspose2d", "padding_mode", "only 'zeros' means something, as in torch")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias, padding_mode,
            (in_channels, out_channels // max(groups, 1)), device, dtype, rng,
        )
        self.output_padding = output_padding

    def forward(self, x: TensorLike) -> Tensor:
        return F.conv_transpose2d(
            x, self.weight, self.bias, self.stride, self.padding, self.output_padding, self.groups, self.dilation
        )


# --- normalisation ---


class _Norm(Module):
    """Batch and instance norm: learned scale and shift, and running statistics where asked."""

    ranks: tuple[int, ...] = (4,)

    def __init__(
        self, num_features: int, eps: float, momentum: float | None, affine: bool, track_running_stats: bool,
        device: Any, dtype: Any,
    ):
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        self.weight = init.ones_(_empty((num_features,), dtype, device)) if affine else None
        self.bias = _empty((num_features,), dtype, device) if affine else None
        kept = np.float32 if dtype is None else dtype
        self.running_mean = np.zeros(num_features, kept) if track_running_stats else None
        self.running_var = np.ones(num_features, kept) if track_running_stats else None
        self.num_batches_tracked = np.zeros((), np.int64) if track_running_stats else None

    def check(self, x: TensorLike) -> None:
        rank = np.ndim(x.data if isinstance(x, Tensor) else x)
        if rank not in self.ranks:
            wanted = " or ".join(map(str, self.ranks))
            raise ShapeError(f"{type(self).__name__} takes inputs of {wanted} axes, not {np.shape(x)}")

    def share(self) -> float:
        """How much the batch counts in the running statistics: momentum, or an even share when it is None."""
        if self.momentum is not None:
            return self.momentum
        return 1.0 / (float(self.num_batches_tracked) + 1) if self.num_batches_tracked is not None else 0.0

    def extra_repr(self) -> str:
        return f"{self.num_features}"

    def flow(self, before: Flow, name: str) -> Flow:
        before.must_be(self.num_features, "channels", name)
        return Flow(self.num_features, before.pixels, before.flat)


class BatchNorm2d(_Norm):
    """Channels of images (N, C, H, W) brought to mean 0 and variance 1 over the batch, or by running statistics."""

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True,
        track_running_stats: bool = True, device: Any = None, dtype: Any = None,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, x: TensorLike) -> Tensor:
        self.check(x)
        now = self.training or self.running_mean is None
        share = self.share() if self.training else 0.0
        y = F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, now, share, self.eps)
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked += 1  # only now: a batch that was refused does not count
        return y


class BatchNorm1d(BatchNorm2d):
    """Features of (N, C) or (N, C, L) brought to mean 0 and variance 1 over the batch, or by running statistics."""

    ranks = (2, 3)


class InstanceNorm2d(_Norm):
    """Every channel of every image brought to mean 0 and variance 1."""

    ranks = (3, 4)

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: Any = None, dtype: Any = None,
    ):
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype)

    def forward(self, x: TensorLike) -> Tensor:
        self.check(x)
        own = self.training or self.running_mean is None
        one = np.ndim(x.data if isinstance(x, Tensor) else x) == 3
        images = F.unsqueeze(x, 0) if one else x
        kept = (self.running_mean, self.running_var) if self.training or not own else (None, None)
        y = F.instance_norm(images, *kept, self.weight, self.bias, own, self.momentum or 0.0, self.eps)
        return y.squeeze(0) if one else y


class LayerNorm(Module):
    """Every sample brought to mean 0 and variance 1 over its last axes."""

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float = 1e-5, elementwise_affine: bool = True,
        bias: bool = True, device: Any = None, dtype: Any = None,
    ):
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.normalized_shape, self.eps = shape, eps
        self.weight = init.ones_(_empty(shape, dtype, device)) if elementwise_affine else None
        self.bias = _empty(shape, dtype, device) if elementwise_affine and bias else None

    def forward(self, x: TensorLike) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}"

    def flow(self, before: Flow, name: str) -> Flow:
        if before.flat and len(self.normalized_shape) == 1:
            before.must_be(self.normalized_shape[0], "features", name)
        return before


class GroupNorm(Module):
    """Every group of channels of every sample brought to mean 0 and variance 1."""

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
        dtype: Any = None,
    ):
        if num_groups < 1 or num_channels % num_groups:
            raise ShapeError(f"{num_channels} channels do not split into {num_groups} groups")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.weight = init.ones_(_empty((num_channels,), dtype, device)) if affine else None
        self.bias = _empty((num_channels,), dtype, device) if affine else None

    def forward(self, x: TensorLike) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}"

    def flow(self, before: Flow, name: str) -> Flow:
        before.must_be(self.num_channels, "channels", name)
        return Flow(self.num_channels, before.pixels, before.flat)


# --- dropout ---


class Dropout(Module):
    """Numbers left out with probability p while training."""

    function: Callable[..., Tensor] = staticmethod(F.dropout)

    def __init__(self, p: float = 0.5, inplace: bool = False, *, rng: Rng = None):
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}'s p is a probability between 0 and 1, not {p}")
        if inplace:
            raise RefusedArgument(type(self).__name__, "inplace", "the engine never changes an input")
        self.p = p
        self.rng = np.random.default_rng() if rng is None else rng

    def forward(self, x: TensorLike) -> Tensor:
        return type(self).function(x, self.p, self.training, rng=self.rng)

    def extra_repr(self) -> str:
        return f"p={self.p}"

    def flow(self, before: Flow, name: str) -> Flow:
        return before


class Dropout2d(Dropout):
    """Whole channels of images left out with probability p while training."""

    function = staticmethod(F.dropout2d)


__all__ = [
    "BatchNorm1d", "BatchNorm2d", "Conv2d", "ConvTranspose2d", "Dropout", "Dropout2d", "Flow", "GroupNorm", "Identity",
    "InstanceNorm2d", "LayerNorm", "Linear", "Module", "ModuleList", "Row", "Sequential", "Summary", "summary",
]
__all__ += stateless.__all__
