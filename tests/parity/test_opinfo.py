"""PyTorch's own sample inputs (OpInfo) for every function that both have: torch's answer, or a refusal with a name.

Values and the gradients of all inputs, in float64, to 1e-8. What may be refused stands in one table.
"""

import re
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from engine import Tensor
from engine import functional as F

if TYPE_CHECKING:
    from torch.testing._internal.opinfo.core import OpInfo

pytestmark = pytest.mark.slow

# torch's name of an OpInfo -> the engine's function. Names with a variant ("nn.functional.pad.reflect") come along.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{f"nn.functional.{name}": getattr(F, name) for name in (
        "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool2d", "batch_norm", "binary_cross_entropy",
        "binary_cross_entropy_with_logits", "conv2d", "conv_transpose2d", "cross_entropy", "dropout", "dropout2d",
        "elu", "gelu", "group_norm", "hardsigmoid", "hardswish", "huber_loss", "instance_norm", "interpolate",
        "l1_loss", "layer_norm", "leaky_relu", "linear", "max_pool2d", "mse_loss", "nll_loss", "one_hot", "pad", "relu",
        "silu", "smooth_l1_loss", "softplus",
    )},
    **{name: getattr(F, name) for name in (
        "abs", "add", "amax", "amin", "broadcast_to", "cat", "clamp", "cos", "eq", "exp", "flatten", "ge", "gt", "le",
        "log", "log_softmax", "lt", "matmul", "maximum", "mean", "minimum", "mul", "ne", "neg", "permute", "pow",
        "reshape", "sigmoid", "sin", "softmax", "sqrt", "squeeze", "stack", "sub", "sum", "tanh", "transpose",
        "unsqueeze",
    )},
    "div": F.div,
    "__getitem__": lambda x, index: x[index],
    "einsum": lambda tensors, equation: F.einsum(equation, *tensors),
    "where": lambda x, condition, other: F.where(condition, x, other),
}

# What may be refused, by OpInfo: every refusal's sentence must match, and one must happen. Anything else raised is a
# wrong answer.
REFUSED = {
    "div.trunc_rounding": "'rounding_mode'", "div.floor_rounding": "'rounding_mode'",
    "nn.functional.pad.circular": "in mode 'circular' a negative width",
    **{f"nn.functional.interpolate.{mode}": r"interpolate takes images \(N, C, H, W\)"
       for mode in ("nearest", "nearest-exact", "linear", "trilinear", "area")},
    "nn.functional.batch_norm": r"batch norm takes \(N, C, ...\), not \(0,\)",
    "nn.functional.batch_norm.without_cudnn": r"batch norm takes \(N, C, ...\), not \(0,\)",
    "einsum": r"einsum .*('...'|a letter twice in one array) is not offered",
    "cat": r"an array of shape \(0,\) has no axis 1",  # torch lets an empty vector stand beside matrices
}
# Samples in one or three dimensions, which two-dimensional functions need not answer.
NOT_IMAGES = {"nn.functional.interpolate": 4}

EVERY = {"nn.functional.max_pool2d": 7}  # of its 1,440 samples one in seven is asked


def title(info: "OpInfo") -> str:
    return f"{info.name}.{info.variant_test_name}" if info.variant_test_name else info.name


@cache
def infos() -> dict[str, "OpInfo"]:
    """By title. Torch needs seconds for the table of all its functions: one process pays them, as these tests begin,
    not each as it collects."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return {title(info): info for info in op_db if info.name in FUNCTIONS and info.variant_test_name != "complex"}


def samples(info: "OpInfo") -> list[Any]:
    whole = info.name == "nn.functional.one_hot"
    found = info.sample_inputs("cpu", torch.int64 if whole else torch.float64, requires_grad=not whole)
    return list(found)[:: EVERY.get(info.name, 1)]


def ours(value: Any) -> Any:
    """A sample's argument as the engine takes it."""
    if isinstance(value, torch.Tensor):
        return Tensor(value.detach().numpy().copy(), requires_grad=value.requires_grad)
    if isinstance(value, torch.dtype):
        return np.dtype(str(value).removeprefix("torch."))
    if isinstance(value, list | tuple):
        return tuple(map(ours, value)) if isinstance(value, tuple) else [ours(v) for v in value]
    return value


def leaves(values: Any, kind: type) -> Iterator[Any]:
    """All Tensors that want a gradient, depth first."""
    if isinstance(values, kind):
        if values.requires_grad:
            yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from leaves(value, kind)


