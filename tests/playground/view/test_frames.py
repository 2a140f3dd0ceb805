"""What is drawn: bytes that say what the numbers are, nothing dropped that is no number, and few bytes."""

import math

import numpy as np
import pytest

from playground.errors import PlaygroundError
from playground.network.presets import PRESETS
from playground.view import describe, frames
from playground.view.folding import Fold, folded
from playground.view.gradients import Target, walk_back
from tests.playground.view.networks import EVERYTHING, design, pictures

FLOATS = np.float32
HARD = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-38, 1.0, -1.0, 3.4e38, -3.4e38, np.nan, np.inf, -np.inf], FLOATS)


def place_on_line(x, limit):
    """The definition: a place from -127 to 127 about 128, 0 for what is no number."""
    return 128 + max(-127, min(127, round(127 * x / limit))) if math.isfinite(x) else 0


def place_on_log(x, top):
    if not math.isfinite(x):
        return 0
    if x == 0:
        return 128
    steps = max(1, min(127, round(127 * (1 + math.log10(abs(x) / top) / frames.DECADES))))
    return 128 + int(math.copysign(steps, x))


@pytest.mark.parametrize("limit", [1.0, 0.37, 1e-44, 3e38, 1e-12])
def test_bytes_of_the_linear_scale_are_their_definition(limit):
    numbers = np.concatenate([HARD, np.random.default_rng(0).normal(0, min(limit, 1e30), 500).astype(FLOATS)])
    wanted = [place_on_line(float(x), limit) for x in numbers]
    assert np.abs(frames.quantised(numbers, limit).astype(int) - wanted).max() <= 1  # halves may go either way
    assert (frames.quantised(numbers, limit) == wanted).mean() > 0.99
    exact = frames.quantised(HARD, limit)
    assert exact[:2].tolist() == [128, 128]
    assert exact[-3:].tolist() == [0, 0, 0]
    assert 0 not in exact[:-3]


@pytest.mark.parametrize("top", [1.0, 0.37, 1e-44, 3e38, 1e-12])
def test_bytes_of_the_logarithmic_scale_are_their_definition(top):
    signs = np.random.default_rng(1).choice([-1, 1], 500)
    numbers = np.concatenate([HARD, (signs * 10.0 ** np.random.default_rng(1).uniform(-8, 1, 500) * min(top, 1e30))
                              .astype(FLOATS)])
    wanted = [place_on_log(float(x), top) for x in numbers]
    assert np.abs(frames.quantised_log(numbers, top).astype(int) - wanted).max() <= 1
    assert (frames.quantised_log(numbers, top) == wanted).mean() > 0.99
    exact = frames.quantised_log(HARD, top)
    assert exact[:2].tolist() == [128, 128]
    assert exact[-3:].tolist() == [0, 0, 0]
    assert all(one not in (0, 128) for one in exact[2:-3])  # however small, it is not 0


def test_bytes_go_back_to_numbers_within_half_a_step():
    numbers = np.random.default_rng(2).uniform(-2, 2, 1000)
    back = (frames.quantised(numbers, 2.0).astype(float) - 128) / 127 * 2
    np.testing.assert_allclose(back, numbers, atol=0.5 / 127 * 2 + 1e-9)
    numbers = 10 ** np.random.default_rng(2).uniform(-5.9, 0, 1000)
    back = 10 ** (((frames.quantised_log(numbers, 1.0).astype(float) - 128) / 127 - 1) * frames.DECADES)
    np.testing.assert_allclose(np.log10(back), np.log10(numbers), atol=0.5 / 127 * frames.DECADES + 1e-9)


def opened(data):
    return frames.unpacked(data)


def tiles_of(row, body):
    n = row["n"] * row["h"] * row["w"]
    return np.frombuffer(body, np.uint8, n, row["at"]).reshape(row["n"], row["h"], row["w"])


def bar_of(row, body):
    return np.frombuffer(body, np.uint8, row["bars"], row["bar"])


