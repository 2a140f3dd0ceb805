"""Sets of photographs a person makes, class by class, edits, and can take back every edit of.

What lies where is said in `photo_set`; how photographs come in, in `intake`.
"""

import json
import secrets
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from playground.datasets.disk import plainly
from playground.datasets.halves import TRAIN, VALIDATION
from playground.datasets.intake import Incoming, add, add_files, add_folder, digests, identified
from playground.datasets.names import LONGEST_CLASS, LONGEST_NAME, LONGEST_NOTE, class_name, look, one_line
from playground.datasets.photo_set import (
    LEAST_SHARE,
    LONGEST_SIDE,
    MOST_CLASSES,
    MOST_EDITS,
    MOST_PHOTOS,
    MOST_REFUSED,
    MOST_SHARE,
    Edit,
    Photo,
    PhotoSet,
    Refused,
    change,
    class_list,
    exists,
    folder_of,
    locked,
    named,
    read,
    sets_dir,
    sweep,
    undo,
    version_prefix,
    versions_of,
    write,
)
from playground.errors import PlaygroundError
from playground.home import LEFT_SECONDS, whole
from playground.numbers import counted, percent

__all__ = [
    "BY_HAND", "LEAST_SHARE", "LONGEST_CLASS", "LONGEST_NAME", "LONGEST_NOTE", "LONGEST_SIDE", "MOST_CLASSES",
    "MOST_EDITS", "MOST_PHOTOS", "MOST_REFUSED", "MOST_SHARE", "Edit", "Incoming", "Photo", "PhotoSet", "Refused",
    "add", "add_class", "add_files", "add_folder", "begin", "change", "class_name", "contents", "create", "describe",
    "digests", "divide_again", "exists", "fix_half", "folder_of", "forget", "held", "identified", "leave_out",
    "one_line", "put_back", "read", "relabel", "remove", "remove_class", "rename_class", "sets_dir", "undo",
    "version_prefix",
]

BY_HAND = "taken out by hand"


def create(name: str, classes: Iterable[str] = ()) -> PhotoSet:
    """A new set without a photograph."""
    made = PhotoSet(secrets.token_hex(16), one_line(name, LONGEST_NAME) or "my photos",
                    datetime.now(UTC).isoformat(timespec="seconds"))
    for each in classes:
        made = replace(made, classes=(*made.classes, _new_class(made, each)))
    folder = sets_dir() / made.set_id
    with plainly("no set was made"):
        sets_dir().mkdir(parents=True, exist_ok=True)
        _sweep_half_made()
        try:
            (folder / "photos").mkdir(parents=True)
            write(made)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    return made


def _sweep_half_made() -> None:
    """Remove what was to become a set, or was one, when the server was killed: a folder without a manifest."""
    for folder in sets_dir().iterdir():
        with suppress(OSError):
            if not exists(folder.name) and not folder.name.startswith(".") and \
                    time.time() - folder.stat().st_mtime > LEFT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def set_ids() -> list[str]:
    """The ids of all sets of this home, who has looked at which being another matter."""
    if not sets_dir().is_dir():
        return []
    return sorted(one.name for one in sets_dir().iterdir() if exists(one.name))


def begin(chosen: PhotoSet) -> PhotoSet:
    """Keep a set as it is given here, with an empty journal."""
    with locked(chosen.set_id):
        new = replace(chosen, edits=())
        write(new)
    return new


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
        raise PlaygroundError(
            f"The share kept aside is between {percent(LEAST_SHARE, 0)} and {percent(MOST_SHARE, 0)}.")
    what = f"divided with seed {seed}, {percent(share, 0)} kept aside"
    return change(set_id, what, lambda old: replace(
        old, seed=seed, share=share, photos={key: replace(photo, half=None) for key, photo in old.photos.items()}))


def describe(set_id: str, name: str, source: str, licence: str) -> PhotoSet:
    """What the set is called, where the photographs are from, and what one may do with them."""
    return change(set_id, "notes changed", lambda old: replace(
        old, name=one_line(name, LONGEST_NAME) or old.name, source=one_line(source, LONGEST_NOTE),
        licence=one_line(licence, LONGEST_NOTE)))


def forget(set_id: str) -> PhotoSet:
    """Delete for good the photographs that were taken out, and the journal that could bring them back."""
    with locked(set_id, "some of what was taken out may still be there"):
        old = read(set_id)
        out = {photo.name for photo in old.photos.values() if photo.left_out is not None}
        new = replace(old, photos=old.kept, edits=(), refused=tuple(
            each for each in old.refused if each.name not in out))
        write(new)
        photos_there = folder_of(set_id) / "photos"
        unused = {path.name for path in photos_there.iterdir()} - named(new)
        gone = {(photos_there / name).stat().st_ino for name in unused}
        for version in versions_of(set_id):  # a hard link would keep what somebody wants to be gone
            for path in version.glob("*/**/*"):
                if path.is_file() and path.stat().st_ino in gone:
                    path.unlink()
            for path in version.glob("*/manifest.json"):
                _without_names_of_what_is_gone(path)
        sweep(unused, new)
    return new


def _without_names_of_what_is_gone(manifest: Path) -> None:
    said = json.loads(manifest.read_text(encoding="utf-8"))
    said["photos"] = [each for each in said["photos"] if (manifest.parent / each["file"]).exists()]
    with whole(manifest) as incoming:
        incoming.write_text(json.dumps(said | {"left_out": []}, ensure_ascii=False, indent=1), encoding="utf-8")


def remove(set_id: str) -> None:
    """Delete a set for good: photographs, manifest, versions."""
    folder = folder_of(set_id)
    with locked(set_id, "not everything of the set was deleted"):
        for version in versions_of(set_id):
            shutil.rmtree(version)
        (folder / "manifest.json").unlink()  # from here on there is no such set
        shutil.rmtree(folder)


def contents(set_id: str) -> set[str]:
    """The digests of all photographs whose files a set has, those only its journal knows included."""
    return {path.name.partition(".")[0] for path in (folder_of(set_id) / "photos").iterdir()}


def held() -> set[str]:
    """The digests of the photographs of all sets."""
    return {path.name.partition(".")[0] for path in sets_dir().glob("*/photos/*")}


def _new_class(old: PhotoSet, text: str) -> str:
    name = class_name(text)
    if look(name) in {look(each) for each in old.classes}:
        raise PlaygroundError(f"There is a class {name!r} already.")
    class_list((*old.classes, name))
    return name


def _number(keys: set[str]) -> str:
    return counted(len(keys), "photo")
