"""Fine-tuning and training from scratch survive a kill and a stop, and refuse a checkpoint that is not theirs."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from playground.errors import PlaygroundError
from playground.home import REPOSITORY
from playground.training.runs import runs
from playground.training.runs.events import (
    Batch,
    Epoch,
    Event,
    Exported,
    Failed,
    Finished,
    Resumed,
    Saved,
    Started,
    to_json,
)
from playground.training.runs.runs import RunSpec
from playground.training.transfer import tune as torch_tune
from playground.training.transfer.fit import fit, load_trained
from tests.playground.test_torch_tune import (
    AUGMENT,
    SCRATCH,
    TUNE,
    coloured,
    never,
    of_kind,
    run,
    same,
    spec_of,
    weights,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("home_of_the_file")]


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return coloured(tmp_path_factory.mktemp("colours"))


def broken_off(colours: Path, folder: Path) -> RunSpec:
    """A fine-tuning that was broken off when it had kept what is learnt for the first time."""
    spec = spec_of(colours, TUNE, epochs=2)
    folder.mkdir()
    next(event for event in fit(spec, folder, never) if isinstance(event, Saved))
    return spec


KILLED = """
import sys
from pathlib import Path
from playground.training.transfer import fit as torch_fit
from playground.training.runs import runs
from playground.training.runs.log import EventLog

folder = Path(sys.argv[1])
log = EventLog(folder / "events.jsonl")
for event in torch_fit.fit(runs.read_spec(folder), folder, lambda: False):
    log.append(event)
    print(type(event).__name__, flush=True)
