"""What the teacher gives to the whole class: models, and photographs to train on. Both are copies.

    .class/exports/class-NAME/      a model, listed in every workspace beside its own
    .class/data/class/NAME/         photographs in class folders, offered in every workspace as a folder
"""

import hashlib
import re
import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from playground import home
from playground.classroom.workspaces import Workspace, within
from playground.datasets import allowed, folders, photo_set, photos, uploads, versions
from playground.datasets.disk import plainly, unfinished
from playground.datasets.names import class_name
from playground.datasets.unzip import move_into_place
from playground.deploy import registry
from playground.deploy.registry import Entry
from playground.errors import PlaygroundError
from playground.model_names import LONGEST, PUBLISHED
from playground.training.transfer import feature_store as features
from playground.training.transfer import pixels

OWNER = "published_from"
"""In a published model's card: a mark of the workspace it is from, which tells nobody whose that is."""
MOST_PHOTOS = 5000
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@contextmanager
def in_common() -> Iterator[None]:
    """Inside, the home is the one that the class has in common."""
    with home.entered(home.shared()):
        yield


def mark(place: Path) -> str:
    """What says of a thing in common whose workspace it is from, to those only who know the workspace's id."""
    return hashlib.sha256(f"mark of {place.name}".encode()).hexdigest()[:12]


def publish_model(one: Workspace, name: str) -> str:
    """Give the class a copy of a workspace's model, whole or not at all; what the copy is called. Raises
    PlaygroundError where there is no such model, or the class has one of that name."""
    with within(one):
        found = registry.find(name)
        if found is None:
            raise PlaygroundError(f"There is no model called {name}.")
        content = found.onnx.read_bytes()
    called = f"{PUBLISHED}{found.name.removeprefix(PUBLISHED)}"[:LONGEST]
    with in_common():
        registry.put(called, content, {**found.card, OWNER: mark(one.home)})
    return called


def unpublish_model(name: str) -> None:
    """Take a model back from the class. Copies that readers downloaded stay theirs. Raises PlaygroundError where there
    is none of that name."""
    if not name.startswith(PUBLISHED):
        raise PlaygroundError(f"The model {name} was not published.")
    with in_common():
        registry.remove(name)


def models() -> list[Entry]:
    """The published models, newest first."""
    with in_common():
        return [entry for entry in registry.entries() if entry.name.startswith(PUBLISHED)]


def sources() -> dict[str, Callable[[], list[tuple[Path, str]]]]:
    """The photographs of the workspace worked for that can be published: name -> what lists the files, each with the
    folder it goes to. Own sets, uploaded zips, and folders of class folders in its data."""
    found: dict[str, Callable[[], list[tuple[Path, str]]]] = {}
    ids = sorted(path.name for path in photo_set.sets_dir().iterdir()) if photo_set.sets_dir().is_dir() else []
    for set_id in filter(photo_set.exists, ids):
        found[_free(found, photo_set.read(set_id).name)] = lambda set_id=set_id: _of_set(set_id)  # type: ignore[misc]
    zips = sorted(uploads.uploads_dir().iterdir()) if uploads.uploads_dir().is_dir() else []
    own = {"zip " + path.name[:6]: path for path in zips if folders.looks_like_classes(path)}
    for name, path in {**own, **allowed.folders_offered()}.items():
        if home.home() in path.resolve().parents:
            found[_free(found, name)] = lambda path=path: _of_folder(path)  # type: ignore[misc]
    return found


def publish_photos(files: Collection[tuple[Path, str]], name: str) -> Path:
    """Give the class photographs, whole or not at all: files, each with the folder below NAME it goes to. What cameras
    add is taken out of every copy. Raises PlaygroundError where the name is taken, or a file is no picture."""
    check(name)
    if not files or len(files) > MOST_PHOTOS:
        raise PlaygroundError(f"From 1 to {MOST_PHOTOS} photos can be published at once.")
    into = folder(name)
    if into.exists():
        raise PlaygroundError(f"The class has photos called {name} already: choose another name, or take those back.")
    with plainly("nothing was published"), unfinished(into.parent) as incoming:
        for path, where in files:
            data, suffix, _ = photos.to_keep(path.read_bytes(), path.name, photo_set.LONGEST_SIDE)
            target = incoming / where / f"{hashlib.sha256(data).hexdigest()[:32]}{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        move_into_place(incoming, into)
    return into


def unpublish_photos(name: str) -> None:
    """Take photographs back from the class, and delete what was computed from them in common."""
    check(name)
    if not folder(name).is_dir():
        raise PlaygroundError(f"The class has no photos called {name}.")
    forget_pictures([path for path in folder(name).rglob("*") if path.is_file()])
    with plainly("not everything was taken back"), unfinished(published_dir()) as gone:
        folder(name).rename(gone / name)  # nobody finds half of them
        shutil.rmtree(gone)


def photo_folders() -> dict[str, int]:
    """The published photographs: name -> how many."""
    top = published_dir()
    return {path.name: sum(one.is_file() for one in path.rglob("*"))
            for path in sorted(top.iterdir()) if _NAME.fullmatch(path.name)} if top.is_dir() else {}


def published_dir() -> Path:
    """Where the photographs of the class lie, a folder for each name."""
    return home.shared() / "data" / allowed.PUBLISHED


def folder(name: str) -> Path:
    """Where the photographs of a name lie, or would lie."""
    return published_dir() / name


def check(name: str) -> None:
    """Raises PlaygroundError when photographs cannot be published under that name."""
    if not _NAME.fullmatch(name):
        raise PlaygroundError(f"Photos cannot be published as {name[:40]!r}: use up to 40 of a-z, 0-9 and -, a letter "
                              "or digit first.")


def forget_pictures(paths: Collection[Path]) -> None:
    """Delete what was computed in common from the photographs in these files."""
    gone = {features.content_digest(path)[:16] for path in paths}
    with in_common():
        pixels.forget(gone)
        features.forget(gone)


def forget(place: Path) -> None:
    """Take back the models that were published from a workspace."""
    for entry in models():
        if dict(entry.card).get(OWNER) == mark(place):
            unpublish_model(entry.name)


def _of_set(set_id: str) -> list[tuple[Path, str]]:
    chosen = photo_set.read(set_id)
    return [(chosen.path(chosen.photos[key]), str(Path(path).parent)) for key, path in versions.layout(chosen).items()]


def _of_folder(path: Path) -> list[tuple[Path, str]]:
    pictures = [one for one in folders.arranged(path)[1] if one[0].suffix.lower() in photos.SUFFIXES]
    return [(file, "/".join(filter(None, (half, class_name(label, mend=True))))) for file, label, half in pictures]


def _free(taken: Collection[str], name: str) -> str:
    numbered = (f"{name} ({k})" for k in range(2, len(taken) + 3))
    return name if name not in taken else next(one for one in numbered if one not in taken)
