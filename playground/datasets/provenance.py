"""Where photographs are from and what may be done with them, as far as somebody said so."""

from pathlib import Path

from playground.datasets import downloads, folders, versions
from playground.errors import PlaygroundError
from playground.home import data_dir, downloads_dir

FACES = ("faces and non-faces of scikit-image (lfw_subset)", "see scikit-image")


def of(data: str) -> tuple[str, str]:
    """Source and licence of a folder that a run was given; "" where nobody said.

    The sample and the downloads are known, a set of one's own says it in its manifest, be it typed here or imported
    with the photographs.
    """
    path = Path(data).expanduser()
    if data == "faces" or path == data_dir() / "faces":
        return FACES
    if path.parent == downloads_dir() and path.name in downloads.CATALOGUE:
        one = downloads.find(path.name)
        return f"{one.title}: {one.source}, {one.page}", one.licence
    try:
        return versions.notes(path) or versions.notes(folders.arranged(path)[0]) or ("", "")
    except (PlaygroundError, OSError):
        return "", ""
