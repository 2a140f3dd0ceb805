"""The loss's steps are the engine's op and torch's, forward and backward; so are the binary and the squared form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Tensor
from engine import functional as F
from engine.ops.cross_entropy import cross_entropy
from playground.errors import PlaygroundError
from playground.steps import loss as steps

SCORES = st.lists(st.floats(-10, 10), min_size=2, max_size=10)


@settings(max_examples=60, deadline=None)
@given(SCORES, st.integers(0, 1), st.sampled_from([0.0, 0.1, 0.3]), st.sampled_from([0.5, 1.0, 4.0]))
def test_the_last_records_are_torchs_and_the_engines_loss_and_gradient(
    scores: list[float], label: int, smoothing: float, temperature: float
) -> None:
    theirs = torch.tensor([scores], dtype=torch.float64, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(theirs / temperature, torch.tensor([label]), label_smoothing=smoothing)
    loss.backward()
    y = steps.target(label, len(scores), smoothing)
    forward = list(steps.loss_steps(scores, y, temperature))
    back = list(steps.loss_backward_steps(scores, y, temperature))
    assert forward[-1].value == pytest.approx(loss.item(), abs=1e-10)
    gradient = [step.value for step in back[-len(scores):]]
    np.testing.assert_allclose(gradient, theirs.grad[0], rtol=1e-6, atol=1e-10)
    value, vjp = cross_entropy.rule(np.array([scores]) / temperature, np.array([label]), label_smoothing=smoothing)
    assert forward[-1].value == pytest.approx(float(value), abs=1e-10)
    np.testing.assert_allclose(np.array(gradient) * temperature, vjp(np.array(1.0))[0][0], rtol=1e-6, atol=1e-10)
    p = [step.value for step in forward if step.part == steps.DIVIDE]
    np.testing.assert_allclose(p, F.softmax(np.array(scores) / temperature, 0).numpy(), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(SCORES)
def test_every_round_back_is_the_derivative_of_the_round_it_comes_from(scores: list[float]) -> None:
    """By torch's tape over the same operations, one after the other."""
    y = steps.target(1, len(scores), 0.1)
    d = torch.tensor(scores, dtype=torch.float64)
    d = (d - d.max()).requires_grad_()
    e = d.exp()
    total = e.sum()
    p = e / total
    loss = -(torch.tensor(y) * p.log()).sum()
    dp, dtotal, de, dd = torch.autograd.grad(loss, [p, total, e, d])
    found = {}
    for step in steps.loss_backward_steps(scores, y):
        found.setdefault(step.part, []).append(step.value)
    for part, expected in ((steps.TO_P, dp), (steps.FROM_SUM, de), (steps.TO_SHIFT, dd)):
        np.testing.assert_allclose(found[part], expected, rtol=1e-7, atol=1e-9)
    assert found[steps.TO_SUM][-1] == pytest.approx(dtotal.item())


@settings(max_examples=30, deadline=None)
@given(st.floats(-30, 30), st.floats(-30, 30), st.sampled_from([0.0, 0.2, 1.0]))
def test_one_score_and_a_sigmoid_are_two_scores_and_a_softmax(a: float, b: float, y: float) -> None:
    p, loss, slope = steps.binary_numbers(a - b, y)
    two = steps.loss_numbers([a, b], [y, 1 - y])
    np.testing.assert_allclose([p, loss, slope], [two.p[0], two.loss, two.dz[0]], atol=1e-9)
    z = Tensor(np.array([a - b]), requires_grad=True)
    engines = F.binary_cross_entropy_with_logits(z, np.array([y]))
    engines.backward()
    theirs = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor([a - b]), torch.tensor([y]))
    assert loss == pytest.approx(engines.item(), abs=1e-10)
    assert loss == pytest.approx(theirs.item(), abs=1e-4)
    assert slope == pytest.approx(float(z.grad[0]), abs=1e-10)


@settings(max_examples=30, deadline=None)
@given(SCORES)
def test_the_squared_error_and_its_gradient_are_torchs(scores: list[float]) -> None:
    y = steps.target(0, len(scores))
    z = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
    loss = ((z.softmax(0) - torch.tensor(y)) ** 2).sum()
    loss.backward()
    ours, gradient = steps.squared_numbers(scores, y)
    assert ours == pytest.approx(loss.item(), abs=1e-12)
    np.testing.assert_allclose(gradient, z.grad, atol=1e-12)


def test_without_the_shift_float32_ends_at_88_and_float64_at_709() -> None:
    for dtype, last in ((np.float32, 88), (np.float64, 709)):
        assert np.isfinite(steps.without_shift([last, 0.0], dtype)[2]).all()
        assert np.isnan(steps.without_shift([last + 1, 0.0], dtype)[2][0])
    assert torch.tensor([89.0]).exp().isinf().all()
    assert sum(step.value for step in steps.loss_steps([1000.0, 0.0], [1.0, 0.0]) if step.part == steps.DIVIDE) == 1


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(PlaygroundError, match="2 scores do not fit 3 targets"):
        steps.loss_numbers([1.0, 2.0], [1.0, 0.0, 0.0])
    with pytest.raises(PlaygroundError, match="label 3 is none of 3 classes"):
        steps.target(3, 3)
    with pytest.raises(PlaygroundError, match=r"between 0 and 1, not 1\.5"):
        steps.target(0, 3, 1.5)
