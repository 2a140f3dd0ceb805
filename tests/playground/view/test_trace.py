"""Any graph that the engine runs becomes parts in order, each with its sources; nothing on the tape is lost."""

import numpy as np
import pytest

from playground.errors import PlaygroundError
from playground.network.presets import PRESETS
from playground.view import frames
from playground.view.folding import folded
from playground.view.gradients import Target, walk_back
from playground.view.sources import changed
from playground.view.trace import PICTURE
from tests.playground.view.networks import CLASSES, EVERYTHING, TAKES, design, graph, pictures

SMALL = (1, 6, 6)
RNG = np.random.default_rng(8)


def floats(*shape):
    return RNG.normal(0, 0.5, shape).astype(np.float32)


CONV, HEAD = {"w": floats(4, 1, 3, 3)}, {"v": floats(16, 4)}
SIGNATURE = "g (float[N, 1, 6, 6] x) => (float[N, 4] y)"
TO_SCORES = "m = GlobalAveragePool(last) f = Flatten(m) y = Gemm(f, u)"
"""Nodes from 4 maps to 4 scores."""
OF_FOUR = {"u": floats(4, 4)}
ints = np.array
GRAPHS = {
    "split outputs used twice": (
        "c = Conv(x, w) a, b = Split <axis = 1, num_outputs = 2> (c) s = Add(a, b) d = Mul(a, b) "
        f"last = Concat <axis = 1> (s, d) {TO_SCORES}", {**CONV, **OF_FOUR}),
    "a shape computed": (
        "c = Conv(x, w) h = Shape(c) n = Gather(h, zero) r = Concat <axis = 0> (n, rest) f = Reshape(c, r) "
        "y = MatMul(f, t)", {**CONV, "zero": ints([0]), "rest": ints([-1]), "t": floats(64, 4)}),
    "x + x": (f"c = Conv(x, w) last = Add(c, c) {TO_SCORES}", {**CONV, **OF_FOUR}),
    "an op that no table knows": (f"c = Conv(x, w) last = Abs(c) {TO_SCORES}", {**CONV, **OF_FOUR}),
    "weights made of constants": (
        f"t = Transpose <perm = [0, 1, 3, 2]> (w) k = Mul(t, scale) last = Conv(x, k) {TO_SCORES}",
        {**CONV, "scale": floats(4, 1, 1, 1), **OF_FOUR}),
    "squeeze and excitation": (
        "c = Conv(x, w) q = GlobalAveragePool(c) e = Conv(q, k) g = Sigmoid(e) last = Mul(c, g) "
        f"{TO_SCORES}", {**CONV, "k": floats(4, 4, 1, 1), **OF_FOUR}),
    "branches side by side": (
        "c = Conv(x, w) a = Relu(c) b = MaxPool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (c) "
        "s = Concat <axis = 1> (a, b) m = GlobalAveragePool(s) f = Flatten(m) y = Gemm(f, u)",
        {**CONV, "u": floats(8, 4)}),
    "an identity in front and behind": (
        "i = Identity(x) last = Conv(i, w) m = GlobalAveragePool(last) f = Flatten(m) z = Gemm(f, u) y = Identity(z)",
        {**CONV, **OF_FOUR}),
    "a mask of what is larger": (
        f"c = Conv(x, w) b = Greater(c, none) n = Neg(c) last = Where(b, c, n) {TO_SCORES}",
        {**CONV, "none": np.float32(0.1), **OF_FOUR}),
    "channels shuffled through five axes": (
        "c = Conv(x, w) a = Reshape(c, five) t = Transpose <perm = [0, 2, 1, 3, 4]> (a) last = Reshape(t, four) "
        f"{TO_SCORES}", {**CONV, "five": ints([0, 2, 2, 4, 4]), "four": ints([0, 4, 4, 4]), **OF_FOUR}),
    "rows without an axis of pictures": (
        "c = Conv(x, w) r = Reshape(c, all) s = ReduceSum <keepdims = 0> (r) t = Sigmoid(s) e = Expand(t, shape) "
        "z = Gemm(e, u) y = Add(z, z)", {**CONV, "all": ints([-1]), "shape": ints([1, 4]), **OF_FOUR}),
    "a signal": (
        "r = Reshape(x, three) c = Conv <pads = [1, 1]> (r, k) p = MaxPool <kernel_shape = [2], strides = [2]> (c) "
        "f = Flatten(p) y = Gemm(f, u)", {"three": ints([0, 1, 36]), "k": floats(2, 1, 3), "u": floats(36, 4)}),
    "attention": (
        "c = Conv(x, w) r = Reshape(c, rows) t = Transpose <perm = [0, 2, 1]> (r) s = MatMul(t, r) a = Softmax(s) "
        "o = MatMul(r, a) m = ReduceMean <keepdims = 0> (o, axes) y = Gemm(m, u)",
        {**CONV, "rows": ints([0, 4, 16]), "axes": ints([2]), **OF_FOUR}),
    "scores as maps": ("c = Conv(x, w) y4 = GlobalAveragePool(c) y = Identity(y4)", CONV),
    "normed, padded and resized": (
        "p = Pad(x, pads) c = Conv <pads = [0, 0, 1, 1]> (p, w) i = InstanceNormalization(c, a, b) "
        "z = Resize <mode = \"linear\"> (i, , twice) h = PRelu(z, slope) "
        "last = AveragePool <kernel_shape = [2, 2], strides = [2, 2]> (h) " + TO_SCORES,
        {**CONV, "pads": ints([0, 0, 1, 0, 0, 0, 0, 1]), "a": floats(4), "b": floats(4),
         "twice": np.array([1, 1, 2, 2], np.float32), "slope": floats(4, 1, 1), **OF_FOUR}),
    "the picture used again at the end": (
        "c = Conv <pads = [1, 1, 1, 1]> (x, w) s = Add(c, x) last = Relu(s) " + TO_SCORES, {**CONV, **OF_FOUR}),
}


