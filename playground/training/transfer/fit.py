"""Transfer learning in PyTorch: a frozen pretrained backbone and a new head for one's own photographs, or more."""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from playground.datasets import folders
from playground.datasets.folders import PhotoFolder
from playground.datasets.photos import opened, why_unreadable
from playground.datasets.preprocessing import Preprocessing
from playground.datasets.remarks import left_out
from playground.errors import PlaygroundError
from playground.home import data_dir, located, read_json, whole
from playground.numbers import count, counted
from playground.training.runs.events import Batch, Epoch, Event, Finished, Saved, Stage, Started
from playground.training.runs.runs import RunSpec
from playground.training.transfer import backbones, photo_list
from playground.training.transfer import features as torch_features
from playground.training.transfer import networks as torch_networks
from playground.training.transfer import tune as torch_tune
from playground.training.transfer.feature_store import FeatureStore, content_digest
from playground.training.transfer.head import DeepHead, Head, Split, accuracy, head_for, measure
from playground.training.transfer.networks import two_logits
from playground.training.transfer.pixels import PixelStore
from playground.training.transfer.recipe import FROZEN, SCRATCH, Request

BATCH_PAUSE_SECONDS = 0.1  # between two Batch events but an epoch's last: a log to watch, not a line every millisecond


Known = FeatureStore | PixelStore


@dataclass(frozen=True)
class TrainedTorch:
    """A trained network: module maps float32 (N, 3, S, S) to logits (N, classes)."""

    module: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...]


