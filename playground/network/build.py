"""A network's description made into modules: the engine's, and PyTorch's with the same state-dict names."""

from typing import Any

import numpy as np

from engine import layers
from engine.arithmetic import cat
from engine.core import Tensor, TensorLike
from playground.errors import PlaygroundError
from playground.network.faults import faults
from playground.network.kind import Shape
from playground.network.parts import Network, Part, Path
from playground.network.shapes import Walk, walk


class Residual(layers.Module):
    """way(x) + shortcut(x). Source: He et al., 2015."""

    def __init__(self, way: layers.Module, shortcut: layers.Module):
        self.way, self.shortcut = way, shortcut

    def forward(self, x: TensorLike) -> Any:
        return self.way(x) + self.shortcut(x)


class Parallel(layers.Module):
    """What several branches make of the same x, laid side by side by channels. Source: Szegedy et al., 2014."""

    def __init__(self, *branches: layers.Module):
        self.branches = layers.ModuleList(branches)

    def forward(self, x: TensorLike) -> Tensor:
        return cat([branch(x) for branch in self.branches], 1)


def build(network: Network, takes: Shape, rng: np.random.Generator) -> layers.Sequential:
    """The engine's module for pictures of shape (C, H, W), its first weights and its dropout drawn from `rng`.

    Every part that draws gets a generator of its own, in the order numbers go through them, so a part more at the end
    does not change the others' first weights. Raises PlaygroundError where a part cannot take what it gets.

    >>> from playground.network.spelling import network_of
    >>> model = build(network_of("c8n-b-r-g-d10"), (1, 28, 28), np.random.default_rng(0))
    >>> [name for name, _ in model.named_parameters()]
    ['0.weight', '1.weight', '1.bias', '4.weight', '4.bias']
    """
    walked = _walked(network, takes)

    def chain(parts: tuple[Part, ...], before: Path) -> layers.Sequential:
        return layers.Sequential(*(module(one, (*before, index)) for index, one in enumerate(parts)))

    def module(one: Part, path: Path) -> layers.Module:
        branches = [chain(branch, (*path, number)) for number, branch in enumerate(one.branches)]
        if one.kind == "residual":
            return Residual(branches[0], branches[1] if len(branches) > 1 else layers.Identity())
        if one.kind == "parallel":
            return Parallel(*branches)
        if one.kind == "block":
            return branches[0]
        drawn = {"rng": rng.spawn(1)[0]} if one.of.draws else {}
        made = [getattr(layers, name)(**arguments, **drawn) for name, arguments in layers_of(one, walked, path)]
        return made[0] if len(made) == 1 else layers.Sequential(*made)

    return chain(network.parts, ())


def placed(network: Network, model: layers.Sequential) -> dict[Path, layers.Module]:
    """The module of every part of a network that `build` made.

    >>> from playground.network.spelling import network_of
    >>> network = network_of("[c1:]-r")
    >>> modules = placed(network, build(network, (1, 4, 4), np.random.default_rng(0)))
    >>> {path: type(module).__name__ for path, module in modules.items()}
    {(0,): 'Residual', (0, 0, 0): 'Conv2d', (1,): 'ReLU'}
    """
    found: dict[Path, layers.Module] = {}

    def chain(parts: tuple[Part, ...], holder: Any, before: Path) -> None:
        for index, one in enumerate(parts):
            path, module = (*before, index), holder[index]
            found[path] = module
            inside = {"residual": lambda m: [m.way, m.shortcut], "parallel": lambda m: list(m.branches),
                      "block": lambda m: [m]}.get(one.kind, lambda _: [])(module)
            for number, branch in enumerate(one.branches):
                chain(branch, inside[number], (*path, number))

    chain(network.parts, model, ())
    return found


def build_torch(network: Network, takes: Shape) -> Any:
    """PyTorch's module for pictures of shape (C, H, W), with the state-dict names of `build`; weights from torch's
    generator. Raises PlaygroundError where a part cannot take what it gets.
    """
    import torch
    from torch import nn

    class TorchResidual(nn.Module):
        def __init__(self, way: nn.Module, shortcut: nn.Module):
            super().__init__()
            self.way, self.shortcut = way, shortcut

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            summed: torch.Tensor = self.way(x) + self.shortcut(x)
            return summed

    class TorchParallel(nn.Module):
        def __init__(self, *branches: nn.Module):
            super().__init__()
            self.branches = nn.ModuleList(branches)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([branch(x) for branch in self.branches], 1)

    walked = _walked(network, takes)

    def chain(parts: tuple[Part, ...], before: Path) -> nn.Sequential:
        return nn.Sequential(*(module(one, (*before, index)) for index, one in enumerate(parts)))

    def module(one: Part, path: Path) -> nn.Module:
        branches = [chain(branch, (*path, number)) for number, branch in enumerate(one.branches)]
        if one.kind == "residual":
            return TorchResidual(branches[0], branches[1] if len(branches) > 1 else nn.Identity())
        if one.kind == "parallel":
            return TorchParallel(*branches)
        if one.kind == "block":
            return branches[0]
        made = [getattr(nn, name)(**arguments) for name, arguments in layers_of(one, walked, path)]
        found: nn.Module = made[0] if len(made) == 1 else nn.Sequential(*made)
        return found

    return chain(network.parts, ())


def layers_of(one: Part, walked: Walk, path: Path) -> list[tuple[str, dict[str, Any]]]:
    """The layers a part is made of, by torch.nn's names, with their arguments."""
    return one.of.layers(one.numbers, walked.by_path[path].takes)


def _walked(network: Network, takes: Shape) -> Walk:
    walked = walk(network, takes)
    if walked.stopped:
        raise PlaygroundError(faults(network, takes, walked.gives[0])[0].sentence)
    return walked
