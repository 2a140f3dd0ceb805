"""The part of a network that trains: one step of its optimizer, one measuring, and where it stands, on disk."""

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from playground.errors import PlaygroundError
from playground.home import whole
from playground.training.runs.events import Epoch, Stage
from playground.training.runs.run_view import RunSpec
from playground.training.transfer import augment as torch_augment
from playground.training.transfer import networks as torch_networks
from playground.training.transfer.adamw import AdamW
from playground.training.transfer.data import Data
from playground.training.transfer.head import accuracy
from playground.training.transfer.networks import Parts
from playground.training.transfer.recipe import BATCH, SCRATCH, Request, rate
from playground.training.transfer.world import World

WEIGHTS, CHECKPOINT = "trained.safetensors", "checkpoint.safetensors"
INSTEAD = "What it has kept of its weights can still be made a model; or start the training anew."
Confusion = tuple[tuple[int, ...], ...]


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
            if not all(bool(value.isfinite().all()) for value in tensors.values()):
                raise PlaygroundError("Not everything in the checkpoint of this run is a number: it is damaged, or the "
                                      f"training had gone wrong before it was written. {INSTEAD}")
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
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, SafetensorError) as error:
            raise PlaygroundError(f"The checkpoint of this run is damaged. {INSTEAD}") from error


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
