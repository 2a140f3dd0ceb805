"""A number taken apart adds up to itself, forward and backward, and what it is made of is what the tape holds."""

import math

import numpy as np
import pytest

from playground.errors import PlaygroundError
from playground.network.presets import PRESETS
from playground.view import describe, numbers
from playground.view.gradients import Target, walk_back
from playground.view.trace import PICTURE
from tests.playground.view.networks import EVERYTHING, TAKES, design, graph, pictures
from tests.playground.view.test_trace import GRAPHS, SMALL, graph_named

CLOSE = 1e-5
DESIGNS = (*PRESETS, EVERYTHING)


def magnitude(account):
    """What rounding is measured by: the sum of the products' magnitudes."""
    return sum(abs(term.product) for term in account.terms) + abs(account.others) + abs(account.rest or 0.0)


def adds_up(account, value, what):
    assert account.total == pytest.approx(value, abs=CLOSE * max(magnitude(account), 1e-30)), what


def places(part, rng, count=3):
    return [tuple(int(rng.integers(n)) for n in part.shape) for _ in range(count)]


def forward_is_right(trace, rng):
    for part in trace.parts:
        for place in places(part, rng):
            accounts = numbers.forward(trace, part, place)
            value = float(part.output.data[part.at(place)])
            assert bool(accounts) == bool(part.made)
            for account in accounts:
                assert account.value == pytest.approx(value, rel=1e-6) or account is not accounts[0]
                if account.kind == "linear":
                    adds_up(account, account.value, f"{part.name} ({part.title}) at {place}")
                for term in account.terms:
                    is_on_the_tape(trace, part, term)


def is_on_the_tape(trace, part, term):
    """A term's number stands at its place in what its owner gives or, inside a part, in one of the part's results."""
    assert term.owner in part.sources or term.owner == part.index
    if term.owner == part.index:
        assert any(term.x == float(result.data[term.index]) for result in part.made
                   if result.ndim == len(term.index) and all(i < n for i, n in zip(term.index, result.shape,
                                                                                   strict=True)))
    else:
        giver = trace.picture if term.owner == PICTURE else trace.parts[term.owner].output
        assert term.x == float(giver.data[term.index])
        where = (0, *term.place) if term.owner == PICTURE else trace.parts[term.owner].at(term.place)
        assert term.index == where or giver.shape[0] > 1


def backward_is_right(trace, gradients, rng):
    for part in trace.parts:
        arrived = gradients.at(part)
        for place in places(part, rng):
            accounts = numbers.backward(trace, gradients, part, place)
            for account in accounts:
                if account.kind != "coupled" and account.op != "itself":
                    adds_up(account, account.value, f"{part.name} ({part.title}) at {place}")
            total, size = sum(one.value for one in accounts), sum(abs(one.value) for one in accounts)
            assert total == pytest.approx(float(arrived[place]), abs=CLOSE * max(size, 1e-30)), part.title


def weights_are_right(trace, gradients, rng):
    for part in trace.parts:
        for name, weight in part.weights.items():
            for _ in range(2):
                place = tuple(int(rng.integers(n)) for n in weight.shape)
                accounts = numbers.of_weight(trace, gradients, name, place)
                assert accounts, name
                assert all(account.kind != "coupled" for account in accounts), name
                for account in accounts:
                    adds_up(account, account.value, f"{name} at {place}")
                total, size = sum(one.value for one in accounts), sum(magnitude(one) for one in accounts)
                assert total == pytest.approx(float(gradients.weights[name][place]), abs=CLOSE * max(size, 1e-30))


@pytest.mark.parametrize("text", DESIGNS)
def test_every_part_of_a_design_adds_up_both_ways(text):
    trace, rng = design(text).run(pictures()), np.random.default_rng(11)
    forward_is_right(trace, rng)
    for target in (Target("loss", label=2), Target("score", label=0)):
        gradients = walk_back(trace, target)
        backward_is_right(trace, gradients, rng)
        weights_are_right(trace, gradients, rng)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_part_of_a_graph_adds_up_both_ways(name):
    trace, rng = graph_named(name).run(pictures(SMALL)), np.random.default_rng(12)
    forward_is_right(trace, rng)
    gradients = walk_back(trace, Target("loss", label=2))
    backward_is_right(trace, gradients, rng)
    weights_are_right(trace, gradients, rng)


def test_in_training_mode_weights_gradients_are_sums_over_all_pictures():
    """What depends on the batch's statistics is coupled; everything else adds up."""
    source, rng = design("usual"), np.random.default_rng(13)
    trace = source.run(pictures(count=5), train=True)
    forward_is_right(trace, rng)
    gradients = walk_back(trace, Target("loss", label=2))
    backward_is_right(trace, gradients, rng)
    weights_are_right(trace, gradients, rng)
    conv = trace.parts[0]
    (account,) = numbers.of_weight(trace, gradients, "0.weight", (3, 0, 1, 1))
    assert conv.sort.key == "conv"
    assert account.count == 5 * TAKES[1] * TAKES[2]


