"""Folders of pictures, one a class: what is in them, and how they are divided into training and validation."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from playground.datasets.disk import plainly, unfinished
from playground.datasets.halves import TRAIN, VALIDATION
from playground.datasets.names import composed, look
from playground.datasets.photos import SUFFIXES, why_unreadable
from playground.datasets.unzip import is_junk, move_into_place, unzip
from playground.errors import PlaygroundError

__all__ = ["PhotoFolder", "arranged", "divide", "division", "half_of", "looks_like_classes", "scan", "unzip",
           "write_faces"]

_TRAIN = "train|training|trn"
_ASIDE = "val|valid|validation|validate|dev|development|test|tst|testing|eval|evaluation|holdout|heldout"
_HALF = re.compile(rf"(?:(?P<train>{_TRAIN})|(?:{_ASIDE}))(?:set|split|data|images?|imgs?|photos?|pictures?|pics)?")
VALIDATION_SHARE = 0.2
_AT_ONCE = 4  # files decoded side by side while a folder is looked through


@dataclass(frozen=True)
class PhotoFolder:
    """What was found: a picture is (path, the index of its class); unreadable is (path, the reason as a sentence)."""

    classes: tuple[str, ...]
    train: tuple[tuple[Path, int], ...]
    validation: tuple[tuple[Path, int], ...]
    unreadable: tuple[tuple[Path, str], ...]


def half_of(name: str) -> str | None:
    """Which half of a set a folder's name stands for, in every usual spelling; None for any other name.

    What is not to train on is kept aside, be it called validation or test.

    >>> half_of("Train"), half_of("test_set"), half_of("VAL"), half_of("tram")
    ('train', 'validation', 'validation', None)
    """
    found = _HALF.fullmatch(re.sub(r"[\W_]+", "", name.casefold()))
    return None if found is None else TRAIN if found["train"] else VALIDATION


@dataclass(frozen=True)
class _Arrangement:
    """The folders the classes lie in: those of training and those kept aside, or of no half at all (`undivided`)."""

    top: Path
    train: tuple[Path, ...] = ()
    aside: tuple[Path, ...] = ()
    undivided: tuple[Path, ...] = ()


def scan(path: Path, seed: int, reason: Callable[[Path], str | None] = why_unreadable) -> PhotoFolder:
    """The classes and pictures of a folder.

    DIR/train/CLASS/* and DIR/validation/CLASS/* are taken as they are, in every usual spelling (`half_of`); test/ is
    kept aside as well, beside validation/ or instead of it. DIR/CLASS/* is divided, a fifth of every class to
    validation, by `seed` and the names of the readable files. Folders that hold nothing but one other are looked
    through, however many there are. Pictures below a class's own subfolders are the class's. Names that look alike
    (ä in one character or two, capitals or not) are one class. Classes and files are in alphabetical order. Hidden
    files and what systems leave behind (Thumbs.db, __MACOSX) are passed over, every other file that is no picture is
    listed in `unreadable`. `reason` says why a file cannot be used, None when it can. Raises PlaygroundError when there
    are not two classes, or one without a picture.
    """
    path = Path(path)
    if not path.is_dir():
        raise PlaygroundError(f"There is no folder {path}.")
    found = _arrangement(path)
    tops = found.undivided or found.train
    _demand_halves(found)
    classes = _classes(tops)
    _demand_classes(classes, tops[0])

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        train, unreadable = _pictures(tops, classes, reason, pool)
        _demand_pictures(classes, train, tops[0])
        if not found.aside:
            train, validation = divide(train, seed)
            if not validation:
                raise PlaygroundError(f"Every class in {tops[0]} has one picture only, so none can be kept aside to "
                                      "check what is learnt: add more.")
        else:
            for top in found.aside:
                if strange := [name for name in _classes([top]) if look(name) not in map(look, classes)]:
                    raise PlaygroundError(f"{top.name}/ has a class {strange[0]!r} that {tops[0].name}/ has not.")
            validation, more = _pictures(found.aside, classes, reason, pool)
            unreadable += more
            if not validation:
                raise PlaygroundError(f"The folder {found.aside[0]} holds no picture that can be read.")
    return PhotoFolder(classes, tuple(train), tuple(validation), tuple(unreadable))


def arranged(path: Path) -> tuple[Path, list[tuple[Path, str, str | None]]]:
    """The folder the classes lie in, and every file there with its class and "train" or "validation" (None: undivided).

    The same arrangements `scan` knows, but nothing is demanded and nothing is opened.
    """
    found = _arrangement(Path(path))
    halves = [*((TRAIN, top) for top in found.train), *((VALIDATION, top) for top in found.aside),
              *((None, top) for top in found.undivided)]
    return found.top, [(file, composed(folder.name), half) for half, top in halves for folder in _folders(top)
                       for file in _files(folder)]


def division(path: Path) -> str:
    """Which folders are trained on and which kept aside, as a sentence; "" where the playground divides itself."""
    found = _arrangement(Path(path))
    if not found.aside:
        return ""
    train, aside = (" and ".join(f"{top.name}/" for top in tops) for tops in (found.train, found.aside))
    return f"{train} {'are' if len(found.train) > 1 else 'is'} trained on, {aside} kept aside, as they came."


def looks_like_classes(path: Path) -> bool:
    """Whether a folder is arranged as `scan` wants it, by the names alone: two classes or more with pictures in."""
    try:
        found = _arrangement(Path(path))
        filled = {look(folder.name) for top in found.undivided or found.train for folder in _folders(top)
                  if _holds_pictures(folder)}
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


def _demand_halves(found: _Arrangement) -> None:
    """Halves hold a folder for each class, and one of them is trained on."""
    if found.undivided or found.train:
        return
    names = " and ".join(f"{top.name}/" for top in found.aside or _folders(found.top))
    if found.aside:
        raise PlaygroundError(f"The folder {found.top} holds {names} but no train/: name the half to train on train/.")
    raise PlaygroundError(f"The folder {found.top} is divided into {names}, and these hold no folders that could be "
                          "classes: put the pictures of each class in a folder of its own in each of them.")


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


def _classes(tops: Sequence[Path]) -> tuple[str, ...]:
    """The names of the class folders, those that look alike once."""
    names = sorted(composed(folder.name) for top in tops for folder in _folders(top))
    return tuple({look(name): name for name in reversed(names)}[each] for each in dict.fromkeys(map(look, names)))


def _pictures(tops: Sequence[Path], classes: tuple[str, ...], reason: Callable[[Path], str | None],
              pool: ThreadPoolExecutor) -> tuple[list[tuple[Path, int]], list[tuple[Path, str]]]:
    """The pictures of every class that can be read, and the files that cannot, in alphabetical order."""
    files = [(file, k) for k, name in enumerate(classes) for top in tops for folder in _folders(top)
             if look(folder.name) == look(name) for file in _files(folder)]
    reasons = list(pool.map(reason, (file for file, _ in files)))
    good = [picture for picture, why in zip(files, reasons, strict=True) if why is None]
    return good, [(file, why) for (file, _), why in zip(files, reasons, strict=True) if why is not None]


def is_wrapped(path: Path) -> bool:
    """Whether a folder holds nothing but another one, which is what `scan` looks into."""
    return _inside(path) != path


def _inside(path: Path) -> Path:
    """The folder itself, or the one it is wrapped in: a zip of a folder unpacks to nothing but that folder.

    Folders beside it that hold files, but no pictures, do not count; an empty one might be a class.
    """
    while not _has_pictures(path):
        folders = [folder for folder in _folders(path) if _holds_pictures(folder) or next(_files(folder), None) is None]
        if len(folders) != 1 or half_of(folders[0].name) or not _folders(folders[0]):
            break
        path = folders[0]
    return path


def _arrangement(path: Path) -> _Arrangement:
    """Where the classes lie. Halves are never classes, but where a class is called train it lies beside other classes:
    train, bus and tram are vehicles."""
    top = _inside(path)
    named = [(folder, half_of(folder.name)) for folder in _folders(top)]
    train, aside = (tuple(folder for folder, half in named if half == wanted and _folders(folder))
                    for wanted in (TRAIN, VALIDATION))
    others = [folder for folder, half in named if half is None and _holds_pictures(folder)]
    if train and aside:
        return _Arrangement(top, train, aside)
    if train and not others:
        return _Arrangement(top, undivided=train)
    if named and all(half for _, half in named):
        one = len(named) == 1 and aside
        return _Arrangement(top, undivided=aside) if one else _Arrangement(top, aside=aside)
    return _Arrangement(top, undivided=(top,))


def _folders(path: Path) -> list[Path]:
    return sorted((entry for entry in path.iterdir() if entry.is_dir() and not is_junk(entry.name)),
                  key=lambda entry: entry.name) if path.is_dir() else []


def _has_pictures(path: Path) -> bool:
    return any(entry.suffix.lower() in SUFFIXES for entry in path.iterdir() if entry.is_file())


def _holds_pictures(folder: Path) -> bool:
    return any(file.suffix.lower() in SUFFIXES for file in _files(folder))


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder but hidden ones and junk; no links to folders (they can lead in a circle)."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_junk(name))
        for name in sorted(files):
            if not is_junk(name) and (Path(here) / name).is_file():
                yield Path(here) / name
