"""Networks to look at: presets with statistics as after training, ResNet-18 and EfficientNet-Lite0, small graphs."""

import copy
from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from playground.datasets.preprocessing import Preprocessing
from playground.deploy.torch_export import torch_to_onnx
from playground.network.build import build
from playground.network.presets import PRESETS, network_named
from playground.training.transfer import backbones
from playground.training.transfer.backbones import BACKBONES, EfficientNetLite
from playground.view.sources import Design, File

TAKES = (1, 12, 12)
CLASSES = 4
EVERYTHING = ("c6n-b-lr-(c4k1-el,[c4-gn2-si:c4k1]-oc0.3)-p3s2p1-ge-ct5k3s2p1-ln-hs-u2b-a2-dw2-th-o0.2-f-d9-b-sg-d4")
"""A design with nearly all kinds of parts."""


def level(size: tuple[int, int], channels: int) -> Preprocessing:
    return Preprocessing(size, channels == 1, (0.5,) * channels, (0.25,) * channels)


def design(text: str, takes: tuple[int, ...] = TAKES, classes: int = CLASSES, seed: int = 0, dtype: type = np.float32
           ) -> Design:
    """A preset or a spelling, built; batch norms have statistics, scales and shifts as if they had been trained."""
    network, rng = network_named(text, takes, classes), np.random.default_rng(seed)
    model = build(network, takes, rng)
    for name, array in model.named_buffers():
        if name.endswith("running_var"):
            array[...] = rng.uniform(0.5, 2, array.shape)
        elif name.endswith("running_mean"):
            array[...] = rng.normal(0, 0.3, array.shape)
    gain = float(PRESETS[text].settings.get("weights_gain", 1)) if text in PRESETS else 1.0
    for weight in model.parameters():
        weight.data = weight.data * np.float32(gain) if weight.ndim > 1 else \
            (weight.data + rng.normal(0, 0.1, weight.shape)).astype(np.float32)
        weight.data = weight.data.astype(dtype)
    if dtype is not np.float32:
        model.load_state_dict({name: np.asarray(array, dtype) for name, array in model.state_dict().items()})
    return Design(network, model, level(takes[1:], takes[0]), tuple(f"class {k}" for k in range(classes)))


def pictures(takes: Sequence[int] = TAKES, count: int = 1, seed: int = 1, dtype: type = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *takes)).astype(dtype)


class Add(nn.Module):
    def forward(self, a, b):
        return a + b


class Basic(nn.Module):
    """The residual block of He et al., 2015."""

    def __init__(self, channels, filters, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters)
        self.conv2, self.bn2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters)
        self.relu1, self.relu2, self.add = nn.ReLU(), nn.ReLU(), Add()
        self.down = nn.Identity() if stride == 1 and channels == filters else nn.Sequential(
            nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(self.add(y, self.down(x)))


def resnet18(classes: int = 10) -> nn.Module:
    blocks = [Basic(c, f, s) for c, f, s in ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2),
                                             (256, 256, 1), (256, 512, 2), (512, 512, 1))]
    return nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
                         *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def lite0() -> nn.Module:
    row = BACKBONES["efficientnet_lite0"]
    return EfficientNetLite(row.width, row.depth, row.dropout)


@cache
def in_torch(name: str) -> nn.Module:
    """ResNet-18 or EfficientNet-Lite0 in torch with random weights and statistics that a picture would have left."""
    torch.manual_seed(0)
    module = {"resnet18": resnet18, "lite0": lite0}[name]()
    norms = [one for one in module.modules() if isinstance(one, nn.BatchNorm2d)]
    for one in norms:
        nn.init.uniform_(one.weight, 0.7, 1.3)
        nn.init.normal_(one.bias, 0, 0.2)
        one.momentum = None
    with torch.no_grad():
        module.train()(torch.from_numpy(pictures((3, 96, 96), 4)))
    return module.eval()


@cache
def exported(name: str) -> onnx.ModelProto:
    """The same as a graph, as torch's exporter writes it; both fit pictures of other sizes as well."""
    return torch_to_onnx(in_torch(name), (1, 3, 96, 96))


def filed(name: str, side: int) -> File:
    """The same as a file for pictures of side x side, imported by the engine."""
    core = onnx.ModelProto()
    core.CopyFrom(exported(name))
    for axis in (2, 3):
        core.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = side
    del core.graph.value_info[:]
    classes = core.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    return File(core, level((side, side), 3), tuple(map(str, range(classes))))


def fused(name: str) -> nn.Module:
    """The torch module with its batch norms folded into the convolutions, as the exporter folds them."""
    if name == "lite0":
        return backbones.fused(in_torch(name))
    module = copy.deepcopy(in_torch(name))
    for holder in module.modules():
        children = dict(holder.named_children())
        for (key, one), (after, norm) in pairwise(children.items()):
            if isinstance(one, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(holder, key, fuse_conv_bn_eval(one, norm))
                setattr(holder, after, nn.Identity())
    return module.eval()


def graph(text: str, **weights: np.ndarray) -> File:
    """A graph in ONNX's own text form: "g (float[N, 1, 6, 6] x) => (float[N, 4] y) { ... }", with
    initialisers."""
    model = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["": 20]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.checker.check_model(model)
    return File(model, level((6, 6), 1), ("a", "b", "c", "d"))
