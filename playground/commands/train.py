"""Commands that train. A run started here is the same run the app would start: it shows up there."""

import argparse
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground import model_names
from playground.commands.output import Telling, print_json, printable
from playground.errors import PlaygroundError
from playground.numbers import counted, number, percent

if TYPE_CHECKING:
    from playground.datasets.named import ImageSet
    from playground.network.faults import Fault
    from playground.network.parts import Network

POLL_SECONDS = 0.1


SETTINGS = ("batch_size", "learning_rate", "optimizer", "schedule", "loss", "weight_decay", "label_smoothing",
            "clip_norm", "init", "weights_gain", "first_bias", "normalize", "train_pictures", "early_stopping",
            "engine")


def train(options: argparse.Namespace) -> int:
    """Train from scratch."""
    from playground.training.scratch.settings import Settings, with_preset

    said = {name: getattr(options, name) for name in ("network", *SETTINGS)}
    request = with_preset({"epochs": options.epochs} | {name: one for name, one in said.items() if one is not None}
                          | ({"augment": dict(options.augment)} if options.augment else {}))
    Settings.from_request(request)  # a wrong value is refused before there is a run
    data = options.data
    if data != "digits" or options.network:
        from playground.datasets import named
        from playground.datasets.small_photos import named_photos, photos_named
        from playground.training.scratch import numpy_fit

        train, _ = named.load(data)  # so is a folder that is no data set
        for remark in train.remarks:
            Telling().line(printable(remark))
        if (photos := photos_named(data)) is not None:
            data = named_photos(photos[0].resolve(), photos[1])
        elif data != "digits":
            data = str(Path(data).expanduser().resolve())
        network = numpy_fit.designed(request, train)  # and a network that does not fit
        for fault in _minutes(network, request, train):
            Telling().line(fault.sentence)
    return follow(options, "digits", {"data": data, **request})


def _minutes(network: "Network", request: Mapping[str, Any], train: "ImageSet") -> "tuple[Fault, ...]":
    """What is to be said, as in the designer, of a network of which an epoch takes minutes here."""
    from playground.network.slowness import slow
    from playground.training.scratch import numpy_fit, timing

    takes, costs = numpy_fit.shape_of(train), {name: request[name] for name in timing.COSTS if name in request}
    return slow(network, takes, timing.seconds_an_epoch(network, takes, len(train.classes), len(train), costs))


def transfer(options: argparse.Namespace) -> int:
    """Retrain on photographs."""
    data = options.data
    if data != "faces":
        folder = Path(data).expanduser().resolve()
        if not folder.is_dir():
            raise PlaygroundError(f"There is no folder {data}: name one with a folder of photographs for each class.")
        data = str(folder)
    from playground.training.transfer.recipe import RECIPES, SCRATCH, Request

    request = {"data": data, "mode": options.mode,
               "epochs": RECIPES[options.mode]["epochs"] if options.epochs is None else options.epochs}
    if options.mode != SCRATCH:
        request["backbone"] = backbone_of(options)
    chosen = {"head": options.head, "blocks": options.blocks, "image_size": options.image_size,
              "batch_size": options.batch_size, "learning_rate": options.learning_rate, "patience": options.patience,
              "augment": dict(options.augment or ())}
    request |= {key: value for key, value in chosen.items() if value}
    Request.of(request)  # what cannot be done is refused before there is a run
    return follow(options, "transfer", request)


def backbone_of(options: argparse.Namespace) -> str:
    """The backbone's name; of an ONNX file, once it is taken without its last layer."""
    if not options.backbone.endswith(".onnx"):
        return str(options.backbone)
    from dataclasses import replace

    from playground import adopting
    from playground.inspection import bounded
    from playground.inspection.preparation import Preparation, scaled

    path = Path(options.backbone).expanduser()
    if not path.is_file():
        raise PlaygroundError(f"There is no file {options.backbone}.")
    said = bounded.ask("report", path)
    if said["preparation"] is None:
        raise PlaygroundError(said["pictures"])
    guessed = Preparation.from_dict(said["preparation"])
    if options.levels:
        guessed = replace(guessed, preprocessing=scaled(guessed.preprocessing, LEVELS[options.levels]))
    if options.order:
        guessed = replace(guessed, order=options.order)
    return adopting.adopt(path, path.stem, guessed)


