"""The MLP page: it opens, counts as the engine does, trains the four networks once, and its code runs."""

import pytest

from playground.numbers import count
from playground.training.runs import runs
from playground.ui.lessons import mlp
from tests.pages.on_a_page import OpenPage, printed, texts
from tests.waiting import ended


def test_the_page_opens_and_counts_what_the_slide_says(open_page: OpenPage) -> None:
    app = open_page("mlp")
    assert not app.exception
    assert not app.error
    found = {metric.label: metric.value for metric in app.metric}
    assert found["Dense layer"] == count(224 * 224 * 3 * 64 + 64)
    assert found["Convolution 3 × 3"] == count(1792)
    assert f"in the row of {count(224 * 224 * 3)} numbers they are 672 apart" in texts(app)


@pytest.mark.parametrize(("side", "units"), [(8, 8), (1024, 128)])
def test_the_smallest_and_the_largest_picture_are_counted(side: int, units: int, open_page: OpenPage) -> None:
    app = open_page("mlp", side=str(side), units=str(units))
    assert not app.exception
    assert {m.label: m.value for m in app.metric}["Dense layer"] == count(side * side * 3 * units + units)


@pytest.mark.slow
def test_the_four_networks_are_trained_once_and_answer_the_question(open_page: OpenPage) -> None:
    app = open_page("mlp", epochs="6", seed="3")
    app.radio(key="guess").set_value(mlp.GUESSES[1])
    app.button(key="go-shuffled-pixels").click().run()
    assert not app.exception
    (run_id,) = runs.run_ids()
    ended(run_id)
    app.run()
    assert not app.exception
    assert f"of the {count(1497)} digits it has never seen" in app.success[0].value
    assert any("You predicted it" in info.value for info in app.info)
    again = open_page("mlp", epochs="6", seed="3")
    assert again.success, "a second reader gets the result at once"
    assert len(runs.run_ids()) == 1


KEPT, MOVED = "pixels as they are", "pixels shuffled"


@pytest.mark.parametrize(("right", "outcome", "said"), [
    ((950, 950, 950, 950), 0, "Here both differences can be chance"),
    ((940, 938, 960, 900), 1, "a small window is worth something only where neighbours belong together"),
    ((940, 900, 960, 958), 2, "not what one expects of a dense layer"),
    ((940, 900, 960, 900), 3, "That the CNN suffers"),
    ((900, 960, 960, 900), 1, "a small window is worth something"),
], ids=["none", "the CNN", "the MLP", "both", "the MLP better"])
def test_what_is_said_follows_from_what_was_measured(right: tuple[int, ...], outcome: int, said: str) -> None:
    names = [f"{kind}, {what}" for kind in ("MLP", "CNN") for what in (KEPT, MOVED)]
    measured = dict(zip(names, [(k, 1000) for k in right], strict=True))
    assert mlp.outcome(measured) == outcome
    assert said in mlp.told(measured)
    assert mlp.told(measured).count("95\u202f% interval") == 2


@pytest.mark.parametrize("setting", [(16, 3, 8), (224, 3, 64)])
def test_the_code_on_the_page_runs_in_all_three_and_agrees(setting: tuple[int, int, int], keras_on_torch: None) -> None:
    side, channels, units = setting
    asked = {"side": side, "channels": channels, "units": units, "pixels": side * side * channels}
    said = {printed(code.format(**asked)) for code in mlp.CODE.values()}
    assert said == {f"[{mlp.dense_parameters(asked['pixels'], units)}, "
                    f"{mlp.convolution_parameters(channels, units)}]\n"}
