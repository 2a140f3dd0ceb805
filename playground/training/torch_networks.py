"""The networks a transfer run can train: a pretrained backbone with a new head, and a small one from nothing."""

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from playground.errors import PlaygroundError
from playground.training.backbones import EfficientNetLite

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}
HEADS = ("linear", "hidden", "sigmoid")
SMALL_CHANNELS = (32, 64, 128, 128)


class SmallCNN(nn.Module):
    """Four times 3x3 convolution, batch norm, ReLU and 2x2 max pooling, an average over the picture, and a classifier.

    Pictures (N, 3, S, S) -> scores (N, K). The convolutions have no bias: batch norm has one.
    """

    def __init__(self, classifier: nn.Module, dropout: float):
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for filters in SMALL_CHANNELS:
            layers += [nn.Conv2d(channels, filters, 3, padding=1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(),
                       nn.MaxPool2d(2)]
            channels = filters
        self.layers = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        seen: Tensor = self.layers(x).mean((2, 3))
        scores: Tensor = self.classifier(self.dropout(seen))
        return scores


def classifier(width: int, classes: int, head: str, hidden: int = 256, dropout: float = 0.2, activation: str = "relu"
               ) -> nn.Module:
    """What turns features (N, width) into scores (N, classes), or (N, 1) for a "sigmoid" head of two classes.

    "hidden" puts a layer of `hidden` units with its activation and dropout in between.
    """
    if head == "sigmoid":
        if classes != 2:
            raise PlaygroundError(f"A sigmoid head tells two classes apart, these photos have {classes}: choose the "
                                  "linear head.")
        return nn.Linear(width, 1)
    if head == "hidden":
        return nn.Sequential(nn.Linear(width, hidden), ACTIVATIONS[activation](), nn.Dropout(dropout),
                             nn.Linear(hidden, classes))
    return nn.Linear(width, classes)


def units(network: EfficientNetLite) -> list[nn.Module]:
    """The parts of a backbone that can be frozen one by one, first to last: stem, blocks, head convolution."""
    return [network.stem, *network.blocks, network.head]


def thaw(network: EfficientNetLite, last: int, learning_rate: float, decay: float) -> list[tuple[list[Tensor], float]]:
    """Let the classifier and the last parts learn, freeze the others; groups of parameters and their learning rates.

    Each part learns `decay` times as fast as the one after it: early layers know what all pictures have in common.
    """
    network.requires_grad_(False)
    network.classifier.requires_grad_(True)
    groups: list[tuple[list[Tensor], float]] = [(list(network.classifier.parameters()), learning_rate)]
    parts = units(network)
    for depth, part in enumerate(reversed(parts[len(parts) - min(last, len(parts)):])):
        part.requires_grad_(True)
        groups.append((list(part.parameters()), learning_rate * decay**depth))
    return groups


def batch_norms(network: nn.Module) -> Iterator[nn.Module]:
    """Every batch norm of a network."""
    return (layer for layer in network.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm))


def two_scores(scores: Tensor) -> Tensor:
    """Scores (N, K) as they are; one score z for two classes (N, 1) as [0, z]."""
    return F.pad(scores, (1, 0)) if scores.shape[1] == 1 else scores
