"""From a mistaken photo to a corrected set and the next training, on the page."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from playground import home
from playground.datasets import collection, versions
from playground.datasets.collection import PhotoSet
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec
from playground.training.transfer.recipe import Request
from tests.pages.on_a_page import GRAYS, RUN, OpenPage, errors, gray_photos, put_run, texts


def own_run(**request: object) -> PhotoSet:
    """A set of one's own and a run on it: of each class, one photo kept aside was taken for the other."""
    made = versions.from_folder(gray_photos(home.data_dir() / "given")[0][0].parents[1], "Grays")
    version = versions.version(made)
    put_run([(path, list(GRAYS).index(path.parent.name)) for path in sorted(version.rglob("*.png"))],
            data=str(version), **request)
    return made


def opened(open_page: OpenPage, **query: str) -> AppTest:
    return open_page("transfer", run=RUN, understand="Confusions", true="dark", said="br*ght", **query)


def wrong(chosen: PhotoSet) -> str:
    """The key of the bright photo that was put into dark."""
    return next(key for key, photo in chosen.photos.items() if photo.name == "220.png")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[RunSpec]:
    """What was started, and is not."""
    found: list[RunSpec] = []
    monkeypatch.setattr("playground.ui.studio.runs_view.begin", lambda spec, suggested=False: found.append(spec))
    return found


@pytest.mark.slow
def test_a_photo_is_relabelled_taken_out_brought_back_and_trained_on_again(
    open_page: OpenPage, playground_home: Path, asked: list[RunSpec]
) -> None:
    made = own_run(epochs=3, learning_rate=2e-3)
    key = wrong(made)
    app = opened(open_page, set=made.set_id)
    assert errors(app) == []
    assert app.button(key="train-again").disabled, "nothing is corrected yet"

    app.selectbox(key=f"correct-{key}-dark-0").set_value("br*ght").run()
    assert errors(app) == []
    assert collection.read(made.set_id).photos[key].label == "br*ght"
    app.button(key=f"correct-out-{key}").click().run()
    assert collection.read(made.set_id).photos[key].left_out == collection.BY_HAND
    assert len(collection.read(made.set_id).kept) == 9
    app.button(key=f"correct-back-{key}").click().run()
    app.button(key="corrections-undo").click().run()
    app.button(key="corrections-undo").click().run()
    assert errors(app) == []
    now = collection.read(made.set_id)
    assert (now.photos[key].label, now.photos[key].left_out, len(now.kept)) == ("br*ght", None, 10)

    app.button(key="train-again").click().run()
    assert errors(app) == []
    (spec,) = asked
    assert (spec.kind, spec.seed, spec.name) == ("transfer", 0, "light-2")
    assert Path(spec.request["data"]) == versions.version(now)
    assert list(Path(spec.request["data"]).glob("*/br?ght/220.png"))
    assert Request.of(spec.request).learning_rate == 2e-3


def test_a_photo_is_found_by_its_content_whatever_was_edited_before(open_page: OpenPage, playground_home: Path) -> None:
    made = own_run()
    key = wrong(made)
    others = [each for each in made.photos if each != key]
    collection.leave_out(made.set_id, others[:3])
    collection.rename_class(made.set_id, "dark", "night")
    app = opened(open_page, set=made.set_id)
    assert errors(app) == []
    assert [field.key for field in app.selectbox if str(field.key).startswith("correct-")] == [f"correct-{key}-night-2"]


@pytest.mark.slow
def test_a_copy_of_a_shared_folder_is_edited_instead_of_it(
    open_page: OpenPage, playground_home: Path, asked: list[RunSpec]
) -> None:
    put_run()
    app = opened(open_page)
    assert errors(app) == []
    app.button(key="correct-copy").click().run()
    assert errors(app) == []
    said = app.query_params["set"]
    made = collection.read(said if isinstance(said, str) else said[0])
    app.button(key=f"correct-out-{wrong(made)}").click().run()
    app.button(key="train-again").click().run()
    assert errors(app) == []
    assert len(list(Path(asked[0].request["data"]).rglob("*.png"))) == 9
    assert len(list((home.data_dir() / "light").rglob("*.png"))) == 10


def test_a_training_on_the_corrected_set_stands_beside_the_one_before(
    open_page: OpenPage, playground_home: Path
) -> None:
    made = own_run()
    corrected = versions.version(collection.leave_out(made.set_id, [wrong(made)]))
    later = home.runs_dir() / f"{RUN[:-4]}abce"
    shutil.copytree(home.runs_dir() / RUN, later)
    runs.write_spec(later, RunSpec("transfer", {"data": str(corrected)}, 0, "corrected"), "cpu")
    app = open_page("transfer", run=later.name, understand="Other runs")
    assert errors(app) == []
    assert "another version of the set" in texts(app)
    drawn = "".join(chart.proto.spec for chart in app.get("plotly_chart"))
    assert "corrected, frozen" in drawn
    assert "light, frozen" in drawn


def test_whose_photos_they_are_decides_what_is_offered(open_page: OpenPage, playground_home: Path) -> None:
    own_run()
    app = opened(open_page)
    assert "with its address (set=…)" in texts(app)
    stranger = collection.create("x", ["a", "b"])
    app = opened(open_page, set=stranger.set_id)
    assert "with its address (set=…)" in texts(app)
    assert not [button for button in app.button if str(button.key).startswith(("correct", "train-again"))]


@pytest.mark.parametrize(("where", "zip_named"), [("uploads/0123456789abcdef", False),
                                                  ("uploads/0123456789abcdef", True), ("", False)])
def test_photos_of_others_are_not_copied(where: str, zip_named: bool, open_page: OpenPage, playground_home: Path,
                                         tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = home.data_dir() / where if where else tmp_path_factory.mktemp("elsewhere") / "photos"
    put_run(gray_photos(folder), data=str(folder))
    app = opened(open_page, **({"zip": "0123456789abcdef.light"} if zip_named else {}))
    assert errors(app) == []
    offered = [button.key for button in app.button if button.key == "correct-copy"]
    assert offered == (["correct-copy"] if zip_named else [])
    assert zip_named or "give them there as a zip" in texts(app)


def test_a_locked_page_corrects_nothing(open_page: OpenPage, playground_home: Path) -> None:
    made = own_run()
    app = opened(open_page, set=made.set_id, lock="1")
    assert errors(app) == []
    assert app.button(key=f"correct-out-{wrong(made)}").disabled
    assert app.button(key="train-again").disabled


def test_a_photo_that_a_set_packed_anew_is_still_known(playground_home: Path, tmp_path: Path) -> None:
    made = collection.create("x", ["a", "b"])
    pixels = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6  # held upright
    Image.fromarray(pixels).save(tmp_path / "1.jpg", exif=turned)
    made, _ = collection.add(made.set_id, "a", [("other name.jpg", (tmp_path / "1.jpg").read_bytes())])
    (key,) = made.photos
    names = collection.digests(tmp_path / "1.jpg")
    assert len(names) == 2
    assert collection.identified(made, names, "b") == key
    assert collection.identified(made, ("0" * 32,), "a") is None
    made, _ = collection.add(made.set_id, "b", [("again.jpg", (tmp_path / "1.jpg").read_bytes())])
    assert {made.photos[found].label for label in "ab" if (found := collection.identified(made, names, label))} == {
        "a", "b"}
    made = collection.relabel(made.set_id, [key], "b")
    assert collection.identified(made, names, "b") is None, "two of one content and class: nobody could say which"
