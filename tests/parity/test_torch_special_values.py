"""Activations and elementary functions at nan, ±inf, ±0, the largest and the smallest numbers: value and gradient."""

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as TF
from onnx import TensorProto, helper
from torch import nn

from engine import Tensor, layers
from engine import functional as F
from playground.deploy.engine_backend import EngineBackend, onnx_to_engine
from tests.parity.test_engine_onnx_roundtrip import by_onnxruntime

PIECEWISE = {  # straight pieces: exact to the last digit, and the sign of zero
    "relu": [{}], "leaky_relu": [{}, {"negative_slope": 0.3}, {"negative_slope": 0.0}, {"negative_slope": -0.5}],
    "hardsigmoid": [{}],
    "clamp": [{"min": 0.0, "max": 6.0}, {"min": -1.0}, {"max": 1.0}], "abs": [{}],
}
SMOOTH = {
    "elu": [{}, {"alpha": 0.4}], "sigmoid": [{}], "tanh": [{}], "silu": [{}], "hardswish": [{}], "erf": [{}],
    "softplus": [{}, {"beta": 2.5}, {"threshold": 3.0}], "gelu": [{}, {"approximate": "tanh"}], "exp": [{}],
    "log": [{}], "sqrt": [{}], "sin": [{}], "cos": [{}],
}
LAYERS = {"ReLU", "LeakyReLU", "ELU", "GELU", "SiLU", "Hardswish", "Hardsigmoid", "Softplus", "Sigmoid", "Tanh"}


def special(dtype):
    kind = np.finfo(dtype)
    ends = [np.nan, np.inf, kind.max, np.sqrt(kind.max), 1e4, 745.0, 709.0, 104.0, 88.8, 38.0, 20.0, 13.0, 6.0, 3.0,
            1.0, 0.5, 0.46875, kind.eps, kind.tiny, kind.smallest_subnormal, 0.0]
    return np.array([*ends, *(-x for x in ends)], dtype)


@pytest.fixture(autouse=True)
def _torchs_own_kernels():
    """On some processors torch hands gelu to oneDNN, whose answer to inf is nan."""
    with torch.backends.mkldnn.flags(enabled=False):
        yield


def theirs(name):
    return getattr(TF, name, None) or getattr(torch, name)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("name", "options"), [(name, o) for rows in (PIECEWISE, SMOOTH) for name, row in rows.items()
                                               for o in row])
def test_value_and_gradient_are_torchs_at_special_numbers(name, options, dtype):
    x = special(dtype)
    ours, right = Tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is said about it either
        y = getattr(F, name)(ours, **options)
        y.backward(np.ones(x.shape, dtype))
    z = theirs(name)(right, **options)
    z.backward(torch.ones_like(z))
    single = dtype == np.float32
    exact = name in PIECEWISE
    for found, wanted in ((y.data, z.detach().numpy()), (ours.grad, right.grad.numpy())):
        rtol = 1e-7 if exact else 1e-4 if single else 1e-11  # torch's own gelu in float32 is off by 5e-5 at -3
        np.testing.assert_allclose(found, wanted, rtol=rtol, atol=0 if exact else 1e-7 if single else 1e-15)
        if exact:
            zeros = (wanted == 0) & ~np.isnan(x)
            np.testing.assert_array_equal(np.signbit(found[zeros]), np.signbit(wanted[zeros]))


def test_every_activation_is_asked():
    functions = {"ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu", "GELU": "gelu", "SiLU": "silu",
                 "Hardswish": "hardswish", "Hardsigmoid": "hardsigmoid", "Softplus": "softplus", "Sigmoid": "sigmoid",
                 "Tanh": "tanh"}
    here = set(nn.modules.activation.__all__) & set(layers.__all__) - {"Softmax", "LogSoftmax"}
    assert here == set(functions) == LAYERS
    assert set(functions.values()) <= set(PIECEWISE) | set(SMOOTH)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_the_larger_of_two_special_numbers(name, dtype):
    kind = np.finfo(dtype)
    ends = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, kind.max, -kind.max, kind.smallest_subnormal, 1.0], dtype)
    x, y = (a.ravel() for a in np.meshgrid(ends, ends))
    for g in (1.0, np.inf):
        ours = [Tensor(a.copy(), requires_grad=True) for a in (x, y)]
        right = [torch.tensor(a, requires_grad=True) for a in (x, y)]
        z, t = getattr(F, name)(*ours), getattr(torch, name)(*right)
        np.testing.assert_array_equal(z.data, t.detach().numpy())
        z.backward(np.full(z.shape, g, dtype))
        t.backward(torch.full_like(t, g))
        for a, b in zip(ours, right, strict=True):
            np.testing.assert_array_equal(a.grad, b.grad.numpy())


