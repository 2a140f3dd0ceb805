"""Experiments: a few small networks trained under the same conditions, to be compared while they learn.

An experiment is a run like any other (its own process, a log, a stop button) whose result is its curves; nothing of it
is exported. Contestants take turns, an epoch each, so that their curves grow side by side.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine import Tensor, functional, layers
from engine.optim import Adam
from playground.datasets import named
from playground.errors import PlaygroundError
from playground.training.events import Event, Finished, Measured, Started
from playground.training.numpy_fit import evaluate
from playground.training.runs import RunSpec

BATCH_SIZE = 32
MOST_EPOCHS = 60


@dataclass(frozen=True)
class Contestant:
    """A network and what it learns from: prepared pictures x (N, C, H, W), labels y (N,)."""

    name: str
    model: layers.Sequential
    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    learning_rate: float


def fit(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Train the contestants of the experiment that the request names; a Measured for each after each of its epochs.

    request: experiment (a name of EXPERIMENTS), epochs, and what that experiment takes besides. The same spec gives
    the same curves. Raises PlaygroundError when there is no such experiment or a loss is no longer a number.
    """
    began, name = time.time(), str(spec.request.get("experiment"))
    epochs = int(spec.request.get("epochs", 0))
    if name not in EXPERIMENTS:
        raise PlaygroundError(f"There is no experiment {name!r}: choose {' or '.join(EXPERIMENTS)}.")
    if not 1 <= epochs <= MOST_EPOCHS:
        raise PlaygroundError(f"{epochs} epochs: an experiment takes 1 to {MOST_EPOCHS}.")
    contestants = EXPERIMENTS[name](spec.request, spec.seed)
    first = contestants[0]
    batches = max(1, len(first.x) // BATCH_SIZE)
    yield Started(spec.kind, epochs * len(contestants), batches, sum(size(c.model) for c in contestants),
                  tuple(c.name for c in contestants), {"train": len(first.x), "test": len(first.x_test)}, "cpu",
                  time.time())
    optimizers = [Adam(c.model.parameters(), lr=c.learning_rate) for c in contestants]
    done, stopped = 0, False
    while done < epochs and not stopped:
        for contestant, optimizer in zip(contestants, optimizers, strict=True):
            rng = np.random.default_rng((spec.seed, done))  # every contestant meets the pictures in the same order
            contestant.model.train()
            for chosen in np.array_split(rng.permutation(len(contestant.x)), batches):
                stopped = should_stop()
                if stopped:
                    break
                loss = functional.cross_entropy(contestant.model(Tensor(contestant.x[chosen])), contestant.y[chosen])
                if not math.isfinite(loss.item()):
                    raise PlaygroundError(f"The loss of “{contestant.name}” is no longer a number: a smaller learning "
                                          "rate would help.")
                contestant.model.zero_grad()
                loss.backward()
                optimizer.step()
            if stopped:
                break
            yield measured(contestant, done + 1)
        done += not stopped
    yield Finished("stopped" if stopped else "completed", done, None, 0, time.time() - began, (), time.time())


def measured(contestant: Contestant, epoch: int) -> Measured:
    """How well a contestant does now, on what it learns from and on what it has never seen."""
    classes = int(max(contestant.y.max(), contestant.y_test.max())) + 1
    loss, confusion = evaluate(contestant.model, contestant.x, contestant.y, classes)
    test_loss, test_confusion = evaluate(contestant.model, contestant.x_test, contestant.y_test, classes)
    return Measured(contestant.name, epoch, loss, float(np.trace(confusion) / len(contestant.x)), test_loss,
                    float(np.trace(test_confusion) / len(contestant.x_test)), time.time())


def size(model: layers.Sequential) -> int:
    """How many numbers the network learns.

    >>> size(layers.Sequential(layers.Linear(2, 3)))
    9
    """
    return sum(p.size for p in model.parameters())


def mlp(rng: np.random.Generator, pixels: int, classes: int) -> layers.Sequential:
    """A network that takes the picture as one row of numbers: no pixel has neighbours."""
    return layers.Sequential(
        layers.Flatten(), layers.Linear(pixels, 64, rng=rng), layers.ReLU(), layers.Linear(64, classes, rng=rng))


def small_cnn(rng: np.random.Generator, channels: int, classes: int) -> layers.Sequential:
    """About as many parameters, all of them in 3 x 3 windows, and the mean over all places before the last layer."""
    return layers.Sequential(
        layers.Conv2d(channels, 16, 3, padding=1, bias=False, rng=rng), layers.BatchNorm2d(16), layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Conv2d(16, 32, 3, padding=1, bias=False, rng=rng), layers.BatchNorm2d(32), layers.ReLU(),
        layers.AdaptiveAvgPool2d(1), layers.Flatten(), layers.Linear(32, classes, rng=rng))


def shuffled(images: np.ndarray, seed: int) -> np.ndarray:
    """The pictures (N, H, W) with their pixels in another order, the same for all of them.

    >>> shuffled(np.arange(4).reshape(1, 2, 2), 0).tolist() == shuffled(np.arange(4).reshape(1, 2, 2), 0).tolist()
    True
    """
    order = np.random.default_rng(seed).permutation(images.shape[1] * images.shape[2])
    return images.reshape(len(images), -1)[:, order].reshape(images.shape)


def shuffled_pixels(request: Mapping[str, Any], seed: int) -> list[Contestant]:
    """An MLP and a CNN, each on digits as they are and on digits with one fixed permutation of their pixels."""
    train, test = named.load("digits")
    classes, contestants = len(train.classes), []
    for what, make in (("as they are", lambda images: images), ("shuffled", lambda images: shuffled(images, seed))):
        x, x_test = prepared(make(train.images), make(test.images))
        for kind, model in (("MLP", mlp(np.random.default_rng(seed), x[0].size, classes)),
                            ("CNN", small_cnn(np.random.default_rng(seed), 1, classes))):
            contestants.append(
                Contestant(f"{kind}, pixels {what}", model, x, train.labels, x_test, test.labels, 0.005))
    return contestants


def prepared(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gray pictures (N, H, W) 0..255 as float32 (N, 1, H, W) with the training pictures' mean 0 and variance 1."""
    mean, deviation = train.mean(), train.std()
    first, second = (((part - mean) / deviation).astype(np.float32)[:, None] for part in (train, test))
    return first, second


EXPERIMENTS: dict[str, Callable[[Mapping[str, Any], int], list[Contestant]]] = {"shuffled-pixels": shuffled_pixels}
"""What can be tried; each makes its contestants from a request and a seed."""