def test_a_frame_holds_the_means_of_squares_of_pixels_and_of_maps():
    trace = design("c20-r-g-d4", (1, 50, 30)).run(pictures((1, 50, 30)))
    header, body = opened(frames.frame(trace, [0, 2, 3], side=24, most=16))
    row = header["parts"][0]
    values = trace.parts[0].output.data[0]
    assert (row["c"], row["n"], row["h"], row["w"]) == (20, 16, 16, 10)
    means = values[:16, :48, :30].reshape(16, 16, 3, 10, 3).mean(axis=(2, 4))
    assert np.abs(tiles_of(row, body).astype(int) - frames.quantised(means, row["limit"])).max() <= 1
    wanted = frames.quantised(values.reshape(20, -1).mean(axis=1), row["limit"])
    assert np.abs(bar_of(row, body).astype(int) - wanted).max() <= 1
    assert row["rms"] == pytest.approx(float(np.sqrt(np.mean(values.astype(np.float64) ** 2))), rel=1e-5)
    assert (row["min"], row["max"]) == (pytest.approx(float(values.min()), rel=1e-5),
                                        pytest.approx(float(values.max()), rel=1e-5))
    assert row["limit"] == pytest.approx(float(np.quantile(np.abs(values), 0.995, method="inverted_cdf")), rel=1e-5)
    assert [header["parts"][1][key] for key in ("c", "n", "h", "w")] == [20, 1, 1, 20]
    assert header["logits"] == pytest.approx(trace.logits.data[0].tolist(), rel=1e-5)
    assert not header["backward"]


