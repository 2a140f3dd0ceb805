"""Is a way back right? Compared with what the function itself does when its input is moved a little.

One random direction an input is enough to catch a wrong gradient: a wrong one would have to be at right angles to it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.core import Array, Op


class GradientError(AssertionError):
    """A gradient that does not fit its function; the message says which input, and both numbers."""


def slopes(
    op: Op, arrays: Sequence[Array | None], wrt: int, rng: np.random.Generator, step: float = 1e-5, **options: Any
) -> tuple[float, float]:
    """The slope of <g, op(arrays)> along one random direction of input `wrt`: (by its vjp, by central difference).

    g is random too. The inputs should be float64.

    >>> from engine.core import OPS
    >>> by_vjp, measured = slopes(OPS["exp"], [np.array([0.5, 1.0])], 0, np.random.default_rng(0))
    >>> abs(by_vjp - measured) < 1e-8
    True
    """
    moved = arrays[wrt]
    if moved is None:
        raise ValueError(f"input {wrt} is absent")
    y, vjp = op.rule(*arrays, **options)
    g = rng.standard_normal(y.shape)
    direction = rng.standard_normal(moved.shape)

    def value(t: float) -> float:
        here = [*arrays[:wrt], moved + t * direction, *arrays[wrt + 1 :]]
        return float((op.rule(*here, **options)[0] * g).sum())

    dx = vjp(g)[wrt]
    by_vjp = 0.0 if dx is None else float((dx * direction).sum())
    return by_vjp, (value(step) - value(-step)) / (2 * step)


def gradcheck(op: Op, *arrays: Array | None, tolerance: float = 1e-6, seed: int = 0, **options: Any) -> None:
    """Compare the vjp of every float64 input with a central difference; raises GradientError where they differ.

    tolerance is relative to the larger of the two slopes and 1.

    >>> from engine.core import OPS
    >>> gradcheck(OPS["mul"], np.array([1.0, 2.0]), np.array([3.0]))
    """
    rng = np.random.default_rng(seed)
    for wrt, x in enumerate(arrays):
        if x is None or x.dtype != np.float64:
            continue
        by_vjp, measured = slopes(op, arrays, wrt, rng, **options)
        if not abs(by_vjp - measured) <= tolerance * max(abs(by_vjp), abs(measured), 1.0):
            raise GradientError(
                f"{op.name}: along a random direction of input {wrt} the vjp says the slope is {by_vjp:.9g}, but "
                f"moving the input gives {measured:.9g}"
            )
