"""The Dropout page: it opens, steps both ways, answers by computation, trains the three once, and its code runs."""

import numpy as np
import pytest

from playground.numbers import number
from playground.training.runs import runs
from playground.training.scratch import experiments
from playground.ui.lessons import dropout, dropout_overfitting
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
    right = number(round(h * 0.5 if scheme == "classic" else h, 2))
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
    assert "On 355 digits never seen: neither" in app.success[0].value
    said = texts(app)
    assert "Length of all weights" in said
    assert "One thinned network reads" in said
    assert "No single feature" in said
    open_page("dropout", epochs="20", samples="100", noise="30")
    assert len(runs.run_ids()) == 1


def test_networks_of_all_widths_are_trained_and_told_of(open_page: OpenPage) -> None:
    app = open_page("dropout", epochs="10", samples="100", noise="30")
    app.button(key="go-width").click().run()
    assert not app.exception
    (run_id,) = runs.run_ids()
    ended(run_id)
    app.run()
    assert not app.exception
    assert "Without dropout 4 units learn" in app.success[0].value
    app = open_page("dropout", epochs="20", samples="100", noise="30")
    assert "The last run like it took" in texts(app), "other settings: how long it takes is known by now"


def names(*right: int) -> dict[str, tuple[int, int]]:
    return dict(zip(("neither", "dropout", "L2"), [(k, 355) for k in right], strict=True))


@pytest.mark.parametrize(("right", "said"), [
    ((240, 290, 285), "**dropout** is better than neither by more than chance; between it and L2 it can be chance."),
    ((340, 342, 341), "No difference is more than chance."),
    ((300, 200, 240), "**neither** is better than L2 and dropout by more than chance."),
])
def test_the_best_is_named_only_where_it_is_no_chance(right: tuple[int, ...], said: str) -> None:
    assert said in dropout_overfitting.told(names(*right))


@pytest.mark.parametrize(("norms", "used", "said"), [
    ((17.1, 14.8, 6.2), (0.3, 0.37), ("Dropout shrinks them by 13\u202f%, L2 by 64\u202f%", "L2 far more",
                                      "it leans on more of them")),
    ((17.0, 17.1, 6.2), (0.3, 0.3), ("Dropout leaves their length as it is, L2 shrinks them by 64", "about as many")),
    ((10.0, 14.0, 9.9), (0.3, 0.2), ("Dropout does not shrink them here: they are 40\u202f% longer", "on fewer of them",
                                     "L2 hardly changes it")),
])
def test_what_is_said_of_weights_follows_from_their_lengths(
    norms: tuple[float, ...], used: tuple[float, float], said: tuple[str, ...]
) -> None:
    weights = {name: {"norm": norm, "inputs": inputs} for name, norm, inputs in
               zip(("neither", "dropout", "L2"), norms, (*used, 0.3), strict=True)}
    told = dropout_overfitting.lengths(weights)
    for part in said:
        assert part in told


@pytest.mark.parametrize(("half", "said"), [
    ((0.456, 0.706), "has learnt to do with what is there"), ((0.7, 0.5), "has not made the network more independent"),
    ((0.7, 0.795), "that is the same"),
])
def test_what_is_said_of_missing_units_follows_from_what_is_left(half: tuple[float, float], said: str) -> None:
    relied = {name: {"whole": whole, "worst": whole - 0.03, "half": left} for name, whole, left in
              (("neither", 0.7, half[0]), ("dropout", 0.79, half[1]), ("L2", 0.76, 0.6))}
    if said == "that is the same":
        relied["dropout"]["whole"] = 0.795
    assert said in dropout_overfitting.missed(relied)


@pytest.mark.parametrize(("plain", "dropped", "said"), [
    ((160, 276, 248, 253), (64, 254, 291, 260), (
        "16 units are best", "The power went into learning labels by heart", "Dropout is best with 64 units",
        "does harm")),
    ((160, 250, 300, 320), (150, 250, 300, 330), ("the widest is the best, too", "Dropout is best with 256 units",
                                                  "it can be chance")),
])
def test_what_is_said_of_width_follows_from_what_was_measured(
    plain: tuple[int, ...], dropped: tuple[int, ...], said: tuple[str, ...]
) -> None:
    widths = experiments.WIDTHS
    right = {experiments.width_name(units, dropout): (k, 355) for dropout, row in ((False, plain), (True, dropped))
             for units, k in zip(widths, row, strict=True)}
    train = {name: k / 400 for name, (k, _) in right.items()}
    told = dropout_overfitting.told_width(train, right, widths)
    for part in (*said, "more units, more power"):
        assert part in told
    assert ("does harm" in told) == ("does harm" in said)


@pytest.mark.parametrize("out", [0.0, 0.2, 0.5, 0.9])
def test_the_code_on_the_page_runs_in_all_three_and_agrees(out: float, keras_on_torch: None) -> None:
    (said,) = {printed(code.format(out=out)) for code in dropout.CODE.values()}
    assert said.strip() == f"[{'0.0, ' * (out > 0)}{round(3 / (1 - out), 4)}] 3.0"
