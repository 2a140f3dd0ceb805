"""How a run on a cluster is followed: attempt after attempt until one comes to the end, whatever becomes of nodes.

Nothing here knows Ray: a `Cluster` begins attempts and says what they tell. An attempt whose process or node is gone,
or that does not answer for `QUIET_SECONDS` (Ray takes a minute to see that a node hangs), is given up, and another one
goes on from the last checkpoint, which lies in the run's folder here. Attempts are numbered: what one tells that was
given up is not heard.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from playground.errors import PlaygroundError
from playground.numbers import counted
from playground.training.cluster import run_files
from playground.training.cluster.telling import Told
from playground.training.runs.events import Cancelled, Event, Exported, Finished, Queued, Resumed, Saved, Stage, Started

QUIET_SECONDS = 8.0
CHECKPOINT = "checkpoint.safetensors"  # every trainer's that keeps one
POLL_SECONDS = 0.25
SOON_SECONDS = 2.0
"""A node that has room answers by then; whoever waits longer is said to wait."""
MOST_LOST = 3
"""So many attempts in a row may come to nothing; one that saved an epoch counts anew."""


class LostError(Exception):
    """An attempt came to nothing through no fault of the run's; the text says how, without a full stop."""


@dataclass(frozen=True)
class Answer:
    """What an attempt tells: `over` is None as long as more may come, else "" or why there is nothing more."""

    attempt: int
    told: tuple[Told, ...] = ()
    over: str | None = None


class Attempt(Protocol):
    """An attempt at a run, somewhere on the cluster."""

    @property
    def host(self) -> str:
        """The machine it is on, once it has begun."""

    def begun(self, seconds: float) -> bool:
        """Whether it has begun; waits so long for that. Raises LostError."""

    def ask(self, said: Mapping[str, Any], seconds: float) -> Answer | None:
        """What happened since it was asked last; None when it does not answer in time. Raises LostError."""

    def avoid(self) -> None:
        """Its machine hangs: the next attempts are made elsewhere if they can."""

    def drop(self) -> None:
        """End it, whatever it does; twice is as good as once."""


class Cluster(Protocol):
    """Where attempts are made."""

    def begin(self, number: int) -> Attempt:
        """Have an attempt begin, from what is in the run's folder, as soon as there is room for it."""

    def room(self) -> int:
        """How many such runs could begin now."""


Turn = Callable[[], int]
"""How many runs of this server come first."""
Keep = Callable[[Told, Started, Finished], Event]
"""Puts an exported model where models are kept; the event that says so."""


def follow(cluster: Cluster, run_dir: Path, should_stop: Callable[[], bool], ahead: Turn, begun: Callable[[], None],
           keep: Keep) -> Iterator[Event]:
    """Everything that happens in a run. `begun` is called once, when the run has left the queue.

    Raises PlaygroundError when `MOST_LOST` attempts in a row came to nothing; what was saved is in the run's folder.
    """
    one = _Followed(cluster, run_dir, should_stop, ahead, begun, keep)
    while (yield from one.attempt()):
        pass


def turn(ahead: Turn, room: Callable[[], int], should_stop: Callable[[], bool]) -> Generator[Event, None, bool]:
    """Wait until no more runs come first than there is room for; whether it came to that, or was cancelled."""
    told = 0
    while (place := ahead()) >= max(1, room()):
        if should_stop():
            yield Cancelled(time.time())
            return False
        if place + 1 != told:
            told = place + 1
            yield Queued(told, time.time())
        time.sleep(POLL_SECONDS)
    if told:
        yield Queued(0, time.time())
    return True


class _Followed:
    def __init__(self, cluster: Cluster, run_dir: Path, should_stop: Callable[[], bool], ahead: Turn,
                 begun: Callable[[], None], keep: Keep):
        self.cluster, self.run_dir, self.should_stop = cluster, run_dir, should_stop
        self.ahead, self.begun, self.keep = ahead, begun, keep
        self.number, self.lost, self.epoch = 0, 0, 0
        self.started: Started | None = None
        self.finished: Finished | None = None
        self._sent: dict[str, int] = {}

    def attempt(self) -> Generator[Event, None, bool]:
        """One attempt; whether another one is to be made."""
        self.number += 1
        self._sent = {}
        if self.number == 1 and not (yield from turn(self.ahead, self.cluster.room, self.should_stop)):
            return False
        attempt = self.cluster.begin(self.number)
        try:
            if not (yield from self._place(attempt)):
                return False
            if self.number == 1:
                self.begun()
            yield Stage(f"training on {attempt.host}", 0, 1, time.time())
            while True:
                answer = attempt.ask(self._said(), QUIET_SECONDS)
                if answer is None:
                    attempt.avoid()
                    raise LostError(f"{attempt.host} has not answered for {QUIET_SECONDS:.0f} seconds")
                if answer.attempt != self.number:
                    continue
                for told in answer.told:
                    yield self._taken(told)
                if answer.over:
                    raise LostError(answer.over.rstrip("."))
                if answer.over is not None:
                    return False
        except LostError as error:
            attempt.drop()
            self._count(error)
            yield Resumed(time.time(), finishing=self.finished is not None)
            kept = self.finished is not None or (self.run_dir / CHECKPOINT).is_file()
            since = "goes on from what was saved" if kept else "begins again"
            yield Stage(f"{error}: the training {since}, elsewhere if it can", 0, 1, time.time())
            return True
        finally:
            attempt.drop()

    def _place(self, attempt: Attempt) -> Generator[Event, None, bool]:
        """Wait until there is room for an attempt; whether it came to that."""
        waits = not attempt.begun(SOON_SECONDS)
        if waits:
            yield Queued(1, time.time())
        while waits and not attempt.begun(POLL_SECONDS):
            if self.should_stop():
                yield Cancelled(time.time())
                return False
        if waits:
            yield Queued(0, time.time())
        return True

    def _said(self) -> dict[str, Any]:
        """What is to be known where the run trains: a wish to stop, and what pages wrote since it was said last."""
        asked = {}
        for name in run_files.ASKED:
            with suppress(OSError):
                when = (self.run_dir / name).stat().st_mtime_ns
                if self._sent.get(name) != when:
                    asked[name] = (self.run_dir / name).read_bytes()
                    self._sent[name] = when
        return {"stop": self.should_stop(), "asked": asked}

    def _taken(self, told: Told) -> Event:
        """Keep what came with an event; only then is it told."""
        run_files.write(self.run_dir, told.files, told.gone)
        event = told.event
        if isinstance(event, Started):
            self.started = event
        elif isinstance(event, Saved) and event.epoch > self.epoch:
            self.epoch, self.lost = event.epoch, 0
        elif isinstance(event, Finished):
            self.finished = event
        elif isinstance(event, Exported):
            if self.started is None or self.finished is None:
                raise RuntimeError("a model was exported of a training that did not say it started and finished")
            return self.keep(told, self.started, self.finished)
        return event

    def _count(self, error: LostError) -> None:
        self.lost += 1
        if self.lost >= MOST_LOST:
            raise PlaygroundError(f"The cluster lost this training {counted(self.lost, 'time')} in a row ({error}). "
                                  "What was saved is kept: let it go on when the cluster is well.") from error
