"""Losses: a graph can be a training step."""

from engine import Tensor
from engine import functional as F
from playground.deploy.engine_import.operators import operator

NOT_A_CLASS = -100  # torch's default: no target holds it


@operator("NegativeLogLikelihoodLoss", since=12)
def nll_loss(x: Tensor, target: Tensor, weight: Tensor | None = None, *, ignore_index: int = NOT_A_CLASS,
             reduction: str = "mean") -> Tensor:
    return F.nll_loss(x, target, weight, ignore_index=ignore_index, reduction=reduction)


@operator("SoftmaxCrossEntropyLoss", since=12)
def cross_entropy(scores: Tensor, labels: Tensor, weights: Tensor | None = None, *, ignore_index: int = NOT_A_CLASS,
                  reduction: str = "mean", outputs: int = 1) -> Tensor | tuple[Tensor, Tensor]:
    loss = F.cross_entropy(scores, labels, weights, ignore_index=ignore_index, reduction=reduction)
    return (loss, F.log_softmax(scores, dim=1)) if outputs > 1 else loss
