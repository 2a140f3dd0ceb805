"""A set of photographs on the disk: what it is, where it lies, and the one way to change it.

    data/sets/<id>/manifest.json        what the set is now, and the journal of edits; replaced whole or not at all
                   photos/<hash>.jpg    every photograph, named for its content; written once, never changed
    data/sets/.versions/<hash>/<name>/  the set as it was at one moment: ordinary folders, train/CLASS/photo.jpg,
                                        hard links to the photographs, and a manifest (datasets/versions.py)

An edit changes the manifest only, so that there is no half an edit to see, and a training run is given a version that
nothing changes any more. The id is in the address of the page and nowhere else: who has it may edit the set.
"""

import fcntl
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from playground.datasets import folders
from playground.datasets.disk import plainly
from playground.datasets.duplicates import Seen
from playground.datasets.halves import Candidate, halves
from playground.datasets.names import composed
from playground.errors import PlaygroundError
from playground.home import data_dir, whole

LONGEST_SIDE = 1600  # pixels; networks here look at 224, and a phone takes ten times what a screen shows
MOST_PHOTOS, MOST_CLASSES, MOST_EDITS, MOST_REFUSED = 20_000, 200, 100, 500
LEAST_SHARE, MOST_SHARE = 0.05, 0.5
AS_IT_WAS = "the set is as it was"
_ID = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(r"[0-9a-f]{32}\.(jpg|png|webp)")
_UNDONE = ("name", "classes", "source", "licence", "seed", "share", "refused")


@dataclass(frozen=True)
class Photo:
    """One photograph of a set. `half` is None where the seed decides; `left_out` says why it is not part any more."""

    file: str
    name: str
    label: str
    fingerprint: str
    half: str | None = None
    left_out: str | None = None

    @property
    def digest(self) -> str:
        """The content, as the first 32 digits of its SHA-256."""
        return self.file.partition(".")[0]


@dataclass(frozen=True)
class Refused:
    """A file that could not be taken in, and the sentence that said why."""

    name: str
    label: str
    why: str


@dataclass(frozen=True)
class Edit:
    """One step that can be taken back: what it did in words, and what there was before it (None: no such photo)."""

    what: str
    fields: dict[str, Any]
    photos: dict[str, Photo | None]


@dataclass(frozen=True)
class PhotoSet:
    """A set as it is now. `photos` are in the order they came, by a number that is never given twice."""

    set_id: str
    name: str
    created: str
    classes: tuple[str, ...] = ()
    source: str = ""
    licence: str = ""
    seed: int = 0
    share: float = folders.VALIDATION_SHARE
    photos: dict[str, Photo] = field(default_factory=dict)
    refused: tuple[Refused, ...] = ()
    following: int = 1
    edits: tuple[Edit, ...] = ()

    @cached_property
    def kept(self) -> dict[str, Photo]:
        """The photographs that are part of the set."""
        return {key: photo for key, photo in self.photos.items() if photo.left_out is None}

    @property
    def counts(self) -> dict[str, int]:
        """How many photographs each class has, classes without one included."""
        counted = Counter(photo.label for photo in self.kept.values())
        return {name: counted[name] for name in self.classes}

    @cached_property
    def halves(self) -> dict[str, str]:
        """"train" or "validation" for every photograph kept."""
        kept = self.kept
        divided = _divided(tuple(Candidate(photo.label, photo.digest, bytes.fromhex(photo.fingerprint), photo.half)
                                 for photo in kept.values()), self.seed, self.share)
        return dict(zip(kept, divided, strict=True))

    @property
    def seen(self) -> dict[str, Seen]:
        """The photographs kept, as copies are looked for among them."""
        divided = self.halves
        return {key: Seen(photo.label, divided[key], photo.digest, bytes.fromhex(photo.fingerprint))
                for key, photo in self.kept.items()}

    @property
    def trainable(self) -> bool:
        """Whether there are two classes with two photographs each."""
        return sum(count >= 2 for count in self.counts.values()) >= 2

    def path(self, photo: Photo) -> Path:
        """Where the file of a photograph lies."""
        return folder_of(self.set_id) / "photos" / photo.file


@lru_cache(maxsize=32)
def _divided(candidates: tuple[Candidate, ...], seed: int, share: float) -> list[str]:
    return halves(candidates, seed, share)


def clear_cache() -> None:
    """What is kept in memory of the looks of photographs."""
    _divided.cache_clear()


def sets_dir() -> Path:
    """Where the sets of all people lie, each in a folder nobody can guess."""
    return data_dir() / "sets"


def folder_of(set_id: str) -> Path:
    """The folder of a set. Raises PlaygroundError when there is no such set."""
    folder = sets_dir() / set_id
    if not _ID.fullmatch(set_id) or not (folder / "manifest.json").is_file():
        raise PlaygroundError("There is no such set of photos (any more).")
    return folder


