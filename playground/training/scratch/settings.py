"""The settings of a training from scratch: what a request may say besides the data and the network, and what of the
engine each of it names."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from engine import Tensor, init, layers
from engine.lr_scheduler import CosineAnnealingLR, ExponentialLR, LinearLR, LRScheduler, SequentialLR, StepLR
from engine.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from playground.datasets.augmentation import Augmentation
from playground.errors import PlaygroundError
from playground.network.presets import PRESETS
from playground.training.scratch.losses import CROSS_ENTROPY, HINGE, LOSSES

MOST = 10**6
"""No count is larger."""
MOMENTUM, WARMUP_SHARE, WARMUP_FROM = 0.9, 0.1, 0.1
NORMAL_STD = 0.01
OURS, TORCH = ENGINES = ("ours", "torch")
"""Who computes scores, loss and gradients: our engine, or PyTorch."""
RATE = "rate.jsonl"
"""The file in a run's folder with the factors that were asked for, one a line."""
SMALLEST_FACTOR, LARGEST_FACTOR = 1e-3, 1e3

OPTIMIZERS: Mapping[str, Callable[..., Optimizer]] = {
    "sgd": SGD, "momentum": partial(SGD, momentum=MOMENTUM), "nesterov": partial(SGD, momentum=MOMENTUM, nesterov=True),
    "adam": Adam, "adamw": AdamW, "rmsprop": RMSprop,
}
SCHEDULES: Mapping[str, Callable[[Optimizer, int], LRScheduler]] = {
    "cosine": lambda optimizer, steps: CosineAnnealingLR(optimizer, T_max=steps),
    "constant": lambda optimizer, steps: ExponentialLR(optimizer, gamma=1.0),
    "step": lambda optimizer, steps: StepLR(optimizer, step_size=math.ceil(steps / 3), gamma=0.1),
    "linear": lambda optimizer, steps: LinearLR(optimizer, 1.0, 0.0, total_iters=steps),
    "warmup": lambda optimizer, steps: _warmup(optimizer, steps),
}
INITS: Mapping[str, Callable[[Tensor, np.random.Generator], Tensor] | None] = {
    "default": None,
    "kaiming": lambda weight, rng: init.kaiming_normal_(weight, nonlinearity="relu", rng=rng),
    "xavier": lambda weight, rng: init.xavier_uniform_(weight, rng=rng),
    "normal": lambda weight, rng: init.normal_(weight, std=NORMAL_STD, rng=rng),
    "zeros": lambda weight, rng: init.zeros_(weight),
}


@dataclass(frozen=True)
class Settings:
    """How a network is trained from scratch; the defaults are the usual training.

    `optimizer` is a name of OPTIMIZERS ("momentum" and "nesterov" are SGD with 0.9), each with its `weight_decay` as in
    torch.optim: AdamW shrinks the weights, the others add it to the gradient. `schedule` is a name of SCHEDULES, a step
    a mini-batch: "cosine" and "linear" fall to 0, "step" is a tenth after each third of the steps, "warmup" rises from
    a tenth in the first tenth of the steps and then falls along half a cosine. `loss` is one of LOSSES, learnt from and
    told of. `label_smoothing` is the share of the label that is spread over all classes, 0 with the hinge. Gradients
    are scaled down to a joint norm of `clip_norm`, 0 leaves them.

    `init` is a name of INITS for the weights of convolutions and dense layers (all but "default" begin with biases of
    0); `weights_gain` multiplies these weights; `first_bias` is what their biases begin with, but for the last layer's,
    which gives the scores. Without `normalize` the network sees 0..255. At most `train_pictures` learn, of every class
    its share, 0 for all; which validate does not change. After `early_stopping` epochs without a better validation loss
    training is over, 0 for never. The weights that are kept are always those of the last epoch, not of the best.
    `engine` is one of ENGINES: what is learnt differs by rounding, and in what dropout leaves out.
    """

    epochs: int = 15
    batch_size: int = 32
    learning_rate: float = 0.003
    optimizer: str = "adam"
    schedule: str = "cosine"
    loss: str = CROSS_ENTROPY
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    clip_norm: float = 0.0
    init: str = "default"
    weights_gain: float = 1.0
    first_bias: float | None = None
    normalize: bool = True
    train_pictures: int = 0
    early_stopping: int = 0
    engine: str = OURS
    augment: Augmentation = field(default_factory=Augmentation)

    @classmethod
    def from_request(cls, request: Mapping[str, Any]) -> "Settings":
        """The settings of a run's request, in which what is usual may be left out.

        Raises PlaygroundError with one sentence for the first value that is wrong.

        >>> Settings.from_request({"data": "digits", "optimizer": "sgd"}).optimizer
        'sgd'
        """
        given = {one.name: request[one.name] for one in fields(cls) if one.name in request}
        for name, value in given.items():
            right, words = _RIGHT[name]
            if not right(value):
                raise PlaygroundError(f"With {name.replace('_', ' ')} {_shown(value)} there is no training: it has to "
                                      f"be {words}.")
        given |= {name: float(given[name]) for name in _REAL if given.get(name) is not None}
        if "augment" in given:
            given["augment"] = Augmentation.from_dict(given["augment"])
        found = cls(**given)
        if found.loss == HINGE and found.label_smoothing:
            raise PlaygroundError("The hinge loss knows one right class, no shares of a label: label smoothing has to "
                                  "be 0 with it.")
        return found


