"""A small CNN trained from scratch with the NumPy engine: a loop you can read down the page."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from engine import Tensor, functional, layers, no_grad
from engine.lr_scheduler import CosineAnnealingLR, LRScheduler
from engine.optim import Adam, Optimizer
from playground.datasets import named
from playground.datasets.augmentation import Augmentation, Mixed
from playground.datasets.named import ImageSet
from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError
from playground.home import read_json, whole
from playground.network import presets
from playground.network.build import build
from playground.network.faults import STOP, faults
from playground.network.parts import Network
from playground.network.shapes import walk
from playground.network.spelling import spelled
from playground.training.runs.events import Batch, Epoch, Event, Finished, Saved, Started
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history_files
from playground.training.scratch.measures import Look, Meter, Parts
from playground.training.scratch.numpy_checkpoint import State, digest

EPOCHS, BATCH_SIZE, LEARNING_RATE = 15, 32, 0.003
VALIDATION_SHARE = 1 / 6
BETWEEN_BATCHES_SECONDS = 0.1
AT_ONCE = 256
LARGEST_SIDE = 4096
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
USUAL = "usual"
"""The preset that is trained where a request names no network."""


@dataclass(frozen=True)
class TrainedNumpy:
    """A trained network and what goes around it. `model` is in evaluation mode."""

    model: layers.Sequential
    preprocessing: Preprocessing
    classes: tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """One step of the optimizer: the batch's loss and right answers before it, and the rate it was taken with. `look`
    is what was measured, where it was, or where the loss is not a number."""

    loss: float
    right: int
    rate: float
    look: Look | None


@dataclass(frozen=True)
class Training:
    """A training between two steps: `fit` takes its steps, and so does who replays it (`history`)."""

    train: ImageSet
    test: ImageSet
    network: Network
    preprocessing: Preprocessing
    pipeline: Augmentation
    x: np.ndarray
    y: np.ndarray
    raw: np.ndarray
    x_held: np.ndarray
    y_held: np.ndarray
    model: layers.Sequential
    optimizer: Optimizer
    schedule: LRScheduler
    order_rng: np.random.Generator
    augment_rng: np.random.Generator
    epochs: int
    batches: int
    learning_rate: float
    state: State
    parts: Parts

    def order(self) -> list[np.ndarray]:
        """Which pictures the batches of the next epoch have. Drawn: to be asked once an epoch, at its beginning."""
        return np.array_split(self.order_rng.permutation(len(self.x)), self.batches)

    def step(self, chosen: np.ndarray, measure: bool = False) -> Step:
        """Learn from one batch, the model being in training mode; `measure` changes nothing of what is learnt."""
        raw, y, preprocessing, pipeline, augment_rng = (
            self.raw, self.y, self.preprocessing, self.pipeline, self.augment_rng)
        model, optimizer, schedule = self.model, self.optimizer, self.schedule
        prepared = self.x[chosen]
        if pipeline.active:
            prepared = preprocessing.apply_all(pipeline.draw_all(raw[chosen], augment_rng))
        mixed = pipeline.mix(prepared, augment_rng)
        with layers.watched() as calls:
            logits = model(Tensor(mixed.x))
        loss = mixed_loss(logits, y[chosen], mixed)
        value, correct = loss.item(), int((logits.data.argmax(1) == y[chosen]).sum())
        look = Look(self.parts, calls, mixed.x, loss) if measure or not math.isfinite(value) else None
        model.zero_grad()
        if look is None:
            loss.backward()
        else:
            look.backward()
        rate = optimizer.lr
        optimizer.step()
        if look is not None:
            look.stepped()
        schedule.step()
        return Step(value, correct, rate, look)


def fit(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Train on the data the request names, and yield what happens; the network is in `run_dir` afterwards.

    request: data ("digits" or a folder of IDX files), network (a preset or a spelling), epochs, batch_size,
    learning_rate, augment (an Augmentation as plain data); all but the first may be left out. Adam, its learning rate
    falling to 0 along half a cosine. A sixth of the training pictures is kept aside for validation; the test pictures
    are looked at once, when training is over. The same spec gives the same weights, and so does a run that was killed
    and goes on from its last whole epoch (numpy_checkpoint). Raises PlaygroundError when the data or the request make
    no training, the network does not fit, or the loss is no longer a number.
    """
    began = time.time()
    training = begun(spec)
    state, schedule, epochs, batches = training.state, training.schedule, training.epochs, training.batches
    model, train, test = training.model, training.train, training.test
    x, x_held, y_held = training.x, training.x_held, training.y_held
    preprocessing, network = training.preprocessing, training.network
    resumed = state.restore(run_dir)
    _describe(run_dir, network, x.shape[1:], preprocessing, train.classes)
    if not resumed:
        history_files.clear(run_dir)
    history_files.keep(run_dir, state, batches)

    yield Started("digits", epochs, batches, sum(p.size for p in model.parameters()), train.classes,
                  {"train": len(x), "validation": len(x_held), "test": len(test)}, "cpu", time.time())
    steps, written, stopped, done = schedule.last_epoch, 0.0, False, state.epoch
    meter = Meter(epochs * batches)
    began -= state.seconds
    yield from state.history
    if resumed:
        yield _save(run_dir, model, done)
    for epoch in range(done + 1, epochs + 1):
        epoch_began, losses, right = time.time(), 0.0, 0
        model.train()
        for number, chosen in enumerate(training.order(), 1):
            stopped = should_stop()
            if stopped:
                break
            taken = training.step(chosen, meter.due(steps + 1))
            value, correct, rate = taken.loss, taken.right, taken.rate
            steps += 1
            if taken.look is not None:
                meter.took(steps, taken.look.seconds)
                yield taken.look.measures(epoch, steps, time.time())
            if not math.isfinite(value):
                history_files.index(run_dir, state, batches, steps)
                raise PlaygroundError(f"The loss is no longer a number after {steps} steps: the learning rate of "
                                      f"{training.learning_rate:g} is too large for these data.")
            losses, right = losses + value * len(chosen), right + correct
            if time.time() - written >= BETWEEN_BATCHES_SECONDS:
                written = time.time()
                yield Batch(epoch, number, batches, value, correct / len(chosen), rate, written)
        if stopped:
            break
        held_loss, confusion = evaluate(model, x_held, y_held, len(train.classes))
        done = epoch
        told = Epoch(epoch, losses / len(x), right / len(x), held_loss, float(np.trace(confusion) / len(x_held)),
                     time.time() - epoch_began, time.time())
        yield told
        saved = _save(run_dir, model, epoch)
        state.save(run_dir, told, time.time() - began)
        yield saved
        history_files.keep(run_dir, state, batches)
    if steps == 0:
        raise PlaygroundError("Stopped before anything was learnt, so there is nothing to keep.")

    if stopped:
        yield _save(run_dir, model, done)
        history_files.index(run_dir, state, batches, steps)
    _, confusion = evaluate(model, preprocessing.apply_all(test.images), test.labels, len(train.classes))
    yield Finished("stopped" if stopped else "completed", done, float(np.trace(confusion) / len(test)), len(test),
                   time.time() - began, tuple(tuple(map(int, row)) for row in confusion), time.time())


