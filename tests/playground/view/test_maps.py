"""A map is the sum it is said to be, both ways; kernels are the filters' and lie as the maps they look at."""

import numpy as np
import pytest
import torch

from playground.errors import PlaygroundError
from playground.network.presets import PRESETS
from playground.view import describe, maps
from playground.view.frames import unpacked
from playground.view.gradients import Target, walk_back
from playground.view.words import MAX_POOL
from tests.playground.view.networks import EVERYTHING, design, graph, pictures
from tests.playground.view.test_trace import GRAPHS, SMALL, graph_named

DESIGNS = (*PRESETS, EVERYTHING, "c8-r-c8g2-c8g4s2p1k3-dw2k3d2-g-d4", "c20n-b-r-c24n-b-r-g-d4")


def adds_up(summed, values):
    whole = sum(one.values.astype(np.float64) for one in summed.summands) + summed.others + summed.bias
    largest = sum(np.abs(one.values) for one in summed.summands).max() + np.abs(summed.others).max() + abs(summed.bias)
    np.testing.assert_allclose(whole, values, rtol=0, atol=1e-5 * largest)
    strengths = [one.weight for one in summed.summands]
    assert strengths == sorted(strengths, reverse=True)


def every_sum_is_right(trace):
    gradients = walk_back(trace, Target("loss", label=1))
    forward = backward = 0
    for part in trace.parts:
        for channel in sorted({0, part.shape[0] // 2, part.shape[0] - 1}) if len(part.shape) == 3 else ():
            summed = maps.forward_sum(trace, part, channel)
            if summed is not None:
                forward += 1
                adds_up(summed, part.output.data[0, channel])
                assert len(summed.summands) + summed.left == _weight(part).shape[1]
                for one in summed.summands:
                    giver = trace.picture if one.owner < 0 else trace.parts[one.owner].output
                    np.testing.assert_array_equal(one.source, giver.data[0, one.channel])
                    c = one.channel % _weight(part).shape[1]
                    np.testing.assert_array_equal(one.kernel, _weight(part).data[channel, c])
            summed = maps.backward_sum(trace, gradients, part, channel)
            if summed is not None:
                backward += 1
                adds_up(summed, gradients.at(part)[channel])
                assert summed.turned
                for one in summed.summands:
                    np.testing.assert_array_equal(one.source, gradients.at(trace.parts[one.owner])[one.channel])
    return forward, backward


def _weight(part):
    """The filters as they meet the maps."""
    return next(result.node.inputs[1] for result in part.made if result.node.op.name == "conv2d")


def test_filters_that_a_file_makes_of_other_numbers_are_shown_as_they_meet_the_maps():
    trace = graph_named("weights made of constants").run(pictures(SMALL))
    gradients = walk_back(trace, Target("loss", label=1))
    part = trace.parts[0]
    own, gradient, _ = maps.kernels(part, 3, gradients)
    w, scale = part.weights["w"], part.weights["scale"]
    np.testing.assert_allclose(own, w.data[3].transpose(0, 2, 1) * scale.data[3], rtol=1e-6)
    np.testing.assert_allclose(gradients.weights["w"][3], gradient.transpose(0, 2, 1) * scale.data[3], rtol=1e-5)


@pytest.mark.parametrize("text", DESIGNS)
def test_maps_of_a_design_are_the_sums_they_are_said_to_be(text):
    trace = design(text).run(pictures())
    forward, backward = every_sum_is_right(trace)
    convolutions = [part for part in trace.parts if part.sort.key == "conv"]
    assert forward >= len(convolutions)
    assert not convolutions[1:] or backward


@pytest.mark.parametrize("name", GRAPHS)
def test_maps_of_a_graph_are_the_sums_they_are_said_to_be(name):
    every_sum_is_right(graph_named(name).run(pictures(SMALL)))


def test_a_summand_on_the_way_back_is_the_full_correlation_with_the_turned_kernel():
    trace = design("c6n-c12-g-d4").run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    summed = maps.backward_sum(trace, gradients, trace.parts[0], 2)
    for one in summed.summands:
        full = torch.nn.functional.conv2d(torch.from_numpy(one.source)[None, None],
                                          torch.from_numpy(one.kernel.copy())[None, None], padding=1)
        np.testing.assert_allclose(one.values, full[0, 0].numpy(), atol=1e-6 * np.abs(one.values).max())
        np.testing.assert_array_equal(one.kernel, _weight(trace.parts[1]).data[one.channel, 2, ::-1, ::-1])


@pytest.mark.parametrize("text", ["[c4n-b-r-c4n-b]-r-g-d4", "c4-(c3,c5)-g-d4"])
def test_a_map_that_several_take_is_no_single_sum_on_the_way_back(text):
    trace = design(f"c4-{text}").run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    fork = next(part for part in trace.parts if sum(part.index in one.sources for one in trace.parts) > 1)
    assert maps.backward_sum(trace, gradients, fork, 0) is None
    assert gradients.at(fork) is not None


def test_the_unit_of_a_dense_layer_lies_as_the_maps_it_looks_at():
    for text in ("c5-r-p2-f-d7-r-d4", "c5-r-p2-f-o0.5-d7-r-d4", "c5-p2-f-r-d7-d4"):
        trace = design(text).run(pictures())
        gradients = walk_back(trace, Target("loss", label=1))
        dense, last = [part for part in trace.parts if part.sort.key == "dense"]
        before = trace.parts[next(part.index for part in trace.parts if part.sort.key == "flatten")].sources[0]
        own, gradient, count = maps.kernels(dense, 3, gradients)
        assert own.shape == gradient.shape == trace.parts[before].shape == (5, 6, 6)
        assert count == 180
        row = trace.parts[dense.sources[0]].of(trace.parts[dense.sources[0]].output.data)
        products = (own * row.reshape(own.shape)).sum(dtype=np.float64)
        bias = next(w for w in dense.weights.values() if w.ndim == 1).data[3]
        assert products + bias == pytest.approx(float(dense.output.data[0, 3]), rel=1e-4, abs=1e-6)
        own, gradient, count = maps.kernels(last, 1, gradients)
        assert own.shape == gradient.shape == (1, 1, 7)


def test_the_unit_of_the_first_dense_layer_lies_as_the_picture():
    trace = design("f-d4", (3, 5, 7)).run(pictures((3, 5, 7)))
    own, _, _ = maps.kernels(trace.parts[1], 0)
    assert own.shape == (3, 5, 7)
    assert float((own * trace.picture.data[0]).sum() + trace.parts[1].weights["1.bias"].data[0]) == pytest.approx(
        float(trace.logits.data[0, 0]), rel=1e-4)


def test_behind_the_mean_of_each_map_a_unit_is_a_row():
    trace = design("c6-g-d4").run(pictures())
    assert maps.kernels(trace.parts[2], 0)[0].shape == (1, 1, 6)


def test_a_filters_kernel_and_gradient_are_its_own():
    trace = design("c6n-r-c4g2-g-d4").run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    part = trace.parts[2]
    own, gradient, count = maps.kernels(part, 3, gradients)
    np.testing.assert_array_equal(own, part.weights["2.weight"].data[3])
    np.testing.assert_array_equal(gradient, gradients.weights["2.weight"][3])
    assert (own.shape, count) == ((3, 3, 3), 27)


def test_a_transposed_convolutions_filter_is_what_makes_its_map():
    trace = design("c6-ct6k2s2-g-d4").run(pictures())
    part = trace.parts[1]
    for channel in (0, 5):
        own, _, count = maps.kernels(part, channel)
        np.testing.assert_array_equal(own, part.weights["1.weight"].data[:, channel])
        assert count == 24
        source, bias = trace.parts[0].output.data[0, :, 4, 5], part.weights["1.bias"].data[channel]
        assert float((own[:, 1, 0] * source).sum() + bias) == pytest.approx(float(part.output.data[0, channel, 9, 10]),
                                                                            rel=1e-4, abs=1e-6)


def test_a_square_product_gives_the_columns_of_its_weights():
    """x w: what makes unit k stands in column k, also where the matrix is square."""
    w = np.arange(16, dtype=np.float32).reshape(4, 4)
    source = graph("g (float[N, 1, 2, 2] x) => (float[N, 4] y) { f = Flatten(x) p = MatMul(f, w) y = Relu(p) }", w=w)
    trace = source.run(pictures((1, 2, 2)))
    own, _, _ = maps.kernels(trace.parts[1], 2)
    np.testing.assert_array_equal(own.ravel(), w[:, 2])
    turned = graph("g (float[N, 1, 2, 2] x) => (float[N, 4] y) { f = Flatten(x) p = Gemm<transB = 1>(f, w) "
                   "y = Relu(p) }", w=w).run(pictures((1, 2, 2)))
    own, _, _ = maps.kernels(turned.parts[1], 2)
    np.testing.assert_array_equal(own.ravel(), w[2])


@pytest.mark.parametrize("channel", [-1, 6, 10**6])
def test_a_map_that_is_not_there_is_refused_in_a_sentence(channel):
    trace = design("c6-r-g-d4").run(pictures())
    with pytest.raises(PlaygroundError, match="there is no map"):
        maps.forward_sum(trace, trace.parts[0], channel)
    with pytest.raises(PlaygroundError, match="there is no map"):
        maps.backward_sum(trace, walk_back(trace, Target("loss", label=1)), trace.parts[0], channel)


def test_every_part_with_weights_has_kernels_or_says_that_it_has_none():
    for text in DESIGNS:
        trace = design(text).run(pictures())
        for part in trace.parts:
            for channel in (0, part.shape[0] - 1):
                found = maps.kernels(part, channel)
                if part.sort.key in ("conv", "dense", "transposed"):
                    assert found is not None, part.title
                    assert found[0].size == found[2]


@pytest.mark.parametrize("text", ["c3-p2-f-d4", "c3-p3s2p1-f-d4", "c3-p3s1-f-d4"])
def test_the_winners_of_a_max_pooling_are_those_of_torch(text):
    trace = design(text).run(pictures())
    pool = next(part for part in trace.parts if part.sort.key == MAX_POOL)
    x, options = trace.parts[pool.sources[0]].output.data[:1], pool.op.node.options
    _, indices = torch.nn.functional.max_pool2d(
        torch.from_numpy(x), options["kernel_size"], options.get("stride"), options.get("padding", 0),
        return_indices=True)
    for channel in range(3):
        expected = sorted({divmod(int(k), x.shape[-1]) for k in indices[0, channel].flatten()})
        assert list(map(tuple, maps.winners(pool, channel))) == expected
        header, _ = unpacked(describe.one_map(trace, pool, channel, None))
        assert list(map(tuple, header["winners"])) == expected
    assert maps.winners(trace.parts[0], 0) == []


@pytest.mark.parametrize("text", ["c20n-b-r-c24n-b-r-g-d4", EVERYTHING, "c4k3-r-p2-f-d6-r-d4", "c8-r-c8g2-r-dw2-g-d4"])
def test_a_cell_of_a_kernel_is_the_weight_it_is_said_to_be(text):
    trace = design(text).run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    found = 0
    for part in trace.parts:
        for channel in sorted({0, part.shape[0] - 1}) if maps.kernels(part, 0) is not None else ():
            own, gradient, size = maps.kernels(part, channel, gradients)
            for at in sorted({0, size // 2, size - 1}):
                name, place = maps.weight_at(part, channel, at)
                assert part.weights[name].data[place] == own.reshape(-1)[at]
                said = describe.one_weight(trace, part, channel, at, gradients)
                assert (said["name"], said["place"]) == (name, list(place))
                assert said["gradient"] == pytest.approx(float(gradient.reshape(-1)[at]), rel=1e-5)
                assert sum(one["value"] for one in said["shares"]) == pytest.approx(said["gradient"], rel=1e-4)
                found += 1
            with pytest.raises(PlaygroundError, match=f"there is no number {size} among them"):
                maps.weight_at(part, channel, size)
    assert found
    with pytest.raises(PlaygroundError, match="has no filters of learnt weights"):
        maps.weight_at(next(part for part in trace.parts if not part.weights), 0, 0)


def test_kernels_beside_a_sum_say_which_weights_they_are():
    trace = design("c8-r-c8g2-r-c6-g-d4").run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    for part in trace.parts[1:5]:
        for walked in (None, gradients):
            header, body = unpacked(describe.one_map(trace, part, 5, walked))
            for one in header.get("sum", {}).get("of", []):
                kernel = np.frombuffer(body, "<f4", np.prod(one["kernel"]["shape"]), one["kernel"]["at"])
                filters = part if walked is None else trace.parts[one["owner"]]
                where = [maps.weight_at(filters, 5 if walked is None else one["channel"], one["at"] + k)
                         for k in range(kernel.size)]
                own = [filters.weights[name].data[place] for name, place in where]
                assert kernel.tolist() == (own if walked is None else own[::-1])


def test_what_comes_back_to_a_map_that_two_take_adds_up_to_its_gradient():
    trace = design("c6-r-[c6n-r]-g-d4").run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    part = trace.parts[1]
    header, _ = unpacked(describe.one_map(trace, part, 2, gradients))
    shares = [maps.sent(gradients, part, taker)[2] for taker in maps.takers(gradients, part.output)]
    assert len(header["sources"]) == len(shares) == 2
    np.testing.assert_allclose(sum(shares), gradients.at(part)[2], rtol=1e-6)
    assert sorted(one["size"] for one in header["sources"]) == pytest.approx(
        sorted(float(np.sqrt(np.mean(np.square(one)))) for one in shares), rel=1e-5)
