"""The page on a whole CNN: PyTorch has the same numbers at every part, back, and after a step; two kernels are one."""

from typing import Any

import numpy as np
import pytest
import torch

from engine import no_grad
from playground.network.build import build_torch, placed
from playground.ui.lessons import digits_model, two_convs, whole_cnn, whole_cnn_step
from playground.ui.lessons import whole_cnn_network as whole
from playground.ui.lessons.digits_model import TAKES
from playground.ui.lessons.whole_cnn import Setting
from playground.ui.lessons.whole_cnn_network import FIRST, LARGE, NETWORKS, TINY
from tests.pages.on_a_page import OpenPage, errors, sent, texts


def setting(network: str, rate: float = 0.001, label: int | None = None) -> Setting:
    place = whole.hardest_first(network)[8][0]
    return Setting(network, place, int(digits_model.unseen().labels[place]) if label is None else label, rate, False)


def in_torch(name: str) -> Any:
    """PyTorch's module with the weights of the engine's."""
    module = build_torch(whole.description(name), TAKES)
    module.load_state_dict({key: torch.tensor(value) for key, value in whole.copy_of(name).state_dict().items()})
    return module.eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_every_part_has_pytorchs_numbers_forward_and_backward(name: str) -> None:
    chosen, module = setting(name), in_torch(name)
    x = torch.tensor(chosen.x[None], requires_grad=True)
    kept, held = [], x
    for layer in module:
        held = layer(held)
        held.retain_grad()
        kept.append(held)
    loss = torch.nn.functional.cross_entropy(held, torch.tensor([chosen.label]))
    loss.backward()
    found = chosen.look
    assert found.loss == pytest.approx(loss.item(), rel=1e-4)
    for part, theirs in zip(found.parts, kept, strict=True):
        assert theirs.grad is not None
        np.testing.assert_allclose(part.given, theirs[0].detach(), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(part.gradient, theirs.grad[0], rtol=1e-3, atol=1e-5)
    assert x.grad is not None
    np.testing.assert_allclose(found.x_gradient, x.grad[0], rtol=1e-3, atol=1e-5)
    theirs = sum(float((one.grad**2).sum()) for one in module.parameters())
    assert found.steepness == pytest.approx(theirs, rel=1e-3)


@pytest.mark.parametrize("name", [FIRST, TINY])
def test_the_steps_lead_where_pytorchs_sgd_leads(name: str) -> None:
    chosen, module = setting(name, rate=0.01), in_torch(name)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(module(torch.tensor(chosen.x[None])), torch.tensor([chosen.label]))
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
    _, ours = whole.stepped(name, chosen.x, chosen.label, 0.01, 3)
    np.testing.assert_allclose(ours, losses, rtol=1e-2, atol=1e-4)
    assert whole.losses_over_rates(name, chosen.x, chosen.label, (0.01,))[0] == pytest.approx(ours[1], rel=1e-3)


def test_the_slope_foretells_a_small_step() -> None:
    chosen = setting(TINY, rate=1e-5)
    _, (before, after) = whole.stepped(TINY, chosen.x, chosen.label, 1e-5)
    assert before - after == pytest.approx(1e-5 * chosen.look.steepness, rel=0.02)


@pytest.mark.parametrize(("network", "back"), [(FIRST, ""), (TINY, "Backward"), (LARGE, ""), (LARGE, "Backward")])
def test_it_opens_with_a_row_for_every_part(open_page: OpenPage, network: str, back: str) -> None:
    app = open_page("whole-cnn", network=network, **({"pass": back} if back else {}))
    assert errors(app) == []
    parts = len(whole.description(network))
    assert len(app.get("image")) == parts + 2 + 1, "the digit, every part, the loss; and the gallery of two kernels"
    assert f"{parts} · dense layer, 10 units" in texts(app)


def test_the_question_is_answered_by_taking_the_step(open_page: OpenPage) -> None:
    app = open_page("whole-cnn", rate="1.0")
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value("its loss falls, the others' rises").run()
    assert app.success[0].value.startswith("Yes")
    place = whole.hardest_first(TINY)[8][0]
    x, label = digits_model.prepared(digits_model.unseen().images[[place]])[0], 8
    model, losses = whole.stepped(TINY, x, label, 1.0)
    assert losses[1] < losses[0]
    assert whole.everyone(model).loss > whole.everyone(whole.copy_of(TINY)).loss


@pytest.mark.parametrize("query", [
    {"rate": "1.0", "steps": "20", "label": "3"}, {"network": FIRST, "rate": "0.0001", "which": "34"},
    {"network": LARGE, "rate": "1.0", "steps": "20"},
])
def test_the_smallest_and_the_largest_step_are_told_of(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("whole-cnn", **query)
    assert errors(app) == []
    assert "the slope foretells" in texts(app)


def test_two_kernels_without_an_activation_are_one_and_with_one_they_are_not(open_page: OpenPage) -> None:
    app = open_page("whole-cnn")
    assert "one of 5 × 5" in texts(app)
    (told,) = sent(app, "stepper")
    cells = dict(zip(told["marks"]["w"], told["writes"]["w"], strict=True))
    kernel = np.array([cells[k] for k in range(25)]).reshape(5, 5)
    digit = setting(TINY).image[None] / 255
    first, second = two_convs.KERNELS["Sobel x"], two_convs.KERNELS["Sobel y"]
    one = torch.nn.functional.conv2d(torch.tensor(digit)[None], torch.tensor(kernel)[None, None])[0]
    np.testing.assert_allclose(two_convs.through(digit, first, second, "none"), one, atol=1e-12)
    app = open_page("whole-cnn", between="ReLU")
    assert "there is no such kernel" in texts(app)
    assert two_convs.best_for("Sobel x", "Sobel y", "none").left < 1e-9
    assert two_convs.best_for("Sobel x", "Sobel y", "ReLU").left > 0.2


def test_the_page_leaves_the_networks_as_they_were() -> None:
    before = {key: value.copy() for key, value in whole.copy_of(TINY).state_dict().items()}
    chosen = setting(TINY, rate=1.0)
    whole.stepped(TINY, chosen.x, chosen.label, 1.0, 5)
    whole.losses_over_rates(TINY, chosen.x, chosen.label, (0.5, 1.0))
    for key, value in whole.copy_of(TINY).state_dict().items():
        np.testing.assert_array_equal(value, before[key])


def test_the_trained_tiny_network_reads_most_digits_and_the_first_one_guesses() -> None:
    assert whole.everyone(whole.copy_of(TINY)).right > 320
    assert whole.everyone(whole.copy_of(FIRST)).right < 120
    with no_grad():
        assert len(placed(whole.description(TINY), whole.copy_of(TINY))) == 8


def test_the_code_is_of_the_readers_rate_and_label() -> None:
    told = whole_cnn_step.code(setting(TINY, rate=0.03, label=5))
    assert all("0.03" in text and "[5]" in text for text in told.values())
    assert whole_cnn.RATES[0] < 0.03 < whole_cnn.RATES[-1]
