"""A part of a network in words: what it is, its formula with its numbers, its line of code in three libraries."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from playground.numbers import counted, number
from playground.view.trace import Part, Trace
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

IS: dict[str, str] = {
    CONV: "Slides each filter over all input maps: at every place one sum of products, so one map a filter.",
    TRANSPOSED: "Every number is multiplied by the kernel and laid down, stride apart; what overlaps is added.",
    DENSE: "Every unit is one sum of products over all inputs.",
    BATCH_NORM: "Shifts and scales every map: in training by the batch's own mean and variance, afterwards by those it "
                "has kept.",
    NORM: "Shifts and scales numbers to mean 0 and variance 1, then by what is learnt.",
    ACTIVATION: "Changes every number by itself. Without it two convolutions would be one.",
    DROPOUT: "While training leaves out numbers at random; afterwards all are there.",
    MAX_POOL: "Of every window only the largest number goes on.",
    AVG_POOL: "Of every window the mean goes on.",
    GLOBAL_POOL: "Of every map one number goes on, so where something was is forgotten.",
    FLATTEN: "Lays maps out in one row, channel by channel, row by row. No number changes.",
    SUM: "Adds number by number what two ways bring: a shortcut and what was learnt to add to it.",
    CONCAT: "Lays the maps of several branches side by side.",
    SOFTMAX: "Turns scores into shares of 1 that are larger the larger the score.",
    UPSAMPLE: "Makes maps larger or smaller by putting numbers between.",
}
_POINTWISE = {
    "ReLU": "y = max(x, 0)", "leaky ReLU": "y = x for x > 0, else slope · x", "sigmoid": "y = 1 / (1 + exp(−x))",
    "tanh": "y = (exp(x) − exp(−x)) / (exp(x) + exp(−x))", "SiLU": "y = x / (1 + exp(−x))",
    "GELU": "y = x · Φ(x), Φ the share of a standard normal below x", "ReLU6": "y = min(max(x, 0), 6)",
    "hardswish": "y = x · min(max(x + 3, 0), 6) / 6", "hard sigmoid": "y = min(max(x + 3, 0), 6) / 6",
    "ELU": "y = x for x > 0, else α (exp(x) − 1)", "softplus": "y = log(1 + exp(x))",
    "PReLU": "y = x for x > 0, else slope · x, the slope learnt",
}


def what_it_is(part: Part) -> str:
    """One sentence."""
    if part.sort.key in IS:
        return IS[part.sort.key]
    ops = dict.fromkeys(result.node.op.name for result in part.made if result.node is not None)
    return f"A step of the file: {', '.join(ops)}." if ops else "Passes on what it gets."


def formula_of(part: Part) -> str:
    """The formula, with the part's own numbers where it has any."""
    key = part.sort.key
    if key == ACTIVATION:
        return _POINTWISE.get(part.sort.words, "y = f(x), number by number")
    options = _options(part)
    if key == CONV:
        weight = _weight(part)
        _, channels, rows, columns = weight.shape if weight is not None and weight.ndim == 4 else (0, 0, 0, 0)
        stride, padding = _first(options.get("stride") or 1), _first(options.get("padding") or 0)
        step = f"{stride}·" if stride != 1 else ""
        less = f" − {padding}" if padding else ""
        bias = "b[f] + " if _bias(part) else ""
        return (f"y[f,p,q] = {bias}Σ w[f,c,i,j] · x[c, {step}p + i{less}, {step}q + j{less}] over "
                f"{counted(channels, 'channel')} c and {rows} × {columns} places i, j")
    if key == DENSE:
        weight = _weight(part)
        inputs = weight.shape[-1] if weight is not None and weight.shape[0] == part.shape[0] else \
            weight.shape[0] if weight is not None else 0
        return f"y[k] = {'b[k] + ' if _bias(part) else ''}Σ w[k,n] · x[n] over {counted(inputs, 'input')} n"
    return {
        BATCH_NORM: "y = γ (x − μ) / √(σ² + ε) + β, of every map its own γ, β, μ and σ²",
        NORM: "y = γ (x − μ) / √(σ² + ε) + β", DROPOUT: "training: y = x · present / (1 − p); afterwards y = x",
        MAX_POOL: "y[c,p,q] = the largest of the window", AVG_POOL: "y[c,p,q] = the mean of the window",
        GLOBAL_POOL: "y[c] = mean of x[c,p,q] over all p, q", FLATTEN: "y[c·H·W + p·W + q] = x[c,p,q]",
        SUM: "y = a + b", CONCAT: "y = a, then b, then …", SOFTMAX: "y[k] = exp(x[k]) / Σ exp(x[n])",
    }.get(key, "")


