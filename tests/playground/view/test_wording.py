"""A part's line of code in three libraries makes what the part gives of what it gets; its words and formula fit it."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest
import torch
from torch import nn

import engine
import playground.view
from engine import Tensor, layers
from playground.network.presets import PRESETS
from playground.view.describe import about, multiply_adds
from playground.view.layer_code import code_of
from playground.view.trace import PICTURE
from playground.view.wording import formula_of, what_it_is
from tests.playground.view.networks import EVERYTHING, design, graph, pictures
from tests.playground.view.test_trace import GRAPHS, SMALL, graph_named

MORE = ("c8k3s2p1-r-c8k5d2-c8g4n-dw2k3s2-g-d4", "c6-lr0.2-el0.7-si-gn3-p3s2p1-a3s1p1-ct4k3s2p1-u3-f-ln-d5n-sm-d4",
        "c6-ge-hs-th-sg-oc0.4-u2b-p3s1-a2-ct6k2-c4k3p0-g-o0.25-b-d4")
DESIGNS = (*PRESETS, EVERYTHING, *MORE)
LINES = ("Our engine", "PyTorch", "Keras")


def built(line, names):
    """The layers of a line as a list; the line is ours, of a network made here."""
    return eval(f"[{line}]", names)


def through(modules, x):
    for one in modules:
        x = one(x)
    return x


def traces():
    for text in DESIGNS:
        yield text, design(text, (1, 16, 16)).run(pictures((1, 16, 16)))
    for name in GRAPHS:
        yield name, graph_named(name).run(pictures(SMALL))


@pytest.fixture(scope="module")
def lines():
    """Every different line with the shapes it is to lead from and to."""
    found = {}
    for text, trace in traces():
        for part in trace.parts:
            given = [trace.picture.shape[1:] if one == PICTURE else trace.parts[one].shape for one in part.sources]
            code = code_of(trace, part)
            assert set(code) in (set(), set(LINES))
            if part.sort.key not in ("sum", "concat") and code:
                found.setdefault((tuple(code.values()), given[0], part.shape), (text, part.title))
    return found


def test_every_kind_of_layer_of_ours_has_a_line():
    for text in DESIGNS:
        trace = design(text, (1, 16, 16)).run(pictures((1, 16, 16)))
        for part in trace.parts:
            assert code_of(trace, part), part.title
            assert what_it_is(part) != "Passes on what it gets."
            assert formula_of(part), part.title


def test_torchs_lines_give_the_parts_shape(lines):
    for (code, takes, gives), what in lines.items():
        assert code[1], what
        modules = built(code[1], {"nn": nn, "torch": torch})
        with torch.no_grad():
            y = through(modules, torch.zeros(2, *takes))
        assert tuple(y.shape[1:]) == gives, (code[1], what)


def test_our_engines_lines_give_the_parts_shape(lines):
    for (code, takes, gives), what in lines.items():
        if not code[0]:  # no layer of ours
            assert code[1].startswith(("nn.PReLU", "nn.ReLU6"))
            continue
        modules = built(code[0], {"layers": layers, "engine": engine})
        y = through(modules, Tensor(np.zeros((2, *takes), np.float32)))
        assert tuple(y.shape[1:]) == gives, (code[0], what)


@pytest.mark.slow
def test_keras_lines_give_the_parts_shape(lines, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    without = [code[1] for code, _, _ in lines if not code[2]]
    assert len(without) <= 4, without
    for (code, takes, gives), what in lines.items():
        if not code[2]:
            continue
        takes = (*takes[1:], takes[0]) if len(takes) == 3 else takes
        gives = (*gives[1:], gives[0]) if len(gives) == 3 else gives
        y = through(built(code[2], {"keras": keras}), np.zeros((2, *takes), np.float32))
        assert tuple(y.shape[1:]) == gives, (code[2], what)


@pytest.mark.parametrize("text", DESIGNS)
def test_torchs_layers_with_the_parts_weights_give_the_parts_numbers(text):
    """Options are all there: slopes, groups, padding, epsilon."""
    trace = design(text, (1, 16, 16)).run(pictures((1, 16, 16)))
    for part in trace.parts:
        if len(part.sources) != 1 or part.sort.key == "dropout":
            continue
        modules = built(code_of(trace, part)["PyTorch"], {"nn": nn, "torch": torch})
        for one in modules:
            one.eval()
            state = one.state_dict()
            for name, weight in part.weights.items():
                state[name.rsplit(".", 1)[-1]] = torch.from_numpy(weight.data.reshape(state[name.rsplit(".", 1)[-1]]
                                                                                      .shape))
            if part.sort.key == "batch_norm":
                node = part.made[-1].node
                mean, var = (torch.from_numpy(x.data.copy()) for x in node.inputs[1:3])
                state |= {"running_mean": mean, "running_var": var}
            one.load_state_dict(state)
        source = trace.picture if part.sources[0] == PICTURE else trace.parts[part.sources[0]].output
        with torch.no_grad():
            y = through(modules, torch.from_numpy(source.data)).numpy()
        np.testing.assert_allclose(y, part.output.data, atol=1e-5 * max(1, np.abs(y).max()), err_msg=part.title)


def test_formulas_have_the_parts_own_numbers():
    trace = design("c6k3s2p1-r-f-d5n-d4", (3, 9, 9)).run(pictures((3, 9, 9)))
    conv, relu, flatten, plain, dense = trace.parts
    assert formula_of(conv) == ("y[f,p,q] = b[f] + Σ w[f,c,i,j] · x[c, 2·p + i − 1, 2·q + j − 1] over 3 channels c and "
                                "3 × 3 places i, j")
    assert formula_of(relu) == "y = max(x, 0)"
    assert formula_of(plain) == "y[k] = Σ w[k,n] · x[n] over 150 inputs n"
    assert formula_of(dense) == "y[k] = b[k] + Σ w[k,n] · x[n] over 5 inputs n"
    assert flatten.shape == (150,)


def test_a_part_that_only_a_file_knows_is_said_in_words():
    trace = graph_named("an op that no table knows").run(pictures(SMALL))
    part = next(one for one in trace.parts if one.sort.words == "Abs")
    assert what_it_is(part) == "A step of the file: abs."
    assert code_of(trace, part) == {}


def test_multiply_adds_are_those_of_the_products():
    trace = design("c6k3s2p1-r-c8k1g2n-f-d5n-d4", (3, 9, 9)).run(pictures((3, 9, 9)))
    found = [multiply_adds(part) for part in trace.parts]
    assert found == [6 * 25 * 27, None, 8 * 25 * 3, None, 200 * 5, 20]


@pytest.mark.parametrize("text", [*PRESETS, EVERYTHING])
def test_everything_is_said_of_every_part(text):
    trace = design(text).run(pictures())
    for part in trace.parts:
        said = about(trace, part)
        assert said["what"].endswith(".")
        assert set(said) == {"what", "formula", "code", "rows"}
        told = dict(said["rows"])
        assert told["gives"] == " × ".join(map(str, part.shape))
        assert told["takes from"].count(";") == len(part.sources) - 1
        assert ("weights" in told, "multiply-adds" in told) == (bool(part.weights), multiply_adds(part) is not None)


def test_asymmetric_padding_has_its_own_line():
    source = graph("g (float[N, 1, 6, 6] x) => (float[N, 4] y) { c = Conv <pads = [0, 1, 1, 1], strides = [2, 1]> "
                   "(x, w) m = GlobalAveragePool(c) y = Flatten(m) }",
                   w=np.zeros((4, 1, 2, 3), np.float32))
    trace = source.run(pictures(SMALL))
    part = trace.parts[0]
    code = code_of(trace, part)
    assert tuple(through(built(code["PyTorch"], {"nn": nn}), torch.zeros(1, 1, 6, 6)).shape[1:]) == part.shape
    x = Tensor(np.zeros((1, 1, 6, 6), np.float32))
    assert tuple(through(built(code["Our engine"], {"layers": layers}), x).shape[1:]) == part.shape


def test_the_examples_in_the_views_docstrings_run():
    results = [doctest.testmod(importlib.import_module(f"playground.view.{one.name}"))
               for one in pkgutil.iter_modules(playground.view.__path__)]
    assert sum(one.attempted for one in results) >= 10
    assert sum(one.failed for one in results) == 0
