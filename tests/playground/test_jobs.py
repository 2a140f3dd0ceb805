"""From a request to a model in the registry, in one worker: what is said, what is kept, when nothing is put."""

import contextlib
import json
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from playground import jobs
from playground.datasets import named
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import package, registry, session
from playground.errors import PlaygroundError
from playground.network import presets
from playground.network.build import build_torch
from playground.training.runs import runs, worker
from playground.training.runs.events import Epoch, Event, Exported, Failed, Finished, Resumed, Saved, Stage, Started
from playground.training.runs.log import EventLog, read
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data(tmp_path: Path) -> str:
    """A folder of IDX files: 40 and 40 pictures of 8 x 6 pixels in two classes, dark and bright."""
    folder = tmp_path / "light"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for prefix in ("train", "t10k"):
        labels = np.arange(40, dtype=np.uint8) % 2
        images = (rng.integers(0, 90, (40, 8, 6)) + 150 * labels[:, None, None]).astype(np.uint8)
        for what, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape)
            (folder / f"{prefix}-{what}-ubyte").write_bytes(header + array.tobytes())
    return str(folder)


@pytest.fixture
def asked(data: str, playground_home: Path) -> RunSpec:
    return RunSpec("digits", {"data": data, "epochs": 4, "batch_size": 8}, 1, "light")


@pytest.fixture
def run_dir(asked: RunSpec, playground_home: Path) -> Path:
    folder = playground_home / "run"
    folder.mkdir()
    runs.write_spec(folder, asked, "cpu")
    return folder


def never() -> bool:
    return False


@pytest.mark.parametrize(("data", "said"), [
    ("uploads/0123456789abcdef", "an uploaded zip"), ("sets/.versions/0123456789abcdef0123456789abcdef", "an own set"),
    ("sets/0123456789abcdef0123456789abcdef", "an own set"), ("cats_vs_dogs", "data/cats_vs_dogs"),
])
def test_a_card_never_holds_the_key_to_somebodys_photos(data: str, said: str, playground_home: Path) -> None:
    assert jobs.public_name(str(playground_home / "data" / data)) == said
    assert jobs.public_name("digits") == "digits"