def code_of(trace: Trace, part: Part) -> dict[str, str]:
    """The part's line in our engine, PyTorch and Keras; empty where a library has no layer for it."""
    key, options, weight = part.sort.key, _options(part), _weight(part)
    stride, padding = _first(options.get("stride") or 1), _first(options.get("padding") or 0)
    if key == CONV and weight is not None and weight.ndim == 4:
        filters, share, rows, columns = weight.shape
        groups = int(options.get("groups", 1))
        bias = _bias(part)
        size = str(rows) if rows == columns else f"({rows}, {columns})"
        more = "".join([f", stride={stride}" if stride != 1 else "", f", padding={padding}" if padding else "",
                        f", groups={groups}" if groups != 1 else "", "" if bias else ", bias=False"])
        line = f"Conv2d({share * groups}, {filters}, {size}{more})"
        kept = '"same"' if padding and 2 * padding + 1 == rows and stride == 1 else '"valid"'
        before = f"ZeroPadding2D({padding}), " if padding and kept != '"same"' else ""
        keras = (f"{before}Conv2D({filters}, {size}, strides={stride}, padding={kept}, "
                 f"groups={groups}, use_bias={bias})")
        return _lines(line, line, keras)
    if key == DENSE and weight is not None and weight.ndim == 2:
        units = part.shape[-1]
        inputs = weight.size // units
        more = "" if _bias(part) else ", bias=False"
        return _lines(*2 * (f"Linear({inputs}, {units}{more})",), f"Dense({units}, use_bias={_bias(part)})")
    channels = part.shape[0] if part.shape else 0
    kernel = _first(options.get("kernel_size") or 2)
    step = _first(options.get("stride") or kernel)
    simple: Mapping[str, tuple[str, str]] = {
        BATCH_NORM: (f"BatchNorm2d({channels})" if len(part.shape) == 3 else f"BatchNorm1d({channels})",
                     "BatchNormalization()"),
        MAX_POOL: (f"MaxPool2d({kernel}, stride={step}{f', padding={padding}' if padding else ''})",
                   f"MaxPooling2D({kernel}, strides={step})"),
        AVG_POOL: (f"AvgPool2d({kernel}, stride={step})", f"AveragePooling2D({kernel}, strides={step})"),
        GLOBAL_POOL: ("AdaptiveAvgPool2d(1), Flatten()", "GlobalAveragePooling2D()"),
        FLATTEN: ("Flatten()", "Permute((3, 1, 2)), Flatten()"), SOFTMAX: ("Softmax(dim=1)", "Softmax()"),
        DROPOUT: (f"Dropout({part.more.split('p = ')[-1].split(',')[0]})",
                  f"Dropout({part.more.split('p = ')[-1].split(',')[0]})"),
    }
    if key in simple:
        torch, keras = simple[key]
        return _lines(torch, torch, keras)
    if key == ACTIVATION:
        names = {"ReLU": ("ReLU", "relu"), "leaky ReLU": ("LeakyReLU", "leaky_relu"), "ELU": ("ELU", "elu"),
                 "sigmoid": ("Sigmoid", "sigmoid"), "tanh": ("Tanh", "tanh"), "SiLU": ("SiLU", "silu"),
                 "GELU": ("GELU", "gelu"), "hardswish": ("Hardswish", "hard_swish")}
        if part.sort.words in names:
            torch, keras = names[part.sort.words]
            return _lines(f"{torch}()", f"{torch}()", f'Activation("{keras}")')
    if key == SUM:
        return {"Our engine": "y = way(x) + shortcut(x)", "PyTorch": "y = way(x) + shortcut(x)",
                "Keras": "keras.layers.Add()([way(x), shortcut(x)])"}
    if key == CONCAT:
        return {"Our engine": "engine.cat([a(x), b(x)], 1)", "PyTorch": "torch.cat([a(x), b(x)], 1)",
                "Keras": "keras.layers.Concatenate()([a(x), b(x)])"}
    return {}


def _lines(engine: str, torch: str, keras: str) -> dict[str, str]:
    """A layer's line with each library's prefix, several layers separated."""
    def prefixed(prefix: str, line: str) -> str:
        return line if not line else ", ".join(prefix + one for one in _split(line))

    return {"Our engine": prefixed("layers.", engine), "PyTorch": prefixed("nn.", torch),
            "Keras": prefixed("keras.layers.", keras)}


def _split(line: str) -> list[str]:
    """Calls that stand side by side.

    >>> _split("Permute((3, 1, 2)), Flatten()")
    ['Permute((3, 1, 2))', 'Flatten()']
    """
    found, depth, start = [], 0, 0
    for place, letter in enumerate(line):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            found.append(line[start:place].strip())
            start = place + 1
    return [*found, line[start:].strip()]


def _options(part: Part) -> Mapping[str, Any]:
    op = part.op
    return op.node.options if op is not None and op.node is not None else {}


def _weight(part: Part) -> Any:
    return next((one for one in part.weights.values() if one.ndim >= 2), None)


def _bias(part: Part) -> bool:
    op = part.op
    return any(one.ndim == 1 for one in part.weights.values()) or (
        op is not None and op.node is not None and len(op.node.inputs) > 2 and op.node.inputs[2] is not None)


def _first(value: Any) -> int:
    while not isinstance(value, int | np.integer):
        value = value[0]
    return int(value)


__all__ = ["code_of", "formula_of", "number", "what_it_is"]
