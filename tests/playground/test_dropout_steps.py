"""Dropout's steps are the engine's op, forward and backward, and both schemes have one expectation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ops.dropout import dropout
from playground.errors import PlaygroundError
from playground.steps.dropout import CLASSIC, INVERTED, draw_masks, dropout_steps, factors


@settings(max_examples=30, deadline=None)
@given(st.sampled_from([0.1, 0.5, 0.8, 1.0]), st.integers(0, 1000))
def test_inverted_steps_are_the_engines_op_and_classic_ones_p_times_that(p: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, g, masks = rng.normal(size=(3, 5)), rng.normal(size=(3, 5)), draw_masks(2, (3, 5), p, seed)
    for batch in range(2):
        y, vjp = dropout.rule(x, masks[batch], p=1 - p)
        for values, expected in ((x, y), (g, vjp(g)[0])):
            for scheme, scale in ((INVERTED, 1.0), (CLASSIC, p)):
                steps = dropout_steps(values, factors(masks, p, scheme))
                ours = [s.result for s in steps if s.batch == batch]
                np.testing.assert_allclose(ours, (expected * scale).ravel(), atol=1e-12)


def test_over_many_draws_a_unit_is_present_as_often_as_p_says() -> None:
    masks = draw_masks(4000, (1, 3), 0.3, seed=1)
    np.testing.assert_allclose(masks.mean(axis=0), 0.3, atol=0.03)
    np.testing.assert_allclose(factors(masks, 0.3, INVERTED).mean(axis=0), 1.0, atol=0.1)


def test_masks_that_do_not_fit_and_a_p_of_zero_are_refused() -> None:
    with pytest.raises(PlaygroundError, match=r"\(2, 2\) do not fit values of shape \(2, 3\)"):
        next(dropout_steps(np.zeros((2, 3)), np.zeros((1, 2, 2))))
    with pytest.raises(PlaygroundError, match="above 0 and at most 1"):
        factors(np.ones(2, bool), 0.0, INVERTED)