def test_a_run_ends_with_its_model_in_the_registry(asked: RunSpec, run_dir: Path) -> None:
    events = list(jobs.events(asked, run_dir, never))
    assert [type(event) for event in events if not isinstance(event, Epoch | Saved)][-3:] == [Finished, Stage, Exported]
    assert isinstance(events[0], Started)
    exported = events[-1]
    assert isinstance(exported, Exported)
    entry = registry.get("light")
    assert isinstance(entry, registry.Entry)
    assert Path(exported.path) == entry.onnx
    assert exported.max_difference < 1e-3
    assert exported.samples >= jobs.COMPARED

    bright = np.full((300, 200, 3), 200, np.uint8)
    answers = session.Classifier(entry.onnx).predict([bright, bright // 8])
    assert [answer.top(1)[0][0] for answer in answers] == ["1", "0"]


def test_the_card_says_how_the_model_was_made(asked: RunSpec, run_dir: Path) -> None:
    finished = next(e for e in jobs.events(asked, run_dir, never) if isinstance(e, Finished))
    list(jobs.events(RunSpec(asked.kind, asked.request, asked.seed, "again"), run_dir, never))
    entry = registry.get("again")
    assert isinstance(entry, registry.Entry)
    card = entry.card
    assert card["task"] == "digits"
    assert card["training"]["request"] == asked.request | {"data": "light"}
    assert (card["training"]["seed"], card["training"]["epochs"], card["training"]["reason"]) == (1, 4, "completed")
    assert card["accuracy"] is not None
    assert (card["accuracy"]["value"], card["accuracy"]["count"]) == (finished.test_accuracy, 40)
    assert card["accuracy"]["split"] == "test"
    assert card["data"]["samples"] == {"train": 34, "validation": 6, "test": 40}
    assert card["data"]["name"] == "light"
    json.dumps(card, allow_nan=False)


def test_a_stopped_run_puts_what_it_has_learnt_into_the_registry(asked: RunSpec, run_dir: Path) -> None:
    calls = iter([False] * 6)
    events = list(jobs.events(asked, run_dir, lambda: next(calls, True)))
    assert isinstance(events[-1], Exported)
    assert any(isinstance(event, Finished) and event.reason == "stopped" for event in events)
    entry = registry.get("light")
    assert isinstance(entry, registry.Entry)
    assert entry.card["training"]["reason"] == "stopped"


def test_a_name_that_is_taken_is_refused_before_training_unless_it_may_be_replaced(
        asked: RunSpec, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    list(jobs.events(asked, run_dir, never))
    before = registry.get("light")
    with monkeypatch.context() as without_training:
        without_training.setattr(numpy_fit, "fit", lambda *_: pytest.fail("it trained"))
        for name, says in (("light", "already"), ("no/name", "cannot be called")):
            with pytest.raises(PlaygroundError, match=says):
                list(jobs.events(RunSpec("digits", asked.request, 1, name), run_dir.with_name("another"), never))
    list(jobs.events(RunSpec("digits", asked.request, 2, "light", replace=True), run_dir, never))
    after = registry.get("light")
    assert isinstance(before, registry.Entry)
    assert isinstance(after, registry.Entry)
    assert (before.card["training"]["seed"], after.card["training"]["seed"]) == (1, 2)


@pytest.mark.usefixtures("without_shipped")
def test_a_run_that_was_killed_after_its_export_goes_on_to_its_end(asked: RunSpec, run_dir: Path) -> None:
    first = list(jobs.events(asked, run_dir, never))[-1]  # nobody wrote it down: the worker was killed
    again = list(jobs.events(asked, run_dir, never))[-1]
    assert isinstance(first, Exported)
    assert isinstance(again, Exported)
    assert (again.name, again.path) == (first.name, first.path)
    assert [entry.card["training"]["run"] for entry in registry.entries()] == [run_dir.name]


def test_a_run_exported_twice_is_the_same_bytes_and_names_when_it_ended(asked: RunSpec, run_dir: Path) -> None:
    """The moment in the file is the run's, whenever it is exported; so is what goes home with it."""
    ended, found = 1_700_000_000.0, []
    with contextlib.closing(EventLog(run_dir / "events.jsonl")) as log:
        for event in jobs.events(asked, run_dir, never):
            log.append(replace(event, time=ended) if isinstance(event, Finished) else event)
            if isinstance(event, Finished):
                break  # the worker was killed before its export
        log.append(Resumed(ended + 1, finishing=True))
    for _ in range(2):
        list(jobs.events(asked, run_dir, never))
        entry = registry.find("light")
        assert isinstance(entry, registry.Entry)
        found.append((entry.onnx.read_bytes(), package.package(entry)))
    assert found[0] == found[1]
    assert entry.card["created"] == "2023-11-14T22:13:20+00:00"


class Brighter(Preprocessing):
    """A planted mistake: its Python does not do what its description, which is exported, says."""

    def apply(self, image: np.ndarray) -> np.ndarray:
        return super().apply(image) + np.float32(0.5)


@pytest.mark.usefixtures("without_shipped")
def test_a_model_that_onnxruntime_disagrees_with_does_not_reach_the_registry_but_is_kept(
        asked: RunSpec, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = numpy_fit.load_trained

    def planted(folder: Path) -> numpy_fit.TrainedNumpy:
        trained = honest(folder)
        p = trained.preprocessing
        return numpy_fit.TrainedNumpy(trained.model, Brighter(p.size, p.gray, p.mean, p.std), trained.classes)

    monkeypatch.setattr(numpy_fit, "load_trained", planted)
    assert worker.work(run_dir, jobs.events) == 1
    events, _ = read(run_dir / "events.jsonl")
    assert isinstance(events[-1], Failed)
    assert "does not give the model's own answers" in events[-1].message
    assert str(run_dir) in events[-1].message
    assert any(isinstance(event, Finished) for event in events)
    assert registry.entries() == []
    assert honest(run_dir).classes == ("0", "1")


def test_a_trainer_that_says_nothing_of_its_end_is_an_error(
        asked: RunSpec, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> Iterator[Event]:
        yield Saved("a", 1, 0.0)

    monkeypatch.setattr(numpy_fit, "fit", silent)
    with pytest.raises(RuntimeError, match="did not say"):
        list(jobs.events(asked, run_dir, never))


def test_the_pictures_an_export_is_checked_on_are_raw_rgb_and_spread_over_the_set(
        asked: RunSpec, run_dir: Path) -> None:
    pictures = jobs.own_pictures(asked, run_dir)
    assert len(pictures) == jobs.COMPARED
    assert all(picture.dtype == np.uint8 and picture.shape == (8, 6, 3) for picture in pictures)
    brightness = [picture.mean() > 120 for picture in pictures]
    assert 0.3 < np.mean(brightness) < 0.7


@pytest.mark.parametrize(("network", "more"), [
    ("slides", {}), ("c4-r-g-d1", {"label_smoothing": 0.1}), ("f-{d1-sg}", {"normalize": False}), ("f-d2-sm", {}),
    ("f-d2-sg", {}),
])
def test_the_file_answers_as_torch_does_whatever_the_network_ends_in(
        network: str, more: dict[str, object], asked: RunSpec, playground_home: Path) -> None:
    import torch

    folder = playground_home / "run"
    folder.mkdir()
    spec = replace(asked, request={**asked.request, "network": network, **more})
    assert isinstance(list(jobs.events(spec, folder, never))[-1], Exported)
    entry = registry.get("light")
    assert isinstance(entry, registry.Entry)
    assert registry.verify(entry).ok
    _, test = named.load(spec.request["data"])
    preprocessing = numpy_fit.load_trained(folder).preprocessing
    whole = presets.network_named(network, (1, 8, 6), 2)
    module = build_torch(whole, (1, 8, 6)).eval()  # with its last sigmoid
    module.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in
                            load_file(folder / numpy_fit.WEIGHTS).items()})
    with torch.no_grad():
        scores = module(torch.from_numpy(preprocessing.apply_all(test.images)))
    if scores.shape[1] == 1:
        yes = scores if whole.parts[-1].kind in ("sigmoid", "block") else torch.sigmoid(scores)
        wanted = torch.cat([1 - yes, yes], 1)
    else:
        wanted = torch.softmax(scores, 1)
    answers = session.Classifier(entry.onnx).predict([np.repeat(image[..., None], 3, 2) for image in test.images])
    np.testing.assert_allclose([answer.probabilities for answer in answers], wanted.numpy(), atol=2e-5)
    assert answers[0].probabilities.shape == (2,)
    assert entry.card["accuracy"] is not None
    assert entry.card["accuracy"]["value"] == float((wanted.argmax(1).numpy() == test.labels).mean())


@pytest.mark.parametrize("arguments", [[], ["/nowhere"], ["a", "b"]])
def test_the_worker_called_by_hand_says_what_it_is(arguments: list[str]) -> None:
    said = subprocess.run([sys.executable, "-m", "playground.jobs", *arguments], capture_output=True, text=True,
                          cwd=ROOT, timeout=900, check=False)
    assert said.returncode == 2
    assert said.stderr.count("\n") == 1
    assert "playground train" in said.stderr


def test_naming_the_worker_does_not_import_torch() -> None:
    code = ("import sys, playground.jobs, playground.training.runs.runs, playground.training.scratch.numpy_fit\n"
            "print([name for name in ('torch', 'onnx', 'onnxruntime', 'sklearn', 'streamlit') if name in sys.modules])")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert said.stdout.strip() == "[]"
