"""Arithmetic, number by number: two arrays meet by broadcasting, and the way back sums where one was spread."""

from collections.abc import Callable

import numpy as np

from engine.arrays import masked
from engine.core import Array, ShapeError, Vjp, op
from engine.kernels.memory import alike
from engine.onnx_spec import Node

BOTH = (True, True)


def sum_to(g: Array, shape: tuple[int, ...]) -> Array:
    """g summed over the axes along which an array of `shape` was spread: the adjoint of broadcasting.

    >>> sum_to(np.ones((4, 2, 3)), (2, 1))
    array([[12.],
           [12.]])
    """
    if g.shape == shape:
        return g
    lead = g.ndim - len(shape)
    spread = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1)
    return np.asarray(np.add.reduce(g, axis=spread)).reshape(shape)


def meet(ufunc: Callable[[Array, Array], Array], x: Array, y: Array) -> Array:
    """ufunc(x, y), with an error that names both shapes when they cannot be broadcast to one."""
    try:
        return ufunc(x, y)
    except ValueError as error:
        raise ShapeError(f"shapes {x.shape} and {y.shape} cannot be broadcast together") from error


@op(onnx=Node("Add"), selective=True)
def add(x: Array, y: Array) -> tuple[Array, Vjp]:
    """x + y, broadcast.

    >>> z, vjp = add.rule(np.array([1.0, 2.0]), np.array([10.0]))
    >>> z, vjp(np.array([1.0, 1.0]))
    (array([11., 12.]), (array([1., 1.]), array([2.])))
    """

    def vjp(g: Array, needs: tuple[bool, ...] = BOTH) -> tuple[Array | None, ...]:
        return sum_to(g, x.shape) if needs[0] else None, sum_to(g, y.shape) if needs[1] else None

    return meet(np.add, x, y), vjp


@op(onnx=Node("Sub"), selective=True)
def sub(x: Array, y: Array) -> tuple[Array, Vjp]:
    """x - y, broadcast.

    >>> z, vjp = sub.rule(np.array([1.0, 2.0]), np.array([10.0]))
    >>> z, vjp(np.array([1.0, 1.0]))
    (array([-9., -8.]), (array([1., 1.]), array([-2.])))
    """

    def vjp(g: Array, needs: tuple[bool, ...] = BOTH) -> tuple[Array | None, ...]:
        return sum_to(g, x.shape) if needs[0] else None, -sum_to(g, y.shape) if needs[1] else None

    return meet(np.subtract, x, y), vjp


@op(onnx=Node("Mul"), selective=True)
def mul(x: Array, y: Array) -> tuple[Array, Vjp]:
    """x * y, broadcast.

    >>> z, vjp = mul.rule(np.array([1.0, 2.0]), np.array([10.0]))
    >>> z, vjp(np.array([1.0, 1.0]))
    (array([10., 20.]), (array([10., 10.]), array([3.])))
    """

    def vjp(g: Array, needs: tuple[bool, ...] = BOTH) -> tuple[Array | None, ...]:
        return sum_to(g * y, x.shape) if needs[0] else None, sum_to(g * x, y.shape) if needs[1] else None

    return meet(np.multiply, x, y), vjp


