"""What is deleted is gone from the disk: one reader's, or everything of a class but the secret."""

import time
from pathlib import Path

import numpy as np
import pytest

from playground import home
from playground.classroom import answers, collecting, keys, leaving, publishing, removed, state, workspaces
from playground.classroom.state import Collection
from playground.datasets import collection, intake, uploads
from playground.deploy import registry
from playground.training.runs import class_runs, queue, runs, turns
from playground.training.runs.runs import EXPERIMENT, RunSpec
from playground.view import looks
from tests.a_class import class_home, place_of, working
from tests.pages.on_a_page import put_model, put_run
from tests.playground.killed import killed_at
from tests.playground.test_class_collecting import shot
from tests.playground.test_workspaces import photo, zipped

__all__ = ["class_home"]

CUPS = Collection("cups", ("cup", "no cup"))


def lives(key: str, name: str) -> Path:
    """A reader who has made one of everything."""
    with working(key) as place:
        workspaces.rename(place, name)
        workspaces.seen(place, "loss")
        put_run()
        put_model("mine")
        made = collection.create(name, ["a", "b"])
        intake.add(made.set_id, "a", [(f"{name}.png", photo())])
        uploads.keep(zipped())
        answers.write(place, "loss", "?", ("a", "b"), 0, 1)
        spec = RunSpec(EXPERIMENT, {"data": "digits"}, 0, "common")
        with class_runs.place_of(spec):
            folder = runs.new_folder()
            class_runs.begun(folder)
            runs.write_spec(folder, spec, "cpu")
            turns.ask(folder, EXPERIMENT)
            turns.ask(place / ".runs" / f"own-{name}", "digits")
            taken = queue.take("digits", turns.workspace_of(folder.name))
            assert taken is not None
            taken[1].close()  # it has ended; what it wrote stays
    for k in range(2):
        collecting.add(place, CUPS, "cup", shot(10 * len(name) + k))
    collecting.accept(CUPS, next(one for one in collecting.waiting(CUPS) if one.mark == publishing.mark(place)))
    publishing.publish_model(workspaces.at(place), "mine")
    return place


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_nothing_of_one_reader_stays_and_all_of_the_others(class_home: Path) -> None:
    leaver, stayer = keys.new(), keys.new()
    mine = lives(leaver, "Ada")
    publishing.unpublish_model("class-mine")
    other = lives(stayer, "Grace")
    theirs = files(other)
    moment = time.time() - 1
    leaving.delete_everything(mine)
    assert files(other) == theirs
    assert [one.name for one in workspaces.all_of_them()] == ["Grace"]
    assert not mine.exists()
    assert publishing.mark(mine) not in " ".join(files(home.shared()))
    for path in home.shared().rglob("*"):
        assert not path.is_file() or b"Ada" not in path.read_bytes(), path
        assert not path.is_file() or mine.name.encode() not in path.read_bytes(), path
    assert publishing.models() != [], "the other's"
    assert removed.since(mine, moment)
    assert not removed.since(other, moment)
    leaving.delete_everything(other)
    assert publishing.models() == []
    with working(leaver):
        assert runs.run_ids() != [], "what the class has in common, which is nobody's"
        assert [entry.name for entry in registry.entries()] == ["digits-example"]


def test_what_another_server_deleted_is_forgotten_here_too(class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = place_of(keys.new()), place_of(keys.new())
    heard: list[Path] = []
    monkeypatch.setattr(removed, "_heard_by", [heard.append])
    moment = time.time() - 1

    def looks() -> None:
        for place in (mine, other):
            removed.looked_at(place, workspaces.at(place).born)

    looks()
    for place in (mine, other):
        workspaces.seen(place, "loss")
        workspaces.rename(place, "Ada")
    looks()
    looks()
    assert heard == []
    assert not killed_at(10_000, class_home, lambda: leaving.delete_everything(mine)), "in another process"
    assert not removed.since(mine, moment)
    looks()
    assert (heard, removed.since(mine, moment), removed.since(other, moment)) == ([mine], True, False)
    workspaces.seen(mine, "loss")
    looks()
    assert heard == [mine], "he began anew"
    killed_at(10_000, class_home, lambda: (leaving.delete_everything(mine), workspaces.seen(mine, "loss")))
    looks()
    assert heard == [mine, mine], "and again, and had another page open there"


def test_a_training_in_common_goes_on_for_nobody_when_who_began_it_has_left(
        class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "is_alive", lambda folder: folder in folders)
    leaver, stayer = place_of(keys.new()), place_of(keys.new())
    folders = []
    for place in (leaver, stayer):
        with home.entered(place), class_runs.place_of(RunSpec(EXPERIMENT, {"data": "digits"}, 0, "common")):
            folders.append(runs.new_folder())
            class_runs.begun(folders[-1])
            turns.ask(folders[-1], EXPERIMENT)
    taken = queue.take("digits", leaver.name)
    assert taken is not None
    with taken[1]:
        workspaces.remove(leaver)
        assert turns.training() == {"": 1}, "its place is still held"
        assert [turns.workspace_of(folder.name) for folder in folders] == ["", stayer.name]
        for place, may in ((leaver, [False, False]), (stayer, [False, True])):
            with home.entered(place):
                assert [class_runs.may_change(folder) for folder in folders] == may


def test_after_a_wipe_nothing_is_on_the_disk_but_the_secret(class_home: Path) -> None:
    one, other = keys.new(), keys.new()
    lives(one, "Ada")
    publishing.unpublish_model("class-mine")
    lives(other, "Grace")
    state.lead("pooling", {"stride": "3"})
    state.collect(CUPS, "class")
    before = keys.teacher_key()
    assert leaving.wipe() == 2
    assert files(home.shared()) == {keys.SECRET}
    assert [path.name for path in home.shared().iterdir()] == [keys.SECRET]
    assert not any(b"Ada" in path.read_bytes() for path in class_home.rglob("*") if path.is_file())
    assert keys.teacher_key() == before
    assert keys.workspace_of(one) == place_of(one), "the key opens an empty workspace"
    assert state.read() == state.NOTHING
    assert workspaces.all_of_them() == []
    with working(one):
        assert runs.run_ids() == []
    assert leaving.wipe() == 1, "looking made the folder of a workspace again"
    assert leaving.wipe() == 0


def test_what_a_workspace_looked_at_is_put_away_and_what_others_look_at_too_stays(class_home: Path) -> None:
    def look(level: float) -> looks.Look:
        return looks.Look("test", lambda epoch: (_ for _ in ()).throw(AssertionError), np.full((1, 1, 2, 2), level),
                          np.zeros((2, 2, 3), np.uint8))

    one, other = keys.new(), keys.new()
    with working(one):
        mine, both = looks.opened(look(0.25)), looks.opened(look(0.75))
    with working(other):
        looks.opened(look(0.75))
    looks.forget(place_of(one))
    assert mine not in looks._LOOKS
    assert both in looks._LOOKS
    looks.forget(place_of(other))
    assert both not in looks._LOOKS
