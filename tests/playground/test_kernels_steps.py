"""Kernels as detectors: responses are sums of products, and an edge points where it brightens."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Tensor
from engine import functional as F
from playground.figures.maps import direction_map
from playground.steps.detectors import (
    BRIGHT,
    DARK,
    edge_direction,
    edge_strength,
    favourites,
    feature_pictures,
    main_direction,
)
from playground.ui.lessons.kernels import presets, respond, shrunk, sobel

STEP = BRIGHT - DARK


@pytest.mark.parametrize("name", list(presets()))
def test_a_response_is_the_sum_of_products_of_its_window_and_its_gradient_is_the_kernel(name: str) -> None:
    weights = presets()[name].weights
    gray = np.random.default_rng(0).integers(0, 256, (6, 7)).astype(float)
    by_hand = [[(gray[p : p + 3, q : q + 3] * weights).sum() for q in range(5)] for p in range(4)]
    np.testing.assert_allclose(respond(gray, weights), by_hand, atol=1e-9)
    x = Tensor(gray[None, None], requires_grad=True)
    one = np.zeros((1, 1, 4, 5))
    one[0, 0, 2, 1] = 1
    F.conv2d(x, weights[None, None]).backward(one)
    expected = np.zeros((6, 7))
    expected[2:5, 1:4] = weights
    assert x.grad is not None
    np.testing.assert_allclose(np.asarray(x.grad)[0, 0], expected, atol=1e-12)


def test_a_straight_edge_is_as_strong_as_sobels_weights_say_and_points_to_the_bright_side() -> None:
    pictures = feature_pictures()
    for name, degrees in (("vertical edge", 0.0), ("horizontal edge", 90.0), ("diagonal edge", 45.0)):
        assert main_direction(*sobel(pictures[name])) == pytest.approx(degrees)
        assert abs(main_direction(*sobel(255 - pictures[name])) - degrees) == pytest.approx(180)
    assert edge_strength(*sobel(pictures["vertical edge"])).max() == 4 * STEP
    assert edge_strength(*sobel(pictures["flat wall"])).max() == 0


def test_where_nothing_changes_the_direction_is_0_and_drawn_black() -> None:
    nothing = -np.zeros((2, 2))
    degrees = edge_direction(nothing, nothing)
    assert not degrees.any()
    assert not direction_map(degrees, edge_strength(nothing, nothing)).any()


def test_alike_but_for_rounding_is_alike_and_silence_is_alike_to_silence() -> None:
    assert favourites({"a": 3e8, "b": 3e8 * (1 + 1e-15), "c": 3e8 - 1}) == ["a", "b"]
    assert favourites({"a": 0.0, "b": 0.0}) == ["a", "b"]
    with pytest.raises(ValueError, match="max"):
        favourites({})


@given(height=st.integers(1, 700), width=st.integers(1, 700), side=st.sampled_from([168, 320]))
def test_a_shrunk_picture_is_never_thinner_than_it_has_to_be(height: int, width: int, side: int) -> None:
    small = shrunk(np.full((height, width), 7.0), side)
    assert min(small.shape) >= min(height, width, 5)
    assert max(small.shape) <= 40 * min(height, width)
    assert np.all(small == 7)
    if min(height, width) * side >= 6 * max(height, width):
        assert max(small.shape) <= side
