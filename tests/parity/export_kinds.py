"""A small network of every kind that is exported here, and the file that comes along, for tests with other tools."""

import json

import numpy as np
import onnx
import torch
from torch import nn

from engine import layers
from playground import home, model_names
from playground.datasets.preprocessing import Preprocessing
from playground.deploy.contract import finish
from playground.deploy.engine_export import engine_to_onnx
from playground.deploy.torch_export import torch_to_onnx
from tests.playground.tiny_models import COLOUR, GRAY

KINDS = ["engine", "sigmoid", "torch"]
(SHIPPED,) = model_names.SHIPPED


class Head(nn.Module):
    """What a transferred network is made of: strides, depthwise, relu6, a residue, a pooled head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.ReLU6(),
                                   nn.Conv2d(8, 8, 1))
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        return self.head((x + self.block(x)).mean((2, 3)))


def core(kind: str) -> tuple[onnx.ModelProto, Preprocessing]:
    if kind == "torch":
        torch.manual_seed(0)
        return torch_to_onnx(Head(), (2, 3, *COLOUR.size)), COLOUR
    rng = np.random.default_rng(0)
    model = layers.Sequential(
        layers.Conv2d(1, 4, 3, padding=1, rng=rng), layers.BatchNorm2d(4), layers.ReLU(), layers.MaxPool2d(2),
        layers.Flatten(), layers.Linear(64, 1 if kind == "sigmoid" else 3, rng=rng))
    return engine_to_onnx(model, (2, 1, *GRAY.size)), GRAY


def exported(kind: str) -> tuple[onnx.ModelProto, Preprocessing]:
    """The whole file, and the preprocessing that is in it."""
    if kind == SHIPPED:
        folder = home.REPOSITORY / "exports" / SHIPPED
        card = json.loads((folder / "card.json").read_text())
        return onnx.load(folder / "model.onnx"), Preprocessing.from_dict(card["preprocessing"])
    model, preprocessing = core(kind)
    return finish(model, preprocessing, ["a", "b", "c"][:2 if kind == "sigmoid" else 3], "a test"), preprocessing
