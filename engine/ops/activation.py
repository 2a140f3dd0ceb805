"""Activations: the bends between the linear layers, and softmax, which turns scores into probabilities."""

import math

import numpy as np

from engine.arrays import masked
from engine.core import Array, Vjp, op
from engine.kernels.memory import alike
from engine.onnx_spec import Node, Situation


@op(onnx=Node("Relu"))
def relu(x: Array) -> tuple[Array, Vjp]:
    """max(x, 0), with slope 0 at 0 as in PyTorch.

    >>> y, vjp = relu.rule(np.array([-1.0, 0.0, 2.0]))
    >>> y, vjp(np.ones(3))[0]
    (array([0., 0., 2.]), array([0., 0., 1.]))
    """
    y = x.clip(0, math.inf) if x.dtype.kind == "f" else np.maximum(x, 0)  # three times as fast as np.maximum

    return y, lambda g: (masked(alike(g, y), y != 0),)  # nan passes its gradient on, as in torch


@op(onnx=lambda s: Node("LeakyRelu", attributes={"alpha": float(s.options["negative_slope"])}))
def leaky_relu(x: Array, *, negative_slope: float = 0.01) -> tuple[Array, Vjp]:
    """x where it is positive, negative_slope * x elsewhere (at 0 too, as in PyTorch).

    >>> y, vjp = leaky_relu.rule(np.array([-1.0, 0.0, 2.0]), negative_slope=0.1)
    >>> y, vjp(np.ones(3))[0]
    (array([-0.1,  0. ,  2. ]), array([0.1, 0.1, 1. ]))
    """
    positive = x > 0
    slope = np.where(positive, x.dtype.type(1), x.dtype.type(negative_slope))
    with np.errstate(invalid="ignore"):  # -inf with slope 0
        y = x * slope
    return y, lambda g: (alike(g, slope) * slope,)


@op(onnx=lambda s: Node("Elu", attributes={"alpha": float(s.options["alpha"])}))
def elu(x: Array, *, alpha: float = 1.0) -> tuple[Array, Vjp]:
    """x where it is positive, alpha * (e**x - 1) elsewhere. Source: Clevert et al., 2015.

    >>> y, vjp = elu.rule(np.array([-1.0, 0.0, 2.0]))
    >>> y.round(4), vjp(np.ones(3))[0].round(4)
    (array([-0.6321,  0.    ,  2.    ]), array([0.3679, 1.    , 1.    ]))
    """
    positive = x > 0
    below = np.where(positive, x.dtype.type(0), x)
    y = np.where(positive, x, alpha * np.expm1(below))
    return y, lambda g: (alike(g, x) * np.where(positive, x.dtype.type(1), alpha * np.exp(below)),)


@op(onnx=Node("Sigmoid"))
def sigmoid(x: Array) -> tuple[Array, Vjp]:
    """1 / (1 + e**-x): any score as a number between 0 and 1.

    Right at both ends: e**-x may overflow to inf, and 1/inf is the 0 it should be.

    >>> y, vjp = sigmoid.rule(np.array([-1000.0, 0.0, 1000.0]))
    >>> y, vjp(np.ones(3))[0]
    (array([0. , 0.5, 1. ]), array([0.  , 0.25, 0.  ]))
    """
    y = logistic(x)
    return y, lambda g: (alike(g, y) * (y * (1 - y)),)


def logistic(x: Array) -> Array:
    """The sigmoid as a plain function of arrays."""
    with np.errstate(over="ignore"):
        y = np.asarray(np.exp(-x))
    y += 1
    return np.asarray(np.divide(1, y, out=y))


@op(onnx=Node("Tanh"))
def tanh(x: Array) -> tuple[Array, Vjp]:
    """The hyperbolic tangent: any number as one between -1 and 1.

    >>> y, vjp = tanh.rule(np.array([-1000.0, 0.0]))
    >>> y, vjp(np.ones(2))[0]
    (array([-1.,  0.]), array([0., 1.]))
    """
    y = np.tanh(x)
    return y, lambda g: (alike(g, y) * (1 - y * y),)


