"""A walk back begins at the loss the network learnt from: torch's gradients, sums that add up, words that name it."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from playground.training.scratch.losses import CROSS_ENTROPY, HINGE, LOSSES
from playground.view import describe, looks, numbers
from playground.view.asks import Chosen, checks
from playground.view.asks.edits import Edit, Edits, effect
from playground.view.asks.torch_number import answers
from playground.view.asks.why import take, why
from playground.view.asks.without import MAPS, Off, guess, truly
from playground.view.asks.without import effect as off_effect
from playground.view.frames import frame, unpacked
from playground.view.gradients import Target, walk_back
from playground.view.looks import Look
from playground.view.sources import Design, edited
from tests.playground.test_losses import by_torch
from tests.playground.view.small_networks import as_file, as_torch, design, pictures
from tests.playground.view.test_why import on_blobs, places_of, training

MANY, ONE = "c4-b-th-f-d3", "c4-b-th-f-d1"
BOTH = pytest.mark.parametrize("text", [MANY, ONE], ids=["three scores", "one score"])
EVERY = pytest.mark.parametrize("loss", LOSSES)
__all__ = ["on_blobs"]


def source_of(text: str, loss: str) -> Design:
    """A network whose answers are neither sure nor a guess."""
    source = design(text, 4, labels=("a", "b") if text == ONE else ("a", "b", "c"))
    source.loss = loss
    return source


def torch_walk(source: Design, x: np.ndarray, label: int) -> tuple[Any, torch.Tensor, torch.Tensor]:
    module = as_torch(source)
    scores = module(torch.tensor(x).double())
    scores.retain_grad()
    value = by_torch(source.loss, scores[:1], torch.tensor([label])).sum()
    value.backward()
    return module, scores, value


@EVERY
@BOTH
@pytest.mark.parametrize("label", [0, 1])
def test_the_walk_back_is_torchs_and_its_beginning_adds_up(loss: str, text: str, label: int) -> None:
    source = source_of(text, loss)
    x, _ = pictures(1)
    trace = source.run(x)
    found = walk_back(trace, Target("loss", label))
    module, scores, value = torch_walk(source, x, label)
    assert found.value == pytest.approx(value.item(), rel=1e-5)
    for name, weight in module.named_parameters():
        np.testing.assert_allclose(found.weights[name], weight.grad, rtol=2e-4, atol=1e-6)
    last = trace.parts[-1]
    for k in range(last.shape[0]):
        begin = numbers.backward(trace, found, last, (k,))[0]
        assert begin.value == pytest.approx(scores.grad[0, k].item(), rel=1e-5, abs=1e-7)
        assert begin.total == pytest.approx(begin.value, rel=1e-5, abs=1e-7)
        assert all(isinstance(term.owner, str) for term in begin.terms)


@EVERY
@BOTH
def test_the_browser_is_told_the_slope_at_every_class(loss: str, text: str) -> None:
    source = source_of(text, loss)
    x, _ = pictures(1)
    trace = source.run(x)
    header, _ = unpacked(frame(trace, [0], gradients=walk_back(trace, Target("loss", 1))))
    _, scores, _ = torch_walk(source, x, 1)
    wanted = scores.grad[0].tolist()
    np.testing.assert_allclose(header["slopes"], wanted if text == MANY else [-wanted[0], wanted[0]], rtol=1e-4,
                               atol=1e-6)
    assert header["slope"] == ("p − y" if loss == CROSS_ENTROPY else "∂L/∂z")
    assert header["of"] == {"cross-entropy": "the loss", "squared-error": "the squared error",
                            "hinge": "the hinge loss"}[loss]
    assert "slopes" not in unpacked(frame(trace, [0], gradients=walk_back(trace, Target("score", 1))))[0]


def test_of_many_classes_the_largest_shares_are_told() -> None:
    source = design("f-d200", labels=tuple(map(str, range(200))))
    source.loss = "squared-error"
    trace = source.run(pictures(1)[0])
    found = walk_back(trace, Target("loss", 3))
    told = describe.one_number(trace, trace.parts[-1], (3,), found)["shares"][0]
    assert told["op"] == "softmax and squared error"
    assert told["count"] == 200
    assert len(told["terms"]) == numbers.MOST_TERMS
    total = sum(x * factor for _, _, x, factor in told["terms"]) + told["others"]
    assert total == pytest.approx(told["value"], rel=1e-4)


@EVERY
@BOTH
def test_a_checked_gradient_is_its_finite_difference_and_torchs(loss: str, text: str) -> None:
    source = source_of(text, loss)
    trace = source.run(pictures(1)[0])
    target, chosen = Target("loss", 1), Chosen(weight=("0.weight", (1, 0, 1, 2)))
    ours, found = checks.gradient(trace, target, chosen, np.float64), checks.difference(trace, target, chosen)
    assert ours == pytest.approx(found.value, rel=1e-6, abs=20 * found.error)
    theirs = answers(json.loads(checks.torch_question(source, trace, target, chosen)), torch.float64)
    assert theirs["gradient"] == pytest.approx(ours, rel=1e-9, abs=1e-13)


@EVERY
@BOTH
def test_what_is_switched_off_or_edited_is_measured_in_the_networks_loss(loss: str, text: str) -> None:
    source = source_of(text, loss)
    x, y = pictures(12, classes=len(source.labels))

    def measured(of: Design) -> float:
        return by_torch(loss, as_torch(of)(torch.tensor(x).double()), torch.tensor(y)).mean().item()

    before = measured(source)
    name = list(source.weights())[-1]
    change = Edits().after(Edit("one", ((name, (0,), 2.0),)))
    found = effect(source, change, x, y)
    assert found.before.loss == pytest.approx(before, rel=1e-4)
    new = edited(source, change.weights(source))
    assert isinstance(new, Design)
    assert found.after.loss == pytest.approx(measured(new), rel=1e-4)
    off = off_effect(source, x, y, [Off(0, MAPS, (1,))])
    assert off.before.loss == pytest.approx(before, rel=1e-4)
    assert truly(source, x, y, 0, [1])[0] == pytest.approx(off.after.loss - off.before.loss, rel=1e-3, abs=1e-5)
    scores = as_torch(source)(torch.tensor(x).double())
    scores.retain_grad()
    by_torch(loss, scores, torch.tensor(y)).mean().backward()
    guessed = guess(source, x, y, len(source.run(x).parts) - 1).values
    np.testing.assert_allclose(guessed, -(scores.grad * scores.detach()).sum(0), rtol=1e-4, atol=1e-6)


@EVERY
def test_a_file_is_looked_at_in_the_loss_it_was_trained_with(loss: str) -> None:
    source = source_of(MANY, loss)
    graph = as_file(source)
    graph.loss = loss
    x, _ = pictures(1)
    ours, files = (walk_back(one.run(x), Target("loss", 2)) for one in (source, graph))
    assert ours.value == pytest.approx(files.value, rel=1e-5)


@EVERY
def test_two_looks_at_one_picture_differ_by_their_loss(loss: str) -> None:
    source = source_of(MANY, loss)
    x, _ = pictures(1)
    look = Look(f"net by {loss}", lambda _: (source, "1"), x, np.zeros((8, 8, 3), np.uint8), 1)
    body = looks.answer(looks.opened(look), "frame", {"parts": "0", "back": "loss:1"}).body
    assert unpacked(body)[0]["value"] == pytest.approx(walk_back(source.run(x), Target("loss", 1)).value, rel=1e-4)


@EVERY
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_the_parts_of_a_step_add_up_to_it_with_every_loss(loss: str, optimizer: str, on_blobs: None) -> None:
    begun = training(optimizer, dtype=np.float64, loss=loss, augment={"mixup": 0.4},
                     label_smoothing=0.0 if loss == HINGE else 0.1)
    for step in [take(begun, chosen) for chosen in begun.order()[:2]]:
        for name, index in places_of(step):
            found = why(step, name, index)
            pushed = sum(float(np.abs(push.places).sum()) for push in found.pushes)
            assert abs(found.rounding) <= 1e-6 * abs(found.moved) + 1e-17
            assert abs(found.gradient_rounding) <= 1e-12 * pushed + 1e-17
