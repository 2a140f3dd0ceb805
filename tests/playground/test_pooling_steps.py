"""Pooling's steps are the engine's pooling, forward and backward, ties included."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Tensor
from engine import functional as F
from playground.errors import PlaygroundError
from playground.steps.pooling import AVERAGE, MAX, pool_backward_steps, pool_steps


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([MAX, AVERAGE]), st.integers(1, 4), st.integers(1, 4), st.integers(4, 7), st.integers(0, 1000))
def test_the_last_step_of_a_window_is_the_engines_output_and_the_sums_its_gradient(
    kind: str, kernel: int, stride: int, side: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 4, (side, 6)).astype(float)  # few values: many ties
    tensor = Tensor(x[None, None], requires_grad=True)
    y = (F.max_pool2d if kind == MAX else F.avg_pool2d)(tensor, kernel, stride)
    last = {step.output: step.running for step in pool_steps(x, kernel, stride, kind)}
    np.testing.assert_allclose([last[place] for place in np.ndindex(y.shape[2:])], y.numpy().ravel())
    dy = rng.normal(size=y.shape[2:])
    y.backward(dy[None, None])
    dx = np.zeros(x.shape)
    for step in pool_backward_steps(x, dy, kernel, stride, kind):
        dx[step.position] = step.gradient
    np.testing.assert_allclose(dx, tensor.grad[0, 0], atol=1e-12)


def test_a_window_too_large_and_a_gradient_of_another_shape_are_refused() -> None:
    with pytest.raises(PlaygroundError, match="3 × 3 does not fit a picture of 2 × 5"):
        next(pool_steps(np.zeros((2, 5)), 3, 1, MAX))
    with pytest.raises(PlaygroundError, match=r"shape \(1, 1\), but the output has \(2, 2\)"):
        next(pool_backward_steps(np.zeros((4, 4)), np.zeros((1, 1)), 2, 2, MAX))
