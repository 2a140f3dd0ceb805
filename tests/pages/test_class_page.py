"""The page about the class: what each reader has, what the teacher sees and does; and that without a class there is
nothing of it."""

import re
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from playground import home
from playground.classroom import answers, collecting, keys, publishing, state, workspaces
from playground.classroom.state import Collection
from playground.datasets import collection, intake
from playground.deploy import registry
from playground.training.runs import runs, turns
from playground.training.runs.events import Epoch, Queued, Started
from playground.training.runs.log import EventLog
from playground.training.runs.runs import RunSpec
from playground.ui import contents, links, reader
from playground.ui.classroom import trainings
from tests.a_class import class_home, place_of, working
from tests.pages.in_a_class import Opened, open_as
from tests.pages.on_a_page import OpenPage, errors, put_model, put_run, sent, texts
from tests.playground.test_class_collecting import shot
from tests.playground.test_workspaces import run_of_hand

__all__ = ["class_home", "open_as"]

CUPS = Collection("cups", ("cup", "no cup"))


def button(app: AppTest, label: str) -> AppTest:
    """Press the first button of this name."""
    return next(one for one in app.button if one.label == label).click().run()


def tables(app: AppTest) -> str:
    return "\n".join(frame.value.to_string() for frame in app.dataframe)


def under_way(name: str, progress: float = 0.5) -> Path:
    """A run that was begun, without a worker; the log says it is under way."""
    folder = runs.new_folder()
    runs.write_spec(folder, RunSpec("digits", {"data": "digits", "epochs": 2}, 0, name), "cpu")
    log, now = EventLog(folder / "events.jsonl"), time.time()
    log.append(Started("digits", 2, 10, 4, ("0", "1"), {"train": 10}, "cpu", now))
    log.append(Epoch(1, 0.5, 0.8, 0.5, 0.8, 1.0, now))
    log.close()
    return folder


def test_without_a_class_the_page_says_how_to_start_and_nothing_leads_to_it(open_page: OpenPage) -> None:
    app = open_page("class")
    assert errors(app) == []
    assert "make class" in texts(app)
    assert [one for one in app.button if one.key != "copy_link"] == []
    assert [page.visibility for page in contents.navigation()["Start"]] == ["visible", "hidden"]
    home_page = open_page("home")
    assert contents.CLASS.title not in [str(link.proto.label) for link in home_page.get("page_link")]
    assert [element for element in home_page.get("bidi_component")
            if element.proto.component_name.endswith("class_poll")] == []
    assert sent(home_page, "copy_link") == [{"link": True, "lead": False}], "a link can be made by everybody"


def test_a_reader_says_his_name_and_sees_what_is_kept_and_his_key(open_as: Opened) -> None:
    key = keys.new()
    with working(key) as place:
        put_run()
    answers.write(place, "loss", "?", ("a", "b"), 0, 1)
    app = open_as(key)
    assert errors(app) == []
    app.text_input(key="my-name").set_value("  Ada \n Lovelace ").run()
    assert workspaces.at(place).name == "Ada Lovelace"
    assert {metric.label: metric.value for metric in app.metric} | {"on the disk": ""} == {
        "on the disk": "", "trainings": "1", "models": "1", "own sets of photos": "0", "zips": "0", "answers": "1"}
    assert any(code.value.endswith(f"/join/{key}") for code in app.code)
    assert f"{workspaces.EXPIRE_DAYS} days" in texts(app)
    assert "One reader’s workspace" not in texts(open_as(key, part="Readers"))
    assert "Wipe the class…" not in [one.label for one in app.button]


def test_everything_of_mine_goes_when_asked_for_twice(open_as: Opened) -> None:
    key, other = keys.new(), keys.new()
    with working(key) as place:
        put_model("mine")
    with working(other):
        put_model("theirs")
    app = open_as(key)
    button(app, "Delete everything of mine…")
    assert (place / "exports" / "mine").is_dir(), "once is not enough"
    button(app, "Keep it")
    button(app, "Delete everything of mine…")
    button(app, "Yes, delete everything")
    assert errors(app) == []
    assert not (place / "exports").exists()
    assert {metric.label: metric.value for metric in app.metric}["models"] == "0"
    with working(other):
        assert registry.find("theirs") is not None


