"""Photographs that a class collects into one set, each looked at by the teacher before anybody else sees it.

    .class/collect/NAME/waiting/LABEL/<mark>-<hash>.jpg     taken or sent by a reader, not looked at yet
    .class/data/class/NAME/LABEL/<mark>-<hash>.jpg          accepted: published, as in `publishing`

The mark is of the workspace it is from, so that its owner's photographs can be counted, and go with him.
"""

import hashlib
import io
import os
import re
import shutil
from collections.abc import Collection as Many
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from playground import home
from playground.classroom import publishing
from playground.classroom.state import Collection
from playground.datasets import photos
from playground.datasets.disk import plainly
from playground.datasets.names import class_name, look
from playground.errors import PlaygroundError

COLLECT, WAITING = "collect", "waiting"
MOST_OF_ONE, MOST_WAITING = 60, 3000
"""Photographs of one workspace in a collection, and of all that may wait at once."""
MOST_BYTES = 15 * 2**20
LONGEST_SIDE = 1024
QUALITY = 90
LEAST_LABELS, MOST_LABELS = 2, 20
_FILE = re.compile(r"[0-9a-f]{12}-[0-9a-f]{32}\.jpg")


@dataclass(frozen=True)
class Waiting:
    """A photograph that waits to be looked at: its file, its class, and the mark of the workspace it is from."""

    path: Path
    label: str
    mark: str


def opened(name: str, labels: Many[str]) -> Collection:
    """A collection to be opened. Raises PlaygroundError where its name or its classes cannot be."""
    publishing.check(name)
    named = list(dict.fromkeys(class_name(one) for one in labels if one.strip()))
    if len({look(one) for one in named}) < len(named) or not LEAST_LABELS <= len(named) <= MOST_LABELS:
        raise PlaygroundError(f"Name {LEAST_LABELS} to {MOST_LABELS} classes, each once.")
    return Collection(name, tuple(named))


def add(place: Path, into: Collection, label: str, content: bytes) -> Path:
    """Take a photograph from the owner of a workspace: decoded, and packed anew without what a camera adds.

    Raises PlaygroundError where nothing is collected, the class is none of the collection's, it is no picture, too
    large, or one too many.
    """
    if not into.is_open:
        raise PlaygroundError("Nothing is collected any more.")
    if label not in into.labels:
        raise PlaygroundError(f"Choose one of {', '.join(into.labels)}.")
    if len(content) > MOST_BYTES:
        raise PlaygroundError(f"A photo may have {MOST_BYTES // 2**20} MB at most.")
    if count_of(place, into.name) >= MOST_OF_ONE:
        raise PlaygroundError(f"That were {MOST_OF_ONE} photos of yours: leave some to the others.")
    if len(waiting(into)) >= MOST_WAITING:
        raise PlaygroundError("Too many photos wait to be looked at: try again later.")
    packed = io.BytesIO()
    Image.fromarray(photos.open_small(content, LONGEST_SIDE)).save(packed, "JPEG", quality=QUALITY)
    data = packed.getvalue()
    name = f"{publishing.mark(place)}-{hashlib.sha256(data).hexdigest()[:32]}.jpg"
    path = waiting_dir(into.name) / label / name
    if (publishing.folder(into.name) / label / name).exists():
        raise PlaygroundError("This very photo is in the set already.")
    with plainly("the photo was not kept"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with home.whole(path) as incoming:
            incoming.write_bytes(data)
    return path


def waiting(some: Collection) -> list[Waiting]:
    """The photographs of a collection that wait, who came first first."""
    found = [Waiting(path, label, path.name.partition("-")[0]) for label in some.labels
             for path in (waiting_dir(some.name) / label).glob("*.jpg") if _FILE.fullmatch(path.name)]
    return sorted(found, key=lambda one: (_time(one.path), one.path.name))


def accept(some: Collection, one: Waiting) -> None:
    """Put a photograph into the class's set. One that is gone is left alone."""
    target = publishing.folder(some.name) / one.label / one.path.name
    with plainly("the photo waits still"):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.replace(one.path, target)
        except FileNotFoundError:
            return  # another window of the teacher was quicker


def reject(one: Waiting) -> None:
    """Delete a photograph that waits."""
    with plainly("the photo is still there"):
        one.path.unlink(missing_ok=True)


def accepted(some: Collection) -> dict[str, int]:
    """Class -> how many photographs of the set."""
    return {label: sum(1 for _ in (publishing.folder(some.name) / label).glob("*.jpg")) for label in some.labels}


def count_of(place: Path, name: str) -> int:
    """How many photographs of a workspace are in a collection, looked at or not."""
    return len(_files_of(place, name))


def discard(name: str) -> None:
    """Delete what of a collection was not accepted."""
    publishing.check(name)
    with plainly("some photos still wait"):
        if (home.shared() / COLLECT / name).is_dir():
            shutil.rmtree(home.shared() / COLLECT / name)


def forget(place: Path) -> int:
    """Delete all photographs that came from a workspace, accepted or not, and what was computed from them; how many."""
    mine = _files_of(place, "*")
    publishing.forget_pictures(mine)
    half_written = (home.shared() / COLLECT).glob(f"*/{WAITING}/*/{publishing.mark(place)}-*.incoming")
    for path in (*mine, *half_written):
        path.unlink(missing_ok=True)
    return len(mine)


def clear_left() -> None:
    """Delete what a process left half written that was killed while it took a photograph."""
    for folder in (home.shared() / COLLECT).glob(f"*/{WAITING}/*"):
        home.clear_left(folder)


def waiting_dir(name: str) -> Path:
    """Where the photographs of a collection wait."""
    return home.shared() / COLLECT / name / WAITING


def _files_of(place: Path, name: str) -> list[Path]:
    pattern = f"{publishing.mark(place)}-*.jpg"
    return [*(home.shared() / COLLECT).glob(f"{name}/{WAITING}/*/{pattern}"),
            *publishing.published_dir().glob(f"{name}/*/{pattern}")]


def _time(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