@op(onnx=lambda s: [Node("Sigmoid", output="gate"), Node("Mul", inputs=(0, "gate"))])
def silu(x: Array) -> tuple[Array, Vjp]:
    """x * sigmoid(x), also called swish. Source: Elfwing et al., 2017.

    >>> y, vjp = silu.rule(np.array([0.0, 1.0]))
    >>> y.round(4), vjp(np.ones(2))[0].round(4)
    (array([0.    , 0.7311]), array([0.5   , 0.9277]))
    """
    gate = logistic(x)

    def vjp(g: Array) -> tuple[Array]:
        with np.errstate(invalid="ignore"):
            return (alike(g, x) * (gate * (1 + x * (1 - gate))),)

    with np.errstate(invalid="ignore"):  # -inf * 0
        return x * gate, vjp


@op(onnx=Node("HardSwish"))
def hardswish(x: Array) -> tuple[Array, Vjp]:
    """x * min(max(x + 3, 0), 6) / 6: swish from straight pieces. Source: Howard et al., MobileNetV3, 2019.

    >>> y, vjp = hardswish.rule(np.array([-4.0, 0.0, 3.0, 4.0]))
    >>> y, vjp(np.ones(4))[0]
    (array([-0.,  0.,  3.,  4.]), array([0. , 0.5, 1. , 1. ]))
    """

    def vjp(g: Array) -> tuple[Array]:
        slope = np.where(x >= 3, x.dtype.type(1), np.where(x <= -3, x.dtype.type(0), x / 3 + x.dtype.type(0.5)))
        return (alike(g, x) * slope,)

    with np.errstate(over="ignore", invalid="ignore"):  # the largest number gives inf, -inf nan, as in torch
        return x * np.clip(x + 3, 0, 6) / 6, vjp


@op(onnx=Node("HardSigmoid", attributes={"alpha": 1 / 6, "beta": 0.5}))
def hardsigmoid(x: Array) -> tuple[Array, Vjp]:
    """min(max(x + 3, 0), 6) / 6: the sigmoid from straight pieces, slope 0 at both bends as in PyTorch.

    >>> y, vjp = hardsigmoid.rule(np.array([-3.0, 0.0, 4.0]))
    >>> y, vjp(6 * np.ones(3))[0]
    (array([0. , 0.5, 1. ]), array([0., 1., 0.]))
    """
    return np.clip(x + 3, 0, 6) / 6, lambda g: (masked(alike(g, x), (x > -3) & (x < 3)) / 6,)


def _spell_softplus(s: Situation) -> list[Node]:
    beta, threshold = float(s.options["beta"]), float(s.options["threshold"])
    number = np.dtype(s.dtypes[0]).type
    return [
        Node("Mul", inputs=(0, number(beta)), output="scaled"),
        Node("Softplus", inputs=("scaled",), output="soft"),
        Node("Div", inputs=("soft", number(beta)), output="bent"),
        Node("Greater", inputs=("scaled", number(threshold)), output="straight"),
        Node("Where", inputs=("straight", 0, "bent")),
    ]


@op(onnx=_spell_softplus)
def softplus(x: Array, *, beta: float = 1.0, threshold: float = 20.0) -> tuple[Array, Vjp]:
    """log(1 + e**(beta * x)) / beta: relu without the corner; x itself where beta * x is above the threshold.

    >>> y, vjp = softplus.rule(np.array([-1000.0, 0.0, 1000.0]))
    >>> y.round(4), vjp(np.ones(3))[0]
    (array([0.000e+00, 6.931e-01, 1.000e+03]), array([0. , 0.5, 1. ]))
    """
    with np.errstate(over="ignore", invalid="ignore"):  # inf, and log of 1 + e**-inf
        scaled = x * beta
        straight = scaled > threshold
        y = np.where(straight, x, np.logaddexp(scaled, 0) / beta)
    return y, lambda g: (alike(g, x) * np.where(straight, x.dtype.type(1), logistic(scaled)),)


