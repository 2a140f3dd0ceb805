"""The designer on its page: what the browser is told, what it may send, what an address restores, what is trained."""

import json
from itertools import pairwise

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from playground.errors import PlaygroundError
from playground.network import presets
from playground.network.edits import Edit, History, edited
from playground.network.parts import Network, everything
from playground.network.shapes import walk
from playground.network.spelling import network_of, spelled
from playground.training.runs import runs
from playground.training.scratch import timing
from playground.ui.network import designer, settings
from tests.pages.on_a_page import OpenPage, errors, texts

DIGITS, CLASSES = (1, 8, 8), 10


def cards(view: list[dict]) -> list[dict]:  # type: ignore[type-arg]
    """All cards, a container before what it holds."""
    return [found for card in view
            for found in (card, *(one for branch in card["branches"] for one in cards(branch["cards"])))]


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """A session without a page, with the small design c8-r-f-d10."""
    found: dict[str, object] = {}
    monkeypatch.setattr(st, "session_state", found)
    monkeypatch.setattr(st, "query_params", {designer.ADDRESS: "c8-r-f-d10"})
    designer.begin(DIGITS, CLASSES)
    return found


def sends(state: dict[str, object], trigger: str, said: object) -> None:
    state[designer.KEY] = {trigger: said}
    {"edits": designer._take, "restored": designer._restore}[trigger]()


def now() -> str:
    design = designer.history()
    return design.texts[design.at]


@pytest.mark.parametrize("name", presets.PRESETS)
def test_what_the_browser_is_told_is_json_and_says_what_a_walk_says(name: str) -> None:
    network = presets.preset(name).network(DIGITS, CLASSES)
    view = designer.view(network, DIGITS, CLASSES, 32)
    assert json.loads(json.dumps(view, allow_nan=False)) == view
    rows = {row.path: row for row in walk(network, DIGITS).rows}
    told = cards(view["cards"])
    assert [tuple(card["path"]) for card in told] == [path for path, _ in everything(network.parts)]
    for card in told:
        row = rows[tuple(card["path"])]
        assert (card["gives"], card["parameters"], card["multiply_adds"]) == (
            list(row.gives), row.parameters, row.multiply_adds)
    assert view["totals"]["parameters"] == sum(card["parameters"] for card in told)


def test_every_step_a_card_offers_is_foretold_as_it_then_comes() -> None:
    network = presets.preset("resnet8").network(DIGITS, CLASSES)
    view = designer.view(network, DIGITS, CLASSES, 32)
    offered = 0
    for card in cards(view["cards"]):
        for field in card["fields"]:
            for step, value in field["steps"].items():
                key = f"{'.'.join(map(str, card['path']))}:{field['name']}:{step}"
                after = walk(edited(network, Edit("set", tuple(card["path"]), name=field["name"], value=value)), DIGITS)
                assert view["whatif"][key][:2] == [after.parameters, after.multiply_adds]
                assert (view["whatif"][key][4] is None) == (after.stopped is None)
                offered += 1
    assert offered > 100


@pytest.mark.parametrize("text", ["c65536k64-c65536k64-g-d10", "f-d65536-d65536-d10", "c8n-" * 120 + "g-d10"])
def test_a_design_of_any_size_is_drawn_and_neither_timed_nor_filled(text: str) -> None:
    network = network_of(text)
    view = designer.view(network, DIGITS, CLASSES, 32, memory=2**30)
    assert len(cards(view["cards"])) == len(network)
    assert bool(view["whatif"]) == (len(network) < 90)
    if len(network) < 90:
        assert any("may be used here" in fault["sentence"] for card in view["cards"] for fault in card["faults"])
        assert timing.seconds_an_epoch(network, DIGITS, CLASSES, 1000) is None
        assert settings.histograms(text, DIGITS, CLASSES, "default", 1.0) == {}


def test_everything_of_the_palette_can_be_inserted() -> None:
    for group in designer.PALETTE:
        assert group["kinds"]
        for kind in group["kinds"]:
            after = edited(network_of("c8-r"), Edit("insert", (1,), text=kind["text"]))
            assert len(after) == 2 + kind["parts"] > 2


