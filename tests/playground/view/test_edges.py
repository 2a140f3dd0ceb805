"""The lines to a map or number come from what counts most in it, by the shares that NumPy finds on its own."""

import numpy as np
import pytest

from playground.errors import PlaygroundError
from playground.view.edges import MOST, receivers, strongest
from playground.view.gradients import Target, walk_back
from playground.view.words import ACTIVATION, CONCAT, CONV, DENSE, FLATTEN, SUM
from tests.playground.view.networks import EVERYTHING, TAKES, design, pictures


def part_of(trace, key, at=0):
    return [part for part in trace.parts if part.sort.key == key][at]


def given(trace, source):
    return (trace.picture if source < 0 else trace.parts[source].output).data[0]


def test_a_maps_shares_are_the_sizes_of_its_partial_sums_through_batch_norm_and_activation():
    trace = design("c20n-b-r-c24n-b-r-g-d4").run(pictures())
    conv, relu = part_of(trace, CONV, 1), part_of(trace, ACTIVATION, 1)
    x, w = given(trace, conv.sources[0]), next(iter(conv.weights.values())).data[5]
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    sizes = []
    for channel in range(20):
        y = sum(w[channel, i, j] * padded[channel, i : i + 12, j : j + 12] for i in range(3) for j in range(3))
        sizes.append(np.sqrt(np.mean(np.square(y))))
    order = np.argsort(sizes)[::-1][:MOST]
    for part, first in ((conv, None), (relu, conv.index)):
        edges = strongest(trace, part, 5, first)
        assert [edge.channel for edge in edges] == order.tolist()
        assert {edge.owner for edge in edges} == {conv.sources[0]}
        np.testing.assert_allclose([edge.share for edge in edges], np.array(sizes)[order] / sum(sizes), rtol=1e-4)


def test_a_numbers_shares_are_its_products_with_their_signs():
    trace = design("c4k3-r-p2-f-d60-r-d4").run(pictures())
    last = part_of(trace, DENSE, -1)
    x, w = given(trace, last.sources[0]).astype(np.float64), next(w for w in last.weights.values() if w.ndim == 2).data
    products = w[2] * x
    order = np.argsort(-np.abs(products))[:MOST]
    edges = strongest(trace, last, 2)
    assert [edge.channel for edge in edges] == order.tolist()
    np.testing.assert_allclose([edge.share for edge in edges], products[order] / np.abs(products).sum(), rtol=1e-5)


def test_a_shortcut_gives_both_its_shares_and_what_is_side_by_side_the_map_it_is():
    trace = design("c6-r-[c6n-r]-(c3,c5k1)-f-d4").run(pictures())
    added, beside = part_of(trace, SUM), part_of(trace, CONCAT)
    edges = strongest(trace, added, 1)
    assert sorted(edge.owner for edge in edges) == sorted(added.sources)
    assert sum(edge.share for edge in edges) == pytest.approx(1)
    for channel, source in ((2, 0), (3, 1), (7, 1)):
        (edge,) = strongest(trace, beside, channel)
        assert (edge.owner, edge.channel, edge.share) == (beside.sources[source], channel - 3 * source, 1)


def test_every_part_answers_with_what_comes_before_it_and_no_more_than_the_whole():
    trace = design(EVERYTHING).run(pictures())
    for part in trace.parts:
        for channel in sorted({0, part.shape[0] - 1}):
            edges = strongest(trace, part, channel)
            assert len(edges) <= MOST
            assert all(edge.owner < part.index and 0 <= edge.channel < len(given(trace, edge.owner)) for edge in edges)
            assert sum(abs(edge.share) for edge in edges) <= 1 + 1e-6
    assert all(edge.owner == -1 for edge in strongest(trace, part_of(trace, CONV), 0))
    assert len(strongest(trace, part_of(trace, CONV), 0)) == TAKES[0]
    with pytest.raises(PlaygroundError, match="there is none at"):
        strongest(trace, trace.parts[0], 10**6)