def fresh(value: Any) -> Any:
    """The same argument as leaves of a graph of their own."""
    if isinstance(value, torch.Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    return type(value)(map(fresh, value)) if type(value) in (list, tuple) else value


def difference(info: "OpInfo", sample: Any) -> str | None:
    """What the engine says otherwise than torch; raises what the engine raises."""
    given = [fresh(v) for v in (sample.input, *sample.args)]
    named = {k: fresh(v) for k, v in sample.kwargs.items()}
    theirs = info.op(*given, **named)
    mine, mine_named = [ours(v) for v in given], {k: ours(v) for k, v in named.items()}
    if info.name == "nn.functional.batch_norm":  # running statistics are changed in place: begin from the same again
        mine = [ours(fresh(v)) for v in (sample.input, *sample.args)]
    answer = FUNCTIONS[info.name](*mine, **mine_named)
    torchs = theirs if isinstance(theirs, tuple) else (theirs,)
    engines = answer if isinstance(answer, tuple) else (answer,)
    if "dropout" in info.name:
        return out_of_the_hat(mine[0], engines[0], torchs[0], mine_named)
    for y, t in zip(engines, torchs, strict=True):
        if not same(y.data, t.detach().numpy()):
            return f"value {y.shape} {y.dtype} instead of {tuple(t.shape)} {t.dtype}"
    y, t = engines[0], torchs[0]
    if y.requires_grad != t.requires_grad:
        return f"requires_grad is {y.requires_grad}"
    if not t.requires_grad:
        return None
    g = np.random.default_rng(0).standard_normal(y.shape)
    t.backward(torch.tensor(g, dtype=t.dtype))
    y.backward(g)
    a = list(leaves([*mine, *mine_named.values()], Tensor))
    b = list(leaves([*given, *named.values()], torch.Tensor))
    for k, (x, u) in enumerate(zip(a, b, strict=True)):
        right = np.zeros(x.shape) if u.grad is None else u.grad.numpy()
        if not same(np.zeros(x.shape) if x.grad is None else x.grad, right):
            return f"gradient {k}"
    return None


def same(y: np.ndarray, t: np.ndarray) -> bool:
    return y.shape == t.shape and y.dtype == t.dtype and np.allclose(y, t, rtol=1e-8, atol=1e-8, equal_nan=True)


def out_of_the_hat(x: Tensor, y: Tensor, t: torch.Tensor, options: dict[str, Any]) -> str | None:
    """Which numbers are left out is chance: what is kept must be scaled right, and nothing else be there."""
    p = options.get("p", 0.5) if options.get("training", True) else 0.0
    kept = y.data != 0
    right = kept * (x.data / (1 - p) if p < 1 else 0 * x.data)
    if y.shape != tuple(t.shape) or not np.allclose(y.data, right) or (p == 0 and not np.allclose(y.data, x.data)):
        return "value"
    if x.requires_grad:
        y.backward(np.ones(y.shape))
        if not np.allclose(x.grad * x.data, y.data):
            return "gradient"
    return None


@cache
def verdict(name: str) -> tuple[int, tuple[tuple[bool, str], ...], tuple[str, ...]]:
    """(samples answered as torch does, refusals as (is it two-dimensional, sentence), wrong answers)."""
    info, answered, refused, wrong = infos()[name], 0, [], []
    for sample in samples(info):
        try:
            found = difference(info, sample)
        except ValueError as error:
            rank = NOT_IMAGES.get(info.name, sample.input.ndim if isinstance(sample.input, torch.Tensor) else 0)
            refused.append((not isinstance(sample.input, torch.Tensor) or sample.input.ndim == rank, str(error)))
        else:
            if found is None:
                answered += 1
            else:
                wrong.append(f"{found}: {sample}")
    return answered, tuple(refused), tuple(wrong)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", FUNCTIONS)
def test_torchs_own_samples_get_torchs_answers_or_a_refusal_with_a_name(function):
    for name in (name for name, info in infos().items() if info.name == function):
        answered, refused, wrong = verdict(name)
        assert not wrong, name
        assert answered + len(refused) > 0, name
        assert bool(refused) == (name in REFUSED), name
        for _, sentence in refused:
            assert re.search(REFUSED[name], sentence), (name, sentence)


@pytest.mark.filterwarnings("ignore")
def test_nine_of_ten_samples_are_answered():
    shares: dict[str, list[int]] = {}
    for name, info in infos().items():
        answered, refused, _ = verdict(name)
        of_function = shares.setdefault(info.name, [0, 0])
        of_function[0] += answered
        of_function[1] += answered + sum(in_two_dimensions for in_two_dimensions, _ in refused)
    by_function = {name: answered / asked for name, (answered, asked) in shares.items()}
    assert np.mean(list(by_function.values())) > 0.98
    assert min(by_function.values()) > 0.3, min(by_function, key=by_function.__getitem__)


def test_every_function_is_asked():
    assert {info.name for info in infos().values()} == set(FUNCTIONS)
    assert set(REFUSED) <= set(infos())


@pytest.mark.parametrize("wrong", [
    lambda x: F.relu(x) * (1 + 1e-6), lambda x: F.leaky_relu(x, 1e-6), lambda x: F.relu(x).detach(),
    lambda x: F.relu(x).astype(np.float32), lambda x: F.relu(x) + (x.detach() - x) * 0.1,
])
def test_a_planted_wrong_answer_is_seen(wrong, monkeypatch):
    monkeypatch.setitem(FUNCTIONS, "nn.functional.relu", wrong)
    info = infos()["nn.functional.relu"]
    assert any(difference(info, sample) for sample in samples(info))