def test_a_convolution_counts_the_products_of_its_window_and_its_bias():
    trace = design("c3n-c5-g-d4").run(pictures())
    without, with_bias = trace.parts[:2]
    (account,) = numbers.forward(trace, without, (1, 4, 5))
    assert (account.count, account.rest, account.kind) == (9, None, "linear")
    (corner,) = numbers.forward(trace, without, (1, 0, 11))
    assert corner.count == 4
    assert all(0 <= row <= 1 and 10 <= column <= 11 for row, column in (term.place[1:] for term in corner.terms))
    (account,) = numbers.forward(trace, with_bias, (4, 3, 3))
    assert account.count == 27
    assert account.rest == float(with_bias.weights["1.bias"].data[4])
    w, x = with_bias.weights["1.weight"].data[4], without.output.data[0, :, 2:5, 2:5]
    assert sorted(term.product for term in account.terms) == pytest.approx(sorted((w * x).ravel().tolist()), rel=1e-6)


def test_of_many_products_the_largest_are_listed_and_the_others_are_one_sum():
    trace = design("f-d4", (1, 12, 12)).run(pictures())
    (account,) = numbers.forward(trace, trace.parts[1], (2,))
    assert (account.count, len(account.terms)) == (144, numbers.MOST_TERMS)
    products = trace.picture.data.ravel() * trace.parts[1].weights["1.weight"].data[2]
    order = np.argsort(-np.abs(products))
    assert [term.product for term in account.terms] == pytest.approx(products[order][:36].tolist(), rel=1e-6)
    assert account.others == pytest.approx(float(products[order][36:].sum(dtype=np.float64)), rel=1e-4)


@pytest.mark.parametrize("pool", ["p2", "p3s2p1", "p3s1p1"])
def test_a_pooling_lists_its_whole_window_and_the_winner(pool):
    trace = design(f"c4-{pool}-f-d4").run(pictures())
    part = trace.parts[1]
    source = trace.parts[0].output.data
    kernel, stride, padding = {"p2": (2, 2, 0), "p3s2p1": (3, 2, 1), "p3s1p1": (3, 1, 1)}[pool]
    last = part.shape[1] - 1
    for place in ((0, 0, 0), (3, last, last), (2, 0, last), (1, 2, 3)):
        (account,) = numbers.forward(trace, part, place)
        channel, p, q = place
        window = {(channel, r, s) for r in range(p * stride - padding, p * stride - padding + kernel)
                  for s in range(q * stride - padding, q * stride - padding + kernel) if 0 <= r < 12 and 0 <= s < 12}
        assert account.kind == "largest"
        assert {term.place for term in account.terms} == window
        winner = [term for term in account.terms if term.factor]
        assert [(term.x, term.factor) for term in winner] == [(account.value, 1.0)]
        assert account.value == max(float(source[(0, *one)]) for one in window)


def test_a_pixel_that_several_windows_chose_gets_what_all_of_them_send():
    trace = design("p3s1p1-f-d4").run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    best = tuple(map(int, np.unravel_index(trace.picture.data[0].argmax(), TAKES)))
    (account,) = numbers._shares(trace, gradients, trace.picture, (0, *best))
    assert account.count == sum(1 for r in range(best[1] - 1, best[1] + 2) for s in range(best[2] - 1, best[2] + 2)
                                if 0 <= r < 12 and 0 <= s < 12)
    adds_up(account, float(gradients.picture[best]), best)


def test_an_activation_shows_what_went_in_with_its_slope_even_where_that_is_0():
    for code, slope in (("r", 0.0), ("lr0.3", 0.3), ("sg", None)):
        trace = design(f"c4-{code}-g-d4").run(pictures())
        conv, activation = trace.parts[:2]
        values = conv.output.data[0]
        below, above = (tuple(map(int, found[0])) for found in (np.argwhere(values < 0), np.argwhere(values > 0)))
        for place, wanted in ((below, slope), (above, None if slope is None else 1.0)):
            (account,) = numbers.forward(trace, activation, place)
            x = float(values[place])
            wanted = account.value * (1 - account.value) if wanted is None else wanted
            assert account.kind == "pointwise"
            assert [(term.owner, term.place, term.x) for term in account.terms] == [(0, place, x)]
            assert account.terms[0].factor == pytest.approx(wanted, rel=1e-6)


