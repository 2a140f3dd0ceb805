"""What a class finds when a server of it was killed: at any step of anything that is written or deleted, either all of
it is done or nothing, whoever asks again comes to the end, and nothing that was deleted is left for good."""

import io
import os
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from PIL import Image

from playground import home
from playground.classroom import answers, collecting, keys, leaving, publishing, state, workspaces
from playground.classroom.state import Collection
from playground.datasets import collection, disk, folders, intake, uploads
from playground.deploy import registry
from playground.training.runs import runs, turns
from playground.training.runs.runs import RunSpec
from tests.a_class import class_home, place_of, working
from tests.pages.on_a_page import put_model
from tests.playground.killed import deaths
from tests.playground.test_class_collecting import shot
from tests.playground.test_class_leaving import files, lives

__all__ = ["class_home"]

pytestmark = pytest.mark.slow
CUPS = Collection("cups", ("cup", "no cup"))
SPEC = RunSpec("digits", {"data": "digits", "epochs": 1}, 0, "mine")


@pytest.fixture(autouse=True)
def clears_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody left is not taken for somebody else's work of this moment."""
    monkeypatch.setattr(disk, "YOUNG_SECONDS", -1.0)
    monkeypatch.setattr(home, "LEFT_SECONDS", -1.0)


def left_of(place: Path) -> list[str]:
    """The files that are a reader's, or say something of him."""
    marks = (place.name.encode(), publishing.mark(place).encode(), b"Ada")
    return [str(path) for path in home.base().rglob("*") if any(
        mark in os.fsencode(path) or (path.is_file() and mark in path.read_bytes()) for mark in marks)]


def whole_pictures(folder: Path) -> int:
    """How many pictures lie in a folder; each can be opened."""
    found = [path for path in folder.rglob("*.jpg") if path.is_file()]
    for path in found:
        with Image.open(path) as picture:
            picture.load()
    return len(found)


def test_who_deletes_everything_is_rid_of_it_or_finds_it_and_can_again(class_home: Path) -> None:
    leaver, stayer = keys.new(), keys.new()
    mine = lives(leaver, "Ada")
    publishing.unpublish_model("class-mine")
    theirs = files(lives(stayer, "Grace"))
    for step in deaths(class_home, lambda: leaving.delete_everything(mine), every=3):
        assert files(place_of(stayer)) == theirs
        if step % 2 and mine.exists():  # he sees that it is there
            workspaces.seen(mine, "class")
            leaving.delete_everything(mine)
        elif not mine.exists():  # he sees that it is gone, and goes; or begins anew and deletes that, too
            if step % 2:
                workspaces.seen(mine, "class")
                leaving.delete_everything(mine)
            leaving.clear_up()
        else:
            continue
        assert left_of(mine) == [], step
        assert files(place_of(stayer)) == theirs


def test_a_class_is_wiped_or_the_teacher_can_again(class_home: Path) -> None:
    places = [lives(keys.new(), "Ada")]
    publishing.unpublish_model("class-mine")
    places.append(lives(keys.new(), "Ada"))
    state.collect(CUPS, "class")
    for step in deaths(class_home, leaving.wipe, every=5):
        if step % 2:
            leaving.wipe()
        elif state.read() == state.NOTHING and not workspaces.all_of_them() and not publishing.models():
            leaving.clear_up()  # as far as anybody sees it was done
        else:
            continue
        assert left_of(places[0]) == left_of(places[1]) == [], step


def test_a_photo_that_is_given_waits_whole_or_not_at_all(class_home: Path) -> None:
    mine = place_of(keys.new())
    found = set()
    for step in deaths(class_home, lambda: collecting.add(mine, CUPS, "cup", shot(1))):
        waiting = collecting.waiting(CUPS)
        assert whole_pictures(collecting.waiting_dir("cups")) == len(waiting)
        found.add(len(waiting))
        if step % 2:
            collecting.forget(mine)
            assert left_of(mine) == [], step
        else:
            collecting.add(mine, CUPS, "cup", shot(1))
            assert len(collecting.waiting(CUPS)) == 1
    assert found == {0, 1}


def test_a_photo_that_is_looked_at_is_where_it_was_or_where_it_goes(class_home: Path) -> None:
    one = place_of(keys.new())
    for k in range(3):
        collecting.add(one, CUPS, "cup", shot(k))

    def looked_at() -> None:
        first, second, third = collecting.waiting(CUPS)
        collecting.accept(CUPS, first)
        collecting.reject(second)
        collecting.accept(CUPS, third)

    found = []
    for _ in deaths(class_home, looked_at):
        found.append((len(collecting.waiting(CUPS)), collecting.accepted(CUPS)["cup"]))
        assert sum(found[-1]) == whole_pictures(home.shared())
    assert list(dict.fromkeys(found)) == [(3, 0), (2, 1), (1, 1), (0, 2)]


