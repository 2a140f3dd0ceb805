"""What is deleted is gone: files, decoded pixels, features, thumbnails in memory, names; and who sees what is not."""

import json
from pathlib import Path

import numpy as np
import pytest

from playground import home
from playground.datasets import collection, uploads, versions
from playground.datasets.collection import PhotoSet
from playground.deploy import evaluation
from playground.training.runs import runs
from playground.training.transfer import photo_list
from playground.training.transfer.feature_store import FeatureStore, content_digest
from playground.training.transfer.pixels import PixelStore
from playground.ui.studio import corrections, dataset_view, deletion, insight
from tests.pages.on_a_page import GRAYS, RUN, OpenPage, errors, gray_photos, put_run, texts

SECRET = "220"
"""The gray of the photo that is to go; it is mistaken, so that every view would show it."""


def own_run(name: str = "given") -> tuple[PhotoSet, Path]:
    """A set, a run on it, and everything a training leaves behind of its photos."""
    made = versions.from_folder(gray_photos(home.data_dir() / name)[0][0].parents[1], "Grays")
    folder = versions.version(made)
    pictures = [(path, list(GRAYS).index(path.parent.name)) for path in sorted(folder.rglob("*.png"))]
    put_run(pictures, data=str(folder))
    run = home.runs_dir() / RUN
    digests = {path: content_digest(path) for path, _ in pictures}
    photo_list.keep(run, versions.as_folder(made), digests)
    list(PixelStore(32).fill([(digest, path) for path, digest in digests.items()], 1, lambda: False))
    store = FeatureStore({"backbone": "none"})
    store.add(list(digests.values()), np.arange(len(digests) * 4, dtype=np.float32).reshape(-1, 4))
    np.save(run / evaluation.FEATURES, np.arange(len(digests) * 4, dtype=np.float16).reshape(-1, 4))
    return made, run


def key_of(made: PhotoSet, name: str) -> str:
    return next(key for key, photo in made.photos.items() if photo.name == f"{name}.png")


def leave_traces_in_memory(made: PhotoSet, run: Path) -> None:
    found = evaluation.read(run / evaluation.FILE)
    assert found is not None
    for path in found.paths:
        assert corrections.thumbnail(str(path)) is not None
    for photo in made.photos.values():
        assert dataset_view.source(made.path(photo))


def traces(secret: bytes, digest: bytes, name: str) -> list[str]:
    """Where on the disk something of a photo still is."""
    found = []
    for path in home.home().rglob("*"):
        if not path.is_file() or home.data_dir() / "given" in path.parents:
            continue
        data = path.read_bytes()
        if secret in data or digest in data or digest.hex()[:32].encode() in data or name.encode() in data or \
                name in path.name or digest.hex()[:32] in path.name:
            found.append(str(path.relative_to(home.home())))
    return found


@pytest.mark.parametrize("whole", [False, True], ids=["a photo", "the set"])
def test_nothing_of_what_is_deleted_is_left(whole: bool, playground_home: Path) -> None:
    made, run = own_run()
    key = key_of(made, SECRET)
    path = made.path(made.photos[key])
    secret, digest, version = path.read_bytes(), content_digest(path), versions.version(made)
    leave_traces_in_memory(made, run)
    assert len(traces(secret, digest, "220.png")) >= 7, "the photo, its version, pixels, features, three lists"
    others = [content_digest(made.path(photo)) for k, photo in made.photos.items() if k != key]
    if whole:
        deletion.remove(made.set_id)
    else:
        collection.leave_out(made.set_id, [key])
        deletion.forget(made.set_id)
    assert traces(secret, digest, "220.png") == []
    assert digest not in PixelStore(32)
    assert digest not in FeatureStore({"backbone": "none"})
    assert all((other in PixelStore(32)) is not whole for other in others), "the others' are as they were"
    assert corrections.thumbnail(str(version / "train" / "dark" / "220.png")) is None
    assert dataset_view.source(path) == ""

    found = evaluation.read(run / evaluation.FILE)
    assert found is not None
    assert found.confusion().tolist() == [[4, 1], [1, 4]], "what was measured still is what it was"
    features = evaluation.read_features(run / evaluation.FILE)
    assert features is not None
    assert np.isnan(features).all(1).sum() == (10 if whole else 1)
    listed = photo_list.read(run)
    assert listed is not None
    assert len(listed.train) + len(listed.validation) == 10