@op(onnx=lambda s: Node("Gelu", attributes={"approximate": s.options["approximate"]}))
def gelu(x: Array, *, approximate: str = "none") -> tuple[Array, Vjp]:
    """x times the share of a normal distribution that lies below x. Source: Hendrycks and Gimpel, 2016.

        none    y = x * (1 + erf(x / sqrt(2))) / 2
        tanh    y = x * (1 + tanh(sqrt(2/pi) * (x + 0.044715 * x**3))) / 2

    >>> gelu.rule(np.array([-1.0, 1.0]))[0].round(6), gelu.rule(np.array([-1.0, 1.0]), approximate="tanh")[0].round(6)
    (array([-0.158655,  0.841345]), array([-0.158808,  0.841192]))
    """
    if approximate == "none":
        share = 0.5 * erfc(x * -math.sqrt(0.5))

        def vjp(g: Array) -> tuple[Array]:
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):
                return (alike(g, x) * (share + x * np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))),)

        with np.errstate(invalid="ignore"):  # -inf * 0
            return x * share, vjp
    if approximate != "tanh":
        raise ValueError(f"gelu's approximate is 'none' or 'tanh', not {approximate!r}")
    k, c = math.sqrt(2 / math.pi), 0.044715

    def tanh_vjp(g: Array) -> tuple[Array]:
        with np.errstate(over="ignore", invalid="ignore"):
            return (alike(g, x) * (share + 0.5 * x * (1 - bend * bend) * (k * (1 + 3 * c * x * x))),)

    with np.errstate(over="ignore", invalid="ignore"):
        bend = np.tanh(k * (x + c * x * x * x))
        share = 0.5 * (1 + bend)
        return x * share, tanh_vjp


# --- softmax ---


@op(onnx=lambda s: Node("Softmax", attributes={"axis": int(s.options["dim"])}))
def softmax(x: Array, *, dim: int = -1) -> tuple[Array, Vjp]:
    """Scores as probabilities: e**x along an axis, divided by their sum.

    x (..., K, ...) -> the same shape, summing to 1 along `dim`. The largest score is subtracted first, which changes
    nothing but keeps e**x finite.

    >>> y, vjp = softmax.rule(np.array([1000.0, 1000.0]))
    >>> y, vjp(np.array([1.0, 0.0]))[0]
    (array([0.5, 0.5]), array([ 0.25, -0.25]))
    """
    real("softmax", x)
    if not x.size:
        return x.copy(), lambda g: (g.copy(),)
    y = np.asarray(x - np.maximum.reduce(x, axis=dim, keepdims=True))
    np.exp(y, out=y)
    y /= np.add.reduce(y, axis=dim, keepdims=True)

    def vjp(g: Array) -> tuple[Array]:
        dx = g * y
        dx -= y * np.add.reduce(dx, axis=dim, keepdims=True)
        return (dx,)

    return y, vjp


@op(onnx=lambda s: Node("LogSoftmax", attributes={"axis": int(s.options["dim"])}))
def log_softmax(x: Array, *, dim: int = -1) -> tuple[Array, Vjp]:
    """The logarithm of softmax, without the detour over probabilities that may underflow to 0.

        y = x - max - log(sum over dim of e**(x - max))

    >>> y, vjp = log_softmax.rule(np.array([0.0, -2000.0]))
    >>> y, vjp(np.array([1.0, 1.0]))[0]
    (array([    0., -2000.]), array([-1.,  1.]))
    """
    y = log_probabilities(x, dim)

    def vjp(g: Array) -> tuple[Array]:
        return (g - np.exp(y) * np.add.reduce(g, axis=dim, keepdims=True),)

    return y, vjp