def test_edits_are_done_once_and_in_order_however_often_they_are_sent(state: dict[str, object]) -> None:
    first = {"number": 1, "action": "set", "path": [0], "name": "filters", "value": 16}
    second = {"number": 2, "action": "insert", "path": [2], "text": "p2"}
    sends(state, "edits", [first])
    assert now() == "c16-r-f-d10"
    sends(state, "edits", [first, second])  # the first was sent again: its answer had not come yet
    assert now() == "c16-r-p2-f-d10"
    sends(state, "edits", [second])
    assert now() == "c16-r-p2-f-d10"
    sends(state, "edits", [{"number": 3, "action": "undo", "path": [0]}, {"number": 4, "action": "undo", "path": [0]}])
    assert now() == "c8-r-f-d10"
    sends(state, "edits", [{"number": 5, "action": "redo", "path": [0]}])
    assert now() == "c16-r-f-d10"


def test_an_edit_that_is_refused_does_not_hold_up_those_behind_it(state: dict[str, object]) -> None:
    sends(state, "edits", [{"number": 1, "action": "set", "path": [0], "name": "filters", "value": 0},
                           {"number": 2, "action": "set", "path": [0], "name": "filters", "value": -1},
                           {"number": 3, "action": "remove", "path": [1]}])
    assert now() == "c8-f-d10"
    assert state["design-applied"] == 3
    assert "0" in str(state["design-said"])


@pytest.mark.parametrize("said", [
    None, 7, "remove", {"number": 1}, [7], [{"number": "1", "action": "undo"}], [{"action": "undo"}],
    [{"number": 1}], [{"number": 1, "action": "explode", "path": [0]}],
    [{"number": 1, "action": "remove", "path": [99]}], [{"number": 1, "action": "remove", "path": ["<b>"]}],
    [{"number": 1, "action": "set", "path": [0], "name": "filters", "value": 1e12}],
    [{"number": 1, "action": "set", "path": [0], "name": "__class__", "value": 1}],
    [{"number": 1, "action": "insert", "path": [0], "text": "c8" * 100_000}],
    [{"number": 1, "action": "wrap", "path": [0], "text": "[", "count": 10**9}],
], ids=lambda said: str(said)[:40])
def test_whatever_a_browser_sends_the_design_stays(said: object, state: dict[str, object]) -> None:
    sends(state, "edits", said)
    assert now() == "c8-r-f-d10"


def test_a_locked_page_takes_no_edit(state: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "query_params", {"lock": "1"})
    sends(state, "edits", [{"number": 1, "action": "remove", "path": [0]}])
    assert now() == "c8-r-f-d10"


def test_a_tabs_history_comes_back_if_it_ends_in_the_design_of_the_address(state: dict[str, object]) -> None:
    before = History.of(network_of("c8-r-d10"), "Start").after(Edit("insert", (2,), text="f"))
    other = History.of(network_of("f-d10"), "Start").after(Edit("insert", (0,), text="r"))
    for nonsense in (None, "x", {"texts": ["<b>"], "labels": ["a"], "at": 0}, other.as_dict(),
                     {**before.as_dict(), "at": 9}):
        sends(state, "restored", nonsense)
        assert not designer.history().can_undo
    sends(state, "restored", before.as_dict())
    assert designer.history().can_undo
    sends(state, "edits", [{"number": 1, "action": "undo", "path": [0]}])
    assert now() == "c8-r-d10"


def test_a_preset_that_nobody_changed_follows_the_data_and_an_own_design_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(st, "session_state", {})
    monkeypatch.setattr(st, "query_params", {})
    designer.begin(DIGITS, CLASSES)
    assert designer.unchanged() == designer.FIRST
    designer.begin((3, 32, 32), 7)
    assert now() == spelled(presets.preset(designer.FIRST).network((3, 32, 32), 7))
    designer.take_text("c8-f-d7", (3, 32, 32), 7)
    assert designer.unchanged() is None
    designer.begin(DIGITS, CLASSES)
    assert now() == "c8-f-d7"
    with pytest.raises(PlaygroundError):
        designer.take_text("nonsense", DIGITS, CLASSES)


def test_a_preset_that_follows_the_data_leaves_what_was_there_before_to_undo(state: dict[str, object]) -> None:
    sends(state, "edits", [{"number": 1, "action": "remove", "path": [1]}])
    designer.start_from("vgg6", DIGITS, CLASSES)
    before = designer.history()
    designer.begin((3, 32, 32), 7)
    assert now() == spelled(presets.preset("vgg6").network((3, 32, 32), 7))
    assert designer.unchanged() == "vgg6"
    assert designer.history().can_undo == "VGG-6 for these pictures"
    assert designer.history().undone().texts[:-1] == before.texts
    sends(state, "edits", [{"number": 2, "action": "undo"}, {"number": 3, "action": "undo"}])
    designer.begin((3, 32, 32), 7)  # what undo brought back stays as it was, whatever the data are
    assert now() == "c8-f-d10"


