"""The Autograd page: every example is drawn, bad formulas are a sentence, and three gradients agree."""

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from playground.ui.lessons import autograd
from tests.pages.on_a_page import OpenPage, printed, sent, texts


def played(app: AppTest) -> dict[str, Any]:
    """What the player on the page was given."""
    (found,) = sent(app, "graph_player")
    return found


@pytest.mark.parametrize("name", autograd.PRESETS)
def test_every_example_is_drawn_with_the_gradients_its_code_prints(open_page: OpenPage, name: str) -> None:
    formula, values = autograd.PRESETS[name]
    app = open_page("autograd", formula=formula)
    assert not app.exception
    assert not app.error
    told = played(app)
    totals = {sent["node"]: sent["total"] for step in told["steps"] for sent in step["sent"]}
    codes = autograd.code(autograd.Setting(formula, values))
    ours = json.loads(printed(codes["Our engine"]))
    names = [node["name"] for node in told["nodes"]]
    assert [totals[names.index(v)] for v in values] == pytest.approx(ours, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize(("formula", "x", "sentence"), [
    ("sqrt(x)", "0", "sqrt of 0 has no finite derivative"), ("x**0.5", "0", "The power of 0, 0.5 has no finite"),
    ("sqrt(x*x)", "0", "sqrt of 0 has no finite derivative"), ("1/(x**50)", "0.0001", "has no finite derivative"),
])
def test_a_derivative_that_is_not_finite_is_one_sentence(
    open_page: OpenPage, formula: str, x: str, sentence: str
) -> None:
    app = open_page("autograd", formula=formula, **{"v-x": x})
    assert not app.exception
    (told,) = app.error
    assert sentence in told.value.replace("\\", "")


def test_a_nudge_out_of_the_formulas_reach_and_a_corner_are_explained(open_page: OpenPage) -> None:
    app = open_page("autograd", formula="log(x)", **{"v-x": "0.05", "power": "-1"})
    assert [metric.value for metric in app.metric] == ["10.98612289", "none", "20"]
    assert "choose a smaller one" in texts(app)
    app = open_page("autograd", formula="relu(x)", **{"v-x": "0"})
    assert [metric.value for metric in app.metric] == ["1", "0.5", "0"]
    assert "has a corner" in texts(app)


@pytest.mark.parametrize("formula", ["x", "x + 1", "a+b+c+d+e+f+g+h"])
def test_the_smallest_and_the_widest_formula_are_drawn(open_page: OpenPage, formula: str) -> None:
    app = open_page("autograd", formula=formula)
    assert not app.exception
    assert not app.error


def test_an_own_formula_is_taken_and_a_bad_one_says_why_while_the_last_stays(open_page: OpenPage) -> None:
    app = open_page("autograd", formula="q*q")
    app.text_input(key="formula").set_value("q.__class__").run()
    assert not app.exception
    assert "is not part of a formula" in app.error[0].value
    assert [node["name"] for node in played(app)["nodes"]] == ["q", "v1"]
    app.text_input(key="formula").set_value("log(q - 1)").run()
    assert "no finite result" in app.error[0].value, "q is 1"


def test_choosing_an_example_sets_formula_and_values(open_page: OpenPage) -> None:
    app = open_page("autograd")
    app.selectbox(key="preset").set_value("Used twice").run()
    assert app.text_input(key="formula").value == "x*x + 3*x"
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value("it rises").run()
    assert "∂/∂x = 7" in app.success[0].value


@pytest.mark.slow
def test_pytorch_answers_when_asked(open_page: OpenPage) -> None:
    app = open_page("autograd")
    app.button(key="torch").click().run()
    assert not app.exception
    shown = app.dataframe[0].value
    assert list(shown["our engine"]) == list(shown["PyTorch"])
    assert all(one == "0" or "10⁻¹" in one for one in shown["difference"])
    assert not shown.map(lambda text: "-" in text).to_numpy().any()
    assert "Large nudges miss" in texts(app)