@op(onnx=Node("Div"), selective=True)
def div(x: Array, y: Array) -> tuple[Array, Vjp]:
    """x / y, broadcast; dividing by 0 gives inf or nan, as IEEE 754 and torch have it. Of whole numbers it is float32.

    >>> z, vjp = div.rule(np.array([1.0, 2.0]), np.array([4.0]))
    >>> z, vjp(np.array([1.0, 1.0]))
    (array([0.25, 0.5 ]), (array([0.25, 0.25]), array([-0.1875])))
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        z = meet(np.true_divide, x, y)
    if x.dtype.kind != "f" and y.dtype.kind != "f":
        z = z.astype(np.float32)

    def vjp(g: Array, needs: tuple[bool, ...] = BOTH) -> tuple[Array | None, ...]:
        with np.errstate(divide="ignore", invalid="ignore"):
            gx = g / y
            return sum_to(gx, x.shape) if needs[0] else None, -sum_to(gx * z, y.shape) if needs[1] else None

    return z, vjp


@op(onnx=Node("Neg"))
def neg(x: Array) -> tuple[Array, Vjp]:
    """-x.

    >>> y, vjp = neg.rule(np.array([1.0, -2.0]))
    >>> y, vjp(np.array([3.0, 3.0]))[0]
    (array([-1.,  2.]), array([-3., -3.]))
    """
    return np.negative(x), lambda g: (np.negative(g),)


@op(onnx=Node("Pow"), selective=True)
def pow(x: Array, y: Array) -> tuple[Array, Vjp]:
    """x to the power y, broadcast.

        dx = g * y * x**(y - 1)          0 where y is 0, whatever x and g
        dy = g * x**y * log(x)           0 where x is 0 and y >= 0, as torch has it

    A negative x with a fractional y gives nan. A single y of 1/2 is a square root and of -1/2 one over it, as in torch:
    of -inf they are nan, where C's pow has inf and 0.

    >>> z, vjp = pow.rule(np.array([2.0, 3.0]), np.array(2.0))
    >>> z, vjp(np.array([1.0, 1.0]))[0]
    (array([4., 9.]), array([4., 6.]))
    """
    with np.errstate(all="ignore"):
        # with a Python number as exponent NumPy squares, inverts or takes roots: 20 times faster than a general power
        z = np.asarray(_raised(x, y.item())) if y.ndim == 0 and x.dtype.kind == "f" else meet(np.power, x, y)

    def vjp(g: Array, needs: tuple[bool, ...] = BOTH) -> tuple[Array | None, ...]:
        dx = dy = None
        with np.errstate(all="ignore"):
            if needs[0] and y.ndim == 0:
                exponent = y.item()
                slope = exponent * _raised(x, exponent - 1)
                dx = np.zeros_like(x) if exponent == 0 else sum_to(g * slope, x.shape)
            elif needs[0]:
                dx = sum_to(np.where(y == 0, 0, g * (y * np.power(x, y - 1))).astype(g.dtype), x.shape)
            if needs[1]:
                dy = sum_to(g * np.where((x == 0) & (y >= 0), 0, z * np.log(x)).astype(g.dtype), y.shape)
        return dx, dy

    return z, vjp


def _raised(x: Array, exponent: float) -> Array:
    """x to the power of a number, by NumPy's square root for 1/2 and by one over it for -1/2."""
    return 1 / np.sqrt(x) if exponent == -0.5 and x.dtype.kind == "f" else x ** exponent


@op(onnx=Node("Exp"))
def exp(x: Array) -> tuple[Array, Vjp]:
    """e to the power x.

    >>> y, vjp = exp.rule(np.array([0.0, 1.0]))
    >>> y.round(4), vjp(np.ones(2))[0].round(4)
    (array([1.    , 2.7183]), array([1.    , 2.7183]))
    """
    with np.errstate(over="ignore"):
        y = np.exp(x)
    return y, lambda g: (g * y,)


@op(onnx=Node("Log"))
def log(x: Array) -> tuple[Array, Vjp]:
    """The natural logarithm; -inf at 0 and nan below, without a warning.

    >>> y, vjp = log.rule(np.array([1.0, 4.0]))
    >>> y.round(4), vjp(np.ones(2))[0]
    (array([0.    , 1.3863]), array([1.  , 0.25]))
    """

    def vjp(g: Array) -> tuple[Array]:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return (g / x,)

    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x), vjp


@op(onnx=Node("Sqrt"))
def sqrt(x: Array) -> tuple[Array, Vjp]:
    """The square root; nan below 0. Its slope at 0 is infinite, as torch has it.

    >>> y, vjp = sqrt.rule(np.array([1.0, 4.0]))
    >>> y, vjp(np.ones(2))[0]
    (array([1., 2.]), array([0.5 , 0.25]))
    """
    with np.errstate(invalid="ignore"):
        y = np.sqrt(x)

    def vjp(g: Array) -> tuple[Array]:
        with np.errstate(divide="ignore", invalid="ignore"):
            return (g / (y + y),)

    return y, vjp


