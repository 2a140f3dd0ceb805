"""A set of photographs as ordinary folders: the version a run trains on, the zip one takes along, and the way back."""

import hashlib
import json
import math
import os
import re
import shutil
import time
import zipfile
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

from playground.datasets import collection, folders
from playground.datasets.collection import LONGEST_NAME, LONGEST_NOTE, Incoming, PhotoSet, Refused, one_line
from playground.datasets.disk import plainly, unfinished
from playground.datasets.folders import PhotoFolder
from playground.datasets.halves import TRAIN, VALIDATION
from playground.datasets.names import composed
from playground.datasets.unzip import is_junk, move_into_place, unzip
from playground.errors import PlaygroundError

MANIFEST = "manifest.json"
FORMAT = "cnn-playground photos"
MOST_MANIFEST_BYTES = 32 * 2**20
KEPT_SECONDS = 600  # an unused version younger than this may be about to be trained on


def layout(chosen: PhotoSet) -> dict[str, str]:
    """Where each photograph kept lies in a folder: key -> train/CLASS/photo.jpg, or CLASS/photo.jpg while none is kept
    aside. Names are the photographs' own, made safe for any file system, numbered where two are the same."""
    halves = chosen.halves
    divided = VALIDATION in halves.values()
    taken: dict[str, int] = {}  # the last number a name was given: so many of one name cost no more than others
    found: dict[str, str] = {}
    for key, photo in chosen.kept.items():
        folder = f"{halves[key]}/{photo.label}" if divided else photo.label
        stem = re.sub(r"[^\w .()+-]", "_", Path(photo.name).stem).strip(". ")[:60] or "photo"
        stem = f"photo {stem}" if is_junk(stem) else stem
        suffix = Path(photo.file).suffix
        name = f"{stem}{suffix}"
        first = f"{photo.label}/{name}".casefold()
        number = taken.get(first, 1)
        while f"{photo.label}/{name}".casefold() in taken:  # nor is it in the other half
            number += 1
            name = f"{stem}-{number}{suffix}"
        taken[first] = number
        taken.setdefault(f"{photo.label}/{name}".casefold(), 1)
        found[key] = f"{folder}/{name}"
    return found


def manifest(chosen: PhotoSet) -> dict[str, Any]:
    """What goes beside the folders: everything about the set that folders do not say."""
    paths = layout(chosen)
    out = [{"name": photo.name, "class": photo.label, "why": photo.left_out}
           for photo in chosen.photos.values() if photo.left_out is not None]
    return {
        "format": FORMAT, "version": 1, "name": chosen.name, "created": chosen.created,
        "classes": list(chosen.classes), "source": chosen.source, "licence": chosen.licence,
        "split": {"seed": chosen.seed, "share": chosen.share},
        "photos": [{"file": path, "name": chosen.photos[key].name, "class": chosen.photos[key].label,
                    "half": chosen.photos[key].half, "sha256": chosen.photos[key].digest}
                   for key, path in paths.items()],
        "left_out": out + [{"name": each.name, "class": each.label, "why": each.why} for each in chosen.refused],
    }


def place(chosen: PhotoSet) -> Path:
    """Where the version of the set as it is now lies, or would lie."""
    return _place(chosen, _text_of(chosen))


def _text_of(chosen: PhotoSet) -> str:
    return json.dumps(manifest(chosen), ensure_ascii=False, indent=1)


def _place(chosen: PhotoSet, text: str) -> Path:
    name = re.sub(r"[^a-z0-9]+", "-", chosen.name.lower()).strip("-")[:40] or "photos"
    prefix = collection.version_prefix(chosen.set_id)
    return collection.sets_dir() / ".versions" / f"{prefix}-{hashlib.sha256(text.encode()).hexdigest()[:16]}" / name


def version(chosen: PhotoSet, in_use: Callable[[], Collection[str]] | None = None) -> Path:
    """The folder that holds the set as it is now and that nothing changes any more: what a run is given.

    The same state is the same folder. Photographs are hard links, so it costs next to nothing. Where `in_use` tells
    which folders runs were given, other versions of this set go when nobody asked for them in KEPT_SECONDS.
    """
    text = _text_of(chosen)
    there = _place(chosen, text)
    top, name = there.parent, there.name
    if not top.is_dir():
        with plainly("nothing was written to train on"), unfinished(top.parent) as incoming:
            folder = incoming / name
            for key, path in layout(chosen).items():
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                _link(chosen.path(chosen.photos[key]), folder / path)
            folder.mkdir(exist_ok=True)
            (folder / MANIFEST).write_text(text, encoding="utf-8")
            move_into_place(incoming, top)
        if in_use is not None:
            _prune(top, collection.version_prefix(chosen.set_id), in_use())
    with suppress(OSError):
        os.utime(top)
    return there


