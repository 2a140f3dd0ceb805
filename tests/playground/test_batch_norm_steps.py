"""Batch norm's steps are the engine's layer, forward and backward."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Tensor
from engine import functional as F
from playground.errors import PlaygroundError
from playground.steps.batch_norm import norm_backward_steps, norm_steps, normalize


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 9), st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 1000))
def test_the_last_rounds_are_the_engines_output_and_gradients(n: int, gamma: float, beta: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, dy = rng.normal(2, 3, n), rng.normal(size=n)
    tensors = [Tensor(a, requires_grad=True) for a in (x[:, None], np.array([gamma]), np.array([beta]))]
    y = F.batch_norm(tensors[0], None, None, tensors[1], tensors[2], training=True)
    y.backward(dy[:, None])
    steps = list(norm_steps(x, gamma, beta))
    np.testing.assert_allclose([s.value for s in steps if s.part == 3], y.numpy().ravel(), atol=1e-10)
    assert [s.value for s in steps if s.part == 0][-1] == pytest.approx(x.mean())
    assert [s.value for s in steps if s.part == 1][-1] == pytest.approx(x.var())
    back = list(norm_backward_steps(x, dy, gamma))
    np.testing.assert_allclose([s.input_gradient for s in back if s.part == 1], tensors[0].grad.ravel(), atol=1e-9)
    assert back[n - 1].gamma_gradient == pytest.approx(tensors[1].grad.item(), abs=1e-9)
    assert back[n - 1].beta_gradient == pytest.approx(tensors[2].grad.item(), abs=1e-9)


def test_nothing_to_normalize_and_gradients_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PlaygroundError, match="at least one number"):
        normalize(np.zeros(0), 1.0, 0.0)
    with pytest.raises(PlaygroundError, match="2 gradients do not fit 3 numbers"):
        next(norm_backward_steps(np.zeros(3), np.zeros(2), 1.0))
