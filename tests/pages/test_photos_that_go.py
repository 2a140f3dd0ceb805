"""Photographs that are deleted while a training reads them or learns from them: one sentence, and no model is lost."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from playground import home, jobs
from playground.deploy import export, registry
from playground.errors import PlaygroundError
from playground.training.runs import runs, worker
from playground.training.runs.events import Epoch, Event, Started
from playground.training.runs.runs import RunSpec
from playground.training.transfer import networks as torch_networks
from playground.training.transfer.feature_store import FeatureStore, forget
from playground.training.transfer.recipe import Request
from playground.ui.studio import insight
from tests.pages.on_a_page import OpenPage, errors
from tests.playground import tiny_models

pytestmark = pytest.mark.slow

BRIEF = {"epochs": 2, "batch_size": 4}
MODES: dict[str, dict[str, Any]] = {
    "frozen": {"mode": "frozen", **BRIEF},
    "fine-tune": {"mode": "fine-tune", "image_size": 32, "blocks": 1, "head_epochs": 1, **BRIEF},
    "fine-tune, augmented": {"mode": "fine-tune", "image_size": 32, "blocks": 1, "head_epochs": 1,
                             "augment": {"mirror": 0.5}, **BRIEF},
    "scratch": {"mode": "scratch", "image_size": 32, **BRIEF},
}
FROM_MEMORY = ("frozen", "fine-tune")  # what a frozen part sees of each photograph is kept: nothing is decoded again


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def colours(playground_home: Path) -> Path:
    """Two classes of coloured noise, eight pictures to train on and two kept aside."""
    top, rng = home.data_dir() / "colours", np.random.default_rng(0)
    for name, colour in (("blue", (40, 60, 220)), ("red", (220, 50, 40))):
        (top / name).mkdir(parents=True)
        for k in range(5):
            noise = np.clip(colour + rng.normal(0, 40, (36, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noise).save(top / name / f"{k}.png")
    return top


@pytest.fixture
def spec(mode: str, colours: Path, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    """A run that is worked on by who starts it; its export takes milliseconds."""
    made = RunSpec("transfer", {"data": str(colours), **MODES[mode]}, 0, "tints")
    size = torch_networks.preprocessing_of(Request.of(made.request)).size
    monkeypatch.setattr(export, "_core", lambda _: tiny_models.linear_core(replace(tiny_models.COLOUR, size=size), 2))
    monkeypatch.setattr(export, "demand", lambda parity: None)
    return made


def start(spec: RunSpec, monkeypatch: pytest.MonkeyPatch, after: type, happens: Callable[[], Any]) -> str:
    """Run it, and let something happen right after its first event of a kind."""
    todo = [happens]

    def events(*given: Any) -> Iterator[Event]:
        for event in jobs.events(*given):
            yield event
            if isinstance(event, after) and todo:
                todo.pop()()

    def launch(folder: Path, spec: RunSpec, queued: bool = True) -> None:
        runs.write_spec(folder, spec, "cpu")
        worker.work(folder, events, signals=False)

    monkeypatch.setattr(runs, "_launch", launch)
    return runs.start(spec)


def remove(top: Path) -> None:
    for path in top.rglob("*.png"):
        path.unlink()


def test_one_that_goes_while_it_is_read_is_said_and_the_next_try_does_without_it(
        spec: RunSpec, colours: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = start(spec, monkeypatch, Started, (colours / "red" / "3.png").unlink)
    view = runs.view(run_id)
    assert (view.state, view.saved, view.can_be_finished) == ("failed", None, False)
    app = open_page("transfer", run=run_id)
    said = [error.replace("\\", "") for error in errors(app)]
    assert len(said) == 1
    assert said[0].startswith("3.png cannot be read: No such file or directory, though")
    assert "begin again, and it goes on without this one" in said[0]

    runs.resume(run_id)
    view = runs.view(run_id)
    assert (view.state, len(view.epochs)) == ("completed", 2)
    assert view.started is not None
    assert view.started.samples == {"train": 7, "validation": 2}
    assert errors(open_page("transfer", run=run_id)) == []


def test_all_that_go_while_it_learns_cost_nothing_that_was_learnt(
        mode: str, spec: RunSpec, colours: Path, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    run_id = start(spec, monkeypatch, Epoch, lambda: remove(colours))
    view = runs.view(run_id)
    assert (view.state, view.failed, len(view.epochs)) == ("completed", None, 2)
    assert view.finished is not None
    assert view.finished.test_count == (2 if mode in FROM_MEMORY else 0), "only what was asked is counted"
    assert (view.finished.test_accuracy is None) == (mode not in FROM_MEMORY)
    (entry,) = [entry for entry in registry.entries() if not entry.shipped]
    assert (entry.card["accuracy"] is None) == (mode not in FROM_MEMORY)
    for look in insight.VIEWS:
        app = open_page("transfer", run=run_id, understand=look, photos="Sample faces")
        assert errors(app) == [], look
        assert [metric.label for metric in app.metric if "accuracy" in metric.label] == (
            ["validation accuracy"] if mode in FROM_MEMORY else [])
    assert errors(open_page("models", model="tints")) == []


def test_features_of_a_photo_that_is_deleted_meanwhile_are_said_to_be_gone(playground_home: Path) -> None:
    store, digests = FeatureStore({"backbone": "none"}), [bytes([k]) * 32 for k in range(4)]
    store.add(digests, np.arange(4, dtype=np.float32)[:, None])
    forget({digests[1][:16]})
    assert store.take([digests[3], digests[0]]).tolist() == [[3.0], [0.0]], "the others were written to another file"
    again = FeatureStore({"backbone": "none"})
    forget({digests[2][:16]})
    with pytest.raises(PlaygroundError, match=r"^1 photo was deleted while the training read them"):
        again.take([digests[0], digests[2]])
