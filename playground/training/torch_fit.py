"""Transfer learning in PyTorch, in three modes on the same photographs.

    frozen      a pretrained backbone sees every photograph once, only a new head is trained, in seconds
    fine-tune   after that, the backbone's last parts learn too, the earlier the slower
    scratch     a small network from random weights, to see what the pretrained one is worth
"""

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from playground.datasets import folders
from playground.datasets.augmentation import Augmentation
from playground.datasets.folders import PhotoFolder
from playground.datasets.photos import why_unreadable
from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError
from playground.home import data_dir
from playground.training import backbones, pixels, torch_features
from playground.training.events import Batch, Epoch, Event, Finished, Saved, Stage, Started
from playground.training.features import FeatureStore, content_digest
from playground.training.runs import RunSpec
from playground.training.torch_augment import augmented, mixed
from playground.training.torch_head import Head, Split, accuracy, measure
from playground.training.torch_loop import Learnt, Lesson, Recipe
from playground.training.torch_loop import train as train_loop
from playground.training.torch_networks import (
    ACTIVATIONS,
    HEADS,
    SMALL_CHANNELS,
    SmallCNN,
    classifier,
    thaw,
)

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = {"frozen": "head.safetensors", "fine-tune": "network.safetensors", "scratch": "network.safetensors"}
BATCH_PAUSE_SECONDS = 0.1  # between two Batch events: a log a person watches, not one line for every millisecond


@dataclass(frozen=True)
class Request:
    """What may be asked of a transfer run. The defaults of the frozen mode were chosen by cross-validation on training
    photographs; `MODES` has those that differ from mode to mode.

    `image_size` 0 is the backbone's own; `parts` are those of the backbone that are fine-tuned, counted from the end;
    each learns `decay` times as fast as the next. `augment` is an Augmentation as plain numbers. `warm_up` is a share
    of the steps; `ema` and `patience` as in `torch_loop.Recipe`.
    """

    data: str
    mode: str = "frozen"
    backbone: str = "efficientnet_lite0"
    image_size: int = 0
    parts: int = 3
    head: str = "linear"
    hidden: int = 256
    dropout: float = 0.2
    activation: str = "relu"
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    decay: float = 0.7
    warm_up: float = 0.1
    label_smoothing: float = 0.0
    ema: float = 0.0
    patience: int = 0
    compiled: bool = False
    augment: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: RunSpec) -> "Request":
        """The request of a run. Raises PlaygroundError naming what is missing, unknown or out of range."""
        unknown = sorted(set(spec.request) - set(cls.__dataclass_fields__))
        if unknown or "data" not in spec.request:
            raise PlaygroundError(f"A transfer run does not know {unknown[0]!r}." if unknown else
                                  "A transfer run needs photographs: a folder, or faces.")
        request = cls(**{**MODES.get(spec.request.get("mode", "frozen"), {}), **spec.request})
        for name, known in (("mode", tuple(MODES)), ("head", HEADS), ("activation", tuple(ACTIVATIONS))):
            if getattr(request, name) not in known:
                raise PlaygroundError(f"There is no {name} {getattr(request, name)!r}: choose {', '.join(known)}.")
        backbones.find(request.backbone)
        for name, (least, most) in LIMITS.items():
            value = getattr(request, name)
            whole = isinstance(least, int)
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) \
                    or not least <= value <= most:
                raise PlaygroundError(f"{name.replace('_', ' ').capitalize()} cannot be {value!r}.")
        own_size = backbones.find(request.backbone).image_size
        if request.mode == "frozen" and request.image_size not in (0, own_size):
            raise PlaygroundError(f"Frozen features are computed at the backbone's own size, {own_size} pixels: leave "
                                  "the size out, or choose another mode.")
        if Augmentation.from_dict(request.augment).active and request.mode == "frozen":
            raise PlaygroundError("Frozen features are computed once for each photo, so nothing can be augmented: "
                                  "choose fine-tune or scratch, or leave the augmentation out.")
        return request

    @property
    def side(self) -> int:
        """Rows and columns of the pictures the network sees."""
        return self.image_size or (SMALL_SIDE if self.mode == "scratch" else backbones.find(self.backbone).image_size)

    def recipe(self) -> Recipe:
        """What the training loop wants to know of it."""
        return Recipe(self.epochs, self.batch_size, self.weight_decay, self.warm_up, self.label_smoothing, self.ema,
                      self.patience, self.compiled)


