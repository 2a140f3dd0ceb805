"""The page on depth: PyTorch has the same gradients at every layer, the doctor names the ill, a cure is measured."""

import numpy as np
import pytest
import torch

from playground.network.build import build_torch
from playground.ui.lessons import depth, depth_training
from playground.ui.lessons import depth_network as deep
from playground.ui.lessons.depth_network import KAIMING, LARGE, SMALL, XAVIER, Setting
from playground.ui.lessons.digits_model import TAKES
from tests.pages.on_a_page import OpenPage, errors, sent, texts

SICK = Setting(20, "sigmoid", XAVIER, 1.0, False, False, 0)


@pytest.mark.parametrize("setting", [
    SICK, Setting(6, "tanh", LARGE, 0.5, True, False, 1), Setting(12, "ReLU", KAIMING, 1.0, True, True, 2),
    Setting(2, "none", SMALL, 4.0, False, True, 3),
], ids=["sigmoid", "batch norm", "both", "shortcuts"])
def test_every_layer_has_pytorchs_size_and_gradient(setting: Setting) -> None:
    module = build_torch(setting.network, TAKES).double()
    state = {name: torch.tensor(np.asarray(value, np.float64)) for name, value in setting.model().state_dict().items()}
    module.load_state_dict(state)
    module.train()
    x, y = deep.batch(setting.seed)
    held, kept = torch.tensor(x, dtype=torch.float64, requires_grad=True), {}
    picture = held
    for place, layer in enumerate(module):
        held = layer(held)
        held.retain_grad()
        kept[place,] = held
    torch.nn.functional.cross_entropy(held, torch.tensor(y)).backward()
    found = deep.measured(setting)
    ends = [kept[path] for path in setting.ends()]
    assert len(ends) == setting.layers
    np.testing.assert_allclose(found.sizes, [one.detach().square().mean().sqrt() for one in ends], rtol=1e-4)
    np.testing.assert_allclose(found.gradients, [one.grad.square().mean().sqrt() for one in ends], rtol=1e-3)
    np.testing.assert_allclose(found.first, picture.grad.reshape(found.first.shape), rtol=1e-3, atol=1e-14)


@pytest.mark.parametrize("setting", [
    SICK, Setting(30, "tanh", XAVIER, 1.0, False, False, 0), Setting(50, "ReLU", KAIMING, 1.0, True, False, 0),
    Setting(50, "sigmoid", SMALL, 1.0, False, True, 0), Setting(40, "none", LARGE, 1.0, False, False, 0),
])
def test_what_is_foretold_is_near_what_is_measured(setting: Setting) -> None:
    found = deep.measured(setting)
    _, forward, backward = deep.foretold(setting, found)
    for told, seen in ((forward, found.sizes), (backward, found.gradients)):
        apart = np.abs(np.log10(told) - np.log10(seen))
        assert apart.max() < 0.5 + 0.02 * setting.layers, "64 units are not infinitely many"


@pytest.mark.parametrize("query", [
    {}, {"layers": "2", "init": "1 each", "gain": "4.0"}, {"layers": "50", "activation": "ReLU", "init": "Kaiming"},
    {"layers": "50", "activation": "none", "init": "1 each", "gain": "4.0", "shortcuts": "true"},
    {"layers": "50", "activation": "sigmoid", "init": "0.01 each", "gain": "0.25", "batch-norm": "true"},
], ids=["default", "smallest", "deep", "largest", "least"])
def test_it_opens_and_draws_all_layers(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("depth", **query)
    assert errors(app) == []
    drawn = sent(app, "chart")[0]["charts"]
    assert [len(one["traces"][0]["x"]) for one in drawn] == [int(query.get("layers", "20"))] * 2


@pytest.mark.parametrize(("query", "words"), [
    ({}, "less than a millionth"), ({"activation": "none"}, "about as large, within 100 times"),
    ({"activation": "none", "init": "1 each"}, "more than a million times as large"),
    ({"shortcuts": "true"}, "about as large, within 100 times"),
])
def test_the_question_is_answered_by_what_is_measured(open_page: OpenPage, query: dict[str, str], words: str) -> None:
    app = open_page("depth", **query)
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value(words).run()
    assert app.success[0].value.startswith("Yes")


def test_the_words_of_the_answer_have_no_gap() -> None:
    assert [depth.band(10.0**power) for power in (-9, -4, 0, 4, 9)] == [words for _, words in depth.BANDS]
    assert depth.band(0.0) == depth.BANDS[0][1]


def test_the_doctor_names_what_vanishes_and_a_cure_learns_what_the_sick_one_does_not(open_page: OpenPage) -> None:
    app = open_page("depth", cure="batch norm")
    said = texts(app)
    assert "**Vanishing.**" in said
    assert "it would try" in said
    sick, well = deep.trained(SICK), deep.trained(deep.cured(SICK, "batch norm"))
    assert sick.right < 80
    assert well.right > 250
    assert np.mean(sick.losses[-5:]) > 2.2 > np.mean(well.losses[-5:])


def test_a_training_that_ends_in_no_number_is_told_of(open_page: OpenPage) -> None:
    app = open_page("depth", layers="50", activation="none", init="1 each", gain="2.0", cure="all of them")
    assert errors(app) == []
    assert "its loss is no number any more after 1 step" in texts(app)
    assert "**Not finite.**" in texts(app)


def test_both_ways_of_a_gradient_are_pytorchs_and_add_up() -> None:
    setting = Setting(5, "tanh", XAVIER, 1.0, False, True, 4)
    module = build_torch(setting.network, TAKES).double()
    module.load_state_dict({name: torch.tensor(np.asarray(value, np.float64))
                            for name, value in setting.model().state_dict().items()})
    found = deep.measured(setting)
    x, _ = deep.batch(4)
    held = torch.tensor(x, dtype=torch.float64).reshape(deep.BATCH, -1)
    for layer, (block, before) in enumerate(zip(list(module)[1:-1], [found.first, *found.arriving[:-1]], strict=True)):
        given = held.detach().requires_grad_()
        way = block.way(given)
        way.backward(torch.tensor(found.arriving[layer]))
        np.testing.assert_allclose(before - found.arriving[layer], given.grad, rtol=1e-3, atol=1e-9)
        held = given + way


@pytest.mark.parametrize("activation", deep.CODES)
def test_with_weights_of_zero_a_stack_with_shortcuts_is_the_identity(activation: str) -> None:
    setting = Setting(10, activation, KAIMING, 1.0, False, False, 0)
    assert depth_training.moved(10, deep.CODES[activation], 0.0, setting, True) == 0.0
    assert depth_training.moved(10, deep.CODES[activation], 0.0, setting, False) == 1.0
    assert depth_training.moved(10, deep.CODES[activation], 0.1, setting, True) > 0.01


def test_every_cure_is_a_change_and_all_of_them_are_all() -> None:
    for cure in deep.CURES:
        assert deep.cured(Setting(9, "sigmoid", SMALL, 2.0, False, False, 0), cure) != Setting(
            9, "sigmoid", SMALL, 2.0, False, False, 0)
    assert deep.cured(SICK, "all of them") == Setting(20, "ReLU", KAIMING, 1.0, True, True, 0)
