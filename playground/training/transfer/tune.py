"""Fine-tuning a pretrained network, and training a small one from random weights: one loop for both."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from playground.datasets.folders import PhotoFolder
from playground.errors import PlaygroundError
from playground.home import read_json, whole
from playground.training.runs.events import Batch, Epoch, Event, Finished, Saved, Stage, Started
from playground.training.runs.run_view import RunSpec
from playground.training.transfer import features as torch_features
from playground.training.transfer import head as torch_head
from playground.training.transfer import networks as torch_networks
from playground.training.transfer import photo_list
from playground.training.transfer.data import Data, Photographs
from playground.training.transfer.head import Split, accuracy
from playground.training.transfer.networks import Parts, channels_of, preprocessing_of
from playground.training.transfer.recipe import FROZEN, RECIPES, SCRATCH, Request
from playground.training.transfer.trainer import CHECKPOINT, WEIGHTS, Trainer
from playground.training.transfer.world import World

__all__ = ["CHECKPOINT", "DESCRIPTION", "WEIGHTS", "Trainer", "fit", "rebuilt"]

BATCH_PAUSE_SECONDS = 0.1
CHECKPOINT_SECONDS = 60.0
"""A long epoch is saved on its way, too."""
DESCRIPTION = "model.json"


def fit(spec: RunSpec, request: Request, found: PhotoFolder, digests: Mapping[Path, bytes], run_dir: Path,
        should_stop: Callable[[], bool], began: float) -> Iterator[Event]:
    """Train what `request` says on the photographs found; yields what happens.

    A run whose folder holds a checkpoint goes on from there, and on a CPU comes to the very weights it would have come
    to. A stop in the epochs keeps what was learnt; one before raises PlaygroundError.
    """
    world = World()
    if not world.same(photo_list.digest(found, digests)):
        raise PlaygroundError("The processes of this training do not see the same photographs: the folder has to be "
                              "the same, in the same place, on every machine.")
    if resumed := (run_dir / CHECKPOINT).is_file():
        demand_same_scaling(run_dir, request)
        photo_list.demand_same(run_dir, found, digests)
    elif world.rank == 0:
        photo_list.keep(run_dir, found, digests)
    photographs = Photographs.of(found, digests)
    torch.manual_seed(spec.seed)
    description = torch_networks.head_description(request, channels_of(request), len(found.classes))
    parts = torch_networks.take_apart(request, torch_networks.head_of(description))
    batches = math.ceil(photographs.training / request.batch_size)
    yield Started(
        kind=spec.kind, total_epochs=request.epochs, batches_per_epoch=batches, parameters=parts.trained,
        classes=found.classes, samples=folders_counts(found),
        device=torch.cuda.get_device_name(world.device) if world.device.type == "cuda" else "cpu", time=time.time())
    data = Data(request, photographs, parts, world)
    with world.first_alone():
        yield from data.prepare(should_stop)
    if world.any(should_stop()):
        raise PlaygroundError("Stopped before anything was learnt, so there is no model. What was read of the photos "
                              "is kept: the next training goes on from there.")
    trainer = Trainer(spec, request, parts, data, batches, world)
    if resumed:
        trainer.restore(run_dir)
    elif request.mode != SCRATCH and request.head_epochs:
        yield Stage("training the head first", 0, 1, time.time())
        start_head(trainer, description)
    if world.rank == 0:
        describe(run_dir, request, found, parts, description)
    yield from loop(trainer, run_dir, should_stop, began)


def start_head(trainer: Trainer, description: Mapping[str, Any]) -> None:
    """Train the head on what the network sees as it came, and put it in: fine-tuning begins where frozen ends.

    Every process does all of it, the same: where a picture stands in a mini-batch changes its features' last digits.
    """
    data, request = trainer.data, trainer.request
    trainer.tail.eval()
    plan, count = RECIPES[FROZEN], data.photographs.training
    with torch.no_grad():
        features = torch.cat([trainer.tail.features(x).float() for x, _ in data.plain(np.arange(count))])
    order = torch.Generator().manual_seed(trainer.spec.seed)
    with torch_features.one_core():
        split = Split(features, data.labels[:count])
        head = torch_head.head_for(split, description, plan["learning_rate"], plan["weight_decay"],
                                   request.head_epochs * math.ceil(count / plan["batch_size"]))
        for _ in range(request.head_epochs):
            for chosen in torch.split(torch.randperm(count, generator=order).to(trainer.device), plan["batch_size"]):
                head.step(chosen)
    trainer.tail.head.load_state_dict(head.module().state_dict())


def loop(trainer: Trainer, run_dir: Path, should_stop: Callable[[], bool], began: float) -> Iterator[Event]:
    """The epochs, from where the trainer stands, and the last word."""
    data, world, progress, request = trainer.data, trainer.world, trainer.progress, trainer.request
    began -= progress.seconds
    trainer.begin()
    yield from (Epoch(**one) for one in progress.history)
    stopped, told, saved = False, 0.0, time.perf_counter()
    while not progress.done and not stopped:
        start = time.perf_counter()
        trainer.tail.train()
        plans = trainer.plans()
        for plan, raw in zip(plans, data.raw([plan.fetched for plan in plans]), strict=True):
            stopped = progress.step > 0 and world.any(should_stop())
            if stopped:
                break
            learning_rate, before = trainer.learning_rate, trainer.sums
            if telling := time.perf_counter() - told >= BATCH_PAUSE_SECONDS:
                before = before.clone()
            yield from trainer.step(plan, raw)
            if telling:
                loss, right = ((trainer.sums - before) / max(1, len(plan.own))).tolist()
                told = time.perf_counter()
                yield Batch(progress.epoch + 1, progress.cursor, trainer.batches, loss, right, learning_rate,
                            time.time())
            now = time.perf_counter()
            if now - saved >= CHECKPOINT_SECONDS and progress.cursor < trainer.batches and world.rank == 0:
                trainer.save(run_dir, now - began)
                saved = now
        epoch = None if stopped else trainer.end_epoch(start)
        if world.rank == 0:
            save_weights(run_dir, trainer.chosen())
            if epoch is not None:
                trainer.save(run_dir, time.perf_counter() - began)
                saved = time.perf_counter()
        if epoch is not None:
            yield epoch
        yield Saved(str(run_dir / WEIGHTS), progress.epoch, time.time())

    trainer.tail.load_state_dict(trainer.chosen())
    if request.patience and progress.best_epoch:
        yield Stage(f"epoch {progress.best_epoch} of {progress.epoch} is kept, the best on validation: its accuracy is "
                    "a little flattered by that choice", 0, 1, time.time())
    _, confusion = trainer.measure(data.exact())
    count = sum(map(sum, confusion))  # less than were kept aside, or none, where photographs were removed meanwhile
    yield Finished("stopped" if stopped else "completed", progress.epoch, accuracy(confusion) if count else None,
                   count, time.perf_counter() - began, confusion if count else (), time.time(),
                   progress.best_epoch if request.patience and progress.best_epoch else None)


def demand_same_scaling(run_dir: Path, request: Request) -> None:
    """Raises PlaygroundError when a run began with another preprocessing than its network has now."""
    try:
        before = read_json(run_dir / DESCRIPTION)["preprocessing"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # it began, and was described nowhere: its checkpoint decides
    if before != preprocessing_of(request).to_dict():
        raise PlaygroundError("This training began when pictures were scaled otherwise for its network, so it cannot "
                              "go on. What it has learnt can be made a model as it is; or start a new training.")


def save_weights(run_dir: Path, weights: dict[str, Tensor]) -> None:
    """Write what is exported, whole or not at all."""
    with whole(run_dir / WEIGHTS) as incoming:
        save_file(weights, incoming)


def describe(run_dir: Path, request: Request, found: PhotoFolder, parts: Parts, head: Mapping[str, Any]) -> None:
    """Write what goes around the weights: enough to build the network again."""
    description = {
        "mode": request.mode, "backbone": request.backbone, "classes": list(found.classes), "head": head,
        "blocks": request.blocks, "preprocessing": preprocessing_of(request).to_dict(),
        "parameters": {"trained": parts.trained, "total": parts.total},
        "chosen": "best on validation" if request.patience else "last epoch",
        "left_out": [[str(path), why] for path, why in found.unreadable],
    }
    with whole(run_dir / DESCRIPTION) as incoming:
        incoming.write_text(json.dumps(description, ensure_ascii=False, indent=2), encoding="utf-8")


def rebuilt(description: Mapping[str, Any], weights: Path) -> nn.Module:
    """The trained network, on the CPU, in eval mode. Raises OSError, ValueError or SafetensorError when damaged."""
    request = Request(data="", mode=description["mode"], backbone=description["backbone"], blocks=description["blocks"])
    parts = torch_networks.take_apart(request, torch_networks.head_of(description["head"]), weights=False)
    parts.tail.load_state_dict(load_file(weights))
    network: nn.Module = parts.network.requires_grad_(False).eval()
    return network


def folders_counts(found: PhotoFolder) -> dict[str, int]:
    """How many pictures there are of what, for the record."""
    counted = {"train": len(found.train), "validation": len(found.validation)}
    return counted | ({"left out": len(found.unreadable)} if found.unreadable else {})