def test_the_teacher_sees_who_is_here_on_which_page_and_what_is_trained(
    open_as: Opened, monkeypatch: pytest.MonkeyPatch,
) -> None:
    ada, grace = keys.new(), keys.new()
    workspaces.rename(place_of(ada), "Ada *x*")
    workspaces.seen(place_of(ada), "pooling")
    workspaces.rename(place_of(grace), "Grace")
    workspaces.seen(place_of(grace), "loss")
    with working(ada):
        mine = under_way("digits-a")
    with working(grace):
        waits = under_way("digits-b")
        log = EventLog(waits / "events.jsonl")
        log.append(Queued(1, time.time()))
        log.close()
        put_run()
        turns.ask(waits, "digits")
    monkeypatch.setattr(turns, "is_alive", lambda folder: folder in (mine, waits))
    monkeypatch.setattr(runs, "is_alive", turns.is_alive)
    trainings._looked.cache_clear()
    app = open_as(keys.new(), teacher=True)
    assert errors(app) == []
    assert "2 readers" in texts(app)
    for words in ("Ada *x*", "Max pooling", "The loss", "light"):
        assert words in tables(app)
    assert r"Ada \*x\*" in texts(app), "a name is no Markdown"
    told = [str(one.proto.text) for one in app.get("progress")]
    assert "place 1 in the queue" in told
    stops = [one for one in app.button if one.key and one.key.startswith("class-stop-")]
    assert [one.label for one in stops] == ["Stop", "Cancel"], "what waits stands below what trains"
    stops[0].click().run()
    assert errors(app) == []
    assert (mine / "stop").exists()
    assert not (waits / "stop").exists()
    chart = next(one for one in app.get("plotly_chart") if "class-results" in one.proto.id)
    assert "Grace: light" in chart.proto.spec
    assert "accuracy (%)" in chart.proto.spec


def test_trainings_that_a_class_has_in_common_are_listed_once(class_home: Path) -> None:
    for key in (keys.new(), keys.new()):
        with working(key):
            home.runs_dir()
    with home.entered(home.shared()):
        under_way("common")
    assert [(one.owner, one.state) for one in trainings.all_of_them()] == [(trainings.COMMON, "lost")]


def question(app: AppTest) -> object:
    return next(radio for radio in app.radio if "Predict first" in radio.label)


def test_answers_are_counted_revealed_and_seen_under_the_question(open_as: Opened) -> None:
    ada, grace, teacher = keys.new(), keys.new(), keys.new()
    app = open_as(ada, "pooling")
    options = question(app).options
    question(app).set_value(options[0]).run()
    question(app).set_value(options[1]).run()
    other = open_as(grace, "pooling")
    question(other).set_value(options[1]).run()
    assert "The class:" not in texts(other), "nothing is shown before it is revealed"
    own = open_as(teacher, "pooling", teacher=True)
    question(own).set_value(options[2]).run()
    (found,) = answers.tallies()
    assert (found.first, found.last) == ((1, 1, 0), (0, 2, 0)), "the teacher's own answer is not counted"
    assert found.choices[found.answer] == options[1]
    seen = open_as(teacher, teacher=True, part="Answers")
    assert errors(seen) == []
    assert found.question in texts(seen)
    assert "1 of 2 right at the first go, 2 in the end" in texts(seen)
    button(seen, "Reveal to the class")
    assert state.read().revealed == {found.id: "pooling"}
    shown = open_as(grace, "pooling")
    assert "**The class:** 2 answers" in texts(shown)
    button(open_as(teacher, teacher=True, part="Answers"), "Hide again")
    assert "The class:" not in texts(open_as(grace, "pooling"))


def test_a_question_without_a_class_writes_nothing(open_page: OpenPage, playground_home: Path) -> None:
    app = open_page("pooling")
    question(app).set_value(question(app).options[0]).run()
    assert errors(app) == []
    assert not list(playground_home.rglob(answers.ANSWERS))


