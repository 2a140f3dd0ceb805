"""The merged kernel is the engine's and torch's two convolutions in one; with an activation between, no kernel is."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import functional as F
from playground.errors import PlaygroundError
from playground.steps.two_convs import best_kernel, merge_steps, merged


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 1000))
def test_one_convolution_with_the_merged_kernel_is_both(k: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, first, second = rng.normal(size=(1, 1, 9, 9)), rng.normal(size=(k, k)), rng.normal(size=(m, m))
    whole = merged(first, second)
    two = torch.nn.functional.conv2d(torch.nn.functional.conv2d(torch.tensor(x), torch.tensor(first)[None, None]),
                                     torch.tensor(second)[None, None])
    one = F.conv2d(x, whole[None, None]).numpy()
    np.testing.assert_allclose(one, two.numpy(), atol=1e-12)
    assert len(list(merge_steps(first, second))) == (k * m) ** 2


def test_the_best_kernel_is_found_where_there_is_one_and_leaves_much_where_there_is_none() -> None:
    rng = np.random.default_rng(0)
    x, first, second = rng.normal(size=(200, 8, 8)), rng.normal(size=(3, 3)), rng.normal(size=(3, 3))
    between = F.conv2d(x[:, None], first[None, None])
    plain = F.conv2d(between, second[None, None]).numpy()[:, 0]
    found = best_kernel(x, plain)
    assert found.left < 1e-12
    np.testing.assert_allclose(found.kernel, merged(first, second), atol=1e-12)
    bent = F.conv2d(F.relu(between), second[None, None]).numpy()[:, 0]
    assert 0.2 < best_kernel(x, bent).left < 1


def test_least_squares_leaves_nothing_that_any_kernel_could_still_explain() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(50, 5, 5)), rng.normal(size=(50, 3, 3))
    found = best_kernel(x, y)
    answers = torch.nn.functional.conv2d(torch.tensor(x)[:, None], torch.tensor(found.kernel)[None, None])
    left = torch.tensor(y)[:, None] - answers - found.bias
    gradient = torch.nn.functional.conv2d(torch.tensor(x)[None], left.reshape(1, 50, 3, 3))
    assert gradient.abs().max() < 1e-9
    assert float(left.sum()) == pytest.approx(0, abs=1e-9)
    assert found.left == pytest.approx(float(left.pow(2).mean().sqrt()) / y.std())


def test_a_kernel_that_is_no_matrix_is_refused() -> None:
    with pytest.raises(PlaygroundError, match="each a matrix"):
        next(merge_steps(np.zeros(3), np.zeros((3, 3))))