"""


def test_a_killed_run_goes_on_to_the_very_weights_of_one_that_was_not(colours: Path, tmp_path: Path) -> None:
    spec = spec_of(colours, SCRATCH, augment=AUGMENT, epochs=4, ema=0.9, dropout=0.3)
    run(spec, tmp_path / "whole")
    folder = tmp_path / "killed"
    folder.mkdir()
    runs.write_spec(folder, spec, "cpu")
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(folder)], stdout=subprocess.PIPE, text=True,
                          env=environment) as process:
        assert process.stdout is not None
        saved = 0
        for line in process.stdout:
            saved += line.strip() == "Saved"
            if saved == 2:
                os.kill(process.pid, signal.SIGKILL)
                break
    again = run(spec, folder)
    assert 2 <= len([e for e in of_kind(again, Epoch) if e.epoch <= 3]) <= 3
    assert [epoch.epoch for epoch in of_kind(again, Epoch)] == [1, 2, 3, 4]
    assert same(weights(tmp_path / "whole"), weights(folder))


@pytest.mark.parametrize("after", [1, 3])
def test_broken_off_anywhere_it_goes_on_the_same(after: int, colours: Path, tmp_path: Path,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_tune, "CHECKPOINT_SECONDS", 0.0)  # after every mini-batch
    monkeypatch.setattr(torch_tune, "BATCH_PAUSE_SECONDS", 0.0)
    spec = spec_of(colours, SCRATCH, dropout=0.2, patience=5)
    whole = run(spec, tmp_path / "whole")
    (tmp_path / "broken").mkdir()
    events, batches = fit(spec, tmp_path / "broken", never), 0
    for event in events:
        batches += isinstance(event, Batch)
        if batches == after:
            next(events)  # what is done after the batch
            break
    events.close()  # type: ignore[attr-defined]
    again = run(spec, tmp_path / "broken")
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))
    mine, theirs = of_kind(again, Epoch), of_kind(whole, Epoch)
    assert [(e.epoch, e.train_loss, e.validation_loss) for e in mine] == [
        (e.epoch, e.train_loss, e.validation_loss) for e in theirs]
    assert of_kind(again, Finished)[0].confusion == of_kind(whole, Finished)[0].confusion


def test_a_run_that_had_only_to_end_ends(colours: Path, tmp_path: Path) -> None:
    spec = spec_of(colours, TUNE)
    first = run(spec, tmp_path)
    again = run(spec, tmp_path)
    assert of_kind(again, Finished)[0].confusion == of_kind(first, Finished)[0].confusion
    assert not of_kind(again, Batch)


def test_a_damaged_checkpoint_is_said_to_be(colours: Path, tmp_path: Path) -> None:
    (tmp_path / torch_tune.CHECKPOINT).write_bytes(b"no tensors")
    with pytest.raises(PlaygroundError, match="checkpoint of this run is damaged"):
        run(spec_of(colours, TUNE), tmp_path)


def test_a_checkpoint_with_nan_in_it_is_not_blamed_on_the_learning_rate(colours: Path, tmp_path: Path) -> None:
    spec = broken_off(colours, tmp_path / "run")
    path = tmp_path / "run" / torch_tune.CHECKPOINT
    with safe_open(path, "pt") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    spoilt = next(name for name, value in tensors.items() if name.startswith("tail.") and value.is_floating_point())
    save_file({**tensors, spoilt: torch.full_like(tensors[spoilt], float("nan"))}, path, metadata)
    with pytest.raises(PlaygroundError, match="Not everything in the checkpoint of this run is a number"):
        list(fit(spec, tmp_path / "run", lambda: False))


def test_a_training_does_not_go_on_with_pictures_that_are_scaled_otherwise(colours: Path, tmp_path: Path) -> None:
    spec = broken_off(colours, tmp_path / "run")
    path = tmp_path / "run" / torch_tune.DESCRIPTION
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "preprocessing": {**said["preprocessing"], "mean": [0.485, 0.456, 0.406]}}))
    with pytest.raises(PlaygroundError, match="pictures were scaled otherwise"):
        list(fit(spec, tmp_path / "run", lambda: False))


def test_a_stop_keeps_what_was_learnt(colours: Path, tmp_path: Path) -> None:
    seen: list[Event] = []
    (tmp_path / "run").mkdir()
    for event in fit(spec_of(colours, TUNE, epochs=50), tmp_path / "run", lambda: len(of_kind(seen, Epoch)) >= 1):
        seen.append(event)
    finished = seen[-1]
    assert isinstance(finished, Finished)
    assert (finished.reason, finished.epochs) == ("stopped", 1)
    load_trained(tmp_path / "run")
    with pytest.raises(PlaygroundError, match="before anything was learnt"):
        run(spec_of(colours, TUNE), tmp_path / "never", lambda: True)

def test_a_lost_run_is_taken_up_again_and_others_are_not(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = runs.new_folder()
    runs.write_spec(folder, spec_of(colours, TUNE), "cpu")
    (folder / "worker").touch()
    started = Started("transfer", 2, 2, 5, ("a", "b"), {"train": 8}, "cpu", 1.0)
    epochs = [Epoch(k, 0.5, 0.5, 0.5, 0.5, 1.0, 2.0 + k) for k in (1, 2)]
    log = [started, epochs[0], Resumed(2.5), started, epochs[0], epochs[1]]
    (folder / "events.jsonl").write_text("".join(to_json(event) + "\n" for event in log))
    assert runs.view(folder.name).state == "lost"
    assert [epoch.epoch for epoch in runs.view(folder.name).epochs] == [1, 2]  # the newer worker told the first again
    asked = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: asked.append(command) or SimpleNamespace(
        pid=7, wait=lambda: None))
    (folder / "stop").touch()
    runs.resume(folder.name)
    assert asked[0][-1] == str(folder)
    assert not (folder / "stop").exists()
    assert (folder / "worker").read_text() == "7"
    view = runs.view(folder.name)
    assert (view.state, [epoch.epoch for epoch in view.epochs]) == ("lost", [1, 2])  # until others are learnt
    for event in (Failed("it failed", "", 9.0), started, epochs[0]):
        with open(folder / "events.jsonl", "a") as file:
            file.write(to_json(event) + "\n")
    assert runs.view(folder.name).state == "failed"
    runs.resume(folder.name)
    assert len(asked) == 2
    finished = Finished("completed", 2, None, 0, 1.0, (), 9.0)
    with open(folder / "events.jsonl", "a") as file:
        file.write("".join(to_json(event) + "\n" for event in (finished, Exported("n", "p", 0.0, 1, 9.0))))
    with pytest.raises(PlaygroundError, match="died or failed can go on, this one is completed"):
        runs.resume(folder.name)
