"""A part's line of code in our engine, PyTorch and Keras, read off the tape, so that parts of files have one too.

Keras looks at pictures (H, W, C): where it has no layer that does the same, its line is empty.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from engine import Tensor
from playground.view.trace import PICTURE, Part, Trace
from playground.view.windows import Windows
from playground.view.words import (
    ACTIVATION,
    AVG_POOL,
    BATCH_NORM,
    CONCAT,
    CONV,
    DENSE,
    DROPOUT,
    FLATTEN,
    GLOBAL_POOL,
    MAX_POOL,
    NORM,
    SOFTMAX,
    SUM,
    TRANSPOSED,
    UPSAMPLE,
)

Layers = tuple[str, ...]
Lines = tuple[Layers, Layers, Layers] | None
"""Layers without their library's prefix: our engine's, torch.nn's, Keras'; None where there is no line at all."""
NOT_BELOW_ZERO = ("ReLU", "ReLU6", "sigmoid", "hard sigmoid", "softplus", "softmax")
"""Behind these a frame of zeros changes no maximum."""


def code_of(trace: Trace, part: Part) -> dict[str, str]:
    """The part's line in our engine, PyTorch and Keras; a line is empty where that library has no layer for it, and
    there is none where no library has."""
    if part.sort.key == SUM:
        return {"Our engine": "y = way(x) + shortcut(x)", "PyTorch": "y = way(x) + shortcut(x)",
                "Keras": "keras.layers.Add()([way(x), shortcut(x)])"}
    if part.sort.key == CONCAT:
        return {"Our engine": "engine.arithmetic.cat([a(x), b(x)], 1)", "PyTorch": "torch.cat([a(x), b(x)], 1)",
                "Keras": "keras.layers.Concatenate()([a(x), b(x)])"}
    if len(part.sources) != 1 or part.sort.key not in _WRITING:
        return {}
    lines = _WRITING[part.sort.key](part, trace)
    if lines is None:
        return {}
    return {library: ", ".join(prefix + layer for layer in layers) for library, prefix, layers in
            zip(("Our engine", "PyTorch", "Keras"), ("layers.", "nn.", "keras.layers."), lines, strict=True)}


def _same(*layers: str, keras: Layers = ()) -> Lines:
    """The engine spells it as torch does."""
    return layers, layers, keras


def _takes(part: Part, trace: Trace) -> tuple[int, ...]:
    source = part.sources[0]
    return trace.picture.shape[1:] if source == PICTURE else trace.parts[source].shape


def _option(part: Part, name: str, usual: Any = None) -> Any:
    found = part.op.node.options.get(name) if part.op is not None and part.op.node is not None else None
    return usual if found is None else found


def _op(part: Part) -> str:
    return part.op.node.op.name if part.op is not None and part.op.node is not None else ""


def _filters(part: Part) -> Tensor | None:
    """The second factor of a convolution or product."""
    node = part.op.node if part.op is not None else None
    return node.inputs[1] if node is not None and len(node.inputs) > 1 and part.weights else None


def has_bias(part: Part) -> bool:
    """Whether a convolution or dense layer adds something: its own bias, or one that a file adds behind."""
    node = part.op.node if part.op is not None else None
    given = node is not None and len(node.inputs) > 2 and node.inputs[2] is not None
    return given or any(result.node is not None and result.node.op.name == "add" for result in part.made)


def _pair(sides: tuple[int, ...]) -> str:
    """One number where both are the same."""
    return str(sides[0]) if sides[0] == sides[1] else f"({sides[0]}, {sides[1]})"


def _arguments(**given: tuple[str, str]) -> str:
    """Keyword arguments that differ from what is usual."""
    return "".join(f", {name}={value}" for name, (value, usual) in given.items() if value != usual)


def _padding(pads: tuple[tuple[int, int], ...]) -> tuple[Layers, str, Layers]:
    """Padding in front as torch spells it, or as an option, and in front as Keras does."""
    (top, bottom), (left, right) = pads
    if not any((top, bottom, left, right)):
        return (), "0", ()
    if top == bottom and left == right:
        return (), _pair((top, left)), (f"ZeroPadding2D({_pair((top, left))})",)
    return (f"ZeroPad2d(({left}, {right}, {top}, {bottom}))",), "0", (
        f"ZeroPadding2D((({top}, {bottom}), ({left}, {right})))",)


def _conv(part: Part, trace: Trace) -> Lines:
    w = _filters(part)
    if part.op is None or w is None or w.ndim != 4 or len(part.shape) != 3:
        return None
    windows, bias = Windows(part.op), has_bias(part)
    where, groups = windows.where, windows.groups
    before, padding, padded = _padding(where.pads)
    filters, channels = w.shape[0], w.shape[1] * groups
    line = f"Conv2d({channels}, {filters}, {_pair(where.size)}" + _arguments(
        stride=(_pair(where.stride), "1"), padding=(padding, "0"), dilation=(_pair(where.dilation), "1"),
        groups=(str(groups), "1"), bias=(str(bias), "True")) + ")"
    layers = (*before, line)
    if where.stride != (1, 1) and where.dilation != (1, 1):
        return _same(*layers)
    kept = where.stride == (1, 1) and all(
        a == b and a + b == span - 1 for (a, b), span in zip(where.pads, where.reach, strict=True))
    keras = f"Conv2D({filters}, {_pair(where.size)}" + _arguments(
        strides=(_pair(where.stride), "1"), padding=('"same"' if kept and padded else '"valid"', '"valid"'),
        dilation_rate=(_pair(where.dilation), "1"), groups=(str(groups), "1"), use_bias=(str(bias), "True")) + ")"
    return _same(*layers, keras=(keras,) if kept else (*padded, keras))


def _transposed(part: Part, trace: Trace) -> Lines:
    w, takes = _filters(part), _takes(part, trace)
    if w is None or w.ndim != 4 or len(takes) != len(part.shape) != 3:
        return None
    stride, gaps = (tuple(map(int, np.broadcast_to(_option(part, name, 1), 2))) for name in ("stride", "dilation"))
    away = [(n - 1) * s + d * (k - 1) + 1 - out for n, s, d, k, out in
            zip(takes[1:], stride, gaps, w.shape[2:], part.shape[1:], strict=True)]
    if any(rest < 0 or rest % 2 for rest in away):
        return None
    less = (away[0] // 2, away[1] // 2)
    bias = str(has_bias(part))
    line = f"ConvTranspose2d({takes[0]}, {part.shape[0]}, {_pair(w.shape[2:])}" + _arguments(
        stride=(_pair(stride), "1"), padding=(_pair(less), "0"), groups=(str(_option(part, "groups", 1)), "1"),
        bias=(bias, "True"), dilation=(_pair(gaps), "1")) + ")"
    if _option(part, "groups", 1) != 1 or gaps != (1, 1) or any(s > k for s, k in
                                                                zip(stride, w.shape[2:], strict=True)):
        return _same(line)
    keras = f"Conv2DTranspose({part.shape[0]}, {_pair(w.shape[2:])}" + _arguments(
        strides=(_pair(stride), "1"), use_bias=(bias, "True")) + ")"
    return _same(line, keras=(keras, f"Cropping2D({_pair(less)})") if any(less) else (keras,))


def _dense(part: Part, trace: Trace) -> Lines:
    w = _filters(part)
    if w is None or w.ndim != 2:
        return None
    units, bias = part.shape[-1], str(has_bias(part))
    return _same(f"Linear({w.size // units}, {units}{_arguments(bias=(bias, 'True'))})",
                 keras=(f"Dense({units}{_arguments(use_bias=(bias, 'True'))})",))


def _batch_norm(part: Part, trace: Trace) -> Lines:
    eps = float(_option(part, "eps", 1e-5))
    name = "BatchNorm2d" if len(part.shape) == 3 else "BatchNorm1d"
    affine = _arguments(eps=(repr(eps), "1e-05"), affine=(str(bool(part.weights)), "True"))
    learnt = "" if part.weights else ", center=False, scale=False"
    return _same(f"{name}({part.shape[0]}{affine})", keras=(f"BatchNormalization(epsilon={eps!r}{learnt})",))


def _norm(part: Part, trace: Trace) -> Lines:
    eps, channels = float(_option(part, "eps", 1e-5)), part.shape[0]
    more = _arguments(eps=(repr(eps), "1e-05"))
    if _op(part) == "layer_norm":
        own = tuple(map(int, np.ravel(_option(part, "normalized_shape", part.shape))))
        whole = own == part.shape
        axes = "(1, 2, 3)" if len(own) == 3 else "-1"
        keras = (f"LayerNormalization(axis={axes}, epsilon={eps!r})",) if whole and len(own) in (1, 3) else ()
        return _same(f"LayerNorm({list(own)}{more})", keras=keras)
    if _op(part) == "group_norm":
        groups = _option(part, "num_groups", 1)
        return _same(f"GroupNorm({groups}, {channels}{more})",
                     keras=(f"GroupNormalization({groups}, epsilon={eps!r})",))
    if _op(part) == "instance_norm" and len(part.shape) == 3:
        affine = _arguments(affine=(str(bool(part.weights)), "False"))
        return _same(f"InstanceNorm2d({channels}{more}{affine})",
                     keras=(f"GroupNormalization(-1, epsilon={eps!r})",))
    return None


def _pool(part: Part, trace: Trace) -> Lines:
    takes = _takes(part, trace)
    if part.op is None or len(takes) != 3 or len(part.shape) != 3 or _op(part) not in ("max_pool2d", "avg_pool2d"):
        return None
    where = Windows(part.op).where
    largest, ceil = _op(part) == "max_pool2d", bool(_option(part, "ceil_mode", False))
    asked, counted = where.asked, bool(_option(part, "count_include_pad", True))
    if any(a != b for a, b in asked):
        return None
    padding, padded = (asked[0][0], asked[1][0]), any(a for a, _ in asked)
    options = _arguments(stride=(_pair(where.stride), _pair(where.size)), padding=(_pair(padding), "0"))
    options += _arguments(dilation=(_pair(where.dilation), "1")) if largest else \
        _arguments(count_include_pad=(str(counted or not padded), "True"))
    line = f"{'MaxPool2d' if largest else 'AvgPool2d'}({_pair(where.size)}{options}" + _arguments(
        ceil_mode=(str(ceil), "False")) + ")"
    kept = where.stride == (1, 1) and all(a + b == n - 1 for (a, b), n in zip(asked, where.size, strict=True))
    source = part.sources[0]
    zeros = source != PICTURE and trace.parts[source].sort.words in NOT_BELOW_ZERO
    if where.dilation != (1, 1) or (where.pads != asked and ceil) or (
            padded and not (kept or zeros if largest else counted)):
        return _same(line)
    same = padded and largest and kept
    name = "MaxPooling2D" if largest else "AveragePooling2D"
    keras = f"{name}({_pair(where.size)}" + _arguments(
        strides=(_pair(where.stride), _pair(where.size)), padding=('"same"' if same else '"valid"', '"valid"')) + ")"
    return _same(line, keras=(f"ZeroPadding2D({_pair(padding)})", keras) if padded and not same else (keras,))


def _global_pool(part: Part, trace: Trace) -> Lines:
    takes = _takes(part, trace)
    if len(takes) != 3 or part.shape[0] != takes[0]:
        return None
    largest = _op(part) in ("adaptive_max_pool2d", "max")
    name, keras = ("Max", "Max") if largest else ("Avg", "Average")
    if len(part.shape) == 1:
        return _same(f"Adaptive{name}Pool2d(1)", "Flatten()", keras=(f"Global{keras}Pooling2D()",))
    if part.shape[1:] == (1, 1):
        return _same(f"Adaptive{name}Pool2d(1)", keras=(f"Global{keras}Pooling2D(keepdims=True)",))
    return _same(f"Adaptive{name}Pool2d({_pair(part.shape[1:])})") if _op(part).startswith("adaptive") else None


def _flatten(part: Part, trace: Trace) -> Lines:
    takes = _takes(part, trace)
    if len(part.shape) != 1 or int(np.prod(takes)) != part.shape[0]:
        return None
    return _same("Flatten()", keras=("Permute((3, 1, 2))", "Flatten()") if len(takes) == 3 else ("Flatten()",))


def _softmax(part: Part, trace: Trace) -> Lines:
    if _option(part, "dim", -1) not in (1, -len(part.shape)):
        return None
    return _same("LogSoftmax(dim=1)", keras=('Activation("log_softmax")',)) if _op(part) == "log_softmax" else \
        _same("Softmax(dim=1)", keras=("Softmax()",))


def _dropout(part: Part, trace: Trace) -> Lines:
    found = part.more.split("p = ")[-1].split(",")[0] or "0"
    whole = "whole maps" in part.sort.words
    return _same(f"{'Dropout2d' if whole else 'Dropout'}({found})",
                 keras=(f"{'SpatialDropout2D' if whole else 'Dropout'}({found})",))


def _upsample(part: Part, trace: Trace) -> Lines:
    takes, mode = _takes(part, trace), str(_option(part, "mode", "nearest"))
    if _op(part) != "interpolate" or len(takes) != 3:
        return None
    corners = _option(part, "align_corners")
    factors = [out / n for out, n in zip(part.shape[1:], takes[1:], strict=True)]
    whole = all(factor == int(factor) for factor in factors)
    by = _pair(tuple(map(int, factors))) if whole else _pair(part.shape[1:])
    line = f"Upsample({'scale_factor' if whole else 'size'}={by}" + _arguments(
        mode=(f'"{mode}"', '"nearest"'), align_corners=(str(corners), "None")) + ")"
    ours = whole and not corners and mode in ("nearest", "bilinear")
    return _same(line, keras=(f"UpSampling2D({by}" + _arguments(interpolation=(f'"{mode}"', '"nearest"')) + ")",)
                 if ours else ())


def _activation(part: Part, trace: Trace) -> Lines:
    words = part.sort.words
    if words == "PReLU":
        slopes = next((one.size for one in part.weights.values()), 1)
        shared = "(shared_axes=[1, 2])" if len(part.shape) == 3 else "()"
        return (), (f"PReLU({slopes})",), (f"PReLU{shared}",)
    if words == "ReLU6":
        return (), ("ReLU6()",), ("ReLU(max_value=6)",)
    slope, alpha = float(_option(part, "negative_slope", 0.01)), float(_option(part, "alpha", 1.0))
    simple: Mapping[str, tuple[str, str]] = {
        "ReLU": ("ReLU()", "ReLU()"),
        "leaky ReLU": (f"LeakyReLU({slope:g})", f"LeakyReLU(negative_slope={slope:g})"),
        "ELU": (f"ELU({alpha:g})", f"ELU({alpha:g})"), "sigmoid": ("Sigmoid()", 'Activation("sigmoid")'),
        "tanh": ("Tanh()", 'Activation("tanh")'), "SiLU": ("SiLU()", 'Activation("silu")'),
        "hardswish": ("Hardswish()", 'Activation("hard_swish")'),
        "hard sigmoid": ("Hardsigmoid()", 'Activation("hard_sigmoid")'),
        "softplus": ("Softplus()", 'Activation("softplus")'),
        "GELU": ("GELU()", 'Activation("gelu")') if _option(part, "approximate", "none") == "none"
        else ('GELU(approximate="tanh")', ""),
    }
    if words not in simple:
        return None
    line, keras = simple[words]
    return _same(line, keras=(keras,) if keras else ())


_WRITING: Mapping[str, Callable[[Part, Trace], Lines]] = {
    CONV: _conv, TRANSPOSED: _transposed, DENSE: _dense, BATCH_NORM: _batch_norm, NORM: _norm, MAX_POOL: _pool,
    AVG_POOL: _pool, GLOBAL_POOL: _global_pool, FLATTEN: _flatten, SOFTMAX: _softmax, DROPOUT: _dropout,
    UPSAMPLE: _upsample, ACTIVATION: _activation,
}
