"""Where a training of the NumPy engine stands after an epoch, on disk: enough to go on to the very same weights."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from engine import layers
from engine.lr_scheduler import LRScheduler
from engine.optim import Optimizer
from playground.errors import PlaygroundError
from playground.home import whole
from playground.training.runs.events import Epoch, RateChanged, from_json, to_json

CHECKPOINT = "checkpoint.safetensors"


def digest(*arrays: np.ndarray) -> str:
    """One for the pictures and labels a training began with."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(repr((array.shape, array.dtype.str)).encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


class State:
    """What training has come to: the network's weights, the optimizer's memory, the schedule, and every generator of
    random numbers, those of dropout among them. `epoch` counts whole epochs, `history` tells of them."""

    def __init__(self, model: layers.Sequential, optimizer: Optimizer, schedule: LRScheduler,
                 generators: Mapping[str, np.random.Generator], data: str, asked: Mapping[str, Any]):
        self.model, self.optimizer, self.schedule, self.data = model, optimizer, schedule, data
        self.asked = json.loads(json.dumps(asked))  # as it comes back from the file
        dropouts = [layer for _, layer in model.named_modules() if isinstance(layer, layers.Dropout)]
        self.generators = {**generators, **{f"dropout-{k}": layer.rng for k, layer in enumerate(dropouts)}}
        self.epoch, self.seconds, self.history = 0, 0.0, list[Epoch | RateChanged]()
        self.factors, self.first_rates = list[float](), list(schedule.base_lrs)

    def validation_losses(self) -> list[float]:
        """After every epoch."""
        return [event.validation_loss for event in self.history if isinstance(event, Epoch)]

    def change_rate(self, factors: Sequence[float]) -> bool:
        """Go on with the schedule's rates times all these factors; whether some are new."""
        if len(factors) <= len(self.factors):
            return False
        self.factors = list(factors)
        self._schedule_at(self.schedule.last_epoch)
        return True

    def _schedule_at(self, steps: int) -> None:
        """Put the schedule where it is after so many steps."""
        self.schedule.base_lrs = [rate * math.prod(self.factors) for rate in self.first_rates]
        self.schedule.last_epoch = steps - 1
        self.schedule.step()

    def save(self, run_dir: Path, epoch: Epoch, seconds: float) -> None:
        """Write it whole or not at all, after an epoch and so many seconds of training."""
        self.history.append(epoch)
        self.epoch, self.seconds = epoch.epoch, seconds
        self.write(run_dir / CHECKPOINT)

    def write(self, path: Path) -> None:
        """Write it whole or not at all, as it is now."""
        kept = self.optimizer.state_dict()
        tensors = {f"model.{name}": np.asarray(array, order="C") for name, array in self.model.state_dict().items()}
        plain: dict[str, dict[str, Any]] = {}
        for place, memory in kept["state"].items():
            for name, value in memory.items():
                if isinstance(value, np.ndarray):
                    tensors[f"optimizer.{place}.{name}"] = np.asarray(value, order="C")
                else:
                    plain.setdefault(str(place), {})[name] = value
        said = {
            "epoch": self.epoch, "seconds": self.seconds, "history": [to_json(one) for one in self.history],
            "steps": self.schedule.last_epoch, "factors": self.factors,
            "memory": plain, "data": self.data, "asked": self.asked,
            "generators": {name: rng.bit_generator.state for name, rng in self.generators.items()},
        }
        with whole(path) as incoming:
            save_file(tensors, incoming, {"state": json.dumps(said)})

    def restore(self, run_dir: Path) -> bool:
        """Go back to the checkpoint in a run's folder, where there is one of what is asked; whether there was.

        Raises PlaygroundError when it is damaged, or of other pictures.
        """
        return (run_dir / CHECKPOINT).is_file() and self.read(run_dir / CHECKPOINT)

    def read(self, path: Path) -> bool:
        """Go back to what was written to a file, where it is of what is asked; whether it was. Raises as `restore`."""
        try:
            with safe_open(path, framework="numpy") as file:
                said = json.loads(file.metadata()["state"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            if said["asked"] != self.asked:
                return False
            same = said["data"] == self.data
            if same:
                self._take(said, tensors)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError,
                SafetensorError) as error:
            raise damaged() from error
        if not same:
            raise PlaygroundError("The pictures are no longer those this training began with: put them back as they "
                                  "were and let it go on, or start a new training.")
        return True

    def _take(self, said: Mapping[str, Any], tensors: Mapping[str, np.ndarray]) -> None:
        if not all(np.isfinite(array).all() for array in tensors.values()):
            raise ValueError("not all of it are numbers")
        self.model.load_state_dict({name.removeprefix("model."): array for name, array in tensors.items()
                                    if name.startswith("model.")})
        memory: dict[int, dict[str, Any]] = {int(place): dict(plain) for place, plain in said["memory"].items()}
        for name, array in tensors.items():
            if name.startswith("optimizer."):
                _, place, what = name.split(".", 2)
                memory.setdefault(int(place), {})[what] = array
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": memory})
        self.history = [event for line in said["history"] if isinstance(event := from_json(line), Epoch | RateChanged)]
        self.epoch, self.seconds = int(said["epoch"]), float(said["seconds"])
        if [event.epoch for event in self.history if isinstance(event, Epoch)] != list(range(1, self.epoch + 1)):
            raise ValueError("its epochs are not all there")
        for name, rng in self.generators.items():
            rng.bit_generator.state = said["generators"][name]
        self.factors = [float(factor) for factor in said.get("factors", ())]  # older ones know of none
        if not all(0 < factor < math.inf for factor in self.factors):
            raise ValueError("a change of its learning rate is no factor")
        self._schedule_at(int(said["steps"]))


def damaged() -> PlaygroundError:
    """The sentence for a checkpoint that nobody can go on from."""
    return PlaygroundError("The checkpoint of this run is damaged, so it cannot go on from there. What it has kept "
                           "of its weights can still be made a model; or start the training anew.")
