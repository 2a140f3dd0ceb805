"""Products of matrices."""

import math

import numpy as np

from engine.core import Array, ShapeError, Vjp, op
from engine.kernels.memory import ones
from engine.onnx_spec import Node, Situation
from engine.ops.elementwise import BOTH, sum_to


@op(onnx=Node("MatMul"), selective=True)
def matmul(x: Array, y: Array) -> tuple[Array, Vjp]:
    """The matrix product over the last two axes; the axes before them are broadcast.

    x (..., M, K), y (..., K, N) -> (..., M, N); a vector (K,) is a row on the left, a column on the right, and its
    axis is gone from the result. Raises ShapeError naming both shapes.

        dx = g @ y^T        dy = x^T @ g

    >>> z, vjp = matmul.rule(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    >>> z, vjp(np.array([[1.0]]))
    (array([[11.]]), (array([[3., 4.]]), array([[1.],
           [2.]])))
    """
    try:
        z = np.asarray(np.matmul(x, y))
    except ValueError as error:
        raise ShapeError(f"shapes {x.shape} and {y.shape} cannot be multiplied as matrices") from error

    def vjp(g: Array, needs: tuple[bool, ...] = BOTH) -> tuple[Array | None, ...]:
        rows = x[None, :] if x.ndim == 1 else x
        columns = y[:, None] if y.ndim == 1 else y
        if x.ndim == 1:
            g = g[..., None, :] if y.ndim > 1 else g[..., None]
        if y.ndim == 1:
            g = g[..., None]
        dx = sum_to(np.matmul(g, columns.swapaxes(-1, -2)), rows.shape).reshape(x.shape) if needs[0] else None
        dy = sum_to(np.matmul(rows.swapaxes(-1, -2), g), columns.shape).reshape(y.shape) if needs[1] else None
        return dx, dy

    return z, vjp


def _spell_linear(s: Situation) -> list[Node] | Node:
    x = s.shapes[0]
    assert x is not None
    with_bias = len(s.shapes) > 2 and s.shapes[2] is not None
    if len(x) == 2:
        return Node("Gemm", attributes={"transB": 1})
    product = [
        Node("Transpose", inputs=(1,), attributes={"perm": [1, 0]}, output="columns"),
        Node("MatMul", inputs=(0, "columns"), output="product"),
    ]
    return [*product, Node("Add", inputs=("product", 2)) if with_bias else Node("Identity", inputs=("product",))]


@op(onnx=_spell_linear, selective=True)
def linear(x: Array, w: Array, b: Array | None = None) -> tuple[Array, Vjp]:
    """Weighted sums of the features, one for every row of w: y = x @ w^T + b.

    x (..., IN), w (OUT, IN), b (OUT,) -> (..., OUT). Raises ShapeError naming both shapes when IN does not fit.

    >>> y, vjp = linear.rule(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5]))
    >>> y, vjp(np.array([[1.0]]))
    (array([[11.5]]), (array([[3., 4.]]), array([[1., 2.]]), array([1.])))
    """
    if w.ndim != 2 or x.shape[-1:] != w.shape[1:]:
        raise ShapeError(f"linear takes x (..., IN) and w (OUT, IN), not {x.shape} and {w.shape}")
    if b is not None and b.shape != w.shape[:1]:
        raise ShapeError(f"{w.shape[0]} rows of w {w.shape} take as many biases, not {b.shape}")
    rows = x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), w.shape[1])
    by_feature = rows.flags.fnc  # Fortran's order, as convolutions of few channels leave it: y and dx shall lie so too
    y = w.dot(rows.T).T if by_feature else rows.dot(w.T)
    if b is not None:
        y += b

    def vjp(g: Array, needs: tuple[bool, ...] = (True, True, True)) -> tuple[Array | None, ...]:
        pulls = g if rows is x else g.reshape(len(rows), w.shape[0])
        dx = None
        if needs[0]:
            dx = w.T.dot(pulls.T).T if by_feature else pulls.dot(w)
            if rows is not x:
                dx = dx.reshape(x.shape)
        dw = pulls.T.dot(rows) if needs[1] else None
        db = ones(len(pulls), pulls.dtype).dot(pulls) if b is not None and needs[2] else None
        return (dx, dw, db)[: len(needs)]

    return y if rows is x else y.reshape(*x.shape[:-1], w.shape[0]), vjp


@op(onnx=lambda s: Node("Einsum", attributes={"equation": s.options["equation"]}), selective=True)
def einsum(*xs: Array, equation: str = "") -> tuple[Array, Vjp]:
    """Any sum of products, said in letters: 'ij,jk->ik' is the matrix product, 'nchw->nc' sums over pixels.

    A letter an axis; equal letters have equal lengths; letters not in the result are summed over. '...' and a
    letter twice in one array are refused.

    >>> z, vjp = einsum.rule(np.array([1.0, 2.0]), np.array([3.0, 4.0]), equation="i,i->")
    >>> z, vjp(np.array(1.0))
    (array(11.), (array([3., 4.]), array([1., 2.])))
    """
    terms, result = _terms(equation, len(xs))
    lengths: dict[str, int] = {}
    for term, x in zip(terms, xs, strict=True):
        if len(term) != x.ndim or any(lengths.setdefault(k, n) != n for k, n in zip(term, x.shape, strict=True)):
            raise ShapeError(f"einsum {equation!r} does not fit the shapes {[x.shape for x in xs]}")
    z = np.asarray(np.einsum(f"{','.join(terms)}->{result}", *xs, optimize=len(xs) > 1))

    def back(k: int, g: Array) -> Array:
        others = [(t, x) for i, (t, x) in enumerate(zip(terms, xs, strict=True)) if i != k]
        known = set(result).union(*(t for t, _ in others))
        there = "".join(c for c in terms[k] if c in known)
        left = ",".join([result, *(t for t, _ in others)])
        dx = np.einsum(f"{left}->{there}", g, *(x for _, x in others), optimize=bool(others))
        # letters only this array has were summed alone: every place along them gets the same
        shape = tuple(n if c in known else 1 for c, n in zip(terms[k], xs[k].shape, strict=True))
        return np.broadcast_to(dx.reshape(shape), xs[k].shape)

    def vjp(g: Array, needs: tuple[bool, ...] | None = None) -> tuple[Array | None, ...]:
        wanted = needs or (True,) * len(xs)
        return tuple(back(k, g) if wanted[k] else None for k in range(len(xs)))

    return z, vjp


def _terms(equation: str, count: int) -> tuple[list[str], str]:
    plain = equation.replace(" ", "")
    if "." in plain:
        raise ValueError(f"einsum {equation!r}: '...' is not offered, name every axis by a letter")
    left, arrow, result = plain.partition("->")
    terms = left.split(",")
    if len(terms) != count:
        raise ValueError(f"einsum {equation!r} names {len(terms)} arrays, {count} were given")
    if any(len(set(t)) < len(t) for t in (*terms, result)):
        raise ValueError(f"einsum {equation!r}: a letter twice in one array is not offered")
    if not arrow:  # as NumPy and torch read it: letters that come once, in alphabetical order
        result = "".join(c for c in sorted(set(left) - {","}) if left.count(c) == 1)
    return terms, result
