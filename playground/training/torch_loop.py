"""Mini-batch training that can be killed and resumed: AdamW with warm-up and cosine, checkpoints, several processes.

Every random number comes from (seed, epoch, batch), never from a generator that remembers. So a run that is resumed
from a checkpoint goes on exactly as if nothing had happened, and several processes agree without talking.
"""

import copy
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from playground.errors import PlaygroundError
from playground.training.events import Batch, Epoch, Event, Stage
from playground.training.torch_networks import batch_norms, two_scores

BATCH_PAUSE_SECONDS = 0.1  # between two Batch events
CHECKPOINT_SECONDS = 60.0  # between two checkpoints inside an epoch
SEEN_AT_ONCE = 64  # pictures looked at together where nothing is learnt
Confusion = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Lesson:
    """What is to be learnt. `batch(rows, own, rng)` gives the network's input and targets (N, K) for the training
    pictures with these indices, drawn for all of them and made for those in `own`; `seen(rows)` the input for
    validation pictures. `still` keeps the statistics of every batch norm as they are."""

    network: nn.Module
    groups: Sequence[tuple[Sequence[Tensor], float]]  # parameters, learning rate
    batch: Callable[[Tensor, slice, np.random.Generator], tuple[Tensor, Tensor]]
    seen: Callable[[slice], Tensor]
    count: int
    validation_labels: Tensor
    still: bool = True


@dataclass(frozen=True)
class Recipe:
    """How it is learnt. `warm_up` is the share of the steps in which the learning rate rises; `ema` how much of the
    average of the weights stays at every step (0: none is kept); after `patience` epochs without a smaller validation
    loss training ends and the best epoch's weights are kept (0: the last epoch's are)."""

    epochs: int
    batch_size: int
    weight_decay: float
    warm_up: float = 0.1
    label_smoothing: float = 0.0
    ema: float = 0.0
    patience: int = 0
    compiled: bool = False


@dataclass
class Progress:
    """How far training is; goes into every checkpoint."""

    epoch: int = 0  # whole epochs done
    batch: int = 0  # batches done of the one under way
    taken: int = 0  # steps of the optimizer
    loss_sum: float = 0.0
    right_sum: float = 0.0
    seconds: float = 0.0
    part: int = 0  # pictures that fit into memory together; 0: a whole batch
    best_epoch: int = 0
    best_loss: float = math.inf
    history: list[dict[str, Any]] = field(default_factory=list)  # the Epoch events


@dataclass(frozen=True)
class Learnt:
    """What came out. `epoch` is the one whose weights were kept, `chosen` whether by its validation loss."""

    state: dict[str, Tensor]
    confusion: Confusion
    epochs: int
    epoch: int
    chosen: bool
    stopped: bool