def begun(spec: RunSpec) -> Training:
    """The training that a spec asks for, before its first step. Raises PlaygroundError as `fit` does."""
    epochs, batch_size, learning_rate = _settings(spec.request)
    train, test = named.load(spec.request["data"])
    split_rng, weights_rng, order_rng, augment_rng = np.random.default_rng(spec.seed).spawn(4)
    pipeline = Augmentation.from_dict(spec.request.get("augment", {}))
    fitted, held_out = _divided(train.labels, split_rng)
    preprocessing = preprocessing_of(train.images[fitted])
    x, y = preprocessing.apply_all(train.images[fitted]), train.labels[fitted]
    raw = train.images[fitted]
    x_held, y_held = preprocessing.apply_all(train.images[held_out]), train.labels[held_out]
    network = designed(spec.request, x.shape[1:], len(train.classes))
    model = build(network, x.shape[1:], weights_rng)
    optimizer = Adam(model.parameters(), lr=learning_rate)
    batches = max(1, len(x) // batch_size)  # a little larger than asked for, rather than a last one of one picture
    schedule = CosineAnnealingLR(optimizer, T_max=epochs * batches)
    state = State(model, optimizer, schedule, {"order": order_rng, "augment": augment_rng}, digest(raw, y, x_held),
                  {"request": spec.request, "seed": spec.seed})
    return Training(train, test, network, preprocessing, pipeline, x, y, raw, x_held, y_held, model, optimizer,
                    schedule, order_rng, augment_rng, epochs, batches, learning_rate, state, Parts(network, model))


def measured(spec: RunSpec, run_dir: Path, epochs: int, seconds: float) -> Finished:
    """The last word on a run that broke off: the weights it has kept, measured on the test pictures."""
    trained = load_trained(run_dir)
    _, test = named.load(spec.request["data"])
    _, confusion = evaluate(trained.model, trained.preprocessing.apply_all(test.images), test.labels,
                            len(trained.classes))
    return Finished("stopped", epochs, float(np.trace(confusion) / len(test)), len(test), seconds,
                    tuple(tuple(map(int, row)) for row in confusion), time.time())


def designed(request: Mapping[str, Any], shape: tuple[int, ...], classes: int) -> Network:
    """The network that a request asks for, by a preset's name or a spelling, for pictures (C, H, W).

    Raises PlaygroundError where it cannot be trained on them, with the sentence that says why.
    """
    network = presets.network_named(str(request.get("network", USUAL)), shape, classes)
    stopping = [fault.sentence for fault in faults(network, shape, classes, memory=_memory()) if fault.level == STOP]
    if stopping:
        raise PlaygroundError(stopping[0])
    if walk(network, shape).gives != (classes,):
        raise PlaygroundError(f"The network gives one score for {classes} classes; here each class needs a score of "
                              f"its own: end it with a dense layer of {classes}.")
    return network


def _memory() -> int:
    """Bytes that a training may take: half of what the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def sketch(images: ImageSet) -> tuple[layers.Sequential, tuple[int, ...]]:
    """The untrained network for a set, and the shape (C, H, W) of what it takes: to be looked at before training."""
    shape = shape_of(images)
    return build(designed({}, shape, len(images.classes)), shape, np.random.default_rng(0)), shape


def shape_of(images: ImageSet) -> tuple[int, int, int]:
    """The shape (C, H, W) in which a set's pictures go into a network."""
    height, width = images.images.shape[1:3]
    return (1 if images.images.ndim == 3 else 3, height, width)


def load_trained(run_dir: Path, weights_path: Path | None = None) -> TrainedNumpy:
    """The network that a run left in its folder, with its last weights or those of another file. Raises PlaygroundError
    when there is none."""
    try:
        data = read_json(run_dir / DESCRIPTION)
        weights = load_file(weights_path or run_dir / WEIGHTS)
        # A damaged description may ask for a layer of any size: not of more numbers than there are weights.
        room = sum(array.size for array in weights.values())
        classes = tuple(map(str, data["classes"]))
        network, shape = _described(data, len(classes))
        walked = walk(network, shape)
        if walked.stopped or walked.parameters > room:
            raise ValueError("its description is of another network")
        if walked.gives != (len(classes),):
            raise ValueError("it gives another number of scores than it names classes")
        model = build(network, shape, np.random.default_rng(0))
        model.load_state_dict(weights)
        found = TrainedNumpy(model, Preprocessing.from_dict(data["preprocessing"]), classes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, SafetensorError,
            PlaygroundError) as error:
        raise PlaygroundError(f"There is no trained network in {run_dir}, or it is damaged.") from error
    if not all(np.isfinite(array).all() for array in weights.values()):
        raise PlaygroundError(f"The network in {run_dir} is damaged: not all of its weights are numbers.")
    model.eval()
    return found


def _described(data: Mapping[str, Any], classes: int) -> tuple[Network, tuple[int, ...]]:
    """The network and the shape of its pictures in a description. Older ones name layers, always of one kind of
    network."""
    said = data if "network" in data else {"network": USUAL, "input": data["architecture"]["input"]}
    shape = tuple(int(n) for n in said["input"])
    if len(shape) != 3 or min(shape) < 1 or max(shape) > LARGEST_SIDE:
        raise ValueError("its pictures have no shape")
    return presets.network_named(str(said["network"]), shape, classes), shape


def mixed_loss(logits: Tensor, y: np.ndarray, mixed: Mixed) -> Tensor:
    """Cross-entropy against mixed labels: λ · CE(logits, y) + (1 - λ) · CE(logits, y of the partners).

    That is cross-entropy against λ y_i + (1 - λ) y_j, since it is linear in the label.
    """
    loss = functional.cross_entropy(logits, y)
    if mixed.share == 1.0:
        return loss
    return mixed.share * loss + (1 - mixed.share) * functional.cross_entropy(logits, y[mixed.partner])


def evaluate(model: layers.Sequential, x: np.ndarray, y: np.ndarray, classes: int) -> tuple[float, np.ndarray]:
    """Mean cross-entropy and confusion[true, predicted] on prepared pictures, in evaluation mode."""
    model.eval()
    total, confusion = 0.0, np.zeros((classes, classes), np.int64)
    with no_grad():
        for start in range(0, len(x), AT_ONCE):
            truth = y[start:start + AT_ONCE]
            logits = model(Tensor(x[start:start + AT_ONCE]))
            total += functional.cross_entropy(logits, truth, reduction="sum").item()
            np.add.at(confusion, (truth, logits.data.argmax(1)), 1)
    return total / max(len(x), 1), confusion


def _settings(request: Mapping[str, Any]) -> tuple[int, int, float]:
    epochs, batch_size = int(request.get("epochs", EPOCHS)), int(request.get("batch_size", BATCH_SIZE))
    learning_rate = float(request.get("learning_rate", LEARNING_RATE))
    if epochs < 1 or batch_size < 2 or not 0 < learning_rate < math.inf:
        raise PlaygroundError(f"{epochs} epochs in batches of {batch_size} at a learning rate of {learning_rate:g} are "
                              "no training: at least 1 epoch, 2 pictures a batch and a rate above 0 are needed.")
    return epochs, batch_size, learning_rate


def _divided(labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices to learn from and to validate on: a sixth of every class, at least one picture where there are two."""
    held_out = []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out.append(members[:max(1, round(len(members) * VALIDATION_SHARE)) if len(members) > 1 else 0])
    kept_aside = np.sort(np.concatenate(held_out))
    fitted = np.setdiff1d(np.arange(len(labels)), kept_aside)
    if len(kept_aside) == 0 or len(fitted) < 2:
        raise PlaygroundError(f"{len(labels)} training pictures are too few to learn from and to validate on.")
    return fitted, kept_aside


def preprocessing_of(images: np.ndarray) -> Preprocessing:
    """Pictures stay as large as they are; their levels get mean 0 and deviation 1 over the training pictures."""
    gray = images.ndim == 3
    levels = np.arange(256) / 255
    means, deviations = [], []
    for plane in [images] if gray else [images[..., channel] for channel in range(3)]:
        counts = np.bincount(plane.ravel(), minlength=256)  # counted: no float copy, eight times larger
        share = counts / counts.sum()
        mean = float(share @ levels)
        means.append(round(mean, 6))
        deviations.append(round(max(1e-3, float(share @ (levels - mean) ** 2) ** 0.5), 6))
    height, width = images.shape[1:3]
    return Preprocessing((height, width), gray, tuple(means), tuple(deviations))


def _describe(
    run_dir: Path, network: Network, shape: tuple[int, ...], preprocessing: Preprocessing, classes: tuple[str, ...],
) -> None:
    data = {"network": spelled(network), "input": list(shape), "preprocessing": preprocessing.to_dict(),
            "classes": list(classes)}
    with whole(run_dir / DESCRIPTION) as incoming:
        incoming.write_text(json.dumps(data, ensure_ascii=False, indent=2), encoding="utf-8")


def _save(run_dir: Path, model: layers.Sequential, epoch: int) -> Saved:
    """Write the weights whole or not at all, and only then say so."""
    path = run_dir / WEIGHTS
    with whole(path) as incoming:
        save_file({name: np.asarray(array, order="C") for name, array in model.state_dict().items()}, incoming)
    return Saved(str(path), epoch, time.time())
