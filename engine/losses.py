"""The loss functions of torch.nn.functional: names, positional order and keywords. `engine.functional` offers them."""

from collections.abc import Callable

from engine.core import RefusedArgument, Tensor, TensorLike, as_tensor
from engine.ops import cross_entropy as _ce
from engine.ops import loss as _loss


def _legacy(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """torch's old pair of switches, still in its signatures, as a reduction."""
    if size_average is None and reduce is None:
        return reduction
    if reduce is False:
        return "none"
    return "sum" if size_average is False else "mean"


def cross_entropy(
    input: TensorLike, target: TensorLike, weight: TensorLike | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:
    """The surprise of the right class, given scores (N, C, ...); targets are class numbers or shares."""
    if size_average is not None or reduce is not None:
        reduction = _legacy(size_average, reduce, reduction)
    weights = () if weight is None else _fixed("cross_entropy", weight)
    return _ce.cross_entropy(
        as_tensor(input), as_tensor(target), *weights, ignore_index=ignore_index, reduction=reduction,
        label_smoothing=label_smoothing,
    )


def nll_loss(
    input: TensorLike, target: TensorLike, weight: TensorLike | None = None, size_average: bool | None = None,
    ignore_index: int = -100, reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:
    """Minus the log-probability (N, C, ...) of the right class."""
    return _ce.nll_loss(
        input, target, *_fixed("nll_loss", weight), ignore_index=ignore_index,
        reduction=_legacy(size_average, reduce, reduction),
    )


def _fixed(name: str, weight: TensorLike | None) -> tuple[TensorLike, ...]:
    if isinstance(weight, Tensor) and weight.requires_grad:
        raise RefusedArgument(name, "weight", "class weights with requires_grad=True cannot be learned from the loss")
    return () if weight is None else (weight,)


def mse_loss(
    input: TensorLike, target: TensorLike, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", weight: TensorLike | None = None,
) -> Tensor:
    """The squared difference, averaged (with `weight`: by it)."""
    return _averaged(_loss.mse_loss, input, target, weight, _legacy(size_average, reduce, reduction))


def l1_loss(
    input: TensorLike, target: TensorLike, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", weight: TensorLike | None = None,
) -> Tensor:
    """The distance, averaged (with `weight`: by it)."""
    return _averaged(_loss.l1_loss, input, target, weight, _legacy(size_average, reduce, reduction))


def smooth_l1_loss(
    input: TensorLike, target: TensorLike, size_average: bool | None = None, reduce: bool | None = None,
    reduction: str = "mean", beta: float = 1.0,
) -> Tensor:
    """l1_loss with its corner rounded where the distance is below beta."""
    return _loss.smooth_l1_loss(input, target, beta=beta, reduction=_legacy(size_average, reduce, reduction))


def huber_loss(
    input: TensorLike, target: TensorLike, reduction: str = "mean", delta: float = 1.0,
    weight: TensorLike | None = None,
) -> Tensor:
    """Half the squared distance below delta, a straight line beyond, averaged (with `weight`: by it)."""
    return _averaged(_loss.huber_loss, input, target, weight, reduction, delta=delta)


def _averaged(
    op: Callable[..., Tensor], input: TensorLike, target: TensorLike, weight: TensorLike | None, reduction: str,
    **options: float,
) -> Tensor:
    if weight is None:
        return op(input, target, reduction=reduction, **options)
    losses = op(input, target, reduction="none", **options) * weight
    if reduction == "none":
        return losses
    total = losses.sum()
    return total if reduction == "sum" else total / as_tensor(weight).sum()


def binary_cross_entropy(
    input: TensorLike, target: TensorLike, weight: TensorLike | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean",
) -> Tensor:
    """The surprise of yes-or-no answers, given probabilities."""
    return _loss.binary_cross_entropy(input, target, weight, reduction=_legacy(size_average, reduce, reduction))


def binary_cross_entropy_with_logits(
    input: TensorLike, target: TensorLike, weight: TensorLike | None = None, size_average: bool | None = None,
    reduce: bool | None = None, reduction: str = "mean", pos_weight: TensorLike | None = None,
) -> Tensor:
    """The surprise of yes-or-no answers, given scores."""
    return _loss.binary_cross_entropy_with_logits(
        input, target, weight, pos_weight, reduction=_legacy(size_average, reduce, reduction)
    )


__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "l1_loss", "mse_loss",
    "nll_loss", "smooth_l1_loss",
]
