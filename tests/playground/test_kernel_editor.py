"""Kernels as text: what a person types, what an address holds, what is refused."""

import numpy as np
import pytest
from scipy import ndimage

from playground.errors import PlaygroundError
from playground.ui.links import hidden_names
from playground.ui.parts.kernel_editor import MEANING, OWN, PRESETS, parse, resized, text_of

ALL = [(name, size) for name, sizes in PRESETS.items() for size in sizes]


@pytest.mark.parametrize(("name", "size"), ALL)
def test_a_preset_survives_the_address(name: str, size: int) -> None:
    kernel = parse(text_of(PRESETS[name][size]))
    assert kernel.rows == PRESETS[name][size]
    assert kernel.size == size
    assert kernel.name == ("Identity" if size == 1 else name)


@pytest.mark.parametrize(("name", "size"), ALL)
def test_smoothing_kernels_add_up_to_one_and_derivatives_to_zero(name: str, size: int) -> None:
    total = sum(v for row in PRESETS[name][size] for v in row)
    assert total == (0 if name in ("Sobel x", "Sobel y", "Laplacian") else 1)


def test_sobel_and_laplacian_are_the_textbooks() -> None:
    photo = np.random.default_rng(0).normal(size=(6, 6))
    for name, theirs in (
        ("Sobel x", ndimage.sobel(photo, axis=1)), ("Sobel y", ndimage.sobel(photo, axis=0)),
        ("Laplacian", ndimage.laplace(photo)),
    ):
        weights = np.array(PRESETS[name][3], dtype=float)
        np.testing.assert_allclose(ndimage.correlate(photo, weights, mode="reflect"), theirs, atol=1e-12)


def test_every_kernel_has_a_meaning() -> None:
    assert set(MEANING) == {*PRESETS, OWN}


@pytest.mark.parametrize("text", ["1,0,-1; 2,0,-2; 1,0,-1", "1 0 −1;2 0 −2;1 0 −1;", " 1.0 0 -1; 2/1 0 -2; +1 .0 -1 "])
def test_people_write_kernels_in_many_ways(text: str) -> None:
    assert parse(text).rows == parse("1 0 -1; 2 0 -2; 1 0 -1").rows


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "rows of 0"), ("1 2; 3 4", "rows of 2, 2"), ("1 2 3; 4 5 6", "rows of 3, 3"),
        ("1 2 3; 4 5; 6 7 8", "rows of 3, 2, 3"), ("a", "“a” is not a weight"), ("1/0", "“1/0” is not a weight"),
        ("1e9", "not a weight"), ("nan", "not a weight"), ("9999999", "not a weight"), ("1/1e9", "not a weight"),
        ("<b>", "not a weight"),
    ],
)
def test_what_is_no_kernel_is_refused_with_the_reason(text: str, sentence: str) -> None:
    with pytest.raises(PlaygroundError, match=sentence):
        parse(text)


@pytest.mark.parametrize(("name", "size"), ALL)
@pytest.mark.parametrize("to", [1, 3, 5])
def test_any_kernel_has_any_size_and_is_never_empty(name: str, size: int, to: int) -> None:
    rows = resized(parse(text_of(PRESETS[name][size])), to)
    assert len(rows) == to
    assert any(v for row in rows for v in row)
    if to in PRESETS[name] and size > 1:
        assert rows == PRESETS[name][to]


def test_an_address_can_hide_only_names_of_controls() -> None:
    assert hidden_names("stride,bias") == ["stride", "bias"]
    assert hidden_names("x} body{display:none, <script>, ../a,") == []