@pytest.mark.parametrize("name", ["l1_loss", "smooth_l1_loss", "huber_loss", "mse_loss"])
def test_losses_at_special_numbers(name):
    x = special(np.float32)
    ours, right = Tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
    with np.errstate(all="ignore"):
        y = getattr(F, name)(ours, np.ones_like(x), reduction="none")
        y.backward(np.ones(x.shape, np.float32))
    z = getattr(TF, name)(right, torch.ones_like(right), reduction="none")
    z.backward(torch.ones_like(z))
    np.testing.assert_allclose(y.data, z.detach().numpy(), rtol=1e-6)
    np.testing.assert_allclose(ours.grad, right.grad.numpy(), rtol=1e-6)


# --- the same operators in a file ---

OPERATORS = [("Erf", {}, torch.erf), ("Relu", {}, torch.relu), ("Sigmoid", {}, torch.sigmoid), ("Tanh", {}, torch.tanh),
             ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}, TF.hardsigmoid), ("Elu", {}, TF.elu),
             ("LeakyRelu", {"alpha": 0.01}, TF.leaky_relu), ("Abs", {}, torch.abs), ("Exp", {}, torch.exp),
             ("Softplus", {}, TF.softplus), ("HardSwish", {}, TF.hardswish), ("Gelu", {}, TF.gelu)]


@pytest.mark.parametrize(("op_type", "attributes", "right"), OPERATORS, ids=[row[0] for row in OPERATORS])
def test_imported_activations_at_special_numbers(op_type, attributes, right):
    x = special(np.float32)
    node = helper.make_node(op_type, ["pixels"], ["y"], **attributes)
    graph = helper.make_graph([node], "one", [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, x.shape)],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    (y,) = EngineBackend.run_model(model, [x])
    np.testing.assert_allclose(y, right(torch.tensor(x)).numpy(), rtol=1e-4, atol=1e-7)
    if op_type == "Erf":  # onnxruntime as the second judge where it is sure
        np.testing.assert_allclose(y, by_onnxruntime(model, x), rtol=1e-5, atol=1e-7)
    leaf, theirs = Tensor(x.copy(), requires_grad=True), torch.tensor(x, requires_grad=True)
    z = right(theirs)
    z.backward(torch.ones_like(z))
    onnx_to_engine(model)(leaf).backward(np.ones(x.shape, np.float32))
    np.testing.assert_allclose(leaf.grad, theirs.grad.numpy(), rtol=1e-4, atol=1e-7)


def test_imported_prelu_has_torchs_slopes():
    x, slope = special(np.float32).reshape(1, 2, -1), np.array([0.25, -0.5], np.float32)
    node = helper.make_node("PRelu", ["x", "slope"], ["y"])
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
              for name, shape in (("x", x.shape), ("slope", (2, 1)))]
    graph = helper.make_graph([node], "one", inputs,
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)])
    model = onnx_to_engine(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9))
    ours = Tensor(x, requires_grad=True), Tensor(slope[:, None], requires_grad=True)
    right = torch.tensor(x, requires_grad=True), torch.tensor(slope, requires_grad=True)
    y, z = model(*ours), TF.prelu(*right)
    np.testing.assert_array_equal(y.data, z.detach().numpy())
    y.backward(np.ones(x.shape, np.float32))
    z.backward(torch.ones_like(z))
    for a, b in zip(ours, right, strict=True):
        np.testing.assert_allclose(a.grad.ravel(), b.grad.numpy().ravel(), rtol=1e-6)