def test_a_maps_gradient_comes_from_the_filters_by_the_sizes_of_what_they_send():
    trace = design("c20n-b-r-c24n-b-r-g-d4").run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    relu, conv = part_of(trace, ACTIVATION), part_of(trace, CONV, 1)
    g, w = gradients.at(conv).astype(np.float64), next(iter(conv.weights.values())).data[:, 5]
    sizes = []
    for k in range(24):
        padded = np.pad(g[k], 1)
        y = sum(w[k, ::-1, ::-1][i, j] * padded[i : i + 12, j : j + 12] for i in range(3) for j in range(3))
        sizes.append(np.sqrt(np.mean(np.square(y))))
    order = np.argsort(sizes)[::-1][:MOST]
    edges = receivers(trace, gradients, relu, 5)
    assert [(edge.owner, edge.channel) for edge in edges] == [(conv.index, k) for k in order]
    np.testing.assert_allclose([edge.share for edge in edges], np.array(sizes)[order] / sum(sizes), rtol=1e-4)


def test_a_numbers_gradient_comes_from_the_units_by_gradient_times_weight():
    trace = design("c4k3-r-p2-f-d60-r-d4").run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    relu, last = part_of(trace, ACTIVATION, 1), part_of(trace, DENSE, -1)
    w = next(w for w in last.weights.values() if w.ndim == 2).data
    products = w[:, 7] * gradients.at(last)
    edges = receivers(trace, gradients, relu, 7)
    assert [edge.channel for edge in edges] == np.argsort(-np.abs(products)).tolist()
    shares = np.sort(products / np.abs(products).sum())
    np.testing.assert_allclose(sorted(edge.share for edge in edges), shares, rtol=1e-5)
    flatten = part_of(trace, FLATTEN)
    pooled = trace.parts[flatten.index - 1]
    own = np.abs(gradients.at(pooled)[2]).reshape(-1)
    rows = receivers(trace, gradients, pooled, 2)
    assert [edge.channel - 2 * own.size for edge in rows] == np.argsort(-own, kind="stable")[: len(rows)].tolist()


def test_the_gradient_before_a_shortcut_comes_from_both_ways_and_side_by_side_from_the_map_it_became():
    trace = design("c6-r-[c6n-r]-(c3,c5k1)-f-d4").run(pictures())
    gradients = walk_back(trace, Target("score", label=2))
    before, added, beside = part_of(trace, ACTIVATION), part_of(trace, SUM), part_of(trace, CONCAT)
    edges = receivers(trace, gradients, before, 1)
    assert {edge.owner for edge in edges} == {part_of(trace, CONV, 1).index, added.index}
    assert [edge.channel for edge in edges if edge.owner == added.index] == [1]
    assert sum(edge.share for edge in edges) == pytest.approx(1)
    (edge,) = receivers(trace, gradients, trace.parts[beside.sources[1]], 4)
    assert (edge.owner, edge.channel, edge.share) == (beside.index, 7, 1)


def test_every_part_answers_with_what_comes_behind_it_and_no_more_than_the_whole():
    trace = design(EVERYTHING).run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    for part in trace.parts[:-1]:
        for channel in sorted({0, part.shape[0] - 1}):
            edges = receivers(trace, gradients, part, channel)
            assert len(edges) <= MOST
            assert all(edge.owner > part.index for edge in edges)
            assert all(0 <= edge.channel < trace.parts[edge.owner].shape[0] for edge in edges)
            assert sum(abs(edge.share) for edge in edges) <= 1 + 1e-6
    assert receivers(trace, gradients, trace.parts[-1], 0) == []  # the walk begins there
    with pytest.raises(PlaygroundError, match="there is none at"):
        receivers(trace, gradients, trace.parts[0], 10**6)
    short = walk_back(trace, Target("number", part=0, place=(0, 1, 1)))
    assert receivers(trace, short, trace.parts[3], 0) == []
