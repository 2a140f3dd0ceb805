"""The registry holds whole models or nothing, whatever dies when."""

import hashlib
import json
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import onnx
import pytest

from playground.deploy import contract, registry
from playground.deploy.registry import Entry
from playground.errors import PlaygroundError
from tests.playground.tiny_models import GRAY, linear_core, linear_file

CARD = {"task": "digits", "accuracy": {"value": 0.5, "count": 4, "split": "test"}}


@pytest.fixture
def exports(playground_home: Path, without_shipped: None) -> Path:
    return playground_home / "exports"


def hidden(exports: Path) -> list[str]:
    return sorted(path.name for path in exports.iterdir() if path.name.startswith(".") and path.name != ".lock")


def whole(entry: Entry) -> bool:
    return hashlib.sha256(entry.onnx.read_bytes()).hexdigest() == entry.card["sha256"]


def test_a_model_is_put_listed_and_got(exports: Path) -> None:
    folder = registry.put("my-first_model", linear_file(), CARD)
    assert folder == exports / "my-first_model"
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "model.onnx"]
    (entry,) = registry.entries()
    assert entry == registry.get("my-first_model") == registry.get(folder) == registry.get(entry.onnx)
    assert whole(entry)
    assert hidden(exports) == []


def test_the_card_says_what_the_file_says_whatever_it_was_given(exports: Path) -> None:
    registry.put("m", linear_file(), CARD | {"labels": ["wrong"], "name": "wrong", "sha256": "wrong"})
    card = json.loads((exports / "m/card.json").read_text())
    assert card["labels"] == ["class 0", "class 1", "class 2"]
    assert card["name"] == "m"
    assert card["source"] == "a test"
    assert card["task"] == "digits"
    assert card["size_bytes"] == (exports / "m/model.onnx").stat().st_size


def test_entries_are_newest_first(exports: Path) -> None:
    for name, year in (("old", 2001), ("new", 2020), ("middle", 2010)):
        model = contract.finish(linear_core(GRAY, 2), GRAY, ["a", "b"], "a test", datetime(year, 1, 1, tzinfo=UTC))
        registry.put(name, model, {})
    assert [entry.name for entry in registry.entries()] == ["new", "middle", "old"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "A", "ä", "a b", "-a", ".a", "a" * 61, "a\n", "a.b"])
def test_a_name_that_could_lead_elsewhere_is_refused(exports: Path, name: str) -> None:
    with pytest.raises(PlaygroundError, match="cannot be called"):
        registry.put(name, linear_file(), CARD)
    assert not exports.exists() or list(exports.iterdir()) == []


def test_the_longest_name_and_the_shortest_are_accepted(exports: Path) -> None:
    for name in ("a", "7", "a" * 60):
        registry.put(name, linear_file(), CARD)
        assert registry.get(name).name == name


def test_nothing_is_overwritten_silently(exports: Path) -> None:
    registry.put("m", linear_file(), CARD)
    before = (exports / "m/model.onnx").read_bytes()
    with pytest.raises(PlaygroundError, match="already a model called m"):
        registry.put("m", linear_file(seed=1), CARD)
    with pytest.raises(PlaygroundError, match="already a model called m"):
        registry.check_free("m")
    assert (exports / "m/model.onnx").read_bytes() == before


def test_a_model_is_replaced_when_asked(exports: Path) -> None:
    registry.put("m", linear_file(), CARD)
    registry.put("m", linear_file(classes=4), CARD, replace=True)
    entry = registry.get("m")
    assert isinstance(entry, Entry)
    assert len(entry.card["labels"]) == 4
    assert whole(entry)
    assert hidden(exports) == []


def test_a_model_that_breaks_the_contract_never_reaches_the_registry(exports: Path) -> None:
    model = linear_file()
    del model.graph.output[1]
    with pytest.raises(PlaygroundError, match="outputs"):
        registry.put("m", model, CARD)
    with pytest.raises(PlaygroundError, match="not an ONNX file"):
        registry.put("m", b"not a model", CARD)
    assert registry.entries() == []


