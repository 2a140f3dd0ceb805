"""Answers of a class: the first and the last of each reader, counted question by question, deleted with him."""

import json
from pathlib import Path

import pytest

from playground import home
from playground.classroom import answers, keys, leaving
from playground.figures import choices
from tests.a_class import class_home, place_of

__all__ = ["class_home"]

ASKED = ("pooling", "How many?", ("4", "16", "64"), 1)


def test_what_each_chose_first_and_last_is_counted(class_home: Path) -> None:
    readers = [place_of(keys.new()) for _ in range(4)]
    for place, chosen in zip(readers, ([0, 1], [1], [1, 2, 0], [2]), strict=True):
        for one in chosen:
            answers.write(place, *ASKED, one)
    (found,) = answers.tallies()
    assert (found.page, found.question, found.choices, found.answer) == ASKED
    assert (found.first, found.last, found.asked) == ((1, 2, 1), (1, 2, 1), 4)
    assert [answers.of(place)[found.id].last for place in readers] == [1, 1, 0, 2]
    assert answers.tally(found.id) == found
    assert answers.tally("0" * 16) is None


def test_questions_of_one_page_stand_together_the_most_answered_first(class_home: Path) -> None:
    one, other = place_of(keys.new()), place_of(keys.new())
    answers.write(one, "loss", "Rare?", ("a", "b"), 0, 0)
    for place in (one, other):
        answers.write(place, "loss", "Usual?", ("a", "b"), 0, 1)
        answers.write(place, "depth", "Deep?", ("a", "b"), 0, 1)
    assert [(found.page, found.question) for found in answers.tallies()] == [
        ("depth", "Deep?"), ("loss", "Usual?"), ("loss", "Rare?")]


def test_the_same_words_with_another_answer_are_another_question(class_home: Path) -> None:
    place = place_of(keys.new())
    for right in (0, 1):
        answers.write(place, "loss", "Which?", ("a", "b"), right, 0)
    assert len(answers.tallies()) == 2


@pytest.mark.parametrize("content", [
    "", "[]", '{"q": 3}', '{"q": {"page": "p", "question": "?", "choices": ["a"], "answer": 1, "first": 0, "last": 0, '
    '"time": 1}}', '{"q": {"page": "p", "question": "?", "choices": "ab", "answer": 0, "first": 0}}',
    '{"q": {"page": "p", "question": "?", "choices": ["a", 3], "answer": 0, "first": 0, "last": 0, "time": 1}}',
])
def test_a_damaged_file_holds_no_answers_and_takes_new_ones(content: str, class_home: Path) -> None:
    place = place_of(keys.new())
    place.mkdir(parents=True)
    (place / answers.ANSWERS).write_text(content)
    assert answers.tallies() == []
    answers.write(place, *ASKED, 2)
    assert [found.last for found in answers.tallies()] == [(0, 0, 1)]


def test_only_so_many_are_kept_the_latest(class_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST", 3)
    place = place_of(keys.new())
    for k in range(5):
        answers.write(place, "loss", f"{k}?", ("a", "b"), 0, 0)
    answers.write(place, "loss", "3?", ("a", "b"), 0, 1)
    assert [one.question for one in answers.of(place).values()] == ["2?", "4?", "3?"]
    assert json.loads((place / answers.ANSWERS).read_text()).keys() == answers.of(place).keys()


def test_they_go_with_their_reader(class_home: Path) -> None:
    one, other = place_of(keys.new()), place_of(keys.new())
    for place in (one, other):
        answers.write(place, *ASKED, 0)
    leaving.delete_everything(one)
    assert [found.first for found in answers.tallies()] == [(1, 0, 0)]
    assert not one.exists()
    assert home.shared() in other.parents


def test_a_bar_for_every_choice_with_the_right_one_marked_and_nothing_that_is_read_as_a_tag() -> None:
    figure = choices.choice_bars(["<b>four</b>", "16"], [3, 0], 1, [1, 2])
    assert list(figure.layout.yaxis.ticktext) == ["&lt;b&gt;four&lt;/b&gt;", "16 ✓"]
    assert figure.layout.xaxis.title.text == "answers"
    assert figure.data[0].marker.color[0] != figure.data[0].marker.color[1]
    assert "1 in the end" in figure.data[0].customdata[0]