@op(onnx=Node("Abs"))
def abs(x: Array) -> tuple[Array, Vjp]:
    """The distance from 0, with slope 0 at 0 as torch has it.

    >>> y, vjp = abs.rule(np.array([-3.0, 0.0, 2.0]))
    >>> y, vjp(np.ones(3))[0]
    (array([3., 0., 2.]), array([-1.,  0.,  1.]))
    """
    return np.absolute(x), lambda g: (g * signs(x),)


def signs(x: Array) -> Array:
    """1 above 0, -1 below, 0 at 0 and for nan (as torch's sign, where NumPy's is nan).

    >>> signs(np.array([-3.0, 0.0, np.nan]))
    array([-1.,  0.,  0.])
    """
    return np.asarray(np.subtract(x > 0, x < 0, dtype=x.dtype))


@op(onnx=Node("Max"), selective=True)
def maximum(x: Array, y: Array) -> tuple[Array, Vjp]:
    """The larger of x and y, broadcast; nan where either is. Where they are equal each receives half, as in torch.

    >>> z, vjp = maximum.rule(np.array([1.0, 5.0]), np.array([3.0, 5.0]))
    >>> z, vjp(np.ones(2))
    (array([3., 5.]), (array([0. , 0.5]), array([1. , 0.5])))
    """
    return meet(np.maximum, x, y), _shared_by(x, y, np.less)


@op(onnx=Node("Min"), selective=True)
def minimum(x: Array, y: Array) -> tuple[Array, Vjp]:
    """The smaller of x and y, broadcast; nan where either is. Where they are equal each receives half, as in torch.

    >>> z, vjp = minimum.rule(np.array([1.0, 5.0]), np.array([3.0, 5.0]))
    >>> z, vjp(np.ones(2))
    (array([1., 5.]), (array([1. , 0.5]), array([0. , 0.5])))
    """
    return meet(np.minimum, x, y), _shared_by(x, y, np.greater)


def _shared_by(x: Array, y: Array, loses: Callable[[Array, Array], Array]) -> Vjp:
    """Nothing for the one that loses, half each where they are equal; beside a nan neither loses."""
    def vjp(g: Array, needs: tuple[bool, ...] = BOTH) -> tuple[Array | None, ...]:
        shared = g * (1 - np.equal(x, y) * g.dtype.type(0.5))
        dx = sum_to(masked(shared, ~loses(x, y)), x.shape) if needs[0] else None
        dy = sum_to(masked(shared, ~loses(y, x)), y.shape) if needs[1] else None
        return dx, dy

    return vjp


@op(onnx=lambda s: Node("Clip", inputs=(0, _bound(s.options["min"], s.dtypes[0]),
                                       _bound(s.options["max"], s.dtypes[0]))))
def clip(x: Array, *, min: float | None = None, max: float | None = None) -> tuple[Array, Vjp]:
    """x, but not below `min` and not above `max`.

    The slope is 1 on the bounds themselves and 0 beyond, as torch has it. With min above max everything is max.
    Raises ValueError when neither bound is given.

    >>> y, vjp = clip.rule(np.array([-2.0, 0.0, 0.5, 2.0]), min=0.0, max=1.0)
    >>> y, vjp(np.ones(4))[0]
    (array([0. , 0. , 0.5, 1. ]), array([0., 1., 1., 0.]))
    """
    if min is None and max is None:
        raise ValueError("clip needs min, max or both")
    y = np.asarray(x.clip(min, max))  # type: ignore[arg-type]

    def vjp(g: Array) -> tuple[Array]:
        inside = np.ones_like(x, bool) if min is None else x >= min
        if max is not None:
            inside &= x <= max
        return (masked(alike(g, x), inside),)

    return y, vjp


def _bound(value: float | None, dtype: np.dtype[np.generic]) -> Array | None:
    return None if value is None else np.asarray(value, dtype)


