"""Photographs taken into a set: from bytes, from files, from folders of classes; what cannot be, with the reason."""

import hashlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from playground.datasets import folders, photos
from playground.datasets.disk import plainly
from playground.datasets.duplicates import fingerprint
from playground.datasets.names import LONGEST_NAME, class_name, look, one_line
from playground.datasets.photo_set import (
    LONGEST_SIDE,
    MOST_PHOTOS,
    MOST_REFUSED,
    Photo,
    PhotoSet,
    Refused,
    change,
    class_list,
    folder_of,
    locked,
    named,
    read,
)
from playground.errors import PlaygroundError
from playground.home import clear_left, demand_room
from playground.numbers import count, counted

_AT_ONCE = 4


@dataclass(frozen=True)
class Incoming:
    """A file to take in: its class, the half it is fixed in, the name it came with (its own where there is none)."""

    path: Path
    label: str
    half: str | None = None
    name: str = ""


def add(set_id: str, label: str, given: Sequence[tuple[str, bytes]]) -> tuple[PhotoSet, list[Refused]]:
    """Take photographs (name, content) into a class, and return the set and what was not taken, each with its reason.

    They are stored upright and no larger than LONGEST_SIDE. The same photo is not taken twice into one class. A
    damaged one loses only itself; where the disk refuses, none of them is taken (PlaygroundError).
    """
    folder = folder_of(set_id) / "photos"
    if not given:
        return read(set_id), []
    demand_room(sum(len(content) for _, content in given))
    refused: list[Refused] = []
    with _all_or_none(set_id) as written:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            stored = list(pool.map(lambda each: _stored(folder, each[0], each[1], label, written), given))
        taken = [photo for photo in stored if isinstance(photo, Photo)]
        refused += [Refused(one_line(name, LONGEST_NAME), label, why)
                    for (name, _), why in zip(given, stored, strict=True) if isinstance(why, str)]

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

        return change(set_id, f"{counted(len(taken), 'photo')} added to {label}", with_them), refused


def add_folder(set_id: str, path: Path, progress: Callable[[int, int], None] | None = None) -> PhotoSet:
    """Take in every photograph of a folder of class folders; a division into train/ and validation/ is kept."""
    _, files = folders.arranged(path)
    if not files:
        raise PlaygroundError("There are no folders with photos in it, one for each class.")
    return add_files(set_id, [Incoming(*file) for file in files], progress)


def add_files(set_id: str, files: Sequence[Incoming], progress: Callable[[int, int], None] | None = None) -> PhotoSet:
    """Take in what can be read of files; `progress` hears how many are done, of how many.

    Class names that look alike are one class. Where the disk refuses, none of them is taken (PlaygroundError).
    """
    folder = folder_of(set_id) / "photos"
    names = {file.label: class_name(file.label, mend=True) for file in files}
    if len(files) > MOST_PHOTOS:
        raise PlaygroundError(f"A set holds at most {count(MOST_PHOTOS)} photos.")
    demand_room()
    taken: list[Photo] = []
    refused: list[Refused] = []

    with _all_or_none(set_id) as written:

        def store(file: Incoming) -> Photo | str:
            name = file.name or file.path.name
            try:
                if file.path.stat().st_size > photos.MOST_BYTES:
                    return f"{name} is larger than {photos.MOST_BYTES // 2**20} MB, which is more than a picture needs."
                data = file.path.read_bytes()
            except OSError as error:
                return f"{name} cannot be read: {error.strerror}."
            stored = _stored(folder, name, data, names[file.label], written)
            return replace(stored, half=file.half) if isinstance(stored, Photo) else stored

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done, (file, stored) in enumerate(zip(files, pool.map(store, files), strict=True), start=1):
                if isinstance(stored, Photo):
                    taken.append(stored)
                else:
                    refused.append(Refused(one_line(file.name or file.path.name, LONGEST_NAME), names[file.label],
                                           stored))
                if progress is not None and (done % 20 == 0 or done == len(files)):
                    progress(done, len(files))

        def with_them(old: PhotoSet) -> PhotoSet:
            known = {look(name): name for name in old.classes}
            for name in dict.fromkeys(names.values()):  # Cats and cats are one class
                known.setdefault(look(name), name)
            new = [replace(photo, label=known[look(photo.label)]) for photo in taken]
            return _with(replace(old, classes=class_list(known.values())), new, refused)

        classes = len({look(name) for name in names.values()})
        return change(set_id, f"{counted(len(taken), 'photo')} added in {counted(classes, 'class', 'classes')}",
                      with_them)


@contextmanager
def _all_or_none(set_id: str) -> Iterator[set[str]]:
    """Around taking in photographs: the files that were written go again where that does not come to its end."""
    clear_left(folder_of(set_id) / "photos")
    written: set[str] = set()
    try:
        with plainly("none of these photos was added"):
            yield written
    except BaseException:
        with suppress(PlaygroundError, OSError), locked(set_id):
            for name in written - named(read(set_id)):
                (folder_of(set_id) / "photos" / name).unlink(missing_ok=True)
        raise


def _with(old: PhotoSet, new: Sequence[Photo], refused: Sequence[Refused]) -> PhotoSet:
    if len(old.photos) + len(new) > MOST_PHOTOS:
        raise PlaygroundError(f"A set holds at most {count(MOST_PHOTOS)} photos.")
    if any(not old.path(photo).exists() for photo in new):  # somebody took back the very same photo in this moment
        raise PlaygroundError("The photos could not be kept: try again.")
    numbered = {str(old.following + k): photo for k, photo in enumerate(new)}
    return replace(old, photos={**old.photos, **numbered}, following=old.following + len(new),
                   refused=(*old.refused, *refused)[-MOST_REFUSED:])


def _stored(folder: Path, name: str, data: bytes, label: str, written: set[str]) -> Photo | str:
    """The photograph, its file written (and noted, where it was not there); or the sentence that says why not."""
    name = one_line(name, LONGEST_NAME) or "photo"
    try:
        data, suffix, pixels = photos.to_keep(data, name, LONGEST_SIDE)
    except PlaygroundError as error:
        return str(error)
    path = folder / f"{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
    if not path.exists():
        incoming = path.with_name(f"{path.name}.{secrets.token_hex(4)}.incoming")
        try:
            incoming.write_bytes(data)
            os.replace(incoming, path)
        finally:
            incoming.unlink(missing_ok=True)
        written.add(path.name)
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


