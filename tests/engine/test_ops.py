"""The rules of an op, asked of every op there is (CONTRIBUTING.md, "Rules an op obeys")."""

import doctest
import inspect
import sys

import numpy as np
import pytest

from engine import OPS, Op
from engine.core import Refused
from engine.gradcheck import GradientError, gradcheck
from engine.onnx_spec import Node, Situation
from tests.engine.op_cases import CASES, SAME_EITHER_WAY, Case

ROWS = [pytest.param(OPS[name], row, id=f"{name}-{k}") for name, rows in CASES.items() if name in OPS
        for k, row in enumerate(rows)]
EVERY_OP = [pytest.param(op, id=name) for name, op in OPS.items()]
every_case = pytest.mark.parametrize(("op", "row"), ROWS)


def run(op: Op, row: Case, dtype=np.float64):
    """The op on the row's arrays, none of which may be written to: (arrays, value, vjp)."""
    arrays = []
    for a in row.arrays:
        if a is not None:
            a = a.astype(dtype) if a.dtype.kind == "f" else a.copy()
            a.flags.writeable = False
        arrays.append(a)
    return arrays, *op.rule(*arrays, **row.options)


def back(op: Op, vjp, g, count: int):
    """What the way back sends to each of `count` inputs; asked for all of them, as the tape would."""
    return vjp(g, (True,) * count) if op.selective else vjp(g)


def random_like(y, seed=0):
    g = np.random.default_rng(seed).standard_normal(y.shape).astype(y.dtype if y.dtype.kind == "f" else np.float64)
    g.flags.writeable = False
    return g


def test_every_op_has_cases_and_every_case_an_op():
    assert set(CASES) == set(OPS)


@pytest.mark.parametrize("op", EVERY_OP)
def test_arrays_are_positional_and_options_keyword_only_with_a_default(op):
    for p in inspect.signature(op.rule).parameters.values():
        if p.kind is p.KEYWORD_ONLY:
            assert p.default is not p.empty, f"{op.name}: {p.name} has no default"
        elif p.kind is not p.VAR_POSITIONAL:
            assert p.kind is p.POSITIONAL_OR_KEYWORD
            assert p.default in (p.empty, None), f"{op.name}: {p.name} looks like an option"


@every_case
def test_changes_no_input_and_says_the_same_twice(op, row):
    arrays, y, vjp = run(op, row)
    _, again, _ = run(op, row)
    g = random_like(y)
    np.testing.assert_array_equal(y, again)
    count = len(arrays)
    # inputs and g are read-only here: writing to them would have raised
    for a, b in zip(back(op, vjp, g, count), back(op, vjp, g, count), strict=True):
        if a is not None:
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(y, again, err_msg="walking back changed the value")


def lying(a, axes):
    """The same array, its axes in another order in memory."""
    return np.ascontiguousarray(a.transpose(axes)).transpose(np.argsort(axes))


