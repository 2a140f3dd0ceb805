"""The backward pass of a convolution, product by product, comes to the engine's gradients; so does im2col."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Tensor
from engine import functional as F
from playground.errors import PlaygroundError
from playground.steps.conv import output_size
from playground.steps.conv_backward import conv_backward_steps, im2col


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 2), st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2),
       st.integers(0, 10_000))
def test_the_last_running_sums_are_the_engines_gradients(
    channels: int, filters: int, kernel: int, stride: int, padding: int, dilation: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=(channels, 6, 7)), rng.normal(size=(filters, channels, kernel, kernel))
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    shape = (filters, output_size(6, kernel, **options), output_size(7, kernel, **options))
    dy = rng.normal(size=shape)
    tensors = [Tensor(a, requires_grad=True) for a in (x[None], w, np.zeros(filters))]
    y = F.conv2d(*tensors, **options)
    y.backward(dy[None])
    dx, dw, db = np.zeros(x.shape), np.zeros(w.shape), np.zeros(filters)
    for step in conv_backward_steps(x, w, dy, **options):
        if not step.padded:
            dx[(step.tap[0], *step.position)] = step.input_gradient
        dw[(step.output[0], *step.tap)] = step.weight_gradient
        db[step.output[0]] = step.bias_gradient
    for ours, tensor in zip((dx[None], dw, db), tensors, strict=True):
        np.testing.assert_allclose(ours, tensor.grad, atol=1e-12)
    columns = im2col(x, (kernel, kernel), **options)
    np.testing.assert_allclose((w.reshape(filters, -1) @ columns).reshape(shape), y.numpy()[0], atol=1e-12)


def test_a_gradient_of_another_shape_is_refused_with_both_shapes() -> None:
    with pytest.raises(PlaygroundError, match=r"\(1, 2, 2\), but the output has \(1, 3, 3\)"):
        next(conv_backward_steps(np.zeros((1, 5, 5)), np.zeros((1, 1, 3, 3)), np.zeros((1, 2, 2))))


def test_a_kernel_that_does_not_fit_is_refused() -> None:
    with pytest.raises(PlaygroundError, match="choose a smaller kernel"):
        im2col(np.zeros((1, 2, 2)), (3, 3))
    with pytest.raises(PlaygroundError, match="choose a smaller kernel"):
        next(conv_backward_steps(np.zeros((1, 2, 2)), np.zeros((1, 1, 3, 3)), np.zeros((1, 1, 1))))
