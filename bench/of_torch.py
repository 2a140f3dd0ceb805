"""The workloads on PyTorch, eager; at its best with channels_last (and, by the environment, a tuned malloc)."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bench.shapes import numbers

_format = torch.contiguous_format


def prepare(count: int, best: bool) -> None:
    global _format
    torch.set_num_threads(count)
    torch.manual_seed(0)
    if best:
        _format = torch.channels_last


def version() -> str:
    layout = "channels_last, tuned malloc" if _format is torch.channels_last else "default layout and malloc"
    return f"PyTorch {torch.__version__}, {torch.get_num_threads()} thread(s), {layout}"


class Residual(nn.Module):
    """What the body makes, plus what it got."""

    def __init__(self, body: nn.Module, skip: nn.Module):
        super().__init__()
        self.body, self.skip = body, skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = self.body(x) + self.skip(x)
        return total


def sequence(rows: list[Any]) -> nn.Module:
    def made(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> nn.Module:
        if name == "Residual":
            return Residual(*(sequence(inner) if inner else nn.Identity() for inner in args))
        layer: nn.Module = getattr(nn, name)(*args, **options)
        return layer

    return nn.Sequential(*(made(*row) for row in rows))


def network(work: dict[str, Any]) -> Callable[[], None]:
    model = sequence(work["layers"])
    model = model.to(memory_format=_format)
    x = torch.from_numpy(numbers(work["input"], 1)).to(memory_format=_format)
    y = torch.randint(0, 10, (len(x),))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def op(name: str, work: dict[str, Any]) -> Callable[[], None]:
    def tensor(shape: tuple[int, ...], seed: int) -> torch.Tensor:
        made = torch.from_numpy(numbers(shape, seed))
        return made.to(memory_format=_format) if made.ndim == 4 else made

    x = tensor(work["x"], 1).requires_grad_()
    weights = [tensor(shape, 2 + k).requires_grad_() for k, shape in enumerate(work["weights"])]
    g = tensor(work["result"], 9)
    calls: dict[str, Callable[[], torch.Tensor]] = {
        "conv": lambda: F.conv2d(x, *weights, padding=1),
        "max pool": lambda: F.max_pool2d(x, 2),
        "batch norm": lambda: F.batch_norm(x, None, None, *weights, training=True),
        "depthwise": lambda: F.conv2d(x, *weights, padding=1, groups=work["x"][1]),
    }
    call = calls[name.partition(",")[0]]

    def step() -> None:
        for leaf in (x, *weights):
            leaf.grad = None
        call().backward(g)

    return step
