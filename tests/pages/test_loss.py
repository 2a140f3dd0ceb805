"""The page on the loss: every example opens, its player ends at torch's loss and gradient, questions are computed."""

import numpy as np
import pytest
import torch

from playground.ui.lessons import loss, loss_forms
from playground.ui.lessons.loss import PRESETS, RIGHT, WRONG
from tests.pages.on_a_page import OpenPage, errors, sent, texts


def address(scores: tuple[float, ...], label: int) -> dict[str, str]:
    """The address of a page with these scores."""
    return {"classes": str(len(scores)), "label": str(label), **{f"z{k}": str(z) for k, z in enumerate(scores)}}


def asked_torch(
    scores: tuple[float, ...], label: int, smoothing: float, temperature: float
) -> tuple[float, list[float]]:
    z = torch.tensor([scores], dtype=torch.float64, requires_grad=True)
    found = torch.nn.functional.cross_entropy(z / temperature, torch.tensor([label]), label_smoothing=smoothing)
    found.backward()
    assert z.grad is not None
    return found.item(), z.grad[0].tolist()


@pytest.mark.parametrize(("name", "smoothing", "temperature"), [
    ("Sure and wrong", 0.0, 1.0), ("Undecided", 0.1, 2.0), (WRONG, 0.0, 1.0), (RIGHT, 0.3, 0.5),
])
def test_the_player_ends_at_torchs_loss_and_back_at_its_gradient(
    open_page: OpenPage, name: str, smoothing: float, temperature: float
) -> None:
    scores, label = loss.presets()[name]
    wanted, gradient = asked_torch(scores, label, smoothing, temperature)
    query = {**address(scores, label), "smoothing": str(smoothing), "temperature": str(temperature)}
    app = open_page("loss", **query)
    assert errors(app) == []
    assert app.selectbox(key="preset").value == name
    (told,) = sent(app, "stepper")
    assert told["writes"]["L"][-1] == pytest.approx(wanted, abs=1e-9)
    app.segmented_control(key="pass").set_value("Backward").run()
    (told,) = sent(app, "stepper")
    last = told["writes"]["dz" if temperature != 1 else "dd"][-len(scores):]
    np.testing.assert_allclose(last, gradient, rtol=1e-5, atol=1e-9)


def test_what_a_round_has_written_stays_while_later_rounds_read_it(open_page: OpenPage) -> None:
    (told,) = sent(open_page("loss", **address((2.0, 1.0, 0.0), 0)), "stepper")
    cells: dict[str, list[set[float]]] = {}
    for name, values in told["writes"].items():
        kept = cells.setdefault(name, [set(), set(), set()])
        for at, value in zip(told["marks"][name], values, strict=True):
            if at >= 0 and name not in ("S", "L"):
                kept[at].add(round(value, 9))
    assert all(len(values) == 1 for name, kept in cells.items() if name not in ("S", "L") for values in kept)


def test_an_example_sets_scores_and_label(open_page: OpenPage) -> None:
    app = open_page("loss")
    app.selectbox(key="preset").set_value("Five classes").run()
    assert errors(app) == []
    assert [app.number_input(key=f"z{k}").value for k in range(5)] == list(PRESETS["Five classes"][0])
    app.number_input(key="z0").set_value(3.0).run()
    assert app.selectbox(key="preset").value is None, "these are the reader's own scores"


def test_fewer_classes_than_the_label_says_begin_at_the_first(open_page: OpenPage) -> None:
    app = open_page("loss", **address((1.0, 2.0, 3.0, 4.0), 3))
    app.slider(key="classes").set_value(2).run()
    assert errors(app) == []
    assert app.segmented_control(key="label").value == 0


@pytest.mark.parametrize(("scores", "label", "said"), [
    ((6.0, 1.0, -2.0), 2, "it falls by 0.1"), ((9.0, 0.0), 0, "it stays"), ((0.0, 0.0), 0, "it falls by 0.049"),
])
def test_the_question_is_answered_by_the_loss_itself(
    open_page: OpenPage, scores: tuple[float, ...], label: int, said: str
) -> None:
    app = open_page("loss", **address(scores, label))
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value(next(choice for choice in guess.options if choice.startswith(said))).run()
    assert app.success[0].value.startswith("Yes")


def test_two_scores_and_one_give_one_loss(open_page: OpenPage) -> None:
    app = open_page("loss", a="3.0", b="0.5", animal="dog")
    table = next(frame.value for frame in app.dataframe if "written as" in frame.value)
    assert table["loss"].nunique() == table["p of cat"].nunique() == 1
    expected = torch.nn.functional.cross_entropy(torch.tensor([[3.0, 0.5]], dtype=torch.float64), torch.tensor([1]))
    assert float(table["loss"][0]) == pytest.approx(expected.item(), abs=1e-5)


def test_without_the_shift_float32_has_no_answer_and_the_page_says_so(open_page: OpenPage) -> None:
    app = open_page("loss", added="100")
    table = next(frame.value for frame in app.dataframe if "largest exp z" in frame.value)
    assert table["p of the label, without"].tolist()[0] == "not a number"
    assert table["p of the label, without"][1] == table["p of the label, the largest taken off"][1]


def test_sure_and_wrong_the_squared_error_pulls_with_nothing_and_stays() -> None:
    scores = np.array([[6.0, 1.0, -2.0]])
    z = torch.tensor(scores, requires_grad=True)
    ((z.softmax(1) - torch.eye(3)[2]) ** 2).sum().backward()
    assert z.grad is not None
    ours = loss_forms.label_slopes(scores, 2, squared=True)[0]
    assert ours == pytest.approx(z.grad[0, 2].item(), rel=1e-5)
    assert abs(ours) < 0.002 < abs(loss_forms.label_slopes(scores, 2, squared=False)[0])
    assert loss_forms.race((6.0, 1.0, -2.0), 2, True)[-1] < 0.05
    assert loss_forms.race((6.0, 1.0, -2.0), 2, False)[-1] > 0.9


@pytest.mark.parametrize("size", ["1", "16"])
def test_a_batchs_loss_is_the_mean_and_its_gradients_a_share(open_page: OpenPage, size: str) -> None:
    app = open_page("loss", batch=size, seed="3")
    assert errors(app) == []
    table = next(frame.value for frame in app.dataframe if "its loss" in frame.value)
    assert len(table) == int(size)
    alone, share = (table[name].str.replace("−", "-") for name in ("p − y of the label, alone",
                                                                   f"in this batch, / {size}"))
    plain = ~(alone.str.contains("×") | share.str.contains("×"))
    np.testing.assert_allclose(share[plain].astype(float) * int(size), alone[plain].astype(float), rtol=0.01, atol=1e-4)
    assert "The batch's loss is" in texts(app)
