"""The Batch norm page: it opens at every batch size, answers by computation, races once, and its code agrees."""

import numpy as np
import pytest

from engine import Tensor
from playground.training.runs import runs
from playground.ui.lessons import batch_norm, batch_norm_network
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
    guess.set_value("mean −1, deviation 2").run()
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
    assert "At rate 0.01 it reads" in app.success[0].value


@pytest.mark.slow
@pytest.mark.parametrize(("padded", "dense"), [(False, 64 * 36 * 64 + 64), (True, 64 * 16 * 64 + 64)])
def test_the_slides_model_is_what_keras_counts(padded: bool, dense: int) -> None:
    model = batch_norm_network.keras_like(np.random.default_rng(0), padded=padded)
    assert sum(p.size for p in model.parameters()) == 640 + 128 + dense + 128 + 65
    y = model(Tensor(np.random.default_rng(1).random((4, 1, 8, 8)).astype(np.float32))).numpy()
    assert y.shape == (4, 1)
    assert ((y > 0) & (y < 1)).all()


@pytest.mark.parametrize("model", [batch_norm_network.SLIDES, batch_norm_network.PADDED])
def test_the_page_shows_the_slides_model_with_and_without_padding(open_page: OpenPage, model: str) -> None:
    app = open_page("batch-norm", model=model)
    assert not app.exception
    table = app.dataframe[3].value
    assert table["layer"].str.contains("MaxPool").any() == (model == batch_norm_network.PADDED)
    assert "8 × 8 pixels become 6 × 6" in texts(app)


@pytest.mark.parametrize("size", batch_norm.SIZES)
def test_units_that_are_never_or_always_on_are_counted(open_page: OpenPage, size: int) -> None:
    app = open_page("batch-norm", batch=str(size))
    z = batch_norm.responses(batch_norm.digits(size, 0))
    hat = (z - z.mean(axis=(0, 2, 3), keepdims=True)) > 0  # the sign is all that counts
    row = app.dataframe[2].value.iloc[1]
    assert row["units never on"] == (~hat).all(axis=0).sum()
    assert row["units always on"] == hat.all(axis=0).sum()
    assert ("not true of **units**" in texts(app)) == (size > 1)


@pytest.mark.parametrize(("never", "channels", "said"), [
    (77, 0, "no channel is dead and none always on"), (200, 2, "2 of 8 channels are dead and 0 always on"),
])
def test_what_is_said_of_channels_follows_from_the_count(never: int, channels: int, said: str) -> None:
    alone = batch_norm_network.Silent(8, 3, 1, 512, 6, 379)
    told = batch_norm_network.told_silent(alone, batch_norm_network.Silent(8, channels, 0, 512, never, 70), 8)
    assert said in told
    assert "without it 3 and 1 of 8 are" in told
    assert f"of 512, {never} are never on" in told


def test_what_is_said_of_the_race_follows_from_what_was_measured() -> None:
    right = {"with, rate 0.001": (340, 355), "without, rate 0.001": (300, 355), "with, rate 0.1": (350, 355)}
    told = batch_norm_network.told(right, [0.001, 0.1], ["without, rate 0.1"])
    assert told.startswith("At rate 0.001 it reads 95.8\u202f% of the digits never seen with batch norm and "
                           "84.5\u202f%")
    assert "more than chance. At rate 0.1 the network without batch norm diverged." in told
    assert "the network with and the one without batch norm diverged" in batch_norm_network.told(
        {}, [0.1], ["with, rate 0.1", "without, rate 0.1"])


def test_the_code_on_the_page_runs_in_all_three_and_agrees(keras_on_torch: None) -> None:
    (said,) = {printed(code) for code in batch_norm_network.CODE.values()}
    assert said == "0.0 1.0 [0.75, 1.15, 1.55]\n148481\n"


def test_the_keras_code_is_the_slides_own() -> None:
    lines = [line.strip() for line in batch_norm_network.model_code("keras").splitlines()]
    assert lines == ["model = keras.Sequential([", "layers.Input((8, 8, 1)),", "layers.Conv2D(64, 3),",
                     *(block := ["layers.BatchNormalization(),", 'layers.Activation("relu"),']), "layers.Flatten(),",
                     "layers.Dense(64),", *block, "layers.Dense(1),", 'layers.Activation("sigmoid"),', "])"]


def test_keras_with_its_own_momentum_and_epsilon_gives_other_numbers(keras_on_torch: None) -> None:
    code = batch_norm_network.CODE["Keras"]
    left = printed(code.replace("momentum=0.9, epsilon=1e-5, ", "").replace("round(4)", "round(9)"))
    assert left.splitlines()[0] != printed(code.replace("round(4)", "round(9)")).splitlines()[0]
