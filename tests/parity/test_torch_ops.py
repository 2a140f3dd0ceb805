"""Every op against torch, value and gradients, in float64, on the cases every op is asked anyway."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as TF

from engine import OPS, Tensor
from tests.engine.op_cases import CASES, Case


def reduced(function: Callable) -> Callable:
    """A torch reduction asked with the engine's axis and keepdims."""

    def call(x, axis=None, keepdims=False):
        axes = tuple(range(x.ndim)) if axis is None else axis
        return function(x, dim=axes, keepdim=keepdims) if x.ndim else function(x, dim=())

    return call


def batch_norm_training(x, w=None, b=None, *, eps=1e-5, moments=None):
    return TF.batch_norm(x, None, None, w, b, True, 0.1, eps)


def getitem(x, index):
    if not (isinstance(index, tuple) and any(isinstance(i, slice) and (i.step or 1) < 0 for i in index)):
        return x[torch.tensor(index) if isinstance(index, np.ndarray) else index]
    # torch has no negative steps: take the places one axis after the other
    for axis, i in enumerate(index):
        x = x.index_select(axis, torch.tensor(np.arange(x.shape[axis])[i].copy()))
    return x


# The op of that name in torch, taking the engine's options. What is not here has torch's own name and options.
TORCH: dict[str, Callable[..., Any]] = {
    "pow": torch.pow, "clip": torch.clamp, "abs": torch.abs, "sum": reduced(torch.sum), "mean": reduced(torch.mean),
    "max": reduced(torch.amax), "min": reduced(torch.amin),
    "cast": lambda x, dtype: x.to(getattr(torch, np.dtype(dtype).name)),
    "reshape": lambda x, shape=(-1,): x.reshape(shape), "concat": lambda *xs, dim=0: torch.cat(xs, dim),
    "stack": lambda *xs, dim=0: torch.stack(xs, dim), "transpose": lambda x, axes=None: x.permute(
        tuple(reversed(range(x.ndim))) if axes is None else axes),
    "contiguous": torch.Tensor.contiguous, "unsqueeze": lambda x, dim=0: x.unsqueeze(dim),
    "squeeze": lambda x, dim=None: x.squeeze() if dim is None else x.squeeze(dim),
    "broadcast_to": lambda x, shape: x.broadcast_to(shape), "getitem": getitem,
    "pad": lambda x, pad=(), mode="constant", value=None: TF.pad(x, pad, mode, value),
    "one_hot": TF.one_hot, "einsum": lambda *xs, equation: torch.einsum(equation, *xs),
    "max_pool2d": lambda x, kernel_size=2, **o: TF.max_pool2d(x, kernel_size, **o),
    "avg_pool2d": lambda x, kernel_size=2, **o: TF.avg_pool2d(x, kernel_size, **o),
    "adaptive_avg_pool2d": lambda x, output_size=1: TF.adaptive_avg_pool2d(x, output_size),
    "adaptive_max_pool2d": lambda x, output_size=1: TF.adaptive_max_pool2d(x, output_size),
    "batch_norm_training": batch_norm_training,
    "batch_norm_inference": lambda x, mean, var, w=None, b=None, *, eps=1e-5: TF.batch_norm(
        x, mean, var, w, b, False, 0.1, eps),
    "layer_norm": lambda x, w=None, b=None, *, normalized_shape, eps=1e-5: TF.layer_norm(
        x, np.atleast_1d(normalized_shape).tolist(), w, b, eps),
    "group_norm": lambda x, w=None, b=None, *, num_groups=1, eps=1e-5: TF.group_norm(x, num_groups, w, b, eps),
    "instance_norm": lambda x, w=None, b=None, *, eps=1e-5: TF.instance_norm(x, weight=w, bias=b, eps=eps),
    "dropout": lambda x, keep, *, p=0.5: x * keep / (1 - p),
    "softmax": lambda x, dim=-1: TF.softmax(x, dim), "log_softmax": lambda x, dim=-1: TF.log_softmax(x, dim),
    "binary_cross_entropy_with_logits": lambda x, t, w=None, p=None, **o: TF.binary_cross_entropy_with_logits(
        x, t, w, pos_weight=p, **o),
    "conv2d": lambda x, w, b=None, **o: framed(x, w, b, **o),
}


def framed(x, w, b, padding=0, **o):
    if isinstance(padding, tuple) and isinstance(padding[0], tuple):
        (top, bottom), (left, right) = padding
        x, padding = TF.pad(x, (left, right, top, bottom)), 0
    return TF.conv2d(x, w, b, padding=padding, **o)




# Inputs that torch gives no gradient and the engine does: what it is, test_ops.py measures.
NO_GRADIENT_IN_TORCH = {
    "batch_norm_inference": (1, 2), "binary_cross_entropy": (2,), "binary_cross_entropy_with_logits": (2, 3),
}
# torch's own gradient of hardsigmoid is a sixth in float32, whatever the dtype.
TOLERANCE = {"hardsigmoid": 1e-7}


def theirs(name: str) -> Callable[..., Any]:
    return TORCH.get(name) or getattr(TF, name, None) or getattr(torch, name)


def torch_inputs(row: Case, fixed: tuple[int, ...]):
    for k, a in enumerate(row.arrays):
        if a is None:
            yield None
        else:
            yield torch.tensor(np.ascontiguousarray(a).reshape(a.shape),
                               requires_grad=a.dtype.kind == "f" and k not in fixed)


@pytest.mark.parametrize(("name", "row"), [pytest.param(name, row, id=f"{name}-{k}")
                                           for name, rows in CASES.items() for k, row in enumerate(rows)])
def test_value_and_gradients_are_torchs(name, row):
    fixed = NO_GRADIENT_IN_TORCH.get(name, row.fixed)
    tensors = list(torch_inputs(row, fixed))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Using padding='same'")
        y = theirs(name)(*tensors, **row.options)
    ours = [None if a is None else Tensor(a, requires_grad=a.dtype.kind == "f" and k not in fixed)
            for k, a in enumerate(row.arrays)]
    z = OPS[name](*ours, **row.options)
    assert z.shape == tuple(y.shape)
    assert z.dtype == y.detach().numpy().dtype
    np.testing.assert_allclose(z.data, y.detach().numpy(), rtol=1e-10, atol=1e-12)
    if not y.requires_grad:
        assert not z.requires_grad
        return
    g = np.random.default_rng(1).standard_normal(z.shape)
    y.backward(torch.tensor(g, dtype=y.dtype))
    z.backward(g)
    for a, t in zip(ours, tensors, strict=True):
        if t is not None and t.requires_grad:
            np.testing.assert_allclose(a.grad, t.grad.numpy(), rtol=TOLERANCE.get(name, 1e-9), atol=1e-11)