def exists(set_id: str) -> bool:
    """Whether there is a set of that id; anything may be asked."""
    return bool(_ID.fullmatch(set_id)) and (sets_dir() / set_id / "manifest.json").is_file()


def read(set_id: str) -> PhotoSet:
    """A set as it is now. Raises PlaygroundError when there is none, or its manifest is damaged."""
    path = folder_of(set_id) / "manifest.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return PhotoSet(
            set_id=set_id, name=data["name"], created=data["created"],
            classes=tuple(dict.fromkeys(map(composed, data["classes"]))),
            source=data["source"], licence=data["licence"], seed=data["seed"], share=data["share"],
            photos={key: _photo(record) for key, record in data["photos"].items()},
            refused=tuple(Refused(**each) for each in data["refused"]), following=data["following"],
            edits=tuple(_edit(each) for each in data["edits"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlaygroundError("This set of photos cannot be read: its manifest.json is damaged.") from error


def change(set_id: str, what: str, edit: Callable[[PhotoSet], PhotoSet]) -> PhotoSet:
    """Make an edit and write down how to take it back. Two who edit at once are one after the other."""
    with locked(set_id):
        old = read(set_id)
        new = edit(old)
        before = {name: getattr(old, name) for name in _UNDONE if getattr(old, name) != getattr(new, name)}
        changed = {key: old.photos.get(key) for key in {**old.photos, **new.photos}
                   if old.photos.get(key) != new.photos.get(key)}
        if not before and not changed:
            return old
        edits = (*old.edits, Edit(what, before, changed))
        new = replace(new, edits=edits[-MOST_EDITS:])
        write(new)
        if len(edits) > MOST_EDITS:
            sweep(named(replace(old, edits=edits)), new)
    return new


def undo(set_id: str) -> PhotoSet:
    """The set as it was before its last edit; as it is where there is none left to take back."""
    with locked(set_id):
        old = read(set_id)
        if not old.edits:
            return old
        last = old.edits[-1]
        back = {key: photo for key, photo in {**old.photos, **last.photos}.items() if photo is not None}
        back = dict(sorted(back.items(), key=lambda item: int(item[0])))
        new = replace(old, photos=back, edits=old.edits[:-1], **last.fields)
        write(new)
        sweep(named(old), new)
    return new


@contextmanager
def locked(set_id: str, outcome: str = AS_IT_WAS) -> Iterator[None]:
    """One at a time may change a set. Where the disk refuses, PlaygroundError says so, and the outcome."""
    with plainly(outcome):
        folder = folder_of(set_id)
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_CREAT, 0o644)  # one that is there opens on a full disk, too
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder_of(set_id)  # deleted while we waited?
            yield
        finally:
            os.close(lock)


def write(new: PhotoSet) -> None:
    """What the set is now, in place of what it was, whole or not at all."""
    with whole(sets_dir() / new.set_id / "manifest.json") as incoming:
        incoming.write_text(json.dumps(asdict(new), ensure_ascii=False), encoding="utf-8")


def _photo(record: dict[str, Any]) -> Photo:
    photo = Photo(**{**record, "label": composed(record["label"])})
    if not _FILE.fullmatch(photo.file):
        raise ValueError(photo.file)
    return photo


def _edit(record: dict[str, Any]) -> Edit:
    fields = dict(record["fields"])
    if "classes" in fields:
        fields["classes"] = tuple(fields["classes"])
    if "refused" in fields:
        fields["refused"] = tuple(Refused(**each) for each in fields["refused"])
    return Edit(record["what"], fields,
                {key: _photo(each) if each else None for key, each in record["photos"].items()})


def versions_of(set_id: str) -> list[Path]:
    """The folders of the set's versions."""
    return sorted((sets_dir() / ".versions").glob(f"{version_prefix(set_id)}-*"))


def version_prefix(set_id: str) -> str:
    """What the names of a set's versions begin with; it does not tell the id, which is a key."""
    return hashlib.sha256(set_id.encode()).hexdigest()[:12]


def named(some: PhotoSet) -> set[str]:
    """The files the set or its journal names."""
    journal = (photo for edit in some.edits for photo in edit.photos.values() if photo is not None)
    return {photo.file for photo in (*some.photos.values(), *journal)}


def sweep(files: set[str], new: PhotoSet) -> None:
    """Delete those of `files` that nothing leads back to."""
    for name in files - named(new):
        (folder_of(new.set_id) / "photos" / name).unlink(missing_ok=True)


def class_list(names: Iterable[str]) -> tuple[str, ...]:
    """Classes of a set. Raises PlaygroundError where there are too many."""
    found = tuple(names)
    if len(found) > MOST_CLASSES:
        raise PlaygroundError(f"A set has at most {MOST_CLASSES} classes.")
    return found
