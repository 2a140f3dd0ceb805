"""Where the playground keeps what it makes: exported models, training runs, downloaded and uploaded data.

For one person that is one folder, the home: PLAYGROUND_HOME, or the repository. A class (PLAYGROUND_CLASS=1) has a home
for every workspace, and whatever asks for a path here gets one below the workspace it works for, or none:

    BASE/                               PLAYGROUND_HOME of the server; downloads lie in its data/
        .class/                         what all workspaces have in common, a home, too: published models, experiments
        .class/workspaces/<id>/         the home of one workspace

A process that works for a workspace has its home as PLAYGROUND_HOME, and the server's as PLAYGROUND_BASE.
"""

import json
import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from playground.errors import PlaygroundError

REPOSITORY = Path(__file__).resolve().parents[1]
LEFT_SECONDS = 3600.0


HOME, BASE, CLASS = "PLAYGROUND_HOME", "PLAYGROUND_BASE", "PLAYGROUND_CLASS"
QUOTA, QUOTA_MB, USED_SECONDS = "PLAYGROUND_QUOTA_MB", 1000, 5.0
_used: dict[Path, tuple[float, int]] = {}
_entered: ContextVar[Path | None] = ContextVar("entered", default=None)
_derived: ContextVar[Path | None] = ContextVar("derived", default=None)
_moved: ContextVar[tuple[Path, Path] | None] = ContextVar("moved", default=None)
_asked: list[Callable[[], Path | None]] = []


def is_class() -> bool:
    """Whether this process serves a class: many workspaces, each with a home of its own."""
    return os.environ.get(CLASS) == "1"


def base() -> Path:
    """The folder that holds everything of this server. Always absolute."""
    named = os.environ.get(BASE) or os.environ.get(HOME)
    return Path(named).expanduser().resolve() if named else REPOSITORY


def shared() -> Path:
    """The home of what all workspaces of a class have in common; without a class it is the home."""
    return base() / ".class" if is_class() or BASE in os.environ else home()


def home() -> Path:
    """The folder everything below is kept in: that of the workspace worked for, or PLAYGROUND_HOME, or the repository.

    Always absolute. Raises PlaygroundError in a class where nobody knows whom this is done for: nothing of one reader
    is ever shown to another for want of a name.
    """
    if not is_class():
        named = os.environ.get(HOME)
        return Path(named).expanduser().resolve() if named else REPOSITORY
    found = _entered.get() or next((place for ask in _asked if (place := ask()) is not None), None)
    if found is None:
        raise PlaygroundError("Nobody knows whose work this is: reload the page, with cookies allowed for it.")
    return found


@contextmanager
def entered(place: Path) -> Iterator[None]:
    """Inside, `home` is `place`, in a class; what is started from here (`importable`) works for it, too."""
    before = _entered.set(place)
    try:
        yield
    finally:
        _entered.reset(before)


def known_by(ask: Callable[[], Path | None]) -> None:
    """Have `home` ask this for the home of whoever is served at the moment; None where it does not know."""
    if ask not in _asked:
        _asked.append(ask)


def used_bytes(place: Path) -> int:
    """What a home takes of the disk; looked at again after some seconds."""
    when, found = _used.get(place, (-math.inf, 0))
    if time.monotonic() - when > USED_SECONDS:
        found = sum(_size(os.path.join(folder, name)) for folder, _, files in os.walk(place) for name in files)
        _used[place] = time.monotonic(), found
    return found


def room_bytes() -> float:
    """What may still be put into the workspace worked for; without a class, and in the home in common (which has all
    workspaces below it), there is no limit but the disk's."""
    return quota_bytes() - used_bytes(home()) if is_class() and home() != shared() else math.inf


def quota_bytes() -> int:
    """What a workspace of a class may take of the disk: PLAYGROUND_QUOTA_MB."""
    said = os.environ.get(QUOTA, "")
    return (int(said) if said.isdecimal() and len(said) < 9 else QUOTA_MB) * 10**6


def demand_room(more: int = 0) -> None:
    """Raises PlaygroundError where so many more bytes are more than the workspace may hold."""
    if more >= room_bytes():
        raise PlaygroundError(f"Your workspace holds {used_bytes(home()) / 1e6:.0f} of the {quota_bytes() / 1e6:.0f} "
                              "MB that each may take in a class: delete photos, models or trainings first.")


