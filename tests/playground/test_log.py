"""The log: appended to by one, read by many, each from where it left off."""

from pathlib import Path

import pytest

from playground.training.runs.events import Saved, to_json
from playground.training.runs.log import EventLog, read


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def saved(epoch: int) -> Saved:
    return Saved(path="a", epoch=epoch, time=float(epoch))


def test_a_log_that_does_not_exist_yet_is_empty(path: Path) -> None:
    assert read(path) == ([], 0)


def test_an_event_can_be_read_as_soon_as_it_was_appended(path: Path) -> None:
    log = EventLog(path)
    log.append(saved(1))
    assert read(path)[0] == [saved(1)]


def test_a_reader_gets_each_event_once(path: Path) -> None:
    log, offset, seen = EventLog(path), 0, []
    for epoch in range(1, 6):
        log.append(saved(epoch))
        if epoch % 2:
            events, offset = read(path, offset)
            seen += events
    assert seen == [saved(epoch) for epoch in range(1, 6)]
    assert read(path, offset) == ([], offset)


def test_a_line_that_is_still_being_written_waits_for_its_end(path: Path) -> None:
    whole = to_json(saved(1)).encode() + b"\n"
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        assert read(path) == ([], 0)
    path.write_bytes(whole)
    assert read(path) == ([saved(1)], len(whole))


def test_the_half_line_of_a_writer_that_died_does_not_spoil_the_next_event(path: Path) -> None:
    for half in (b'{"event": "Sa', b"{", to_json(saved(1)).encode()[:-1]):
        path.write_bytes(half)
        EventLog(path).append(saved(2))
        assert read(path)[0] == [saved(2)]


def test_a_log_is_opened_again_without_losing_or_adding_anything(path: Path) -> None:
    for epoch in (1, 2):
        log = EventLog(path)
        log.append(saved(epoch))
        log.close()
    assert path.read_text() == f"{to_json(saved(1))}\n{to_json(saved(2))}\n"
