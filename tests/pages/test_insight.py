"""A result understood on the page: the photos behind the numbers, from the exported file's own answers."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import streamlit as st

from playground import home
from playground.deploy import evaluation, interval
from playground.ui.studio import insight
from tests.pages.on_a_page import RUN, OpenPage, errors, put_run, texts


@pytest.fixture
def finished(playground_home: Path) -> Path:
    """A transfer run that ended: ten photos, two of them mistaken."""
    return put_run()


@pytest.mark.parametrize("look", insight.VIEWS)
def test_every_view_opens(look: str, open_page: OpenPage, finished: Path) -> None:
    app = open_page("transfer", run=RUN, understand=look)
    assert errors(app) == []
    assert "br*ght" not in texts(app).replace("br\\*ght", "")


def test_a_run_that_has_ended_can_be_deleted(open_page: OpenPage, finished: Path) -> None:
    app = open_page("transfer", run=RUN)
    app.button(key=f"delete-{RUN}").click().run()
    assert errors(app) == []
    assert not finished.exists()
    assert "run" not in app.query_params
    assert (home.exports_dir() / "light").is_dir()


def test_nothing_is_drawn_until_it_is_asked_for(open_page: OpenPage, finished: Path) -> None:
    app = open_page("transfer", run=RUN)
    assert errors(app) == []
    assert "ECE" not in "".join(latex.value for latex in app.latex)


def test_a_class_is_scored_by_the_files_own_answers(open_page: OpenPage, finished: Path) -> None:
    app = open_page("transfer", run=RUN, understand="Classes")
    table = next(frame.value for frame in app.dataframe if "recall" in frame.value)
    assert list(table["right"]) == [4, 4]
    assert list(table["precision"]) == [80.0, 80.0]


def test_a_cell_of_the_confusions_opens_its_photos(open_page: OpenPage, finished: Path) -> None:
    app = open_page("transfer", run=RUN, understand="Confusions", true="dark", said="br*ght")
    assert "**1** of 5 photos of dark were taken for br\\*ght." in texts(app)
    captions = [image.caption for drawn in app.get("image") for image in drawn.proto.imgs]
    assert any(caption.endswith("220\\.png") for caption in captions)


@pytest.mark.parametrize("drawn", [True, False], ids=["another cell is open", "none is open"])
def test_a_click_opens_its_cell(drawn: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    state, address = ({"true": "dark", "said": "dark"} if drawn else {}), {}
    monkeypatch.setattr(st, "session_state", state)
    monkeypatch.setattr(st, "query_params", address)
    insight.clicked({"selection": {"points": [{"customdata": [0, 1, 1, 20.0]}]}}, ("dark", "br*ght"))
    assert state["understand"] == "Confusions"
    assert (state if drawn else address)["said"] == "br*ght"


@pytest.mark.parametrize("said", [
    None, {}, {"selection": {"points": []}}, {"selection": {"points": [{}]}}, [], "no",
    {"selection": {"points": [{"customdata": [7, 0]}]}}, {"selection": {"points": [{"customdata": ["x", None]}]}}])
def test_an_odd_click_opens_nothing(said: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "session_state", {})
    insight.clicked(said, ("dark", "br*ght"))
    assert st.session_state == {}


def test_an_address_of_another_runs_classes_opens_the_likeliest_confusion(open_page: OpenPage, finished: Path) -> None:
    app = open_page("transfer", run=RUN, understand="Confusions", true="cat", said="<b>")
    assert errors(app) == []
    assert (app.selectbox(key="true").value, app.selectbox(key="said").value) == ("dark", "br*ght")


def test_photos_that_are_gone_are_left_out(open_page: OpenPage, finished: Path) -> None:
    (home.data_dir() / "light" / "dark" / "220.png").unlink()
    app = open_page("transfer", run=RUN, understand="Mistakes")
    assert errors(app) == []
    assert "2 of 10 photos were taken for something else" in texts(app)


def test_answers_that_cannot_be_read_are_passed_over(open_page: OpenPage, finished: Path) -> None:
    (finished / evaluation.FILE).write_text(json.dumps({"labels": []}))
    app = open_page("transfer", run=RUN, understand="Classes")
    assert errors(app) == []
    assert not [frame for frame in app.dataframe if "recall" in frame.value]


def test_the_best_of_the_other_runs_is_compared_with_this_one(open_page: OpenPage, finished: Path) -> None:
    assert "This run against" not in texts(open_page("transfer", run=RUN, understand="Other runs"))
    for name, right in (("20260101-000000-000000-aaaa", 0.2), ("20260101-000000-000000-bbbb", 1.0)):
        shutil.copytree(finished, other := finished.parent / name)
        log = other / "events.jsonl"
        log.write_text(log.read_text().replace('"test_accuracy": 0.8', f'"test_accuracy": {right}'))
    said = interval.compared(0.8, 10, 1.0, 10)
    assert f"the best of the others: {said}." in texts(open_page("transfer", run=RUN, understand="Other runs"))


def one_bin(count: int, sure: float, right: float) -> list[evaluation.Bin]:
    return [evaluation.Bin(0.9, 1.0, count, sure, right)]


@pytest.mark.parametrize(("count", "sure", "right", "said"), [
    (400, 0.961, 0.96, "about as often as it says"), (400, 0.959, 0.96, "about as often as it says"),
    (400, 0.99, 0.90, "too sure of itself"), (400, 0.80, 0.96, "not sure enough"),
    (10, 0.97, 0.90, "about as often as it says"), (1, 0.6, 1.0, "about as often as it says"),
])
def test_too_sure_is_said_only_beyond_what_may_be_chance(count: int, sure: float, right: float, said: str) -> None:
    assert said in insight.sureness(one_bin(count, sure, right))


def test_a_tenth_of_a_point_is_not_too_sure_however_many_photos_lie_in_many_bins() -> None:
    bins = [evaluation.Bin(0.5, 0.6, 50, 0.55, 0.56), evaluation.Bin(0.9, 1.0, 350, 0.98, 0.977)]
    assert "about as often" in insight.sureness(bins)
