"""Which photographs a run trains on and which it keeps aside, written down in its folder: the folder they come from may
change, and dividing it anew would put some that were learnt among those that measure."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from playground.datasets.folders import PhotoFolder
from playground.datasets.photos import open_photo
from playground.datasets.remarks import remarks as of_photos
from playground.errors import PlaygroundError
from playground.home import whole

FILE = "photographs.json"
HALVES = ("train", "validation")
GONE = "a deleted photo"


def still(path: Path) -> np.ndarray:
    """The pixels of a photograph that could be read when the training began, uint8 (H, W, 3).

    Raises PlaygroundError when it is gone or damaged by now: what was counted on cannot be left out silently.
    """
    try:
        return open_photo(path)
    except PlaygroundError as error:
        raise PlaygroundError(f"{str(error).rstrip('.')}, though it could be when the training began: it was removed "
                              "or changed meanwhile. What was read of the photos before is kept; begin again, and it "
                              "goes on without this one.") from error


def keep(run_dir: Path, found: PhotoFolder, digests: Mapping[Path, bytes]) -> None:
    """Write the list, whole or not at all."""
    with whole(run_dir / FILE) as incoming:
        incoming.write_text(json.dumps(_written(found, digests), ensure_ascii=False), encoding="utf-8")


def demand_same(run_dir: Path, found: PhotoFolder, digests: Mapping[Path, bytes]) -> None:
    """Raises PlaygroundError when a run that is to go on from a checkpoint began with other photographs."""
    before, now = _read(run_dir), _written(found, digests)
    if before is None or _contents(before) == _contents(now):
        return
    here = {digest for half in HALVES for _, _, digest in now[half]}
    names = [Path(path).name for half in HALVES for path, _, digest in before[half] if digest not in here]
    gone = f" ({', '.join(names[:3])}{', …' if names[3:] else ''})" if names else ""
    raise PlaygroundError(f"The photographs are no longer those this training began with{gone}: put them back as they "
                          "were and let it go on, or start a new training.")


def digest(found: PhotoFolder, digests: Mapping[Path, bytes]) -> str:
    """One for all of it: the same classes and photographs in the same order, wherever they are."""
    return hashlib.sha256(json.dumps(_contents(_written(found, digests))).encode()).hexdigest()


def read(run_dir: Path) -> PhotoFolder | None:
    """The photographs of a run, whatever has become of them since; None for a run that has kept no list."""
    listed = _read(run_dir)
    if listed is None:
        return None
    train, validation = (tuple((Path(path), int(label)) for path, label, _ in listed[half]) for half in HALVES)
    return PhotoFolder(tuple(listed["classes"]), train, validation, ())


def forget(run_dir: Path) -> None:
    """Take the names and digests of photographs that are not there any more out of a run's list."""
    listed = _read(run_dir)
    if listed is None:
        return
    for half in HALVES:
        listed[half] = [[path, label, digest] if Path(path).exists() else [GONE, label, ""]
                        for path, label, digest in listed[half]]
    with whole(run_dir / FILE) as incoming:
        incoming.write_text(json.dumps(listed, ensure_ascii=False), encoding="utf-8")


def remarks(run_dir: Path) -> list[str]:
    """What is wrong with a run's photographs, as sentences."""
    listed = _read(run_dir)
    if listed is None:
        return []
    train, aside = ([(digest, label) for _, label, digest in listed[half]] for half in HALVES)
    return of_photos(listed["classes"], train, aside)


def _written(found: PhotoFolder, digests: Mapping[Path, bytes]) -> dict[str, Any]:
    return {"classes": list(found.classes),
            **{half: [[str(path), label, digests[path].hex()] for path, label in pictures]
               for half, pictures in zip(HALVES, (found.train, found.validation), strict=True)}}


def _contents(listed: Mapping[str, Any]) -> list[Any]:
    """What training depends on: the order too, but not where the files are."""
    return [listed["classes"], *([(label, digest) for _, label, digest in listed[half]] for half in HALVES)]


def _read(run_dir: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads((run_dir / FILE).read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        return None
