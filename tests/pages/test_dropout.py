"""The Dropout page: it opens, steps both ways, answers by computation, trains the three once, and its code runs."""

import numpy as np
import pytest

from playground.training import runs
from playground.ui import dropout
from tests.pages.on_a_page import OpenPage, printed, sent, texts
from tests.waiting import ended


@pytest.mark.parametrize("query", [
    {}, {"p": "0.1", "scheme": "inverted"}, {"p": "1.0", "draws": "5000"}, {"pass": "Backward", "scheme": "inverted"},
], ids=["default", "few present", "all present", "backward"])
def test_it_opens_and_the_player_ends_with_value_times_factor(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("dropout", **query)
    assert not app.exception
    assert not app.error
    (told,) = sent(app, "stepper")
    into, _, out = (grid["name"] for grid in told["grids"])
    assert (into, out) == (("dy", "dh") if "pass" in query else ("h", "y"))
    values = np.array(told["grids"][0]["values"])[told["marks"][into]]
    np.testing.assert_allclose(values * told["writes"]["m"], told["writes"][out])
    factor = 1 / float(query.get("p", "0.5")) if query.get("scheme") == "inverted" else 1.0
    assert {round(m, 9) for m in told["writes"]["m"]} <= {0.0, round(factor, 9)}


@pytest.mark.parametrize("scheme", ["classic", "inverted"])
def test_the_question_is_answered_by_the_scheme(open_page: OpenPage, scheme: str) -> None:
    app = open_page("dropout", scheme=scheme, p="0.5")
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    h = float(dropout.layer(0)[0][0].max())
    right = f"{h * 0.5 if scheme == 'classic' else h:.2f}".rstrip("0").rstrip(".")
    guess.set_value(right).run()
    assert app.success[0].value.startswith("Yes")


@pytest.mark.slow
def test_the_three_networks_are_trained_once_and_show_spread_and_ensemble(open_page: OpenPage) -> None:
    app = open_page("dropout", epochs="20", samples="100", noise="30")
    app.button(key="go-overfitting").click().run()
    assert not app.exception
    (run_id,) = runs.run_ids()
    ended(run_id)
    app.run()
    assert not app.exception
    assert "The best here is" in app.success[0].value
    said = texts(app)
    assert "Length of all weights" in said
    assert "One thinned network reads" in said
    open_page("dropout", epochs="20", samples="100", noise="30")
    assert len(runs.run_ids()) == 1


def test_the_code_on_the_page_runs_in_the_engine_and_in_torch_and_agrees() -> None:
    ours, torchs = (printed(dropout.CODE[name].format(out=0.2)) for name in ("Our engine", "PyTorch"))
    compile(dropout.CODE["Keras"].format(out=0.2), "keras", "exec")
    assert ours == torchs
    assert ours.strip() == "[0.0, 3.75] 3.0"