def test_a_tour_is_led_told_left_and_ended(open_as: Opened) -> None:
    ada, teacher = keys.new(), keys.new()
    app = open_as(teacher, teacher=True, part="Guided lesson")
    app.selectbox(key="class-tour-page").set_value("pooling").run()
    button(app, "Follow me")
    tour = state.read().tour
    assert tour is not None
    assert tour.address == "pooling"
    mine = open_as(ada, "loss")
    assert "the class is at “Max pooling”" in texts(mine)
    (told,) = sent(mine, "class_poll")
    assert (told["left"], told["page"]) == (0, "loss")
    button(mine, "Leave the tour")
    assert "You left it" in texts(mine)
    assert sent(open_as(ada, "loss"), "class_poll")[0]["left"] == tour.started, "a new window knows it, too"
    mine = open_as(ada, "loss")
    button(mine, "Rejoin")
    assert sent(mine, "class_poll")[0]["left"] == 0
    led = open_as(teacher, "pooling", teacher=True)
    assert sent(led, "copy_link") == [{"link": True, "lead": True}]
    assert sent(led, "class_poll") == [], "the teacher's browser is not led"
    led.switch_page(str(contents.chapter("loss").path)).run()
    assert state.read().tour is not None
    assert state.read().tour.url == "loss", "the class comes along"
    led.switch_page(str(contents.CLASS.path)).run()
    assert state.read().tour.url == "loss", "but not to the page about itself"
    button(led, "End the tour")
    assert state.read().tour is None


@pytest.mark.parametrize(("href", "address"), [
    ("http://a:1/pooling?stride=3&step=4", "pooling?stride=3&step=4"), ("http://a:1/", ""),
    ("http://a:1/?look=Sobel", "?look=Sobel"), ("http://a:1/home", ""),
    ("http://a:1/class", None), ("http://a:1/join/x", None), ("javascript:alert(1)", None), ("http://a:1/../etc", None),
])
def test_the_class_is_brought_where_the_teachers_browser_is(href: str, address: str | None, open_as: Opened) -> None:
    app = open_as(keys.new(), teacher=True)
    app.session_state[links._PRESSED] = {"what": "lead", "href": href}
    app.run()
    tour = state.read().tour
    assert (tour.address if tour is not None else None) == address
    assert errors(app) == []


def test_no_reader_leads_the_class(open_as: Opened) -> None:
    app = open_as(keys.new(), "pooling")
    assert sent(app, "copy_link") == [{"link": False, "lead": False}]
    app.session_state[links._PRESSED] = {"what": "lead", "href": "http://a:1/loss"}
    app.run()
    assert state.read().tour is None


def link(app: AppTest) -> str:
    return next(one.value for one in app.code if one.value.startswith("http"))


def test_a_link_for_a_class_says_what_is_locked_and_hidden(open_page: OpenPage) -> None:
    app = open_page("pooling")
    app.session_state[links._PRESSED] = {"what": "link", "href": "http://10.0.0.7:8501/pooling?stride=3&step=4"}
    app.run()
    assert errors(app) == []
    assert link(app) == "http://10.0.0.7:8501/pooling?stride=3&step=4"
    offered = app.multiselect(key="class-link-hide").options
    assert any("Stride" in words for words in offered)
    app.session_state[links._PRESSED] = {"what": "link", "href": "http://10.0.0.7:8501/pooling?stride=3&step=4"}
    app.toggle(key="class-link-lock").set_value(True)
    app.multiselect(key="class-link-hide").set_value(["stride"]).run()
    assert link(app) == "http://10.0.0.7:8501/pooling?stride=3&step=4&lock=1&hide=stride"
    locked = open_page("pooling", stride="3", step="4", lock="1", hide="stride")
    assert "This page is locked" in texts(locked)
    assert sent(locked, "copy_link") == [{"link": False, "lead": False}]


