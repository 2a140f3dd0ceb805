"""A folded network holds every part once, in order, in few columns; blocks are found by who feeds whom."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Tensor
from engine import functional as F
from engine.arithmetic import cat
from playground.network.presets import PRESETS
from playground.network.spelling import spelled
from playground.view.folding import MOST_COLUMNS, Fold, consumers, folded
from playground.view.trace import PICTURE, Mark, read
from tests.network.designs import random_design
from tests.playground.view.networks import EVERYTHING, design, graph, pictures
from tests.playground.view.test_trace import GRAPHS, SMALL, graph_named


def leaves(items):
    for item in items:
        if isinstance(item, Fold):
            yield from leaves(item.inside)
        else:
            yield item


def all_folds(items):
    for item in items:
        if isinstance(item, Fold):
            yield item
            yield from all_folds(item.inside)


def ends(item):
    return (item.first, item.last) if isinstance(item, Fold) else (item, item)


def sound(trace):
    """Of every folded network; gives its columns."""
    items = folded(trace)
    assert list(leaves(items)) == [part.index for part in trace.parts]
    keys = [fold.key for fold in all_folds(items)]
    assert len(keys) == len(set(keys))
    spans = [(fold.first, fold.last) for fold in all_folds(items)]
    for fold in all_folds(items):
        assert len(fold.inside) > 1
        assert fold.title
        within = [ends(item) for item in fold.inside]
        assert (within[0][0], within[-1][1]) == (fold.first, fold.last)
        assert all(b + 1 == c for (_, b), (c, _) in pairwise(within))
    for a, b in spans:
        for c, d in spans:
            assert b < c or d < a or (a <= c and d <= b) or (c <= a and b <= d), "folds overlap in part"
    fed = consumers(trace.parts)
    for fold in all_folds(items):  # a block and a unit have one way in and one way out
        if fold.kind in ("block", "unit"):
            inside = range(fold.first, fold.last + 1)
            into = {source for k in inside for source in trace.parts[k].sources if source < fold.first}
            assert len(into) == 1, fold
            assert all(taker in inside for k in inside[:-1] for taker in fed[k]), fold
    return items


@pytest.mark.parametrize("takes", [(1, 8, 8), (3, 32, 32)])
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_fits_on_a_screen(name, takes):
    items = sound(design(name, takes, 10).run(pictures(takes)))
    assert len(items) <= 13


@pytest.mark.parametrize("text", GRAPHS)
def test_a_graph_folds_whole(text):
    sound(graph_named(text).run(pictures(SMALL)))


def test_the_residual_blocks_of_a_design_are_found():
    trace = design("resnet8", (3, 32, 32)).run(pictures((3, 32, 32)))
    items = sound(trace)
    assert [item.title if isinstance(item, Fold) else trace.parts[item].title for item in items] == [
        "convolution, 16 filters 3 × 3", *["residual block"] * 3, "mean of each map", "dense layer, 4 units"]
    plain, wide = items[1], items[2]
    assert [trace.parts[k].sort.key for k in leaves([plain])] == [
        "conv", "batch_norm", "activation", "conv", "batch_norm", "sum", "activation"]
    assert [fold.title for fold in all_folds(wide.inside)] == ["convolution, 32 filters 3 × 3, stride 2",
                                                               "convolution, 32 filters 3 × 3",
                                                               "convolution, 32 filters 1 × 1, stride 2"]


def test_parallel_branches_and_gates_are_blocks():
    trace = design("inception").run(pictures())
    assert sum(fold.title == "parallel branches" for fold in all_folds(sound(trace))) == 2
    trace = graph_named("squeeze and excitation").run(pictures(SMALL))
    assert [fold.title for fold in all_folds(sound(trace)) if fold.kind == "block"] == ["gate"]


def test_a_block_in_a_block_is_folded_in_it():
    trace = design("c4-[c4-[c4-r:]-r:]-r-g-d4").run(pictures())
    (outer,) = [item for item in sound(trace) if isinstance(item, Fold) and item.kind == "block"]
    assert [fold.kind for fold in all_folds([outer])].count("block") == 2


def test_a_unit_ends_where_its_numbers_are_used_twice():
    trace = design("c4-[r-c4:]-g-d4").run(pictures())
    first = next(iter(folded(trace)))
    assert first == 0  # the convolution feeds the ReLU and the sum


def test_alike_layers_in_a_row_are_one():
    trace = design("f-" + "d16-r-" * 20 + "d4").run(pictures())
    items = sound(trace)
    assert len(items) <= MOST_COLUMNS
    assert any(isinstance(item, Fold) and item.kind == "run" and item.title.startswith("20 ×") for item in items)


def test_a_deep_chain_of_convolutions_is_folded_by_the_size_of_its_maps():
    trace = design("-".join(["c4-r"] * 6 + ["p2"] + ["c8-r"] * 6 + ["p2", "c8-r", "g", "d4"])).run(pictures())
    titles = [item.title for item in sound(trace) if isinstance(item, Fold)]
    assert "stage of 12 × 12, 4 maps" in titles
    assert "stage of 6 × 6, 8 maps" in titles


def test_an_inverted_residual_block_without_a_shortcut_is_found():
    trace = design("c6n-b-r-c12k1n-b-r-dwn-b-r-c6k1n-b-c12k1n-b-r-dws2n-b-r-c8k1n-b-g-d4").run(pictures())
    blocks = [(fold.first, fold.last) for fold in all_folds(sound(trace)) if fold.title == "inverted residual block"]
    assert blocks == [(3, 10), (11, 18)]


def test_50_random_designs_fold_whole():
    rng = np.random.default_rng(6)
    for seed in range(50):
        network = random_design(rng, (1, 8, 8), 4)
        sound(design(spelled(network), (1, 8, 8), 4, seed).run(pictures((1, 8, 8))))


@st.composite
def graphs(draw):
    """Any acyclic graph of ops on four maps: who takes what is drawn, and sometimes it takes more than one."""
    kinds = draw(st.lists(st.tuples(st.sampled_from(["relu", "add", "conv", "cat", "depthwise", "mul", "norm"]),
                                    st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=30))
    return kinds


@settings(max_examples=80)
@given(graphs())
def test_any_graph_folds_without_overlap(kinds):
    rng = np.random.default_rng(0)
    picture = Tensor(rng.normal(size=(1, 4, 3, 3)).astype(np.float32), requires_grad=True)
    made, marks = [picture], []
    narrow, deep = (Tensor(rng.normal(size=shape).astype(np.float32), requires_grad=True)
                    for shape in ((4, 4, 1, 1), (4, 1, 3, 3)))
    both = Tensor(rng.normal(size=(4, 8, 1, 1)).astype(np.float32), requires_grad=True)
    zeros, ones = np.zeros(4, np.float32), np.ones(4, np.float32)
    for kind, first, second in kinds:
        a, b = made[-1 - first % min(3, len(made))], made[second % len(made)]
        y = {"relu": lambda a=a: F.relu(a), "add": lambda a=a, b=b: a + b, "mul": lambda a=a, b=b: a * F.sigmoid(b),
             "conv": lambda a=a: F.conv2d(a, narrow), "depthwise": lambda a=a: F.conv2d(a, deep, padding=1, groups=4),
             "cat": lambda a=a, b=b: F.conv2d(cat([a, b], 1), both),
             "norm": lambda a=a: F.batch_norm(a, zeros, ones)}[kind]()
        made.append(y)
        if kind != "cat" or second % 2:
            marks.append(Mark(str(len(marks)), y))
    total = made[-1]
    for one in made[1:-1]:  # nothing ends nowhere
        total = total + one
    logits = total.mean(axis=(2, 3))
    trace = read(picture, logits, marks, {id(narrow): "narrow", id(deep): "deep", id(both): "both"})
    assert all(source >= PICTURE for part in trace.parts for source in part.sources)
    sound(trace)


def test_nearly_all_kinds_of_parts_fold():
    for train in (False, True):
        sound(design(EVERYTHING).run(pictures(count=2), train))


def test_nothing_folds_to_nothing():
    trace = graph("g (float[N, 1, 2, 2] x) => (float[N, 4] y) { y = Flatten(x) }").run(pictures((1, 2, 2)))
    assert folded(trace) == (0,)
