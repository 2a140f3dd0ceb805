"""The time that is left is told when it can be known, and is right then."""

import random

import pytest

from playground.training.runs.events import Batch, Epoch, Event, Finished, Measured, Resumed, Stage, Started
from playground.training.runs.remaining import left, progress, remaining_seconds

FROZEN, TUNED = {"mode": "frozen"}, {"mode": "fine-tune"}


def started(epochs: int, moment: float = 0.0) -> Started:
    return Started("transfer", epochs, 10, 99, ("0", "1"), {"train": 10}, "cpu", moment)


def batch(epoch: int, number: int, moment: float) -> Batch:
    return Batch(epoch, number, 10, 1.0, 0.5, 1e-3, moment)


def epoch(number: int, moment: float) -> Epoch:
    return Epoch(number, 1.0, 0.5, 1.0, 0.5, 10.0, moment)


def features(count: int, each: float, first: float = 0.0, begin: float = 0.0) -> list[Stage]:
    """Computing features of so many pictures, eight at a time; the first eight take `first` seconds longer."""
    return [Stage("computing features", done, count, begin + (first if done else 0.0) + done * each)
            for done in range(0, count + 1, 8)]


def epochs(count: int, batch_seconds: float, begin: float, check_seconds: float = 0.0, slow_first: float = 0.0
           ) -> list[Event]:
    """So many epochs of ten batches, a check after each; the first batch takes longer."""
    told: list[Event] = []
    now = begin + slow_first
    for number in range(1, count + 1):
        for k in range(1, 11):
            now += batch_seconds
            told.append(batch(number, k, now))
        now += check_seconds
        told.append(epoch(number, now))
    return told


def said(story: list[Event], request: dict) -> list[tuple[float, float]]:
    """(when, the seconds that were said to be left), for every event after which something was said."""
    found = []
    for n in range(1, len(story) + 1):
        told = remaining_seconds(story[:n], request)
        if told is not None:
            found.append((story[n - 1].time, told))
    return found


def error(pairs: list[tuple[float, float]], end: float) -> float:
    """The worst ratio between what was said and what was true; two seconds more or less are none."""
    worst = 1.0
    for moment, told in pairs:
        true = end - moment
        if abs(told - true) > 2:
            worst = max(worst, told / max(true, 0.1), true / max(told, 0.1))
    return worst


@pytest.mark.parametrize("slow", [0.0, 5.0, 20.0])
def test_a_slow_start_is_not_taken_for_the_pace(slow: float) -> None:
    story = [started(15), *epochs(15, 0.2, 1.0, slow_first=slow)]
    pairs = said(story, TUNED)
    assert pairs, "nothing was ever said"
    assert error(pairs, story[-1].time) < 1.3
    assert pairs[0][0] < 1 + slow + 0.3 * (story[-1].time - 1 - slow)


@pytest.mark.parametrize("check", [0.0, 0.5, 3.0])
def test_checks_after_the_epochs_are_counted_in_before_long(check: float) -> None:
    story = [started(20), *epochs(20, 0.3, 2.0, check)]
    pairs = said(story, TUNED)
    later = [pair for pair in pairs if pair[0] > story[-1].time * 0.4]
    assert later
    assert error(later, story[-1].time) < 1.6


def test_features_and_then_quick_epochs_are_not_said_to_take_minutes() -> None:
    computing = features(800, 0.05, first=3.0, begin=1.0)
    story = [started(20), *computing, *epochs(20, 0.01, computing[-1].time)]
    pairs = said(story, FROZEN)
    assert pairs
    assert error(pairs, story[-1].time) < 1.4
    assert all(told < story[-1].time for _, told in pairs)


def test_how_long_the_epochs_take_is_not_known_while_features_are_computed() -> None:
    computing = features(800, 0.05, begin=1.0)
    story = [started(20), *computing, *epochs(20, 2.0, computing[-1].time, slow_first=8.0)]
    pairs = said(story, TUNED)
    assert pairs
    assert pairs[0][0] > computing[-1].time
    assert error(pairs, story[-1].time) < 1.3


def test_a_training_that_may_end_early_has_no_known_end() -> None:
    story = [started(20), *epochs(20, 2.0, 0.0)]
    assert said(story, {**TUNED, "patience": 3}) == []
    assert said(story, TUNED)


def test_nothing_is_said_in_the_first_seconds_nor_after_the_end() -> None:
    story: list[Event] = [started(15), *epochs(15, 0.02, 0.0)]
    assert all(moment >= 3 for moment, _ in said(story, TUNED))
    story += [Finished("completed", 15, 0.5, 2, 9.0, (), story[-1].time), Stage("exporting", 0, 1, story[-1].time + 9)]
    assert remaining_seconds(story, TUNED) is None
    assert remaining_seconds([], TUNED) is None


def test_what_a_checkpoint_tells_again_took_no_time() -> None:
    story = [started(20, 1000.0), *(epoch(k, 10.0 * k) for k in range(1, 11)), *(
        batch(11 + k // 10, k % 10 + 1, 1001.0 + k) for k in range(50))]
    told = remaining_seconds(story, TUNED)
    assert told == pytest.approx(50.0, rel=0.1)


def test_a_pace_that_changes_is_not_told_until_it_is_steady() -> None:
    points = [(float(t), 0.001 * t) for t in range(60)]
    points += [(60.0 + t, 0.06 + 0.01 * t) for t in range(80)]
    for n in range(62, 70):
        assert left(points[:n]) is None
    assert left(points) == pytest.approx(15, rel=0.05)


def test_an_uneven_pace_is_told_about_right() -> None:
    draw = random.Random(0)
    now, points = 0.0, [(0.0, 0.0)]
    for k in range(1, 401):
        now += draw.expovariate(5)
        points.append((now, k / 400))
    for n in range(100, 400, 20):
        told = left(points[:n])
        if told is not None:
            assert 0.5 < (told + 2) / (now - points[n - 1][0] + 2) < 2


def test_experiments_are_counted_by_what_they_measured() -> None:
    story: list[Event] = [started(10)]
    story += [Measured("CNN", k, 1.0, 0.5, 1.0, 0.5, 2.0 * k) for k in range(1, 6)]
    assert progress(story, {}) == 0.5
    assert remaining_seconds(story, {}) == pytest.approx(10.0)


def test_waiting_and_resuming_change_nothing() -> None:
    story = [started(15), *epochs(15, 0.5, 0.0)]
    middle = len(story) // 2
    assert remaining_seconds([*story[:middle], Resumed(99.0, True)], TUNED) == remaining_seconds(story[:middle], TUNED)
