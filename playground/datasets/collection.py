"""Sets of photographs a person makes, class by class, edits, and can take back every edit of.

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
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from playground.datasets import folders, photos
from playground.datasets.duplicates import Seen, fingerprint
from playground.datasets.halves import TRAIN, VALIDATION, Candidate, halves
from playground.datasets.unzip import is_junk
from playground.errors import PlaygroundError
from playground.home import data_dir

LONGEST_SIDE = 1600  # pixels; networks here look at 224, and a phone takes ten times what a screen shows
MOST_PHOTOS, MOST_CLASSES, MOST_EDITS, MOST_REFUSED = 20_000, 200, 100, 500
LONGEST_NAME, LONGEST_CLASS, LONGEST_NOTE = 80, 60, 2_000
LEAST_SHARE, MOST_SHARE = 0.05, 0.5
BY_HAND = "taken out by hand"
_ID = re.compile(r"[0-9a-f]{32}")
_FILE = re.compile(r"[0-9a-f]{32}\.(jpg|png|webp)")
_AT_ONCE = 4
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
class Incoming:
    """A file to take in: its class, the half it is fixed in, the name it came with (its own where there is none)."""

    path: Path
    label: str
    half: str | None = None
    name: str = ""


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


def create(name: str, classes: Iterable[str] = ()) -> PhotoSet:
    """A new set without a photograph."""
    made = PhotoSet(secrets.token_hex(16), one_line(name, LONGEST_NAME) or "my photos",
                    datetime.now(UTC).isoformat(timespec="seconds"))
    for each in classes:
        made = replace(made, classes=(*made.classes, _new_class(made, each)))
    (sets_dir() / made.set_id / "photos").mkdir(parents=True)
    _write(made)
    return made


def read(set_id: str) -> PhotoSet:
    """A set as it is now. Raises PlaygroundError when there is none, or its manifest is damaged."""
    path = folder_of(set_id) / "manifest.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return PhotoSet(
            set_id=set_id, name=data["name"], created=data["created"], classes=tuple(data["classes"]),
            source=data["source"], licence=data["licence"], seed=data["seed"], share=data["share"],
            photos={key: _photo(record) for key, record in data["photos"].items()},
            refused=tuple(Refused(**each) for each in data["refused"]), following=data["following"],
            edits=tuple(_edit(each) for each in data["edits"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise PlaygroundError("This set of photos cannot be read: its manifest.json is damaged.") from error


def change(set_id: str, what: str, edit: Callable[[PhotoSet], PhotoSet]) -> PhotoSet:
    """Make an edit and write down how to take it back. Two who edit at once are one after the other."""
    with _locked(set_id):
        old = read(set_id)
        new = edit(old)
        before = {name: getattr(old, name) for name in _UNDONE if getattr(old, name) != getattr(new, name)}
        changed = {key: old.photos.get(key) for key in {**old.photos, **new.photos}
                   if old.photos.get(key) != new.photos.get(key)}
        if not before and not changed:
            return old
        edits = (*old.edits, Edit(what, before, changed))
        new = replace(new, edits=edits[-MOST_EDITS:])
        _write(new)
        if len(edits) > MOST_EDITS:
            _sweep(_named(replace(old, edits=edits)), new)
    return new


def begin(chosen: PhotoSet) -> PhotoSet:
    """Keep a set as it is given here, with an empty journal."""
    with _locked(chosen.set_id):
        new = replace(chosen, edits=())
        _write(new)
    return new


def undo(set_id: str) -> PhotoSet:
    """The set as it was before its last edit; as it is where there is none left to take back."""
    with _locked(set_id):
        old = read(set_id)
        if not old.edits:
            return old
        last = old.edits[-1]
        back = {key: photo for key, photo in {**old.photos, **last.photos}.items() if photo is not None}
        back = dict(sorted(back.items(), key=lambda item: int(item[0])))
        new = replace(old, photos=back, edits=old.edits[:-1], **last.fields)
        _write(new)
        _sweep(_named(old), new)
    return new


def add(set_id: str, label: str, given: Sequence[tuple[str, bytes]]) -> tuple[PhotoSet, list[Refused]]:
    """Take photographs (name, content) into a class, and return the set and what was not taken, each with its reason.

    They are stored upright and no larger than LONGEST_SIDE. The same photo is not taken twice into one class.
    """
    folder = folder_of(set_id) / "photos"
    taken: list[Photo] = []
    refused: list[Refused] = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for (name, _), stored in zip(
                given, pool.map(lambda each: _stored(folder, each[0], each[1], label), given), strict=True):
            if isinstance(stored, Photo):
                taken.append(stored)
            else:
                refused.append(Refused(one_line(name, LONGEST_NAME), label, stored))

    def with_them(old: PhotoSet) -> PhotoSet:
        if label not in old.classes:
            raise PlaygroundError(f"There is no class {label!r} in this set (any more).")
        known = {photo.file for photo in old.kept.values() if photo.label == label}
        new = []
        for photo in taken:
            if photo.file in known:
                refused.append(Refused(photo.name, label, f"{photo.name} is among these photos already."))
            else:
                known.add(photo.file)
                new.append(photo)
        return _with(old, new, refused)

    if not given:
        return read(set_id), refused

    number = "1 photo" if len(taken) == 1 else f"{len(taken)} photos"
    return change(set_id, f"{number} added to {label}", with_them), refused


def add_folder(set_id: str, path: Path, progress: Callable[[int, int], None] | None = None) -> PhotoSet:
    """Take in every photograph of a folder of class folders; a division into train/ and validation/ is kept."""
    _, files = folders.arranged(path)
    if not files:
        raise PlaygroundError("There are no folders with photos in it, one for each class.")
    return add_files(set_id, [Incoming(*file) for file in files], progress)


def add_files(set_id: str, files: Sequence[Incoming], progress: Callable[[int, int], None] | None = None) -> PhotoSet:
    """Take in files, whole or not at all what can be read of them; `progress` hears how many are done, of how many."""
    folder = folder_of(set_id) / "photos"
    names = {file.label: class_name(file.label, mend=True) for file in files}
    if len(files) > MOST_PHOTOS:
        raise PlaygroundError(f"A set holds at most {MOST_PHOTOS:,} photos.")
    taken: list[Photo] = []
    refused: list[Refused] = []

    def store(file: Incoming) -> Photo | str:
        name = file.name or file.path.name
        try:
            if file.path.stat().st_size > photos.MOST_BYTES:
                return f"{name} is larger than {photos.MOST_BYTES // 2**20} MB, which is more than a picture needs."
            stored = _stored(folder, name, file.path.read_bytes(), names[file.label])
        except OSError as error:
            return f"{name} cannot be read: {error.strerror}."
        return replace(stored, half=file.half) if isinstance(stored, Photo) else stored

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for done, (file, stored) in enumerate(zip(files, pool.map(store, files), strict=True), start=1):
            if isinstance(stored, Photo):
                taken.append(stored)
            else:
                refused.append(Refused(one_line(file.name or file.path.name, LONGEST_NAME), names[file.label], stored))
            if progress is not None and (done % 20 == 0 or done == len(files)):
                progress(done, len(files))

    def with_them(old: PhotoSet) -> PhotoSet:
        known = {name.casefold(): name for name in old.classes}
        for name in dict.fromkeys(names.values()):  # Cats and cats are one class
            known.setdefault(name.casefold(), name)
        new = [replace(photo, label=known[photo.label.casefold()]) for photo in taken]
        return _with(replace(old, classes=_class_list(known.values())), new, refused)

    number = "1 photo" if len(taken) == 1 else f"{len(taken):,} photos"
    return change(set_id, f"{number} added in {len(set(names.values()))} classes", with_them)


def _with(old: PhotoSet, new: Sequence[Photo], refused: Sequence[Refused]) -> PhotoSet:
    if len(old.photos) + len(new) > MOST_PHOTOS:
        raise PlaygroundError(f"A set holds at most {MOST_PHOTOS:,} photos.")
    if any(not old.path(photo).exists() for photo in new):  # somebody took back the very same photo in this moment
        raise PlaygroundError("The photos could not be kept: try again.")
    numbered = {str(old.following + k): photo for k, photo in enumerate(new)}
    return replace(old, photos={**old.photos, **numbered}, following=old.following + len(new),
                   refused=(*old.refused, *refused)[-MOST_REFUSED:])


def _stored(folder: Path, name: str, data: bytes, label: str) -> Photo | str:
    """The photograph, its file written; or the sentence that says why not."""
    name = one_line(name, LONGEST_NAME) or "photo"
    try:
        data, suffix, pixels = photos.to_keep(data, name, LONGEST_SIDE)
    except PlaygroundError as error:
        return str(error)
    path = folder / f"{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
    if not path.exists():
        incoming = path.with_name(f"{path.name}.{secrets.token_hex(4)}.incoming")
        incoming.write_bytes(data)
        os.replace(incoming, path)
    return Photo(path.name, name, label, fingerprint(pixels).hex())


def digests(path: Path) -> tuple[str, ...]:
    """What a file's photograph can be called in a set: by its bytes, and by what a set makes of them when it takes them
    in. Raises PlaygroundError when it cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlaygroundError(f"{path.name} cannot be read: {error.strerror}.") from error
    kept, _, _ = photos.to_keep(data, path.name, LONGEST_SIDE)
    return tuple(dict.fromkeys(hashlib.sha256(each).hexdigest()[:32] for each in (data, kept)))


