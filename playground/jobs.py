"""Where training meets export, without a browser: `python -m playground.jobs RUN_DIR` is the worker of a run."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from playground import home, model_names
from playground.datasets import named, provenance, samples
from playground.datasets.small_photos import photos_named
from playground.errors import PlaygroundError
from playground.training.runs import class_runs, runs, turns, worker
from playground.training.runs.events import Event, Exported, Finished, Stage, Started
from playground.training.runs.log import read
from playground.training.runs.runs import DOWNLOAD, EXPERIMENT, PRETRAINED, WITHOUT_MODEL, RunSpec
from playground.training.transfer import imported

COMPARED = 32
"""How many of the data's own pictures the exported file is compared on, beside the built-in photos."""


def events(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Everything that happens in a run: the trainer's events, then the export to the registry.

    A name that is taken is refused before anything is trained, unless it is this very run's model: then the run was
    killed after its export, and goes on to its end. An export that is refused because onnxruntime disagrees raises,
    which ends the run as failed; the trained weights stay in the run's folder, and `runs.finish` lets them be exported
    without training again.
    """
    if spec.kind in WITHOUT_MODEL:
        yield from trainer_of(spec.kind).fit(spec, run_dir, should_stop)
        return
    from playground.deploy import export, registry  # here, so that a run whose data are wrong says so at once

    registry.check_name(spec.name)
    if not (spec.replace or is_of(spec.name, run_dir)):
        registry.check_free(spec.name)
    trainer = trainer_of(spec.kind)
    before = runs.fold(run_dir.name, spec, read(run_dir / "events.jsonl")[0], True, False)
    started, finished = (before.started, before.finished) if before.finishing else (None, None)
    if before.finishing and started is not None and finished is None:
        yield Stage("measuring what was learnt before it broke off", 0, 1, time.time())
        epochs = before.saved.epoch if before.saved is not None else 0
        finished = trainer.measured(spec, run_dir, epochs, before.seconds)
        yield finished
    for event in () if before.finishing else trainer.fit(spec, run_dir, should_stop):
        started = event if isinstance(event, Started) else started
        finished = event if isinstance(event, Finished) else finished
        yield event
    if started is None or finished is None:
        raise RuntimeError(f"the trainer of {spec.kind} did not say that it started, or that it finished")

    yield Stage("exporting, and comparing onnxruntime's answers with the trainer's", 0, 1, time.time())
    pictures = own_pictures(spec, run_dir)
    told = facts(spec, started, finished)
    told["training"]["run"] = run_dir.name
    try:
        entry = export.export_run(trainer.load_trained(run_dir), spec.name, told, pictures,
                                  replace=spec.replace or is_of(spec.name, run_dir),
                                  created=datetime.fromtimestamp(finished.time, UTC))
    except PlaygroundError as error:
        raise PlaygroundError(f"{error} The trained weights are kept in {run_dir}.") from error
    parity = entry.card["parity"]
    if spec.kind == "transfer":
        yield from asked(spec, run_dir, entry.onnx)
    yield Exported(entry.name, str(entry.onnx), float(parity["max_difference"]), int(parity["samples"]), time.time())


def put(spec: RunSpec, run_dir: Path, model: bytes, card: Mapping[str, Any], started: Started, finished: Finished
        ) -> Exported:
    """Put a model that was exported on another machine into the registry here. What only this machine knows of its
    data goes on the card: what they are called, where they are from."""
    from playground.deploy import registry

    digits = spec.kind == "digits"
    told = facts(spec, started, finished, (card["data"]["source"], card["data"]["licence"]) if digits else None)
    told["training"]["run"] = run_dir.name
    registry.put(spec.name, model, {**card, **told}, replace=spec.replace or is_of(spec.name, run_dir))
    entry = registry.get(spec.name)
    assert isinstance(entry, registry.Entry)
    parity = entry.card["parity"]
    return Exported(entry.name, str(entry.onnx), float(parity["max_difference"]), int(parity["samples"]), time.time())


def is_of(name: str, run_dir: Path) -> bool:
    """Whether the model of that name in the registry is the one that this run made."""
    return model_names.made_by(name) == run_dir.name


def asked(spec: RunSpec, run_dir: Path, onnx: Path) -> Iterator[Event]:
    """Ask the exported file about every photograph kept aside, and keep its answers beside the run."""
    from playground.deploy import evaluation
    from playground.training.transfer import fit as torch_fit

    held_out = torch_fit.photos_of(spec, run_dir).validation
    for done in evaluation.evaluate(onnx, held_out, run_dir / evaluation.FILE):
        yield Stage("asking the exported file about the photos kept aside", done, len(held_out), time.time())


def facts(spec: RunSpec, started: Started, finished: Finished, origin: tuple[str, str] | None = None) -> dict[str, Any]:
    """What the model's card says of its training; `origin`: source and licence of the data, where they are known."""
    source, licence = origin or origin_of(spec)
    split = "test" if spec.kind == "digits" else "validation"
    accuracy = None
    if finished.test_accuracy is not None:
        accuracy = {"value": finished.test_accuracy, "count": finished.test_count, "split": split,
                    "confusion": [list(row) for row in finished.confusion]}
    data = public_name(spec.request.get("data", "imagenet"))
    request = spec.request | ({"data": data} if "data" in spec.request else {})
    if spec.kind == "transfer" and imported.is_imported(request.get("backbone")):
        request = {**request, "backbone": f"{imported.find(request['backbone']).title} ({request['backbone']})"}
    return {
        "task": spec.kind,
        "data": {"name": Path(data).name, "source": source, "licence": licence,
                 "samples": started.samples},
        "training": {"request": request, "seed": spec.seed, "epochs": finished.epochs, "reason": finished.reason,
                     "seconds": finished.seconds, "device": started.device, "parameters": started.parameters,
                     **({"best_epoch": finished.best_epoch} if finished.best_epoch else {})},
        "accuracy": accuracy,
    }


def origin_of(spec: RunSpec) -> tuple[str, str]:
    """Source and licence of a run's data."""
    if spec.kind == "digits":
        train, _ = named.load(spec.request["data"])
        return train.source, train.licence
    if spec.kind == PRETRAINED:
        return ("ImageNet (ILSVRC 2012): 1.28 million photographs of a thousand kinds",
                "weights of EfficientNet-Lite: Apache 2.0")
    source, licence = provenance.of(spec.request["data"])
    return source or "photographs in a folder", licence or "the owner's"


def public_name(data: str) -> str:
    """What a card may say of the folder: nothing that lets its reader into somebody's photographs."""
    small = photos_named(data)
    begins = "/".join(home.public(str(small[0]) if small else data).split("/")[:2])
    return {"data/uploads": "an uploaded zip", "data/sets": "an own set"}.get(begins, home.public(data))


def own_pictures(spec: RunSpec, run_dir: Path, most: int = COMPARED) -> Sequence[np.ndarray]:
    """Some held-out pictures of the run's own data, raw: uint8 (H, W, 3); the built-in photos where none is left."""
    if spec.kind == "digits":
        _, test = named.load(spec.request["data"])
        chosen = test.images[spread(len(test), most)]
        return list(chosen if chosen.ndim == 4 else np.repeat(chosen[..., None], 3, axis=3))
    if spec.kind == PRETRAINED:
        return [samples.photo(name) for name in samples.photo_names()]
    from playground.datasets import photos
    from playground.training.transfer import fit as torch_fit

    found = torch_fit.photos_of(spec, run_dir)
    for half in (found.validation, found.train):
        opened = [image for i in spread(len(half), most) if (image := photos.opened(half[i][0])) is not None]
        if opened:
            return opened
    return [samples.photo(name) for name in samples.photo_names()]  # all were removed: what was learnt is not lost


def spread(count: int, most: int) -> np.ndarray:
    """Up to `most` indices, evenly over all: neighbours are often of one class."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(int))


def trainer_of(kind: str) -> Any:
    """The trainer's module, imported only by the worker that needs it: a page never waits for torch."""
    if kind == "digits":
        from playground.training.scratch import numpy_fit
        return numpy_fit
    if kind == "transfer":
        from playground.training.transfer import fit as torch_fit
        return torch_fit
    if kind == PRETRAINED:
        from playground.training.transfer import pretrained as torch_pretrained
        return torch_pretrained
    if kind == EXPERIMENT:
        from playground.training.scratch import experiments
        return experiments
    if kind == DOWNLOAD:
        from playground.training.runs import downloading
        return downloading
    raise PlaygroundError(f"There is no training of the kind {kind!r}.")


def main(arguments: list[str]) -> int:
    """The worker's process: do the run in the folder named."""
    if len(arguments) != 1 or not (Path(arguments[0]) / "spec.json").is_file():
        print("This is the worker of a training run: start one with python -m playground train.", file=sys.stderr)
        return 2
    os.nice(5)  # pages come first: training waits while somebody looks something up
    run_dir = Path(arguments[0])
    turns.sign(run_dir)
    with home.derived_in(class_runs.home_of_derived(run_dir)):
        return worker.work(run_dir, events)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