@pytest.mark.parametrize("turn", [1, 2, -1], ids=["first axis last", "two axes last", "Fortran"])
@every_case
def test_gives_the_same_whatever_order_its_inputs_lie_in(op, row, turn):
    def turned(a):
        if a is None or a.ndim < 2:
            return a
        axes = list(range(a.ndim))
        return lying(a, axes[::-1] if turn < 0 else axes[turn:] + axes[:turn])

    arrays, y, vjp = run(op, row)
    _, ours, our_vjp = run(op, Case(tuple(turned(a) for a in arrays), row.options))
    np.testing.assert_allclose(ours, y, 1e-9, 1e-9)
    if y.dtype.kind == "f":
        g, count = random_like(y), len(arrays)
        for a, b in zip(back(op, our_vjp, turned(g), count), back(op, vjp, g, count), strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_allclose(a, b, 1e-9, 1e-9)


@every_case
def test_keeps_the_dtype_in_value_and_gradients(op, row):
    if op.name == "cast":  # changing the dtype is what it does; the gradient comes back in the input's own
        assert back(op, run(op, row)[2], np.float32(1), 1)[0].dtype == np.float64
        return
    arrays, y, vjp = run(op, row, np.float32)
    assert isinstance(y, np.ndarray | np.generic)  # NumPy's arithmetic makes a scalar of a single number
    if y.dtype.kind != "f":
        return
    assert y.dtype == np.float32
    for a, d in zip(arrays, back(op, vjp, random_like(y), len(arrays)), strict=True):
        if d is not None:
            assert d.dtype == np.float32
            assert d.shape == a.shape


@every_case
def test_the_way_back_is_linear_and_has_the_inputs_shapes(op, row):
    arrays, y, vjp = run(op, row)
    g, h = random_like(y, 1), random_like(y, 2)
    three = (back(op, vjp, one, len(arrays)) for one in (g, h, 2 * g - 3 * h))
    for a, d, e, both in zip(arrays, *three, strict=True):
        if d is not None:
            assert a is not None
            assert d.shape == a.shape
            close = 1e-9 if g.dtype == np.float64 else 1e-5
            np.testing.assert_allclose(both, 2.0 * d - 3.0 * e, rtol=close, atol=close)


@every_case
def test_the_way_back_is_the_derivative(op, row):
    _, y, vjp = run(op, row)
    if not row.smooth or y.dtype.kind != "f":
        return
    wanted = [a if k not in row.fixed else None for k, a in enumerate(row.arrays)]
    for k, (a, d) in enumerate(zip(wanted, back(op, vjp, random_like(y), len(wanted)), strict=True)):
        if a is not None and a.dtype.kind == "f":
            assert d is not None, f"input {k} is a float and gets no gradient"
    moved = [a.astype(np.longdouble) if k in row.fixed and a is not None else a for k, a in enumerate(row.arrays)]
    gradcheck(op, *moved, **row.options)  # (gradcheck asks about float64 inputs only)


@pytest.mark.parametrize("op", [pytest.param(op, id=op.name) for op in OPS.values() if op.selective])
def test_a_selective_way_back_leaves_out_only_what_nobody_needs(op):
    for row in CASES[op.name]:
        arrays, y, vjp = run(op, row)
        g = random_like(y)
        full = vjp(g, (True,) * len(arrays))
        for k, d in enumerate(full):
            only = vjp(g, tuple(i == k for i in range(len(arrays))))
            assert len(only) == len(arrays)
            if d is not None:
                np.testing.assert_allclose(only[k], d, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("op", EVERY_OP)
def test_every_option_is_obeyed(op):
    for p in inspect.signature(op.rule).parameters.values():
        if p.kind is not p.KEYWORD_ONLY or (op.name, p.name) in SAME_EITHER_WAY:
            continue
        given = [row for row in CASES[op.name] if p.name in row.options]
        assert given, f"no case gives {op.name} a {p.name}"

        def differs(row, name=p.name):
            _, y, _ = run(op, row)
            others = {k: v for k, v in row.options.items() if k != name}
            try:
                z, _ = op.rule(*row.arrays, **others)
            except (ValueError, IndexError):  # without the option there is no answer at all
                return True
            return y.dtype != z.dtype or y.shape != z.shape or not np.array_equal(y, z)

        assert any(map(differs, given)), f"{op.name}: {p.name} changes nothing"


@pytest.mark.parametrize("op", EVERY_OP)
def test_an_option_nobody_knows_is_refused(op):
    with pytest.raises(TypeError, match="no_such_option"):
        op.rule(*CASES[op.name][0].arrays, no_such_option=1)


@every_case
def test_has_an_onnx_spelling_or_a_sentence(op, row):
    spelled = op.onnx
    if callable(spelled):
        _, y, _ = run(op, row)
        spelled = spelled(Situation(
            tuple(None if a is None else a.shape for a in row.arrays),
            tuple(None if a is None else a.dtype for a in row.arrays), row.options, y.shape,
        ))
    if isinstance(spelled, Refused):
        assert spelled.reason.endswith(".")
        assert len(spelled.reason.split()) > 5
        return
    outputs = set()
    for node in [spelled] if isinstance(spelled, Node) else spelled:
        for value in node.inputs or ():
            assert not isinstance(value, str) or value in outputs
            assert not isinstance(value, int) or value < len(row.arrays)
        outputs.add(node.output)


@pytest.mark.parametrize("op", EVERY_OP)
def test_the_docstring_has_an_example_that_runs(op):
    module = sys.modules[op.__module__]
    examples = doctest.DocTestParser().get_doctest(op.__doc__, {**vars(module), "np": np}, op.name, None, None)
    assert examples.examples, f"{op.name} has no example"
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(examples, out=said.append)
    assert result.failed == 0, "".join(said)


def planted(wrong):
    """exp with a wrong way back."""

    def rule(x):
        """A wrong one."""
        y = np.exp(x)
        return y, lambda g: (wrong(g, x, y),)

    return Op(rule, Node("Exp"), False)


@pytest.mark.parametrize("wrong", [
    lambda g, x, y: g * y * 1.0001, lambda g, x, y: g * x, lambda g, x, y: -g * y, lambda g, x, y: g * y + 1e-3,
    lambda g, x, y: np.roll(g * y, 1), lambda g, x, y: None,
])
def test_the_gradient_check_catches_a_planted_wrong_gradient(wrong):
    with pytest.raises(GradientError, match="input 0"):
        gradcheck(planted(wrong), np.array([0.5, -1.0, 2.0]))


def test_the_gradient_check_is_content_with_a_right_one():
    gradcheck(planted(lambda g, x, y: g * y), np.array([0.5, -1.0, 2.0]))


LINEAR = ["neg", "sum", "mean", "reshape", "flatten", "transpose", "unsqueeze", "squeeze", "concat", "stack",
          "broadcast_to", "getitem", "avg_pool2d", "adaptive_avg_pool2d", "interpolate"]


@pytest.mark.parametrize(("op", "row"), [p for p in ROWS if p.values[0].name in LINEAR])
def test_the_way_back_of_a_linear_op_is_its_adjoint(op, row):
    arrays, y, vjp = run(op, row)
    g = random_like(y)
    forward = float((y * g).sum())
    returned = sum(float((a * d).sum()) for a, d in zip(arrays, back(op, vjp, g, len(arrays)), strict=True))
    assert forward == pytest.approx(returned, rel=1e-12, abs=1e-12)