@op(onnx=Node("Where"), selective=True)
def where(condition: Array, x: Array, y: Array) -> tuple[Array, Vjp]:
    """x where the condition holds, y elsewhere; all three broadcast. The condition (bool) has no gradient.

    >>> z, vjp = where.rule(np.array([True, False]), np.array([1.0, 2.0]), np.array([9.0]))
    >>> z, vjp(np.ones(2))[1:]
    (array([1., 9.]), (array([1., 0.]), array([1.])))
    """
    if condition.dtype != bool:
        raise ValueError(f"where needs a condition of bools, not of {condition.dtype}")
    try:
        z = np.where(condition, x, y)
    except ValueError as error:
        raise ShapeError(f"shapes {condition.shape}, {x.shape} and {y.shape} cannot be broadcast together") from error

    def vjp(g: Array, needs: tuple[bool, ...] = (False, True, True)) -> tuple[Array | None, ...]:
        # not g * condition: an inf or nan that was not chosen must send 0, not nan
        dx = sum_to(np.where(condition, g, 0), x.shape) if needs[1] else None
        dy = sum_to(np.where(condition, 0, g), y.shape) if needs[2] else None
        return None, dx, dy

    return z, vjp


# --- comparisons: bools out, so nothing flows back; ops all the same, so that an exported model compares too ---


def _nothing(g: Array) -> tuple[None, None]:
    return None, None


@op(onnx=Node("Equal"))
def eq(x: Array, y: Array) -> tuple[Array, Vjp]:
    """Whether x == y, broadcast; no gradient.

    >>> eq.rule(np.array([1.0, 2.0]), np.array(2.0))[0]
    array([False,  True])
    """
    return meet(np.equal, x, y), _nothing


@op(onnx=lambda s: [Node("Equal", output="equal"), Node("Not", inputs=("equal",))])
def ne(x: Array, y: Array) -> tuple[Array, Vjp]:
    """Whether x != y, broadcast; no gradient.

    >>> ne.rule(np.array([1.0, 2.0]), np.array(2.0))[0]
    array([ True, False])
    """
    return meet(np.not_equal, x, y), _nothing


@op(onnx=Node("Greater"))
def gt(x: Array, y: Array) -> tuple[Array, Vjp]:
    """Whether x > y, broadcast; no gradient.

    >>> gt.rule(np.array([1.0, 3.0]), np.array(2.0))[0]
    array([False,  True])
    """
    return meet(np.greater, x, y), _nothing


@op(onnx=Node("GreaterOrEqual"))
def ge(x: Array, y: Array) -> tuple[Array, Vjp]:
    """Whether x >= y, broadcast; no gradient.

    >>> ge.rule(np.array([1.0, 2.0]), np.array(2.0))[0]
    array([False,  True])
    """
    return meet(np.greater_equal, x, y), _nothing


@op(onnx=Node("Less"))
def lt(x: Array, y: Array) -> tuple[Array, Vjp]:
    """Whether x < y, broadcast; no gradient.

    >>> lt.rule(np.array([1.0, 2.0]), np.array(2.0))[0]
    array([ True, False])
    """
    return meet(np.less, x, y), _nothing


@op(onnx=Node("LessOrEqual"))
def le(x: Array, y: Array) -> tuple[Array, Vjp]:
    """Whether x <= y, broadcast; no gradient.

    >>> le.rule(np.array([2.0, 3.0]), np.array(2.0))[0]
    array([ True, False])
    """
    return meet(np.less_equal, x, y), _nothing


_ONNX_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7, "bool": 9, "float16": 10, "float64": 11}


@op(onnx=lambda s: Node("Cast", attributes={"to": _ONNX_TYPES[np.dtype(s.options["dtype"]).name]}))
def cast(x: Array, *, dtype: object = np.float32) -> tuple[Array, Vjp]:
    """x as numbers of another type; the gradient comes back in x's own. Nothing flows back through whole numbers.

    >>> y, vjp = cast.rule(np.array([1.5]), dtype="float32")
    >>> y.dtype.name, vjp(y)[0].dtype.name
    ('float32', 'float64')
    """
    wanted = np.dtype(dtype)  # type: ignore[call-overload]
    return x.astype(wanted), lambda g: (g.astype(x.dtype),) if x.dtype.kind == "f" else (None,)
