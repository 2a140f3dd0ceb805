"""No pictures, one picture, one pixel, one channel: value, gradient and state of every layer and loss are torch's, or
both refuse; and whoever refuses has moved no state."""

import inspect
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from torch import nn

from engine import Tensor, layers
from engine import functional as F

Row = tuple[str, tuple[Any, ...], dict[str, Any]]


def image_layers(c: int) -> list[Row]:
    """Every layer that takes images, for c channels."""
    rows: list[Row] = [("Conv2d", (c, 4 * c, 3), o) for o in (
        {}, {"padding": 1}, {"padding": 1, "stride": 2}, {"padding": 1, "groups": c}, {"padding": 1, "bias": False})]
    rows += [("Conv2d", (c, 3, 1), {}), ("Conv2d", (c, c, 1), {"groups": c})]
    rows += [("Conv2d", (c, 3, 3), {"padding": 1, "padding_mode": mode})
             for mode in ("reflect", "circular", "replicate")]
    rows += [("ConvTranspose2d", (c, 4 * c, 3), o) for o in ({}, {"stride": 2}, {"padding": 1}, {"groups": c})]
    rows += [("BatchNorm2d", (c,), o) for o in ({}, {"momentum": None}, {"affine": False},
                                                {"track_running_stats": False})]
    rows += [("InstanceNorm2d", (c,), o) for o in ({}, {"track_running_stats": True}, {"affine": True},
                                                   {"affine": True, "track_running_stats": True})]
    rows += [("GroupNorm", (1, c), {}), ("GroupNorm", (c, c), {})]
    rows += [(name, (), {}) for name in ("ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Hardswish", "Hardsigmoid",
                                         "Softplus", "Sigmoid", "Tanh", "Identity", "Flatten")]
    rows += [("Softmax", (1,), {}), ("LogSoftmax", (1,), {})]
    for pool in ("MaxPool2d", "AvgPool2d"):
        rows += [(pool, size, {}) for size in ((1,), (2,), (3, 2, 1))] + [(pool, (2,), {"ceil_mode": True}),
                                                                       (pool, (3,), {"ceil_mode": True})]
    rows += [(pool, (size,), {}) for pool in ("AdaptiveAvgPool2d", "AdaptiveMaxPool2d")
             for size in (1, 2, (1, 3), (None, 2))]
    modes = ("nearest", "nearest-exact", "bilinear", "bicubic", "area")
    rows += [("Upsample", (), {"mode": mode, **o}) for mode in modes
             for o in ({"scale_factor": 2}, {"size": (2, 3)}, {"scale_factor": 0.5})]
    rows += [("ZeroPad2d", (1,), {}), ("ReflectionPad2d", (1,), {}), ("ReplicationPad2d", (1,), {})]
    return [*rows, ("Dropout", (0.5,), {}), ("Dropout2d", (0.5,), {})]


SHAPES = [(0, 4, 4), (1, 4, 4), (3, 1, 1), (1, 1, 1), (0, 1, 1), (2, 1, 4)]  # pictures, rows, columns
NOT_ENOUGH = [(2, 0, 4), (0, 0, 0)]  # no pixels
ROWS_OF_NUMBERS: list[tuple[Row, list[tuple[int, ...]]]] = [
    *((row, [(0, 3), (1, 3), (3,), (2, 0, 3), (1, 1, 3)]) for row in (
        ("Linear", (3, 2), {}), ("Linear", (3, 2), {"bias": False}), ("LayerNorm", (3,), {}),
        ("LayerNorm", (3,), {"elementwise_affine": False}))),
    *((("BatchNorm1d", (3,), o), [(0, 3), (1, 3), (2, 3), (0, 3, 2), (1, 3, 1), (2, 3, 1)])
      for o in ({}, {"momentum": None}, {"affine": False}, {"track_running_stats": False})),
    (("Linear", (1, 1), {}), [(0, 1), (1, 1)]), (("Linear", (0, 2), {}), [(2, 0), (0, 0)]),
    (("LayerNorm", ((1,),), {}), [(2, 1), (0, 1)]),
]


def both(row: Row) -> tuple[nn.Module, Any]:
    name, arguments, options = row
    theirs = getattr(nn, name)(*arguments, **options).double()
    typed = "dtype" in inspect.signature(getattr(layers, name)).parameters
    ours = getattr(layers, name)(*arguments, **options, **({"dtype": np.float64} if typed else {}))
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return theirs, ours


def outcome(call: Any) -> tuple[Any, Exception | None]:
    try:
        return call(), None
    except (ValueError, RuntimeError, IndexError) as error:
        return None, error


def torchs_own_slip(row: Row, shape: tuple[int, ...], training: bool) -> bool:
    """Where torch is not followed: instance norm fails on the scale of no pictures, and its statistics become nan."""
    kept = row[2].get("track_running_stats") and not training
    return row[0] == "InstanceNorm2d" and shape[0] == 0 and (shape[2:] != (1, 1) or bool(kept))