def as_folder(chosen: PhotoSet, in_use: Callable[[], Collection[str]] | None = None) -> PhotoFolder:
    """What `folders.scan` would find in the set's version, without opening a file: each was when it was taken in.

    Raises PlaygroundError when somebody fixed the halves so that a class is not trained on, or nothing is kept aside.
    """
    halves, paths = chosen.halves, layout(chosen)
    classes = tuple(sorted({photo.label for photo in chosen.kept.values()}))
    trained = {photo.label for key, photo in chosen.kept.items() if halves[key] == TRAIN}
    if untrained := [name for name in classes if name not in trained]:
        raise PlaygroundError(f"Every photo of {untrained[0]} is kept aside: put some back to train on.")
    if VALIDATION not in halves.values():
        raise PlaygroundError("No photo is kept aside to check what is learnt: divide the photos again.")
    top = version(chosen, in_use)
    halved: dict[str, list[tuple[Path, int]]] = {TRAIN: [], VALIDATION: []}
    # In the order a walk gives them: a class at a time, file names alphabetical.
    for key in sorted(paths, key=lambda key: (chosen.photos[key].label, Path(paths[key]).name)):
        halved[halves[key]].append((top / paths[key], classes.index(chosen.photos[key].label)))
    refused = tuple((Path(each.label, each.name), each.why) for each in chosen.refused)
    return PhotoFolder(classes, tuple(halved[TRAIN]), tuple(halved[VALIDATION]), refused)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise PlaygroundError("A photo of this set is gone: reload the page.") from None
    except OSError:  # a file system without hard links, or too many of one file
        shutil.copy2(source, target)


def _prune(newest: Path, prefix: str, in_use: Collection[str]) -> None:
    used = {Path(path).parent.name for path in in_use}
    for old in newest.parent.glob(f"{prefix}-*"):
        with suppress(FileNotFoundError):
            if old != newest and old.name not in used and time.time() - old.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(old, ignore_errors=True)


def write_zip(chosen: PhotoSet, target: Path) -> Path:
    """The set as a zip: its folders, and its manifest first. Photographs are packed already: they are stored.

    Whole or not at all. The same set gives the same bytes.
    """
    incoming = target.with_name(f"{target.name}.incoming")
    try:
        with zipfile.ZipFile(incoming, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(MANIFEST), _text_of(chosen))
            for key, path in layout(chosen).items():
                source = chosen.path(chosen.photos[key])
                entry = zipfile.ZipInfo(path)
                entry.file_size = source.stat().st_size  # so that a large one is announced as such
                with archive.open(entry, "w") as file, open(source, "rb") as photo:
                    shutil.copyfileobj(photo, file, 1 << 20)
        os.replace(incoming, target)
    except FileNotFoundError as error:
        raise PlaygroundError("A photo of this set is gone: reload the page.") from error
    finally:
        incoming.unlink(missing_ok=True)
    return target


def zipped(chosen: PhotoSet) -> bytes:
    """The same, for a browser to download."""
    with plainly("the zip was not made"), unfinished(collection.sets_dir(), ".export-") as folder:
        return write_zip(chosen, folder / "photos.zip").read_bytes()


def from_zip(content: bytes | BinaryIO, name: str, progress: Callable[[int, int], None] | None = None) -> PhotoSet:
    """A new set from a zip: one made by `write_zip` comes back as it was, plain folders in a zip become a set too."""
    with plainly("no set was made"), unfinished(collection.sets_dir(), ".import-") as folder:
        return from_folder(unzip(content, folder / "unpacked"), name, progress)


def add_zip(set_id: str, content: bytes | BinaryIO, progress: Callable[[int, int], None] | None = None) -> PhotoSet:
    """The photographs of a zip added to a set that is there, class by class."""
    with plainly("none of these photos was added"), unfinished(collection.sets_dir(), ".import-") as folder:
        return collection.add_folder(set_id, unzip(content, folder / "unpacked"), progress)


