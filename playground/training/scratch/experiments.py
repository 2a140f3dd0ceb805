"""Experiments: a few small networks trained under the same conditions, to be compared while they learn.

An experiment is a run like any other (its own process, a log, a stop button) whose result is its curves; nothing of it
is exported. Contestants take turns, an epoch each, so that their curves grow side by side.
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from engine import Tensor, functional, layers
from engine.lr_scheduler import CosineAnnealingLR
from engine.optim import Adam
from playground.datasets import folders, named, photos
from playground.datasets.augmentation import Augmentation
from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError
from playground.home import data_dir, located
from playground.training.runs.events import Event, Finished, Measured, Started
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from playground.training.scratch.experiment_networks import SIDE, deep_cnn, lenet, mlp, photo_cnn, small_cnn, wide_mlp
from playground.training.scratch.experiment_reports import spread
from playground.training.scratch.losses import evaluate, mixed_loss

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
    weight_decay: float = 0.0
    """L2: so much times every weight is added to its gradient."""
    decays: bool = False
    """Whether the learning rate falls to 0 along half a cosine."""
    augmented: tuple[Augmentation, np.ndarray, Preprocessing] | None = None
    """A pipeline, the raw pictures behind x and how they are prepared: every mini-batch is then a fresh draw."""


def fit(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Train the contestants of the experiment that the request names; a Measured for each after each of its epochs.

    request: experiment (a name of EXPERIMENTS), epochs, and what that experiment takes besides. The same spec gives
    the same curves. A contestant whose loss is no longer a number is measured no more. An experiment of REPORTS leaves
    its report in the run's folder when it is completed. Raises PlaygroundError when there is no such experiment or
    nobody is left.
    """
    began, name = time.time(), str(spec.request.get("experiment"))
    epochs = int(spec.request.get("epochs", 0))
    if name == PHOTO_COUNT:
        from playground.training.transfer import (
            photo_count as torch_photo_count,  # torch, that only this experiment needs
        )

        yield from torch_photo_count.fit(spec, run_dir, should_stop)
        return
    if name not in EXPERIMENTS:
        raise PlaygroundError(f"There is no experiment {name!r}: choose {' or '.join(EXPERIMENTS)}.")
    if not 1 <= epochs <= MOST_EPOCHS:
        raise PlaygroundError(f"{epochs} epochs: an experiment takes 1 to {MOST_EPOCHS}.")
    contestants = EXPERIMENTS[name](spec.request, spec.seed)
    first = contestants[0]
    batches = max(1, len(first.x) // int(spec.request.get("batch_size", BATCH_SIZE)))
    yield Started(spec.kind, epochs * len(contestants), batches, sum(size(c.model) for c in contestants),
                  tuple(c.name for c in contestants), {"train": len(first.x), "test": len(first.x_test)}, "cpu",
                  time.time())
    optimizers = [Adam(c.model.parameters(), lr=c.learning_rate, weight_decay=c.weight_decay) for c in contestants]
    schedules = {c.name: CosineAnnealingLR(optimizer, T_max=epochs * batches)
                 for c, optimizer in zip(contestants, optimizers, strict=True) if c.decays}
    done, stopped = 0, False
    out: set[str] = set()  # whose loss is no longer a number
    while done < epochs and not stopped:
        for contestant, optimizer in zip(contestants, optimizers, strict=True):
            if contestant.name in out:
                continue
            rng = np.random.default_rng((spec.seed, done))  # every contestant meets the pictures in the same order
            contestant.model.train()
            for chosen in np.array_split(rng.permutation(len(contestant.x)), batches):
                stopped = should_stop()
                if stopped:
                    break
                loss = batch_loss(contestant, chosen, rng)
                if not math.isfinite(loss.item()):
                    out.add(contestant.name)
                    break
                contestant.model.zero_grad()
                loss.backward()
                optimizer.step()
                if contestant.name in schedules:
                    schedules[contestant.name].step()
            if stopped:
                break
            if contestant.name not in out:
                yield measured(contestant, done + 1)
        if len(out) == len(contestants):
            raise PlaygroundError("The loss of every network is no longer a number: a smaller learning rate would "
                                  "help.")
        done += not stopped
    if name in REPORTS and not stopped:
        incoming = run_dir / f".{REPORT}"
        incoming.write_text(json.dumps(REPORTS[name](contestants)))
        os.replace(incoming, run_dir / REPORT)
    yield Finished("stopped" if stopped else "completed", done, None, 0, time.time() - began, (), time.time())


def batch_loss(contestant: Contestant, chosen: np.ndarray, rng: np.random.Generator) -> Tensor:
    """The loss of one mini-batch, drawn anew and mixed where the contestant augments."""
    x, y = contestant.x[chosen], contestant.y[chosen]
    if contestant.augmented is None:
        return functional.cross_entropy(contestant.model(Tensor(x)), y)
    pipeline, raw, preparation = contestant.augmented
    mixed = pipeline.mix(preparation.apply_all(pipeline.draw_all(raw[chosen], rng)), rng)
    return mixed_loss(contestant.model(Tensor(mixed.x)), y, mixed)


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


def shuffled(images: np.ndarray, seed: int) -> np.ndarray:
    """The pictures (N, H, W) with their pixels in another order, the same for all of them.

    >>> shuffled(np.arange(4).reshape(1, 2, 2), 0).tolist() == shuffled(np.arange(4).reshape(1, 2, 2), 0).tolist()
    True
    """
    order = np.random.default_rng(seed).permutation(images.shape[1] * images.shape[2])
    return images.reshape(len(images), -1)[:, order].reshape(images.shape)


def shuffled_pixels(request: Mapping[str, Any], seed: int) -> list[Contestant]:
    """An MLP and a CNN, each on digits as they are and on digits with one fixed permutation of their pixels.

    They learn from request["samples"] digits; all others, of both parts of the set, are those never seen.
    """
    parts = named.load("digits")
    images, labels = (np.concatenate([getattr(part, what) for part in parts]) for what in ("images", "labels"))
    samples, classes = int(request.get("samples", 300)), len(parts[0].classes)
    few(len(images) // 2, samples, np.random.default_rng(seed))  # refused when too few are left
    order, contestants = np.random.default_rng(seed).permutation(len(images)), []
    chosen, others = order[:samples], order[samples:]
    for what, seen in (("as they are", images), ("shuffled", shuffled(images, seed))):
        x, x_test = prepared(seen[chosen], seen[others])
        for kind, model in (("MLP", mlp(np.random.default_rng(seed), x[0].size, classes)),
                            ("CNN", small_cnn(np.random.default_rng(seed), 1, classes))):
            contestants.append(
                Contestant(f"{kind}, pixels {what}", model, x, labels[chosen], x_test, labels[others], 0.005))
    return contestants


def prepared(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gray pictures (N, H, W) 0..255 as float32 (N, 1, H, W) with the training pictures' mean 0 and variance 1."""
    mean, deviation = train.mean(), train.std()
    first, second = (((part - mean) / deviation).astype(np.float32)[:, None] for part in (train, test))
    return first, second


def augmentation(request: Mapping[str, Any], seed: int) -> list[Contestant]:
    """The same small CNN on few digits, as they are and with the pipeline request["augment"]."""
    pipeline = Augmentation.from_dict(request.get("augment", {}))
    train, test = named.load("digits")
    chosen = few(len(train.images), int(request.get("samples", 100)), np.random.default_rng(seed))
    raw, labels = train.images[chosen], train.labels[chosen]
    preparation = numpy_fit.preprocessing_of(raw)
    x, x_test = preparation.apply_all(raw), preparation.apply_all(test.images)
    return [
        Contestant(name, lenet(np.random.default_rng(seed), x.shape[1:], len(train.classes)), x, labels, x_test,
                   test.labels, 0.002, augmented=(pipeline, raw, preparation) if augments else None)
        for name, augments in (("as they are", False), ("augmented", True))
    ]


def batch_norm_race(request: Mapping[str, Any], seed: int) -> list[Contestant]:
    """The same deep CNN with and without batch norm, at each learning rate of request["rates"]."""
    rates = [float(rate) for rate in request.get("rates", (0.001, 0.01, 0.1))]
    if not 1 <= len(rates) <= 4 or not all(0 < rate <= 10 for rate in rates):
        raise PlaygroundError("The race takes one to four learning rates above 0 and up to 10.")
    x, y, x_test, y_test = few_digits({"samples": request.get("samples", 300)}, seed)
    return [
        Contestant(f"{name}, rate {rate:g}", deep_cnn(np.random.default_rng(seed), int(y_test.max()) + 1, normalize),
                   x, y, x_test, y_test, rate)
        for rate in rates for name, normalize in (("with", True), ("without", False))
    ]


def lab(request: Mapping[str, Any], seed: int) -> list[Contestant]:
    """One CNN from scratch on photographs in folders: request["data"], request["recipe"] a name of RECIPES.

    The folder's validation photographs are those never seen; photographs are cut to squares of SIDE pixels.
    """
    recipe = str(request.get("recipe"))
    if recipe not in RECIPES:
        raise PlaygroundError(f"There is no recipe {recipe!r}: choose {', '.join(RECIPES)}.")
    pipeline, regularized = RECIPES[recipe]
    data = str(request.get("data"))
    folder = folders.write_faces(data_dir() / "faces") if data == "faces" else located(Path(data).expanduser())
    found = folders.scan(folder, seed)
    if not found.validation:
        raise PlaygroundError("These folders hold no photographs to check on: at least two of every class are needed.")
    (raw, y), (raw_test, y_test) = (_squares(part) for part in (found.train, found.validation))
    preparation = numpy_fit.preprocessing_of(raw)
    model = photo_cnn(np.random.default_rng(seed), len(found.classes), regularized)
    return [Contestant(recipe, model, preparation.apply_all(raw), y, preparation.apply_all(raw_test), y_test, 0.001,
                       decays=True, augmented=(pipeline, raw, preparation) if pipeline.active else None)]


RECIPES: dict[str, tuple[Augmentation, bool]] = {
    "small CNN": (Augmentation(), False),
    "small CNN with augmentation": (Augmentation(mirror=0.5, rotate=10, crop=0.2, brightness=0.2), False),
    "small CNN with batch norm and dropout": (Augmentation(mirror=0.5, rotate=10, crop=0.2, brightness=0.2), True),
}
"""The lab's networks from scratch, by names to be read alone: their pipeline, and whether batch norm and dropout."""


def _squares(pictures: Sequence[tuple[Path, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Photographs as uint8 (N, SIDE, SIDE, 3), and their labels."""
    images = [np.asarray(ImageOps.fit(Image.fromarray(photos.open_photo(path)), (SIDE, SIDE))) for path, _ in pictures]
    return np.stack(images), np.array([label for _, label in pictures])


def few(count: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Which pictures to learn from when there are to be few. Raises PlaygroundError when so many there are not."""
    if not 50 <= samples <= count:
        raise PlaygroundError(f"{samples} pictures to learn from: choose 50 to {count}.")
    return rng.permutation(count)[:samples]


def few_digits(request: Mapping[str, Any], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """So few digits that a network can learn them by heart: x, y, x_test, y_test.

    request["samples"] of them, of which the share request["noise"] carries a wrong label, drawn among the others.
    """
    train, test = named.load("digits")
    rng, samples = np.random.default_rng(seed), int(request.get("samples", 250))
    chosen = few(len(train.images), samples, rng)
    x, x_test = prepared(train.images[chosen], test.images)
    labels = train.labels[chosen].copy()
    wrong = rng.permutation(samples)[:round(samples * float(request.get("noise", 0.0)))]
    labels[wrong] = (labels[wrong] + rng.integers(1, len(train.classes), len(wrong))) % len(train.classes)
    return x, labels, x_test, test.labels


def overfitting(request: Mapping[str, Any], seed: int) -> list[Contestant]:
    """The same wide MLP on few digits: as it is, with dropout (request["p"] is left out), with L2 (the penalty's
    gradient, request["weight_decay"] times the weight, is added before Adam, as torch.optim.Adam's weight_decay)."""
    x, y, x_test, y_test = few_digits(request, seed)
    p, decay = float(request.get("p", 0.5)), float(request.get("weight_decay", 0.01))
    return [
        Contestant(name, wide_mlp(np.random.default_rng(seed), x[0].size, int(y_test.max()) + 1, drop), x, y, x_test,
                   y_test, 0.002, weight_decay)
        for name, drop, weight_decay in (("neither", 0.0, 0.0), ("dropout", p, 0.0), ("L2", 0.0, decay))
    ]


def width(request: Mapping[str, Any], seed: int) -> list[Contestant]:
    """MLPs of two hidden layers on few digits, each width of WIDTHS without and with dropout (request["p"])."""
    x, y, x_test, y_test = few_digits(request, seed)
    p, classes = float(request.get("p", 0.5)), int(y_test.max()) + 1
    return [
        Contestant(width_name(units, drop > 0), wide_mlp(np.random.default_rng(seed), x[0].size, classes, drop, units),
                   x, y, x_test, y_test, 0.002)
        for drop in (0.0, p) for units in WIDTHS
    ]


def width_name(units: int, dropout: bool) -> str:
    """What a network of `width` is called.

    >>> width_name(16, True)
    '16 units, dropout'
    """
    return f"{units} units" + (", dropout" if dropout else "")


WIDTHS = (4, 16, 64, 256)
"""Units of each hidden layer in the experiment on width."""


def report(run_dir: Path) -> dict[str, Any]:
    """What a completed experiment of REPORTS left in its folder, or nothing if it is not there."""
    path = run_dir / REPORT
    return json.loads(path.read_text()) if path.exists() else {}


REPORT = "report.json"
PHOTO_COUNT = "photo-count"
EXPERIMENTS: dict[str, Callable[[Mapping[str, Any], int], list[Contestant]]] = {
    "shuffled-pixels": shuffled_pixels,
    "overfitting": overfitting,
    "width": width,
    "augmentation": augmentation,
    "batch-norm-race": batch_norm_race,
    "lab": lab,
}
"""What can be tried; each makes its contestants from a request and a seed."""
REPORTS: dict[str, Callable[[Sequence[Contestant]], dict[str, Any]]] = {"overfitting": spread}
"""What is looked at besides the curves when an experiment is completed."""
