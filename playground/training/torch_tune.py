"""Fine-tuning a pretrained network, and training a small one from random weights: one loop for both."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from playground.datasets.augmentation import Augmentation
from playground.datasets.folders import PhotoFolder
from playground.datasets.photos import opened
from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError
from playground.home import whole
from playground.training import (
    backbones,
    photo_list,
    torch_augment,
    torch_features,
    torch_frozen,
    torch_head,
    torch_networks,
)
from playground.training.events import Batch, Epoch, Event, Finished, Saved, Stage, Started
from playground.training.pixels import Pictures, PixelStore
from playground.training.recipe import BATCH, FROZEN, RECIPES, SCRATCH, Request, rate
from playground.training.registry import IMAGENET_MEAN, IMAGENET_STD, SMALL_WIDTHS
from playground.training.runs import RunSpec
from playground.training.torch_adamw import AdamW
from playground.training.torch_head import Split, accuracy
from playground.training.torch_networks import Parts
from playground.training.torch_world import World

BATCH_PAUSE_SECONDS = 0.1
CHECKPOINT_SECONDS = 60.0
"""A long epoch is saved on its way, too."""
SEEN_BYTES = 2**28
"""What the frozen part's answers to all photographs may take to be kept; else they are computed anew each epoch."""
AT_ONCE = 32
WEIGHTS, DESCRIPTION, CHECKPOINT = "trained.safetensors", "model.json", "checkpoint.safetensors"
Confusion = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Photographs:
    """What the loop trains and measures on, in numbers: training pictures first, then validation ones."""

    digests: list[bytes]
    paths: list[Path]
    labels: np.ndarray
    training: int
    classes: tuple[str, ...]

    @classmethod
    def of(cls, found: PhotoFolder, digests: Mapping[Path, bytes]) -> "Photographs":
        both = (*found.train, *found.validation)
        return cls([digests[path] for path, _ in both], [path for path, _ in both],
                   np.array([label for _, label in both]), len(found.train), found.classes)

    @property
    def held_out(self) -> np.ndarray:
        return np.arange(self.training, len(self.labels))


@dataclass
class Progress:
    """How far training is: what a checkpoint holds beside the tensors. Random numbers are drawn from the seed and the
    place (epoch, mini-batch), so the place is the whole state of chance.
    """

    epoch: int = 0  # whole epochs
    cursor: int = 0  # mini-batches done of the epoch under way
    step: int = 0
    micro: int = 0  # pictures that go through the device at once
    history: list[dict[str, Any]] = field(default_factory=list)  # Epoch events
    best_epoch: int = 0
    best_loss: float = math.inf
    done: bool = False
    seconds: float = 0.0  # trained before the checkpoint


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


