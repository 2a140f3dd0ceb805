"""Formulas: only formulas are read; their graphs' gradients are the engine's, torch's and a finite difference's."""

import json
import math
import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from playground.errors import PlaygroundError
from playground.steps.autograd import WAY_HEIGHT, build, gradients, local_factor, nudged, walk_back
from playground.steps.expression import FUNCTIONS, parse, variables
from playground.steps.torch_gradient import torch_gradients
from playground.ui.lessons.autograd import PRESETS

FORMULAS = st.recursive(
    st.sampled_from(["x", "y", "z", "2", "0.5"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(FUNCTIONS), inner).map(lambda t: f"{t[0]}({t[1]})"),
        inner.map(lambda e: f"(-{e})"), inner.map(lambda e: f"({e})**2"),
    ), max_leaves=6)


@settings(max_examples=120, deadline=None)
@given(FORMULAS, st.floats(0.3, 2), st.floats(-2, -0.3), st.floats(0.3, 2))
def test_the_walk_back_is_the_chain_rule_and_torchs_gradient(text: str, x: float, y: float, z: float) -> None:
    values = {"x": x, "y": y, "z": z}
    try:
        tree = parse(text)
        graph = build(tree, values)
        walked = walk_back(graph)
    except PlaygroundError:
        assume(False)
    assume(all(abs(node.value) < 1e4 for node in graph.nodes))
    totals = {}
    for step in walked:
        for sent in step.contributions:
            assert sent.gradient == pytest.approx(sent.upstream * sent.factor, rel=1e-9, abs=1e-12)
            totals[graph.nodes[sent.node].name] = sent.total
    ours = gradients(tree, values)
    theirs = torch_gradients(text, {name: values[name] for name in variables(tree)})
    assume(all(math.isfinite(v) for v in theirs.values()))
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-9)
    for name in variables(tree):
        alone = 1.0 if text.strip("()") == name else 0.0
        assert totals.get(name, alone) == pytest.approx(ours[name], rel=1e-9, abs=1e-9)


@settings(max_examples=120, deadline=None)
@given(FORMULAS, st.floats(0.3, 2), st.floats(-2, -0.3), st.floats(0.3, 2))
def test_random_formulas_gradients_are_finite_differences(text: str, x: float, y: float, z: float) -> None:
    values = {"x": x, "y": y, "z": z}
    try:
        tree = parse(text)
        graph = build(tree, values)
        found = gradients(tree, values)
    except PlaygroundError:
        assume(False)
    largest = max(abs(node.value) for node in graph.nodes)
    assume(largest < 1e3)
    assume(all(abs(node.inputs[0].value) > 1e-2 for node in graph.nodes if node.label == "relu"))
    for name, exact in found.items():
        wide, narrow = (nudged(tree, values, name, h)[1] for h in (2e-4, 1e-4))
        assume(math.isfinite(wide) and abs(wide - narrow) <= 1e-5 * max(1, abs(narrow)))
        better = (4 * narrow - wide) / 3  # Richardson: the error of h squared is gone
        assert exact == pytest.approx(better, rel=1e-5, abs=1e-7 * max(1, largest))


@settings(max_examples=120, deadline=None)
@given(FORMULAS)
def test_boxes_do_not_overlap_and_lines_pass_beside_them(text: str) -> None:
    try:
        graph = build(parse(text), {"x": 1.0, "y": 0.7, "z": 1.3})
    except PlaygroundError:
        assume(False)
    assert graph.result.layer == max(node.layer for node in graph.nodes)
    for node in graph.nodes:
        assert all(given_.layer < node.layer for given_ in node.inputs)
        for given_ in node.inputs:
            assert set(range(given_.layer + 1, node.layer)) <= set(given_.ways)
    for layer in range(graph.result.layer + 1):
        rows = sorted([(node.row, 1.0) for node in graph.nodes if node.layer == layer]
                      + [(node.ways[layer], WAY_HEIGHT) for node in graph.nodes if layer in node.ways])
        for (above, tall), (below, high) in pairwise(rows):
            assert below - above >= (tall + high) / 2 - 1e-9


