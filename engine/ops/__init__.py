"""The ops, one file a family; importing this package registers them all in `engine.core.OPS`."""

from engine.ops import (
    activation,
    conv,
    cross_entropy,
    dropout,
    elementwise,
    index,
    linear,
    loss,
    norm,
    pool,
    reduce,
    resize,
    shape,
    trigonometric,
)

__all__ = [
    "activation", "conv", "cross_entropy", "dropout", "elementwise", "index", "linear", "loss", "norm", "pool",
    "reduce", "resize", "shape", "trigonometric",
]
