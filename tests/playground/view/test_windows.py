"""Windows: which pixels reach a number, and which pictures drive a filter most."""

import numpy as np
import pytest

from engine import Tensor
from playground.network.shapes import walk
from playground.view.asks.windows import Peaks, peaks, windows
from playground.view.field import receptive_field
from playground.view.sources import Design
from playground.view.trace import Part, Trace
from tests.playground.view.small_networks import as_file, design, pictures

NETWORKS = ["c2k3-r-p2-c3k3", "c2k5s2p0-r-c2k3d2", "c2-p3s1p1-a3s2p1-c2k1", "c2s2-ct2k3s2p1-r-c2", "p2-u2-c2k3-r",
            "[c2k3-r-c2k3:c2k1]-r-p2", "(c2k1,c2k5)-r-c2k3s2", "dw2k3-ct2k2s2-p2-ct2k3s1", "a2-u2b-c2k2",
            "c2k4s3p2-lr0.1-c2k2"]


def reach(source: Design, trace: Trace, part: Part, at: tuple[int, ...]) -> tuple[int, int, int, int]:
    """By trying: pixels that, made very bright, change the number, all weights being above 0."""
    _, height, width = trace.picture.shape[1:]
    many = np.repeat(np.zeros((1, 1, height, width), np.float64) + 0.1, height * width + 1, 0)
    many[np.arange(height * width), 0, *np.unravel_index(np.arange(height * width), (height, width))] = 1e3
    found = source.run(many).parts[part.index].output.data[(slice(None), *at)]
    # A place of the batch may decide in which order its sums are added.
    changed = np.abs(found[:-1] - found[-1]) > 1e-9 * np.abs(found[-1])
    rows, columns = np.unravel_index(np.flatnonzero(changed), (height, width))
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


@pytest.mark.parametrize("text", NETWORKS)
def test_the_pixels_that_reach_a_number_are_those_that_change_it(text: str) -> None:
    source = design(f"{text}-f-d3", takes=(1, 11, 9))
    for weight in source.weights().values():
        weight.data = np.abs(weight.data.astype(np.float64)) + 0.1
    rng = np.random.default_rng(0)
    trace = source.run(np.zeros((1, 1, 11, 9)) + 0.1)
    for part in trace.parts:
        if len(part.shape) != 3:
            assert receptive_field(trace, part, (0,)) == (0, 10, 0, 8)
            continue
        corners = [(0, 0, 0), tuple(n - 1 for n in part.shape)]
        for at in [*corners, *(tuple(int(rng.integers(n)) for n in part.shape) for _ in range(2))]:
            assert receptive_field(trace, part, at) == reach(source, trace, part, at), (part.title, at)


def test_a_number_in_the_middle_sees_as_much_as_the_design_says() -> None:
    source = design("c2-c2k5-p2-c2d2-r-c2s2-g-d3", takes=(1, 65, 65))
    trace = source.run(np.zeros((1, 1, 65, 65), np.float32))
    for row in walk(source.network, (1, 65, 65)).rows:
        part = trace.parts[row.path[0]]
        if len(row.gives) == 3 and np.isfinite(row.field):
            top, bottom, left, right = receptive_field(trace, part, (0, row.gives[1] // 2, row.gives[2] // 2))
            assert (bottom - top + 1, right - left + 1) == (row.field, row.field), row.part.title


@pytest.mark.parametrize("kind", ["design", "file"])
def test_the_windows_are_the_largest_values_of_different_pictures(kind: str) -> None:
    made = design("c4-b-r-p2-c5-f-d6-d3")
    source = made if kind == "design" else as_file(made)
    x, _ = pictures(30)
    trace = source.run(x)
    for part in (0, 1, 4, 6):
        values = trace.parts[part].output.data
        found = peaks(source, x, part)
        assert found.shape == values.shape[1:]
        for one in range(values.shape[1]):
            own = values[:, one].reshape(len(x), -1)
            for lowest in (False, True):
                extreme = own.min(axis=1) if lowest else own.max(axis=1)
                picked = windows(source, x, part, found, one, lowest=lowest)
                wanted = np.sort(extreme)[:9] if lowest else np.sort(extreme)[::-1][:9]
                wanted = wanted[wanted < 0] if lowest else wanted[wanted > 0]
                np.testing.assert_allclose([window.value for window in picked], wanted, rtol=1e-6)
                assert len({window.picture for window in picked}) == len(picked)
                for window in picked:
                    assert values[(window.picture, one, *window.place)] == pytest.approx(window.value, rel=1e-6)
                    assert window.region == receptive_field(trace, trace.parts[part], (one, *window.place))


def test_after_a_relu_nothing_is_below_zero_and_what_is_no_number_is_left_out() -> None:
    source = design("c3-r-f-d3")
    x, _ = pictures(12)
    found = peaks(source, x, 1)
    assert windows(source, x, 1, found, 0, lowest=True) == []
    broken = Peaks(found.shape, np.where(np.arange(12)[:, None] == 3, np.nan, found.most), found.most_at, found.least,
                   found.least_at)
    assert 3 not in {window.picture for window in windows(source, x, 1, broken, 0, count=12)}
    assert len(windows(source, x, 1, found, 0, count=2)) == 2
    assert isinstance(source.run(x[:1]).picture, Tensor)