def with_preset(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with the settings of the preset it names, where it does not say them itself.

    >>> with_preset({"network": "dead-relus", "epochs": 3})
    {'first_bias': -5.0, 'network': 'dead-relus', 'epochs': 3}
    """
    preset = PRESETS.get(str(request.get("network")))
    return {**(preset.settings if preset else {}), **request}


def optimizer_of(settings: Settings, parameters: Iterable[Tensor]) -> Optimizer:
    """The engine's optimizer."""
    return OPTIMIZERS[settings.optimizer](parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def schedule_of(settings: Settings, optimizer: Optimizer, steps: int) -> LRScheduler:
    """The engine's schedule for a training of so many mini-batches in all."""
    return SCHEDULES[settings.schedule](optimizer, steps)


def rates(settings: Settings, steps: int) -> np.ndarray:
    """The learning rate at each of so many steps, (steps,): those the trainer takes, while nobody changes it in flight.

    >>> rates(Settings(schedule="step", learning_rate=1.0), 6).round(2).tolist()
    [1.0, 1.0, 0.1, 0.1, 0.01, 0.01]
    """
    schedule = schedule_of(settings, optimizer_of(settings, [Tensor([0.0], requires_grad=True)]), steps)
    return np.array([schedule.rate(step, settings.learning_rate) for step in range(steps)])


def first_weights(model: layers.Module, settings: Settings, rng: np.random.Generator) -> None:
    """Change a new network's weights, in place, to those that training begins with."""
    weighty = [module for _, module in model.named_modules() if _weight(module) is not None]
    fill = INITS[settings.init]
    for module in weighty:
        weight, bias = _weight(module), getattr(module, "bias", None)
        assert weight is not None
        if fill is not None:
            fill(weight, rng)
            if bias is not None:
                init.zeros_(bias)
        if settings.weights_gain != 1:
            weight.data *= settings.weights_gain
        if settings.first_bias is not None and bias is not None and module is not weighty[-1]:
            init.constant_(bias, settings.first_bias)


def stalled(losses: list[float], patience: int) -> bool:
    """Whether none of the last `patience` validation losses is better than the best before; never where it is 0.

    >>> stalled([3.0, 2.0, 2.5, 2.1], 2), stalled([3.0, 2.0, 2.5, 1.9], 2)
    (True, False)
    """
    best = min(range(len(losses)), key=lambda k: math.inf if math.isnan(losses[k]) else losses[k], default=0)
    return 0 < patience <= len(losses) - 1 - best


# --- the learning rate, changed in flight ---


def ask_rate(run_dir: Path, factor: float) -> None:
    """Ask the run in a folder to go on with its learning rates times `factor`, from the next epoch that begins.

    Each factor asked counts, and on top of those before. Raises PlaygroundError when there is no such run, or the
    factor is none from 0.001 to 1000.
    """
    if not (_is_real(factor) and SMALLEST_FACTOR <= factor <= LARGEST_FACTOR):
        raise PlaygroundError(f"A learning rate is changed by a factor from {SMALLEST_FACTOR:g} to {LARGEST_FACTOR:g}, "
                              f"not {_shown(factor)}.")
    if not run_dir.is_dir():
        raise PlaygroundError(f"There is no run {run_dir.name} whose learning rate could be changed.")
    with open(run_dir / RATE, "a", encoding="utf-8") as file:
        file.write(json.dumps({"factor": float(factor)}) + "\n")


def asked_factors(run_dir: Path) -> list[float]:
    """The factors that were asked of a run, in order; a line that says none counts as 1."""
    try:
        lines = (run_dir / RATE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [_factor(line) for line in lines]


def _factor(line: str) -> float:
    try:
        factor = json.loads(line)["factor"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 1.0
    return float(factor) if _is_real(factor) and SMALLEST_FACTOR <= factor <= LARGEST_FACTOR else 1.0


def _warmup(optimizer: Optimizer, steps: int) -> LRScheduler:
    rising = max(1, round(WARMUP_SHARE * steps))
    return SequentialLR(optimizer, [LinearLR(optimizer, WARMUP_FROM, total_iters=rising),
                                    CosineAnnealingLR(optimizer, T_max=max(1, steps - rising))], [rising])


def _weight(module: layers.Module) -> Tensor | None:
    """The weights of a convolution or a dense layer; None for all others, those that normalise among them."""
    weight = getattr(module, "weight", None)
    return weight if isinstance(weight, Tensor) and weight.ndim >= 2 else None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST


def _is_real(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _one_of(names: Iterable[str]) -> tuple[Callable[[Any], bool], str]:
    allowed = tuple(names)
    return lambda value: isinstance(value, str) and value in allowed, f"{', '.join(allowed[:-1])} or {allowed[-1]}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text) if isinstance(value, str) and len(text) <= 40 else text[:40]


_REAL = ("learning_rate", "weight_decay", "label_smoothing", "clip_norm", "weights_gain", "first_bias")
_RIGHT: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "epochs": (lambda v: _is_whole(v) and v >= 1, "a whole number of 1 or more"),
    "batch_size": (lambda v: _is_whole(v) and v >= 2, "a whole number of 2 or more"),
    "learning_rate": (lambda v: _is_real(v) and v > 0, "a number above 0"),
    "optimizer": _one_of(OPTIMIZERS),
    "schedule": _one_of(SCHEDULES),
    "loss": _one_of(LOSSES),
    "weight_decay": (lambda v: _is_real(v) and 0 <= v <= 1, "a number from 0 to 1"),
    "label_smoothing": (lambda v: _is_real(v) and 0 <= v < 1, "a number from 0 to below 1"),
    "clip_norm": (lambda v: _is_real(v) and v >= 0, "a number above 0, or 0 for no clipping"),
    "init": _one_of(INITS),
    "weights_gain": (lambda v: _is_real(v) and 0 < v <= MOST, "a number above 0"),
    "first_bias": (lambda v: v is None or (_is_real(v) and abs(v) <= MOST), "a number"),
    "normalize": (lambda v: isinstance(v, bool), "true or false"),
    "train_pictures": (lambda v: _is_whole(v) and (v == 0 or v >= 2), "a whole number of 2 or more, or 0 for all"),
    "early_stopping": (lambda v: _is_whole(v) and v >= 0, "a whole number of epochs, or 0 for never"),
    "engine": _one_of(ENGINES),
    "augment": (lambda v: isinstance(v, Mapping), "steps with a number each"),
}
"""What a value has to be, and the words for it."""
