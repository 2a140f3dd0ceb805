"""Whatever a card, a spec, a log, a description or a checkpoint says hides only itself: the others are shown."""

import contextlib
import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from playground import home
from playground.deploy import card, package, registry
from playground.errors import PlaygroundError
from playground.training.runs import events, runs
from playground.training.runs.log import read
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from tests.playground.test_numpy_fit import blobs
from tests.playground.tiny_models import linear_file

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(
    ["2026-01-01T00:00:00", "digits", "\ud800", 10**400, -1, 2**63, "../x"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.text(max_size=5) | st.sampled_from(["value", "count", "request", "run", "size", "mean", "references", "layers"]),
    inner, max_size=3), max_leaves=8)
QUICK = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
DEEP = "[" * 100_000


def written(value: Any) -> str:
    return json.dumps(value)


@pytest.fixture
def two(playground_home: Path) -> Path:
    """A home with two models; the card of one is to be damaged."""
    for name in ("broken", "fine"):
        registry.put(name, linear_file(), {"task": "digits"})
    return playground_home / "exports" / "broken" / "card.json"


def others_are_shown(damaged: Path) -> None:
    """The listing works, names the damaged one or shows it, and holds the other one."""
    entries, wrong = registry.entries(), registry.damaged()
    own = {entry.name for entry in entries if not entry.shipped}
    assert "fine" in own
    assert own | set(wrong) == {"fine", "broken"}
    for entry in entries:
        package.model_card(entry)
        json.dumps(entry.card, allow_nan=False).encode()
    assert all(sentence.endswith(".") and "\n" not in sentence for sentence in wrong.values())


@QUICK
@given(said=JSON)
def test_a_card_that_says_anything_hides_only_itself(two: Path, said: Any) -> None:
    two.write_text(written(said))
    others_are_shown(two)


@QUICK
@given(key=st.sampled_from(sorted(card.SHAPE)), said=JSON)
def test_a_card_with_anything_under_a_key_hides_only_itself(two: Path, key: str, said: Any) -> None:
    fine = json.loads((two.parent.parent / "fine" / "card.json").read_text())
    two.write_text(written({**fine, key: said}))
    others_are_shown(two)


@pytest.mark.parametrize("said", [b"", b"\xff\xfe", b"{", DEEP.encode(), b"[NaN]", b'{"created": Infinity}'])
def test_a_card_that_is_no_json_hides_only_itself(two: Path, said: bytes) -> None:
    two.write_bytes(said)
    others_are_shown(two)
    assert "broken" in registry.damaged()


def test_a_card_as_it_was_written_has_no_faults(two: Path) -> None:
    assert card.faults(json.loads(two.read_text())) == []
    assert card.faults({}) == list(card.DEMANDED)


@pytest.fixture
def run_ids(playground_home: Path) -> list[str]:
    """Two runs; the files of the first one are to be damaged."""
    found = []
    for name in ("broken", "fine"):
        folder = runs.new_folder()
        runs.write_spec(folder, RunSpec("digits", {"data": "digits"}, 0, name), "cpu")
        (folder / "events.jsonl").write_text(events.to_json(events.Saved("a", 1, 5.0)) + "\n")
        found.append(folder.name)
    return found


def runs_are_shown(run_ids: list[str]) -> None:
    views = []
    for run_id in runs.run_ids():
        try:
            view = runs.view(run_id)
        except PlaygroundError:
            continue
        views.append(view)
        assert math.isfinite(view.progress)
        assert view.remaining_seconds is None or math.isfinite(view.remaining_seconds)
        assert math.isfinite(view.seconds)
        assert isinstance(view.can_be_finished, bool)
        view.spec.name.encode()
        json.dumps(view.spec.request).encode()
    assert run_ids[1] in {view.run_id for view in views}
    assert runs.same(RunSpec("digits", {"data": "other"}, 0, "x")) is None
    assert runs.free_name("fine")


@QUICK
@given(said=JSON)
def test_a_spec_that_says_anything_hides_only_itself(run_ids: list[str], said: Any) -> None:
    (runs.home.runs_dir() / run_ids[0] / "spec.json").write_text(written(said))
    runs_are_shown(run_ids)


