"""A hundred files made to hurt: each ends in an answer or a sentence, within bounds."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from playground import home
from playground.errors import PlaygroundError
from playground.inspection import bounded
from playground.ui.studio import onnx_convert

NEVER_END = {"an endless loop", "functions doubling"}


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder = tmp_path_factory.mktemp("hostile")
    done = subprocess.run([sys.executable, str(Path(__file__).with_name("hostile.py")), str(folder)], check=True,
                          capture_output=True, text=True, env=home.importable(), cwd=home.REPOSITORY)
    assert [path.name for path in folder.iterdir()] == ["it.onnx"], "no file made another one"
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_every_file_ends_in_an_answer_or_a_sentence(ends: list[dict[str, object]]) -> None:
    assert len(ends) >= 100
    assert [one for one in ends if "raised" in one] == []
    assert {one["name"] for one in ends if "ended" in one} <= NEVER_END, "the others broke the process"
    sentences = [str(one["sentence"]) for one in ends if one.get("sentence")]
    assert len(sentences) > 60
    for sentence in sentences:
        assert re.fullmatch(r"[A-Zo].{8,}", sentence), "one line, said to a person"
        assert "Traceback" not in sentence
    assert max(int(str(one["memory"])) for one in ends) < 3 * 2**30


@pytest.mark.slow
def test_files_beside_a_file_are_never_read(ends: list[dict[str, object]]) -> None:
    said = {one["name"]: str(one["sentence"]) for one in ends if str(one["name"]).startswith("outside")}
    assert len(said) == 4
    assert all(sentence.startswith("This file keeps its weights in another one") for sentence in said.values())


def test_a_process_that_is_killed_is_not_the_files_fault(playground_home: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    path, dies = playground_home / "a.onnx", playground_home / "dies"
    path.write_bytes(b"x")
    dies.write_text("#!/bin/sh\nkill -9 $$\n")
    dies.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(bounded.sys, "executable", str(dies))
        with pytest.raises(bounded.UnansweredError, match="ended from outside: try again"):
            bounded.ask("report", path)
        said = onnx_convert._written(str(path), "key", next(iter(onnx_convert.WAYS)), None, "digest", 0, None, None)
    assert "ended from outside: try again" in said["sentence"]
    assert said["again"]


def test_a_process_that_breaks_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"x")
    monkeypatch.setattr(bounded.sys, "executable", "/bin/false")
    with pytest.raises(PlaygroundError, match="broke the process that opened it"):
        bounded.ask("report", path)
    with pytest.raises(PlaygroundError, match="not kept any more"):
        bounded.ask("report", tmp_path / "b.onnx")


def test_a_process_that_does_not_answer_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"x")
    with pytest.raises(PlaygroundError, match="did not answer within 0 seconds"):
        bounded.ask("report", path, patience=0.01)


def test_when_all_processes_are_taken_the_reader_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"x")
    taken = [bounded.AT_ONCE.acquire() for _ in range(2)]
    try:
        with pytest.raises(PlaygroundError, match="Others are opening files"):
            bounded.ask("report", path, patience=0.01)
    finally:
        for _ in taken:
            bounded.AT_ONCE.release()


def test_numbers_that_json_has_not_are_none() -> None:
    assert home.strict({"a": [1.5, float("nan"), (float("inf"),)]}) == {"a": [1.5, None, [None]]}