def test_what_is_said_to_the_class_is_what_was_or_what_is(class_home: Path) -> None:
    mine = place_of(keys.new())
    question = answers.write(mine, "pooling", "?", ("a", "b"), 0, 0)
    state.lead("pooling", {"stride": "3"})

    def says() -> None:
        answers.write(mine, "pooling", "?", ("a", "b"), 0, 1)
        workspaces.rename(mine, "Ada")
        state.reveal(question, "pooling")
        state.end_tour()

    found = []
    for _ in deaths(class_home, says):
        now, said = state.read(), answers.of(mine)[question]
        found.append((said.last, workspaces.at(mine).called == "Ada", question in now.revealed, now.tour is None))
        assert said.first == 0
        says()
        assert (question in state.read().revealed, answers.of(mine)[question].last) == (True, 1)
    assert found == sorted(found)
    assert len(set(found)) == 5


def test_a_model_is_published_whole_or_not_at_all(class_home: Path) -> None:
    reader = keys.new()
    with working(reader) as place:
        put_model("cats")
    found = set()
    for _ in deaths(class_home, lambda: publishing.publish_model(workspaces.at(place), "cats")):
        with working(keys.new()):
            there = [entry.name for entry in registry.entries()]
            assert registry.damaged() == {}
        found.add("class-cats" in there)
        if "class-cats" in there:
            publishing.unpublish_model("class-cats")
        publishing.publish_model(workspaces.at(place), "cats")
        assert not [path for path in (home.shared() / "exports").iterdir() if path.name.startswith((".in", ".re"))]
    assert found == {False, True}


def test_photos_are_published_and_taken_back_all_or_none(class_home: Path) -> None:
    with working(keys.new()) as place:
        made = collection.create("Cups", ["a", "b"])
        for label in made.classes:
            intake.add(made.set_id, label, [(f"{label}{k}.jpg", shot(ord(label) + 9 * k)) for k in range(2)])

    def publishes() -> None:
        with home.entered(place):
            publishing.publish_photos(publishing.sources()["Cups"](), "cups")

    def takes_back() -> None:
        publishing.unpublish_photos("cups")

    found = set()
    for _ in deaths(class_home, publishes):
        found.add(publishing.photo_folders().get("cups", 0))
        if not publishing.photo_folders():
            leaving.clear_up()
            assert files(home.shared() / "data") <= {"class/cups"}, "copies nobody sees"
            publishes()
        assert folders.scan(publishing.folder("cups"), seed=0).classes == ("a", "b")
        takes_back()
    assert found == {0, 4}
    publishes()
    found = set()
    for _ in deaths(class_home, takes_back):
        found.add(publishing.photo_folders().get("cups", 0))
        if publishing.photo_folders():
            takes_back()
        leaving.clear_up()
        assert whole_pictures(home.shared() / "data") == 0
    assert found == {0, 4}


def test_own_photos_and_zips_are_taken_in_all_or_none(class_home: Path) -> None:
    reader = keys.new()
    with working(reader):
        set_id = collection.create("Cups", ["a", "b"]).set_id
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as some:
        for name in ("a/1.jpg", "a/2.jpg", "b/1.jpg"):
            some.writestr(name, shot(len(name)))

    def takes_in() -> None:
        with working(reader):
            intake.add(set_id, "a", [("1.jpg", shot(1)), ("2.jpg", shot(2))])
            uploads.keep(archive.getvalue())

    found = []
    for _ in deaths(class_home, takes_in):
        with working(reader):
            made, zips = collection.read(set_id), uploads.uploads_dir().glob("[!.]*")
            assert {made.path(photo).is_file() for photo in made.photos.values()} <= {True}
            found.append((len(made.photos), sum(map(whole_pictures, zips))))
        takes_in()
        with working(reader):
            assert len(collection.read(set_id).photos) >= 2
            assert len(list(uploads.uploads_dir().glob("*"))) == 1
            assert not list(home.home().rglob("*.incoming"))
    assert list(dict.fromkeys(found)) == [(0, 0), (2, 0), (2, 3)]


def test_a_training_that_was_being_started_is_lost_and_can_go_on_or_never_was(
        class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = keys.new()

    def starts() -> str:
        with working(reader):
            return runs.start(SPEC)

    found = set()
    for _ in deaths(class_home, lambda: _up_to_the_process(starts)):
        with working(reader):
            there = runs.run_ids()
            found.add(len(there))
            for run_id in there:
                view = runs.view(run_id)
                assert (view.state, view.can_go_on) == ("lost", True)
            assert turns.waiting() == []
            with monkeypatch.context() as patch:
                patch.setattr(runs, "_launch", lambda folder, spec, queued=True: None)
                runs.resume(there[0]) if there else starts()
                for run_id in runs.run_ids():
                    runs.remove(run_id)
                assert runs.free_name("mine") == "mine"
    assert found == {0, 1}


def _up_to_the_process(work: Callable[[], object]) -> None:
    """Do something up to where it would start a process."""
    with patch("subprocess.Popen", side_effect=KeyboardInterrupt), suppress(KeyboardInterrupt):
        work()
