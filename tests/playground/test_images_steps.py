"""Pictures as arrays, step by step: what the lesson computes, held against NumPy's memory and the engine."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Tensor
from engine import functional as F
from playground.steps.images import (
    GRAY,
    bits_of,
    gray_of,
    offset_channels_first,
    offset_channels_last,
    peak_signal_to_noise,
    places_of_ones,
    quantised,
)


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_offsets_find_the_number_in_numpys_memory(height: int, width: int, data: st.DataObject) -> None:
    r, c, k = (data.draw(st.integers(0, n - 1)) for n in (height, width, 3))
    picture = np.arange(height * width * 3).reshape(height, width, 3)
    assert picture.ravel()[offset_channels_last(r, c, k, width)] == picture[r, c, k]
    first = picture.transpose(2, 0, 1).ravel()
    assert first[offset_channels_first(r, c, k, height, width)] == picture[r, c, k]


@given(st.integers(0, 255))
def test_a_levels_bits_add_up_to_it(value: int) -> None:
    assert sum(places_of_ones(value)) == value == int(bits_of(value), 2)
    assert len(places_of_ones(value)) == bits_of(value).count("1")


def test_gray_is_the_engines_1_x_1_convolution_and_its_gradient_the_weights() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    x = Tensor(picture.transpose(2, 0, 1)[None].astype(float), requires_grad=True)
    y = F.conv2d(x, np.array(GRAY).reshape(1, 3, 1, 1))
    np.testing.assert_allclose(gray_of(picture), y.numpy()[0, 0], rtol=1e-12)
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(np.asarray(x.grad)[0], np.array(GRAY)[:, None, None] * np.ones((3, 5, 7)))


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_level_is_what_the_formula_says(bits: int) -> None:
    count = 2**bits
    for x in range(256):
        q = int(x / 256 * count)
        assert quantised(np.array([x], np.uint8), bits)[0] == int((q + 0.5) * 256 / count)


def test_a_picture_cut_to_fewer_bits_twice_changes_once() -> None:
    ramp = np.arange(256, dtype=np.uint8)
    assert (quantised(quantised(ramp, 3), 3) == quantised(ramp, 3)).all()


def test_half_the_error_is_three_decibels_more() -> None:
    assert peak_signal_to_noise(10) - peak_signal_to_noise(20) == pytest.approx(10 * np.log10(2))
    assert peak_signal_to_noise(0) == float("inf")
