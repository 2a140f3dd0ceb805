"""The weights of a training under way, on disk while somebody looks: written here, read by `live`.

    RUN/watched             touched by whoever looks; for `WATCHED_SECONDS` the training shows its weights
        live.safetensors    the weights after the latest step that was shown, as float16, and which step that was

A training that nobody watches compares two numbers a step and looks for the file twice a second. Writing changes
nothing of what is learnt, and takes at most 2.5 % of the time, however large the network is.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import save_file

from engine import layers
from playground.home import whole
from playground.training.scratch.history_files import half

WATCHED, LIVE, META = "watched", "live.safetensors", "live"
WATCHED_SECONDS = 4.0
BETWEEN_SECONDS = 0.5
SHARE = 0.025
"""Of the time between two writings, writing takes at most so much."""


@dataclass(frozen=True)
class Position:
    """Where a training stood: in which epoch (from 1), after which of its batches, after how many steps of the run.

    `version` is another number at every writing, the later the larger.
    """

    epoch: int
    batch: int
    step: int
    version: int


class Live:
    """Shows the weights of the training in a folder while somebody watches."""

    def __init__(self, run_dir: Path, clock: Callable[[], float] = time.monotonic):
        self._folder, self._clock, self._next, self._version = run_dir, clock, clock(), 0

    def stepped(self, model: layers.Module, epoch: int, batch: int, step: int) -> None:
        """A step was taken. A full disk is no reason not to train: nothing is shown then."""
        began = self._clock()
        if began < self._next:
            return
        self._next = began + BETWEEN_SECONDS
        if not self._watched():
            return
        self._version = max(self._version + 1, time.time_ns() // 1_000_000)
        said = json.dumps(asdict(Position(epoch, batch, step, self._version)))
        with suppress(OSError, SafetensorError), whole(self._folder / LIVE) as incoming:
            save_file({name: half(array) for name, array in model.state_dict().items()}, incoming, {META: said})
        ended = self._clock()
        self._next = max(self._next, ended + (ended - began) * (1 / SHARE - 1))

    def _watched(self) -> bool:
        try:
            return time.time() - (self._folder / WATCHED).stat().st_mtime < WATCHED_SECONDS
        except OSError:
            return False


@contextmanager
def showing(run_dir: Path) -> Iterator[Live]:
    """A training goes on meanwhile; nothing is left of what it showed, nor of what one showed that was killed."""
    _clear(run_dir)
    try:
        yield Live(run_dir)
    finally:
        _clear(run_dir)


def _clear(run_dir: Path) -> None:
    with suppress(OSError):
        (run_dir / LIVE).unlink(missing_ok=True)
        (run_dir / WATCHED).unlink(missing_ok=True)
