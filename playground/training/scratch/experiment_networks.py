"""The small networks that experiments compare.

Each part of a network draws its first numbers from a generator of its own, spawned from `rng` in a fixed order:
networks that differ in one thing (batch norm, a bias, dropout) have all weights of both in common, to the last bit.
"""

import numpy as np

from engine import layers

SIDE = 48
"""Pixels a side of the photographs that `photo_cnn` takes."""


def mlp(rng: np.random.Generator, pixels: int, classes: int) -> layers.Sequential:
    """A network that takes the picture as one row of numbers: no pixel has neighbours."""
    first, last = rng.spawn(2)
    return layers.Sequential(layers.Flatten(), layers.Linear(pixels, 64, rng=first), layers.ReLU(),
                             layers.Linear(64, classes, rng=last))


def small_cnn(rng: np.random.Generator, channels: int, classes: int) -> layers.Sequential:
    """About as many parameters in 3 x 3 windows, for pictures of 8 x 8; like `mlp` without batch norm."""
    first, second, last = rng.spawn(3)
    return layers.Sequential(
        layers.Conv2d(channels, 16, 3, padding=1, rng=first), layers.ReLU(), layers.MaxPool2d(2),
        layers.Conv2d(16, 28, 3, padding=1, rng=second), layers.ReLU(), layers.MaxPool2d(4),
        layers.Flatten(), layers.Linear(28, classes, rng=last))


def lenet(rng: np.random.Generator, shape: tuple[int, ...], classes: int) -> layers.Sequential:
    """Two blocks of convolution and pooling, then dense layers that know where things were."""
    channels, height, width = shape
    first, second, third, last = rng.spawn(4)
    return layers.Sequential(
        layers.Conv2d(channels, 16, 3, padding=1, rng=first), layers.ReLU(), layers.MaxPool2d(2),
        layers.Conv2d(16, 32, 3, padding=1, rng=second), layers.ReLU(), layers.MaxPool2d(2), layers.Flatten(),
        layers.Linear(32 * (height // 4) * (width // 4), 64, rng=third), layers.ReLU(),
        layers.Linear(64, classes, rng=last))


def deep_cnn(rng: np.random.Generator, classes: int, normalize: bool) -> layers.Sequential:
    """Eight convolutions of 12 maps each, batch norm before every activation or none at all, for pictures of 8 x 8."""
    *own, last = rng.spawn(9)
    built: list[layers.Module] = []
    for depth, part in enumerate(own):
        built.append(layers.Conv2d(12 if depth else 1, 12, 3, padding=1, bias=not normalize, rng=part))
        built += [layers.BatchNorm2d(12)] if normalize else []
        built.append(layers.ReLU())
    return layers.Sequential(*built, layers.MaxPool2d(2), layers.Flatten(), layers.Linear(12 * 16, classes, rng=last))


def photo_cnn(rng: np.random.Generator, classes: int, regularized: bool) -> layers.Sequential:
    """Four convolutions, each halving the picture, and two dense layers, for colour pictures of SIDE pixels.

    Regularized: batch norm after each convolution, and half of the last hidden units left out while training.
    """
    *own, hidden, last, drop = rng.spawn(7)
    built: list[layers.Module] = []
    for (before, after), part in zip(((3, 16), (16, 32), (32, 48), (48, 64)), own, strict=True):
        built.append(layers.Conv2d(before, after, 3, padding=1, bias=not regularized, rng=part))
        built += [layers.BatchNorm2d(after)] if regularized else []
        built += [layers.ReLU(), layers.MaxPool2d(2)]
    built += [layers.Flatten(), layers.Linear(64 * (SIDE // 16) ** 2, 64, rng=hidden), layers.ReLU()]
    built += [layers.Dropout(0.5, rng=drop)] if regularized else []
    return layers.Sequential(*built, layers.Linear(64, classes, rng=last))


def wide_mlp(rng: np.random.Generator, pixels: int, classes: int, p: float, units: int = 128) -> layers.Sequential:
    """Two hidden layers of so many units, dropout (p is left out) after each activation."""
    first, second, last, *drop = rng.spawn(5)
    return layers.Sequential(
        layers.Flatten(), layers.Linear(pixels, units, rng=first), layers.ReLU(), layers.Dropout(p, rng=drop[0]),
        layers.Linear(units, units, rng=second), layers.ReLU(), layers.Dropout(p, rng=drop[1]),
        layers.Linear(units, classes, rng=last))
