"""A small CNN trained from scratch with the NumPy engine: a loop you can read down the page."""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from engine import layers
from engine.kernels.threads import threads
from playground.datasets import named
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
from playground.training.runs.events import Batch, Epoch, Event, Finished, RateChanged, Saved, Started
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history_files, live_files
from playground.training.scratch.division import divided, few, learnt
from playground.training.scratch.losses import CROSS_ENTROPY, LOSSES, evaluate, scoring
from playground.training.scratch.measures import Meter, Parts
from playground.training.scratch.numpy_checkpoint import State, digest
from playground.training.scratch.settings import (
    TORCH,
    Settings,
    asked_factors,
    first_weights,
    optimizer_of,
    schedule_of,
    stalled,
)
from playground.training.scratch.training import Gradients, Training

BETWEEN_BATCHES_SECONDS = 0.1
LARGEST_SIDE = 4096
WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
USUAL = "usual"
"""The preset that is trained where a request names no network."""


@dataclass(frozen=True)
class TrainedNumpy:
    """A trained network and what goes around it. `model` is in evaluation mode, and gives the scores that the loss took
    the softmax of (or, of one score, the sigmoid), even where its last layer is a softmax already."""

    model: layers.Sequential
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    scores_are_logits: bool = True
    network: Network | None = None  # what `model` was built from
    loss: str = CROSS_ENTROPY  # what it learnt from


