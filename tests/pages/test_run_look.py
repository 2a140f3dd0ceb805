"""What a run of a designed network shows besides its curves: findings and cures, other runs over it, its rate."""

import json
import subprocess
import threading

import pytest

from playground.training.runs import runs
from playground.training.runs.runs import RunSpec
from playground.training.scratch import timing
from playground.training.scratch.settings import asked_factors
from playground.ui.network import predicting, run_look, settings
from playground.ui.studio import loss_gap
from tests.pages.on_a_page import OpenPage, errors, sent, texts
from tests.waiting import HOPE_SECONDS, ended, until

SICK = {"data": "digits", "network": "ten-sigmoids", "epochs": 3, "batch_size": 32, "learning_rate": 0.003}
WELL = {**SICK, "network": "c8n-b-r-p2-f-d10", "epochs": 2}
ENDLESS = {**SICK, "network": "c4-r-g-d10", "epochs": 5000}


def run(request: dict[str, object], name: str) -> str:
    run_id = runs.start(RunSpec("digits", request, 0, name))
    view = ended(run_id)
    assert view.state == "completed", view.failed
    return run_id


@pytest.mark.slow
def test_a_sick_run_says_what_ails_it_and_its_cure_is_tried_beside_it(open_page: OpenPage) -> None:
    first = run(SICK, "sick")
    app = open_page("train", run=first)
    assert errors(app) == []
    assert "**Vanishing.**" in texts(app)
    assert app.query_params["network"] in ("ten-sigmoids", ["ten-sigmoids"]), "its design is what is gone on from"
    marked = [fault for card in sent(app, "designer")[0]["cards"] for fault in card["faults"]]
    assert any("In the training “sick”: " in fault["sentence"] for fault in marked), "said at the card, too"
    cure = next(button for button in app.button if button.label.startswith("Try it: "))
    cure.click().run()
    assert errors(app) == []
    second = next(run_id for run_id in runs.run_ids() if run_id != first)
    assert ended(second).state == "completed"
    before, after = (runs.read_spec(runs.run_dir(one)) for one in (first, second))
    assert after.seed == before.seed
    assert after.request["network"] != "ten-sigmoids"
    assert {**after.request, "network": ""} == {**before.request, "network": ""}
    app = open_page("train", run=second, beside=first)
    assert errors(app) == []
    assert "Vanishing" not in texts(app)
    table = app.table[0].value
    assert list(table["setting"]) == ["network"]


@pytest.mark.slow
def test_of_a_run_that_is_well_nothing_is_found(open_page: OpenPage) -> None:
    app = open_page("train", run=run(WELL, "well"))
    assert errors(app) == []
    assert any(said.value.startswith("Nothing found") for said in app.success)
    assert "dropout leaves" not in texts(app)


@pytest.mark.slow
def test_the_rate_of_a_run_under_way_is_changed_by_a_button(open_page: OpenPage) -> None:
    run_id = runs.start(RunSpec("digits", ENDLESS, 0, "endless"))
    app = open_page("train", run=run_id)
    next(button for button in app.button if button.label == "½").click().run()
    assert errors(app) == []
    assert asked_factors(runs.run_dir(run_id)) == [0.5]


def test_a_design_whose_epochs_take_minutes_is_marked_at_the_part_that_takes_them(
        open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(timing, "seconds_an_epoch", lambda *given: asked.append(given[-1]) or 1359.0)
    predicting._ours.clear()  # type: ignore[attr-defined]
    app = open_page("train", network="c9-r-c9-r-g-d10", few="60", batch="64")
    app.session_state["design-rested"] = "c9-r-c9-r-g-d10"
    app.run()
    assert errors(app) == []
    predicting._ours.clear()  # type: ignore[attr-defined]
    assert asked == [{"batch_size": 64, "train_pictures": 60}], "the settings that the time depends on, and no others"
    drawn = sent(app, "designer")[0]
    assert drawn["seconds"] == 1359.0
    said = {tuple(card["path"]): [fault["sentence"] for fault in card["faults"]] for card in drawn["cards"]}
    assert any("An epoch takes about 23 min" in sentence for sentence in said[(2,)])
    assert drawn["batch"] == 60, "no batch is larger than what learns"


def test_only_what_differs_is_listed_the_usual_said_or_not() -> None:
    one = RunSpec("digits", {"data": "digits"}, 0, "a")
    same = RunSpec("digits", {"data": "digits", "network": "usual", "epochs": 15, "optimizer": "adam"}, 0, "b")
    other = RunSpec("digits", {"data": "digits", "label_smoothing": 0.1}, 1, "c")
    assert run_look.differences([one, same]) == {}
    assert run_look.differences([one, same, other]) == {"label smoothing": ["0.0", "0.0", "0.1"],
                                                        "seed": ["0", "0", "1"]}


def test_a_preset_and_its_own_spelling_are_the_same_network() -> None:
    sick = {"data": "digits", "network": "dead-relus", "first_bias": -5.0}
    spelled = {**sick, "network": "c16-r-p2-c32-r-p2-f-d64-r-d10", "first_bias": 0.0}
    one, cured = (RunSpec("digits", request, 0, "a") for request in (sick, spelled))
    assert run_look.differences([one, cured]) == {"first bias": ["-5.0", "0.0"]}
    other = RunSpec("digits", {**sick, "network": "mlp"}, 0, "b")
    assert run_look.differences([one, other]) == {"network": ["dead-relus", "mlp"]}
    gone = RunSpec("digits", {**sick, "data": "/nowhere"}, 0, "c")
    assert list(run_look.differences([one, gone])) == ["data"], "one preset, spelled for other pictures"


@pytest.mark.parametrize(("asked", "leaves_out"), [
    ("usual", True), ("c8-r-f-d10", False), ("[c8-oc0.2]-g-d10", True), ("nonsense", False),
])
def test_only_a_network_with_dropout_is_said_to_leave_units_out(asked: str, leaves_out: bool) -> None:
    assert loss_gap.has_dropout(asked) is leaves_out


def test_what_pytorch_takes_is_measured_while_the_page_goes_on(
        open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, gate = [], threading.Event()

    def by_torch(module: str, question: str, **_: object) -> "subprocess.CompletedProcess[str]":
        asked.append((module, json.loads(question)))
        gate.wait(HOPE_SECONDS)
        return subprocess.CompletedProcess([], 0, "12.5", "")

    monkeypatch.setattr(predicting, "asked_torch", by_torch)
    app = open_page("train", network="c7-r-g-d10", engine=settings.ENGINE_WORDS["torch"])
    app.session_state["design-rested"] = "c7-r-g-d10"
    app.run()
    assert errors(app) == []
    assert sent(app, "designer")[0]["seconds"] is None
    gate.set()
    until(lambda: not predicting._UNDER_WAY)
    app.run()
    assert sent(app, "designer")[0]["seconds"] == 12.5
    ((module, question),) = asked
    assert module == timing.__name__
    assert (question["network"], question["settings"]["engine"]) == ("c7-r-g-d10", "torch")
