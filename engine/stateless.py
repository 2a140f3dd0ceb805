"""Layers without numbers of their own: activations, pooling, shapes and losses, by torch.nn's names and arguments."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from engine import functional as F
from engine.core import RefusedArgument, TensorLike
from engine.module import Flow, Module


class Function(Module):
    """A function with its options kept. Subclasses name the function and, by their `__init__`, the options."""

    function: ClassVar[Callable[..., Any]]

    def __init__(self, **options: Any):
        if options.pop("inplace", False):
            raise RefusedArgument(type(self).__name__, "inplace", "the engine never changes an input")
        self.options = options

    def forward(self, *inputs: Any) -> Any:
        return type(self).function(*inputs, **self.options)

    def __getattr__(self, name: str) -> Any:  # pool.kernel_size, as in torch
        try:
            return vars(self)["options"][name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no {name}") from None

    def extra_repr(self) -> str:
        usual = inspect.signature(type(self)).parameters
        return ", ".join(f"{name}={value!r}" for name, value in self.options.items()
                         if name not in usual or value != usual[name].default)

    def flow(self, before: Flow, name: str) -> Flow:
        return before


# --- activations ---


class ReLU(Function):
    """max(x, 0)."""

    function = staticmethod(F.relu)

    def __init__(self, inplace: bool = False):
        super().__init__(inplace=inplace)


class LeakyReLU(Function):
    """x where positive, negative_slope * x elsewhere."""

    function = staticmethod(F.leaky_relu)

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False):
        super().__init__(negative_slope=negative_slope, inplace=inplace)


class ELU(Function):
    """x where positive, alpha * (e**x - 1) elsewhere."""

    function = staticmethod(F.elu)

    def __init__(self, alpha: float = 1.0, inplace: bool = False):
        super().__init__(alpha=alpha, inplace=inplace)


class GELU(Function):
    """x times the share of a normal distribution below it."""

    function = staticmethod(F.gelu)

    def __init__(self, approximate: str = "none"):
        super().__init__(approximate=approximate)


class SiLU(Function):
    """x * sigmoid(x)."""

    function = staticmethod(F.silu)

    def __init__(self, inplace: bool = False):
        super().__init__(inplace=inplace)


class Hardswish(Function):
    """x * min(max(x + 3, 0), 6) / 6."""

    function = staticmethod(F.hardswish)

    def __init__(self, inplace: bool = False):
        super().__init__(inplace=inplace)


class Hardsigmoid(Function):
    """min(max(x + 3, 0), 6) / 6."""

    function = staticmethod(F.hardsigmoid)

    def __init__(self, inplace: bool = False):
        super().__init__(inplace=inplace)


class Softplus(Function):
    """log(1 + e**(beta * x)) / beta."""

    function = staticmethod(F.softplus)

    def __init__(self, beta: float = 1.0, threshold: float = 20.0):
        super().__init__(beta=beta, threshold=threshold)


class Sigmoid(Function):
    """1 / (1 + e**-x)."""

    function = staticmethod(F.sigmoid)

    def __init__(self) -> None:
        super().__init__()


class Tanh(Function):
    """The hyperbolic tangent."""

    function = staticmethod(F.tanh)

    def __init__(self) -> None:
        super().__init__()


class Softmax(Function):
    """Scores as probabilities along dim."""

    function = staticmethod(F.softmax)

    def __init__(self, dim: int | None = None):
        super().__init__(dim=dim)


class LogSoftmax(Function):
    """The logarithm of Softmax."""

    function = staticmethod(F.log_softmax)

    def __init__(self, dim: int | None = None):
        super().__init__(dim=dim)


# --- pooling and sizes ---


class _Resized(Function):
    """Images of another size: channels stay, how many pixels there are is not known before an image is."""

    def flow(self, before: Flow, name: str) -> Flow:
        return Flow(before.channels, None, before.flat, before.multiple, before.source)


class MaxPool2d(_Resized):
    """The largest value of every window."""

    function = staticmethod(F.max_pool2d)

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__(kernel_size=kernel_size, stride=stride, padding=padding, dilation=dilation,
                         ceil_mode=ceil_mode, return_indices=return_indices)


class AvgPool2d(_Resized):
    """The average of every window."""

    function = staticmethod(F.avg_pool2d)

    def __init__(
        self, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
        count_include_pad: bool = True, divisor_override: int | None = None,
    ):
        super().__init__(kernel_size=kernel_size, stride=stride, padding=padding, ceil_mode=ceil_mode,
                         count_include_pad=count_include_pad, divisor_override=divisor_override)


class _Adaptive(Function):
    def flow(self, before: Flow, name: str) -> Flow:
        size = self.options["output_size"]
        sides = (size, size) if isinstance(size, int) else tuple(size)
        known = all(isinstance(side, int) for side in sides)
        return Flow(before.channels, sides[0] * sides[1] if known else None, False, 1, before.source)


class AdaptiveAvgPool2d(_Adaptive):
    """Averages over output_size regions that cover the image; 1 is global average pooling."""

    function = staticmethod(F.adaptive_avg_pool2d)

    def __init__(self, output_size: Any):
        super().__init__(output_size=output_size)


class AdaptiveMaxPool2d(_Adaptive):
    """The largest values of output_size regions that cover the image."""

    function = staticmethod(F.adaptive_max_pool2d)

    def __init__(self, output_size: Any, return_indices: bool = False):
        super().__init__(output_size=output_size, return_indices=return_indices)


class Upsample(_Resized):
    """Images stretched to another size."""

    function = staticmethod(F.interpolate)

    def __init__(
        self, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):
        super().__init__(size=size, scale_factor=scale_factor, mode=mode, align_corners=align_corners,
                         recompute_scale_factor=recompute_scale_factor)


class _Pad(_Resized):
    function = staticmethod(F.pad)
    mode: ClassVar[str]

    def __init__(self, padding: Any):
        widths = [padding] * 4 if isinstance(padding, int) else list(padding)
        super().__init__(pad=widths, mode=self.mode)


class ZeroPad2d(_Pad):
    """A frame of zeros: one width, or (left, right, top, bottom)."""

    mode = "constant"


class ReflectionPad2d(_Pad):
    """A frame that mirrors the inside: one width, or (left, right, top, bottom)."""

    mode = "reflect"


class ReplicationPad2d(_Pad):
    """A frame that repeats the border: one width, or (left, right, top, bottom)."""

    mode = "replicate"


class Flatten(Function):
    """The axes from start_dim to end_dim laid out as one: images become rows of features."""

    function = staticmethod(F.flatten)

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__(start_dim=start_dim, end_dim=end_dim)

    def flow(self, before: Flow, name: str) -> Flow:
        if (self.options["start_dim"], self.options["end_dim"]) != (1, -1):
            return Flow()
        if before.flat:
            return before
        channels, pixels = before.channels, before.pixels
        if channels is not None and pixels is None:
            return Flow(None, None, True, channels, before.source)
        return Flow(None if channels is None or pixels is None else channels * pixels, None, True, 1, before.source)


# --- losses ---


class CrossEntropyLoss(Function):
    """The surprise of the right class, given scores."""

    function = staticmethod(F.cross_entropy)

    def __init__(
        self, weight: TensorLike | None = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
    ):
        super().__init__(weight=weight, size_average=size_average, ignore_index=ignore_index, reduce=reduce,
                         reduction=reduction, label_smoothing=label_smoothing)


class NLLLoss(Function):
    """Minus the log-probability of the right class."""

    function = staticmethod(F.nll_loss)

    def __init__(
        self, weight: TensorLike | None = None, size_average: bool | None = None, ignore_index: int = -100,
        reduce: bool | None = None, reduction: str = "mean",
    ):
        super().__init__(weight=weight, size_average=size_average, ignore_index=ignore_index, reduce=reduce,
                         reduction=reduction)


class MSELoss(Function):
    """The squared difference, averaged."""

    function = staticmethod(F.mse_loss)

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"):
        super().__init__(size_average=size_average, reduce=reduce, reduction=reduction)


class L1Loss(Function):
    """The distance, averaged."""

    function = staticmethod(F.l1_loss)

    def __init__(self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"):
        super().__init__(size_average=size_average, reduce=reduce, reduction=reduction)


class SmoothL1Loss(Function):
    """L1Loss with its corner rounded where the distance is below beta."""

    function = staticmethod(F.smooth_l1_loss)

    def __init__(
        self, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean", beta: float = 1.0
    ):
        super().__init__(size_average=size_average, reduce=reduce, reduction=reduction, beta=beta)


class HuberLoss(Function):
    """Half the squared distance below delta, a straight line beyond."""

    function = staticmethod(F.huber_loss)

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction=reduction, delta=delta)


class BCELoss(Function):
    """The surprise of yes-or-no answers, given probabilities."""

    function = staticmethod(F.binary_cross_entropy)

    def __init__(
        self, weight: TensorLike | None = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean",
    ):
        super().__init__(weight=weight, size_average=size_average, reduce=reduce, reduction=reduction)


class BCEWithLogitsLoss(Function):
    """The surprise of yes-or-no answers, given scores."""

    function = staticmethod(F.binary_cross_entropy_with_logits)

    def __init__(
        self, weight: TensorLike | None = None, size_average: bool | None = None, reduce: bool | None = None,
        reduction: str = "mean", pos_weight: TensorLike | None = None,
    ):
        super().__init__(weight=weight, size_average=size_average, reduce=reduce, reduction=reduction,
                         pos_weight=pos_weight)


__all__ = [
    "ELU", "GELU", "AdaptiveAvgPool2d", "AdaptiveMaxPool2d", "AvgPool2d", "BCELoss", "BCEWithLogitsLoss",
    "CrossEntropyLoss", "Flatten", "Function", "Hardsigmoid", "Hardswish", "HuberLoss", "L1Loss", "LeakyReLU",
    "LogSoftmax", "MSELoss", "MaxPool2d", "NLLLoss", "ReLU", "ReflectionPad2d", "ReplicationPad2d", "SiLU", "Sigmoid",
    "SmoothL1Loss", "Softmax", "Softplus", "Tanh", "Upsample", "ZeroPad2d",
]
