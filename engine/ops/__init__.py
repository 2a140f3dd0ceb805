"""The ops, one file a family; importing this package registers them all in `engine.core.OPS`."""

from engine.ops import conv, dropout, elementwise, linear, loss, norm, pool, reduce, resize, shape

__all__ = ["conv", "dropout", "elementwise", "linear", "loss", "norm", "pool", "reduce", "resize", "shape"]