def test_what_another_set_still_holds_stays(playground_home: Path) -> None:
    made, _ = own_run()
    key = key_of(made, SECRET)
    digest = content_digest(made.path(made.photos[key]))
    versions.from_folder(home.data_dir() / "given", "Another")
    deletion.remove(made.set_id)
    assert digest in PixelStore(32)
    assert digest in FeatureStore({"backbone": "none"})


def test_the_page_deletes(open_page: OpenPage, playground_home: Path) -> None:
    made, _ = own_run()
    digest = content_digest(made.path(made.photos[key_of(made, SECRET)]))
    app = open_page("transfer", photos="Your own set", set=made.set_id)
    next(each for each in app.expander if each.label == "Look at the photos")
    dataset_view.deletion.remove(made.set_id)
    assert digest not in PixelStore(32)
    assert errors(open_page("transfer", photos="Your own set", set=made.set_id)) == []


@pytest.mark.parametrize("look", insight.VIEWS)
def test_views_of_a_run_whose_photos_are_deleted_open(look: str, open_page: OpenPage, playground_home: Path) -> None:
    made, _ = own_run()
    deletion.remove(made.set_id)
    app = open_page("transfer", run=RUN, understand=look)
    assert errors(app) == []
    assert "220" not in texts(app).replace("2206", "")


def shown(app: object) -> str:
    """Everything a page sends to the browser."""
    return "".join(str(element) for element in app)  # type: ignore[attr-defined]


@pytest.mark.parametrize("look", ["Confusions", "Mistakes", "Where it looks", "Map of features"])
def test_photos_of_a_set_are_for_who_has_its_address(look: str, open_page: OpenPage, playground_home: Path) -> None:
    made, _ = own_run()
    query = {"run": RUN, "understand": look, "true": "dark", "said": "br*ght"}
    stranger = collection.create("x", ["a", "b"])
    for address in ({}, {"set": stranger.set_id}, {"set": "0" * 32}):
        app = open_page("transfer", **query, **address)
        assert errors(app) == []
        assert "with its address (set=…)" in texts(app)
        names = [caption for drawn in app.get("image") for image in drawn.proto.imgs for caption in [image.caption]]
        assert not any("220" in caption for caption in names)
        assert not any("220.png" in str(option) for field in app.selectbox for option in field.options)
        assert not any("220.png" in chart.proto.spec for chart in app.get("plotly_chart"))
    app = open_page("transfer", **query, set=made.set_id)
    assert errors(app) == []
    assert "with its address (set=…)" not in texts(app)


def test_photos_of_a_zip_are_for_who_has_its_address(open_page: OpenPage, playground_home: Path) -> None:
    folder = home.data_dir() / "uploads" / "0123456789abcdef"
    put_run(gray_photos(folder), data=str(folder))
    query = {"run": RUN, "understand": "Mistakes"}
    assert not open_page("transfer", **query).get("image") or "220\\.png" not in texts(open_page("transfer", **query))
    hidden = open_page("transfer", **query)
    assert "only to whoever has its address" in texts(hidden)
    assert "only to whoever has its address" not in texts(open_page("transfer", **query, zip="0123456789abcdef.x"))


def test_an_uploaded_zip_is_deleted_by_its_owner_and_expires(
    open_page: OpenPage, playground_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home.data_dir() / "uploads" / "0123456789abcdef"
    pictures = gray_photos(folder)
    put_run(pictures, data=str(folder))
    digest = content_digest(pictures[0][0])
    list(PixelStore(32).fill([(content_digest(path), path) for path, _ in pictures], 1, lambda: False))
    app = open_page("transfer", photos="Your zip", zip="0123456789abcdef.grays")
    assert errors(app) == []
    assert f"{uploads.KEPT_DAYS} days" in texts(app)
    app.button(key="zip-delete").click().run()
    assert errors(app) == []
    assert not folder.exists()
    assert digest not in PixelStore(32)
    listed = json.loads((home.runs_dir() / RUN / evaluation.FILE).read_text())
    assert {row["path"] for row in listed["pictures"]} == {evaluation.GONE}
    assert "zip" not in app.query_params

    gray_photos(folder)
    uploads.expire()
    assert folder.exists()
    monkeypatch.setattr(uploads, "KEPT_DAYS", -1)
    uploads.expire()
    assert not folder.exists()
    assert runs.run_ids() == [RUN]
