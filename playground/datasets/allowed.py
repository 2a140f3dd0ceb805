"""Which folders of the server a page may look at: the playground's own, and those the operator names."""

import os
from pathlib import Path

from playground import home
from playground.datasets import downloads, folders
from playground.errors import PlaygroundError
from playground.home import data_dir

VARIABLE = "PLAYGROUND_PHOTO_DIRS"
"""Folders (separated as in PATH) whose photographs every visitor may look at and train on."""
PUBLISHED = "class"
"""Below the data all workspaces of a class have in common: sets of photographs its teacher published."""
NOT_OFFERED = ("faces", *home.PRIVATE)  # the sample has a button of its own


def roots() -> list[Path]:
    """The data folder, and the folders of PLAYGROUND_PHOTO_DIRS that are there, links followed.

    In a class also what was downloaded, and what is published to all."""
    named = os.environ.get(VARIABLE, "").split(os.pathsep)
    extra = [Path(name).expanduser() for name in named if name.strip()]
    if home.downloads_dir() != data_dir():
        everybodys = [path for name in downloads.CATALOGUE if (path := downloads.folder(name))]
        extra = [*everybodys, home.shared() / "data" / PUBLISHED, *extra]
    return list(dict.fromkeys(path.resolve() for path in (data_dir(), *extra) if path.is_absolute() and path.is_dir()))


def folders_offered() -> dict[str, Path]:
    """Folders of class folders at most two levels below a root (a named root may be one itself): name -> path."""
    found: dict[str, Path] = {}
    for k, top in enumerate(roots()):
        candidates = [*top.glob("*"), *top.glob("*/*")] if k == 0 else [top, *top.glob("*"), *top.glob("*/*")]
        for path in sorted(candidates):
            parts = path.relative_to(top).parts
            if any(part.startswith(".") or (k == 0 and part in NOT_OFFERED) for part in parts):
                continue
            if any(part.parent in found.values() and folders.is_half(part) for part in (path, path.parent)):
                continue  # half of what is offered already
            if k > 0 and path == top and path.is_dir() and folders.is_wrapped(path):
                continue  # the one inside has the better name
            if path.is_dir() and is_inside(path) and folders.looks_like_classes(path):
                name = "/".join(parts if k == 0 else (top.name, *parts))
                found[name if name not in found else f"{name} ({k})"] = path
    return found


def is_inside(path: Path) -> bool:
    """Whether a path, links followed, lies below one of the roots."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError):  # a link that leads in a circle
        return False
    return any(real == root or root in real.parents for root in roots())


def demand_inside(folder: Path) -> Path:
    """The folder, when it and everything in it lies below the roots. Raises PlaygroundError otherwise."""
    if not is_inside(folder):
        raise PlaygroundError("This folder is not among those the operator of this server allows.")
    inside = roots()
    for here, directories, files in os.walk(folder):
        for name in (*directories, *files):
            path = os.path.join(here, name)
            if os.path.islink(path):
                real = Path(os.path.realpath(path))
                if not any(real == root or root in real.parents for root in inside):
                    raise PlaygroundError(f"In this folder, {name} is a link that leads out of what the operator of "
                                          "this server allows.")
    return folder
