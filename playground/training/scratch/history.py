"""A training of the NumPy engine walked back: its network after any epoch, and after any step to the very same bits.

`at_epoch` reads float16 weights, at once; `replayed` goes from the nearest exact state on, with the same pictures in
the same order, by the code that trained (`training.Training`). What is kept, and what goes first where it is too much,
is said in `history_files`.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from playground.errors import PlaygroundError
from playground.home import read_json
from playground.numbers import count
from playground.training.runs.events import MOST
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history_files
from playground.training.scratch.history_files import STATE, WEIGHTS
from playground.training.scratch.losses import scoring
from playground.training.scratch.numpy_fit import TrainedNumpy, begun, load_trained
from playground.training.scratch.settings import TORCH
from playground.training.scratch.training import Training


def epochs(run_dir: Path) -> list[int]:
    """The epochs after which the weights are kept, 0 for the first weights. Empty where a run has no history."""
    return sorted(epoch for kind, epoch in history_files.kept(run_dir) if kind == WEIGHTS)


def steps(run_dir: Path) -> int:
    """How many steps of a run can be replayed. Raises PlaygroundError when it has no history, or PyTorch took them."""
    index = _index(run_dir)
    _demand_ours(index)
    return int(index["steps"])


def at_epoch(run_dir: Path, epoch: int) -> TrainedNumpy:
    """The network after an epoch, in evaluation mode, its weights rounded to float16.

    Raises PlaygroundError when the run has no history, or none of that epoch.
    """
    _index(run_dir)
    there = epochs(run_dir)
    if epoch not in there:
        said = f"it has those of epochs {_listed(there)}" if there else "they took too much room"
        raise PlaygroundError(f"This training has kept no weights of epoch {epoch}: {said}.")
    return load_trained(run_dir, history_files.path_of(run_dir, WEIGHTS, epoch))


def replayed(run_dir: Path, step: int) -> TrainedNumpy:
    """The network as it was after so many steps of training, to the same bits, in evaluation mode.

    Step 0 gives the first weights. Raises PlaygroundError when the run has no history or did not take so many steps,
    when its pictures are no longer the same, and when this machine computes other bits than the one that trained.
    """
    training, _ = training_at(run_dir, step)
    training.model.eval()
    return TrainedNumpy(training.model, training.preprocessing, training.train.classes,
                        network=scoring(training.network, training.x.shape[1:]), loss=training.settings.loss)


def training_at(run_dir: Path, step: int) -> tuple[Training, np.ndarray | None]:
    """A training after so many steps, ready for the next, and which of its pictures the next batch has (None after the
    last step of an epoch, when they are not drawn yet). Raises PlaygroundError as `replayed`."""
    index = _index(run_dir)
    _demand_ours(index)
    if not 0 <= step <= index["steps"]:
        raise PlaygroundError(f"There is no step {step} to go back to: this training has taken "
                              f"{count(index['steps'])} steps.")
    training = begun(RunSpec("digits", index["asked"]["request"], index["asked"]["seed"], ""),
                     history_files.threads_of(run_dir))
    if training.state.data != index["data"]:
        raise PlaygroundError("The pictures are no longer those this training began with, so it cannot be replayed: "
                              "put them back as they were.")
    if training.batches != index["batches"]:
        raise _damaged()
    _go_to_state(training, run_dir, step)
    batches = training.batches
    following: np.ndarray | None = None
    for epoch in range(training.state.epoch, -(-step // batches)):
        training.state.change_rate(index["factors"].get(str(epoch + 1), ()))
        training.model.train()
        order = training.order()
        here = min(batches, step - epoch * batches)
        for chosen in order[:here]:
            training.step(chosen)
        following = order[here] if here < batches else None
        if here == batches:
            _check(training, run_dir, epoch + 1)
    return training, following


def _demand_ours(index: Mapping[str, Any]) -> None:
    if index["asked"]["request"].get("engine") == TORCH:
        raise PlaygroundError("PyTorch computed the steps of this training, and only our engine takes steps up again: "
                              "look at the epochs that are kept, or train the same with our engine.")


def before_step(run_dir: Path, step: int) -> tuple[Training, np.ndarray]:
    """A training about to take the step after `step` steps, in training mode, and which pictures are in its batch: also
    where that is the first of an epoch. Raises PlaygroundError as `replayed`, and after the run's last step."""
    index = _index(run_dir)
    if step == index["steps"]:
        raise PlaygroundError(f"After {count(step)} steps this training was over: there is no step after that.")
    training, chosen = training_at(run_dir, step)
    if chosen is None:
        training.state.change_rate(index["factors"].get(str(step // training.batches + 1), ()))
        training.model.train()
        chosen = training.order()[0]
    return training, chosen


def _go_to_state(training: Training, run_dir: Path, step: int) -> None:
    """From the latest exact state that is not behind the step; where there is none, a training begins as it began."""
    there = [epoch for kind, epoch in history_files.kept(run_dir) if kind == STATE and epoch * training.batches <= step]
    if there and not training.state.read(history_files.path_of(run_dir, STATE, max(there))):
        raise _damaged()


def _check(training: Training, run_dir: Path, epoch: int) -> None:
    """Whether the replay has come to the weights that were kept after an epoch, where they were."""
    path = history_files.path_of(run_dir, WEIGHTS, epoch)
    if not path.is_file():
        return
    try:
        with safe_open(path, framework="numpy") as file:
            wanted = json.loads(file.metadata()["weights"])["digest"]
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _damaged() from error
    if wanted != history_files.digest_of(training.model.state_dict()):
        raise PlaygroundError(f"The replay comes to other numbers after epoch {epoch} than the training did: it was "
                              "trained on another machine or with other versions.")


def _index(run_dir: Path) -> dict[str, Any]:
    path = run_dir / history_files.FOLDER / history_files.INDEX
    if not path.is_file():
        raise PlaygroundError("This training has kept no history of its weights: only trainings from scratch keep one, "
                              "and those of earlier versions did not.")
    try:
        index = read_json(path)
        numbers = (index["version"], index["steps"], index["batches"])
        sound = all(isinstance(n, int) and 0 <= n < MOST for n in numbers) and index["batches"] > 0
        sound = sound and isinstance(index["asked"]["seed"], int) and isinstance(index["data"], str)
        sound = sound and all(0 < float(f) < math.inf for factors in index["factors"].values() for f in factors)
        if not sound or index["version"] != history_files.VERSION or not isinstance(index["asked"]["request"], dict):
            raise ValueError("it says something else")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged() from error
    return dict(index)


def _damaged() -> PlaygroundError:
    return PlaygroundError("The history of this training is damaged. Its last weights can still be used.")


def _listed(numbers: list[int]) -> str:
    """Whole numbers in order, neighbours together.

    >>> _listed([0, 1, 2, 4, 6, 7])
    '0 to 2, 4, 6 to 7'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
