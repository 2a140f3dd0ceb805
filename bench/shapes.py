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
