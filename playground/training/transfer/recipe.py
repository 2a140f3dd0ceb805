"""What may be asked of a transfer run: three ways to train on photographs, and what each starts from. No torch in here.

    frozen      the pretrained network stays as it is; a new head is trained on what it sees (seconds)
    fine-tune   the head first, then its last blocks or all of it, with small steps
    scratch     a small network from random weights, on the same photographs: what the pretrained one is worth
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from playground.datasets.augmentation import Augmentation
from playground.errors import PlaygroundError
from playground.training.transfer.imported import is_imported

FROZEN, FINE_TUNE, SCRATCH = "frozen", "fine-tune", "scratch"
LINEAR, HIDDEN, SIGMOID = "linear", "hidden", "sigmoid"
KEPT, BATCH = "kept", "batch"
HEADS = (LINEAR, HIDDEN, SIGMOID)
ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "sigmoid")
ALL_BLOCKS = 99
"""More blocks than any network has: all of it is trained."""
SMALLEST, LARGEST = 32, 512
"""Pixels a side a network may be asked to look at."""

_HEAD = {"head": LINEAR, "hidden": 128, "dropout": 0.0, "activation": "relu"}
_LOOP: dict[str, Any] = {"augment": {}, "label_smoothing": 0.1, "warmup": 0.1, "ema": 0.0, "patience": 0,
                         "compile": False}
RECIPES: dict[str, dict[str, Any]] = {
    FROZEN: {"backbone": "efficientnet_lite0", "epochs": 20, "batch_size": 32, "learning_rate": 1e-3,
             "weight_decay": 1e-2, "image_size": 0, **_HEAD},
    FINE_TUNE: {"backbone": "efficientnet_lite0", "epochs": 6, "batch_size": 32, "learning_rate": 2e-4,
                "weight_decay": 1e-2, "image_size": 0, **_HEAD, **_LOOP, "blocks": 3, "layer_decay": 0.8,
                "batch_norm": KEPT, "head_epochs": 20},
    SCRATCH: {"epochs": 30, "batch_size": 32, "learning_rate": 2e-3, "weight_decay": 5e-2, "image_size": 96,
              **_HEAD, **_LOOP, "dropout": 0.3},
}
"""What a run of each mode knows, and the defaults, chosen by cross-validation on training photographs."""

# Least and most of what is a number, in the order they are refused.
_LIMITS: dict[str, tuple[float, float]] = {
    "epochs": (1, 1e6), "batch_size": (1, 1e6), "learning_rate": (0.0, 1e6), "weight_decay": (0.0, 1e6),
    "hidden": (1, 1e5), "dropout": (0.0, 0.95), "blocks": (1, 1e3), "layer_decay": (0.05, 1.0),
    "label_smoothing": (0.0, 0.5), "warmup": (0.0, 0.9), "ema": (0.0, 0.9999), "patience": (0, 1e6),
    "head_epochs": (0, 1e4),
}
_WHOLE = ("epochs", "batch_size", "hidden", "blocks", "patience", "head_epochs")
_CHOICES = {"head": HEADS, "activation": ACTIVATIONS, "batch_norm": (KEPT, BATCH), "compile": (True, False)}


@dataclass(frozen=True)
class Request:
    """A transfer run's request with its mode's defaults filled in.

    `image_size` 0 is the backbone's own. `blocks` counts from the network's end, ALL_BLOCKS is all of them; the block i
    places before the last learns at `learning_rate` · layer_decay^i, the head at `learning_rate`. `warmup` is the share
    of the steps in which the rate rises, `ema` the decay of the averaged weights (0: none), `patience` the epochs
    without a better validation loss after which training ends (0: never).
    """

    data: str
    mode: str = FROZEN
    backbone: str = "efficientnet_lite0"
    epochs: int = 20
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    image_size: int = 0
    head: str = LINEAR
    hidden: int = 128
    dropout: float = 0.0
    activation: str = "relu"
    blocks: int = 3
    layer_decay: float = 0.8
    batch_norm: str = KEPT
    head_epochs: int = 20
    label_smoothing: float = 0.0
    warmup: float = 0.0
    ema: float = 0.0
    patience: int = 0
    compile: bool = False
    augment: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> "Request":
        """The request of a run. Raises PlaygroundError naming what is missing, unknown or out of range."""
        mode = asked.get("mode", FROZEN)
        if mode not in RECIPES:
            raise PlaygroundError(f"There is no mode {mode!r}: choose {', '.join(RECIPES)}.")
        if mode == FROZEN and asked.get("augment"):
            raise PlaygroundError("Augmentation changes the pictures anew each epoch, but in frozen mode each goes "
                                  "through the network only once: choose fine-tune or scratch for it.")
        known = {field.name for field in fields(cls)}
        given = {name: value for name, value in asked.items() if not (name == "augment" and not value)}
        if unknown := sorted(set(given) - known):
            raise PlaygroundError(f"A transfer run does not know {unknown[0]!r}.")
        if unused := sorted(set(given) - set(RECIPES[mode]) - {"data", "mode"}):
            raise PlaygroundError(f"Training in {mode} mode has no {unused[0]!r}.")
        if "data" not in asked:
            raise PlaygroundError("A transfer run needs photographs: a folder, or faces.")
        request = cls(**{**RECIPES[mode], **given})
        request._check()
        return request

    def _check(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value, kind = getattr(self, name), int if name in _WHOLE else int | float
            right = isinstance(value, kind) and not isinstance(value, bool)
            if not right or math.isnan(value) or not least <= value <= most:
                raise PlaygroundError(f"{name.replace('_', ' ').capitalize()} cannot be {value!r}.")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise PlaygroundError(f"{name.replace('_', ' ').capitalize()} cannot be {getattr(self, name)!r}: "
                                      f"choose from {', '.join(map(str, choices))}.")
        if is_imported(self.backbone) and self.mode == FINE_TUNE:
            raise PlaygroundError("Of a network that came as an ONNX file only the last layer is trained here: choose "
                                  "the mode frozen.")
        size = self.image_size
        if is_imported(self.backbone) and size:
            raise PlaygroundError("A network that came as an ONNX file keeps the picture size it was taken with.")
        if not isinstance(size, int) or (size and not SMALLEST <= size <= LARGEST):
            raise PlaygroundError(f"Image size cannot be {size!r}: {SMALLEST} to {LARGEST} pixels a side, or 0 for "
                                  "what the network learnt at.")
        Augmentation.from_dict(self.augment)


def rate(step: int, steps: int, warmup: float) -> float:
    """The share of the learning rate at a step: rising evenly for the first part, then falling along half a cosine.

    >>> [round(rate(k, 10, 0.2), 3) for k in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.038]
    """
    rising = min(round(warmup * steps), steps - 1)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising)))