class Data:
    """Photographs on their way to the part that trains: decoded once, seen by the frozen part once where they are not
    augmented, and else anew for every mini-batch.
    """

    def __init__(self, request: Request, photographs: Photographs, parts: Parts, world: World):
        self.request, self.photographs, self.world, self.device = request, photographs, world, world.device
        self.pipeline = Augmentation.from_dict(request.augment)
        self.preprocessing = preprocessing_of(request)
        self.size = self.preprocessing.size[0]
        self.labels = torch.from_numpy(photographs.labels).to(self.device)
        mean, std = (torch.tensor(values, device=self.device).view(-1, 1, 1)
                     for values in (self.preprocessing.mean, self.preprocessing.std))
        self.factor, self.shift = 1 / (255 * std), -mean / std
        self.prefix, self.depth = parts.prefix, len(parts.groups) - 1
        self.shape = torch_networks.input_shape(parts.prefix, self.size)
        everything = 4 * math.prod(self.shape) * len(photographs.labels)
        self.keeps_seen = self.prefix is not None and not self.pipeline.active and everything <= SEEN_BYTES
        self.seen: Tensor | None = None  # what the frozen part says of every picture
        self.pixels: Pictures | None = None
        self.on_device: Tensor | None = None  # all pixels, where they fit beside the network
        self._held_out: list[tuple[Tensor, Tensor]] = []

    def prepare(self, should_stop: Callable[[], bool]) -> Iterator[Event]:
        """Everything that is done once: decoding, or the frozen part's answers; kept on the disk for the next run."""
        pictures = list(dict(zip(self.photographs.digests, self.photographs.paths, strict=True)).items())
        if self.keeps_seen:
            store = torch_features.store_of(self.request.backbone, self.size, self.depth)
            missing = [one for one in pictures if one[0] not in store]
            work = torch_features.compute(self.request.backbone, missing, store, self.device, should_stop,
                                          size=self.size, network=self.prefix)
            yield from counted("looking through the frozen part", len(pictures), len(missing), work)
            if all(digest in store for digest, _ in pictures):
                taken = torch.from_numpy(store.take(self.photographs.digests)).reshape(-1, *self.shape)
                self.seen = taken.to(self.device)
            return
        pixels = PixelStore(self.size)
        missing = [one for one in pictures if one[0] not in pixels]
        yield from counted("decoding the photos", len(pictures), len(missing),
                           pixels.fill(pictures, torch_features.threads(), should_stop))
        if all(digest in pixels for digest, _ in pictures):
            self.pixels = pixels.take(self.photographs.digests)
            if self.device.type == "cuda" and self.pixels.all is not None and \
                    4 * self.pixels.all.nbytes < torch.cuda.mem_get_info(self.device)[0]:
                self.on_device = torch.from_numpy(self.pixels.all).to(self.device)

    def raw(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """The pictures with each mini-batch's numbers, on the device; the next ones are fetched meanwhile.

        uint8 (n, S, S, 3), or what the frozen part says of them, float32 (n, C, H, W).
        """
        if (everything := self.seen if self.seen is not None else self.on_device) is not None:
            for rows in batches:
                yield everything[torch.from_numpy(rows).to(self.device)]
            return
        assert self.pixels is not None
        pixels, pinned = self.pixels, self.device.type == "cuda"

        def fetched(rows: np.ndarray) -> Tensor:
            found = torch.from_numpy(pixels[rows])
            return found.pin_memory() if pinned else found

        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(fetched, batches[0]) if batches else None
            for following in (*batches[1:], None):
                if coming is not None:
                    arrived = coming.result()
                    coming = pool.submit(fetched, following) if following is not None else None
                    yield arrived.to(self.device, non_blocking=True)

    def floats(self, raw: Tensor) -> Tensor:
        """Pixels as levels 0..255 (n, 3, S, S) in float; what is float already, as it is."""
        return raw.permute(0, 3, 1, 2).float() if raw.dtype == torch.uint8 else raw

    def ready(self, x: Tensor, raw: Tensor) -> Tensor:
        """Levels as the network takes them."""
        if raw.dtype == torch.uint8:
            x = x * self.factor + self.shift
        return x.contiguous(memory_format=torch.channels_last)

    @cached_property
    def answers(self) -> Callable[[Tensor], Tensor]:
        """What the frozen part says of prepared pictures; made when it is first asked for, which may be never."""
        assert self.prefix is not None
        return torch_frozen.answering(self.prefix, self.size, self.device, torch_features.threads())

    def looked_at(self, x: Tensor) -> Tensor:
        """What the trained part takes, of prepared pictures."""
        return x if self.seen is not None or self.prefix is None else self.answers(x)

    def plain(self, rows: np.ndarray) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures as they are: (what the trained part takes, labels)."""
        parts = [rows[start:start + AT_ONCE] for start in range(0, len(rows), AT_ONCE)]
        for part, raw in zip(parts, self.raw(parts), strict=True):
            yield (self.looked_at(self.ready(self.floats(raw), raw)),
                   self.labels[torch.from_numpy(part).to(self.device)])

    def held_out(self) -> Iterable[tuple[Tensor, Tensor]]:
        """This process's share of the validation pictures; what a frozen part says of them is asked once."""
        rows = self.world.share(self.photographs.held_out)
        if self.prefix is None or 4 * math.prod(self.shape) * len(rows) > SEEN_BYTES:
            return self.plain(rows)
        self._held_out = self._held_out or list(self.plain(rows))
        return self._held_out

    def exact(self) -> Iterable[tuple[Tensor, Tensor]]:
        """The validation pictures exactly as the exported file prepares them: decoded again, not rounded to bytes.

        One that was removed meanwhile is passed over: that is no reason to lose what was learnt.
        """
        if self.seen is not None:  # computed from such
            return self.held_out()
        return self._exact()

    def _exact(self) -> Iterator[tuple[Tensor, Tensor]]:
        rows, photographs = self.world.share(self.photographs.held_out), self.photographs
        with ThreadPoolExecutor(torch_features.threads()) as pool:
            for start in range(0, len(rows), AT_ONCE):
                part = rows[start:start + AT_ONCE]
                found = zip(part, pool.map(lambda row: opened(photographs.paths[row]), part), strict=True)
                there = {row: self.preprocessing.apply(image) for row, image in found if image is not None}
                if there:
                    x = torch.from_numpy(np.stack(list(there.values()))).to(self.device).contiguous(
                        memory_format=torch.channels_last)
                    yield self.looked_at(x), self.labels[torch.tensor(list(there), device=self.device)]


def counted(text: str, total: int, missing: int, work: Iterator[int]) -> Iterator[Stage]:
    """Work on some of so many pictures as stages; nothing is said where nothing is missing."""
    if missing:
        done = total - missing
        yield Stage(text, done, total, time.time())
        for more in work:
            done += more
            yield Stage(text, done, total, time.time())


@dataclass(frozen=True)
class Plan:
    """One mini-batch: which pictures this process fetches, and what is done to them."""

    fetched: np.ndarray  # picture numbers
    own: np.ndarray  # which of the fetched are this process's share
    partners: np.ndarray  # and which those are mixed with
    drawn: Callable[[], torch_augment.Drawn | None]
    mix: torch_augment.Mix | None
    whole: int  # pictures of the mini-batch over all processes


class Trainer:
    """The part that trains, its optimizer, its averaged weights, one step of all of them, and how far it is."""

    def __init__(self, spec: RunSpec, request: Request, parts: Parts, data: Data, batches: int, world: World):
        self.spec, self.request, self.parts, self.data, self.world = spec, request, parts, data, world
        self.device, self.batches, self.steps = world.device, batches, batches * request.epochs
        self.classes = len(data.photographs.classes)
        self.tail = parts.tail.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        learning = request.mode == SCRATCH or request.batch_norm == BATCH
        self.synchronised = world.together and learning and self.device.type == "cuda"
        if self.synchronised:
            self.tail = nn.SyncBatchNorm.convert_sync_batchnorm(self.tail)  # type: ignore[no-untyped-call]
        self.optimizer = AdamW(torch_networks.decayed(parts.groups, request.layer_decay), request.weight_decay)
        self.bfloat16 = self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        self.forward: Callable[[Tensor], Tensor] = self.tail
        self.statistics = [value for value in self.tail.buffers() if value.is_floating_point()] if (
            world.together and learning and not self.synchronised) else []  # each process's own until averaged
        self.progress = Progress(micro=request.batch_size)
        self.sums = torch.zeros(2, device=self.device, dtype=torch.float64)  # loss and right answers of the epoch
        self.averaged: list[Tensor] = []
        self.best: dict[str, Tensor] = {}

    def begin(self) -> None:
        """Called once the weights to start from are in place."""
        if self.request.ema and not self.averaged:
            self.averaged = [value.clone() for value in self.floating()]
        self.forward = self.world.wrap(self.tail)
        if self.request.compile:
            self.forward = torch.compile(self.forward)

    @property
    def learning_rate(self) -> float:
        """The head's, at the step to come."""
        return self.request.learning_rate * rate(self.progress.step, self.steps, self.request.warmup)

    def plans(self) -> list[Plan]:
        """The mini-batches that are left of the epoch, in its order."""
        count, seed, epoch = self.data.photographs.training, self.spec.seed, self.progress.epoch
        order = np.random.default_rng((seed, 1, epoch)).permutation(count)
        chunks = [order[start:start + self.request.batch_size] for start in range(0, count, self.request.batch_size)]
        return [self.plan(rows, (seed, 2, epoch, number)) for number, rows in enumerate(chunks)][self.progress.cursor:]

    def plan(self, rows: np.ndarray, place: tuple[int, ...]) -> Plan:
        """A mini-batch; several processes draw the same for all of it, and each keeps what is for its share."""
        pipeline, size, count = self.data.pipeline, self.data.size, len(rows)
        mix = torch_augment.draw_mix(pipeline, count, size, np.random.default_rng((*place, 1)))
        mine = self.world.share(np.arange(count))
        others = mix.partner[mine] if mix is not None else mine
        needed = np.unique(np.concatenate([mine, others]))  # places in the mini-batch

        def drawn() -> torch_augment.Drawn | None:
            if not pipeline.active:
                return None
            return torch_augment.draw(pipeline, count, size, np.random.default_rng((*place, 0))).of(needed)

        return Plan(rows[needed], np.searchsorted(needed, mine), np.searchsorted(needed, others), drawn, mix, count)

    def step(self, plan: Plan, raw: Tensor) -> Iterator[Stage]:
        """One step of the optimizer; loss and right answers are added to `sums`, where nothing waits for the device.

        Where the device's memory does not hold the mini-batch it goes through in parts whose gradients are added up,
        which makes the same step, and a Stage says so.
        """
        seed = np.random.SeedSequence((self.spec.seed, 3, self.progress.step, self.world.rank))
        torch.manual_seed(int(seed.generate_state(1)[0]))  # for dropout
        own = torch.from_numpy(plan.own).to(self.device)
        labels = self.data.labels[torch.from_numpy(plan.fetched).to(self.device)]
        targets, x = self.targets(labels), self.data.floats(raw)
        drawn = plan.drawn()
        if drawn is not None:
            x = torch_augment.apply(drawn, x)
        if plan.mix is None:
            x, targets = (x, targets) if len(own) == len(x) else (x[own], targets[own])
        else:
            partners = torch.from_numpy(plan.partners).to(self.device)
            x = torch_augment.mixed(plan.mix, x[own], x[partners])
            targets = plan.mix.share * targets[own] + (1 - plan.mix.share) * targets[partners]
        x, labels = self.data.ready(x, raw), labels[own]
        while True:
            try:
                told, full = self.gradients(x, targets, labels, plan.whole), False
            except torch.OutOfMemoryError:
                if self.synchronised:  # the others wait for its statistics
                    raise
                full = True
            if not self.world.any(full):  # where it is full in one process, all take smaller parts
                break
            size = min(self.progress.micro, math.ceil(plan.whole / self.world.size))
            if size == 1:
                raise torch.OutOfMemoryError("not even one picture fits: out of memory")
            self.progress.micro = math.ceil(size / 2)
            self.optimizer.zero_grad()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            text = (f"the device's memory is full: mini-batches of {self.request.batch_size} go through it in parts of "
                    f"{self.progress.micro} from now on, and their gradients are added up")
            yield Stage(text, 0, 1, time.time())
        if self.world.together:
            self.world.average([*self.optimizer.gradients(), *self.statistics])
        self.optimizer.step(self.learning_rate)
        self.optimizer.zero_grad()
        self.sums += told
        self.progress.step += 1
        self.progress.cursor += 1
        if self.averaged:
            decay = min(self.request.ema, (1 + self.progress.step) / (10 + self.progress.step))
            torch._foreach_lerp_(self.averaged, self.floating(), 1 - decay)

    def gradients(self, x: Tensor, targets: Tensor, labels: Tensor, whole: int) -> Tensor:
        """Gradients of the mini-batch's mean loss are added to the parameters' -> (sum of losses, right answers)."""
        told = torch.zeros(2, device=self.device, dtype=torch.float64)
        least = 1 if self.synchronised else 0  # where the others wait for this one's statistics it has to show up
        for start in range(0, max(least, len(x)), self.progress.micro):
            part = slice(start, start + self.progress.micro)
            with self.world.alone(self.forward):
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                    logits = self.forward(self.data.looked_at(x[part])).float()
                loss = F.cross_entropy(logits, targets[part], reduction="sum")
                (loss * (self.world.size / whole)).backward()  # type: ignore[no-untyped-call]  # processes are averaged
            told += torch.stack([loss.detach(), (logits.argmax(1) == labels[part]).sum()])
        return told

    def targets(self, labels: Tensor) -> Tensor:
        """What the probabilities should be: 1 at the label and 0 elsewhere, or a little less sure."""
        smooth = self.request.label_smoothing
        return F.one_hot(labels, self.classes) * (1 - smooth) + smooth / self.classes

    def floating(self) -> list[Tensor]:
        return [value for value in self.tail.state_dict().values() if value.is_floating_point()]

    def swap_averaged(self) -> None:
        """Put the averaged weights in, or the others back."""
        if self.averaged:
            current = self.floating()
            kept = [value.clone() for value in current]
            torch._foreach_copy_(current, self.averaged)
            torch._foreach_copy_(self.averaged, kept)

    @torch.no_grad()
    def measure(self, pictures: Iterable[tuple[Tensor, Tensor]]) -> tuple[float, Confusion]:
        """Mean cross-entropy and confusion[true][predicted], in evaluation mode, over all processes' shares."""
        self.tail.eval()
        cells = torch.zeros(self.classes**2, device=self.device, dtype=torch.long)
        loss = torch.zeros((), device=self.device, dtype=torch.float64)
        for x, labels in pictures:
            logits = self.tail(x).float()
            loss += F.cross_entropy(logits, labels, reduction="sum")
            cells += torch.bincount(labels * self.classes + logits.argmax(1), minlength=self.classes**2)
        table = self.world.total(cells).reshape(self.classes, self.classes).tolist()
        return self.world.total(loss).item() / max(1, sum(map(sum, table))), tuple(map(tuple, table))

    def end_epoch(self, began: float) -> Epoch:
        """Measure on the validation pictures, with averaged weights where there are some, and begin the next epoch."""
        progress, count = self.progress, self.data.photographs.training
        self.swap_averaged()
        loss, confusion = self.measure(self.data.held_out())
        if not math.isfinite(loss):
            raise PlaygroundError("The loss is not a number any more: a smaller learning rate would help.")
        progress.epoch, progress.cursor = progress.epoch + 1, 0
        if self.request.patience and loss < progress.best_loss:
            progress.best_epoch, progress.best_loss = progress.epoch, loss
            self.best = self.weights()
        self.swap_averaged()
        train_loss, right = (self.world.total(self.sums) / count).tolist()
        self.sums = torch.zeros_like(self.sums)
        patience = self.request.patience
        progress.done = progress.epoch == self.request.epochs or bool(
            patience and progress.epoch - progress.best_epoch >= patience)
        epoch = Epoch(progress.epoch, train_loss, right, loss, accuracy(confusion), time.perf_counter() - began,
                      time.time())
        progress.history.append(asdict(epoch))
        return epoch

    def weights(self) -> dict[str, Tensor]:
        """The weights by name, copied to the CPU."""
        return {name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, value in self.tail.state_dict().items()}

    def chosen(self) -> dict[str, Tensor]:
        """The weights to be exported: the best on validation if training may end early, else the last, or averaged."""
        if self.best:
            return self.best
        self.swap_averaged()
        weights = self.weights()
        self.swap_averaged()
        return weights

    def save(self, run_dir: Path, seconds: float) -> None:
        """Write a checkpoint, whole or not at all: tensors, and the rest as JSON in the same file."""
        progress = replace(self.progress, seconds=seconds)
        tensors = {"sums": self.sums.cpu()}
        if not progress.done:  # what comes after the last step needs the chosen weights only, and they are beside it
            tensors |= {f"tail.{name}": value for name, value in self.weights().items()}
            for kind, values in (("m", self.optimizer.moments[0]), ("v", self.optimizer.moments[1]),
                                 ("averaged", self.averaged)):
                tensors |= {f"{kind}.{k}": value.cpu().contiguous() for k, value in enumerate(values)}
            tensors |= {f"best.{name}": value for name, value in self.best.items()}
        with whole(run_dir / CHECKPOINT) as incoming:
            save_file(tensors, incoming, {"progress": json.dumps(asdict(progress))})

    def restore(self, run_dir: Path) -> None:
        """Go back to a checkpoint. Raises PlaygroundError when it cannot be read."""
        try:
            with safe_open(run_dir / CHECKPOINT, framework="pt") as file:
                self.progress = Progress(**json.loads(file.metadata()["progress"]))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            if self.progress.done:
                self.tail.load_state_dict(load_file(run_dir / WEIGHTS))
                return
            self.sums = tensors["sums"].to(self.device)
            self.tail.load_state_dict(_below("tail.", tensors))
            with torch.no_grad():
                for k, (m, v) in enumerate(zip(*self.optimizer.moments, strict=True)):
                    m.copy_(tensors[f"m.{k}"])
                    v.copy_(tensors[f"v.{k}"])
            self.optimizer.taken = self.progress.step
            self.averaged = [value.to(self.device) for _, value in sorted(
                ((int(name), value) for name, value in _below("averaged.", tensors).items()), key=lambda one: one[0])]
            self.best = _below("best.", tensors)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            raise PlaygroundError("The checkpoint of this run is damaged: start the training anew.") from error


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


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
    yield Finished("stopped" if stopped else "completed", progress.epoch, accuracy(confusion),
                   sum(map(sum, confusion)), time.perf_counter() - began, confusion, time.time(),
                   progress.best_epoch if request.patience and progress.best_epoch else None)


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


def preprocessing_of(request: Request) -> Preprocessing:
    """What pictures go through in a run of this request."""
    if request.mode == SCRATCH:
        size = request.image_size or RECIPES[SCRATCH]["image_size"]
        return Preprocessing((size, size), gray=False, mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return backbones.find(request.backbone).preprocessing(request.image_size)


def channels_of(request: Request) -> int:
    """How many numbers the head of a request's network takes."""
    return SMALL_WIDTHS[-1] if request.mode == SCRATCH else backbones.find(request.backbone).channels


def folders_counts(found: PhotoFolder) -> dict[str, int]:
    """How many pictures there are of what, for the record."""
    counted = {"train": len(found.train), "validation": len(found.validation)}
    return counted | ({"left out": len(found.unreadable)} if found.unreadable else {})
