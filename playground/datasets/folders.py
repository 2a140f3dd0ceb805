"""Folders of pictures, one a class: what is in them, and how they are divided into training and validation."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from playground.datasets.photos import SUFFIXES, why_unreadable
from playground.datasets.unzip import is_junk, move_into_place, unzip
from playground.errors import PlaygroundError

__all__ = ["PhotoFolder", "arranged", "divide", "looks_like_classes", "scan", "unzip", "write_faces"]

TRAIN, VALIDATION = "train", ("validation", "valid", "val")
VALIDATION_SHARE = 0.2
_AT_ONCE = 4  # files decoded side by side while a folder is looked through


@dataclass(frozen=True)
class PhotoFolder:
    """What was found: a picture is (path, the index of its class); unreadable is (path, the reason as a sentence)."""

    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    validation: tuple[tuple[Path, int], ...]
    unreadable: tuple[tuple[Path, str], ...]


def scan(path: Path, seed: int, reason: Callable[[Path], str | None] = why_unreadable) -> PhotoFolder:
    """The classes and pictures of a folder.

    DIR/train/CLASS/* and DIR/validation/CLASS/* (or valid, val) are taken as they are; DIR/CLASS/* is divided, a fifth
    of every class to validation, by `seed` and the names of the readable files. A folder that holds nothing but one
    other is looked into. Pictures below a class's own subfolders are the class's. Classes and files are in
    alphabetical order. Hidden files and what systems leave behind (Thumbs.db, __MACOSX) are passed over, every other
    file that is no picture is listed in `unreadable`. `reason` says why a file cannot be used, None when it can. Raises
    PlaygroundError when there are not two classes, or one without a picture.
    """
    path = Path(path)
    if not path.is_dir():
        raise PlaygroundError(f"There is no folder {path}.")
    top = _inside(path)
    halves = _halves(top)
    train_top, validation_top = halves or (top, None)
    classes = tuple(folder.name for folder in _folders(train_top))
    _demand_classes(classes, train_top)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        train, unreadable = _pictures(train_top, classes, reason, pool)
        _demand_pictures(classes, train, train_top)
        if validation_top is None:
            train, validation = divide(train, seed)
            if not validation:
                raise PlaygroundError(f"Every class in {top} has one picture only, so none can be kept aside to check "
                                      "what is learnt: add more.")
        else:
            strange = [folder.name for folder in _folders(validation_top) if folder.name not in classes]
            if strange:
                raise PlaygroundError(
                    f"{validation_top.name}/ has a class {strange[0]!r} that {train_top.name}/ has not.")
            validation, more = _pictures(validation_top, classes, reason, pool)
            unreadable += more
            if not validation:
                raise PlaygroundError(f"The folder {validation_top} holds no picture that can be read.")
    return PhotoFolder(classes, tuple(train), tuple(validation), tuple(unreadable))


def arranged(path: Path) -> tuple[Path, list[tuple[Path, str, str | None]]]:
    """The folder the classes lie in, and every file there with its class and "train" or "validation" (None: undivided).

    The same arrangements `scan` knows, but nothing is demanded and nothing is opened.
    """
    top = _inside(Path(path))
    train_top, validation_top = _halves(top) or (top, None)
    divided = validation_top is not None
    found: list[tuple[Path, str, str | None]] = []
    for half, half_top in (("train", train_top), ("validation", validation_top)):
        for folder in _folders(half_top) if half_top is not None else []:
            found += [(file, folder.name, half if divided else None) for file in _files(folder)]
    return top, found


def looks_like_classes(path: Path) -> bool:
    """Whether a folder is arranged as `scan` wants it, by the names alone: two folders or more with pictures in."""
    try:
        top = _inside(Path(path))
        train_top, _ = _halves(top) or (top, None)
        filled = (any(file.suffix.lower() in SUFFIXES for file in _files(folder)) for folder in _folders(train_top))
        return any(filled) and any(filled)  # a generator: the second `any` goes on behind the first one found
    except OSError:  # what may not be looked at is not offered
        return False


def divide(pictures: list[tuple[Path, int]], seed: int) -> tuple[list[tuple[Path, int]], list[tuple[Path, int]]]:
    """A fifth of every class for validation, at least one picture of two; the rest to train on. Both in old order.

    >>> train, validation = divide([(Path(f"{k}.png"), k % 2) for k in range(20)], seed=0)
    >>> len(train), len(validation), sum(label for _, label in validation)
    (16, 4, 2)
    """
    rng = np.random.default_rng(seed)
    labels = np.array([label for _, label in pictures])
    held_out: set[int] = set()
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = max(1, round(VALIDATION_SHARE * len(members))) if len(members) > 1 else 0
        held_out.update(members[:count].tolist())
    train = [picture for k, picture in enumerate(pictures) if k not in held_out]
    return train, [pictures[k] for k in sorted(held_out)]


def write_faces(into: Path) -> Path:
    """The offline sample: scikit-image's lfw_subset as files, 100 in faces/ and 100 in non-faces/, gray, 25 x 25.

    Written whole or not at all; what is there already is left alone. Returns `into`.
    """
    into = Path(into)
    if into.is_dir():
        return into
    from skimage.data import lfw_subset

    into.parent.mkdir(parents=True, exist_ok=True)
    incoming = Path(tempfile.mkdtemp(prefix=".faces-", dir=into.parent))
    try:
        for k, levels in enumerate(lfw_subset()):  # type: ignore[no-untyped-call]  # float 0..1; the first hundred are faces
            folder = incoming / ("faces" if k < 100 else "non-faces")
            folder.mkdir(exist_ok=True)
            Image.fromarray(np.round(levels * 255).astype(np.uint8)).save(folder / f"{k % 100:03d}.png")
        move_into_place(incoming, into)
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
    return into


def _demand_classes(classes: tuple[str, ...], top: Path) -> None:
    if len(classes) >= 2:
        return
    wanted = "put the pictures of each class in a folder of its own, for example cats/ and dogs/"
    if classes:
        raise PlaygroundError(
            f"The folder {top} holds one class only ({classes[0]}), and telling apart takes two: {wanted}.")
    raise PlaygroundError(f"The folder {top} holds no folders that could be classes: {wanted}.")


def _demand_pictures(classes: tuple[str, ...], pictures: list[tuple[Path, int]], top: Path) -> None:
    present = {label for _, label in pictures}
    empty = [name for k, name in enumerate(classes) if k not in present]
    if empty:
        raise PlaygroundError(f"The class {empty[0]!r} has no picture that can be read in {top / empty[0]}.")


def _pictures(top: Path, classes: tuple[str, ...], reason: Callable[[Path], str | None],
              pool: ThreadPoolExecutor) -> tuple[list[tuple[Path, int]], list[tuple[Path, str]]]:
    """The pictures of every class that can be read, and the files that cannot, in alphabetical order."""
    files = [(file, k) for k, name in enumerate(classes) for file in _files(top / name)]
    reasons = list(pool.map(reason, (file for file, _ in files)))
    good = [picture for picture, why in zip(files, reasons, strict=True) if why is None]
    return good, [(file, why) for (file, _), why in zip(files, reasons, strict=True) if why is not None]


def is_wrapped(path: Path) -> bool:
    """Whether a folder holds nothing but another one, which is what `scan` looks into."""
    return _inside(path) != path


def _inside(path: Path) -> Path:
    """The folder itself, or the one it is wrapped in: a zip of a folder unpacks to nothing but that folder."""
    for _ in range(3):
        folders = _folders(path)
        if len(folders) != 1 or folders[0].name == TRAIN or not _folders(folders[0]) or _has_pictures(path):
            break
        path = folders[0]
    return path


def _halves(top: Path) -> tuple[Path, Path | None] | None:
    """(train, validation) where the folder is divided already; validation is None where only train/ is there."""
    train = top / TRAIN
    if not train.is_dir() or not _folders(train):
        return None
    validation = next((top / name for name in VALIDATION if (top / name).is_dir()), None)
    if validation is None and len(_folders(top)) > 1:
        return None  # train, bus and tram: vehicles
    return train, validation


def _folders(path: Path) -> list[Path]:
    return sorted((entry for entry in path.iterdir() if entry.is_dir() and not is_junk(entry.name)),
                  key=lambda entry: entry.name) if path.is_dir() else []


def _has_pictures(path: Path) -> bool:
    return any(entry.suffix.lower() in SUFFIXES for entry in path.iterdir() if entry.is_file())


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder but hidden ones and junk; no links to folders (they can lead in a circle)."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_junk(name))
        for name in sorted(files):
            if not is_junk(name) and (Path(here) / name).is_file():
                yield Path(here) / name
