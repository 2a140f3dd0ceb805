"""Pretrained backbones: EfficientNet-Lite in torch.nn, its ImageNet weights, and the names of what those know."""

import copy
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import fuse_conv_bn_eval

from playground.datasets.imagenet import imagenet_labels
from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError
from playground.training.transfer import imported
from playground.training.transfer.backbone_facts import (
    BACKBONES,
    HEAD_CHANNELS,
    MEAN,
    STAGES,
    STD,
    STEM_CHANNELS,
    Backbone,
    scaled,
)

__all__ = ["BACKBONES", "HEAD_CHANNELS", "MEAN", "STAGES", "STD", "STEM_CHANNELS", "Backbone", "EfficientNetLite",
           "ImportedNetwork", "TimmBackbone", "TimmNetwork", "find", "fused", "imagenet_labels", "modern_names",
           "pretrained"]

TIMM = "timm:"


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

    def units(self) -> tuple[nn.Module, ...]:
        """The network in front of its head, as a chain: each takes what the one before it gives."""
        return (self.stem, *self.blocks, self.head)

    def features(self, x: Tensor) -> Tensor:
        """What the convolutions see, averaged over the picture: (N, 3, S, S) -> (N, 1280)."""
        seen: Tensor = self.head(self.blocks(self.stem(x)))  # (N, 1280, S/32, S/32)
        return seen.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(self.features(x)))
        return logits


class TimmNetwork(nn.Module):
    """A network of the timm library without its classifier: pictures (N, 3, S, S) -> features, and a head of ours."""

    def __init__(self, body: nn.Module, width: int):
        super().__init__()
        self.body = body
        self.classifier: nn.Module = nn.Linear(width, 2)

    def units(self) -> tuple[nn.Module, ...]:
        """Its parts in order, stages taken apart into blocks. How they are joined only timm knows: no chain."""
        parts = []
        for child in self.body.children():
            inner = list(child.children()) if isinstance(child, nn.Sequential) else []
            parts += [block for stage in inner or [child]
                      for block in (list(stage.children()) if isinstance(stage, nn.Sequential) else [stage])]
        return tuple(part for part in parts if any(True for _ in part.parameters()))

    def features(self, x: Tensor) -> Tensor:
        seen: Tensor = self.body(x)
        return seen

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits


class ImportedNetwork(nn.Module):
    """An ONNX file's network without its last layer, run by onnxruntime, and a head of ours: pictures -> logits.

    It is not trained and has no gradient. Safe to call from several threads at once; the graph is opened at the first
    call.
    """

    def __init__(self, row: imported.Imported):
        super().__init__()
        self.row = row
        self.classifier: nn.Module = nn.Linear(row.channels, 2)
        self._answers: Callable[[Tensor], Tensor] | None = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "ImportedNetwork":
        other = ImportedNetwork(self.row)
        other.classifier = copy.deepcopy(self.classifier, memo)
        return other.train(self.training)

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        if self._answers is None:
            from playground.training.transfer.frozen import graph_answering

            self._answers = graph_answering(self.row.path)
        return self._answers(x)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x))
        return logits

    def as_onnx(self) -> Any:
        """The whole network as one ONNX model: the file's graph, then the head's layers."""
        from playground.training.transfer.frozen import graph_with_head

        return graph_with_head(self.row.path, self.classifier)


@dataclass(frozen=True)
class TimmBackbone:
    """A network of timm as a row of `BACKBONES`."""

    name: str  # without "timm:"

    def __post_init__(self) -> None:
        if not _timm().is_model(self.name):
            raise PlaygroundError(f"timm has no network {self.name!r}: timm.list_models() names those it has.")

    @property
    def title(self) -> str:
        return f"{self.name} (timm)"

    @property
    def _facts(self) -> Any:
        return _timm().get_pretrained_cfg(self.name)

    @property
    def image_size(self) -> int:
        return int(self._facts.input_size[-1])

    @property
    def channels(self) -> int:
        with torch.device("meta"):
            return int(self.body(pretrained=False).num_features)

    def preprocessing(self, size: int = 0) -> Preprocessing:
        side = size or self.image_size
        return Preprocessing((side, side), gray=False, mean=tuple(map(float, self._facts.mean)),
                             std=tuple(map(float, self._facts.std)))

    def weights_name(self) -> str:
        return f"{self.name} of timm {getattr(_timm(), '__version__', '')}"

    def body(self, pretrained: bool) -> Any:
        """The network without a classifier. Raises PlaygroundError when timm cannot get its weights."""
        try:
            return _timm().create_model(self.name, pretrained=pretrained, num_classes=0)
        except Exception as error:  # timm downloads weights: whatever its network layers raise
            said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise PlaygroundError(f"timm could not give {self.name} with its weights: {said}") from error


def _timm() -> Any:
    try:
        return importlib.import_module("timm")
    except Exception:  # it is there and cannot be imported where torchvision does not fit torch
        raise PlaygroundError("Networks of timm need the timm package, and it cannot be imported here: pip install "
                              "timm brings it, or choose one of " + ", ".join(BACKBONES) + ".") from None


def pretrained(name: str) -> Any:
    """The network of that name with its ImageNet weights, in eval mode, on the CPU. Raises PlaygroundError."""
    row = find(name)
    if isinstance(row, imported.Imported):
        return ImportedNetwork(row).eval()
    if isinstance(row, TimmBackbone):
        body = row.body(pretrained=True)
        return TimmNetwork(body, int(body.num_features)).eval()
    with torch.device("meta"):  # no random weights are drawn only to be replaced
        network = EfficientNetLite(row.width, row.depth, row.dropout)
    weights = torch.load(row.weights_file(), map_location="cpu", weights_only=True)
    network.load_state_dict(modern_names(weights), assign=True)
    return network.eval()


def fused(network: Any) -> Any:
    """A copy of a network, or of a part of one, for inference only: every batch norm folded into its convolution.

    The same answers, faster.
    """
    copied = copy.deepcopy(network).eval()
    for layer in copied.modules():
        if isinstance(layer, ConvNorm) and isinstance(layer.norm, nn.BatchNorm2d):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.norm)
            layer.norm = nn.Identity()
    return copied


def find(name: str) -> Backbone | TimmBackbone | imported.Imported:
    """The row of `BACKBONES`, timm's network for `timm:NAME`, an ONNX file's for `onnx:KEY`. Raises PlaygroundError
    naming the ones there are."""
    if imported.is_imported(name):
        return imported.find(name)
    if isinstance(name, str) and name.startswith(TIMM):
        return TimmBackbone(name.removeprefix(TIMM))
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


