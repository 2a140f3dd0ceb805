"""The loss as a setting: chosen in the designer, explained, trained with, and named wherever the run is shown."""

import json
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from playground.deploy import package, registry
from playground.deploy.registry import Entry
from playground.network.spelling import network_of
from playground.training.runs import runs
from playground.training.runs.events import Epoch, Started
from playground.training.runs.runs import RunSpec, RunView
from playground.training.scratch.losses import HINGE, LOSSES, SQUARED_ERROR, WORDS, chance, learnt_from
from playground.ui.network import designer, settings, whole
from playground.ui.studio import loss_gap
from playground.view.gradients import Target, walk_back
from tests.pages.on_a_page import OpenPage, errors, put_model, texts
from tests.waiting import ended

SMALL = "c4n-b-r-p2-f-d10"


def axes(app: AppTest) -> list[str]:
    """The titles of the upright axes of the page's charts."""
    found = [json.loads(chart.proto.spec or chart.proto.figure.spec)["layout"] for chart in app.get("plotly_chart")]
    return [one.get("yaxis", {}).get("title", {}).get("text", "") for one in found]


def started(app: AppTest, loss: str) -> str:
    """The id of the run that the designer begins with this loss, once it has ended."""
    before = set(runs.run_ids())
    app.selectbox(key="loss").set_value(loss).run()
    assert errors(app) == []
    app.button(key="start").click().run()
    assert errors(app) == []
    (run_id,) = set(runs.run_ids()) - before
    view = ended(run_id)
    assert view.state == "completed", view.failed
    return run_id


@pytest.mark.slow
def test_a_loss_is_chosen_trained_with_and_named_beside_another(open_page: OpenPage) -> None:
    app = open_page("train", network=SMALL, epochs="2", few="60")
    first = started(app, SQUARED_ERROR)
    assert runs.read_spec(runs.run_dir(first)).request["loss"] == SQUARED_ERROR
    second = started(open_page("train", network=SMALL, epochs="2", few="60"), HINGE)
    app = open_page("train", run=first)
    assert errors(app) == []
    assert "loss (squared error)" in axes(app)
    assert not [title for title in axes(app) if "nats" in title]
    app = open_page("train", run=first, beside=second)
    assert errors(app) == []
    assert "not measured in the same loss" in texts(app)
    assert {"loss, each run's own", "accuracy (%)"} <= set(axes(app))
    table = app.table[0].value
    assert list(table["setting"]) == ["loss"]
    assert list(table.iloc[0])[1:] == [SQUARED_ERROR, HINGE]
    exported = runs.view(first).exported
    assert exported is not None
    entry = registry.get(exported.name)
    assert isinstance(entry, Entry)
    assert "- loss: squared-error" in package.model_card(entry)
    source, _ = whole.of_entry(entry).source("")
    x = np.zeros((1, 1, 8, 8), np.float32)
    assert source.loss == SQUARED_ERROR
    assert walk_back(source.run(x), Target("loss", 3)).value < 2 / 10, "the mean of squares of ten classes"


def test_each_loss_is_explained_and_the_hinge_takes_no_smoothing(open_page: OpenPage) -> None:
    app = open_page("train", network=SMALL, epochs="1", smoothing="0.1")
    for loss in LOSSES:
        app.selectbox(key="loss").set_value(loss).run()
        assert errors(app) == []
        assert settings.LOSS_ABOUT[loss] in texts(app)
        assert app.number_input(key="smoothing").disabled is (loss == HINGE)
    app.button(key="start").click().run()
    assert errors(app) == []
    (run_id,) = runs.run_ids()
    request = runs.read_spec(runs.run_dir(run_id)).request
    assert (request["loss"], "label_smoothing" in request) == (HINGE, False)


def test_an_address_names_the_loss(open_page: OpenPage) -> None:
    for loss in LOSSES:
        app = open_page("train", network=SMALL, loss=WORDS[loss])
        assert errors(app) == []
        assert app.selectbox(key="loss").value == loss


def test_the_lesson_leads_to_a_training_with_the_squared_error(open_page: OpenPage) -> None:
    app = open_page("loss")
    assert errors(app) == []
    links = [one.proto for one in app.get("page_link") if "squared error" in one.proto.label]
    assert [(one.page, one.query_string) for one in links] == [("train", "loss=squared+error")]
    assert open_page("train", loss="squared error").selectbox(key="loss").value == SQUARED_ERROR


def test_an_untrained_network_is_looked_at_in_the_loss_that_is_chosen(open_page: OpenPage) -> None:
    app = open_page("train", network=SMALL, loss="squared error", untrained="true")
    assert errors(app) == []
    assert any("One batch forward and back" in said.value for said in app.success)


def test_a_softmax_before_a_margin_is_not_said_to_be_taken_twice() -> None:
    network = network_of("f-d10-sm")
    for margin, says in ((False, "once more"), (True, "no margin of 1 can part")):
        told = designer.view(network, (1, 8, 8), 10, 32, margin=margin)
        assert any(says in fault["sentence"] for card in told["cards"] for fault in card["faults"])


@pytest.mark.parametrize("request_of", [{}, {"loss": SQUARED_ERROR}, {"loss": HINGE}, {"loss": ["nonsense"]}], ids=str)
def test_nothing_is_learnt_where_the_loss_is_that_of_a_guess(request_of: dict[str, Any]) -> None:
    spec = RunSpec("digits", request_of, 0, "a")
    guess = chance(learnt_from(spec.request), 10)
    began = Started("digits", 1, 1, 10, tuple("0123456789"), {}, "cpu", 0.0)
    for times, wanted in ((1.0, True), (0.5, False)):
        told = [Epoch(1, guess, 0.1, times * guess, 0.1, 1.0, 0.0)]
        assert loss_gap.learnt_nothing(RunView("a", spec, "running", started=began, epochs=told)) is wanted


@pytest.mark.usefixtures("playground_home")
def test_a_card_that_says_no_loss_or_none_that_is_known_is_of_the_cross_entropy() -> None:
    for k, request in enumerate(({}, {"loss": "mse"}, {"loss": SQUARED_ERROR})):
        entry = put_model(f"model-{k}", training={"request": request})
        assert whole.learnt_from(entry) == (SQUARED_ERROR if k == 2 else "cross-entropy")


@pytest.mark.usefixtures("playground_home")
def test_a_model_card_names_the_loss_and_what_a_hinge_leaves_open() -> None:
    for loss in (None, *LOSSES):
        request = {} if loss is None else {"loss": loss}
        text = package.model_card(put_model(f"by-{loss}".lower(), training={"request": request}, task="digits"))
        assert text.count(f"- loss: {loss or LOSSES[0]}\n") == 1
        assert ("no probabilities" in text) is (loss == HINGE)