MODES: dict[str, dict[str, Any]] = {
    "frozen": {},
    "fine-tune": {"epochs": 4, "learning_rate": 3e-4, "label_smoothing": 0.05},
    "scratch": {"epochs": 20, "learning_rate": 2e-3, "label_smoothing": 0.05},
}
LIMITS: dict[str, tuple[float, float]] = {
    "image_size": (0, 512), "parts": (0, 100), "hidden": (1, 8192), "dropout": (0.0, 0.95), "epochs": (1, 10**6),
    "batch_size": (1, 10**6), "learning_rate": (0.0, 1e6), "weight_decay": (0.0, 1e6), "decay": (0.01, 1.0),
    "warm_up": (0.0, 1.0), "label_smoothing": (0.0, 0.9), "ema": (0.0, 0.9999), "patience": (0, 10**6),
}
SMALL_SIDE = 96
HEAD_EPOCHS = 20  # of the head alone, before the backbone learns too


@dataclass(frozen=True)
class TrainedTorch:
    """A trained network: module maps float32 (N, 3, S, S) to logits (N, classes)."""

    module: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...]


def fit(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Train as asked, and yield what happens.

    Frozen: each picture goes through the backbone once, ever; its features are kept by content (training/features.py).
    A linear head is multinomial logistic regression by AdamW with a cosine schedule, from zero weights, on standardised
    features; the standardisation is folded into it afterwards. Fine-tune begins with that head, so it begins where
    frozen ends. Pictures that are seen often are decoded once (training/pixels.py). The last epoch's weights are kept,
    unless `patience` asks for the best: then the validation pictures choose, and the run says so. A stop in the
    epochs keeps what was learnt; one before them raises PlaygroundError, as do data that cannot be trained on. A run
    that was killed goes on from its checkpoint.
    """
    began = time.perf_counter()
    request = Request.of(spec)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    yield Stage("looking at the photos", 0, 1, time.time())
    store = torch_features.store_of(request.backbone)
    found, digests = look(spec, store)
    classes = len(found.classes)
    classifier(1, classes, request.head)  # a head that does not fit is refused before anything is computed
    yield Started(
        kind=spec.kind, total_epochs=request.epochs, batches_per_epoch=math.ceil(len(found.train) / request.batch_size),
        parameters=trained_parameters(request, classes), classes=found.classes, samples=counts(found),
        device=torch.cuda.get_device_name() if device.type == "cuda" else "cpu", time=time.time())
    if found.unreadable:
        yield Stage(left_out(found), 0, 1, time.time())
    if request.mode == "scratch":
        yield from pictures_learnt(spec, request, found, digests, small(request, classes, spec.seed), device, run_dir,
                                   should_stop, began)
        return

    resumed = request.mode == "fine-tune" and (run_dir / CHECKPOINT).exists()
    if not resumed:
        yield from features_of(found, digests, request, store, device, should_stop)
    train, validation = (
        Split(torch.from_numpy(store.take([digests[path] for path, _ in half])).to(device),
              torch.tensor([label for _, label in half], device=device))
        for half in (found.train, found.validation)) if not resumed else (None, None)
    if request.mode == "frozen" and request.head != "hidden":
        assert train is not None
        assert validation is not None
        steps = request.epochs * math.ceil(len(found.train) / request.batch_size)
        with torch_features.one_core():  # the steps are tiny: cores that wait for each other would only slow them down
            head = Head(train, classes, request.learning_rate, request.weight_decay, steps)
            yield from epochs(spec, request, found, head, validation, run_dir, should_stop, began)
        return

    top = classifier(backbones.HEAD_CHANNELS, classes, request.head, request.hidden, request.dropout,
                     request.activation).to(device)
    if train is not None and validation is not None:
        ahead = request if request.mode == "frozen" else replace(request, epochs=HEAD_EPOCHS, learning_rate=1e-3,
                                                                 ema=0.0, patience=0, label_smoothing=0.0)
        with torch_features.one_core():
            if request.head == "hidden":
                lesson = on_features(top, train, validation, classes, ahead, spec.seed)
                events = train_loop(lesson, ahead.recipe(), spec.seed, should_stop, None, None)
                if request.mode == "frozen":
                    yield from told(events, request, found, lambda state: save(run_dir, request, found, state),
                                    run_dir, began)
                    return
                for _ in events:
                    pass
            else:
                head = Head(train, classes, 1e-3, request.weight_decay, HEAD_EPOCHS * math.ceil(
                    len(train.labels) / request.batch_size))
                learn(head, HEAD_EPOCHS, request.batch_size, spec.seed)
                top.load_state_dict(of_head(head, request.head))
    if should_stop():
        raise PlaygroundError("Stopped before the backbone learnt anything, so there is no model. The features are "
                              "kept: the next training goes on from there.")
    network = backbones.pretrained(request.backbone)
    network.classifier, network.dropout = top, nn.Dropout(request.dropout)
    yield from pictures_learnt(spec, request, found, digests, network, device, run_dir, should_stop, began)


def features_of(found: PhotoFolder, digests: Mapping[Path, bytes], request: Request, store: FeatureStore,
                device: torch.device, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """See to it that the features of all pictures are known. Raises PlaygroundError after a stop."""
    pictures = {digests[path]: path for path, _ in (*found.train, *found.validation)}
    missing = [(digest, path) for digest, path in pictures.items() if digest not in store]
    done = len(pictures) - len(missing)
    if missing:
        yield Stage("computing features", done, len(pictures), time.time())
        for more in torch_features.compute(request.backbone, missing, store, device, should_stop):
            done += more
            yield Stage("computing features", done, len(pictures), time.time())
    if should_stop():
        raise PlaygroundError(f"Stopped before anything was learnt, so there is no model. The features of {done:,} of "
                              f"{len(pictures):,} photos are kept: the next training goes on from there.")


def on_features(top: nn.Module, train: Split, validation: Split, classes: int, request: Request, seed: int) -> Lesson:
    """A head of several layers, learning on features as they come; its first layer begins and learns as if they had
    been divided by their spread, which is small."""
    torch.manual_seed(seed)
    for layer in top.modules():
        if isinstance(layer, nn.Linear):
            layer.reset_parameters()
    targets = torch.eye(classes, device=train.labels.device)[train.labels]
    spread = train.features.std().clamp_min(1e-6)
    first = next(layer for layer in top.modules() if isinstance(layer, nn.Linear))
    with torch.no_grad():
        first.weight /= spread
    rates: list[tuple[list[Tensor], float]] = [
        ([first.weight], request.learning_rate / float(spread)),
        ([p for p in top.parameters() if p is not first.weight], request.learning_rate)]
    return Lesson(top, rates, lambda rows, own, rng: (train.features[rows[own]], targets[rows[own]]),
                  lambda rows: validation.features[rows], len(targets), validation.labels)


def small(request: Request, classes: int, seed: int) -> SmallCNN:
    """A small network with random weights drawn from the seed."""
    torch.manual_seed(seed)
    return SmallCNN(classifier(SMALL_CHANNELS[-1], classes, request.head, request.hidden, request.dropout,
                               request.activation), request.dropout)


def pictures_learnt(spec: RunSpec, request: Request, found: PhotoFolder, digests: Mapping[Path, bytes],
                    network: nn.Module, device: torch.device, run_dir: Path, should_stop: Callable[[], bool],
                    began: float) -> Iterator[Event]:
    """Train on the pictures themselves: decoded once, augmented and mixed on the device."""
    pictures = [(digests[path], path) for path, _ in (*found.train, *found.validation)]
    array: np.ndarray | None = None
    for more in pixels.cached(pictures, request.side, torch_features.threads(), should_stop):
        if isinstance(more, np.ndarray):
            array = more
        else:
            yield Stage("decoding photos", more, len(pictures), time.time())
    if array is None:
        raise PlaygroundError("Stopped before anything was learnt, so there is no model.")
    count, classes = len(found.train), len(found.classes)
    images = Pictures(array, device)
    labels = torch.tensor([label for _, label in (*found.train, *found.validation)], device=device)
    targets = torch.eye(classes, device=device)[labels[:count]]
    pipeline = Augmentation.from_dict(request.augment)

    def batch(rows: Tensor, own: slice, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        drawn = [pipeline.sample((request.side, request.side, 3), rng) for _ in rows] if pipeline.active else []
        if pipeline.mixup or pipeline.cutmix:  # a partner may be another process's
            x, wanted = mixed(augmented(images.take(rows), drawn), targets[rows], pipeline, rng)
            return normalised(x[own]), wanted[own]
        raw = images.take(rows[own])
        return normalised(augmented(raw, drawn[own]) if drawn else raw.float()), targets[rows[own]]

    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if isinstance(network, backbones.EfficientNetLite):
        groups = thaw(network, request.parts, request.learning_rate, request.decay)
    else:
        groups = [(list(network.parameters()), request.learning_rate)]
    lesson = Lesson(network, groups, batch,
                    lambda rows: normalised(images.take(torch.arange(count, len(array))[rows]).float()),
                    count, labels[count:], still=request.mode == "fine-tune")
    yield from told(train_loop(lesson, request.recipe(), spec.seed, should_stop, run_dir / CHECKPOINT,
                               lambda state: keep(run_dir, request, found, state)),
                    request, found, lambda state: save(run_dir, request, found, state), run_dir, began)


class Pictures:
    """uint8 pictures (N, S, S, 3) on the disk, handed out as (n, 3, S, S) on the device.

    On a GPU all of them live in its memory where they take less than a quarter of what is free.
    """

    def __init__(self, array: np.ndarray, device: torch.device):
        self.array, self.device = array, device
        self.all: Tensor | None = None
        if device.type == "cuda" and array.nbytes < torch.cuda.mem_get_info(device)[0] / 4:
            self.all = torch.from_numpy(np.array(array)).to(device)

    def take(self, rows: Tensor) -> Tensor:
        """The pictures with these indices."""
        if self.all is not None:
            return self.all[rows.to(self.device)].permute(0, 3, 1, 2)
        some = torch.from_numpy(self.array[rows.numpy()])
        if self.device.type == "cuda":
            some = some.pin_memory().to(self.device, non_blocking=True)
        return some.permute(0, 3, 1, 2)


def normalised(levels: Tensor) -> Tensor:
    """Levels 0..255 (N, 3, S, S) as the backbones learnt to see them."""
    mean, std = (torch.tensor(v, device=levels.device)[:, None, None] for v in (backbones.MEAN, backbones.STD))
    return ((levels / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


def keep(run_dir: Path, request: Request, found: PhotoFolder, state: Mapping[str, Tensor]) -> Iterator[Event]:
    """Save the weights after an epoch, and say so."""
    yield Saved(str(save(run_dir, request, found, state)), 0, time.time())


def told(events: Iterator[Event | Learnt], request: Request, found: PhotoFolder,
         last: Callable[[Mapping[str, Tensor]], Path], run_dir: Path, began: float) -> Iterator[Event]:
    """The loop's events, and at its end the model saved and the last word."""
    epoch = 0
    for event in events:
        if isinstance(event, Epoch):
            epoch = event.epoch
        if isinstance(event, Saved):
            event = replace(event, epoch=epoch)
        if not isinstance(event, Learnt):
            yield event
            continue
        yield Saved(str(last(event.state)), event.epoch, time.time())
        yield Finished("stopped" if event.stopped else "completed", event.epochs, accuracy(event.confusion),
                       len(found.validation), time.perf_counter() - began, event.confusion, time.time(),
                       event.epoch if event.chosen else None)
        (run_dir / CHECKPOINT).unlink(missing_ok=True)


def trained_parameters(request: Request, classes: int) -> int:
    """How many numbers a run changes."""
    with torch.device("meta"):
        if request.mode == "scratch":
            return sum(p.numel() for p in small(request, classes, 0).parameters())
        row = backbones.find(request.backbone)
        network = backbones.EfficientNetLite(row.width, row.depth, row.dropout)
        network.classifier = classifier(backbones.HEAD_CHANNELS, classes, request.head, request.hidden, request.dropout,
                                        request.activation)
        groups = thaw(network, request.parts if request.mode == "fine-tune" else 0, 1.0, 1.0)
        return sum(p.numel() for parameters, _ in groups for p in parameters)


def photo_folder(spec: RunSpec) -> PhotoFolder:
    """The photographs of a run, divided as the run divides them. Raises PlaygroundError when they cannot be used."""
    return look(spec, torch_features.store_of(Request.of(spec).backbone))[0]


def look(spec: RunSpec, store: FeatureStore) -> tuple[PhotoFolder, dict[Path, bytes]]:
    """What is in the run's folder, and every file's digest. One whose features are known is not decoded again."""
    digests: dict[Path, bytes] = {}

    def reason(path: Path) -> str | None:
        try:
            digests[path] = content_digest(path)
        except OSError as error:
            return f"{path.name} cannot be read: {error.strerror}."
        return None if digests[path] in store else why_unreadable(path)

    data = spec.request["data"]
    folder = folders.write_faces(data_dir() / "faces") if data == "faces" else Path(data).expanduser()
    return folders.scan(folder, spec.seed, reason), digests


def learn(head: Head, count: int, batch_size: int, seed: int) -> None:
    """So many epochs of mini-batches in an order drawn from the seed."""
    order = torch.Generator().manual_seed(seed)
    for _ in range(count):
        for rows in torch.split(torch.randperm(len(head.labels), generator=order), batch_size):
            head.step(rows.to(head.inputs.device))


def epochs(spec: RunSpec, request: Request, found: PhotoFolder, head: Head, validation: Split, run_dir: Path,
           should_stop: Callable[[], bool], began: float) -> Iterator[Event]:
    """The epochs of a linear head: the weights saved after each and after a stop."""
    device, count = head.inputs.device, len(head.labels)
    order = torch.Generator().manual_seed(spec.seed)  # on the CPU: the same order on every device
    steps, whole, stopped, told = 0, 0, False, 0.0
    best: tuple[float, int, dict[str, Tensor]] | None = None
    while whole < request.epochs and not stopped and not (
            request.patience and best and whole - best[1] >= request.patience):
        epoch, start = whole + 1, time.perf_counter()
        loss_sum, right_sum = torch.zeros(2, device=device)
        parts = torch.randperm(count, generator=order).to(device).split(request.batch_size)  # type: ignore[no-untyped-call]
        for batch, rows in enumerate(parts, start=1):
            stopped = steps > 0 and should_stop()
            if stopped:
                break
            rate = head.learning_rate
            loss, right = head.step(rows)
            loss_sum, right_sum, steps = loss_sum + loss * len(rows), right_sum + right, steps + 1
            if time.perf_counter() - told >= BATCH_PAUSE_SECONDS:
                told = time.perf_counter()
                yield Batch(epoch, batch, len(parts), loss.item(), right.item() / len(rows), rate, time.time())
        state = of_head(head, request.head)
        if not stopped:
            whole = epoch
            validation_loss, confusion = measure(head.linear(), validation)
            if not math.isfinite(validation_loss):
                raise PlaygroundError("The loss is not a number any more: a smaller learning rate would help.")
            if best is None or validation_loss < best[0]:
                best = validation_loss, epoch, state
            yield Epoch(epoch, loss_sum.item() / count, right_sum.item() / count, validation_loss, accuracy(confusion),
                        time.perf_counter() - start, time.time())
        if request.patience and best:
            state = best[2]
        yield Saved(str(save(run_dir, request, found, state)), whole, time.time())

    chosen = best if request.patience else None
    linear = head.linear() if chosen is None else two_rows(chosen[2])
    _, confusion = measure(linear, validation)
    yield Finished("stopped" if stopped else "completed", whole, accuracy(confusion), len(validation.labels),
                   time.perf_counter() - began, confusion, time.time(), chosen[1] if chosen else None)


def of_head(head: Head, kind: str) -> dict[str, Tensor]:
    """A linear head's weights; for "sigmoid" those of the one score whose sigmoid is the second class's softmax."""
    weight, bias = head.linear()
    if kind == "sigmoid":
        weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
    return {"weight": weight.detach().cpu().contiguous(), "bias": bias.detach().cpu().contiguous()}


def two_rows(state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Weight and bias of a linear head, one row a class, whichever way they were saved."""
    weight, bias = state["weight"], state["bias"]
    if len(bias) == 1:
        weight, bias = torch.cat((torch.zeros_like(weight), weight)), torch.cat((torch.zeros_like(bias), bias))
    return weight, bias


def save(run_dir: Path, request: Request, found: PhotoFolder, state: Mapping[str, Tensor]) -> Path:
    """Write the weights and what goes around them, each whole or not at all."""
    preprocessing = Preprocessing((request.side, request.side), gray=False, mean=backbones.MEAN, std=backbones.STD)
    description = {"mode": request.mode, "backbone": request.backbone, "head": request.head, "hidden": request.hidden,
                   "dropout": request.dropout, "activation": request.activation, "classes": list(found.classes),
                   "preprocessing": preprocessing.to_dict(),
                   "left_out": [[str(path), why] for path, why in found.unreadable]}
    incoming = run_dir / "model.json.incoming"
    incoming.write_text(json.dumps(description, ensure_ascii=False, indent=2), encoding="utf-8")
    os.replace(incoming, run_dir / "model.json")
    path = run_dir / WEIGHTS[request.mode]
    incoming = path.with_suffix(".safetensors.incoming")
    save_file({name: value.detach().cpu().contiguous() for name, value in state.items()}, incoming)
    os.replace(incoming, path)
    return path


def load_trained(run_dir: Path) -> TrainedTorch:
    """What a run has learnt, on the CPU, in eval mode. Raises PlaygroundError when it has not learnt anything (yet)."""
    try:
        described: dict[str, Any] = json.loads((run_dir / "model.json").read_text(encoding="utf-8"))
        mode = described.get("mode", "frozen")
        weights = load_file(run_dir / WEIGHTS[mode])
    except (OSError, ValueError) as error:
        raise PlaygroundError(f"The run {run_dir.name} has not kept a model.") from error
    request = Request(data="", **{name: described[name] for name in ("mode", "head", "hidden", "dropout", "activation")
                                  if name in described})
    classes = len(described["classes"])
    network: nn.Module
    if mode == "scratch":
        network = small(request, classes, 0)
        network.load_state_dict(weights)
    else:
        network = backbones.pretrained(described["backbone"])
        network.classifier = classifier(backbones.HEAD_CHANNELS, classes, request.head, request.hidden, request.dropout,
                                        request.activation)
        (network.classifier if mode == "frozen" else network).load_state_dict(weights)
    return TrainedTorch(network.eval(), Preprocessing.from_dict(described["preprocessing"]),
                        tuple(described["classes"]))


def counts(found: PhotoFolder) -> dict[str, int]:
    """How many pictures there are of what, for the record."""
    counted = {"train": len(found.train), "validation": len(found.validation)}
    return counted | ({"left out": len(found.unreadable)} if found.unreadable else {})


def left_out(found: PhotoFolder, most: int = 5) -> str:
    """Which files were left out and why, in one line."""
    reasons = "; ".join(why.rstrip(".") for _, why in found.unreadable[:most])
    more = len(found.unreadable) - most
    number = "1 file was" if len(found.unreadable) == 1 else f"{len(found.unreadable)} files were"
    return f"{number} left out: {reasons}" + (f"; and {more} more" if more > 0 else "")
