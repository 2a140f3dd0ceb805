"""The lines to a map or number come from what counts most in it, by the shares that NumPy finds on its own."""

import numpy as np
import pytest

from playground.errors import PlaygroundError
from playground.view.edges import MOST, strongest
from playground.view.words import ACTIVATION, CONCAT, CONV, DENSE, SUM
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
