"""The gains foretold are those of wide random networks in torch; the ways through shortcuts add up to their product."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from playground.errors import PlaygroundError
from playground.steps.depth import ACTIVATIONS, Moments, expected, gain_steps, ways

WIDE, PICTURES, LAYERS = 700, 100, 4
TORCH = {"none": torch.nn.Identity(), "ReLU": torch.nn.ReLU(), "tanh": torch.nn.Tanh(), "sigmoid": torch.nn.Sigmoid()}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("batch_norm", "shortcuts"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("gain", [0.5, 2.0])
def test_the_sizes_and_gradients_of_a_wide_network_are_the_foretold_ones(
    activation: str, batch_norm: bool, shortcuts: bool, gain: float
) -> None:
    drawn = torch.Generator().manual_seed(0)
    x = torch.randn(PICTURES, WIDE, generator=drawn, dtype=torch.float64, requires_grad=True)
    held, outputs = x, [x]
    for _ in range(LAYERS):
        w = torch.randn(WIDE, WIDE, generator=drawn, dtype=torch.float64) * (gain / WIDE) ** 0.5
        z = held @ w.T
        if batch_norm:
            z = torch.nn.functional.batch_norm(z, None, None, training=True, eps=1e-12)
        y = TORCH[activation](z)
        held = held + y if shortcuts else y
        held.retain_grad()
        outputs.append(held)
    held.backward(torch.randn(held.shape, generator=drawn, dtype=torch.float64))
    told = list(gain_steps(LAYERS, activation, gain, Moments(1.0, 0.0, 1.0), batch_norm=batch_norm,
                           shortcuts=shortcuts))
    sizes = [float(one.detach().pow(2).mean().sqrt()) for one in outputs]
    np.testing.assert_allclose([step.size for step in told], sizes[1:], rtol=0.1)
    gradients = [float(one.grad.pow(2).mean().sqrt()) for one in outputs]
    measured = [before / after for before, after in pairwise(gradients)]
    np.testing.assert_allclose([step.backward for step in told], measured, rtol=0.1)
    for step, before in zip(told, sizes, strict=False):
        assert step.forward == pytest.approx(step.size / before, rel=0.1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_curves_are_torchs(activation: str) -> None:
    z = torch.linspace(-4, 4, 32, dtype=torch.float64, requires_grad=True)
    y = TORCH[activation](z)
    y.sum().backward()
    function, slope = ACTIVATIONS[activation]
    np.testing.assert_allclose(function(z.detach().numpy()), y.detach(), atol=1e-12)
    np.testing.assert_allclose(slope(z.detach().numpy()), z.grad, atol=1e-12)


def test_no_layer_of_sigmoids_lets_more_than_a_quarter_through() -> None:
    for deviation in (0.01, 1.0, 10.0):
        assert expected(lambda z: ACTIVATIONS["sigmoid"][1](z) ** 2, deviation) ** 0.5 <= 0.25


@pytest.mark.parametrize(("layers", "slope"), [(1, 0.3), (10, 0.1), (50, -0.02), (20, 0.0)])
def test_all_ways_together_are_the_product(layers: int, slope: float) -> None:
    found = list(ways(layers, slope))
    assert sum(way.count for way in found) == 2**layers
    assert sum(way.together for way in found) == pytest.approx((1 + slope) ** layers)
    assert found[0].together == 1


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(PlaygroundError, match="no activation 'swish'"):
        next(gain_steps(1, "swish", 1.0, Moments(1.0, 0.0, 1.0)))