def identified(some: PhotoSet, names: Sequence[str], label: str) -> str | None:
    """The key of the photograph with one of these digests, of those taken out, too; None where there is none.

    The same photo may be there twice: then the one that is kept is meant, and of several the one of that class. Where
    that leaves more than one, none is: nobody could say which.
    """
    found = [key for key, photo in some.photos.items() if photo.digest in names]
    for fits in (lambda photo: photo.left_out is None, lambda photo: photo.label == label):
        if len(found) > 1:
            found = [key for key in found if fits(some.photos[key])] or found
    return found[0] if len(found) == 1 else None


def add_class(set_id: str, name: str) -> PhotoSet:
    """One class more, without a photograph yet."""
    return change(set_id, f"class {name} added",
                  lambda old: replace(old, classes=(*old.classes, _new_class(old, name))))


def rename_class(set_id: str, old_name: str, new_name: str) -> PhotoSet:
    """Another name for a class; its photographs keep it."""
    def renamed(old: PhotoSet) -> PhotoSet:
        others = replace(old, classes=tuple(name for name in old.classes if name != old_name))
        new = _new_class(others, new_name)
        return replace(old, classes=tuple(new if name == old_name else name for name in old.classes),
                       photos={key: replace(photo, label=new) if photo.label == old_name else photo
                               for key, photo in old.photos.items()})
    return change(set_id, f"{old_name} renamed to {new_name}", renamed)


