"""Sine and cosine, of angles in radians."""

import numpy as np

from engine.core import Array, Vjp, op
from engine.onnx_spec import Node


@op(onnx=Node("Sin"))
def sin(x: Array) -> tuple[Array, Vjp]:
    """The sine of x radians; nan for inf, without a warning.

    >>> y, vjp = sin.rule(np.array([0.0, np.pi / 2]))
    >>> y, vjp(np.ones(2))[0].round(4)
    (array([0., 1.]), array([1., 0.]))
    """

    def vjp(g: Array) -> tuple[Array]:
        with np.errstate(invalid="ignore"):
            return (g * np.cos(x),)

    with np.errstate(invalid="ignore"):
        return np.sin(x), vjp


@op(onnx=Node("Cos"))
def cos(x: Array) -> tuple[Array, Vjp]:
    """The cosine of x radians; nan for inf, without a warning.

    >>> y, vjp = cos.rule(np.array([0.0, np.pi / 2]))
    >>> y.round(4), vjp(np.ones(2))[0]
    (array([1., 0.]), array([-0., -1.]))
    """

    def vjp(g: Array) -> tuple[Array]:
        with np.errstate(invalid="ignore"):
            return (-g * np.sin(x),)

    with np.errstate(invalid="ignore"):
        return np.cos(x), vjp