def test_a_formula_without_repeated_variables_is_drawn_without_crossing_lines() -> None:
    graph = build(parse("(a - b*c)/(d + relu(f*g))"), dict.fromkeys("abcdfg", 1.0))
    segments = []
    for node in graph.nodes:
        for one in node.inputs:
            rows = [one.row, *(one.ways[k] for k in range(one.layer + 1, node.layer)), node.row]
            segments += [(one.layer + k, a, b) for k, (a, b) in enumerate(pairwise(rows))]
    for k, a, b in segments:
        assert not any(k == m and (a - c) * (b - d) < 0 for m, c, d in segments)


@pytest.mark.parametrize(("formula", "values"), PRESETS.values(), ids=PRESETS)
def test_presets_agree_with_a_finite_difference(formula: str, values: dict[str, float]) -> None:
    tree = parse(formula)
    for name, exact in gradients(tree, values).items():
        assert nudged(tree, values, name, 1e-5)[1] == pytest.approx(exact, abs=1e-8)


@pytest.mark.parametrize("hostile", [
    "__import__('os')", "x.__class__", "(lambda: 1)()", "[x for x in (1,)]", "f'{x}'", "x if x else 1", "x := 3",
    "'a'*3", "x[0]", "exec(x)", "relu", "relu(x, x)", "relu(x, inplace=x)", "x and 1", "x < 1", "x % 2", "x // 2",
    "x @ x", "~x", "True + x", "x**x", "1e9*x", "1j*x", "await x", "*x", "__x__ + 1", "None", "...", "b'a'",
])
def test_what_is_no_formula_is_refused_in_a_sentence(hostile: str) -> None:
    with pytest.raises(PlaygroundError, match=r"\.$"):
        parse(hostile)


@pytest.mark.parametrize("wrong", [
    "", "   ", "x +", "x)(", "1 + 2", "x" + "+x" * 99, "(" * 190 + "x", "+".join("abcdefghi"), "x\x00", "9**9**9**9*x",
    "-" * 150 + "x", "relu(" * 39 + "x" + ")" * 39,
])
def test_what_is_incomplete_or_too_much_is_refused_in_a_sentence(wrong: str) -> None:
    with pytest.raises(PlaygroundError, match=r"\.$"):
        parse(wrong)


@pytest.mark.parametrize(("formula", "sentence"), [("log(x - x)", "log of 0"), ("1/(x - x)", "The quotient of 1, 0"),
                                                   ("exp(x*900)", "no finite result"), ("sqrt(-x)", "sqrt of −1")])
def test_no_finite_result_is_said_by_the_operation(formula: str, sentence: str) -> None:
    with pytest.raises(PlaygroundError, match=sentence):
        build(parse(formula), {"x": 1.0})


def test_a_number_of_the_graph_is_written_out() -> None:
    labels = [node.label for node in build(parse("x*1000000 + 0.00000025"), {"x": 1.0}).nodes]
    assert {"1\u202f000\u202f000", "2.5 × 10⁻⁷"} < set(labels)


def test_every_local_factor_is_the_derivative() -> None:
    for label, place, a, b, y in (("/", 0, 3.0, 2.0, 1.5), ("/", 1, 3.0, 2.0, 1.5), ("^", 0, 3.0, 2.0, 9.0),
                                  ("log", 0, 4.0, 4.0, math.log(4)), ("sqrt", 0, 4.0, 4.0, 2.0)):
        expected = {("/", 0): 0.5, ("/", 1): -0.75, ("^", 0): 6.0, ("log", 0): 0.25, ("sqrt", 0): 0.25}[label, place]
        assert local_factor(label, place, a, b, y) == pytest.approx(expected)


@pytest.mark.slow
def test_the_process_beside_the_page_answers_in_json_and_refuses_what_is_no_formula() -> None:
    def ask(formula: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "playground.steps.torch_gradient"], text=True, capture_output=True,
                              input=json.dumps({"formula": formula, "values": {"x": 3.0}}), check=False)

    assert json.loads(ask("x*x").stdout) == {"x": 6.0}
    refused = ask("x.__class__")
    assert refused.returncode == 2
    assert "is not part of a formula" in refused.stderr
