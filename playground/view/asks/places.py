"""The gradient of one weight as a sum over pictures and places: what each place of each picture pushed with.

In float64 of the numbers that the engine had. Each op is written out as its definition says, not as its kernel computes
it; an op that is not written out is asked for its way back one picture at a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.core import Op
from engine.geometry import pair, place
from playground.view.trace import Array

NORMS = ("batch_norm_training", "batch_norm_inference", "layer_norm", "group_norm", "instance_norm")


@dataclass(frozen=True, eq=False)
class Use:
    """Where a weight was used: by which op, with which inputs (arrays, the weight among them at `position`) and
    options, and the gradient g that arrived at the op's result."""

    op: Op
    inputs: tuple[Array | None, ...]
    options: Mapping[str, Any]
    position: int
    g: Array

    @property
    def is_bias(self) -> bool:
        """Whether the weight is added to what the op gives."""
        return self.op.name in _WRITTEN and self.position == _bias(self.op.name)


def pushes(use: Use, index: tuple[int, ...]) -> Array:
    """What the places of each picture push one weight with: (N, ...) float64, the places those of what the op gives (of
    what it takes, for a transposed convolution). They add up to the gradient of the weight.

    Of batch norm in training mode, what each picture's arriving gradient contributes at the layer itself.
    """
    written = _WRITTEN.get(use.op.name)
    if written is not None:
        return written(use, index)
    g = use.g.astype(np.float64)
    inputs = [x if x is None or x.dtype.kind != "f" else x.astype(np.float64) for x in use.inputs]
    _, vjp = use.op.rule(*inputs, **use.options)
    found = np.zeros(len(g))
    for n in range(len(g)):
        alone = np.zeros_like(g)
        alone[n] = g[n]
        sent = vjp(alone, (True,) * len(inputs)) if use.op.selective else vjp(alone)
        own = sent[use.position]
        found[n] = 0.0 if own is None else own[index]
    return found


def factors(use: Use, index: tuple[int, ...]) -> tuple[Array, Array] | None:
    """What `pushes` are the products of, of the same shape: the input that the weight was multiplied with, and the
    gradient that arrived. None where the op is not written out."""
    if use.op.name not in _WRITTEN:
        return None
    return _factors(use, index)


def _factors(use: Use, index: tuple[int, ...]) -> tuple[Array, Array]:
    return {"conv2d": _conv, "conv_transpose2d": _transposed, "linear": _linear}.get(use.op.name, _norm)(use, index)


def _product(use: Use, index: tuple[int, ...]) -> Array:
    x, g = _factors(use, index)
    return np.asarray(x * g)


def _given(use: Use, position: int) -> Array:
    x = use.inputs[position]
    assert x is not None
    return x


def _ones(g: Array) -> tuple[Array, Array]:
    return np.ones(g.shape), g


def _bias(name: str) -> int:
    return 4 if name == "batch_norm_inference" else 2


def _conv(use: Use, index: tuple[int, ...]) -> tuple[Array, Array]:
    f = index[0]
    g = use.g[:, f].astype(np.float64)
    if use.is_bias:
        return _ones(g)
    x, w = _given(use, 0), _given(use, 1)
    options, (_, c, i, j) = use.options, index
    where = place(x.shape, w.shape[2:], options.get("stride", 1), options.get("padding", 0), options.get("dilation", 1))
    channel = f // (len(w) // options.get("groups", 1)) * w.shape[1] + c
    padded = np.pad(x[:, channel].astype(np.float64), ((0, 0), *where.pads))
    rows, columns = (slice(at * gap, at * gap + step * (many - 1) + 1, step) for at, gap, step, many in
                     zip((i, j), where.dilation, where.stride, where.out, strict=True))
    return padded[:, rows, columns], g


def _transposed(use: Use, index: tuple[int, ...]) -> tuple[Array, Array]:
    if use.is_bias:
        return _ones(use.g[:, index[0]].astype(np.float64))
    x, w, (c, f, i, j), options = _given(use, 0), _given(use, 1), index, use.options
    filters = c // (len(w) // options.get("groups", 1)) * w.shape[1] + f
    steps, gaps = pair(options.get("stride", 1), "stride"), pair(options.get("dilation", 1), "dilation")
    away = pair(options.get("padding", 0), "padding")
    rows, columns = (np.arange(many) * step + at * gap - before for many, step, at, gap, before in
                     zip(x.shape[2:], steps, (i, j), gaps, away, strict=True))
    arrived = use.g[:, filters].astype(np.float64)
    inside = np.ix_((rows >= 0) & (rows < arrived.shape[1]), (columns >= 0) & (columns < arrived.shape[2]))
    met = arrived[:, rows.clip(0, arrived.shape[1] - 1)][:, :, columns.clip(0, arrived.shape[2] - 1)]
    g = np.zeros(met.shape)
    g[:, inside[0], inside[1]] = met[:, inside[0], inside[1]]
    return x[:, c].astype(np.float64), g


def _linear(use: Use, index: tuple[int, ...]) -> tuple[Array, Array]:
    g = use.g[..., index[0]].astype(np.float64)
    return _ones(g) if use.is_bias else (_given(use, 0)[..., index[1]].astype(np.float64), g)


def _norm(use: Use, index: tuple[int, ...]) -> tuple[Array, Array]:
    at: tuple[Any, ...] = (..., *index) if use.op.name == "layer_norm" else (slice(None), *index)
    g = use.g[at].astype(np.float64)
    if use.is_bias:
        return _ones(g)
    statistics = 3 if use.op.name == "batch_norm_inference" else 1
    given = [_given(use, k).astype(np.float64) for k in range(statistics)]
    options = {name: value for name, value in use.options.items() if name != "moments"}
    normal, _ = use.op.rule(*given, **options)
    return normal[at], g


_WRITTEN: Mapping[str, Callable[[Use, tuple[int, ...]], Array]] = dict.fromkeys(
    ("conv2d", "conv_transpose2d", "linear", *NORMS), _product)
