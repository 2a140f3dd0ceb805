"""Networks to be trained, taken apart: what stays as it is, what learns, and at which rate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from playground.datasets.preprocessing import Preprocessing
from playground.training.transfer import backbones
from playground.training.transfer.backbone_facts import IMAGENET_MEAN, IMAGENET_STD, SMALL_WIDTHS
from playground.training.transfer.backbones import TimmNetwork
from playground.training.transfer.recipe import HIDDEN, KEPT, RECIPES, SCRATCH, SIGMOID, Request

_ACTIVATIONS = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class SmallCNN(nn.Module):
    """Blocks of convolution, batch norm, ReLU and pooling, the mean over the picture, a head: (N, 3, S, S) -> logits.

    Random weights (He et al., 2015), drawn from torch's generator.
    """

    def __init__(self, head: nn.Module):
        super().__init__()
        blocks, channels = [], 3
        for filters in SMALL_WIDTHS:
            block = nn.Sequential(nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters),
                                  nn.ReLU(), nn.MaxPool2d(2))
            nn.init.kaiming_normal_(block[0].weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]
            blocks.append(block)
            channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.classifier = head

    def units(self) -> tuple[nn.Module, ...]:
        """The network in front of its head, as a chain."""
        return tuple(self.blocks)

    def features(self, x: Tensor) -> Tensor:
        seen: Tensor = self.blocks(x).mean((2, 3))
        return seen

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


class Tail(nn.Module):
    """The part of a network that is trained: what the frozen part gives (N, C, H, W) -> logits (N, K)."""

    def __init__(self, units: Sequence[nn.Module], head: nn.Module, *, statistics: str):
        super().__init__()
        self.units = nn.Sequential(*units)
        self.head = head
        self.statistics = statistics

    def features(self, x: Tensor) -> Tensor:
        """What the head sees: (N, D)."""
        seen: Tensor = self.units(x)
        return seen.mean((2, 3)) if seen.ndim == 4 else seen

    def forward(self, x: Tensor) -> Tensor:
        return two_logits(self.head(self.features(x)))

    def train(self, mode: bool = True) -> "Tail":
        """Training mode, in which batch norms do what was decided on purpose.

        In blocks that do not learn they always go on as in inference: their weights were learnt for those statistics.
        In blocks that do learn "kept" leaves ImageNet's statistics, too, because the mean over a mini-batch of 32
        photographs is far less certain than that over a million; their scale and shift are trained like weights.
        "batch" uses and follows the mini-batch's, for photographs that look nothing like ImageNet.
        """
        super().train(mode)
        for layer in self.modules():
            if isinstance(layer, _BatchNorm) and (self.statistics == KEPT or not any(
                    p.requires_grad for p in layer.parameters())):
                layer.eval()
        return self


@dataclass(frozen=True)
class Parts:
    """A network taken apart. `network` is the whole, sharing its trained layers with `tail`; `prefix` is the frozen
    part in front, batch norms folded in, or None where there is none or where the network is no chain.
    """

    network: Any
    prefix: nn.Module | None
    tail: Tail
    groups: tuple[tuple[str, tuple[nn.Parameter, ...]], ...]  # from the head to the front

    @property
    def trained(self) -> int:
        """How many numbers are trained."""
        return sum(p.numel() for _, group in self.groups for p in group)

    @property
    def total(self) -> int:
        return sum(p.numel() for p in self.network.parameters())


def head_of(description: Mapping[str, Any]) -> nn.Module:
    """The head of a description: features (N, D) -> one score a class, or a single one for a sigmoid head."""
    kind, inputs, classes = description["kind"], int(description["inputs"]), int(description["classes"])
    drop = [nn.Dropout(description["dropout"])] if description["dropout"] else []
    if kind == HIDDEN:
        width = int(description["hidden"])
        return nn.Sequential(nn.Linear(inputs, width), _ACTIVATIONS[description["activation"]](), *drop,
                             nn.Linear(width, classes))
    last = nn.Linear(inputs, 1 if kind == SIGMOID else classes)
    return nn.Sequential(*drop, last) if drop else last


def head_description(request: Request, inputs: int, classes: int) -> dict[str, Any]:
    """A head as plain data."""
    return {"kind": request.head, "inputs": inputs, "classes": classes, "hidden": request.hidden,
            "dropout": request.dropout, "activation": request.activation}


def two_logits(scores: Tensor) -> Tensor:
    """A sigmoid head's single score z as the two logits [0, z], whose softmax is [1 - sigmoid(z), sigmoid(z)]; other
    scores as they are. So one loss serves both, as one contract does in the exported file.
    """
    return F.pad(scores, (1, 0)) if scores.shape[1] == 1 else scores


def take_apart(request: Request, head: nn.Module, *, weights: bool = True) -> Parts:
    """The network a request asks for, `head` in place, only what is to learn asking for gradients.

    `weights` off builds a network of timm without getting its weights. Raises PlaygroundError.
    """
    if request.mode == SCRATCH:
        small = SmallCNN(head)
        tail = Tail(small.units(), head, statistics="batch")
        return Parts(small, None, tail, (("everything", tuple(small.parameters())),))
    row = backbones.find(request.backbone)
    if isinstance(row, backbones.TimmBackbone):
        body = row.body(pretrained=weights)
        network: Any = TimmNetwork(body, int(body.num_features)).eval()
    else:
        network = backbones.pretrained(request.backbone)
    network.classifier = head
    network.dropout = nn.Identity()
    network.requires_grad_(False)
    head.requires_grad_(True)
    units = network.units()
    count = min(request.blocks, len(units))
    learning = units[len(units) - count:]
    for unit in learning:
        unit.requires_grad_(True)
    groups = (("head", tuple(head.parameters())),
              *((f"block {len(units) - i}", tuple(unit.parameters())) for i, unit in enumerate(reversed(learning))))
    if isinstance(network, TimmNetwork):
        return Parts(network, None, Tail([network.body], head, statistics=request.batch_norm), groups)
    before = units[:len(units) - count]
    prefix = backbones.fused(nn.Sequential(*before)).requires_grad_(False) if before else None
    return Parts(network, prefix, Tail(learning, head, statistics=request.batch_norm), groups)


def decayed(groups: Sequence[tuple[str, Sequence[nn.Parameter]]], layer_decay: float
            ) -> Iterator[tuple[list[nn.Parameter], float, bool]]:
    """Parameters with the factor of their learning rate, and whether weight decay is for them: not for biases and
    batch norms, which have one axis. The head's factor is 1, that of the block i places before the last layer_decay^i.
    """
    for depth, (_, group) in enumerate(groups):
        factor = layer_decay ** max(0, depth - 1)
        for wide in (True, False):
            chosen = [p for p in group if (p.ndim > 1) == wide]
            if chosen:
                yield chosen, factor, wide


def input_shape(prefix: nn.Module | None, size: int) -> tuple[int, ...]:
    """The shape (C, H, W) of what the trained part takes for pictures of `size` pixels a side."""
    if prefix is None:
        return (3, size, size)
    with torch.inference_mode():
        return tuple(prefix(torch.zeros(1, 3, size, size)).shape[1:])


def preprocessing_of(request: Request) -> Preprocessing:
    """What pictures go through in a run of this request."""
    if request.mode == SCRATCH:
        size = request.image_size or RECIPES[SCRATCH]["image_size"]
        return Preprocessing((size, size), gray=False, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return backbones.find(request.backbone).preprocessing(request.image_size)


def channels_of(request: Request) -> int:
    """How many numbers the head of a request's network takes."""
    return SMALL_WIDTHS[-1] if request.mode == SCRATCH else backbones.find(request.backbone).channels
