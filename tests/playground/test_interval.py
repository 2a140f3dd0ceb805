"""How sure a share is, and a difference of two: published values, and counting."""

import numpy as np
import pytest

from playground.deploy import interval

NEWCOMBE = [  # Newcombe 1998, table II, method 10
    ((56, 70, 48, 80), (0.0524, 0.3339)), ((9, 10, 3, 10), (0.1705, 0.8090)), ((6, 7, 2, 7), (0.0582, 0.8062)),
    ((5, 56, 0, 29), (-0.0381, 0.1926)), ((0, 10, 0, 20), (-0.1611, 0.2775)), ((0, 10, 0, 10), (-0.2775, 0.2775)),
    ((10, 10, 0, 20), (0.6791, 1.0)), ((10, 10, 0, 10), (0.6075, 1.0)),
]


@pytest.mark.parametrize(("counts", "published"), NEWCOMBE)
def test_the_interval_is_the_papers(counts: tuple[int, int, int, int], published: tuple[float, float]) -> None:
    assert interval.difference(*counts) == pytest.approx(published, abs=1.5e-4)
    assert interval.chance(*counts) == (published[0] <= 0 <= published[1])


@pytest.mark.parametrize(("share", "other", "count"), [(0.9, 0.9, 100), (0.97, 0.93, 355), (0.5, 0.6, 200)])
def test_it_holds_the_true_difference_95_times_of_100(share: float, other: float, count: int) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.binomial(count, (share, other), (4000, 2))
    held = [low <= share - other <= high
            for low, high in (interval.difference(int(a), count, int(b), count) for a, b in drawn)]
    assert 0.94 < np.mean(held) < 0.97


@pytest.mark.parametrize("count", [1, 10, 355, 100_000])
def test_it_has_a_width_at_all_and_at_none(count: int) -> None:
    for right in (0, count):
        low, high = interval.difference(right, count, right, count)
        assert low < 0 < high
        assert low == pytest.approx(-high)
    assert interval.chance(count, count, count, count)
    assert interval.chance(1, 1, 0, 0), "nothing was counted"


def test_it_agrees_with_an_exact_test() -> None:
    """Far from the border both call the same differences chance; the exact test is scipy's of Boschloo."""
    stats = pytest.importorskip("scipy.stats")
    for counts in ((30, 60, 36, 60), (30, 60, 45, 60), (58, 60, 60, 60), (50, 60, 60, 60), (3, 60, 14, 60)):
        a, n, b, m = counts
        p = stats.boschloo_exact([[a, b], [n - a, m - b]]).pvalue
        assert interval.chance(*counts) == (p > 0.05), (counts, p)


@pytest.mark.parametrize(("arguments", "said"), [
    ((1.0, 355, 1.0, 355), "no difference (95\u202f% interval: −1.1 to 1.1)"),
    ((0.99, 100, 0.98, 100), "1 point more (95\u202f% interval: −3.7 to 6.1): it can be chance"),
    ((0.5, 1000, 0.7, 1000), "20 points less (95\u202f% interval: −24.1 to −15.8): more than chance"),
    ((0.5, 0, 0.7, 10), "nothing was counted"),
])
def test_the_sentence_says_how_far_and_whether_it_can_be_chance(
    arguments: tuple[float, int, float, int], said: str
) -> None:
    assert interval.compared(*arguments) == said
