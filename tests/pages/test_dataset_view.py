"""One's own set and the closer look at photos, on the page: every edit, the way back, and what a browser may not do."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFileRec
from streamlit.testing.v1 import AppTest

from playground.datasets import collection, folders, versions
from playground.datasets.collection import PhotoSet
from playground.ui.studio import dataset_view, own_set, transfer
from tests.pages.on_a_page import OpenPage, errors, texts


def jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 20, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


def cups(each: int = 5) -> PhotoSet:
    made = collection.create("Cups", ["cup", "no cup"])
    for k, label in enumerate(made.classes):
        made, _ = collection.add(made.set_id, label, [(f"{i}.jpg", jpeg(100 * k + i)) for i in range(each)])
    return made


def named(app: AppTest) -> str:
    """The set the page's address names."""
    said = app.query_params["set"]
    return said if isinstance(said, str) else said[0]


def opened(open_page: OpenPage, set_id: str) -> AppTest:
    """The page with the set and the view open."""
    app = open_page("transfer", photos=own_set.OWN, set=set_id)
    app.session_state["photos-view"] = True
    return app.run()


def test_a_set_is_begun_with_the_names_of_its_classes(open_page: OpenPage, playground_home: Path) -> None:
    app = open_page("transfer", photos=own_set.OWN)
    assert errors(app) == []
    app.text_input[0].set_value("cup, no cup")
    app.button[0].click().run()
    assert errors(app) == []
    assert "Two classes with two photos each" in texts(app)
    made = collection.read(named(app))
    assert made.classes == ("cup", "no cup")
    app.text_input(key="own-set-new-class").set_value("mug").run()
    app.text_input(key="own-set-name-cup").set_value("glass").run()
    assert collection.read(made.set_id).classes == ("glass", "no cup", "mug")
    app.text_input(key="own-set-name-mug").set_value("GLASS").run()
    assert any("already" in warning.value for warning in app.warning)
    app.button(key="own-set-undo").click().run()
    app.button(key="own-set-undo").click().run()
    assert collection.read(made.set_id).classes == ("cup", "no cup")


def test_files_go_into_the_chosen_class_and_what_is_none_is_said(open_page: OpenPage, playground_home: Path) -> None:
    made = cups(2)
    app = open_page("transfer", photos=own_set.OWN, set=made.set_id, **{"from": own_set.FILES})
    app.radio(key="own-set-into").set_value("no cup").run()
    app.get("file_uploader")[0].set_value([("a.jpg", jpeg(7), "image/jpeg"), ("b.jpg", b"text", "image/jpeg")]).run()
    assert errors(app) == []
    assert collection.read(made.set_id).counts == {"cup": 2, "no cup": 3}
    assert any("b\\.jpg is not a picture" in warning.value for warning in app.warning)
    assert app.radio(key="own-set-into").value == "no cup"
    assert list(app.dataframe[0].value["class"]) == ["cup", "no cup"]
    assert app.button(key="start")


