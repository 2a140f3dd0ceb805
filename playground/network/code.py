"""A network as the text a reader takes home, in our engine, PyTorch or Keras."""

from collections.abc import Mapping
from typing import Any

from playground.errors import PlaygroundError
from playground.network import keras
from playground.network.build import layers_of
from playground.network.kind import Shape
from playground.network.parts import Network, Part, Path, everything, place
from playground.network.shapes import Walk, walk

LIBRARIES = ("engine", "torch", "keras")

RESIDUAL = '''

class Residual(nn.Module):
    def __init__(self, way, shortcut):
        super().__init__()
        self.way, self.shortcut = way, shortcut

    def forward(self, x):
        return self.way(x) + self.shortcut(x)
'''
PARALLEL = '''

class Parallel(nn.Module):
    def __init__(self, *branches):
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x):
        return {cat}([branch(x) for branch in self.branches], 1)
'''


def code(network: Network, takes: Shape, library: str) -> str:
    """Lines that make the network, as `model`, in "engine", "torch" or "keras", for pictures of shape (C, H, W).

    Keras takes them as (H, W, C). Raises PlaygroundError where a library has no such layer, and for a network of which
    one part cannot take what it gets.

    >>> from playground.network.spelling import network_of
    >>> print(code(network_of("c8n-b-r-g-d10"), (1, 28, 28), "torch"))
    from torch import nn
    <BLANKLINE>
    model = nn.Sequential(
        nn.Conv2d(1, 8, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        nn.Linear(8, 10),
    )
    """
    if (stopped := walk(network, takes).stopped) is not None:
        raise PlaygroundError(f"There is no code yet: {place(stopped.path)} cannot take what it gets.")
    if library == "keras":
        return keras.code(network, takes)
    kinds = {one.kind for _, one in everything(network.parts)}
    imports = ["from engine import layers as nn" if library == "engine" else "from torch import nn"]
    if "parallel" in kinds:
        imports.insert(0, "from engine.arithmetic import cat" if library == "engine" else "import torch")
        imports = [imports[1], imports[0]] if library == "engine" else imports
    text = "\n".join(imports) + "\n"
    if "residual" in kinds:
        text += RESIDUAL
    if "parallel" in kinds:
        text += PARALLEL.format(cat="cat" if library == "engine" else "torch.cat")
    gap = "\n\n" if "residual" in kinds or "parallel" in kinds else "\n"
    return f"{text}{gap}model = {_chain(network.parts, (), walk(network, takes), 0)}"


def keras_weights(network: Network, takes: Shape, state: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """The numbers of a state dict as Keras keeps them: the kind of layer and its arrays, in the order of `code`."""
    return keras.weights(network, takes, state)


def _chain(parts: tuple[Part, ...], before: Path, walked: Walk, depth: int) -> str:
    """A Sequential over several lines."""
    if not parts:
        return "nn.Sequential()"
    pad = "    " * (depth + 1)
    lines = [f"{pad}{_module(one, (*before, index), walked, depth + 1)},\n" for index, one in enumerate(parts)]
    return f"nn.Sequential(\n{''.join(lines)}{'    ' * depth})"


def _module(one: Part, path: Path, walked: Walk, depth: int) -> str:
    if one.kind == "block":
        return _chain(one.branches[0], (*path, 0), walked, depth)
    if one.of.container:
        inner, pad = "    " * (depth + 1), "    " * depth
        made = [_chain(branch, (*path, number), walked, depth + 1) for number, branch in enumerate(one.branches)]
        if one.kind == "residual" and len(made) == 1:
            made.append("nn.Identity()")
        name = "Residual" if one.kind == "residual" else "Parallel"
        return f"{name}(\n" + "".join(f"{inner}{branch},\n" for branch in made) + f"{pad})"
    made = [_call(name, arguments) for name, arguments in layers_of(one, walked, path)]
    return made[0] if len(made) == 1 else f"nn.Sequential({', '.join(made)})"


_FIRST = ("in_channels", "out_channels", "in_features", "out_features", "num_features", "num_groups", "num_channels",
          "normalized_shape", "output_size", "p", "negative_slope", "alpha")
"""Arguments that are written without their names, as people do."""


def _call(name: str, arguments: Mapping[str, Any]) -> str:
    pools = name in ("MaxPool2d", "AvgPool2d")
    written = [repr(value) if key in _FIRST or (pools and key == "kernel_size") else f"{key}={value!r}"
               for key, value in arguments.items()]
    return f"nn.{name}({', '.join(written)})"
