"""The workspaces of a class: who has one, what it takes of the disk, and how it goes.

A workspace is a home of its own (`playground.home`) beside a note of what its owner calls himself, where he was last
and when:

    .class/workspaces/<id>/who.json     {"name": "...", "page": "convolution", "seen": 1764500000.0, "born": 17645...}
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from playground import home
from playground.classroom import keys
from playground.errors import PlaygroundError
from playground.training.runs import class_runs, runs

WHO, LOCK, GONE = "who.json", "notes.lock", ".gone"
EXPIRE_DAYS = 30
"""A workspace in which nothing happened for so long goes."""
HERE_SECONDS = 300.0
"""Who was seen within so long counts as here."""
SEEN_EVERY_SECONDS = 30.0
"""How often it is noted that somebody stays on a page."""
LONGEST_NAME = 40
_ID = re.compile(r"[0-9a-f]{24}")


@dataclass(frozen=True)
class Workspace:
    """One workspace: its id (which opens nothing), its home, and what it says of its owner. `born` is when its note was
    begun (nanoseconds since 1970), 0 where it has none: one that was deleted and is used again is born again."""

    id: str
    home: Path
    name: str = ""
    page: str = ""
    seen: float = 0.0
    born: int = 0

    @property
    def is_here(self) -> bool:
        return time.time() - self.seen < HERE_SECONDS

    @property
    def called(self) -> str:
        """Its owner's name; a short number where he gave none."""
        return self.name or f"reader {self.id[:4]}"


def all_of_them() -> list[Workspace]:
    """Every workspace, who was seen last first."""
    folder = home.shared() / keys.WORKSPACES
    found = [at(one) for one in folder.iterdir() if _ID.fullmatch(one.name)] if folder.is_dir() else []
    return sorted(found, key=lambda one: (-one.seen, one.id))


def at(place: Path) -> Workspace:
    """The workspace whose home this is. A note that is damaged says nothing."""
    said: object = None
    with suppress(OSError, ValueError):
        said = home.read_json(place / WHO)
    said = said if isinstance(said, dict) else {}
    name, page, seen, born = (said.get(key) for key in ("name", "page", "seen", "born"))
    return Workspace(place.name, place, str(name) if isinstance(name, str) else "",
                     str(page) if isinstance(page, str) else "",
                     float(seen) if isinstance(seen, int | float) else _changed(place),
                     born if isinstance(born, int) else 0)


def find(known: str) -> Workspace:
    """The workspace of an id. Raises PlaygroundError when there is none (any more)."""
    place = home.shared() / keys.WORKSPACES / known
    if not _ID.fullmatch(known) or not place.is_dir():
        raise PlaygroundError("This reader's workspace is gone.")
    return at(place)


def seen(place: Path, page: str) -> None:
    """Note that a workspace's owner is on a page."""
    _note(place, {"page": page, "seen": time.time()})


def is_to_be_seen(place: Path) -> bool:
    """Whether it is time to note that the owner of a workspace is still there. Never of one that is gone: a page that
    was left open does not make it anew."""
    try:
        return time.time() - (place / WHO).stat().st_mtime > SEEN_EVERY_SECONDS
    except OSError:
        return False


def still_here(place: Path) -> None:
    """Note that a workspace's owner has a page open, where he is known."""
    with suppress(OSError), locked(place):
        if is_to_be_seen(place):
            _write(place, {"seen": time.time()})


def rename(place: Path, name: str) -> None:
    """Note what its owner wants to be called: up to `LONGEST_NAME` letters on one line."""
    _note(place, {"name": " ".join("".join(c if c.isprintable() else " " for c in name).split())[:LONGEST_NAME]})


@contextmanager
def within(one: Workspace) -> Iterator[None]:
    """Inside, what is done is done for this workspace."""
    with home.entered(one.home):
        yield


def remove(place: Path) -> None:
    """End what a workspace trains, delete all that is in it, and forget what it began in common with others. Raises
    PlaygroundError where something stays."""
    end_runs(place)
    try:
        if place.is_dir():
            place.rename(place.with_name(f"{place.name}.{secrets.token_hex(4)}{GONE}"))  # nobody finds half of it
        class_runs.forget(place.name)
        for gone in place.parent.glob(f"{place.name}.*{GONE}"):
            _delete(gone)
    except OSError as error:
        raise PlaygroundError(f"Not everything was deleted ({error.strerror}): try again.") from error


def end_runs(place: Path) -> None:
    """End what is trained in a home, at once."""
    with home.entered(place):
        for run_id in runs.run_ids():
            folder = place / ".runs" / run_id
            if folder.is_dir() and runs.is_alive(folder):
                _end(folder)


def expire() -> list[str]:
    """Remove the workspaces in which nothing happened for `EXPIRE_DAYS`, and what was left of removed ones; their ids.
    """
    folder = home.shared() / keys.WORKSPACES
    for left in folder.glob(f"*{GONE}") if folder.is_dir() else ():
        with suppress(OSError):
            class_runs.forget(left.name.partition(".")[0])
            _delete(left)
    gone = []
    for one in all_of_them():
        if time.time() - max(one.seen, _changed(one.home)) > EXPIRE_DAYS * 86400:
            with suppress(PlaygroundError):
                remove(one.home)
                gone.append(one.id)
    return gone


def _end(folder: Path) -> None:
    """Kill the living worker of a run, with the processes it started: it has a session of its own."""
    until = time.monotonic() + 5
    while runs.is_alive(folder) and time.monotonic() < until:
        with suppress(OSError, ValueError):  # where its server died as it started it, it has yet to say who it is
            os.killpg(int((folder / "worker").read_text()), signal.SIGKILL)
        time.sleep(0.02)


def _delete(folder: Path) -> None:
    """Delete a folder that another process may be deleting as well. Raises OSError where something stays."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        shutil.rmtree(folder)


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """One at a time writes down what a workspace's owner said. Raises OSError where there is no such workspace."""
    lock = os.open(place / LOCK, os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _note(place: Path, new: dict[str, object]) -> None:
    with suppress(OSError):  # who cannot write it down goes on reading
        place.mkdir(parents=True, exist_ok=True)
        with locked(place):
            _write(place, new)


def _write(place: Path, new: dict[str, object]) -> None:
    old: object = None
    with suppress(OSError, ValueError):
        old = home.read_json(place / WHO)
    with home.whole(place / WHO) as incoming:
        incoming.write_text(json.dumps({"born": time.time_ns(), **(old if isinstance(old, dict) else {}), **new}),
                            encoding="utf-8")


def _changed(place: Path) -> float:
    try:
        return place.stat().st_mtime
    except OSError:
        return 0.0