class AdamW:
    """AdamW (Loshchilov & Hutter 2019) with torch.optim's betas and eps and a learning rate a group.

    Written out: torch.optim's own imports torch's compiler at its first step, which takes seconds.
    """

    def __init__(self, groups: Sequence[tuple[Sequence[Tensor], float]], weight_decay: float):
        self.groups = [(list(parameters), rate) for parameters, rate in groups]
        self.parameters = [p for parameters, _ in self.groups for p in parameters]
        self.m = [torch.zeros_like(p) for p in self.parameters]
        self.v = [torch.zeros_like(p) for p in self.parameters]
        self.weight_decay, self.taken = weight_decay, 0

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """One step with every group's learning rate times `factor`."""
        fast, slow = 0.9, 0.999
        self.taken += 1
        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in self.parameters]
        torch._foreach_lerp_(self.m, gradients, 1 - fast)
        torch._foreach_mul_(self.v, slow)
        torch._foreach_addcmul_(self.v, gradients, gradients, 1 - slow)
        spread = torch._foreach_sqrt(torch._foreach_div(self.v, 1 - slow**self.taken))
        torch._foreach_add_(spread, 1e-8)
        first = 0
        for parameters, rate in self.groups:
            group = slice(first, first := first + len(parameters))
            rate *= factor
            torch._foreach_mul_(parameters, 1 - rate * self.weight_decay)
            torch._foreach_addcdiv_(parameters, self.m[group], spread[group], -rate / (1 - fast**self.taken))
        for p in self.parameters:
            p.grad = None


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """The share of the learning rate for a step from 0: a straight line up, then half a cosine down.

    >>> [round(rate_at(k, 10, 0.2), 3) for k in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]
    """
    rising = round(steps * warm_up)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def train(lesson: Lesson, recipe: Recipe, seed: int, should_stop: Callable[[], bool], checkpoint: Path | None,
          keep: Callable[[Mapping[str, Tensor]], Iterator[Event]] | None = None) -> Iterator[Event | Learnt]:
    """Yields Batch and Epoch events, and what was learnt as the last thing; goes on from a checkpoint if there is one.

    `keep(state)` is called with the weights after every epoch that may be the last; what it yields is passed on. A
    stop keeps what was learnt until then. Where torch.distributed is at work, every process takes its share of each
    batch, and only the first one writes.
    """
    rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    network, optimizer, progress = lesson.network, AdamW(lesson.groups, recipe.weight_decay), Progress()
    device = lesson.validation_labels.device
    averages = [p.detach().clone() for p in optimizer.parameters] if recipe.ema else []
    best: dict[str, Tensor] = {}
    if checkpoint is not None and checkpoint.exists():
        progress, best = restore(checkpoint, network, optimizer, averages)
        yield Stage(f"going on after epoch {progress.epoch}, batch {progress.batch}", 0, 1, time.time())
        for known in progress.history:
            yield Epoch(**known)
    model: Callable[[Tensor], Tensor] = torch.compile(network) if recipe.compiled else network
    if world > 1:
        model = nn.parallel.DistributedDataParallel(network)
    per_epoch = math.ceil(lesson.count / recipe.batch_size)
    steps, last_told, last_kept, stopped = recipe.epochs * per_epoch, 0.0, time.monotonic(), False
    last: Confusion | None = None  # of the weights as they are
    sums = torch.tensor((progress.loss_sum, progress.right_sum), device=device, dtype=torch.float64)
    while progress.epoch < recipe.epochs and not stopped and not _given_up(progress, recipe):
        epoch, began = progress.epoch + 1, time.perf_counter() - progress.seconds
        order = torch.randperm(lesson.count, generator=torch.Generator().manual_seed(hash((seed, epoch)) & 2**63 - 1))
        parts = torch.split(order, recipe.batch_size)
        _learning(network, lesson.still)
        while progress.batch < per_epoch:
            stopped = progress.taken > 0 and _agreed(should_stop(), device)
            if stopped:
                break
            rows, random = parts[progress.batch], (seed, epoch, progress.batch)
            try:
                loss, right = _step(model, lesson, recipe, rows, random, rank, world, progress.part or len(rows))
            except torch.OutOfMemoryError:
                forget(optimizer)
                if (held := min(progress.part or len(rows), len(rows))) == 1:
                    raise
                progress.part = math.ceil(held / 2)
                yield Stage(f"not enough memory for {len(rows)} pictures at once: they go through in parts of "
                            f"{progress.part}, with the same result", 0, 1, time.time())
                continue
            factor = rate_at(progress.taken, steps, recipe.warm_up)
            optimizer.step(factor)
            progress.taken, progress.batch = progress.taken + 1, progress.batch + 1
            if averages:  # young averages forget faster, or they would remember the beginning
                torch._foreach_lerp_(averages, [p.detach() for p in optimizer.parameters],
                                     1 - min(recipe.ema, progress.taken / (progress.taken + 9)))
            sums += torch.stack((loss * len(rows), right)).double()
            if time.perf_counter() - last_told >= BATCH_PAUSE_SECONDS:
                last_told = time.perf_counter()
                yield Batch(epoch, progress.batch, per_epoch, loss.item(), right.item() / len(rows),
                            lesson.groups[0][1] * factor, time.time())
            if checkpoint is not None and rank == 0 and time.monotonic() - last_kept > CHECKPOINT_SECONDS:
                progress.loss_sum, progress.right_sum = sums.tolist()
                progress.seconds = time.perf_counter() - began
                write(checkpoint, network, optimizer, averages, best, progress)
                last_kept = time.monotonic()
        with Averaged(optimizer, averages):
            if not stopped:
                validation_loss, last = measure(network, lesson)
                if not math.isfinite(validation_loss):
                    raise PlaygroundError("The loss is not a number any more: a smaller learning rate would help.")
                train_loss, train_accuracy = (sums / lesson.count).tolist()
                told = Epoch(epoch, train_loss, train_accuracy, validation_loss, accuracy(last),
                             time.perf_counter() - began, time.time())
                progress = Progress(epoch, 0, progress.taken, part=progress.part, best_epoch=progress.best_epoch,
                                    best_loss=progress.best_loss, history=[*progress.history, asdict(told)])
                sums.zero_()
                if recipe.patience and validation_loss < progress.best_loss:
                    progress.best_epoch, progress.best_loss, best = epoch, validation_loss, _copied(network)
            state = best if recipe.patience and best else _copied(network)
        if checkpoint is not None and rank == 0 and not stopped:
            write(checkpoint, network, optimizer, averages, best, progress)
            last_kept = time.monotonic()
        if not stopped:
            yield told
        if keep is not None and rank == 0:
            yield from keep(state)
    if progress.epoch and not stopped:  # a run resumed after its last epoch has not been through the loop
        with Averaged(optimizer, averages):
            state = best if recipe.patience and best else _copied(network)
    network.load_state_dict(state)
    chosen = bool(recipe.patience and best)
    confusion = last if last is not None and not stopped and not chosen else measure(network, lesson)[1]
    yield Learnt(state, confusion, progress.epoch, progress.best_epoch if chosen else progress.epoch, chosen, stopped)


def _given_up(progress: Progress, recipe: Recipe) -> bool:
    return bool(recipe.patience) and progress.epoch - progress.best_epoch >= recipe.patience