def real(name: str, x: Array) -> None:
    """Refuse whole numbers, of which torch makes no probabilities either."""
    if x.dtype.kind != "f":
        raise ValueError(f"{name} takes floating-point scores, not {x.dtype}")


def log_probabilities(x: Array, dim: int) -> Array:
    """log_softmax as a plain function of arrays."""
    real("log_softmax", x)
    if not x.size:
        return x.copy()
    y = np.asarray(x - np.maximum.reduce(x, axis=dim, keepdims=True))
    y -= np.log(np.add.reduce(np.exp(y), axis=dim, keepdims=True))
    return y


# --- the error function, which NumPy does not have ---

# Coefficients, highest power first: W. J. Cody, Rational Chebyshev approximations for the error function, Mathematics
# of Computation 23 (1969), as in his CALERF (netlib specfun). Three pieces: |x| <= 0.46875, up to 4, and beyond.
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2,
     3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_MIDDLE = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
     2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
     1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
     3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3),
)
_FAR = (
    (1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
     1.60837851487422766e-2, 6.58749161529837803e-4),
    (1.0, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
     2.33520497626869185e-3),
)


@op(onnx=Node("Erf"))
def erf(x: Array) -> tuple[Array, Vjp]:
    """2/sqrt(pi) * the integral of e**(-t²) from 0 to x: the share of a normal distribution within ±x * sqrt(2).

    >>> y, vjp = erf.rule(np.array([-1.0, 0.0, np.inf]))
    >>> y.round(4), vjp(np.ones(3))[0].round(4)
    (array([-0.8427,  0.    ,  1.    ]), array([0.4151, 1.1284, 0.    ]))
    """
    near = np.absolute(x) <= 0.46875
    t = np.where(near, x, x.dtype.type(0))
    y = np.where(near, t * _ratio(_NEAR, t * t), 1 - erfc(x))  # 1 - erfc would lose the digits of small numbers

    def vjp(g: Array) -> tuple[Array]:
        with np.errstate(over="ignore", under="ignore"):
            return (alike(g, x) * (2 / math.sqrt(math.pi) * np.exp(-x * x)),)

    return y, vjp


def erfc(x: Array) -> Array:
    """1 - erf(x) = 2/sqrt(pi) * the integral of e**(-t²) from x on, to about 1e-15 relative in float64.

    >>> erfc(np.array([0.0, 1.0, 10.0]))
    array([1.00000000e+00, 1.57299207e-01, 2.08848758e-45])
    """
    a = np.absolute(x).ravel()
    tail = np.empty_like(a)  # erfc(|x|)
    near, far = a <= 0.46875, a > 4.0
    t = a[near]
    tail[near] = 1 - t * _ratio(_NEAR, t * t)
    middle = ~(near | far)
    t = a[middle]
    tail[middle] = _gauss(t) * _ratio(_MIDDLE, t)
    t = a[far]  # nan ends in the middle, inf here
    with np.errstate(divide="ignore", invalid="ignore", under="ignore", over="ignore"):
        s = 1 / (t * t)
        tail[far] = np.where(t > 27, 0, _gauss(t) * (1 / math.sqrt(math.pi) - s * _ratio(_FAR, s)) / t)
    tail = tail.reshape(x.shape)
    return np.where(x < 0, 2 - tail, tail)


def _ratio(polynomials: tuple[tuple[float, ...], tuple[float, ...]], t: Array) -> Array:
    above, below = (np.full_like(t, coefficients[0]) for coefficients in polynomials)
    for a, b in zip(polynomials[0][1:], polynomials[1][1:], strict=True):
        above *= t
        above += a
        below *= t
        below += b
    above /= below
    return above


def _gauss(t: Array) -> Array:
    """e**(-t²), t split in two so that the square's rounding error is not blown up by the exponential."""
    coarse = np.trunc(t * 16) / 16
    return np.asarray(np.exp(-coarse * coarse) * np.exp(-(t - coarse) * (t + coarse)))
