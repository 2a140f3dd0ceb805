"""How a folder of pictures is arranged: which folders in it are classes, and which are halves of the set."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from playground.datasets.halves import TRAIN, VALIDATION
from playground.datasets.names import composed, look
from playground.datasets.photos import SUFFIXES
from playground.datasets.unzip import is_junk

_TRAIN = "train|training|trn"
_ASIDE = "val|valid|validation|validate|dev|development|tests?|tst|testing|eval|evaluation|holdout|heldout"
_OF_WHAT = "(?:(?:data|set|split|images?|imgs?|photos?|pictures?|pics|copy|of)*)"
_HALF = re.compile(rf"{_OF_WHAT}(?:(?P<train>{_TRAIN})|(?:{_ASIDE})){_OF_WHAT}")
_WORD = re.compile(r"[^\W\d_]+?(?=[\W\d_]|$|(?<=[a-z])[A-Z])")


@dataclass(frozen=True)
class Part:
    """The classes of a set, or of a half of it: each is (name, the folder its pictures lie in).

    path: the folder that sentences name; names: what the half's folders are called.
    """

    path: Path
    names: tuple[str, ...]
    classes: tuple[tuple[str, Path], ...]


@dataclass(frozen=True)
class Arrangement:
    """The parts to train on and those kept aside, or of no half at all (`undivided`); without any, the sentence why."""

    top: Path
    train: tuple[Part, ...] = ()
    aside: tuple[Part, ...] = ()
    undivided: tuple[Part, ...] = ()
    refused: str = ""


@dataclass(frozen=True)
class _Spelt:
    """A folder's name as a half: which, the words around it, and what is left of the name without the half's words."""

    half: str
    affix: tuple[str, ...]
    rest: str


def half_of(name: str) -> str | None:
    """Which half of a set a folder's name stands for, in every usual spelling, numbered or not; None for other names.

    What is not to train on is kept aside, be it called validation or test.

    >>> half_of("Train"), half_of("test_set"), half_of("VAL (1)"), half_of("tram")
    ('train', 'validation', 'validation', None)
    """
    spelt = _spelt(name)
    return None if spelt is None or spelt.affix else spelt.half


def is_half(path: Path) -> bool:
    """Whether a folder is half of the set it lies in."""
    return path.name in _halves([folder.name for folder in folders_in(path.parent)])


def is_wrapped(path: Path) -> bool:
    """Whether a folder holds nothing but another one, which is what `arrangement` looks into."""
    return _inside(path) != path


def arrangement(path: Path) -> Arrangement:
    """Where the classes lie. Halves are never classes, but where a class is called train it lies beside other classes:
    train, bus and tram are vehicles."""
    top = _inside(path)
    folders = folders_in(top)
    halves = _halves([folder.name for folder in folders])
    train, aside = (tuple(part for folder in folders if halves.get(folder.name) == half
                          and (part := _part(folder, half)).classes) for half in (TRAIN, VALIDATION))
    others = [folder for folder in folders if folder.name not in halves and holds_pictures(folder)]
    if train and aside:
        train, aside = _looked_through(train, aside)
        return Arrangement(top, train, aside)
    if train and not others:
        (train,) = _looked_through(train)
        return Arrangement(top, undivided=train)
    if within := _halves_of_classes(top, folders) or _classes_in_halves(top, folders):
        return within
    if folders and len(halves) == len(folders) and not _numbered(folders, halves):
        names = listed([f"{name}/" for name in ([part.names[0] for part in aside] or halves)])
        if aside and len(folders) > 1:
            return Arrangement(top, refused=f"The folder {top} holds {names} but no train/: name the half to train on "
                                            "train/.")
        return Arrangement(top, undivided=aside, refused=(
            f"The folder {top} is divided into {names}, and these hold no folders that could be classes: put the "
            "pictures of each class in a folder of its own in each of them."))
    return Arrangement(top, undivided=(Part(top, (top.name,), _named(folders)),))


def listed(names: Sequence[str]) -> str:
    """Names in a sentence.

    >>> listed(["a/", "b/", "c/"])
    'a/, b/ and c/'
    """
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def folders_in(path: Path) -> list[Path]:
    """The folders in a folder by name, but hidden ones and junk; none where it is no folder."""
    return sorted((entry for entry in path.iterdir() if entry.is_dir() and not is_junk(entry.name)),
                  key=lambda entry: entry.name) if path.is_dir() else []


def holds_pictures(folder: Path) -> bool:
    """Whether there is a picture anywhere below a folder, by the names alone."""
    return any(file.suffix.lower() in SUFFIXES for file in files(folder))


def files(folder: Path) -> Iterator[Path]:
    """Every file below a folder but hidden ones and junk; no links to folders (they can lead in a circle)."""
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_junk(name))
        for name in sorted(names):
            if not is_junk(name) and (Path(here) / name).is_file():
                yield Path(here) / name


def _spelt(name: str) -> _Spelt | None:
    """A name as a half: the longest row of its words that says one."""
    words = list(_WORD.finditer(name))
    for length in range(len(words), 0, -1):
        for k in range(len(words) - length + 1):
            row = words[k : k + length]
            if found := _HALF.fullmatch("".join(word[0] for word in row).casefold()):
                around = tuple(word[0].casefold() for word in (*words[:k], *words[k + length :]))
                rest = re.sub(r"[\W_]+", " ", f"{name[: row[0].start()]} {name[row[-1].end() :]}").strip()
                return _Spelt(TRAIN if found["train"] else VALIDATION, around, rest)
    return None


def _halves(names: Sequence[str]) -> dict[str, str]:
    """Which of the folders beside each other are halves: seg_train is one where seg_test is there too."""
    spelt = {name: found for name in names if (found := _spelt(name)) is not None}
    of_affix: dict[tuple[str, ...], set[str]] = {}
    for one in spelt.values():
        of_affix.setdefault(one.affix, set()).add(one.half)
    return {name: one.half for name, one in spelt.items() if not one.affix or len(of_affix[one.affix]) == 2}


def _part(folder: Path, half: str) -> Part:
    """The classes of a half; training_set/training_set/ and its like are looked through, and are never a class."""
    here = folder
    while (inner := _only_folder(here)) and (look(inner.name) == look(folder.name) or half_of(inner.name) == half):
        here = inner
    return Part(folder, (folder.name,), _named(folders_in(here)))


def _looked_through(*halves: tuple[Part, ...]) -> tuple[tuple[Part, ...], ...]:
    """Halves that all hold one and the same folder, and the classes in that: train/images/CLASS, test/images/CLASS."""
    while True:
        parts = [part for half in halves for part in half]
        within = [folders_in(part.classes[0][1]) for part in parts]
        alike = len({look(name) for part in parts for name, _ in part.classes}) == 1
        if not alike or not all(within) or any(_has_pictures(part.classes[0][1]) for part in parts):
            return halves
        halves = tuple(tuple(Part(part.path, part.names, _named(folders_in(part.classes[0][1]))) for part in half)
                       for half in halves)


def _halves_of_classes(top: Path, folders: Sequence[Path]) -> Arrangement | None:
    """CLASS/train and CLASS/test, where every class is divided so."""
    found: dict[str, list[tuple[str, Path]]] = {TRAIN: [], VALIDATION: []}
    classes = [folder for folder in folders if holds_pictures(folder)]
    for folder in classes:
        below = [inner for inner in folders_in(folder) if holds_pictures(inner)]
        halves = _halves([inner.name for inner in below])
        if _has_pictures(folder) or len(halves) < len(below) or TRAIN not in halves.values():
            return None
        for inner in below:
            found[halves[inner.name]].append((composed(folder.name), inner))
    return _divided(top, found, len(classes))


def _classes_in_halves(top: Path, folders: Sequence[Path]) -> Arrangement | None:
    """cats_train, cats_test, dogs_train and dogs_test, where every folder is named so."""
    found: dict[str, list[tuple[str, Path]]] = {TRAIN: [], VALIDATION: []}
    for folder in folders:
        spelt = _spelt(folder.name)
        if spelt is None or not spelt.rest:
            return None
        found[spelt.half].append((composed(spelt.rest), folder))
    classes = {look(name) for half in found.values() for name, _ in half}
    return _divided(top, found, len(classes)) if classes == {look(name) for name, _ in found[TRAIN]} else None


def _divided(top: Path, found: dict[str, list[tuple[str, Path]]], classes: int) -> Arrangement | None:
    if classes < 2 or not found[VALIDATION]:
        return None
    train, aside = (Part(top, tuple(dict.fromkeys(folder.name for _, folder in half)), tuple(half))
                    for half in (found[TRAIN], found[VALIDATION]))
    return Arrangement(top, (train,), (aside,))


def _numbered(folders: Sequence[Path], halves: dict[str, str]) -> bool:
    """Whether folders only look like halves: "Test 1" and "Test 2", with nothing to train on and no folders in them."""
    return len(set(halves.values())) == 1 and all(re.search(r"\d", folder.name) and not folders_in(folder)
                                                  for folder in folders)


def _inside(path: Path) -> Path:
    """The folder itself, or the one it is wrapped in: a zip of a folder unpacks to nothing but that folder."""
    while (inner := _only_folder(path)) and folders_in(inner) and not half_of(inner.name):
        path = inner
    return path


def _only_folder(path: Path) -> Path | None:
    """The one folder in a folder; None where there are pictures or more folders.

    Folders beside it that hold files, but no pictures, do not count; an empty one might be a class.
    """
    if _has_pictures(path):
        return None
    found = [folder for folder in folders_in(path) if holds_pictures(folder) or next(files(folder), None) is None]
    return found[0] if len(found) == 1 else None


def _named(folders: Sequence[Path]) -> tuple[tuple[str, Path], ...]:
    return tuple((composed(folder.name), folder) for folder in folders)


def _has_pictures(path: Path) -> bool:
    return any(entry.suffix.lower() in SUFFIXES for entry in path.iterdir() if entry.is_file())