def _step(model: Callable[[Tensor], Tensor], lesson: Lesson, recipe: Recipe, rows: Tensor, random: tuple[int, ...],
          rank: int, world: int, part: int) -> tuple[Tensor, Tensor]:
    """Gradients of a mini-batch's mean loss, made in parts; that loss and how many were right, of the whole batch."""
    own = slice(rank, None, world)
    device = lesson.validation_labels.device
    torch.manual_seed(hash((*random, rank)) & 2**63 - 1)  # for dropout
    x, targets = lesson.batch(rows, own, np.random.default_rng(random))
    weight = world / len(rows)
    if len(x) == 0:  # fewer pictures than processes: this one has a say of nothing
        x, targets = lesson.batch(rows, slice(0, 1), np.random.default_rng(random))
        weight = 0.0
    half = torch.autocast("cuda", torch.bfloat16, enabled=device.type == "cuda" and torch.cuda.is_bf16_supported())
    loss_sum, right = torch.zeros(2, device=device)
    for some, wanted in zip(torch.split(x, part), torch.split(targets, part), strict=True):
        with half:
            scores = two_scores(model(some)).float()
        loss = F.cross_entropy(scores, wanted, label_smoothing=recipe.label_smoothing, reduction="sum") * weight
        loss.backward()  # type: ignore[no-untyped-call]
        loss_sum += loss.detach()
        right += (scores.argmax(1) == wanted.argmax(1)).sum() * (weight > 0)
    if world > 1:
        told = torch.stack((loss_sum / world, right.float()))
        dist.all_reduce(told)
        loss_sum, right = told
    return loss_sum, right


def forget(optimizer: AdamW) -> None:
    """Forget half-made gradients, and give back what they took."""
    for p in optimizer.parameters:
        p.grad = None
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


@torch.no_grad()
def measure(network: nn.Module, lesson: Lesson) -> tuple[float, Confusion]:
    """Mean loss on the validation pictures, and confusion[true][predicted]."""
    network.eval()
    labels, scores = lesson.validation_labels, []
    for start in range(0, len(labels), SEEN_AT_ONCE):
        scores.append(two_scores(network(lesson.seen(slice(start, start + SEEN_AT_ONCE)))).float())
    logits = torch.cat(scores)
    classes = logits.shape[1]
    cells = torch.bincount(labels * classes + logits.argmax(1), minlength=classes**2).reshape(classes, classes)
    return F.cross_entropy(logits, labels).item(), tuple(map(tuple, cells.tolist()))


def accuracy(confusion: Confusion) -> float:
    """The share on the diagonal."""
    return sum(row[k] for k, row in enumerate(confusion)) / sum(map(sum, confusion))


def _learning(network: nn.Module, still: bool) -> None:
    """Training mode. With `still`, batch norm keeps its statistics, which millions of pictures made, and only its scale
    and shift learn: those of a few photographs would be worse, and would depend on how a batch is divided."""
    network.train()
    if still:
        for layer in batch_norms(network):
            layer.eval()


def _agreed(stop: bool, device: torch.device) -> bool:
    """Whether any process is asked to stop."""
    if not dist.is_initialized():
        return stop
    asked = torch.tensor(float(stop), device=device)
    dist.all_reduce(asked)
    return bool(asked.item())


class Averaged:
    """Inside it the parameters are the averages of the weights, where those are kept."""

    def __init__(self, optimizer: AdamW, averages: list[Tensor]):
        self.parameters, self.averages = optimizer.parameters, averages

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: object) -> None:
        self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for p, average in zip(self.parameters, self.averages, strict=False):
            p.data, average.data = average.data, p.data


def _copied(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone().contiguous() for name, value in network.state_dict().items()}


# --- checkpoints: tensors and numbers in one file, written whole ---


def write(path: Path, network: nn.Module, optimizer: AdamW, averages: list[Tensor], best: Mapping[str, Tensor],
          progress: Progress) -> None:
    """Everything that is needed to go on from here."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    for name, values in (("m", optimizer.m), ("v", optimizer.v), ("average", averages)):
        tensors |= {f"{name}.{k}": value for k, value in enumerate(values)}
    tensors |= {f"best.{name}": value for name, value in best.items()}
    incoming = path.with_suffix(".incoming")
    save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, incoming,
              {"progress": json.dumps(asdict(progress)), "taken": str(optimizer.taken)})
    os.replace(incoming, path)


def restore(path: Path, network: nn.Module, optimizer: AdamW, averages: list[Tensor]
            ) -> tuple[Progress, dict[str, Tensor]]:
    """Put a checkpoint back; raises PlaygroundError when it is damaged or of another training."""
    try:
        with safe_open(path, framework="pt") as file:
            said = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        network.load_state_dict(copy.copy({name.removeprefix("network."): value for name, value in tensors.items()
                                           if name.startswith("network.")}))
        for name, values in (("m", optimizer.m), ("v", optimizer.v), ("average", averages)):
            for k, value in enumerate(values):
                value.copy_(tensors[f"{name}.{k}"])
        optimizer.taken = int(said["taken"])
        best = {name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")}
        return Progress(**json.loads(said["progress"])), best
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise PlaygroundError(f"The checkpoint in {path.parent.name} cannot be read, so the training cannot go on: "
                              "start it again.") from error
