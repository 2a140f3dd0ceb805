"""The workloads on our engine, called as a person would call it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from bench.shapes import numbers
from engine import Tensor, layers, optim
from engine import functional as F
from engine.kernels import threads


def prepare(count: int, best: bool) -> None:
    threads.set_threads(count)


def version() -> str:
    return f"engine on NumPy {np.__version__}, {threads.threads()} thread(s)"


class ReLU6(layers.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.clip(x, 0.0, 6.0)


class Residual(layers.Module):
    """What the body makes, plus what it got."""

    def __init__(self, body: layers.Module, skip: layers.Module):
        self.body, self.skip = body, skip

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.body(x) + self.skip(x)
        return total


def sequence(rows: list[Any], rng: np.random.Generator) -> layers.Module:
    def made(name: str, args: tuple[Any, ...], options: dict[str, Any]) -> layers.Module:
        if name == "Residual":
            return Residual(*(sequence(inner, rng) if inner else layers.Identity() for inner in args))
        if name == "ReLU6":
            return ReLU6()
        drawn = {"rng": rng} if name in ("Conv2d", "Linear", "Dropout") else {}
        layer: layers.Module = getattr(layers, name)(*args, **options, **drawn)
        return layer

    return layers.Sequential(*(made(*row) for row in rows))


def network(work: dict[str, Any]) -> Callable[[], None]:
    model = sequence(work["layers"], np.random.default_rng(0))
    x, y = numbers(work["input"], 1), np.random.default_rng(2).integers(0, 10, work["input"][0])
    optimizer = optim.SGD(model.parameters(), lr=0.01)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def op(name: str, work: dict[str, Any]) -> Callable[[], None]:
    x = Tensor(numbers(work["x"], 1), requires_grad=True)
    weights = [Tensor(numbers(shape, 2 + k), requires_grad=True) for k, shape in enumerate(work["weights"])]
    g = numbers(work["result"], 9)
    calls: dict[str, Callable[[], Tensor]] = {
        "conv": lambda: F.conv2d(x, *weights, padding=1),
        "max pool": lambda: F.max_pool2d(x, 2),
        "batch norm": lambda: F.batch_norm(x, None, None, *weights, training=True),
        "depthwise": lambda: F.conv2d(x, *weights, padding=1, groups=work["x"][1]),
    }
    call = calls[name.partition(",")[0]]

    def step() -> None:
        for leaf in (x, *weights):
            leaf.grad = None
        y = call()
        y.backward(g)
        if name.endswith("C order"):  # whoever hands the memory on to C code copies it to NCHW first
            y.contiguous()  # x.grad lies as x does

    return step
