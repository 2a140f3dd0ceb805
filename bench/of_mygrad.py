"""The workloads on MyGrad (https://github.com/rsokl/MyGrad), where it is installed: its layers, our SGD in a line."""

from collections.abc import Callable
from typing import Any

import mygrad as mg
import numpy as np
from mygrad.nnet.activations import relu
from mygrad.nnet.layers import batchnorm, conv_nd, max_pool
from mygrad.nnet.losses import softmax_crossentropy

from bench.shapes import numbers


def prepare(count: int, best: bool) -> None:
    mg.turn_memory_guarding_off()  # MyGrad's own advice for speed


def version() -> str:
    return f"MyGrad {mg.__version__}, NumPy {np.__version__}"


def network(work: dict[str, Any]) -> Callable[[], None]:
    if any(name in ("Residual", "ReLU6", "AdaptiveAvgPool2d") for name, _, _ in work["layers"]):
        raise SystemExit("MyGrad has no such layers")
    parameters: list[mg.Tensor] = []
    rng = np.random.default_rng(0)

    def new(*shape: int) -> mg.Tensor:
        made = mg.tensor((rng.standard_normal(shape) * 0.05).astype(np.float32))
        parameters.append(made)
        return made

    layers: list[Callable[[Any], Any]] = []
    for name, args, options in work["layers"]:
        if name == "Conv2d":
            w, b, pad = new(args[1], args[0], args[2], args[2]), new(1, args[1], 1, 1), options.get("padding", 0)
            layers.append(lambda x, w=w, b=b, pad=pad: conv_nd(x, w, stride=1, padding=pad) + b)
        elif name == "BatchNorm2d":
            w, b = new(*args), new(*args)
            layers.append(lambda x, w=w, b=b: batchnorm(x, gamma=w, beta=b, eps=1e-5))
        elif name == "ReLU":
            layers.append(relu)
        elif name == "MaxPool2d":
            layers.append(lambda x: max_pool(x, (2, 2), 2))
        elif name == "Flatten":
            layers.append(lambda x: x.reshape(x.shape[0], -1))
        elif name == "Dropout":
            layers.append(lambda x: x * ((rng.random(x.shape, np.float32) >= 0.5) * np.float32(2)))
        else:
            w, b = new(args[1], args[0]), new(args[1])
            layers.append(lambda x, w=w, b=b: mg.matmul(x, w.T) + b)
    images, y = numbers(work["input"], 1), np.random.default_rng(2).integers(0, 10, work["input"][0])

    def step() -> None:
        x: Any = images
        for layer in layers:
            x = layer(x)
        softmax_crossentropy(x, y).backward()
        for p in parameters:
            p.data[...] -= np.float32(0.01) * p.grad
            p.null_grad()

    return step


def op(name: str, work: dict[str, Any]) -> Callable[[], None]:
    if name == "depthwise" or name.endswith("C order"):
        raise SystemExit("MyGrad has no groups")
    x = mg.tensor(numbers(work["x"], 1))
    weights = [mg.tensor(numbers(shape, 2 + k)) for k, shape in enumerate(work["weights"])]
    g = numbers(work["result"], 9)
    calls: dict[str, Callable[[], Any]] = {
        "conv": lambda: conv_nd(x, weights[0], stride=1, padding=1) + weights[1].reshape(1, -1, 1, 1),
        "max pool": lambda: max_pool(x, (2, 2), 2),
        "batch norm": lambda: batchnorm(x, gamma=weights[0], beta=weights[1], eps=1e-5),
    }

    def step() -> None:
        for leaf in (x, *weights):
            leaf.null_grad()
        calls[name]().backward(g)

    return step