@pytest.mark.parametrize("back", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_drawn_as_that_and_counted(bad, back):
    source = design("c4k1-c4k1p0-g-d4")
    source.weights()["0.bias"].data[2] = bad
    with np.errstate(all="ignore"):
        trace = source.run(pictures())
        gradients = walk_back(trace, Target("loss", label=0)) if back else None
        header, body = opened(frames.frame(trace, [0, 1, 2, 3], gradients=gradients))
    if back:
        assert any(row.get("bad") == 1 for row in header["parts"])
        return
    row = header["parts"][0]
    assert row["bad"] == 0.25
    drawn = tiles_of(row, body)
    assert np.all(drawn[2] == 0)
    assert np.all(drawn[[0, 1, 3]] != 0)
    assert bar_of(row, body).tolist()[2] == 0
    assert header["parts"][1]["bad"] == 1
    assert "min" not in header["parts"][1]
    assert header["logits"] == [None] * 4


def test_one_number_that_is_none_shows_in_a_square_of_pixels():
    trace = design("c2k1-r-g-d4", (1, 48, 48)).run(pictures((1, 48, 48)))
    trace.parts[0].output.data[0, 1, 7, 9] = np.nan
    header, body = opened(frames.frame(trace, [0]))
    drawn = tiles_of(header["parts"][0], body)
    assert np.argwhere(drawn == 0).tolist() == [[1, 3, 4]]
    assert header["parts"][0]["bad"] == pytest.approx(1 / (2 * 48 * 48), rel=1e-5)


def test_large_numbers_whose_sum_is_too_large_are_still_numbers():
    trace = design("c2k1-r-g-d4", (1, 48, 48)).run(pictures((1, 48, 48)))
    trace.parts[0].output.data[...] = 3e38
    header, body = opened(frames.frame(trace, [0]))
    assert np.all(tiles_of(header["parts"][0], body) == 255)
    assert np.all(bar_of(header["parts"][0], body) == 255)
    assert "bad" not in header["parts"][0]


def test_zeros_are_exactly_in_the_middle():
    trace = design("c4-r-p2-f-d4").run(pictures())
    header, body = opened(frames.frame(trace, [1], side=12))
    values = trace.parts[1].output.data[0]
    drawn = tiles_of(header["parts"][0], body)
    assert np.all(drawn[values == 0] == 128)
    assert header["parts"][0]["zeros"] == pytest.approx(float((values == 0).mean()), rel=1e-5)
    gradients = walk_back(trace, Target("loss", label=1))
    header, body = opened(frames.frame(trace, [0], side=12, gradients=gradients))
    drawn, arrived = tiles_of(header["parts"][0], body), gradients.at(trace.parts[0])
    np.testing.assert_array_equal(drawn == 128, arrived == 0)
    np.testing.assert_array_equal(drawn > 128, arrived > 0)


def test_a_walk_back_has_one_scale_for_the_whole_network():
    trace = design("ten-sigmoids").run(pictures())
    gradients = walk_back(trace, Target("loss", label=1))
    header, body = opened(frames.frame(trace, [part.index for part in trace.parts], gradients=gradients))
    top = max(float(np.abs(gradients.at(part)).max()) for part in trace.parts)
    assert header["top"] == pytest.approx(top, rel=1e-5)
    assert {row["limit"] for row in header["parts"]} == {header["top"]}
    strongest = [np.abs(tiles_of(row, body).astype(int) - 128).max() for row in header["parts"]]
    assert max(strongest) == 127
    assert strongest[0] < strongest[-1]  # it vanishes on its way


@pytest.mark.parametrize("scale", frames.SCALES)
def test_limits_of_some_parts_are_those_of_all(scale):
    trace = design("inception").run(pictures())
    whole = frames.limits_of(trace, scale)
    some = trace.parts[3::7]
    assert frames.limits_of(trace, scale, some) == {part.index: whole[part.index] for part in some}
    if scale == "network":
        assert len(set(whole.values())) == 1
    if scale == "stage":
        assert len(set(whole.values())) == len({part.shape[1:] for part in trace.parts})


def test_held_colours_are_used_and_steps_of_weights_are_told():
    trace = design("lenet5").run(pictures())
    header, body = opened(frames.frame(trace, [0], held={0: 123.0}, learn={"0.weight": 0.01, "0.bias": 0.02}))
    assert header["parts"][0]["limit"] == 123
    assert header["dw"]["0"] == 0.02
    assert np.all(np.abs(tiles_of(header["parts"][0], body).astype(int) - 128) < 10)
    gradients = walk_back(trace, Target("loss", label=1))
    header, _ = opened(frames.frame(trace, [0], gradients=gradients))
    ratios = [np.linalg.norm(gradients.weights[name]) / np.linalg.norm(weight.data)
              for name, weight in trace.parts[0].weights.items()]
    assert header["gw"]["0"] == pytest.approx(max(ratios), rel=1e-4)


def test_parts_that_a_walk_does_not_come_by_are_said_to_have_none():
    trace = design("lenet5").run(pictures())
    gradients = walk_back(trace, Target("number", part=1, place=(0, 0, 0)))
    header, _ = opened(frames.frame(trace, [0, 5], gradients=gradients))
    assert [row.get("none", False) for row in header["parts"]] == [False, True]


@pytest.mark.parametrize(("shown", "scale", "said"), [([99], "layer", "no part 99"), ([-1], "layer", "no part -1"),
                                                      ([0], "nonsense", "A scale is")])
def test_what_does_not_exist_is_refused_in_a_sentence(shown, scale, said):
    with pytest.raises(PlaygroundError, match=said):
        frames.frame(design("linear").run(pictures()), shown, scale=scale)


@pytest.mark.parametrize("takes", [(1, 8, 8), (1, 28, 28), (3, 32, 32)])
@pytest.mark.parametrize("text", [*PRESETS, EVERYTHING])
def test_a_frame_of_a_small_network_is_small(text, takes):
    trace = design(text, takes).run(pictures(takes))
    gradients = walk_back(trace, Target("loss", label=1))
    for back in (None, gradients):
        assert len(frames.frame(trace, columns(trace), gradients=back)) <= 60 * 2**10


def columns(trace):
    """The parts that a folded network shows: the last of every column."""
    return [item.last if isinstance(item, Fold) else item for item in folded(trace)]


@pytest.mark.parametrize("text", ["resnet8", "usual", EVERYTHING])
def test_a_number_is_told_in_few_bytes(text):
    trace = design(text, (3, 32, 32)).run(pictures((3, 32, 32)))
    gradients, rng = walk_back(trace, Target("loss", label=1)), np.random.default_rng(4)
    for part in trace.parts:
        place = tuple(int(rng.integers(n)) for n in part.shape)
        assert len(str(describe.one_number(trace, part, place, gradients))) <= 8 * 2**10
