"""Why a weight changed in a step of training: the optimizer's rules, the batch's pictures, the places in them.

Parts of parts, each level adding up to the one above: places to a picture's share, shares to the gradient, what each
rule makes of the gradient to the step that was really taken. What float32 rounded on the way is named, not hidden.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine import backward_steps
from engine.kernels.threads import exactly
from engine.optim import Optimizer, clip_grad_norm_
from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError
from playground.training.scratch import history
from playground.training.scratch.training import Training
from playground.view.asks import places
from playground.view.asks.places import Use
from playground.view.asks.steps import Terms, terms_of
from playground.view.trace import Array

COUPLED = ("batch_norm_training",)
"""Ops in which every picture's numbers depend on the whole batch."""


@dataclass(frozen=True, eq=False)
class Taken:
    """A step of training, taken, with all that is needed to take it apart for any weight.

    `number` counts from 1; `chosen` are the batch's pictures among those that are learnt from, `fed` what the network
    was given of them (N, C, H, W), after augmentation, `partners` the places of those that they were mixed with.
    Weights, gradients (as they came, and as clipped) and the optimizer's memory before the step are by the names of the
    weights. `clip` is what clipping multiplied all gradients with, `norm` their joint norm before. `loss` is the
    batch's.
    """

    number: int
    epoch: int
    chosen: np.ndarray
    labels: np.ndarray
    fed: Array
    partners: np.ndarray | None
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    optimizer: Optimizer
    settings: Mapping[str, Any]
    asked_rate: float
    norm: float
    clip: float
    loss: float
    before: Mapping[str, Array]
    after: Mapping[str, Array]
    gradients: Mapping[str, Array]
    clipped: Mapping[str, Array]
    memory: Mapping[str, Mapping[str, Any]]
    uses: Mapping[str, tuple[Use, ...]]
    coupled: bool

    @property
    def weights(self) -> tuple[str, ...]:
        """The names of the weights that have a gradient."""
        return tuple(self.uses)


@dataclass(frozen=True, eq=False)
class Push:
    """What one picture of the batch pushed a weight with: its place in the batch, its share of the gradient, and what
    that share became in the step. `places` add up to `gradient`; they are products of `inputs` and `arriving`."""

    at: int
    gradient: float
    step: float
    places: Array
    inputs: Array | None
    arriving: Array | None


@dataclass(frozen=True, eq=False)
class Why:
    """One weight's change in a step.

    `terms` add up, with `rounding`, to `moved`; the `gradient` of all pushes, with `gradient_rounding`, to what the
    engine computed in float32.
    """

    name: str
    index: tuple[int, ...]
    before: float
    after: float
    gradient: float
    clipped: float
    terms: Terms
    pushes: tuple[Push, ...]

    @property
    def moved(self) -> float:
        """The true step: the weight after it minus the weight before."""
        return self.after - self.before

    @property
    def rounding(self) -> float:
        """What float32 rounded off the step."""
        return self.moved - self.terms.step

    @property
    def summed(self) -> float:
        """The sum of the pictures' shares of the gradient."""
        return math.fsum(push.gradient for push in self.pushes)

    @property
    def gradient_rounding(self) -> float:
        """What float32 rounded off the gradient."""
        return self.gradient - self.summed


def taken(run_dir: Path, number: int) -> Taken:
    """A step of a run that has kept its history, counted from 1, taken once more with the same bits.

    Raises PlaygroundError as `history.training_at`, and where the run has no such step.
    """
    if number < 1:
        raise PlaygroundError("Steps of a training are counted from 1.")
    training, chosen = history.before_step(run_dir, number - 1)
    return take(training, chosen)


def take(training: Training, chosen: np.ndarray) -> Taken:
    """Take a training's next step, on these of its pictures, and keep what it was made of."""
    model, optimizer, settings = training.model, training.optimizer, training.settings
    named = dict(model.named_parameters())
    group = {name: value for name, value in optimizer.param_groups[0].items() if name != "params"}
    remembered = optimizer.state_dict()["state"]
    memory = {name: remembered.get(place, {}) for place, name in enumerate(named)}
    before = {name: weight.data.copy() for name, weight in named.items()}
    number = training.schedule.last_epoch + 1
    with exactly(training.threads):
        forward = training.forward(chosen)
        model.zero_grad()
        names = {id(weight): name for name, weight in named.items()}
        uses: dict[str, list[Use]] = {}
        coupled = False
        for step in backward_steps(forward.loss):
            coupled = coupled or step.op.name in COUPLED
            for position, x in enumerate(step.inputs):
                if x is not None and id(x) in names:
                    inputs = tuple(None if one is None else before.get(names.get(id(one), ""), one.data)
                                   for one in step.inputs)
                    uses.setdefault(names[id(x)], []).append(
                        Use(step.op, inputs, step.options, position, step.gradient))
        gradients = {name: named[name].grad for name in named if name in uses}
        norm = clip_grad_norm_(model.parameters(), math.inf)
        training.update()
    clipped = {name: named[name].grad for name in uses}
    clip = min(1.0, settings.clip_norm / (norm + 1e-6)) if settings.clip_norm else 1.0
    mixed = forward.mixed
    return Taken(
        number, (number - 1) // training.batches + 1, chosen, training.y[chosen], mixed.x,
        mixed.partner if mixed.share < 1 else None, training.preprocessing, training.train.classes,
        optimizer, group, settings.learning_rate, norm, clip, forward.loss.item(), before,
        {name: weight.data.copy() for name, weight in named.items()},
        {name: np.asarray(g) for name, g in gradients.items()}, {name: np.asarray(g) for name, g in clipped.items()},
        memory, {name: tuple(found) for name, found in uses.items()}, coupled)


def why(step: Taken, name: str, index: tuple[int, ...]) -> Why:
    """One weight's change in a step taken apart. Raises PlaygroundError when the network has no such weight."""
    if name not in step.uses:
        raise PlaygroundError(f"This training moves no weights called {name[:40]}.")
    shape = step.before[name].shape
    if len(index) != len(shape) or any(not 0 <= i < n for i, n in zip(index, shape, strict=True)):
        sizes = " × ".join(map(str, shape))
        raise PlaygroundError(f"The weights {name} are {sizes}: there is none at {', '.join(map(str, index))}.")
    memory = {key: float(value[index]) if isinstance(value, np.ndarray) else float(value)
              for key, value in step.memory[name].items()}
    weight, clipped = float(step.before[name][index]), float(step.clipped[name][index])
    terms = terms_of(step.optimizer, step.settings, memory, weight, clipped)
    pushed = [places.pushes(use, index) for use in step.uses[name]]
    only = places.factors(step.uses[name][0], index) if len(pushed) == 1 else None
    found = []
    for n in range(len(step.chosen)):
        # The places of a weight that several ops use are not of one grid: there each op's share stands for them.
        here = pushed[0][n] if len(pushed) == 1 else np.array([math.fsum(each[n].ravel()) for each in pushed])
        gradient = math.fsum(np.ravel(here))
        found.append(Push(n, gradient, terms.factor * step.clip * gradient, np.asarray(here),
                          None if only is None else np.asarray(only[0][n]),
                          None if only is None else np.asarray(only[1][n])))
    return Why(name, index, weight, float(step.after[name][index]), float(step.gradients[name][index]), clipped, terms,
               tuple(found))
