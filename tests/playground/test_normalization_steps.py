"""The two proofs hold line by line on any numbers, and the descent is the one the formulas promise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.errors import PlaygroundError
from playground.steps.descent import Bowl, descent_steps
from playground.steps.normalization import normalized, proof_lines

numbers = st.lists(st.integers(-1000, 1000), min_size=2, max_size=30).filter(lambda x: len(set(x)) > 1)


@given(numbers)
def test_every_line_of_a_proof_comes_to_what_the_proof_claims(x: list[int]) -> None:
    for line in proof_lines(np.array(x, dtype=float)):
        assert line.value == pytest.approx(0.0 if line.proof == "mean" else 1.0, abs=1e-9)


@given(numbers)
def test_normalized_numbers_are_scikit_learns(x: list[int]) -> None:
    from sklearn.preprocessing import StandardScaler

    ours = normalized(np.array(x, dtype=float))
    theirs = StandardScaler().fit_transform(np.array(x, dtype=float)[:, None])[:, 0]
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_equal_numbers_are_refused_with_the_reason() -> None:
    with pytest.raises(PlaygroundError, match="standard deviation is 0"):
        normalized(np.array([3.0, 3.0]))


def random_bowl(seed: int) -> Bowl:
    rng = np.random.default_rng(seed)
    return Bowl(rng.normal(size=(20, 2)) * (1.0, 5.0) + (0.0, 2.0), rng.normal(size=20))


@settings(deadline=None)
@given(st.integers(0, 100))
def test_the_engines_descent_is_the_closed_form_of_a_quadratic(seed: int) -> None:
    bowl = random_bowl(seed)
    rate = bowl.best_learning_rate
    hessian = 2.0 / len(bowl.design) * bowl.design.T @ bowl.design
    for step in descent_steps(bowl, (1.0, -1.0), rate, 12):
        shrunk = np.linalg.matrix_power(np.eye(2) - rate * hessian, step.step)
        np.testing.assert_allclose(step.parameters, bowl.lowest + shrunk @ (np.array([1.0, -1.0]) - bowl.lowest),
                                   rtol=1e-9, atol=1e-9)
        assert step.loss == pytest.approx(float(bowl.loss(np.array(step.parameters))))


@settings(deadline=None)
@given(st.integers(0, 100))
def test_the_loss_above_the_lowest_is_the_loss_minus_the_lowest(seed: int) -> None:
    bowl = random_bowl(seed)
    places = bowl.lowest + np.random.default_rng(seed).normal(size=(5, 7, 2))
    np.testing.assert_allclose(bowl.above(places), bowl.loss(places) - bowl.loss(bowl.lowest), rtol=1e-9, atol=1e-9)


def test_no_other_fixed_step_size_shrinks_the_worst_direction_faster() -> None:
    bowl = random_bowl(1)
    low, high = bowl.curvatures

    def worst(rate: float) -> float:
        return max(abs(1 - rate * low), abs(1 - rate * high))

    best = worst(bowl.best_learning_rate)
    assert best == pytest.approx((bowl.condition - 1) / (bowl.condition + 1))
    assert all(worst(bowl.best_learning_rate * share) > best for share in (0.5, 0.9, 0.99, 1.01, 1.1, 1.5))


def test_a_normalized_input_makes_a_round_bowl_and_one_step_arrives() -> None:
    z = normalized(np.arange(10.0) ** 2)
    bowl = Bowl(np.stack([z, np.ones_like(z)], axis=1), 3.0 * z + 7.0)
    assert bowl.condition == pytest.approx(1.0)
    *_, last = descent_steps(bowl, (0.0, 0.0), bowl.best_learning_rate, 1)
    np.testing.assert_allclose(last.parameters, (3.0, 7.0))


def test_a_descent_that_leaves_the_floats_ends_instead_of_yielding_nonsense() -> None:
    bowl = random_bowl(2)
    path = list(descent_steps(bowl, (1.0, 1.0), 1e6, 200))
    assert 1 < len(path) < 201
    assert all(np.isfinite(step.loss) for step in path)
