"""The Normalization page: it opens, proves on the reader's numbers, races, and its code runs."""


import numpy as np
import pytest

from playground.errors import PlaygroundError
from playground.ui import normalization
from tests.pages.on_a_page import OpenPage, printed, texts


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


def test_the_code_on_the_page_runs_in_the_engine_and_in_torch_and_agrees() -> None:
    ours, torchs = ([float(word) for word in printed(code).split()]
                    for code in (normalization.OURS, normalization.PYTORCH))
    np.testing.assert_allclose(ours, [0.0, 1.0], atol=1e-12)
    np.testing.assert_allclose(ours, torchs, atol=1e-12)


def test_a_text_with_other_separators_is_read_too() -> None:
    assert normalization.parsed(" 1;2\n3 ").tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(PlaygroundError):
        normalization.parsed("")