def fit(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Train what the request says (`recipe`) on photographs, and yield what happens.

    In frozen mode, the default, a new head is trained on what the backbone sees; `tune` does the others. Each
    picture goes through the backbone once, ever: its features are kept by content (`features`). The head is,
    unless another is asked for, multinomial logistic regression by AdamW with a cosine schedule, from zero weights, on
    standardised features; the standardisation is folded into it afterwards, so that it is one Linear. The last epoch's
    weights are kept: the validation pictures choose nothing, they only measure. A stop in the epochs keeps what was
    learnt; one before them raises PlaygroundError, as do data that cannot be trained on.
    """
    began = time.perf_counter()
    request = request_of(spec)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    yield Stage("looking at the photos", 0, 1, time.time())
    if request.mode != FROZEN:
        found, digests = look(spec, known_of(request))
        if found.unreadable:
            yield Stage(left_out(found), 0, 1, time.time())
        yield from torch_tune.fit(spec, request, found, digests, run_dir, should_stop, began)
        return
    store = torch_features.store_of(request.backbone, request.image_size)
    found, digests = look(spec, store)
    photo_list.keep(run_dir, found, digests)
    torch.manual_seed(spec.seed)
    description = torch_networks.head_description(request, torch_networks.channels_of(request), len(found.classes))
    yield Started(
        kind=spec.kind, total_epochs=request.epochs, batches_per_epoch=math.ceil(len(found.train) / request.batch_size),
        parameters=sum(p.numel() for p in torch_networks.head_of(description).parameters()), classes=found.classes,
        samples=counts(found),
        device=torch.cuda.get_device_name() if device.type == "cuda" else "cpu", time=time.time())
    if found.unreadable:
        yield Stage(left_out(found), 0, 1, time.time())

    yield from seen(found, digests, request, store, device, should_stop)
    train, validation = (
        Split(torch.from_numpy(store.take([digests[path] for path, _ in half])).to(device),
              torch.tensor([label for _, label in half], device=device))
        for half in (found.train, found.validation))
    steps = request.epochs * math.ceil(len(found.train) / request.batch_size)
    with torch_features.one_core():  # the steps are tiny: cores that wait for each other would only slow them down
        head = head_for(train, description, request.learning_rate, request.weight_decay, steps)
        yield from epochs(spec, request, found, head, description, validation, run_dir, should_stop, began)


def seen(found: PhotoFolder, digests: Mapping[Path, bytes], request: Request, store: FeatureStore, device: torch.device,
         should_stop: Callable[[], bool]) -> Iterator[Event]:
    """See to it that every picture's features are known. Raises PlaygroundError after a stop."""
    pictures = {digests[path]: path for path, _ in (*found.train, *found.validation)}
    missing = [(digest, path) for digest, path in pictures.items() if digest not in store]
    done = len(pictures) - len(missing)
    if missing:
        yield Stage("computing features", done, len(pictures), time.time())
        for more in torch_features.compute(request.backbone, missing, store, device, should_stop,
                                           size=request.image_size):
            done += more
            yield Stage("computing features", done, len(pictures), time.time())
    if should_stop():
        raise PlaygroundError(f"Stopped before anything was learnt, so there is no model. The features of "
                              f"{count(done)} of {counted(len(pictures), 'photo')} are kept: the next training goes on "
                              "from there.")


def photo_folder(spec: RunSpec) -> PhotoFolder:
    """The photographs of a run, divided as the run divides them. Raises PlaygroundError when they cannot be used."""
    return look(spec, known_of(request_of(spec)))[0]


def photos_of(spec: RunSpec, run_dir: Path) -> PhotoFolder:
    """The photographs a run was divided into when it began, or what is there now for one that has kept no list."""
    return photo_list.read(run_dir) or photo_folder(spec)


def request_of(spec: RunSpec) -> Request:
    """The request of a run. Raises PlaygroundError naming what is missing, unknown or out of range."""
    request = Request.of(spec.request)
    if request.mode != SCRATCH:
        backbones.find(request.backbone)
    return request


def known_of(request: Request) -> Known:
    """Which pictures were decoded before for such a run, so that they can be."""
    size = torch_networks.preprocessing_of(request).size[0]
    if request.mode == SCRATCH or request.augment:
        return PixelStore(size)
    depth = 0 if request.mode == FROZEN else request.blocks
    return torch_features.store_of(request.backbone, size if depth else request.image_size, depth)


def look(spec: RunSpec, store: Known) -> tuple[PhotoFolder, dict[Path, bytes]]:
    """What is in the run's folder, and every file's digest. One whose features are known is not decoded again."""
    digests: dict[Path, bytes] = {}

    def reason(path: Path) -> str | None:
        try:
            digests[path] = content_digest(path)
        except OSError as error:
            return f"{path.name} cannot be read: {error.strerror}."
        return None if digests[path] in store else why_unreadable(path)

    data = spec.request["data"]
    folder = folders.write_faces(data_dir() / "faces") if data == "faces" else located(Path(data).expanduser())
    return folders.scan(folder, spec.seed, reason), digests


def epochs(spec: RunSpec, request: Request, found: PhotoFolder, head: Head | DeepHead, description: dict[str, Any],
           validation: Split, run_dir: Path, should_stop: Callable[[], bool], began: float) -> Iterator[Event]:
    """The epochs: mini-batches in an order drawn from the seed, the weights saved after each epoch and after a stop."""
    device, count = head.inputs.device, len(head.labels)
    order = torch.Generator().manual_seed(spec.seed)  # on the CPU: the same order on every device
    steps, whole, stopped, told = 0, 0, False, 0.0
    while whole < request.epochs and not stopped:
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
            if time.perf_counter() - told >= BATCH_PAUSE_SECONDS or batch == len(parts):
                told = time.perf_counter()
                yield Batch(epoch, batch, len(parts), loss.item(), right.item() / len(rows), rate, time.time())
        if not stopped:
            whole = epoch
            validation_loss, confusion = measure(head.module(), validation)
            if not math.isfinite(validation_loss):
                raise PlaygroundError("The loss is not a number any more: a smaller learning rate would help.")
            yield Epoch(epoch, loss_sum.item() / count, right_sum.item() / count, validation_loss, accuracy(confusion),
                        time.perf_counter() - start, time.time())
        yield Saved(str(save(run_dir, request, found, head, description)), whole, time.time())

    _, confusion = measure(head.module(), validation)
    yield Finished("stopped" if stopped else "completed", whole, accuracy(confusion), len(validation.labels),
                   time.perf_counter() - began, confusion, time.time())


def save(run_dir: Path, request: Request, found: PhotoFolder, head: Head | DeepHead, description: dict[str, Any]
         ) -> Path:
    """Write the head and what goes around it, each whole or not at all."""
    written = {"mode": FROZEN, "backbone": request.backbone, "classes": list(found.classes), "head": description,
               "preprocessing": torch_networks.preprocessing_of(request).to_dict(),
               "left_out": [[str(path), why] for path, why in found.unreadable]}
    with whole(run_dir / "model.json") as incoming:
        incoming.write_text(json.dumps(written, ensure_ascii=False, indent=2), encoding="utf-8")
    path = run_dir / "head.safetensors"
    with whole(path) as incoming:
        save_file({name: value.cpu().contiguous() for name, value in head.module().state_dict().items()}, incoming)
    return path


def load_trained(run_dir: Path) -> TrainedTorch:
    """What a run has learnt, on the CPU, in eval mode. Raises PlaygroundError when it has not learnt anything (yet)."""
    try:
        description: dict[str, Any] = read_json(run_dir / "model.json")
        if description.get("mode", FROZEN) == FROZEN:
            network = with_head(description, load_file(run_dir / "head.safetensors"))
        else:
            network = torch_tune.rebuilt(description, run_dir / torch_tune.WEIGHTS)
        return TrainedTorch(network, Preprocessing.from_dict(description["preprocessing"]),
                            tuple(description["classes"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RuntimeError, SafetensorError,
            PlaygroundError) as error:
        raise PlaygroundError(f"The run {run_dir.name} has not kept a model, or it is damaged.") from error


@torch.inference_mode()
def measured(spec: RunSpec, run_dir: Path, epochs: int, seconds: float) -> Finished:
    """The last word on a run that broke off: the weights it has kept, measured on the photographs kept aside; one that
    was removed meanwhile is passed over."""
    trained, held_out = load_trained(run_dir), photos_of(spec, run_dir).validation
    cells = [[0] * len(trained.classes) for _ in trained.classes]
    for path, label in held_out:
        if (image := opened(path)) is not None:
            pixels = torch.from_numpy(trained.preprocessing.apply(image))[None]
            cells[label][int(two_logits(trained.module(pixels)).argmax())] += 1
    confusion, count = tuple(map(tuple, cells)), sum(map(sum, cells))
    return Finished("stopped", epochs, accuracy(confusion) if count else None, count, seconds,
                    confusion if count else (), time.time())


def with_head(description: dict[str, Any], weights: dict[str, torch.Tensor]) -> nn.Module:
    """The backbone as it came, with a trained head."""
    network: nn.Module = backbones.pretrained(description["backbone"])
    if "head" in description:
        head = torch_networks.head_of(description["head"])
    else:  # runs of before there were other heads
        classes, width = weights["weight"].shape
        head = nn.Linear(width, classes, device="meta")
    head.load_state_dict(weights, assign=True)
    network.classifier = head
    return network.requires_grad_(False).eval()


def counts(found: PhotoFolder) -> dict[str, int]:
    """How many pictures there are of what, for the record."""
    return torch_tune.folders_counts(found)
