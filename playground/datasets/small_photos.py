"""Photographs as small pictures of one size, to train a network on from scratch: "photos:48:FOLDER" as a set's name."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from playground.datasets.folders import scan
from playground.datasets.photos import open_photo
from playground.datasets.preprocessing import Preprocessing
from playground.datasets.remarks import of_folder
from playground.errors import PlaygroundError

PREFIX = "photos:"
SIDES = (32, 48, 64)
"""Pixels a side that are offered."""
MOST = 4000
"""Photographs of each half that are taken, of every class its share: more do not fit into memory as float32."""
_AT_ONCE = 4


def named_photos(folder: Path, side: int) -> str:
    """The name of a set: what a run's request says under `data`.

    >>> named_photos(Path("/photos/cats"), 48)
    'photos:48:/photos/cats'
    """
    return f"{PREFIX}{side}:{folder}"


def photos_named(data: str) -> tuple[Path, int] | None:
    """The folder and the pixels a side in such a name; None for the name of another kind of set.

    Raises PlaygroundError where the size is none that is offered, or no folder is named.

    >>> photos_named("photos:48:/photos/cats"), photos_named("digits")
    ((PosixPath('/photos/cats'), 48), None)
    """
    if not data.startswith(PREFIX):
        return None
    side, _, folder = data.removeprefix(PREFIX).partition(":")
    if not side.isascii() or not side.isdigit() or int(side) not in SIDES:
        raise PlaygroundError(f"Photographs are taken in squares of {', '.join(map(str, SIDES[:-1]))} or {SIDES[-1]} "
                              f"pixels a side, not {side[:20]!r}.")
    if not folder:
        raise PlaygroundError("Photographs are named with their folder: photos:48:FOLDER.")
    return Path(folder).expanduser(), int(side)


def halves(folder: Path, side: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray],
                                             tuple[str, ...], tuple[str, ...]]:
    """(pictures uint8 (N, side, side, 3), labels) to train on, those kept aside, the classes, and what is wrong with
    the photographs, as sentences.

    A photograph's middle square is scaled to `side`, as an exported model does it with a photograph it is asked about.
    A folder that is not divided is divided by its files' names alone, the same every time. Raises PlaygroundError as
    `folders.scan` does, and when a photograph can no longer be read.
    """
    found = scan(folder, seed=0)
    return (_pictures(found.train, side, len(found.classes)), _pictures(found.validation, side, len(found.classes)),
            found.classes, tuple(of_folder(found)))


def _pictures(photos: Sequence[tuple[Path, int]], side: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    kept: list[tuple[Path, int]] = []
    for label in range(classes):
        own = [one for one in photos if one[1] == label]
        kept += own[:max(1, MOST * len(own) // max(MOST, len(photos)))]
    square = Preprocessing((side, side), gray=False, mean=(0.0,) * 3, std=(1.0,) * 3)

    def small(path: Path) -> np.ndarray:
        levels: np.ndarray = np.rint(255 * square.apply(open_photo(path))).astype(np.uint8)
        return levels.transpose(1, 2, 0)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        pictures = list(pool.map(small, (path for path, _ in kept)))
    return np.stack(pictures), np.array([label for _, label in kept], np.int64)
