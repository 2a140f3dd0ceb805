"""The Normalization page: it opens, proves on the reader's numbers, races, and its code runs."""


import numpy as np
import pytest

from playground.datasets import samples
from playground.errors import PlaygroundError
from playground.numbers import counted
from playground.steps.descent import descent_steps
from playground.ui.lessons import normalization, normalization_inputs
from tests.pages.on_a_page import OpenPage, codes, printed, texts


def test_the_page_opens_with_numbers_whose_proof_holds(open_page: OpenPage) -> None:
    app = open_page("normalization")
    assert not app.exception
    assert not app.error
    found = {metric.label: metric.value for metric in app.metric}
    assert found["mean of $z$"] == "0"
    assert found["variance of $z$"] == "1"
    assert texts(app).count("`1`") >= 5, "five lines of the second proof come to 1"


def test_the_address_restores_the_readers_numbers(open_page: OpenPage) -> None:
    app = open_page("normalization", numbers="2, 4, 9")
    assert {m.label: m.value for m in app.metric}["mean $\\mu$"] == "5"


@pytest.mark.parametrize(("given", "said"), [("7, 7", "standard deviation is 0"), ("1, two", "not a number"),
                                             ("5", "between 2 and 200"), ("1, 1e30", "too large")])
def test_numbers_that_cannot_be_normalized_get_one_sentence(given: str, said: str, open_page: OpenPage) -> None:
    app = open_page("normalization")
    app.text_input(key="numbers").set_value(given).run()
    assert not app.exception
    assert said in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize(("steps", "pace"), [(1, 0.1), (200, 1.3)])
def test_the_smallest_and_the_largest_race_are_drawn(steps: int, pace: float, open_page: OpenPage) -> None:
    app = open_page("normalization")
    app.slider(key="steps").set_value(steps)
    app.slider(key="pace").set_value(pace).run()
    assert not app.exception
    assert not app.error


def test_the_question_is_answered_by_the_condition_number(open_page: OpenPage) -> None:
    app = open_page("normalization")
    guess = app.radio(key="guess")
    assert len(guess.options) >= 3
    guess.set_value(5).run()
    assert "condition number" in app.info[0].value


@pytest.mark.parametrize("numbers", [[2.0, 4.0, 9.0], [52.0, 61.0, 200.0, 190.0], [1e9, -1e9], [0.001, 0.002, 1.0]])
def test_the_code_on_the_page_runs_in_all_three_and_agrees(numbers: list[float], keras_on_torch: None) -> None:
    written = ", ".join(map(repr, numbers))
    (said,) = {printed(code.replace("NUMBERS", written)) for code in normalization.CODE.values()}
    assert said.endswith("] 0.0 1.0\n")


def test_the_code_normalizes_the_readers_numbers(open_page: OpenPage) -> None:
    app = open_page("normalization", numbers="2, 4, 9")
    assert all("[2.0, 4.0, 9.0]" in code for code in codes(app))


@pytest.mark.parametrize("apart", [1, 8, normalization_inputs.FARTHEST])
@pytest.mark.parametrize("name", samples.photo_names())
def test_two_normalized_inputs_make_a_bowl_as_round_as_they_are_unlike(name: str, apart: int) -> None:
    gray = samples.photo(name) @ np.array([0.299, 0.587, 0.114])
    found = normalization_inputs.pair(gray, apart)
    rho = abs(found.correlation)
    assert found.bowl.condition == pytest.approx((1 + rho) / (1 - rho))
    assert found.uncorrelated.condition == pytest.approx(1.0)
    if apart == 1:
        assert found.bowl.condition > 20, "neighbouring pixels are much alike"


@pytest.mark.parametrize(("correlation", "said"), [
    (0.98, "say much the same"), (-0.95, "say much the same"), (0.5, "have something in common"),
    (0.05, "next to nothing in common"),
])
def test_what_is_said_of_two_inputs_follows_from_their_correlation(correlation: float, said: str) -> None:
    rho = abs(correlation)
    condition = (1 + rho) / (1 - rho)
    told = normalization_inputs.roundness(correlation, condition)
    assert said in told
    assert counted(normalization_inputs.steps_to_a_hundredth(condition), "step") in told


def test_as_many_steps_as_are_said_do_come_a_hundred_times_closer() -> None:
    gray = samples.photo("cat") @ np.array([0.299, 0.587, 0.114])
    bowl = normalization_inputs.pair(gray, 1).bowl
    worst = np.linalg.eigh(bowl.design.T @ bowl.design)[1][:, 0]  # along the floor of the valley
    steps = normalization_inputs.steps_to_a_hundredth(bowl.condition)
    start = bowl.lowest + worst
    away = [float(np.linalg.norm(np.array(step.parameters) - bowl.lowest))
            for step in descent_steps(bowl, (float(start[0]), float(start[1])), bowl.best_learning_rate, steps)]
    assert away[-1] <= 0.01 < away[-2]


def test_test_pictures_are_normalized_with_the_numbers_of_the_training_set() -> None:
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (n, 4, 4)) for n in (50, 20))
    first, second, dark, own = normalization_inputs.reused(train, test)
    assert (first["mean"], first["variance"]) == (0, 1) == (own["mean"], own["variance"])
    assert second["mean"] == pytest.approx((test.mean() - train.mean()) / train.std(), abs=5e-4)
    assert second["variance"] == pytest.approx(test.var() / train.var(), abs=5e-4)
    assert dark["variance"] == pytest.approx(test.var() / 4 / train.var(), abs=5e-4)


@pytest.mark.parametrize("apart", [1, 64])
def test_the_page_says_whose_numbers_and_how_round(open_page: OpenPage, apart: int) -> None:
    app = open_page("normalization", apart=str(apart))
    assert not app.exception
    assert not app.error
    said = texts(app)
    assert "once, from the training set" in said
    assert ("say much the same" in said) == (apart == 1)


def test_a_text_with_other_separators_is_read_too() -> None:
    assert normalization.parsed(" 1;2\n3 ").tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(PlaygroundError):
        normalization.parsed("")
    with pytest.raises(PlaygroundError, match=r"^1 number cannot be used"):
        normalization.parsed("5")