def graph_named(name):
    nodes, weights = GRAPHS[name]
    return graph(f"{SIGNATURE} {{ {nodes} }}", **weights)


def sound(trace):
    """What is true of every trace."""
    for part in trace.parts:
        assert part.index == trace.parts.index(part)
        assert part.sources, part.name
        assert all(PICTURE <= source < part.index for source in part.sources), part.name
        assert part.title
        assert all(trace.owner[id(result)] is not None for result in part.made)
    made = [id(result) for part in trace.parts for result in part.made]
    assert len(made) == len(set(made))
    # From the scores back over the tape: every tensor that comes from the picture belongs to one part.
    waiting, seen, moving = [trace.logits], {}, {id(trace.picture)}
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen[id(one)] = one
            waiting += [x for x in (one.node.inputs if one.node else ()) if x is not None]
    for one in sorted((t for t in seen.values() if t.node), key=lambda t: t.node.place):
        if any(x is not None and id(x) in moving for x in one.node.inputs):
            moving.add(id(one))
            owner = trace.parts[trace.part_of(one)]
            for x in one.node.inputs:  # and its part has every part that it takes from among its sources
                if x is not None and id(x) in moving and all(x is not mine for mine in owner.made):
                    assert trace.part_of(x, owner) in owner.sources
    assert moving - {id(trace.picture)} == set(made)
    weights = [name for part in trace.parts for name in part.weights]
    assert len(weights) == len(set(weights))


def drawable(trace):
    """Forward and backward, every part, folded."""
    shown = [part.index for part in trace.parts]
    folded(trace)
    gradients = walk_back(trace, Target("score", label=1))
    for back in (None, gradients):
        header, body = frames.unpacked(frames.frame(trace, shown, gradients=back))
        for row, part in zip(header["parts"], trace.parts, strict=True):
            assert row["i"] == part.index
            assert row.get("none") or len(body) >= row["bar"] + row["bars"]


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_that_the_engine_runs_is_read(name):
    source = graph_named(name)
    x = pictures(SMALL)
    trace = source.run(x)
    sound(trace)
    drawable(trace)
    np.testing.assert_array_equal(trace.logits.data.reshape(1, -1), source.scores(x).reshape(1, -1))


def test_a_batch_of_pictures_is_read_too():
    for name in ("split outputs used twice", "a shape computed", "attention", "channels shuffled through five axes"):
        source = graph_named(name)
        trace, alone = source.run(pictures(SMALL, 3)), source.run(pictures(SMALL, 3)[:1])
        sound(trace)
        for part, same in zip(trace.parts, alone.parts, strict=True):
            np.testing.assert_allclose(part.of(part.output.data), same.of(same.output.data), atol=1e-5)


@pytest.mark.parametrize(("name", "words"), [
    ("an op that no table knows", "Abs"), ("a mask of what is larger", "Where"), 
    ("squeeze and excitation", "Mul"), ("split outputs used twice", "Split")])
def test_an_operator_without_a_name_of_ours_is_a_part_named_by_it(name, words):
    assert words in [part.sort.words for part in graph_named(name).run(pictures(SMALL)).parts]


def test_every_output_of_a_split_is_a_part():
    trace = graph_named("split outputs used twice").run(pictures(SMALL))
    first, second = (part for part in trace.parts if part.sort.words == "Split")
    assert first.sources == second.sources == (0,)
    joined = next(part for part in trace.parts if part.sort.key == "sum")
    assert joined.sources == (first.index, second.index)
    whole = trace.parts[0].of(trace.parts[0].output.data)
    np.testing.assert_array_equal(first.of(first.output.data), whole[:2])
    np.testing.assert_array_equal(second.of(second.output.data), whole[2:])


