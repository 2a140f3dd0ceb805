"""What a long lesson says of the server's memory, files and processes: whether any of it rises once it is warm."""

from types import SimpleNamespace

import pytest

from bench import lesson

WARM, EVEN = [(300.0 + k, 40.0, 1.0) for k in range(100)], [(410.0, 60.0, 1.0)]


def meter(seen: list[tuple[float, float, float]]) -> SimpleNamespace:
    after = [(9999.0, 9999.0, 9999.0)]  # when everybody has left
    return SimpleNamespace(seen=seen + after, left=len(seen))


def said(seen: list[tuple[float, float, float]], seconds: float = lesson.JUDGED_SECONDS) -> tuple[bool, str]:
    return lesson.judged(meter(seen), seconds)  # type: ignore[arg-type]


def test_what_a_server_takes_as_it_warms_up_and_for_a_moment_is_flat() -> None:
    moment = [(600.0, 99.0, 3.0)] * 20
    flat, sentence = said(WARM + EVEN * 90 + moment + EVEN * 90)
    assert flat
    assert sentence.startswith("Flat")


@pytest.mark.parametrize(("grows", "named"), [
    ((0.1, 0.0, 0.0), "memory"), ((0.0, 0.1, 0.0), "open files"), ((0.0, 0.0, 0.02), "processes")])
def test_what_grows_steadily_is_named(grows: tuple[float, float, float], named: str) -> None:
    seen = [tuple(EVEN[0][k] + second * grows[k] for k in range(3)) for second in range(300)]
    flat, sentence = said(seen)  # type: ignore[arg-type]
    assert not flat
    assert f"of the lesson: {named}" in sentence
    assert sentence.count(":") == 2, "that alone"


def test_one_step_is_flat_unless_it_is_a_large_one() -> None:
    for more, is_flat in ((7.0, True), (40.0, False)):
        flat, sentence = said(WARM + EVEN * 120 + [(410.0 + more, 60.0, 1.0)] * 80)
        assert flat == is_flat
        assert sentence.endswith("memory took 7 MB once.") == is_flat


def test_a_short_lesson_is_not_judged() -> None:
    flat, sentence = said([(100.0 * k, 40.0, 1.0) for k in range(30)], 60)
    assert flat
    assert sentence.startswith("Too short")
