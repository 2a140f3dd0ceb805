"""A training from scratch between two steps: what it is made of, and one step of it."""

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engine import Tensor, layers
from engine.kernels.threads import exactly
from engine.lr_scheduler import LRScheduler
from engine.module import watched
from engine.optim import Optimizer, clip_grad_norm_
from playground.datasets.augmentation import Mixed
from playground.datasets.named import ImageSet
from playground.datasets.preprocessing import Preprocessing
from playground.network.parts import Network
from playground.training.scratch.losses import mixed_loss, said
from playground.training.scratch.measures import Look, Parts
from playground.training.scratch.numpy_checkpoint import State
from playground.training.scratch.settings import Settings


class Gradients(Protocol):
    """Another engine. It computes scores, loss and gradients of a batch in training mode, puts the gradients into the
    model's parameters and moves its running statistics, and gives the loss and how many pictures it named rightly."""

    def __call__(self, model: layers.Sequential, mixed: Mixed, y: np.ndarray, step: int) -> tuple[float, int]: ...


@dataclass(frozen=True)
class Step:
    """One step of the optimizer: the batch's loss and right answers before it, and the rate it was taken with. `look`
    is what was measured, where it was, or where the loss is not a number."""

    loss: float
    right: int
    rate: float
    look: Look | None


@dataclass(frozen=True, eq=False)
class Forward:
    """A batch on its way through the network: what went in, the modules' calls, the scores, the loss; on the tape."""

    mixed: Mixed
    calls: list[tuple[layers.Module, Any]]
    logits: Tensor
    loss: Tensor


@dataclass(frozen=True)
class Training:
    """A training between two steps: `fit` takes its steps, and so does who replays it (`history`).

    Where gradients are computed `elsewhere` the engine only takes the step they lead to, and measures."""

    train: ImageSet
    test: ImageSet
    network: Network
    preprocessing: Preprocessing
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
    settings: Settings
    batches: int
    state: State
    parts: Parts
    threads: int
    elsewhere: Gradients | None = None

    def order(self) -> list[np.ndarray]:
        """Which pictures the batches of the next epoch have. Drawn: to be asked once an epoch, at its beginning."""
        return np.array_split(self.order_rng.permutation(len(self.x)), self.batches)

    def step(self, chosen: np.ndarray, measure: bool = False) -> Step:
        """Learn from one batch, the model being in training mode; `measure` changes nothing of what is learnt. The work
        is cut as for `threads` threads: on how many depends, in the last bit, what sums come to."""
        with exactly(self.threads):
            return self._step(chosen, measure)

    def _step(self, chosen: np.ndarray, measure: bool) -> Step:
        if self.elsewhere is not None:
            return self._step_elsewhere(self.elsewhere, chosen, measure)
        taken = self.forward(chosen)
        loss = taken.loss
        value, correct = loss.item(), int((said(taken.logits) == self.y[chosen]).sum())
        measured = measure or not math.isfinite(value)
        look = Look(self.parts, taken.calls, taken.mixed.x, loss) if measured else None
        self.model.zero_grad()
        if look is None:
            loss.backward()
        else:
            look.backward()
        return self._stepped(value, correct, look)

    def _step_elsewhere(self, gradients: Gradients, chosen: np.ndarray, measure: bool) -> Step:
        """The same with another engine's gradients. What is measured is the engine's own walk over the same batch."""
        mixed = self.batch(chosen)
        look = self._looked(mixed, chosen) if measure else None
        value, correct = gradients(self.model, mixed, self.y[chosen], self.schedule.last_epoch)
        if look is None and not math.isfinite(value):
            look = self._looked(mixed, chosen)
        return self._stepped(value, correct, look)

    def _stepped(self, value: float, correct: int, look: Look | None) -> Step:
        """The step itself, the gradients being there."""
        rate = self.optimizer.lr
        self.update()
        if look is not None:
            look.stepped()
        return Step(value, correct, rate, look)

    def _looked(self, mixed: Mixed, chosen: np.ndarray) -> Look:
        """The engine's own look at a batch; the model is as before, but for its gradients."""
        before = {name: array.copy() for name, array in self.model.named_buffers()}
        taken = self._scored(mixed, chosen)
        look = Look(self.parts, taken.calls, mixed.x, taken.loss)
        self.model.zero_grad()
        look.backward()
        for name, array in self.model.named_buffers():
            array[...] = before[name]
        return look

    def forward(self, chosen: np.ndarray) -> Forward:
        """The first half of a step: a batch drawn as the network sees it, its scores and its loss, recorded."""
        return self._scored(self.batch(chosen), chosen)

    def batch(self, chosen: np.ndarray) -> Mixed:
        """A batch as the network sees it: augmented and mixed, where that is asked for. Drawn."""
        pipeline = self.settings.augment
        prepared = self.x[chosen]
        if pipeline.active:
            prepared = self.preprocessing.apply_all(pipeline.draw_all(self.raw[chosen], self.augment_rng))
        return pipeline.mix(prepared, self.augment_rng)

    def _scored(self, mixed: Mixed, chosen: np.ndarray) -> Forward:
        with watched() as calls:
            logits = self.model(Tensor(mixed.x))
        return Forward(mixed, calls, logits, mixed_loss(logits, self.y[chosen], mixed, self.settings.label_smoothing,
                                                        self.settings.loss))

    def update(self) -> None:
        """The second half, once the parameters have their gradients: clipping, the optimizer's step, the next rate."""
        if self.settings.clip_norm:
            clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        self.schedule.step()
