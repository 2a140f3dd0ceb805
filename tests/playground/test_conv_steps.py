"""The slow convolution, the engine's and PyTorch's agree; what the records say about themselves is true."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import functional as F
from playground.errors import PlaygroundError
from playground.steps.conv import ConvStep, conv_steps, does_not_fit, output_size

# channels, height, width, filters, kernel height, kernel width, stride, padding, dilation
SHAPES = [
    (1, 1, 1, 1, 1, 1, 1, 0, 1),
    (1, 3, 3, 1, 3, 3, 1, 0, 1),  # exactly one window
    (1, 8, 8, 1, 3, 3, 1, 1, 1),  # the page's default
    (1, 8, 8, 1, 3, 3, 2, 0, 1),  # a row and a column are never read
    (1, 7, 9, 1, 5, 5, 3, 2, 1),
    (1, 9, 7, 1, 3, 3, 1, 0, 3),
    (2, 6, 5, 3, 2, 3, 2, 1, 2),
    (3, 4, 4, 2, 1, 1, 1, 0, 1),
    (1, 5, 5, 1, 3, 3, 4, 4, 2),  # windows that lie in the padding alone
    (1, 16, 16, 1, 5, 5, 1, 4, 1),  # the page's largest
]


def draw(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, int]]:
    c, h, w, f, kh, kw, stride, padding, dilation = shape
    rng = np.random.default_rng(seed)
    x, weights, bias = rng.normal(size=(c, h, w)), rng.normal(size=(f, c, kh, kw)), rng.normal(size=f)
    return x, weights, bias, {"stride": stride, "padding": padding, "dilation": dilation}


def replay(records: list[ConvStep]) -> np.ndarray:
    """What the records say the output is."""
    done = {step.output: step.running for step in records if step.done}
    shape = tuple(max(axis) + 1 for axis in zip(*done, strict=True))
    y = np.full(shape, np.nan)
    for place, value in done.items():
        y[place] = value
    return y


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_replayed_records_are_the_engines_and_torchs_convolution(shape: tuple[int, ...]) -> None:
    x, w, b, options = draw(shape)
    y = replay(list(conv_steps(x, w, b, **options)))
    theirs = torch.nn.functional.conv2d(torch.tensor(x)[None], torch.tensor(w), torch.tensor(b), **options)
    np.testing.assert_allclose(y, theirs[0].numpy(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(y, F.conv2d(x[None], w, b, **options).numpy()[0], rtol=1e-12, atol=1e-12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.tuples(
        st.integers(1, 2), st.integers(1, 7), st.integers(1, 7), st.integers(1, 2), st.integers(1, 4),
        st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 3),
    )
)
def test_any_shape_either_agrees_with_the_engine_or_is_refused_by_both(shape: tuple[int, ...]) -> None:
    x, w, b, options = draw(shape)
    if does_not_fit(x.shape[1:], w.shape[2:], padding=options["padding"], dilation=options["dilation"]):
        with pytest.raises(PlaygroundError):
            next(conv_steps(x, w, b, **options))
        with pytest.raises(ValueError, match=r"."):
            F.conv2d(x[None], w, b, **options)
    else:
        ours = replay(list(conv_steps(x, w, b, **options)))
        np.testing.assert_allclose(ours, F.conv2d(x[None], w, b, **options).numpy()[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_record_adds_its_product_to_the_one_before(shape: tuple[int, ...]) -> None:
    x, w, b, options = draw(shape)
    before: ConvStep | None = None
    for step in conv_steps(x, w, b, **options):
        c, i, j = step.tap
        f = step.output[0]
        begun = b[f] if before is None or before.done else before.running
        assert step.running == begun + step.product
        assert step.product == step.weight * step.pixel
        assert step.weight == w[f, c, i, j]
        row, column = step.position
        inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
        assert step.padded is not inside
        assert step.pixel == (x[c, row, column] if inside else 0.0)
        before = step
    assert before is not None
    assert before.done


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_number_of_records_is_the_number_of_multiply_adds(shape: tuple[int, ...]) -> None:
    x, w, b, options = draw(shape)
    oh, ow = (output_size(n, k, **options) for n, k in zip(x.shape[1:], w.shape[2:], strict=True))
    assert len(list(conv_steps(x, w, b, **options))) == oh * ow * w.size


def test_without_a_bias_the_sums_start_at_zero() -> None:
    x, w, b, options = draw((1, 4, 4, 1, 3, 3, 1, 0, 1))
    with_bias = [step.running for step in conv_steps(x, w, b, **options)]
    without = [step.running for step in conv_steps(x, w, **options)]
    np.testing.assert_allclose(np.array(with_bias) - b[0], without, atol=1e-12)


def test_a_record_cannot_be_changed() -> None:
    step = next(conv_steps(np.ones((1, 1, 1)), np.ones((1, 1, 1, 1))))
    with pytest.raises(AttributeError):
        step.running = 3.0  # type: ignore[misc]


def test_a_kernel_that_does_not_fit_is_refused_with_its_span_and_a_way_out() -> None:
    with pytest.raises(PlaygroundError, match=r"dilation 2 spans 9 × 9 .* only 8 × 8.*smaller kernel or"):
        next(conv_steps(np.ones((1, 8, 8)), np.ones((1, 1, 5, 5)), dilation=2))


def test_other_channels_than_the_kernels_are_refused() -> None:
    with pytest.raises(PlaygroundError, match="3 channels, but the kernel expects 1"):
        next(conv_steps(np.ones((3, 8, 8)), np.ones((1, 1, 3, 3))))


def test_padding_beyond_the_window_makes_it_fit_again() -> None:
    assert does_not_fit((2, 2), (5, 5)) is not None
    assert does_not_fit((2, 2), (5, 5), padding=2) is None
    assert output_size(2, 5, padding=2) == 2
