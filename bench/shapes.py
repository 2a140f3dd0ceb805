"""The workloads everybody runs: plain data, so that no contestant imports another's library."""

from typing import Any

import numpy as np

# A network is a list of (layer, arguments) with torch.nn's names; an op is what is done to one random input.
CONV1 = [("Conv2d", (3, 32, 3), {"padding": 1}), ("BatchNorm2d", (32,), {}), ("ReLU", (), {}),
         ("Conv2d", (32, 32, 3), {"padding": 1}), ("BatchNorm2d", (32,), {}), ("ReLU", (), {}), ("MaxPool2d", (2,), {})]
CONV2 = [("Conv2d", (32, 64, 3), {"padding": 1}), ("BatchNorm2d", (64,), {}), ("ReLU", (), {}),
         ("Conv2d", (64, 64, 3), {"padding": 1}), ("BatchNorm2d", (64,), {}), ("ReLU", (), {}), ("MaxPool2d", (2,), {})]

NETWORKS: dict[str, dict[str, Any]] = {
    "W1": {
        "input": (64, 1, 28, 28),
        "layers": [
            ("Conv2d", (1, 8, 5), {"padding": 2}), ("BatchNorm2d", (8,), {}), ("ReLU", (), {}), ("MaxPool2d", (2,), {}),
            ("Conv2d", (8, 16, 5), {"padding": 2}), ("BatchNorm2d", (16,), {}), ("ReLU", (), {}),
            ("MaxPool2d", (2,), {}), ("Flatten", (), {}), ("Dropout", (0.5,), {}), ("Linear", (784, 10), {}),
        ],
    },
    "W2": {
        "input": (32, 3, 32, 32),
        "layers": [
            *CONV1, *CONV2, ("Flatten", (), {}), ("Linear", (4096, 128), {}), ("ReLU", (), {}), ("Dropout", (0.5,), {}),
            ("Linear", (128, 10), {}),
        ],
    },
    "W3": {
        "input": (64, 1, 8, 8),
        "layers": [
            ("Conv2d", (1, 8, 3), {}), ("ReLU", (), {}), ("MaxPool2d", (2,), {}), ("Flatten", (), {}),
            ("Linear", (72, 10), {}),
        ],
    },
}


def residual(inside: int, outside: int, stride: int) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
    """Two convolutions with a skip connection round them, as in ResNet."""
    body = [("Conv2d", (inside, outside, 3), {"stride": stride, "padding": 1, "bias": False}),
            ("BatchNorm2d", (outside,), {}), ("ReLU", (), {}),
            ("Conv2d", (outside, outside, 3), {"padding": 1, "bias": False}), ("BatchNorm2d", (outside,), {})]
    skip = [] if inside == outside and stride == 1 else [
        ("Conv2d", (inside, outside, 1), {"stride": stride, "bias": False}), ("BatchNorm2d", (outside,), {})]
    return "Residual", (body, skip), {}


def separable(inside: int, outside: int, stride: int) -> list[Any]:
    """A filter a channel, then one pixel of all channels, as in MobileNet."""
    return [("Conv2d", (inside, inside, 3), {"stride": stride, "padding": 1, "groups": inside, "bias": False}),
            ("BatchNorm2d", (inside,), {}), ("ReLU6", (), {}),
            ("Conv2d", (inside, outside, 1), {"bias": False}), ("BatchNorm2d", (outside,), {}), ("ReLU6", (), {})]


HEAD = [("AdaptiveAvgPool2d", (1,), {}), ("Flatten", (), {}), ("Linear", (64, 10), {})]
NETWORKS["ResNet-8"] = {
    "input": (32, 3, 32, 32),
    "layers": [("Conv2d", (3, 16, 3), {"padding": 1, "bias": False}), ("BatchNorm2d", (16,), {}), ("ReLU", (), {}),
               residual(16, 16, 1), ("ReLU", (), {}), residual(16, 32, 2), ("ReLU", (), {}), residual(32, 64, 2),
               ("ReLU", (), {}), *HEAD],
}
NETWORKS["MobileNet-like"] = {
    "input": (32, 3, 32, 32),
    "layers": [("Conv2d", (3, 16, 3), {"padding": 1, "bias": False}), ("BatchNorm2d", (16,), {}), ("ReLU6", (), {}),
               *separable(16, 32, 1), *separable(32, 32, 2), *separable(32, 64, 1), *separable(64, 64, 2), *HEAD],
}
# W2 at other sizes: what a step costs a pixel and a sample (the head grows with the image)
for name, n, height, width in (
    ("W2 half batch", 16, 32, 32), ("W2 double batch", 64, 32, 32), ("W2 half pixels", 32, 32, 16),
    ("W2 double pixels", 32, 64, 32),
):
    pixels = (height // 4) * (width // 4)
    NETWORKS[name] = {
        "input": (n, 3, height, width),
        "layers": [*NETWORKS["W2"]["layers"][:15], ("Linear", (64 * pixels, 128), {}),
                   *NETWORKS["W2"]["layers"][16:]],
    }

OPS: dict[str, dict[str, Any]] = {
    "conv": {"x": (16, 32, 32, 32), "weights": [(64, 32, 3, 3), (64,)], "result": (16, 64, 32, 32)},
    "conv, C order": {"x": (16, 32, 32, 32), "weights": [(64, 32, 3, 3), (64,)], "result": (16, 64, 32, 32)},
    "max pool": {"x": (32, 64, 32, 32), "weights": [], "result": (32, 64, 16, 16)},
    "batch norm": {"x": (32, 64, 32, 32), "weights": [(64,), (64,)], "result": (32, 64, 32, 32)},
    "depthwise": {"x": (16, 64, 32, 32), "weights": [(64, 1, 3, 3), (64,)], "result": (16, 64, 32, 32)},
}


def numbers(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)