def compare(row: Row, shape: tuple[int, ...], training: bool) -> None:
    theirs, ours = both(row)
    theirs.train(training)
    ours.train(training)
    before = {key: np.array(value) for key, value in ours.state_dict().items()}
    x = np.random.default_rng(1).standard_normal(shape)
    leaf, right = Tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
    z, refused = outcome(lambda: theirs(right))
    y, refusal = outcome(lambda: ours(leaf))
    at = f"{row} {shape} training={training}: {refusal or 'ours did'}, {refused or 'torch did'}"
    if torchs_own_slip(row, shape, training):
        assert refusal is None, at
        assert all(np.array_equal(value, before[key]) for key, value in ours.state_dict().items()), at
        return
    assert (refused is None) == (refusal is None), at
    if refusal is not None:
        assert isinstance(refusal, ValueError), at  # a sentence, not an accident
        for key, value in ours.state_dict().items():
            np.testing.assert_array_equal(value, before[key], err_msg=at)
        return
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), err_msg=f"{at}, {key}")
    if row[0].startswith("Dropout") and training:
        assert y.shape == tuple(z.shape)
        return
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-9, atol=1e-12, err_msg=at)
    if 0 in y.shape[1:]:
        return  # torch has no way back from images without pixels
    g = np.random.default_rng(2).standard_normal(y.shape)
    y.backward(g)
    z.backward(torch.tensor(g))
    np.testing.assert_allclose(leaf.grad, right.grad.numpy(), rtol=1e-7, atol=1e-10, err_msg=at)
    for (key, p), q in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(p.grad, q.grad.numpy(), rtol=1e-7, atol=1e-10, err_msg=f"{at}, {key}")


def names(rows: list[Row]) -> list[str]:
    return [f"{name} {arguments} {options}" for name, arguments, options in rows]


@pytest.mark.parametrize("k", range(len(image_layers(1))), ids=names(image_layers(1)))
@pytest.mark.parametrize("channels", [1, 2])
def test_layers_of_images(channels, k):
    row = image_layers(channels)[k]
    for n, h, w in SHAPES:
        for training in (True, False):
            compare(row, (n, channels, h, w), training)


@pytest.mark.parametrize(("row", "shapes"), ROWS_OF_NUMBERS, ids=names([row for row, _ in ROWS_OF_NUMBERS]))
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_layers_of_rows(row, shapes):
    for shape in shapes:
        for training in (True, False):
            compare(row, shape, training)


@pytest.mark.parametrize("k", range(len(image_layers(1))), ids=names(image_layers(1)))
def test_images_without_pixels_or_channels_give_an_answer_or_a_sentence(k):
    for training in (True, False):
        for shape in [(n, 1, h, w) for n, h, w in NOT_ENOUGH] + [(2, 0, 4, 4)]:
            _, ours = both(image_layers(1)[k])
            ours.train(training)
            before = {key: np.array(value) for key, value in ours.state_dict().items()}
            _, refusal = outcome(lambda ours=ours, shape=shape: ours(Tensor(np.zeros(shape))))
            assert refusal is None or isinstance(refusal, ValueError), (shape, refusal)
            for key in {"running_mean", "running_var"} & before.keys():
                np.testing.assert_array_equal(ours.state_dict()[key], before[key])


def test_every_layer_of_one_input_is_asked():
    asked = {name for name, _, _ in image_layers(1)} | {row[0] for row, _ in ROWS_OF_NUMBERS}
    not_of_one = {"Flow", "Function", "Module", "ModuleList", "Row", "Sequential", "Summary", "summary"}
    assert set(layers.__all__) - not_of_one - set(LOSSES) == asked


LOSSES = {"CrossEntropyLoss", "NLLLoss", "MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss",
          "BCEWithLogitsLoss"}


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("shape", [(0, 3), (1, 3), (1, 1), (0, 1)])
def test_losses_of_no_and_of_one_sample(name, reduction, shape):
    rng = np.random.default_rng(0)
    x = rng.uniform(0.1, 0.9, shape)
    of_classes = name in ("CrossEntropyLoss", "NLLLoss")
    target = np.zeros(shape[0], np.int64) if of_classes else rng.uniform(0, 1, shape)
    ours, right = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = getattr(layers, name)(reduction=reduction)(ours, target)
    z = getattr(nn, name)(reduction=reduction)(right, torch.tensor(target))
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-9)
    y.backward(np.ones(y.shape))
    z.backward(torch.ones_like(z))
    np.testing.assert_allclose(ours.grad, right.grad.numpy(), rtol=1e-9)


SHAPED = {
    "sum": (lambda f, x: x.sum(0)), "mean": (lambda f, x: x.mean(0)),
    "flatten": (lambda f, x: x.flatten(1)), "permute": (lambda f, x: x.permute(3, 0, 1, 2)),
    "squeeze": (lambda f, x: x.squeeze(1)), "unsqueeze": (lambda f, x: x.unsqueeze(0)),
    "pad": (lambda f, x: f.pad(x, (1, 2, 0, 1))), "getitem": (lambda f, x: x[:, 0, ::1, 1:]),
    "matmul": (lambda f, x: x @ x.transpose(2, 3)), "softmax": (lambda f, x: f.softmax(x, 1)),
    "max": (lambda f, x: f.amax(x, 1) if f is F else torch.amax(x, 1)),
    "concat": (lambda f, x: f.cat([x, x], 1) if f is F else torch.cat([x, x], 1)),
    "stack": (lambda f, x: f.stack([x, x], 1) if f is F else torch.stack([x, x], 1)),
    "where": (lambda f, x: (f if f is F else torch).where(x > 0, x, x * 2)),
}


@pytest.mark.parametrize("name", SHAPED)
@pytest.mark.parametrize("shape", [(0, 1, 4, 4), (1, 1, 1, 1), (1, 1, 4, 4), (0, 1, 1, 1)])
def test_shapes_and_sums_of_nothing_and_of_one(name, shape):
    call = SHAPED[name]
    x = np.random.default_rng(0).standard_normal(shape)
    ours, right = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    with np.errstate(all="ignore"):
        y, z = call(F, ours), call(TF, right)
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-9)
    with np.errstate(all="ignore"):
        y.backward(np.ones(y.shape))
    z.backward(torch.ones_like(z))
    np.testing.assert_allclose(ours.grad, right.grad.numpy(), rtol=1e-9)
