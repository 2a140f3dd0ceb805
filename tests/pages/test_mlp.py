"""The MLP page: it opens, counts as the engine does, trains the four networks once, and its code runs."""

import time

import pytest

from playground.training import runs
from playground.ui import mlp
from tests.pages.on_a_page import OpenPage, printed


def test_the_page_opens_and_counts_what_the_slide_says(open_page: OpenPage) -> None:
    app = open_page("mlp")
    assert not app.exception
    assert not app.error
    found = {metric.label: metric.value for metric in app.metric}
    assert found["Dense layer"] == f"{224 * 224 * 3 * 64 + 64:,}"
    assert found["Convolution 3 × 3"] == "1\u202f792"


@pytest.mark.parametrize(("side", "units"), [(8, 8), (1024, 128)])
def test_the_smallest_and_the_largest_picture_are_counted(side: int, units: int, open_page: OpenPage) -> None:
    app = open_page("mlp", side=str(side), units=str(units))
    assert not app.exception
    assert {m.label: m.value for m in app.metric}["Dense layer"] == f"{side * side * 3 * units + units:,}"


def test_the_four_networks_are_trained_once_and_answer_the_question(open_page: OpenPage) -> None:
    app = open_page("mlp", epochs="6", seed="3")
    app.radio(key="guess").set_value(mlp.GUESSES[1])
    app.button(key="go-shuffled-pixels").click().run()
    assert not app.exception
    (run_id,) = runs.run_ids()
    limit = time.monotonic() + 60
    while not runs.view(run_id).ended:
        assert time.monotonic() < limit, "the experiment did not end"
        time.sleep(0.1)
    app.run()
    assert not app.exception
    assert "digits it has never seen" in app.success[0].value
    assert any("You predicted it" in info.value for info in app.info)
    again = open_page("mlp", epochs="6", seed="3")
    assert again.success, "a second reader gets the result at once"
    assert len(runs.run_ids()) == 1


def test_the_code_on_the_page_runs_in_the_engine_and_in_torch_and_agrees() -> None:
    setting = {"side": 16, "channels": 3, "units": 8, "pixels": 768}
    ours, torchs = (printed(mlp.CODE[name].format(**setting)) for name in ("Our engine", "PyTorch"))
    compile(mlp.CODE["Keras"].format(**setting), "keras", "exec")
    assert ours == torchs
    assert ours.strip() == f"[{mlp.dense_parameters(768, 8)}, {mlp.convolution_parameters(3, 8)}]"
