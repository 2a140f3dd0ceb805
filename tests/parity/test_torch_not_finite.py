"""One inf or nan pixel, or one in the gradient that arrives: it stays within its own windows, as in torch."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from torch import nn

from engine import Tensor, layers
from engine import functional as F
from playground.deploy.engine_backend import onnx_to_engine
from playground.deploy.engine_export import engine_to_onnx
from tests.parity.test_engine_onnx_roundtrip import by_onnxruntime

POISONS = [math.inf, -math.inf, math.nan]


def filters(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def conv(f: Any, x: Any, shape: tuple[int, ...], **options: Any) -> Any:
    w = filters(*shape)
    return f.conv2d(x, torch.tensor(w) if f is TF else w, **options)


SIZES = [(1, 1), (3, 3), (9, 11), (8, 8), (12, 16)]
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "avg_pool2d": lambda f, x: f.avg_pool2d(x, 2),
    "avg_pool2d overlapping": lambda f, x: f.avg_pool2d(x, 3, 2, 1),
    "avg_pool2d ceil": lambda f, x: f.avg_pool2d(x, 3, 2, 1, True, False),
    "max_pool2d": lambda f, x: f.max_pool2d(x, 2),
    "max_pool2d overlapping": lambda f, x: f.max_pool2d(x, 3, 2, 1),
    **{f"adaptive_avg_pool2d {size}": lambda f, x, size=size: f.adaptive_avg_pool2d(x, size)  # type: ignore[misc]
       for size in (1, 2, (3, 5), (8, 3))},
    "adaptive_max_pool2d": lambda f, x: f.adaptive_max_pool2d(x, (3, 5)),
    **{f"area {size}": lambda f, x, size=size: f.interpolate(x, size, mode="area")  # type: ignore[misc]
       for size in SIZES},
    **{f"{mode} {size} {corners}": lambda f, x, size=size, mode=mode, corners=corners: f.interpolate(  # type: ignore[misc]
        x, size, mode=mode, align_corners=corners) for mode in ("bilinear", "bicubic") for size in SIZES
       for corners in (False, True)},
    **{f"{mode} {size}": lambda f, x, size=size, mode=mode: f.interpolate(x, size, mode=mode)  # type: ignore[misc]
       for mode in ("nearest", "nearest-exact") for size in SIZES},
    "conv2d": lambda f, x: conv(f, x, (4, 16, 3, 3)),
    "conv2d by tiles": lambda f, x: conv(f, x, (16, 16, 3, 3), padding=1),
    "conv2d depthwise": lambda f, x: conv(f, x, (16, 1, 3, 3), padding=1, groups=16),
    "conv2d depthwise, stride 2": lambda f, x: conv(f, x, (16, 1, 3, 3), padding=1, groups=16, stride=2),
    "relu": lambda f, x: f.relu(x),
    "leaky_relu": lambda f, x: f.leaky_relu(x),
    "pad reflect": lambda f, x: f.pad(x, (1, 1, 1, 1), "reflect"),
}


def images() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((8, 16, 8, 8), np.float32)


def answers(
    call: Callable[[Any, Any], Any], x: np.ndarray, poison: float | None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Value and gradient, ours and torch's; with a poison in the gradient that arrives where one is given."""
    ours, theirs = Tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
    y, z = call(F, ours), call(TF, theirs)
    g = np.random.default_rng(3).standard_normal(y.shape, np.float32)
    if poison is not None:
        g[(1, 1, *(n // 2 for n in g.shape[2:]))] = poison
    y.backward(g)
    z.backward(torch.tensor(g))
    return [(y.data, z.detach().numpy()), (ours.grad, theirs.grad.numpy())]


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_pixel_reaches_its_own_windows_only(name, poison):
    x = images()
    x[1, 1, 3, 4] = poison
    for ours, right in answers(CALLS[name], x, None):
        np.testing.assert_allclose(ours, right, rtol=1e-3, atol=1e-4)
        assert np.isfinite(ours).mean() > 0.9


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_arriving_gradient_reaches_its_own_window_only(name, poison):
    for ours, right in answers(CALLS[name], images(), poison):
        np.testing.assert_allclose(ours, right, rtol=1e-3, atol=1e-4)
        assert np.isfinite(ours).mean() > 0.9


SPECIAL = (-math.inf, -3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 2.0, 2.5, math.inf, math.nan)


@pytest.mark.parametrize("arriving", [1.0, 0.0, -2.0, math.inf, math.nan])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_powers_of_special_numbers(kind: Any, arriving: float) -> None:
    """By one number, and by an array of them."""
    bases = np.repeat(np.array(SPECIAL, kind), len(SPECIAL))
    exponents = np.tile(np.array(SPECIAL, kind), len(SPECIAL))
    g = np.full(bases.shape, arriving, kind)
    ours, theirs = ([make(one) for one in (bases, exponents)] for make in (
        lambda one: Tensor(one, requires_grad=True), lambda one: torch.tensor(one, requires_grad=True)))
    (z := ours[0] ** ours[1]).backward(g)
    (right := theirs[0] ** theirs[1]).backward(torch.tensor(g))
    np.testing.assert_allclose(z.data, right.detach().numpy(), rtol=1e-5)
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our.grad, their.grad.numpy(), rtol=1e-5)
    for exponent in SPECIAL:
        x, y = Tensor(bases, requires_grad=True), torch.tensor(bases, requires_grad=True)
        (z := x ** exponent).backward(g)
        (right := y ** exponent).backward(torch.tensor(g))
        np.testing.assert_allclose(z.data, right.detach().numpy(), rtol=1e-5, err_msg=str(exponent))
        np.testing.assert_allclose(x.grad, y.grad.numpy(), rtol=1e-5, err_msg=str(exponent))


def test_the_example_of_adaptive_averages():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, 0, 0] = math.inf
    assert F.adaptive_avg_pool2d(x, 2).data.ravel().tolist() == [math.inf, 4.5, 10.5, 12.5]


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("order", ["NCHW", "HWNC", "CHWN"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_tiles_and_means_in_every_memory_order(order, poison):
    whole = images()
    whole[2, 3, 4, 5] = poison
    axes = ["NCHW".index(axis) for axis in order]
    x = np.ascontiguousarray(whole.transpose(axes)).transpose(np.argsort(axes))
    for name in ("conv2d by tiles", "max_pool2d", "adaptive_avg_pool2d 1", "adaptive_avg_pool2d (3, 5)"):
        for ours, right in answers(CALLS[name], x, None):
            np.testing.assert_allclose(ours, right, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("size", [1, 2, 3, (5, 3), (7, 8)])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_exported_averages_keep_it_there_too(size):
    x = images()[:, :1]
    x[0, 0, 3, 4] = math.inf
    model = engine_to_onnx(layers.Sequential(layers.AdaptiveAvgPool2d(size)), (1, 1, 8, 8))
    right = nn.AdaptiveAvgPool2d(size)(torch.tensor(x)).numpy()
    np.testing.assert_allclose(by_onnxruntime(model, x), right, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(onnx_to_engine(model)(x).data, right, rtol=1e-5, atol=1e-6)