LEVELS = {"0to1": "0 to 1", "signed": "−1 to 1", "0to255": "0 to 255", "imagenet": "ImageNet's mean and deviation"}
"""What the levels of a picture may become for an ONNX file, as an option says it."""


def resume(options: argparse.Namespace) -> int:
    """Let a run that died or failed go on, and follow it."""
    from playground.datasets import named
    from playground.training.runs import runs

    log = runs.run_dir(options.run) / "events.jsonl"
    told = log.stat().st_size if log.exists() else 0
    (runs.finish if options.finish else runs.resume)(options.run, options.name)
    spec = runs.read_spec(runs.run_dir(options.run))
    if spec.kind == "digits":  # of other kinds they are said as the training starts again
        with contextlib.suppress(PlaygroundError):  # what cannot be read is told by the run itself
            for remark in named.load(spec.request["data"])[0].remarks:
                Telling().line(printable(remark))
    return follow_run(options, options.run, told)


def follow(options: argparse.Namespace, kind: str, request: dict[str, Any]) -> int:
    """Start a run, tell of its progress until it has ended, and give its result."""
    from playground.deploy import registry
    from playground.training.runs import runs

    registry.check_name(options.name)
    if not options.replace:
        try:
            registry.check_free(options.name)
        except PlaygroundError as error:
            if model_names.given(options.name):
                raise
            raise PlaygroundError(f"{str(error).rstrip('.')}, or allow it with --replace.") from error
    return follow_run(options, runs.start(runs.RunSpec(kind, request, options.seed, options.name, options.replace)))


def follow_run(options: argparse.Namespace, run_id: str, offset: int = 0) -> int:
    """Tell of a run's progress, from that place of its log on, until it has ended, and give its result."""
    from playground.training.runs import runs
    from playground.training.runs.log import read
    from playground.training.transfer import photo_list

    folder = runs.run_dir(run_id)
    told = Telling()
    told.line(f"run {run_id} (the app shows it too; Ctrl-C stops it and keeps what was learnt)")
    while True:
        try:
            alive = runs.is_alive(folder)
            events, offset = read(folder / "events.jsonl", offset)
            for event in events:
                told.event(event)
                if type(event).__name__ == "Started":
                    for remark in photo_list.remarks(folder):
                        told.line(printable(remark))
            if not alive and not events:
                break
            time.sleep(POLL_SECONDS)
        except KeyboardInterrupt:
            if (folder / "stop").exists():
                raise PlaygroundError(f"Left; the run {run_id} ends by itself.") from None
            runs.stop(run_id)
            told.line("stopping, then exporting what was learnt")
    told.end()

    view = runs.view(run_id)
    if view.state == "stopped" and view.started is None:
        raise PlaygroundError(f"The run {run_id} was stopped before it began.")
    goes_on = f" It can go on: python -m playground resume {run_id}"
    if view.can_be_finished:
        goes_on = (f" What was learnt is kept: python -m playground resume {run_id} --finish makes a model of it, and "
                   "--name calls it otherwise.")
    if view.failed is not None:
        raise PlaygroundError(f"{view.failed.message}{goes_on if view.can_be_finished else ''}")
    if view.finished is None or view.exported is None:
        raise PlaygroundError(f"The run {run_id} ended without a last word: it was killed, or the machine ran out of "
                              f"memory.{goes_on}")
    finished, exported = view.finished, view.exported
    kind = view.spec.kind
    split = "test" if kind == "digits" else "validation"
    if options.json:
        result = {"name": exported.name, "run": run_id, "model": exported.path, "reason": finished.reason,
                  "epochs": finished.epochs, "seconds": view.seconds}
        if kind == "digits":
            result["validation_accuracy"] = view.epochs[-1].validation_accuracy if view.epochs else None
        result |= {f"{split}_accuracy": finished.test_accuracy, f"{split}_count": finished.test_count,
                   "max_difference": exported.max_difference, "compared": exported.samples}
        print_json(result)
        return 0
    right = "" if finished.test_accuracy is None else \
        f"{percent(finished.test_accuracy)} of {counted(finished.test_count, f'{split} picture')} right "
    print(f"{exported.name}: {right}after {counted(finished.epochs, 'epoch')} in {view.seconds:.0f} s; onnxruntime "
          f"gives the trainer's answers to {number(exported.max_difference, 1)} on "
          f"{counted(exported.samples, 'picture')}.\n{exported.path}")
    return 0
