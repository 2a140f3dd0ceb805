"""Whose turn it is: a file stands for every training that waits, and all of a server's wait in one queue.

First come, first served, between those of one workspace; between workspaces who has less under way goes first, so that
forty trainings of one reader make nobody wait for forty. The waiting processes read this: the standard library only.
"""

import fcntl
import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path

from playground import home
from playground.errors import PlaygroundError

QUEUE, PLACES = "queue", "places"
MOST_WAITING = 2
"""Trainings of one workspace of a class that may wait at once."""
_asker: ContextVar[str] = ContextVar("asker", default="")


@dataclass(frozen=True)
class Turn:
    """A training that waits: its kind, its folder, and the workspace it is done for ("" without a class)."""

    kind: str
    folder: Path
    workspace: str


def queue_dir() -> Path:
    """Where a file stands for every run that waits."""
    return _made(QUEUE)


def places_dir() -> Path:
    """Where a file is locked for every run that trains; it holds the run's workspace."""
    return _made(PLACES)


def asker() -> str:
    """The workspace that asks, also while the home is that of all; "" without a class."""
    return (_asker.get() or home.home().name) if home.is_class() else ""


@contextmanager
def asked_by(workspace: str) -> Iterator[None]:
    """Inside, this workspace is the one that asks, whatever the home is."""
    before = _asker.set(workspace)
    try:
        yield
    finally:
        _asker.reset(before)


def ask(folder: Path, kind: str) -> None:
    """Let the run in a folder wait for its turn."""
    _write(queue_dir() / folder.name, Turn(kind, folder, asker()))


def workspace_of(run_id: str) -> str:
    """The workspace that a run which waits is done for; "" without a class, or where that is forgotten."""
    turn = read(queue_dir() / run_id)
    return turn.workspace if turn is not None else ""


def forget(workspace: str) -> None:
    """Write down nowhere any more that a workspace asked, which is deleted: what it began in common with others goes
    on, for nobody."""
    for path in queue_dir().iterdir():
        turn = read(path)
        if turn is None or turn.workspace != workspace:
            continue
        if is_alive(turn.folder):
            _write(path, replace(turn, workspace=""))
        else:
            path.unlink(missing_ok=True)
    for path in places_dir().iterdir():
        with suppress(OSError):
            if path.read_text(encoding="utf-8") == workspace:
                os.truncate(path, 0)  # and it stays locked


def waiting() -> list[Turn]:
    """The living runs that wait, in the order they came; what the dead left is cleared."""
    found = []
    for path in sorted(queue_dir().iterdir()):
        turn = read(path)
        if turn is not None and is_alive(turn.folder):
            found.append(turn)
        elif turn is not None or _is_old(path):
            path.unlink(missing_ok=True)
    return found


def training() -> Counter[str]:
    """How many places each workspace holds."""
    return Counter(path.read_text(encoding="utf-8") for path in places_dir().iterdir() if _is_held(path))


def in_order(turns: Iterable[Turn], under_way: Mapping[str, int]) -> list[Turn]:
    """Who comes first: each workspace's first, then each one's second ..., what it has under way counted as well.

    >>> turns = [Turn("digits", Path(name), name[0]) for name in ("a1", "a2", "a3", "b1")]
    >>> [str(turn.folder) for turn in in_order(turns, {})]
    ['a1', 'b1', 'a2', 'a3']
    >>> [str(turn.folder) for turn in in_order(turns, {"a": 1})]
    ['b1', 'a1', 'a2', 'a3']
    """
    before = Counter(under_way)
    ranked = []
    for k, turn in enumerate(turns):
        ranked.append((before[turn.workspace], k, turn))
        before[turn.workspace] += 1
    return [turn for _, _, turn in sorted(ranked, key=lambda one: one[:2])]


def demand_room() -> None:
    """Raises PlaygroundError where a workspace of a class has as many trainings waiting as it may."""
    if home.is_class() and sum(turn.workspace == asker() for turn in waiting()) >= MOST_WAITING:
        raise PlaygroundError(f"{MOST_WAITING} of your trainings wait for their turn already, as many as one may have "
                              "in a class: start this one when one of them has begun, or cancel one.")


def is_alive(folder: Path) -> bool:
    """Whether the worker of the run in `folder` lives: whether somebody holds its lock."""
    return _is_held(folder / "worker")


def sign(folder: Path) -> None:
    """Write down that this process is the worker of the run in `folder`: who started it may have died before he did."""
    with suppress(FileNotFoundError), open(folder / "worker", "r+") as lock:
        lock.write(str(os.getpid()))


def _is_held(path: Path) -> bool:
    try:
        with open(path) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def read(path: Path) -> Turn | None:
    """What the file of a waiting run says; None when it is gone this moment, or half written."""
    try:
        kind, folder, workspace = json.loads(path.read_text(encoding="utf-8"))
        return Turn(str(kind), Path(folder), str(workspace))
    except (OSError, ValueError, TypeError):
        return None


def _is_old(path: Path) -> bool:
    """Whether nobody is writing a file at this moment: what it does not say yet it never will."""
    with suppress(OSError):
        return time.time() - path.stat().st_mtime > home.LEFT_SECONDS
    return False


def _write(path: Path, turn: Turn) -> None:
    path.write_text(json.dumps([turn.kind, str(turn.folder), turn.workspace]), encoding="utf-8")


def _made(name: str) -> Path:
    folder = home.shared() / ".runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
