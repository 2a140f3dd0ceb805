"""Dropout: numbers left out at random while training."""

import numpy as np

from engine.core import Array, ShapeError, Vjp, op
from engine.onnx_spec import Refused


@op(onnx=Refused("Dropout in training mode leaves numbers out at random: export the model in eval mode instead."))
def dropout(x: Array, keep: Array, *, p: float = 0.5) -> tuple[Array, Vjp]:
    """x where `keep` is True, 0 elsewhere; what is kept is made larger by 1/(1-p), so that the sum is expected to stay.

    x any shape, keep bools that broadcast to it, p the share that is left out. Which ones is the caller's draw: this
    op is given the mask. Source: Srivastava et al., 2014, scaled while training as in torch.

    >>> y, vjp = dropout.rule(np.array([1.0, 2.0]), np.array([True, False]), p=0.5)
    >>> y, vjp(np.ones(2))[0]
    (array([2., 0.]), array([2., 0.]))
    """
    if not 0 <= p <= 1:
        raise ValueError(f"dropout's p is a share between 0 and 1, not {p}")
    try:
        spread = np.broadcast_shapes(x.shape, keep.shape)
    except ValueError:
        spread = ()
    if spread != x.shape:
        raise ShapeError(f"a mask of shape {keep.shape} does not fit numbers of shape {x.shape}")
    factor = keep * x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return x * factor, lambda g: (g * factor, None)
