"""What is wrong with the photographs of a training, as sentences for who follows it."""

import hashlib
from collections.abc import Hashable, Sequence
from pathlib import Path

from playground.datasets.folders import PhotoFolder
from playground.errors import PlaygroundError
from playground.numbers import count, counted

MOST_REASONS = 5


def remarks(classes: Sequence[str], train: Sequence[tuple[Hashable, int]], aside: Sequence[tuple[Hashable, int]]
            ) -> list[str]:
    """The same photo in two classes or in both halves, and classes of which none is kept aside, so that nothing is
    known of them. A photo is (what its file holds, its class); "" holds what nobody knows any more."""
    of_content: dict[Hashable, set[str]] = {}
    for content, label in (*train, *aside):
        of_content.setdefault(content, set()).add(classes[label])
    of_content.pop("", None)
    said = []
    if clashes := [names for names in of_content.values() if len(names) > 1]:
        names = " and ".join(sorted(clashes[0]))
        said.append(f"{counted(len(clashes), 'photo is', 'photos are')} in two classes, the very same file ({names}): "
                    "one of them is wrong.")
    learnt = {content for content, _ in train}
    if again := sum(content in learnt for content, _ in aside if content):
        said.append(f"{counted(again, 'photo', 'photos')} kept aside {'is' if again == 1 else 'are'} among those "
                    "trained on, too: the accuracy will look better than it is.")
    checked = {label for _, label in aside}
    if unchecked := [name for k, name in enumerate(classes) if k not in checked]:
        said.append(f"No photo of {', '.join(unchecked)} is kept aside: what the model makes of "
                    f"{'it' if len(unchecked) == 1 else 'them'} is never checked.")
    return said


def left_out(found: PhotoFolder) -> str:
    """Which files were left out and why, in one line.

    >>> left_out(PhotoFolder((), (), (), ((Path("a.png"), "a.png is an empty file."),)))
    '1 file was left out: a.png is an empty file'
    """
    reasons = "; ".join(why.rstrip(".") for _, why in found.unreadable[:MOST_REASONS])
    more = len(found.unreadable) - MOST_REASONS
    return (f"{counted(len(found.unreadable), 'file was', 'files were')} left out: {reasons}"
            + (f"; and {count(more)} more" if more > 0 else ""))


def of_folder(found: PhotoFolder) -> list[str]:
    """All there is to say of a folder's photographs, the files left out too. Raises PlaygroundError where one of them
    cannot be read any more."""
    train, aside = ([(_content(path), label) for path, label in half] for half in (found.train, found.validation))
    return [*([f"{left_out(found)}."] if found.unreadable else []), *remarks(found.classes, train, aside)]


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise PlaygroundError(f"{path.name} cannot be read: {error.strerror}.") from error
