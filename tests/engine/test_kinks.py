"""Where functions bend, tie or end: random inputs never land there, so these points are asked one by one."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as TF

from engine import Tensor
from engine import functional as F

INF, NAN = math.inf, math.nan
ENDS = [-INF, -1e4, -100.0, -1e-300, -0.0, 0.0, 1e-300, 100.0, 1e4, INF, NAN]


def agree(ours, theirs, *inputs, rtol=1e-12, atol=1e-16):
    """Values and gradients of a function at special points, nan where torch has nan."""
    arrays = [Tensor(np.array(x), requires_grad=True) for x in inputs]
    tensors = [torch.tensor(np.array(x), requires_grad=True) for x in inputs]
    y, t = ours(*arrays), theirs(*tensors)
    np.testing.assert_allclose(y.data, t.detach().numpy(), rtol=rtol, atol=atol)
    y.backward(np.ones(y.shape))
    t.backward(torch.ones_like(t))
    for a, b in zip(arrays, tensors, strict=True):
        if b.grad is not None:
            np.testing.assert_allclose(a.grad, b.grad.numpy(), rtol=rtol, atol=atol)


POINTS = {
    "relu": ENDS, "leaky_relu": ENDS, "elu": ENDS[:-1], "sigmoid": ENDS, "tanh": ENDS,
    "hardswish": [-3.0, 0.0, 3.0, -4.0, 4.0, 100.0], "hardsigmoid": [-3.0, 3.0, 0.0, -INF, INF, NAN],
    "softplus": [-100.0, 0.0, 20.0, 20.000001, 100.0, INF, -INF], "silu": [-100.0, 0.0, 100.0],
    "gelu": [-40.0, -27.5, -5.0, 0.0, 5.0, 27.5, 40.0],
}


@pytest.mark.parametrize("name", POINTS)
def test_activations_bend_where_torchs_do(name):
    # torch computes gelu and hardsigmoid's slope with less care far out, and softplus' value near its threshold
    agree(getattr(F, name), getattr(TF, name), POINTS[name], rtol=1e-7)


@pytest.mark.parametrize("name", ["abs", "sqrt", "log", "exp"])
def test_elementary_functions_end_where_torchs_do(name):
    agree(getattr(F, name), getattr(torch, name), [-INF, -1.0, 0.0, 1.0, 1e4, INF])


def test_relu_has_slope_0_at_0():
    x = Tensor([0.0, -0.0], requires_grad=True)
    F.relu(x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -2.0, -0.5])
def test_powers_at_special_points(exponent):
    base = [-2.0, 0.0, 2.0, INF]
    agree(lambda x: x**exponent, lambda x: x**exponent, base)
    agree(F.pow, torch.pow, base, [exponent] * 4)
    agree(F.pow, torch.pow, base, exponent)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_equal_numbers_share_the_gradient(name):
    agree(getattr(F, name), getattr(torch, name), [1.0, 2.0, 0.0, 5.0], [1.0, 3.0, -0.0, 5.0])


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
def test_equally_large_ones_share_the_gradient(axis):
    x = [[1.0, 3.0, 3.0], [3.0, 0.0, 0.0]]
    agree(lambda a: F.amax(a, axis), lambda a: torch.amax(a, axis), x)
    agree(lambda a: F.amin(a, axis), lambda a: torch.amin(a, axis), x)


def test_clip_has_slope_1_on_its_bounds():
    agree(lambda x: F.clip(x, -1.0, 1.0), lambda x: torch.clamp(x, -1.0, 1.0), [-2.0, -1.0, 0.0, 1.0, 2.0])
    bounds = [0.0, 0.0, 0.0], [1.0, 0.0, 2.0]
    agree(F.clip, torch.clamp, [0.5, 0.0, 2.0], *bounds)


def test_where_sends_nothing_through_what_was_not_chosen():
    x = Tensor(np.array([0.0, 4.0]), requires_grad=True)
    y = F.where(x > 0, F.sqrt(x), 0.0)
    y.backward(np.ones(2))
    t = torch.tensor([0.0, 4.0], requires_grad=True)
    torch.where(t > 0, t.sqrt(), 0.0).sum().backward()
    np.testing.assert_array_equal(x.grad, t.grad.numpy())  # nan at 0 in both: 0 times an infinite slope


def test_dividing_by_zero_is_quiet_and_right():
    agree(F.div, torch.div, [1.0, 0.0, -1.0], [0.0, 0.0, 2.0])


@pytest.mark.parametrize("x", [[1e4, 0.0, -1e4], [-INF, 0.0, 1.0], [5.0, 5.0, 5.0]])
def test_softmax_of_large_and_missing_scores(x):
    agree(lambda a: F.softmax(a, -1), lambda a: TF.softmax(a, -1), x)
    agree(lambda a: F.log_softmax(a, -1), lambda a: TF.log_softmax(a, -1), x)


def test_cross_entropy_of_a_hopeless_score_is_large_and_finite():
    agree(lambda a: F.cross_entropy(a, np.array([1])), lambda a: TF.cross_entropy(a, torch.tensor([1])), [[1e4, 0.0]])


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_all_targets_ignored(name, reduction):
    target = np.full(2, -100)
    agree(lambda a: getattr(F, name)(a, target, reduction=reduction),
          lambda a: getattr(TF, name)(a, torch.tensor(target), reduction=reduction), [[0.5, 1.0], [2.0, 1.0]])


def test_a_class_of_weight_zero_counts_nothing():
    x, target, weight = [[0.5, 1.0], [2.0, 1.0]], np.array([0, 1]), np.array([0.0, 2.0])
    for smoothing in (0.0, 0.3):
        wanted, weights = torch.tensor(target), torch.tensor(weight)
        agree(lambda a, s=smoothing: F.cross_entropy(a, target, weight, label_smoothing=s),
              lambda a, s=smoothing, t=wanted, w=weights: TF.cross_entropy(a, t, w, label_smoothing=s), x)


def test_binary_cross_entropy_ends_at_100():
    target = np.array([1.0, 0.0, 0.0, 0.5])
    agree(lambda a: F.binary_cross_entropy(a, target, reduction="none"),
          lambda a: TF.binary_cross_entropy(a, torch.tensor(target), reduction="none"),
          [0.0, 1.0, 0.0, 1.0], rtol=1e-8)


@pytest.mark.parametrize("x", [-1e4, -50.0, 0.0, 50.0, 1e4])
def test_binary_cross_entropy_with_logits_is_finite(x):
    for target in (0.0, 1.0):
        wanted = torch.tensor([target], dtype=torch.float64)
        agree(lambda a, t=target: F.binary_cross_entropy_with_logits(a, np.array([t])),
              lambda a, t=wanted: TF.binary_cross_entropy_with_logits(a, t), [x])


@pytest.mark.parametrize("distance", [-1.0, 0.0, 1.0])
def test_rounded_losses_at_their_corners(distance):
    zero = np.zeros(1)
    for name in ("smooth_l1_loss", "huber_loss", "l1_loss"):
        ours, theirs = getattr(F, name), getattr(TF, name)
        agree(lambda a, f=ours: f(a, zero), lambda a, f=theirs: f(a, torch.tensor(zero)), [distance])


def test_max_pooling_gives_ties_to_the_first():
    x = np.zeros((1, 1, 4, 4))
    agree(lambda a: F.max_pool2d(a, 2), lambda a: TF.max_pool2d(a, 2), x)
    agree(lambda a: F.max_pool2d(a, 3, 1, 1), lambda a: TF.max_pool2d(a, 3, 1, 1), x)


def test_erfc_is_right_to_the_last_digits():
    from engine.ops.activation import erfc

    x = np.concatenate([np.linspace(-7, 27, 4001), [0.46875, -0.46875, 4.0, -4.0, 0.0]])
    right = np.array([math.erfc(v) for v in x])
    assert np.max(np.abs(erfc(x) / right - 1)) < 3e-15 * 3
    assert erfc(np.array([INF, -INF])).tolist() == [0.0, 2.0]
    assert math.isnan(erfc(np.array([NAN]))[0])
    assert erfc(np.float32([0.5, 5.0])).dtype == np.float32