def test_a_card_that_is_no_json_never_reaches_the_registry(exports: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        registry.put("m", linear_file(), {"accuracy": float("nan")})
    assert registry.entries() == []


def test_a_model_is_removed(exports: Path) -> None:
    registry.put("m", linear_file(), CARD)
    registry.remove("m")
    assert registry.entries() == []
    assert not (exports / "m").exists()
    with pytest.raises(PlaygroundError, match="no model called m"):
        registry.remove("m")
    with pytest.raises(PlaygroundError, match="cannot be called"):
        registry.remove("../elsewhere")


def test_what_is_not_there_is_named_with_what_is(exports: Path) -> None:
    with pytest.raises(PlaygroundError, match="there are no models yet"):
        registry.get("m")
    registry.put("cats", linear_file(), CARD)
    with pytest.raises(PlaygroundError, match="the models are cats"):
        registry.get("dogs")


def test_a_file_from_elsewhere_is_a_path(exports: Path, tmp_path: Path) -> None:
    path = tmp_path / "downloaded.onnx"
    onnx.save(linear_file(), path)
    assert registry.get(path) == path


def test_a_damaged_entry_is_left_out_and_named(exports: Path) -> None:
    for name in ("good", "no-card", "torn-card", "no-model", "bare-card"):
        registry.put(name, linear_file(), CARD)
    (exports / "no-card/card.json").unlink()
    (exports / "torn-card/card.json").write_text('{"name": "torn')
    (exports / "bare-card/card.json").write_text("[]")
    (exports / "no-model/model.onnx").unlink()
    (exports / "a file.txt").write_text("somebody's notes")
    assert [entry.name for entry in registry.entries()] == ["good"]
    assert sorted(registry.damaged()) == ["bare-card", "no-card", "no-model", "torn-card"]
    with pytest.raises(PlaygroundError, match="damaged"):
        registry.get("torn-card")


# --- a process that dies at any of its steps ---

DIES = """
    import os, sys
    from pathlib import Path
    from playground.deploy import registry
    from tests.playground.tiny_models import linear_file

    step, replace = int(sys.argv[1]), sys.argv[2] == "replace"
    model = linear_file(classes=4)
    left = step

    def counted(function):
        def call(*args, **kwargs):
            global left
            if left == 0:
                os._exit(9)          # as kill -9: no finally runs, no buffer is written
            left -= 1
            return function(*args, **kwargs)
        return call

    os.fsync, os.rename = counted(os.fsync), counted(os.rename)
    Path.mkdir = counted(Path.mkdir)
    registry._write = counted(registry._write)
    registry.put("m", model, {}, replace=replace)
"""


def put_and_die(step: int, mode: str) -> int:
    program = textwrap.dedent(DIES)
    done = subprocess.run([sys.executable, "-c", program, str(step), mode], timeout=900, capture_output=True, text=True)
    assert done.returncode in (0, 9), done.stderr
    return done.returncode


def test_a_writer_killed_at_any_step_leaves_nothing_or_all(exports: Path) -> None:
    outcomes = []
    for step in range(20):
        died = put_and_die(step, "new") == 9
        found = registry.entries()
        assert all(whole(entry) and len(entry.card["labels"]) == 4 for entry in found)
        outcomes.append(len(found))
        assert registry.damaged() == {}
        if not died:
            break
        if found:  # killed after the rename: it is there, whole
            registry.remove("m")
        registry.put("another", linear_file(), CARD)  # the lock is free and what was left is swept
        assert hidden(exports) == []
        registry.remove("another")
    assert not died
    assert step >= 5
    assert outcomes[0] == 0
    assert outcomes[-1] == 1


def test_a_replacement_killed_at_any_step_leaves_the_old_or_the_new(exports: Path) -> None:
    outcomes = []
    for step in range(20):
        registry.put("m", linear_file(classes=3), CARD, replace=True)
        died = put_and_die(step, "replace") == 9
        (entry,) = registry.entries()
        assert whole(entry)
        assert registry.get("m") == entry
        outcomes.append(len(entry.card["labels"]))
        if not died:
            break
    assert not died
    assert outcomes == sorted(outcomes)  # 3, 3, ..., 4: the old until the new is in place
    assert outcomes[0] == 3
    assert outcomes[-1] == 4
    registry.put("another", linear_file(), CARD)
    assert hidden(exports) == []


def test_leftovers_of_a_crash_are_ignored_and_swept(exports: Path) -> None:
    registry.put("m", linear_file(), CARD)
    (exports / ".incoming-x").mkdir()
    (exports / ".incoming-x/model.onnx").write_bytes(b"half")
    (exports / ".removed-y").mkdir()
    assert [entry.name for entry in registry.entries()] == ["m"]
    registry.put("x", linear_file(), CARD)
    assert [entry.name for entry in registry.entries()] == ["x", "m"]
    assert hidden(exports) == []


def test_only_one_of_many_writers_gets_the_name(exports: Path) -> None:
    def attempt(seed: int) -> bool:
        try:
            registry.put("m", linear_file(seed=seed), CARD)
        except PlaygroundError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1
    (entry,) = registry.entries()
    assert whole(entry)


def test_a_model_is_there_all_the_time_it_is_being_replaced(exports: Path) -> None:
    registry.put("m", linear_file(), CARD)
    with ThreadPoolExecutor(2) as pool:
        replacing = pool.submit(lambda: [registry.put("m", linear_file(seed=k), CARD, replace=True) for k in range(30)])
        while not replacing.done():
            assert isinstance(registry.get("m"), Entry)
            assert [entry.name for entry in registry.entries()] == ["m"]
        replacing.result()