def test_outputs_beside_the_scores_are_left_out():
    source = graph("g (float[N, 1, 6, 6] x) => (float[N, 4] y, float[N, 4, 4, 4] beside) { c = Conv(x, w) "
                   "beside = Relu(c) t = Tanh(c) m = GlobalAveragePool(t) f = Flatten(m) y = Gemm(f, u) "
                   "late = Exp(f) }", **CONV, **OF_FOUR)
    trace = source.run(pictures(SMALL))
    sound(trace)
    assert [part.sort.words for part in trace.parts] == ["convolution", "tanh", "mean of each map", "flatten",
                                                         "dense layer"]


def test_weights_behind_constants_are_found_and_get_their_gradients():
    trace = graph_named("weights made of constants").run(pictures(SMALL))
    conv = next(part for part in trace.parts if part.sort.key == "conv")
    assert conv.weights.keys() == {"w", "scale"}
    gradients = walk_back(trace, Target("score", label=0))
    assert gradients.weights["w"].shape == (4, 1, 3, 3)


def test_a_graph_of_nothing_but_the_picture_is_a_flatten():
    source = graph("g (float[N, 1, 2, 2] x) => (float[N, 4] y) { y = Flatten(x) }")
    trace = source.run(pictures((1, 2, 2)))
    assert [(part.sort.key, part.sources, part.shape) for part in trace.parts] == [("flatten", (PICTURE,), (4,))]


def test_scores_that_have_nothing_to_do_with_the_picture_are_no_parts():
    source = graph("g (float[N, 1, 6, 6] x) => (float[1, 4] y) { r = Relu(x) y = Exp(u) }", u=floats(1, 4))
    trace = source.run(pictures(SMALL))
    assert trace.parts == ()
    assert folded(trace) == ()
    with pytest.raises(PlaygroundError, match="no part 0"):
        frames.frame(trace, [0])


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_read_part_for_part(name):
    source = design(name)
    for train in (False, True):
        trace = source.run(pictures(count=4), train)
        sound(trace)
        assert len(trace.parts) == sum(1 for _ in source._path)
        assert [part.name for part in trace.parts] == [part.name for part in source.run(pictures()).parts]
        assert sum(part.parameters for part in trace.parts) == sum(w.size for w in source.weights().values())


def test_nearly_all_kinds_of_parts_are_read():
    for train in (False, True):
        trace = design(EVERYTHING).run(pictures(count=3), train)
        sound(trace)
        drawable(trace)


def test_a_dropout_in_front_of_everything_is_a_part_fed_by_the_picture():
    trace = design("o0.5-c4-r-o0.3-g-d4").run(pictures())
    sound(trace)
    assert [(part.sort.key, part.sources) for part in trace.parts[:5]] == [
        ("dropout", (PICTURE,)), ("conv", (0,)), ("activation", (1,)), ("dropout", (2,)), ("global_pool", (3,))]
    gradients = walk_back(trace, Target("loss", label=0))
    np.testing.assert_array_equal(gradients.at(trace.parts[0]), gradients.picture)
    drawable(trace)


def test_the_numbers_are_the_engines_own_to_the_bit():
    source = design("resnet8")
    x = pictures()
    trace = source.run(x)
    assert trace.logits.data.dtype == np.float32
    np.testing.assert_array_equal(trace.logits.data, source.scores(x))
    for part in trace.parts:
        values = part.of(part.output.data)
        assert values.dtype == np.float32
        assert values.shape == part.shape
        assert np.shares_memory(values, part.output.data)


def test_looking_in_training_mode_keeps_the_statistics():
    source = design("usual")
    before = {name: array.copy() for name, array in source.model.state_dict().items()}
    trained, resting = source.run(pictures(count=6), train=True), source.run(pictures())
    assert not np.array_equal(trained.logits.data[0], resting.logits.data[0])
    for name, array in source.model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    assert not any(module.training for module in [source.model])


def test_changed_weights_are_put_back_to_the_bit():
    source, x = design("lenet5", TAKES, CLASSES), pictures()
    before = source.scores(x)
    arrays = {name: weight.data for name, weight in source.weights().items()}

    def fails() -> None:
        with changed(source, {"0.weight": np.zeros((6, 1, 5, 5))}):
            assert not np.array_equal(source.scores(x), before)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    np.testing.assert_array_equal(source.scores(x), before)
    assert all(weight.data is arrays[name] for name, weight in source.weights().items())


def test_a_dropout_leaves_out_the_same_numbers_whenever_it_is_looked_at_and_trains_on_as_it_would_have():
    source, x = design("f-d64-o0.5-d4"), pictures()
    first, again = (source.run(x, train=True).logits.data for _ in range(2))
    np.testing.assert_array_equal(first, again)
    dropout = source.model[2]
    expected = design("f-d64-o0.5-d4").model[2].rng.random(5)
    np.testing.assert_array_equal(dropout.rng.random(5), expected)
