"""The Batch norm page: it opens at every batch size, answers by computation, races once, and its code agrees."""

import numpy as np
import pytest

from engine import Tensor
from playground.training import runs
from playground.ui import batch_norm
from tests.pages.on_a_page import OpenPage, printed, texts
from tests.waiting import ended


@pytest.mark.parametrize("query", [
    {}, {"batch": "1"}, {"batch": "2", "pass": "Backward", "gamma": "-3.0"},
    {"batch": "64", "batches": "100", "momentum": "1.0", "gamma": "0.0"},
], ids=["default", "one picture", "backward", "largest"])
def test_it_opens_and_the_normalized_channel_has_beta_and_gamma(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("batch-norm", channel="3", beta="1.5", **query)
    assert not app.exception
    assert not app.error
    row = app.dataframe[0].value.iloc[3]
    assert row["mean after"] == pytest.approx(1.5, abs=0.001)
    assert row["variance after"] == pytest.approx(float(query.get("gamma", 1)) ** 2, abs=0.01)
    assert ("cannot train: choose 2 or more" in texts(app)) == (query.get("batch") == "1")


def test_a_digit_answers_differently_in_other_company_but_not_in_eval_mode(open_page: OpenPage) -> None:
    app = open_page("batch-norm")
    outputs = app.dataframe[1].value["the digit's output at its middle"]
    assert len(set(outputs[:3])) == 3
    assert list(app.dataframe[1].value["mode"]) == ["train()"] * 3 + ["eval()"]


def test_the_question_is_answered_by_the_engine(open_page: OpenPage) -> None:
    app = open_page("batch-norm", gamma="2.0", beta="-1.0")
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value("mean -1, deviation 2").run()
    assert app.success[0].value.startswith("Yes")


@pytest.mark.slow
def test_the_race_is_run_once_and_batch_norm_wins_it(open_page: OpenPage) -> None:
    app = open_page("batch-norm", epochs="4")
    app.button(key="go-batch-norm-race").click().run()
    assert not app.exception
    (run_id,) = runs.run_ids()
    ended(run_id)
    app.run()
    assert not app.exception
    last = {m.contestant: m.test_accuracy for m in runs.view(run_id).measured}
    assert last["with, rate 0.01"] > last["without, rate 0.01"] + 0.1
    assert "On digits never seen" in app.success[0].value


@pytest.mark.slow
def test_the_slides_model_is_what_keras_counts() -> None:
    model = batch_norm.keras_like(np.random.default_rng(0))
    assert sum(p.size for p in model.parameters()) == 640 + 128 + 65600 + 128 + 65
    y = model(Tensor(np.random.default_rng(1).random((4, 1, 8, 8)).astype(np.float32))).numpy()
    assert y.shape == (4, 1)
    assert ((y > 0) & (y < 1)).all()


def test_the_code_on_the_page_runs_in_the_engine_and_in_torch_and_agrees() -> None:
    assert printed(batch_norm.CODE["Our engine"]) == printed(batch_norm.CODE["PyTorch"])
    compile(batch_norm.CODE["Keras"], "keras", "exec")