def from_folder(path: Path, name: str, progress: Callable[[int, int], None] | None = None) -> PhotoSet:
    """A new set from a folder of class folders, the photographs copied: `path` itself is never changed.

    A division into train/ and validation/ is kept as it is; where there is a manifest of ours, everything it says.
    Raises PlaygroundError, and makes nothing, when there are no photographs or the manifest is not what it should be.
    """
    top, files = folders.arranged(path)
    said = _read_manifest(top / MANIFEST) or _read_manifest(path / MANIFEST)
    if not files and not said:
        raise PlaygroundError("There are no folders with photos in it, one for each class.")
    if said is None:
        made = collection.create(name)
        entries: dict[str, tuple[int, str, str | None]] = {}
    else:
        made = collection.create(said["name"] or name, said["classes"])
        entries = said["photos"]
    try:
        known = [(composed(file.relative_to(top).as_posix()), file, label, half) for file, label, half in files]
        known.sort(key=lambda one: entries.get(one[0], (len(entries),))[0])  # the manifest's, then the rest
        # What the manifest says of a file is only asked for files that are there: no path of its is ever opened.
        wanted = []
        for place, file, label, half in known:
            _, called, fixed = entries.get(place, (0, "", half))
            wanted.append(Incoming(file, label, fixed, called))
        filled = collection.add_files(made.set_id, wanted, progress) if wanted else made
        if not filled.kept and wanted:
            raise PlaygroundError("None of the files in it is a picture that can be read.")
        if said is not None:
            filled = replace(filled, created=said["created"] or filled.created, source=said["source"],
                             licence=said["licence"], seed=said["seed"], share=said["share"],
                             refused=(*said["left_out"], *filled.refused)[-collection.MOST_REFUSED:])
        return collection.begin(filled)  # coming in is nothing to take back
    except BaseException:
        with suppress(PlaygroundError):
            collection.remove(made.set_id)
        raise


def notes(folder: Path) -> tuple[str, str] | None:
    """Source and licence as the manifest in a folder says them; None where there is none of ours.

    Raises PlaygroundError when it is damaged.
    """
    said = _read_manifest(folder / MANIFEST)
    return (said["source"], said["licence"]) if said else None


def _read_manifest(path: Path) -> dict[str, Any] | None:
    """What a manifest that came from anywhere says, every value checked; None where there is none of ours.

    Raises PlaygroundError when it says it is ours and is not as it should be.
    """
    try:
        if not path.is_file() or path.is_symlink() or path.stat().st_size > MOST_MANIFEST_BYTES:
            return None
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        return None
    try:
        if said["version"] != 1:
            raise PlaygroundError("The manifest.json among these photos is of a newer playground.")
        split, listed = said["split"], said["photos"]
        seed, share = split["seed"], split["share"]
        if type(seed) is not int or not 0 <= seed < 2**31:
            raise ValueError("seed")
        if type(share) not in (int, float) or not math.isfinite(share) or \
                not collection.LEAST_SHARE <= share <= collection.MOST_SHARE:
            raise ValueError("share")
        if len(listed) > collection.MOST_PHOTOS or len(said["classes"]) > collection.MOST_CLASSES:
            raise ValueError("too many")
        entries = {}
        for place, each in enumerate(listed):
            if each["half"] not in (None, TRAIN, VALIDATION):
                raise ValueError("half")
            entries[_text(each["file"], 1_000)] = (place, _text(each["name"], LONGEST_NAME), each["half"])
        return {
            "name": _text(said["name"], LONGEST_NAME), "created": _text(said["created"], 40),
            "classes": [collection.class_name(_text(name, 1_000)) for name in said["classes"]],
            "source": _text(said["source"], LONGEST_NOTE), "licence": _text(said["licence"], LONGEST_NOTE),
            "seed": seed, "share": float(share), "photos": entries,
            "left_out": [Refused(_text(each["name"], LONGEST_NAME), _text(each["class"], LONGEST_NAME),
                                 _text(each["why"], LONGEST_NOTE))
                         for each in said["left_out"][: collection.MOST_REFUSED]],
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PlaygroundError("The manifest.json among these photos is damaged; without it they can be read.") \
            from error


def _text(value: object, longest: int) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value))
    return one_line(value, longest)