def test_photos_are_collected_looked_at_and_given_to_all(open_as: Opened) -> None:
    ada, teacher = keys.new(), keys.new()
    workspaces.rename(place_of(ada), "Ada")
    app = open_as(teacher, teacher=True, part="Class set")
    app.text_input(key="collect-name").set_value("cups")
    app.text_input(key="collect-labels").set_value("cup, no cup")
    button(app, "Begin")
    assert errors(app) == []
    assert state.read().collection == CUPS
    mine = open_as(ada)
    mine.segmented_control(key="collect-label").set_value("cup").run()
    mine.file_uploader(key="collect-files-0").set_value([
        ("1.jpg", shot(1), "image/jpeg"), ("2.jpg", shot(2), "image/jpeg"), ("x.jpg", b"none", "image/jpeg")]).run()
    assert "2 photos of cup sent" in texts(mine)
    assert len(errors(mine)) == 1, "one was no picture"
    assert "2 photos of yours so far" in texts(mine)
    seen = open_as(teacher, teacher=True, part="Class set")
    assert errors(seen) == []
    assert "**2 photos wait.**" in texts(seen)
    captions = [one.proto.imgs[0].caption for one in seen.get("image")]
    assert [caption for caption in captions if caption] == ["cup · Ada"] * 2, "the third is the teacher's own key"
    accepts = [one for one in seen.button if one.key and re.fullmatch("collect-accept-[0-9a-f-]+", one.key)]
    accepts[0].click().run()
    assert collecting.accepted(CUPS) == {"cup": 1, "no cup": 0}
    button(seen, "Reject it")
    assert collecting.waiting(CUPS) == []
    button(seen, "End it")
    assert state.read().collection is None
    assert publishing.photo_folders() == {"cups": 1}


def test_the_teacher_publishes_and_takes_back(open_as: Opened) -> None:
    ada, teacher = keys.new(), keys.new()
    with working(ada):
        put_model("cats")
    app = open_as(teacher, teacher=True, part="Publish")
    assert errors(app) == []
    button(app, "Give it to the class")
    assert [entry.name for entry in publishing.models()] == ["class-cats"]
    assert "class\\-cats" in texts(open_as(teacher, teacher=True, part="Publish"))
    models = open_as(ada, "models", model="class-cats")
    assert errors(models) == []
    assert "is the class's and cannot be removed" in texts(models)
    button(open_as(teacher, teacher=True, part="Publish"), "Take back")
    assert publishing.models() == []
    with working(teacher):
        made = collection.create("My cups", CUPS.labels)
        for k, label in enumerate(CUPS.labels):
            intake.add(made.set_id, label, [(f"{k}.jpg", shot(k))])
    own = open_as(teacher, teacher=True, part="Publish")
    assert [box.options for box in own.selectbox if box.key == "publish-photos"] == [["My cups"]]
    button(own, "Give them to the class")
    assert errors(own) == []
    assert publishing.photo_folders() == {"my-cups": 2}
    assert "photos **my\\-cups**, 2 photos" in texts(own)
    button(own, "Take back")
    assert publishing.photo_folders() == {}


def test_the_teacher_removes_a_workspace_and_wipes_the_class(open_as: Opened) -> None:
    ada, grace, teacher = keys.new(), keys.new(), keys.new()
    for key, name in ((ada, "Ada"), (grace, "Grace")):
        workspaces.rename(place_of(key), name)
        with working(key):
            put_model("mine")
            run_of_hand("mine", data="digits")  # lost: it has no worker
    app = open_as(teacher, teacher=True, part="Readers")
    app.selectbox(key="class-reader").set_value(place_of(ada).name).run()
    button(app, "Remove training")
    assert [len(list((place_of(key) / ".runs").glob("2*"))) for key in (ada, grace)] == [0, 1]
    button(app, "Remove model")
    assert not (place_of(ada) / "exports" / "mine").exists()
    assert (place_of(grace) / "exports" / "mine").exists()
    button(app, "Remove this workspace…")
    button(app, "Yes, remove it")
    assert errors(app) == []
    assert not place_of(ada).exists()
    button(app, "Wipe the class…")
    assert place_of(grace).exists()
    button(app, "Yes, wipe the class")
    assert errors(app) == []
    assert not place_of(grace).exists()


def test_a_session_keeps_nothing_in_memory_of_a_workspace_that_was_removed(open_as: Opened) -> None:
    ada, teacher = keys.new(), keys.new()
    app = open_as(ada, "images")
    app.session_state["own-photo"] = b"a photo"
    app.run()
    gone = open_as(teacher, teacher=True, part="Readers")
    gone.selectbox(key="class-reader").set_value(place_of(ada).name).run()
    button(gone, "Remove this workspace…")
    button(gone, "Yes, remove it")
    reader_again = {keys.COOKIE: ada, keys.TEACHER: ""}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reader, "cookie", lambda name: reader_again[name])
        app.run()
    assert errors(app) == []
    assert "own-photo" not in app.session_state