def exports_dir() -> Path:
    """Exported models, one folder each."""
    return _made(home() / "exports")


def runs_dir() -> Path:
    """Training runs, one folder each."""
    return _made(home() / ".runs")


def data_dir() -> Path:
    """Uploaded, unpacked and generated data."""
    return _made(home() / "data")


def opened_dir(inside: str = "") -> Path:
    """ONNX files that readers opened, by the digest of their bytes, and a folder in it for what is made of them."""
    return _made(data_dir() / "opened" / inside)


def derived_dir() -> Path:
    """What is computed from photographs and can be computed again: with the workspace's data, or where `derived_in`
    says."""
    return _made((_derived.get() or home()) / "data")


@contextmanager
def derived_in(place: Path) -> Iterator[None]:
    """Inside, `derived_dir` is below this home: that of all, for photographs that are everybody's."""
    before = _derived.set(place)
    try:
        yield
    finally:
        _derived.reset(before)


def downloads_dir() -> Path:
    """Data that were downloaded: everybody's, for they are nobody's."""
    return _made(base() / "data")


def located(folder: Path) -> Path:
    """Where a folder that a run names lies on this machine: where it says, except inside `moved`."""
    moved = _moved.get()
    return moved[1] if moved is not None and folder == moved[0] else folder


@contextmanager
def moved(named: Path, here: Path) -> Iterator[None]:
    """Inside, the folder that a run names lies `here`: a run that was sent to another machine asks for its data by
    where they lie on the one it came from, so that its request stays the same wherever it goes on."""
    before = _moved.set((named, here))
    try:
        yield
    finally:
        _moved.reset(before)


def importable() -> dict[str, str]:
    """The environment of a process of ours that is started anywhere: the project can be imported, the home is the same.
    """
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    told = {**os.environ, "PYTHONPATH": path, HOME: str(home())}
    if told.pop(CLASS, None) == "1":
        told[BASE] = str(base())
    return told


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file is written whole or not at all: what is written to the path given takes the place of `path` at the end.

    When that fails (a full disk, say) nothing is left of it.
    """
    incoming = path.with_name(f"{path.name}.incoming")
    try:
        yield incoming
        os.replace(incoming, path)
    except BaseException:
        incoming.unlink(missing_ok=True)
        raise


def clear_left(folder: Path) -> None:
    """Remove what `whole` left in a folder when its process was killed; what is younger may still be written to."""
    for path in folder.glob("*.incoming"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_SECONDS:
                path.unlink()


PRIVATE = ("uploads", "sets", "opened")
"""Folders below the data in which each thing is one person's."""
_KEY = re.compile(rf"\b({'|'.join(PRIVATE)})((?:/\.\w+)?)/[0-9a-f]{{16,64}}")


def public(text: str) -> str:
    """A text for everyone's eyes: without where the server keeps things, and without the ids of uploads and sets,
    which open them to whoever knows one.

    >>> public("There is no folder data/uploads/0123456789abcdef/cats.")
    'There is no folder data/uploads/…/cats.'
    """
    for place in (home(), shared(), base(), REPOSITORY):  # what comes with the playground lies in the repository
        text = text.replace(f"{place}/", "")
    return _KEY.sub(r"\1\2/…", text)


def read_json(path: Path) -> Any:
    """What a JSON file says. Raises OSError when it cannot be read, and ValueError as `strict_json`."""
    return strict_json(path.read_bytes(), path.name)


def strict_json(content: bytes, name: str = "it") -> Any:
    """What a JSON text says. Raises ValueError for everything that is no strict JSON which can be written down again:
    half a file, NaN, a number without end, a nesting without end, half a character."""
    try:
        said = json.loads(content, parse_constant=_refused)
        json.dumps(said, ensure_ascii=False, allow_nan=False).encode()
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply") from error
    return said


def strict(value: Any) -> Any:
    """The same with null for NaN and infinities, which JSON does not know.

    >>> strict({"loss": float("nan"), "seen": (1, 2.5)})
    {'loss': None, 'seen': [1, 2.5]}
    """
    if isinstance(value, dict):
        return {str(key): strict(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [strict(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _size(path: str) -> int:
    with suppress(OSError):
        return os.lstat(path).st_size
    return 0


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlaygroundError(f"Nothing can be kept in {folder} ({error.strerror}): name a folder that can be written "
                              "to in PLAYGROUND_HOME.") from error
    return folder