def test_a_tiny_picture_that_a_preset_is_not_made_for_leaves_an_own_design_as_it_is(state: dict[str, object]) -> None:
    designer.start_from("vgg6", DIGITS, CLASSES)
    sends(state, "edits", [{"number": 1, "action": "remove", "path": [0]}])
    own = now()
    designer.begin((1, 2, 2), 2)
    assert (designer.unchanged(), designer.address()) == (None, own)


@pytest.mark.parametrize("asked", ["lenet5", "c8-r-p2-f-d10", "c8-r-p2-p2-p2-p2-f-d10", "f-d3", "{r}", "{}", "(,)-[]"])
def test_an_address_restores_a_design_right_or_wrong(asked: str, open_page: OpenPage) -> None:
    app = open_page("train", network=asked)
    assert errors(app) == []
    design = app.session_state["design"]
    assert design.network == presets.network_named(asked, DIGITS, CLASSES)
    assert app.query_params["network"] in (asked, [asked])


def test_a_design_without_any_part_has_an_address_of_its_own(open_page: OpenPage) -> None:
    app = open_page("train", network="empty")
    assert errors(app) == []
    assert app.session_state["design"].network == Network(())
    assert app.query_params["network"] in ("empty", ["empty"])
    app.button(key="start").click().run()
    assert any("There is no layer yet" in error for error in errors(app))


@pytest.mark.parametrize("asked", ["nonsense", "c8-", "[[[[", "c" + "9" * 30, "c8-" * 5000 + "d10", "<script>"])
def test_an_address_that_names_no_network_is_a_sentence_and_the_usual_design(asked: str, open_page: OpenPage) -> None:
    app = open_page("train", network=asked)
    assert len(errors(app)) == 1
    assert "names no network" in errors(app)[0]
    assert app.session_state["design"].network == presets.preset("usual").network(DIGITS, CLASSES)


def test_a_design_that_cannot_be_trained_is_refused_with_its_sentence(open_page: OpenPage) -> None:
    app = open_page("train", network="c8-r-p2-p2-p2-p2-f-d10", code="true")
    app.button(key="start").click().run()
    assert any("nothing would be left" in error for error in errors(app))
    assert not runs.run_ids()
    assert "There is no code yet" in app.info[0].value


def test_the_design_is_what_is_trained(open_page: OpenPage) -> None:
    app = open_page("train", network="c4-r-g-d10", epochs="1")
    app.button(key="start").click().run()
    assert errors(app) == []
    (run_id,) = runs.run_ids()
    assert runs.read_spec(runs.run_dir(run_id)).request["network"] == "c4-r-g-d10"


def test_of_a_sick_preset_its_settings_are_trained_too(open_page: OpenPage) -> None:
    app = open_page("train", network="rate-x100", epochs="1")
    app.button(key="start").click().run()
    assert errors(app) == []
    (run_id,) = runs.run_ids()
    assert runs.read_spec(runs.run_dir(run_id)).request["learning_rate"] == pytest.approx(0.3)


def test_a_preset_is_chosen_from_the_list(open_page: OpenPage) -> None:
    app = open_page("train")
    chooser = next(box for box in app.selectbox if box.label == "Start from")
    chooser.set_value("vgg6").run()
    assert errors(app) == []
    assert app.session_state["design"].network == presets.preset("vgg6").network(DIGITS, CLASSES)
    assert app.session_state["design"].can_undo == "Preset VGG-6"


def test_levels_of_a_history_are_all_different() -> None:
    design = History.of(Network(()))
    for k in range(150):
        design = design.after(Edit("insert", (0,), text=f"c{k + 1}"))
    assert all(a != b for a, b in pairwise(design.texts))
    for _ in range(150):
        design = design.undone()
    assert design.network == Network(())