def remove_class(set_id: str, name: str) -> PhotoSet:
    """A class less, its photographs with it."""
    return change(set_id, f"class {name} removed", lambda old: replace(
        old, classes=tuple(each for each in old.classes if each != name),
        photos={key: photo for key, photo in old.photos.items() if photo.label != name}))


def relabel(set_id: str, keys: Iterable[str], label: str) -> PhotoSet:
    """Photographs moved into another class."""
    chosen = set(keys)

    def moved(old: PhotoSet) -> PhotoSet:
        if label not in old.classes:
            raise PlaygroundError(f"There is no class {label!r} in this set (any more).")
        return replace(old, photos={key: replace(photo, label=label) if key in chosen else photo
                                    for key, photo in old.photos.items()})
    return change(set_id, f"{_number(chosen)} moved to {label}", moved)


def leave_out(set_id: str, keys: Iterable[str], why: str = BY_HAND) -> PhotoSet:
    """Photographs taken out, the reason written down; `put_back` or `undo` brings them back."""
    chosen = set(keys)
    return change(set_id, f"{_number(chosen)} taken out", lambda old: replace(
        old, photos={key: replace(photo, left_out=why) if key in chosen and photo.left_out is None else photo
                     for key, photo in old.photos.items()}))


def put_back(set_id: str, keys: Iterable[str]) -> PhotoSet:
    """Photographs that were taken out are part of the set again."""
    chosen = set(keys)
    return change(set_id, f"{_number(chosen)} put back", lambda old: replace(
        old, photos={key: replace(photo, left_out=None) if key in chosen else photo
                     for key, photo in old.photos.items()}))


def fix_half(set_id: str, keys: Iterable[str], half: str) -> PhotoSet:
    """Photographs put into training or kept aside, whatever the seed says."""
    chosen = set(keys)
    if half not in (TRAIN, VALIDATION):
        raise PlaygroundError(f"A photo is for {TRAIN} or for {VALIDATION}.")
    what = "to train on" if half == TRAIN else "kept aside"
    return change(set_id, f"{_number(chosen)} {what}", lambda old: replace(
        old, photos={key: replace(photo, half=half) if key in chosen else photo for key, photo in old.photos.items()}))


def divide_again(set_id: str, seed: int, share: float) -> PhotoSet:
    """All photographs divided anew by a seed and a share for validation; what was fixed is not fixed any more."""
    if not 0 <= seed < 2**31 or not LEAST_SHARE <= share <= MOST_SHARE:
        raise PlaygroundError(f"The share kept aside is between {LEAST_SHARE:.0%} and {MOST_SHARE:.0%}.")
    return change(set_id, f"divided with seed {seed}, {share:.0%} kept aside", lambda old: replace(
        old, seed=seed, share=share, photos={key: replace(photo, half=None) for key, photo in old.photos.items()}))


