"""Learning-rate schedules with the names and arguments of torch.optim.lr_scheduler.

Each sets the optimizer's learning rates when made and again at every `.step()`, by a formula of how many steps were
taken; `get_last_lr()` tells them.
"""

import math
from collections.abc import Sequence
from typing import Any, Protocol

from engine.core import RefusedArgument


class Optimizer(Protocol):
    """What a schedule uses of an optimizer: the groups of its parameters, each with a learning rate "lr"."""

    param_groups: list[dict[str, Any]]


class LRScheduler:
    """What all schedules share: counting, and setting every group's learning rate to `factor(t, base)`."""

    def __init__(self, optimizer: Optimizer):
        self.optimizer = optimizer
        self.base_lrs = []
        for group in optimizer.param_groups:  # the first schedule of an optimizer decides what it began with
            self.base_lrs.append(group.setdefault("initial_lr", group["lr"]))
        self.last_epoch = 0
        self._set()

    def rate(self, t: int, base: float) -> float:
        """The learning rate after t steps where it began with `base`."""
        raise NotImplementedError

    def step(self) -> None:
        self.last_epoch += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def _set(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.rate(self.last_epoch, base)


class StepLR(LRScheduler):
    """Multiplied by gamma every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        return base * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """Multiplied by gamma at each of the milestones."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        return base * self.gamma ** sum(t >= m for m in self.milestones)


class ExponentialLR(LRScheduler):
    """Multiplied by gamma every step."""

    def __init__(self, optimizer: Optimizer, gamma: float):
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        return float(base * self.gamma**t)


class CosineAnnealingLR(LRScheduler):
    """Half a cosine wave from the first rate down to eta_min in T_max steps. Source: Loshchilov and Hutter, 2016."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class LinearLR(LRScheduler):
    """Warm-up: from start_factor to end_factor of the first rate in total_iters steps, on a straight line."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3, end_factor: float = 1.0, total_iters: int = 5
    ):
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(f"the factors are shares of the learning rate, not {start_factor} and {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        done = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * done)


class OneCycleLR(LRScheduler):
    """Up from max_lr/div_factor to max_lr, then down to far below, in total_steps steps. Source: Smith, 2018.

    One step a batch. `anneal_strategy` is 'cos' or 'linear'; momentum is left alone, as with cycle_momentum=False.
    """

    def __init__(
        self, optimizer: Optimizer, max_lr: float, total_steps: int | None = None, epochs: int | None = None,
        steps_per_epoch: int | None = None, pct_start: float = 0.3, anneal_strategy: str = "cos",
        cycle_momentum: bool = False, base_momentum: float = 0.85, max_momentum: float = 0.95,
        div_factor: float = 25.0, final_div_factor: float = 1e4,
    ):
        if cycle_momentum:
            raise RefusedArgument("OneCycleLR", "cycle_momentum", "the momentum is left alone: give False")
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ValueError("OneCycleLR needs total_steps, or epochs and steps_per_epoch")
            total_steps = epochs * steps_per_epoch
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy is 'cos' or 'linear', not {anneal_strategy!r}")
        self.max_lr, self.total_steps, self.anneal_strategy = max_lr, total_steps, anneal_strategy
        self.top = pct_start * total_steps - 1  # where the rate is largest
        self.initial_lr = max_lr / div_factor
        self.min_lr = self.initial_lr / final_div_factor
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        last = self.total_steps - 1
        if t > last:
            raise ValueError(f"OneCycleLR was made for {self.total_steps} steps, this would be step {t + 1}")
        if t <= self.top:
            return self._between(self.initial_lr, self.max_lr, t / self.top if self.top else 1.0)
        return self._between(self.max_lr, self.min_lr, (t - self.top) / (last - self.top))

    def _between(self, start: float, end: float, done: float) -> float:
        if self.anneal_strategy == "linear":
            return start + (end - start) * done
        return end + (start - end) * (1 + math.cos(math.pi * done)) / 2


class SequentialLR(LRScheduler):
    """Schedules one after the other: the next takes over, from its own beginning, at each milestone."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]):
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(f"{len(schedulers)} schedules need {len(schedulers) - 1} milestones between them")
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer)

    def rate(self, t: int, base: float) -> float:
        turn = sum(t >= m for m in self.milestones)
        return self.schedulers[turn].rate(t - ([0, *self.milestones][turn]), base)
