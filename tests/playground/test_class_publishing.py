"""Models and photographs given to a class: whole copies, seen in every workspace, taken back, with own names."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground import home, model_names
from playground.classroom import keys, publishing, workspaces
from playground.datasets import allowed, collection, folders, intake, photo_set
from playground.deploy import registry
from playground.errors import PlaygroundError
from playground.training.runs import class_runs
from tests.a_class import class_home, working
from tests.pages.on_a_page import put_model

__all__ = ["class_home"]


def taken(gray: int, place: str = "") -> bytes:
    """A JPEG as a camera makes one, with where it was taken in it."""
    file, said = io.BytesIO(), Image.Exif()
    said[0x010E] = place
    rng = np.random.default_rng(gray)
    Image.fromarray(rng.integers(0, 255, (24, 32, 3), np.uint8)).save(file, "JPEG", exif=said)
    return file.getvalue()


def names(key: str) -> list[str]:
    with working(key):
        return [entry.name for entry in registry.entries()]


def test_a_students_model_is_given_to_all_and_taken_back(class_home: Path) -> None:
    teacher, student, other = keys.new(), keys.new(), keys.new()
    with working(student) as place:
        entry = put_model("cats")
    called = publishing.publish_model(workspaces.at(place), "cats")
    assert called == "class-cats"
    for key in (teacher, other):
        assert names(key) == ["class-cats", "digits-example"]
    with working(other):
        found = registry.find("class-cats")
        assert found is not None
        assert found.shipped
        assert found.onnx.read_bytes() == entry.onnx.read_bytes()
        assert [check.ok for check in registry.verify(found).checks][:4] == [True] * 4, "all but kept answers"
        assert place.name not in (found.folder / "card.json").read_text(), "it does not tell whose it was"
        with pytest.raises(PlaygroundError):
            registry.remove("class-cats")
    with working(student):
        registry.remove("cats")
    assert names(other) == ["class-cats", "digits-example"], "a copy"
    publishing.unpublish_model("class-cats")
    assert names(other) == ["digits-example"]
    with pytest.raises(PlaygroundError, match="not published"):
        publishing.unpublish_model("digits-example")


def test_a_second_of_the_same_name_is_refused_and_changes_nothing(class_home: Path) -> None:
    places = []
    for _ in range(2):
        with working(keys.new()) as place:
            put_model("cats")
            places.append(workspaces.at(place))
    publishing.publish_model(places[0], "cats")
    before = publishing.models()[0].card
    with pytest.raises(PlaygroundError, match="already a model called class-cats"):
        publishing.publish_model(places[1], "cats")
    assert publishing.models()[0].card == before
    with pytest.raises(PlaygroundError, match="no model called dogs"):
        publishing.publish_model(places[1], "dogs")


def test_names_of_the_classes_models_are_nobody_elses(class_home: Path) -> None:
    with working(keys.new()):
        with pytest.raises(PlaygroundError, match="the teacher's to give"):
            put_model("class-mine")
        put_model("classic")
    with home.entered(home.shared()):
        model_names.check("class-mine")


def test_without_a_class_a_model_may_be_called_so(playground_home: Path) -> None:
    assert put_model("class-mine").name == "class-mine"


def test_an_own_set_is_copied_for_all_without_what_cameras_add(class_home: Path) -> None:
    teacher, student = keys.new(), keys.new()
    with working(teacher):
        made = collection.create("Cups at home", ["cup", "no cup"])
        for label, start in (("cup", 0), ("no cup", 10)):
            intake.add(made.set_id, label, [(f"Anna {k}.jpg", taken(start + k, "at Anna's")) for k in range(3)])
        found = publishing.sources()
        assert list(found) == ["Cups at home"]
        into = publishing.publish_photos(found["Cups at home"](), "cups")
    assert publishing.photo_folders() == {"cups": 6}
    assert not any(b"Anna" in path.read_bytes() or "Anna" in path.name for path in into.rglob("*") if path.is_file())
    with working(student):
        offered = allowed.folders_offered()
        assert offered == {"class/cups": into}
        allowed.demand_inside(into)
        assert folders.scan(into, seed=0).classes == ("cup", "no cup")
        assert class_runs.is_nobodys(str(into)), "what is learnt of them is done once for all"
    with working(teacher):
        collection.remove(made.set_id)
        assert into.is_dir(), "a copy"
        with pytest.raises(PlaygroundError, match="already"):
            publishing.publish_photos([(into, "x")], "cups")
    publishing.unpublish_photos("cups")
    with working(student):
        assert allowed.folders_offered() == {}


def test_a_picture_that_cannot_be_read_publishes_nothing(class_home: Path, tmp_path: Path) -> None:
    good, bad = tmp_path / "1.jpg", tmp_path / "2.jpg"
    good.write_bytes(taken(1))
    bad.write_bytes(b"no picture")
    with working(keys.new()), pytest.raises(PlaygroundError):
        publishing.publish_photos([(good, "a"), (bad, "b")], "mixed")
    assert publishing.photo_folders() == {}
    assert list(publishing.published_dir().iterdir()) == []


@pytest.mark.parametrize("name", ["", "..", "../x", "A", "a/b", ".hidden", "x" * 41, "a b"])
def test_photos_are_published_under_plain_names_only(name: str, class_home: Path) -> None:
    for ask in (publishing.check, publishing.unpublish_photos):
        with pytest.raises(PlaygroundError):
            ask(name)


def test_only_what_lies_in_the_own_workspace_can_be_published(class_home: Path) -> None:
    teacher, student = keys.new(), keys.new()
    with working(student):
        made = collection.create("mine", ["a", "b"])
        intake.add(made.set_id, "a", [("1.jpg", taken(1))])
    for base in (home.base() / "data" / "pets",):
        for label in ("a", "b"):
            (base / label).mkdir(parents=True)
            (base / label / "1.jpg").write_bytes(taken(2))
    with working(teacher):
        assert publishing.sources() == {}
        assert not photo_set.exists(made.set_id)


def test_what_all_have_together_is_nobodys_quota(class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(home.QUOTA, "1")
    with working(keys.new()) as place:
        (home.data_dir() / "large").write_bytes(b"x" * 1_200_000)
        monkeypatch.setattr(home, "_used", {})
        with pytest.raises(PlaygroundError, match="of the 1 MB"):
            home.demand_room()
    assert home.shared() in place.parents
    with home.entered(home.shared()):
        home.demand_room()