def test_a_fork_gets_an_account_of_every_part_behind_it():
    trace = design("resnet8").run(pictures())
    gradients = walk_back(trace, Target("loss", label=0))
    forks = [part for part in trace.parts if sum(part.index in other.sources for other in trace.parts) == 2]
    assert len(forks) == sum(part.sort.key == "sum" for part in trace.parts)
    for part in forks:
        place = tuple(n // 2 for n in part.shape)
        accounts = numbers.backward(trace, gradients, part, place)
        assert len(accounts) == 2
        assert math.fsum(one.value for one in accounts) == pytest.approx(float(gradients.at(part)[place]), rel=1e-5,
                                                                         abs=1e-9)


def test_twice_the_same_gives_two_accounts():
    trace = graph_named("x + x").run(pictures(SMALL))
    gradients = walk_back(trace, Target("score", label=0))
    accounts = numbers.backward(trace, gradients, trace.parts[0], (1, 2, 3))
    assert [one.op for one in accounts] == ["add", "add"]
    assert sum(one.value for one in accounts) == pytest.approx(float(gradients.at(trace.parts[0])[1, 2, 3]))


def test_the_gradient_of_a_score_begins_with_probability_less_label():
    trace = design("lenet5").run(pictures())
    gradients = walk_back(trace, Target("loss", label=2))
    scores = trace.logits.data[0].astype(np.float64)
    p = np.exp(scores) / np.exp(scores).sum()
    for k in range(4):
        (account,) = numbers.backward(trace, gradients, trace.parts[-1], (k,))
        assert [(term.owner, term.x) for term in account.terms] == [("probability", pytest.approx(p[k])),
                                                                    ("label", float(k == 2))]
        adds_up(account, float(gradients.at(trace.parts[-1])[k]), k)


@pytest.mark.parametrize("label", [0, 1])
def test_the_gradient_of_one_score_for_two_classes_begins_so_too(label):
    trace = design("slides", classes=2).run(pictures())
    gradients = walk_back(trace, Target("loss", label=label))
    place = (0,)
    accounts = numbers.backward(trace, gradients, trace.parts[-2], place)  # the score in front of the sigmoid
    assert sum(one.value for one in accounts) == pytest.approx(float(gradients.at(trace.parts[-2])[place]))
    (account,) = numbers.backward(trace, gradients, trace.parts[-1], place)
    adds_up(account, float(gradients.at(trace.parts[-1])[place]), label)


def test_an_account_of_numbers_that_are_none_is_said_and_not_raised():
    source = design("c4-r-c4-p2-f-d4")
    weights = source.weights()
    weights["0.weight"].data[1] = np.nan
    weights["0.weight"].data[2] = np.inf
    weights["2.weight"].data[0] = 3e38
    with np.errstate(all="ignore"):
        trace = source.run(pictures())
        gradients = walk_back(trace, Target("loss", label=0))
    for part in trace.parts:
        place = tuple(n // 2 for n in part.shape)
        said = describe.one_number(trace, part, place, gradients)
        assert said["made"]
        describe.one_map(trace, part, 0, gradients)
    for name, weight in weights.items():
        describe.accounts(numbers.of_weight(trace, gradients, name, (0,) * weight.ndim))


def test_a_dense_layer_written_as_a_product_is_taken_apart_down_to_the_pixels():
    source = graph("g (float[N, 1, 2, 2] x) => (float[N, 3] y) { f = Flatten(x) p = MatMul(f, w) y = Add(p, b) }",
                   w=np.arange(12, dtype=np.float32).reshape(4, 3), b=np.array([1, 2, 3], np.float32))
    x = np.array([[[[1, -2], [3, 0.5]]]], np.float32)
    trace = source.run(x)
    product = next(part for part in trace.parts if part.sort.key == "dense")
    account = numbers.forward(trace, product, (1,))[-1]
    assert sorted((term.x, term.factor) for term in account.terms) == [(-2, 4), (0.5, 10), (1, 1), (3, 7)]
    shift = trace.parts[-1]
    (account, *_rest) = numbers.forward(trace, shift, (1,))
    assert (account.rest, account.value) == (2.0, 21.0)


def test_both_factors_that_come_from_the_picture_are_counted_once():
    trace = graph_named("attention").run(pictures(SMALL))
    part = next(one for one in trace.parts if one.sort.key == "dense" and len(one.sources) == 2)
    account = numbers.forward(trace, part, (3, 5))[0]
    assert account.kind == "linear"
    assert account.rest is None
    adds_up(account, account.value, part.name)


@pytest.mark.parametrize("place", [(), (0,), (0, 0), (6, 0, 0), (0, 12, 0), (-1, 0, 0), (0, 0, 0, 0, 0)])
def test_a_place_where_no_number_is_is_refused_in_a_sentence(place):
    trace = design("lenet5").run(pictures())
    gradients = walk_back(trace, Target("loss", label=0))
    with pytest.raises(PlaygroundError, match="there is none at"):
        numbers.forward(trace, trace.parts[0], place)
    with pytest.raises(PlaygroundError, match="there is none at"):
        numbers.backward(trace, gradients, trace.parts[0], place)
    with pytest.raises(PlaygroundError, match="There is no weight"):
        numbers.of_weight(trace, gradients, "0.weight", place)


def test_what_a_walk_does_not_come_by_is_said():
    trace = design("lenet5").run(pictures())
    gradients = walk_back(trace, Target("number", part=1, place=(0, 0, 0)))
    with pytest.raises(PlaygroundError, match="does not depend"):
        numbers.backward(trace, gradients, trace.parts[4], (0, 0, 0))
