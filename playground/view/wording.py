"""A part of a network in words: what it is, its formula with its numbers."""

from typing import Any

from playground.numbers import counted
from playground.view.layer_code import has_bias
from playground.view.numbers import PRODUCTS
from playground.view.trace import Part
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

_OPS = {
    **dict.fromkeys(PRODUCTS, "sum of products"), "batch_norm_inference": "batch norm",
    "batch_norm_training": "batch norm, by the batch's statistics", "max_pool2d": "largest of the window",
    "avg_pool2d": "mean of the window", "adaptive_avg_pool2d": "mean of the map", "add": "sum",
    "relu": "max(x, 0)", "concat": "side by side", "flatten": "in one row", "reshape": "in one row",
    "softmax and loss": "p − y", "sigmoid and loss": "p − y", "itself": "where the walk begins",
}


def what_it_does(op: str) -> str:
    """What an op made a number by, in a few words.

    >>> what_it_does("conv2d"), what_it_does("layer_norm")
    ('sum of products', 'layer norm')
    """
    return _OPS.get(op, op.replace("_", " "))


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
    if key == CONV and part.op is not None and (w := _weight(part)) is not None and w.ndim == 4:
        where = Windows(part.op).where
        rows, columns = (_place(letter, step, where.stride[axis], where.dilation[axis], where.pads[axis][0])
                         for axis, (letter, step) in enumerate((("p", "i"), ("q", "j"))))
        channel = "c" if w.shape[1] * Windows(part.op).groups == w.shape[1] else "c of its group"
        return (f"y[f,p,q] = {_plus(part)}Σ w[f,c,i,j] · x[c, {rows}, {columns}] over "
                f"{counted(w.shape[1], 'channel')} {channel} and {w.shape[2]} × {w.shape[3]} places i, j")
    if key == DENSE and (w := _weight(part)) is not None:
        return f"y[k] = {'b[k] + ' if has_bias(part) else ''}Σ w[k,n] · x[n] over " \
               f"{counted(w.size // part.shape[-1], 'input')} n"
    if key == GLOBAL_POOL and "maximum" in part.sort.words:
        return "y[c] = the largest of x[c,p,q] over all p, q"
    return {
        BATCH_NORM: "y = γ (x − μ) / √(σ² + ε) + β, of every map its own γ, β, μ and σ²",
        NORM: "y = γ (x − μ) / √(σ² + ε) + β", DROPOUT: "training: y = x · present / (1 − p); afterwards y = x",
        MAX_POOL: "y[c,p,q] = the largest of the window", AVG_POOL: "y[c,p,q] = the mean of the window",
        GLOBAL_POOL: "y[c] = mean of x[c,p,q] over all p, q", FLATTEN: "y[c·H·W + p·W + q] = x[c,p,q]",
        SUM: "y = a + b", CONCAT: "y = a, then b, then …", SOFTMAX: "y[k] = exp(x[k]) / Σ exp(x[n])",
        TRANSPOSED: "y[f, s·p + i, s·q + j] gets w[c,f,i,j] · x[c,p,q] of every c, p, q, i and j",
        UPSAMPLE: "y[c,p,q] = x[c] between the places that p and q fall on",
    }.get(key, "")


def _weight(part: Part) -> Any:
    """What its numbers are multiplied by."""
    node = part.op.node if part.op is not None else None
    return node.inputs[1] if node is not None and node.op.name in PRODUCTS and part.weights else None


def _plus(part: Part) -> str:
    return "b[f] + " if has_bias(part) else ""


def _place(letter: str, step: str, stride: int, dilation: int, padding: int) -> str:
    """A row or column of the input: 2·p + i − 1.

    >>> _place("p", "i", 2, 1, 1), _place("q", "j", 1, 2, 0)
    ('2·p + i − 1', 'q + 2·j')
    """
    return (f"{f'{stride}·' if stride != 1 else ''}{letter} + {f'{dilation}·' if dilation != 1 else ''}{step}"
            f"{f' − {padding}' if padding else ''}")


__all__ = ["formula_of", "what_it_does", "what_it_is"]