def fit(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Train on the data the request names, and yield what happens; the network is in `run_dir` afterwards.

    request: data ("digits" or a folder of IDX files), network (a preset or a spelling), and what `Settings` names; all
    but the first may be left out. A sixth of the training pictures is kept aside for validation; the test pictures are
    looked at once, when training is over. The same spec gives the same weights, and so does a run that was killed and
    goes on from its last whole epoch (numpy_checkpoint). Raises PlaygroundError when the data or the request make no
    training, the network does not fit, or the loss is no longer a number.
    """
    with live_files.showing(run_dir) as live:
        yield from _fit(spec, run_dir, should_stop, live)


def _fit(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool], live: live_files.Live) -> Iterator[Event]:
    began = time.time()
    training = begun(spec, history_files.threads_of(run_dir))
    settings, state, schedule, batches = training.settings, training.state, training.schedule, training.batches
    epochs, model, train, test = settings.epochs, training.model, training.train, training.test
    x, x_held, y_held = training.x, training.x_held, training.y_held
    preprocessing, network = training.preprocessing, training.network
    resumed = state.restore(run_dir)
    _describe(run_dir, network, x.shape[1:], preprocessing, train.classes, settings.loss)
    if not resumed:
        history_files.clear(run_dir)
    history_files.keep(run_dir, state, batches, training.threads)

    yield Started("digits", epochs, batches, sum(p.size for p in model.parameters()), train.classes,
                  {"train": len(x), "validation": len(x_held), "test": len(test)}, "cpu", time.time())
    steps, written, stopped, done = schedule.last_epoch, 0.0, False, state.epoch
    meter = Meter(epochs * batches)
    began -= state.seconds
    yield from state.history
    if resumed:
        yield _save(run_dir, model, done)
    for epoch in range(done + 1, epochs + 1):
        if stalled(state.validation_losses(), settings.early_stopping):
            break
        if state.change_rate(asked_factors(run_dir)):
            state.history.append(RateChanged(epoch, steps, training.optimizer.lr, time.time()))
            yield state.history[-1]
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
                history_files.index(run_dir, state, batches, steps, done + 1, training.threads)
                raise PlaygroundError(f"The loss is no longer a number after {steps} steps: the learning rate of "
                                      f"{schedule.base_lrs[0]:g} is too large for these data.")
            live.stepped(model, epoch, number, steps)
            losses, right = losses + value * len(chosen), right + correct
            if time.time() - written >= BETWEEN_BATCHES_SECONDS:
                written = time.time()
                yield Batch(epoch, number, batches, value, correct / len(chosen), rate, written)
        if stopped:
            break
        held_loss, confusion = evaluate(model, x_held, y_held, len(train.classes), settings.loss)
        done = epoch
        told = Epoch(epoch, losses / len(x), right / len(x), held_loss, float(np.trace(confusion) / len(x_held)),
                     time.time() - epoch_began, time.time())
        yield told
        saved = _save(run_dir, model, epoch)
        state.save(run_dir, told, time.time() - began)
        yield saved
        history_files.keep(run_dir, state, batches, training.threads)
    if steps == 0:
        raise PlaygroundError("Stopped before anything was learnt, so there is nothing to keep.")

    if stopped:
        yield _save(run_dir, model, done)
        history_files.index(run_dir, state, batches, steps, done + 1, training.threads)
    _, confusion = evaluate(model, preprocessing.apply_all(test.images), test.labels, len(train.classes))
    yield Finished("stopped" if stopped else "completed", done, float(np.trace(confusion) / len(test)), len(test),
                   time.time() - began, tuple(tuple(map(int, row)) for row in confusion), time.time())


def begun(spec: RunSpec, cut: int | None = None) -> Training:
    """The training that a spec asks for, before its first step, its work cut as for `cut` threads (None: as many as
    there are). Raises PlaygroundError as `fit` does."""
    settings = Settings.from_request(spec.request)
    train, test = named.load(spec.request["data"])
    split_rng = np.random.default_rng(spec.seed).spawn(5)[0]
    fitted, held_out = divided(train.labels, split_rng)
    if settings.train_pictures:
        fitted = few(fitted, train.labels, settings.train_pictures, split_rng)
    network = designed(spec.request, train)
    training = assembled(network, spec, train, test, fitted, held_out, cut)
    scored = scoring(network, shape_of(train))
    return replace(training, elsewhere=elsewhere_of(settings, scored, shape_of(train), spec.seed))


def assembled(network: Network, spec: RunSpec, train: ImageSet, test: ImageSet, fitted: np.ndarray,
              held_out: np.ndarray, cut: int | None = None) -> Training:
    """The training of a network as a spec's request and seed say it, before its first step: it learns the `fitted` of
    the training pictures, by their numbers, and is validated on those `held_out`. Our engine computes its gradients."""
    settings = Settings.from_request(spec.request)
    _, weights_rng, order_rng, augment_rng, init_rng = np.random.default_rng(spec.seed).spawn(5)
    raw, y = train.images[fitted], train.labels[fitted]
    preprocessing = preprocessing_of(raw, settings.normalize)
    x = preprocessing.apply_all(raw)
    x_held, y_held = preprocessing.apply_all(train.images[held_out]), train.labels[held_out]
    scored = scoring(network, x.shape[1:])
    model = build(scored, x.shape[1:], weights_rng)
    first_weights(model, settings, init_rng)
    optimizer = optimizer_of(settings, model.parameters())
    # A batch is a little larger than asked for, rather than a last one of one picture.
    batches = max(1, len(x) // settings.batch_size)
    schedule = schedule_of(settings, optimizer, settings.epochs * batches)
    state = State(model, optimizer, schedule, {"order": order_rng, "augment": augment_rng}, digest(raw, y, x_held),
                  {"request": spec.request, "seed": spec.seed})
    return Training(train, test, network, preprocessing, x, y, raw, x_held, y_held, model, optimizer,
                    schedule, order_rng, augment_rng, settings, batches, state,
                    Parts(scored, model), cut or threads())


def elsewhere_of(settings: Settings, network: Network, shape: tuple[int, ...], seed: int) -> Gradients | None:
    """What computes the gradients, where that is not our engine."""
    if settings.engine != TORCH:
        return None
    from playground.training.scratch.torch_gradients import TorchGradients  # two seconds that only such a run needs

    return TorchGradients(network, shape, settings, seed)


def measured(spec: RunSpec, run_dir: Path, epochs: int, seconds: float) -> Finished:
    """The last word on a run that broke off: the weights it has kept, measured on the test pictures."""
    trained = load_trained(run_dir)
    _, test = named.load(spec.request["data"])
    _, confusion = evaluate(trained.model, trained.preprocessing.apply_all(test.images), test.labels,
                            len(trained.classes))
    return Finished("stopped", epochs, float(np.trace(confusion) / len(test)), len(test), seconds,
                    tuple(tuple(map(int, row)) for row in confusion), time.time())


def designed(request: Mapping[str, Any], train: ImageSet) -> Network:
    """The network that a request asks for, by a preset's name or a spelling, for the set's pictures.

    Raises PlaygroundError where it cannot be trained on them, with the sentence that says why.
    """
    shape, classes = shape_of(train), len(train.classes)
    network = presets.network_named(str(request.get("network", USUAL)), shape, classes)
    settings = Settings.from_request(request)
    batch = min(settings.batch_size, learnt(len(train), settings.train_pictures))
    stopping = [fault.sentence for fault in faults(network, shape, classes, batch=batch, memory=memory())
                if fault.level == STOP]
    if stopping:
        raise PlaygroundError(stopping[0])
    return network


def memory() -> int:
    """Bytes that a training may take: half of what the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def shape_of(images: ImageSet) -> tuple[int, int, int]:
    """The shape (C, H, W) in which a set's pictures go into a network."""
    height, width = images.images.shape[1:3]
    return (1 if images.images.ndim == 3 else 3, height, width)


def load_trained(run_dir: Path, weights_path: Path | None = None) -> TrainedNumpy:
    """The network that a run left in its folder, with its last weights or those of another file. Raises PlaygroundError
    when there is none."""
    try:
        weights = load_file(weights_path or run_dir / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        raise _no_network(run_dir) from error
    return trained_with(run_dir, weights)


def trained_with(run_dir: Path, weights: dict[str, np.ndarray]) -> TrainedNumpy:
    """The network that the description in a run's folder is of, with these weights. Raises PlaygroundError as
    `load_trained`."""
    try:
        data = read_json(run_dir / DESCRIPTION)
        # A damaged description may ask for a layer of any size: not of more numbers than there are weights.
        room = sum(array.size for array in weights.values())
        classes = tuple(map(str, data["classes"]))
        network, shape = _described(data, len(classes))
        walked = walk(network, shape)
        if walked.stopped or walked.parameters > room:
            raise ValueError("its description is of another network")
        if walked.gives != (len(classes),) and (walked.gives, len(classes)) != ((1,), 2):
            raise ValueError("it gives another number of scores than it names classes")
        scored = scoring(network, shape)
        model = build(scored, shape, np.random.default_rng(0))
        model.load_state_dict(weights)
        if (loss := data.get("loss", CROSS_ENTROPY)) not in LOSSES:  # older ones know of one only
            raise ValueError("its loss is none")
        found = TrainedNumpy(model, Preprocessing.from_dict(data["preprocessing"]), classes, network=scored, loss=loss)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, PlaygroundError) as error:
        raise _no_network(run_dir) from error
    if not all(np.isfinite(array).all() for array in weights.values()):
        raise PlaygroundError(f"The network in {run_dir} is damaged: not all of its weights are numbers.")
    model.eval()
    return found


def _no_network(run_dir: Path) -> PlaygroundError:
    return PlaygroundError(f"There is no trained network in {run_dir}, or it is damaged.")


def _described(data: Mapping[str, Any], classes: int) -> tuple[Network, tuple[int, ...]]:
    """The network and the shape of its pictures in a description. Older ones name layers, always of one kind of
    network."""
    said = data if "network" in data else {"network": USUAL, "input": data["architecture"]["input"]}
    shape = tuple(int(n) for n in said["input"])
    if len(shape) != 3 or min(shape) < 1 or max(shape) > LARGEST_SIDE:
        raise ValueError("its pictures have no shape")
    return presets.network_named(str(said["network"]), shape, classes), shape


def preprocessing_of(images: np.ndarray, normalize: bool = True) -> Preprocessing:
    """Pictures stay as large as they are; their levels get mean 0 and deviation 1 over the training pictures, or stay
    0..255."""
    gray = images.ndim == 3
    if not normalize:
        channels = 1 if gray else 3
        return Preprocessing(images.shape[1:3], gray, (0.0,) * channels, (1 / 255,) * channels)
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
    loss: str = CROSS_ENTROPY,
) -> None:
    data = {"network": spelled(network), "input": list(shape), "preprocessing": preprocessing.to_dict(),
            "classes": list(classes), "loss": loss}
    with whole(run_dir / DESCRIPTION) as incoming:
        incoming.write_text(json.dumps(data, ensure_ascii=False, indent=2), encoding="utf-8")


def _save(run_dir: Path, model: layers.Sequential, epoch: int) -> Saved:
    """Write the weights whole or not at all, and only then say so."""
    path = run_dir / WEIGHTS
    with whole(path) as incoming:
        save_file({name: np.asarray(array, order="C") for name, array in model.state_dict().items()}, incoming)
    return Saved(str(path), epoch, time.time())
