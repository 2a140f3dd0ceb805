"""Small networks at work for the tests of what can be asked of one: a design, and the same in torch and as a file."""

from typing import Any

import numpy as np
import onnx
import torch

from playground.datasets.named import ImageSet
from playground.datasets.preprocessing import Preprocessing
from playground.deploy.engine_export import engine_to_onnx
from playground.network.build import build, build_torch
from playground.network.spelling import network_of
from playground.view.sources import Design, File

LABELS = ("a", "b", "c")
GRAY = Preprocessing((8, 8), True, (0.5,), (0.25,))


def design(text: str, seed: int = 0, takes: tuple[int, int, int] = (1, 8, 8), labels: tuple[str, ...] = LABELS,
           preprocessing: Preprocessing = GRAY) -> Design:
    """A design with weights and statistics of batch norm that are none of the usual ones."""
    network = network_of(text)
    model = build(network, takes, np.random.default_rng(seed))
    rng = np.random.default_rng(seed + 1)
    for name, array in model.state_dict().items():
        if array.dtype.kind == "f":
            array[...] = array + 0.3 * rng.standard_normal(array.shape)
        if name.endswith("running_var"):
            array[...] = 0.5 + rng.random(array.shape)
    model.eval()
    return Design(network, model, preprocessing, labels)


def as_torch(source: Design, takes: tuple[int, int, int] = (1, 8, 8), dtype: Any = torch.float64) -> Any:
    """The same network in torch, in evaluation mode."""
    module = build_torch(source.network, takes)
    module.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in source.model.state_dict().items()})
    return module.to(dtype).eval()


def as_file(source: Design, takes: tuple[int, int, int] = (1, 8, 8)) -> File:
    """The same network as a graph."""
    return File(engine_to_onnx(source.model, (1, *takes)), source.preprocessing, source.labels)


def graph_of(source: File) -> onnx.ModelProto:
    """A copy of a file's graph, to be changed."""
    model = onnx.ModelProto()
    model.CopyFrom(source.core)
    return model


def pictures(count: int = 24, takes: tuple[int, int, int] = (1, 8, 8), classes: int = 3, seed: int = 5) -> Any:
    """Prepared pictures (N, C, H, W) and labels (N,)."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *takes), np.float32), rng.integers(0, classes, count)


def a_set(count: int = 30, seed: int = 3, classes: tuple[str, ...] = LABELS) -> ImageSet:
    """Raw pictures of 8 x 8 with a name."""
    rng = np.random.default_rng(seed)
    return ImageSet("made up", rng.integers(0, 256, (count, 8, 8)).astype(np.uint8), np.arange(count) % len(classes),
                    classes, "made up", "none")
