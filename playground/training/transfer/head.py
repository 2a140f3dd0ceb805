"""The new last layer: multinomial logistic regression on features, as a mini-batch optimiser sees it."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from playground.training.transfer.adamw import AdamW
from playground.training.transfer.networks import head_of, two_logits
from playground.training.transfer.recipe import HIDDEN, LINEAR


@dataclass(frozen=True)
class Split:
    """Features (N, D) and class indices (N,) of some pictures, on the device that trains."""

    features: Tensor
    labels: Tensor


class Head:
    """One linear layer, D features -> K classes, trained by AdamW on standardised features with a cosine schedule.

    It starts from zero, where every class is equally likely: the problem is convex, so no symmetry needs breaking and
    no random number is drawn. A feature that hardly varies in the training pictures is not blown up to the size of the
    others, or it would decide alone where it is on for once. AdamW is written out (Loshchilov & Hutter 2019, with
    torch.optim.AdamW's betas and eps): that one imports torch's compiler at its first step, seconds longer than all the
    steps here take together.
    """

    def __init__(self, train: Split, classes: int, learning_rate: float, weight_decay: float, steps: int):
        device, width = train.features.device, train.features.shape[1]
        self.mean, self.spread = standard(train.features)
        self.inputs, self.labels = (train.features - self.mean) / self.spread, train.labels
        self.weight = torch.zeros(classes, width, device=device, requires_grad=True)
        self.bias = torch.zeros(classes, device=device, requires_grad=True)
        self._moments = [(torch.zeros_like(part), torch.zeros_like(part)) for part in (self.weight, self.bias)]
        self._first_rate, self._decay, self._steps, self._taken = learning_rate, weight_decay, steps, 0

    @property
    def learning_rate(self) -> float:
        """That of the step to come."""
        return self._first_rate * 0.5 * (1 + math.cos(math.pi * self._taken / self._steps))

    def step(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from the training pictures with these indices: their mean loss and how many were right, before it."""
        labels = self.labels[rows]
        logits = F.linear(self.inputs[rows], self.weight, self.bias)
        loss = F.cross_entropy(logits, labels)
        gradients = torch.autograd.grad(loss, (self.weight, self.bias))
        rate, fast, slow = self.learning_rate, 0.9, 0.999
        self._taken += 1
        with torch.no_grad():
            for part, g, (m, v) in zip((self.weight, self.bias), gradients, self._moments, strict=True):
                m.lerp_(g, 1 - fast)
                v.mul_(slow).addcmul_(g, g, value=1 - slow)
                spread = (v / (1 - slow**self._taken)).sqrt_() + 1e-8
                part.mul_(1 - rate * self._decay).addcdiv_(m / (1 - fast**self._taken), spread, value=-rate)
        return loss.detach(), (logits.argmax(1) == labels).sum()

    def linear(self) -> tuple[Tensor, Tensor]:
        """Weight (K, D) and bias (K,) for features as they come: W ((f - m) / s) + b = (W / s) f + (b - (W / s) m)."""
        with torch.no_grad():
            weight = self.weight / self.spread
            return weight, self.bias - weight @ self.mean

    def module(self) -> nn.Module:
        """The head as a layer, for features as they come."""
        weight, bias = self.linear()
        layer = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
        layer.load_state_dict({"weight": weight, "bias": bias}, assign=True)
        return layer.requires_grad_(False).eval()


class DeepHead:
    """Any other head (a hidden layer, one score for two classes, dropout), trained as `Head` is and used like it.

    A last layer without a hidden one before it starts from zero, too; a hidden layer from torch's own random weights.
    """

    def __init__(self, train: Split, description: Mapping[str, Any], learning_rate: float, weight_decay: float,
                 steps: int):
        self.mean, self.spread = standard(train.features)
        self.inputs, self.labels = (train.features - self.mean) / self.spread, train.labels
        self.network = head_of(description).to(train.features.device)
        if description["kind"] != HIDDEN:
            for p in self.network.parameters():
                nn.init.zeros_(p)
        self._optimizer = AdamW([(list(self.network.parameters()), 1.0, True)], weight_decay)
        self._first_rate, self._steps = learning_rate, steps

    @property
    def learning_rate(self) -> float:
        """That of the step to come."""
        return self._first_rate * 0.5 * (1 + math.cos(math.pi * self._optimizer.taken / self._steps))

    def step(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Learn from the training pictures with these indices: their mean loss and how many were right, before it."""
        labels = self.labels[rows]
        logits = two_logits(self.network(self.inputs[rows]))
        loss = F.cross_entropy(logits, labels)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step(self.learning_rate)
        return loss.detach(), (logits.argmax(1) == labels).sum()

    def module(self) -> nn.Module:
        """The head as a layer, for features as they come: standardising is folded into its first linear layer."""
        folded = copy.deepcopy(self.network)
        first = next(layer for layer in folded.modules() if isinstance(layer, nn.Linear))
        with torch.no_grad():
            first.weight.div_(self.spread)
            first.bias.sub_(first.weight @ self.mean)
        return folded.requires_grad_(False).eval()


def head_for(train: Split, description: Mapping[str, Any], learning_rate: float, weight_decay: float, steps: int
             ) -> Head | DeepHead:
    """The trainer of a head's description."""
    if description["kind"] == LINEAR and not description["dropout"]:
        return Head(train, int(description["classes"]), learning_rate, weight_decay, steps)
    return DeepHead(train, description, learning_rate, weight_decay, steps)


def standard(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of each feature; one that hardly varies is not blown up to the size of the others."""
    mean, spread = features.mean(0), features.std(0, correction=0)
    return mean, spread.clamp_min(max(0.05 * spread.mean().item(), 1e-6))


@torch.no_grad()
def measure(head: nn.Module | tuple[Tensor, Tensor], split: Split) -> tuple[float, tuple[tuple[int, ...], ...]]:
    """Mean loss of a head (a layer, or a linear one's weight and bias) on pictures, and confusion[true][predicted]."""
    logits = F.linear(split.features, *head) if isinstance(head, tuple) else two_logits(head(split.features))
    classes = logits.shape[1]
    cells = torch.bincount(split.labels * classes + logits.argmax(1), minlength=classes**2).reshape(classes, classes)
    return F.cross_entropy(logits, split.labels).item(), tuple(map(tuple, cells.tolist()))


def accuracy(confusion: tuple[tuple[int, ...], ...]) -> float:
    """The share on the diagonal.

    >>> accuracy(((9, 1), (0, 10)))
    0.95
    """
    return sum(row[k] for k, row in enumerate(confusion)) / sum(map(sum, confusion))