@QUICK
@given(key=st.sampled_from(["kind", "request", "seed", "name", "replace"]), said=JSON)
def test_a_spec_with_anything_under_a_key_hides_only_itself(run_ids: list[str], key: str, said: Any) -> None:
    fine = {"kind": "digits", "request": {"data": "digits"}, "seed": 0, "name": "a", "replace": False}
    (runs.home.runs_dir() / run_ids[0] / "spec.json").write_text(written({**fine, key: said}))
    runs_are_shown(run_ids)


@pytest.mark.parametrize("said", [b"", b"\xff", DEEP.encode(), b'{"kind": NaN}'])
def test_a_spec_that_is_no_json_hides_only_itself(run_ids: list[str], said: bytes) -> None:
    (runs.home.runs_dir() / run_ids[0] / "spec.json").write_bytes(said)
    runs_are_shown(run_ids)


ANY_EVENT = st.fixed_dictionaries({"event": st.sampled_from(sorted(events.KINDS))}, optional={
    name: JSON | st.integers(-2, 5) | st.floats(0, 9) | st.just([[1, 2], [3, 4]]) | st.just({"train": 3})
    for name in ("time", "epoch", "batch", "batches", "total_epochs", "done", "total", "place", "text", "reason",
                 "kind", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds", "loss",
                 "accuracy", "learning_rate", "path", "message", "detail", "name", "samples", "confusion", "epochs",
                 "test_accuracy", "test_count", "max_difference", "finishing", "contestant", "test_loss", "device",
                 "batches_per_epoch", "parameters", "classes", "best_epoch")})
FULL = st.builds(events.Epoch, *[st.integers(-3, 2**60)] + [st.floats()] * 6) | st.builds(
    events.Batch, *[st.integers(-3, 9)] * 3 + [st.floats()] * 4) | st.builds(
    events.Stage, st.text(max_size=3), st.integers(-9, 9), st.integers(-9, 9), st.floats()) | st.builds(
    events.Resumed, st.floats(), st.booleans()) | st.builds(events.Queued, st.integers(-2, 3), st.floats())


@QUICK
@given(lines=st.lists(ANY_EVENT.map(written) | JSON.map(written) | FULL.map(events.to_json), max_size=12))
def test_a_log_with_any_lines_hides_only_them(run_ids: list[str], lines: list[str]) -> None:
    log = runs.home.runs_dir() / run_ids[0] / "events.jsonl"
    whole = events.to_json(events.Saved("a", 7, 5.0))
    log.write_text("\n".join([*lines, whole, DEEP]) + "\n")
    assert events.Saved("a", 7, 5.0) in read(log)[0]
    runs_are_shown(run_ids)


@pytest.fixture
def trained(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(numpy_fit.named, "load", lambda data: (blobs(), blobs(21)))
    list(numpy_fit.fit(RunSpec("digits", {"data": "digits", "epochs": 1}, 0, "a"), playground_home, lambda: False))
    return playground_home


@QUICK
@given(key=st.sampled_from(["", "network", "input", "preprocessing", "classes"]), said=JSON)
def test_a_description_that_says_anything_is_no_network_at_most(trained: Path, key: str, said: Any) -> None:
    path = trained / numpy_fit.DESCRIPTION
    fine = path.with_suffix(".fine")
    if not fine.exists():
        shutil.copy(path, fine)
    path.write_text(written({**json.loads(fine.read_text()), key: said} if key else said))
    with contextlib.suppress(PlaygroundError):  # which says that it is damaged
        assert numpy_fit.load_trained(trained).classes


def test_a_description_of_a_giant_is_refused_before_memory_is_asked_for(trained: Path) -> None:
    path = trained / numpy_fit.DESCRIPTION
    said = json.loads(path.read_text())
    said["network"] = f"f-d65536-d65536-d{len(said['classes'])}"
    path.write_text(json.dumps(said))
    with pytest.raises(PlaygroundError, match="damaged"):
        numpy_fit.load_trained(trained)


@pytest.mark.parametrize("text", ["[NaN]", "[Infinity]", '"\\ud800"', DEEP, "", "{", "1" * 5000])
def test_only_strict_json_that_can_be_written_again_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError):  # noqa: PT011 - of the parser's own words
        home.read_json(tmp_path / "a.json")
