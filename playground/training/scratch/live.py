"""A training of the NumPy engine as it is now, for whoever looks: `watch` has it show its weights, `latest` reads them.

    watch(run_dir)                          at every look; the first weights come within half a second of training
    found = position(run_dir)               quick: whether there is something newer than what one has
    network, found = latest(run_dir)

When a training has ended, nothing is shown: its history has the last weights.
"""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from playground.errors import PlaygroundError
from playground.training.runs.events import MOST
from playground.training.scratch.live_files import LIVE, META, WATCHED, Position
from playground.training.scratch.numpy_fit import TrainedNumpy, trained_with

__all__ = ["Position", "latest", "position", "watch"]


def watch(run_dir: Path) -> None:
    """Somebody looks: for the next seconds the training in this folder shows its weights, twice a second."""
    with suppress(OSError):  # no room, or no such folder: then nothing will be there to read, and that is said
        (run_dir / WATCHED).touch()


def position(run_dir: Path) -> Position | None:
    """Where the training stood when it last showed its weights; None where it shows none (yet, or any more)."""
    try:
        with safe_open(run_dir / LIVE, framework="numpy") as file:
            return _position(file.metadata())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _damaged() from error


def latest(run_dir: Path) -> tuple[TrainedNumpy, Position]:
    """The network as a training under way showed it last, in evaluation mode, its weights rounded to float16, and when
    that was. Raises PlaygroundError where nothing is shown."""
    try:
        with safe_open(run_dir / LIVE, framework="numpy") as file:  # opened once: a newer file may take its place
            found = _position(file.metadata())
            weights: dict[str, np.ndarray] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise PlaygroundError("This training shows no weights just now: it has not begun, has ended, or was not "
                              "watched so far.") from error
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise _damaged() from error
    return trained_with(run_dir, weights), found


def _position(metadata: dict[str, str] | None) -> Position:
    found = Position(**json.loads((metadata or {})[META]))
    if not all(isinstance(n, int) and 0 <= n < MOST for n in (found.epoch, found.batch, found.step, found.version)):
        raise ValueError("it says something else")
    return found


def _damaged() -> PlaygroundError:
    return PlaygroundError("What this training shows of its weights is damaged. It goes on all the same.")