def test_the_settings_are_in_the_request_where_they_are_not_the_usual(open_page: OpenPage) -> None:
    app = open_page("train", network="c4-r-g-d10", epochs="1", optimizer="SGD, momentum 0.9", decay="0.01",
                    schedule="warm-up, then half a cosine", loss="squared error", smoothing="0.1", clip="2.0",
                    init="Kaiming normal", gain="2.0", few="200", patience="3", bias="0.5", normalize="false",
                    rate="0.1", batch="16", drawn="true")
    assert errors(app) == []
    app.button(key="start").click().run()
    assert errors(app) == []
    (run_id,) = runs.run_ids()
    assert runs.read_spec(runs.run_dir(run_id)).request == {
        "data": "digits", "network": "c4-r-g-d10", "epochs": 1, "batch_size": 16, "learning_rate": 0.1,
        "optimizer": "momentum", "schedule": "warmup", "loss": "squared-error", "weight_decay": 0.01,
        "label_smoothing": 0.1, "clip_norm": 2.0, "init": "kaiming", "weights_gain": 2.0, "train_pictures": 200,
        "early_stopping": 3, "first_bias": 0.5, "normalize": False}


def test_another_preset_takes_the_settings_of_the_sick_one_away(open_page: OpenPage) -> None:
    app = open_page("train", network="dead-relus")
    assert app.number_input(key="bias").value == -5.0
    next(box for box in app.selectbox if box.label == "Start from").set_value("memoriser").run()
    assert app.number_input(key="bias").value is None
    assert app.number_input(key="few").value == 60
    next(box for box in app.selectbox if box.label == "Start from").set_value("vgg6").run()
    assert app.number_input(key="few").value == 0


def chosen(app: AppTest, preset: str) -> None:
    next(box for box in app.selectbox if box.label == "Start from").set_value(preset).run()
    assert errors(app) == []


def brought(app: AppTest, change: History) -> None:
    """The design as an edit in the browser leaves it."""
    app.session_state["design"] = change
    app.run()
    assert errors(app) == []


def more_settings_are_seen(app: AppTest) -> bool:
    return bool(next(one for one in app.expander if one.label == "More settings").proto.expanded)


def test_settings_of_a_sick_preset_go_with_it_though_its_design_was_changed(open_page: OpenPage) -> None:
    app = open_page("train", few="100")
    chosen(app, "dead-relus")
    assert app.number_input(key="bias").value == -5.0
    assert more_settings_are_seen(app)
    brought(app, app.session_state["design"].after(Edit("insert", (1,), text="b")))
    assert app.number_input(key="bias").value == -5.0  # it is the sick one still, in part
    assert more_settings_are_seen(app)
    chosen(app, "vgg6")
    assert app.number_input(key="bias").value is None
    assert app.number_input(key="few").value == 100  # a setting of the reader's own


def test_undo_and_redo_of_a_preset_undo_and_redo_its_settings(open_page: OpenPage) -> None:
    app = open_page("train", network="f-d10", rate="0.01")
    chosen(app, "rate-x100")
    assert app.selectbox(key="rate").value == pytest.approx(0.3)
    sick = app.session_state["design"]
    brought(app, sick.undone())
    assert app.selectbox(key="rate").value == pytest.approx(0.01)
    brought(app, sick)
    assert app.selectbox(key="rate").value == pytest.approx(0.3)
    chosen(app, "raw-pixels")
    chosen(app, "dead-relus")  # the same network, with other settings
    assert (app.checkbox(key="normalize").value, app.number_input(key="bias").value) == (True, -5.0)
    brought(app, app.session_state["design"].undone())
    assert (app.checkbox(key="normalize").value, app.number_input(key="bias").value) == (False, None)


def test_unusual_settings_of_an_address_are_not_hidden(open_page: OpenPage) -> None:
    assert more_settings_are_seen(open_page("train", bias="-5"))
    assert not more_settings_are_seen(open_page("train", rate="0.1"))


def test_photographs_can_be_trained_on_at_a_chosen_size(open_page: OpenPage) -> None:
    app = open_page("train", data="faces (photos)", side="48", network="c4-r-g-d2", epochs="1")
    assert errors(app) == []
    app.button(key="start").click().run()
    assert errors(app) == []
    (run_id,) = runs.run_ids()
    assert runs.read_spec(runs.run_dir(run_id)).request["data"].startswith("photos:48:")
    assert "faces" in runs.read_spec(runs.run_dir(run_id)).name


@pytest.mark.slow
def test_the_first_steps_are_taken_by_both_engines(open_page: OpenPage) -> None:
    app = open_page("train", network="c4-r-g-d10")
    app.session_state["both-open"] = True
    app.run()
    app.button(key="both").click().run()
    assert errors(app) == []
    assert "At step 1 they are" in texts(app)
