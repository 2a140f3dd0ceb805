"""Folders of pictures, one a class: what is in them, and how they are divided into training and validation."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from playground.datasets.arrangement import (
    Part,
    arrangement,
    files,
    half_of,
    holds_pictures,
    is_half,
    is_wrapped,
    listed,
)
from playground.datasets.disk import plainly, unfinished
from playground.datasets.halves import TRAIN, VALIDATION
from playground.datasets.names import look
from playground.datasets.photos import why_unreadable
from playground.datasets.unzip import move_into_place, unzip
from playground.errors import PlaygroundError

__all__ = ["PhotoFolder", "arranged", "divide", "division", "half_of", "is_half", "is_wrapped", "looks_like_classes",
           "scan", "unzip", "write_faces"]

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

    DIR/train/CLASS/* and DIR/validation/CLASS/* are taken as they are, in every usual spelling (`half_of`); test/ is
    kept aside as well, beside validation/ or instead of it. So are DIR/CLASS/train/* and DIR/CLASS/test/*. DIR/CLASS/*
    is divided, a fifth of every class to validation, by `seed` and the names of the readable files. Folders that hold
    nothing but one other are looked through, however many there are. Pictures below a class's own subfolders are the
    class's. Names that look alike (ä in one character or two, capitals or not) are one class. Classes and files are in
    alphabetical order. Hidden files and what systems leave behind (Thumbs.db, __MACOSX) are passed over, every other
    file that is no picture is listed in `unreadable`. `reason` says why a file cannot be used, None when it can. Raises
    PlaygroundError when there are not two classes, or one without a picture.
    """
    path = Path(path)
    if not path.is_dir():
        raise PlaygroundError(f"There is no folder {path}.")
    found = arrangement(path)
    parts = found.undivided or found.train
    if not parts:
        raise PlaygroundError(found.refused)
    top, classes = parts[0].path, _classes(parts)
    _demand_classes(classes, top)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        train, unreadable = _pictures(parts, classes, reason, pool)
        _demand_pictures(classes, train, parts)
        if not found.aside:
            train, validation = divide(train, seed)
            if not validation:
                raise PlaygroundError(f"Every class in {top} has one picture only, so none can be kept aside to check "
                                      "what is learnt: add more.")
        else:
            known = {look(name) for name in classes}
            for part in found.aside:
                if strange := [name for name in _classes([part]) if look(name) not in known]:
                    raise PlaygroundError(f"{part.names[0]}/ has a class {strange[0]!r} that {parts[0].names[0]}/ has "
                                          "not.")
            validation, more = _pictures(found.aside, classes, reason, pool)
            unreadable += more
            if not validation:
                raise PlaygroundError(f"The folder {found.aside[0].path} holds no picture that can be read.")
    return PhotoFolder(classes, tuple(train), tuple(validation), tuple(unreadable))


def arranged(path: Path) -> tuple[Path, list[tuple[Path, str, str | None]]]:
    """The folder the classes lie in, and every file there with its class and "train" or "validation" (None: undivided).

    The same arrangements `scan` knows, but nothing is demanded and nothing is opened.
    """
    found = arrangement(Path(path))
    halves = [*((TRAIN, part) for part in found.train), *((VALIDATION, part) for part in found.aside),
              *((None, part) for part in found.undivided)]
    return found.top, [(file, name, half) for half, part in halves for name, folder in part.classes
                       for file in files(folder)]


def division(path: Path) -> str:
    """Which folders are trained on and which kept aside, as a sentence; "" where the playground divides itself."""
    found = arrangement(Path(path))
    if not found.aside:
        return ""
    train, aside = (list(dict.fromkeys(f"{name}/" for part in parts for name in part.names))
                    for parts in (found.train, found.aside))
    return f"{listed(train)} {'are' if len(train) > 1 else 'is'} trained on, {listed(aside)} kept aside, as they came."


def looks_like_classes(path: Path) -> bool:
    """Whether a folder is arranged as `scan` wants it, by the names alone: two classes or more with pictures in."""
    try:
        found = arrangement(Path(path))
        filled = {look(name) for part in found.undivided or found.train for name, folder in part.classes
                  if holds_pictures(folder)}
        return len(filled) >= 2
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

    with plainly("the sample photos were not written"), unfinished(into.parent) as incoming:
        for k, levels in enumerate(lfw_subset()):  # type: ignore[no-untyped-call]  # float 0..1; the first hundred are faces
            folder = incoming / ("faces" if k < 100 else "non-faces")
            folder.mkdir(exist_ok=True)
            Image.fromarray(np.round(levels * 255).astype(np.uint8)).save(folder / f"{k % 100:03d}.png")
        move_into_place(incoming, into)
    return into


def _demand_classes(classes: tuple[str, ...], top: Path) -> None:
    if len(classes) >= 2:
        return
    wanted = "put the pictures of each class in a folder of its own, for example cats/ and dogs/"
    if classes:
        raise PlaygroundError(
            f"The folder {top} holds one class only ({classes[0]}), and telling apart takes two: {wanted}.")
    raise PlaygroundError(f"The folder {top} holds no folders that could be classes: {wanted}.")


def _demand_pictures(classes: tuple[str, ...], pictures: list[tuple[Path, int]], parts: Sequence[Part]) -> None:
    present = {label for _, label in pictures}
    if empty := [name for k, name in enumerate(classes) if k not in present]:
        folder = next(folder for part in parts for name, folder in part.classes if look(name) == look(empty[0]))
        raise PlaygroundError(f"The class {empty[0]!r} has no picture that can be read in {folder}.")


def _classes(parts: Sequence[Part]) -> tuple[str, ...]:
    """The names of the classes, those that look alike once."""
    named: dict[str, str] = {}
    for name in sorted(name for part in parts for name, _ in part.classes):
        named.setdefault(look(name), name)
    return tuple(named.values())


def _pictures(parts: Sequence[Part], classes: tuple[str, ...], reason: Callable[[Path], str | None],
              pool: ThreadPoolExecutor) -> tuple[list[tuple[Path, int]], list[tuple[Path, str]]]:
    """The pictures of every class that can be read, and the files that cannot, in alphabetical order."""
    number = {look(name): k for k, name in enumerate(classes)}
    folders = sorted(((number[look(name)], folder) for part in parts for name, folder in part.classes),
                     key=lambda one: one[0])
    found = [(file, k) for k, folder in folders for file in files(folder)]
    reasons = list(pool.map(reason, (file for file, _ in found)))
    good = [picture for picture, why in zip(found, reasons, strict=True) if why is None]
    return good, [(file, why) for (file, _), why in zip(found, reasons, strict=True) if why is not None]