def test_files_that_were_taken_in_are_held_in_memory_no_longer(
    open_page: OpenPage, playground_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: dict[str, UploadedFileRec] = {}
    add, remove = MemoryUploadedFileManager.add_file, MemoryUploadedFileManager.remove_file

    def added(self: MemoryUploadedFileManager, session_id: str, file: UploadedFileRec) -> None:
        held[file.file_id] = file
        add(self, session_id, file)

    def removed(self: MemoryUploadedFileManager, session_id: str, file_id: str) -> None:
        del held[file_id]
        remove(self, session_id, file_id)

    monkeypatch.setattr(MemoryUploadedFileManager, "add_file", added)
    monkeypatch.setattr(MemoryUploadedFileManager, "remove_file", removed)
    made = cups(2)
    app = open_page("transfer", photos=own_set.OWN, set=made.set_id, **{"from": own_set.FILES})
    field = app.get("file_uploader")[0].set_value([("a.jpg", jpeg(7), "image/jpeg"), ("b.jpg", jpeg(8), "image/jpeg")])
    field.run()
    assert errors(app) == []
    assert sum(collection.read(made.set_id).counts.values()) == 6
    assert held == {}


def test_the_closer_look_computes_nothing_until_it_is_opened(
    open_page: OpenPage, playground_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dataset_view, "look", lambda *_: pytest.fail("looked"))
    assert errors(open_page("transfer")) == []


def test_a_set_is_looked_at_and_edited(open_page: OpenPage, playground_home: Path) -> None:
    made = cups(6)
    app = opened(open_page, made.set_id)
    assert errors(app) == []
    assert "No copies and no near-duplicates" in texts(app)
    keys = list(made.photos)
    collection.leave_out(made.set_id, keys[:2])
    app.run()
    assert list(app.dataframe[0].value["to train on"] + app.dataframe[0].value["kept aside"]) == [4, 6]
    app.selectbox(key="photos-flag").set_value(dataset_view.OUT).run()
    assert errors(app) == []
    app.button(key="photos-undo").click().run()
    assert errors(app) == []
    assert len(collection.read(made.set_id).kept) == 12
    app.number_input(key="photos-seed-0").set_value(3).run()
    app.button(key="photos-divide").click().run()
    assert errors(app) == []
    assert collection.read(made.set_id).seed == 3


def test_a_leak_comes_first_and_is_mended_with_one_press(open_page: OpenPage, playground_home: Path) -> None:
    made = cups(6)
    label = "cup"
    files = [made.path(photo) for photo in made.photos.values() if photo.label == label][:2]
    collection.add_files(made.set_id, [collection.Incoming(file, label, half) for file in files
                                       for half in ("train", "validation")])
    app = opened(open_page, made.set_id)
    assert "2 of the" in app.error[0].value
    assert "better than it is" in app.error[0].value
    app.selectbox(key="photos-flag").set_value(dataset_view.ACROSS).run()
    app.button(key="photos-keep-training").click().run()
    assert errors(app) == []
    now = collection.read(made.set_id)
    assert [photo.left_out for photo in now.photos.values() if photo.left_out] == ["a copy of another photo"] * 2
    assert "more than once" in texts(app)
    app.button(key="photos-keep-first").click().run()
    assert errors(app) == []
    assert len(collection.read(made.set_id).kept) == 12
    assert "No copies" in texts(app)


def test_uneven_classes_are_told_in_numbers(open_page: OpenPage, playground_home: Path) -> None:
    made = cups(2)
    collection.add(made.set_id, "cup", [(f"m{k}.jpg", jpeg(500 + k)) for k in range(10)])
    app = opened(open_page, made.set_id)
    assert "cup has 12 photos, no cup 2: 6 times as many" in texts(app)
    assert "right for 86\u202f%; " in texts(app)


def test_the_sample_is_looked_at_and_made_ones_own(open_page: OpenPage, playground_home: Path) -> None:
    app = open_page("transfer")
    app.session_state["photos-view"] = True
    app.run()
    assert errors(app) == []
    assert "looked at, not edited" in texts(app)
    app.button(key="make-mine").click().run()
    assert errors(app) == []
    made = collection.read(named(app))
    assert made.counts == {"faces": 100, "non-faces": 100}
    assert "lfw_subset" in made.source
    assert app.get("button_group")[0].value in (own_set.OWN, [own_set.OWN])
    original = folders.write_faces(playground_home / "data" / "faces")
    assert len(list(original.rglob("*.png"))) == 200


def test_what_is_trained_on_is_a_version_without_classes_of_one_photo(
    open_page: OpenPage, playground_home: Path
) -> None:
    made = cups(3)
    collection.add_class(made.set_id, "mug")
    made, _ = collection.add(made.set_id, "mug", [("m.jpg", jpeg(900))])
    app = open_page("transfer", photos=own_set.OWN, set=made.set_id)
    assert errors(app) == []
    assert "Not trained on until there are two photos or more: mug" in texts(app)
    assert list(app.dataframe[0].value["class"]) == ["cup", "no cup"]
    version = versions.version(own_set.without(made, ["mug"]))
    assert folders.scan(version, 0) == versions.as_folder(own_set.without(made, ["mug"]))


@pytest.mark.parametrize("address", ["", "..", "0" * 32, "../uploads"])
def test_an_address_without_a_set_begins_one(open_page: OpenPage, playground_home: Path, address: str) -> None:
    app = open_page("transfer", photos=own_set.OWN, set=address)
    assert errors(app) == []
    assert "What should be told apart?" in [field.label for field in app.text_input]


def test_names_are_never_taken_for_markup(open_page: OpenPage, playground_home: Path) -> None:
    evil = "![x](http:evil) <b>"
    made = collection.create(evil, [evil, "fine"])
    for k, label in enumerate(made.classes):
        collection.add(made.set_id, label, [(f"{evil}{i}.jpg", jpeg(10 * k + i)) for i in range(3)])
    app = opened(open_page, made.set_id)
    assert errors(app) == []
    assert evil not in texts(app)


SHOT = "data:image/jpeg;base64," + base64.b64encode(jpeg(1)).decode()


@pytest.mark.parametrize("given", [
    None, 3, [], {}, {"label": "cup"}, {"label": "cup", "shots": "x"}, {"label": "nowhere", "shots": [SHOT]},
    {"label": "cup", "shots": [3, "http://elsewhere/1.jpg", "data:image/jpeg;base64,%%%", SHOT + "A"]},
], ids=str)
def test_odd_shots_are_dropped(playground_home: Path, given: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "session_state", {})
    made = cups(1)
    own_set.take_shots(made.set_id, given)
    assert len(collection.read(made.set_id).photos) == 2


def test_shots_are_kept_in_their_class(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "session_state", {})
    made = collection.create("x", ["a", "b"])
    own_set.take_shots(made.set_id, {"label": "b", "shots": [SHOT, SHOT.replace("data:image/jpeg", "data:text/html")]})
    photos = collection.read(made.set_id).photos
    assert [(photo.name, photo.label) for photo in photos.values()] == [("camera-0001.jpg", "b")]


def test_the_grid_may_ask_for_what_it_offers_and_nothing_else(
    playground_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(st, "session_state", {})
    made = cups(3)
    first, second = list(made.photos)[:2]
    for odd in (None, [], {"do": "move"}, {"do": "move", "keys": [1], "to": "cup"}, {"do": "x", "keys": [], "to": ""},
                {"do": "move", "keys": [first], "to": "nowhere"}, {"do": "half", "keys": [first], "to": "test"},
                {"do": "take out", "keys": ["999", "../x"], "to": ""}):
        dataset_view.act(made.set_id, odd)
        assert collection.read(made.set_id) == made
    dataset_view.act(made.set_id, {"do": "move", "keys": [first], "to": "no cup"})
    dataset_view.act(made.set_id, {"do": "half", "keys": [first], "to": "validation"})
    dataset_view.act(made.set_id, {"do": "take out", "keys": [second], "to": ""})
    now = collection.read(made.set_id)
    assert (now.photos[first].label, now.photos[first].half) == ("no cup", "validation")
    assert now.photos[second].left_out == collection.BY_HAND
    dataset_view.act(made.set_id, {"do": "put back", "keys": [second], "to": ""})
    assert collection.read(made.set_id).photos[second].left_out is None


def test_a_locked_page_edits_nothing(open_page: OpenPage, playground_home: Path) -> None:
    made = cups(3)
    collection.leave_out(made.set_id, list(made.photos)[:1])
    app = open_page("transfer", photos=own_set.OWN, set=made.set_id, lock="1")
    assert errors(app) == []
    assert app.button(key="own-set-undo").disabled
    assert app.radio(key="own-set-into").disabled


def test_a_link_out_of_the_data_folder_is_not_offered(open_page: OpenPage, playground_home: Path,
                                                      tmp_path_factory: pytest.TempPathFactory) -> None:
    data = playground_home / "data"
    versioned = versions.version(cups(3))
    for name in ("pets", "mixed"):
        (data / name).mkdir(parents=True)
        for folder in ("train", "validation"):
            (data / name / folder).symlink_to(versioned / folder)
    secret = tmp_path_factory.mktemp("secret")
    for name in ("a", "b"):
        (secret / name).mkdir()
        (secret / name / "1.jpg").write_bytes(jpeg(1))
    (data / "out").symlink_to(secret)
    (data / "mixed" / "notes").symlink_to(secret)
    app = open_page("transfer", photos=transfer.FOLDER)
    assert sorted(app.selectbox(key="folder").options) == ["mixed", "pets"]
    app.selectbox(key="folder").set_value("mixed").run()
    assert "leads out" in app.error[0].value