def describe(set_id: str, name: str, source: str, licence: str) -> PhotoSet:
    """What the set is called, where the photographs are from, and what one may do with them."""
    return change(set_id, "notes changed", lambda old: replace(
        old, name=one_line(name, LONGEST_NAME) or old.name, source=one_line(source, LONGEST_NOTE),
        licence=one_line(licence, LONGEST_NOTE)))


def forget(set_id: str) -> PhotoSet:
    """Delete for good the photographs that were taken out, and the journal that could bring them back."""
    with _locked(set_id):
        old = read(set_id)
        new = replace(old, photos=old.kept, edits=())
        _write(new)
        photos_there = folder_of(set_id) / "photos"
        unused = {path.name for path in photos_there.iterdir()} - _named(new)
        gone = {(photos_there / name).stat().st_ino for name in unused}
        for version in _versions(set_id):  # a hard link would keep what somebody wants to be gone
            for path in version.glob("*/**/*"):
                if path.is_file() and path.stat().st_ino in gone:
                    path.unlink()
        _sweep(unused, new)
    return new


def remove(set_id: str) -> None:
    """Delete a set for good: photographs, manifest, versions."""
    folder = folder_of(set_id)
    for version in _versions(set_id):
        shutil.rmtree(version, ignore_errors=True)
    (folder / "manifest.json").unlink()  # from here on there is no such set
    shutil.rmtree(folder, ignore_errors=True)


def class_name(text: str, mend: bool = False) -> str:
    """A class's name, which is a folder's name too. Raises PlaygroundError for what cannot be one, or mends it."""
    name = "".join(c for c in one_line(text, LONGEST_CLASS) if c.isprintable()).strip(". ")
    if mend:
        name = re.sub(r"[/\\]", "-", name) or "class"
        return f"{name} photos" if is_junk(name) else name
    if not name or re.search(r"[/\\]", name) or is_junk(name):
        raise PlaygroundError(f"A class cannot be called {text[:LONGEST_CLASS]!r}: letters and digits are safe.")
    return name


def one_line(text: str, longest: int) -> str:
    """Text without line breaks and what cannot be written to a file, cut at a length."""
    return " ".join(text.encode("utf-8", "replace").decode().replace("\0", "").split())[:longest].strip()


def _new_class(old: PhotoSet, text: str) -> str:
    name = class_name(text)
    if name.casefold() in {each.casefold() for each in old.classes}:
        raise PlaygroundError(f"There is a class {name!r} already.")
    _class_list((*old.classes, name))
    return name


def _class_list(names: Iterable[str]) -> tuple[str, ...]:
    found = tuple(names)
    if len(found) > MOST_CLASSES:
        raise PlaygroundError(f"A set has at most {MOST_CLASSES} classes.")
    return found


def _number(keys: set[str]) -> str:
    return "1 photo" if len(keys) == 1 else f"{len(keys):,} photos"


@contextmanager
def _locked(set_id: str) -> Iterator[None]:
    with open(folder_of(set_id) / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _write(new: PhotoSet) -> None:
    folder = sets_dir() / new.set_id
    incoming = folder / "manifest.json.incoming"
    incoming.write_text(json.dumps(asdict(new), ensure_ascii=False), encoding="utf-8")
    os.replace(incoming, folder / "manifest.json")


def _photo(record: dict[str, Any]) -> Photo:
    photo = Photo(**record)
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


def _versions(set_id: str) -> list[Path]:
    return sorted((sets_dir() / ".versions").glob(f"{version_prefix(set_id)}-*"))


def version_prefix(set_id: str) -> str:
    """What the names of a set's versions begin with; it does not tell the id, which is a key."""
    return hashlib.sha256(set_id.encode()).hexdigest()[:12]


def _named(some: PhotoSet) -> set[str]:
    """The files the set or its journal names."""
    journal = (photo for edit in some.edits for photo in edit.photos.values() if photo is not None)
    return {photo.file for photo in (*some.photos.values(), *journal)}


def _sweep(files: set[str], new: PhotoSet) -> None:
    """Delete those of `files` that nothing leads back to."""
    for name in files - _named(new):
        (folder_of(new.set_id) / "photos" / name).unlink(missing_ok=True)
