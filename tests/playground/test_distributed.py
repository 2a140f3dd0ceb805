"""Two processes come to the parameters that one comes to, and the first of them writes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from playground.errors import PlaygroundError
from playground.home import REPOSITORY
from playground.training.runs import runs
from playground.training.runs.events import Exported, Finished, Saved, Stage, Started, to_json
from playground.training.runs.log import read
from playground.training.runs.runs import RunSpec
from playground.training.transfer import backbones
from playground.training.transfer import features as torch_features
from playground.training.transfer import fit as torch_fit
from playground.training.transfer.distributed import going_on, main

pytestmark = pytest.mark.slow
REQUEST = {"mode": "fine-tune", "image_size": 32, "blocks": 1, "epochs": 2, "batch_size": 7, "head_epochs": 1,
           "augment": {"mirror": 0.5, "crop": 0.3, "mixup": 0.4}}
"""Eight pictures to train on: the second mini-batch is one picture, and has nothing for the second process."""

WITHOUT_EXPORT = """
import os, sys, torch
from playground import jobs
from playground.training.transfer import distributed, fit as torch_fit
from playground.training.transfer.networks import Tail

forward = Tail.forward

def full(self, x):
    if self.training and len(x) > 2 and os.environ["RANK"] == "1":
        raise torch.OutOfMemoryError("planted")
    return forward(self, x)

Tail.forward = full
jobs.events = torch_fit.fit
sys.exit(distributed.main(sys.argv[1:]))
"""


@pytest.fixture
def colours(playground_home: Path) -> Path:
    top, rng = playground_home / "colours", np.random.default_rng(0)
    for name, colour in (("blue", (40, 60, 220)), ("red", (220, 50, 40))):
        (top / name).mkdir(parents=True)
        for k in range(5):
            noise = np.clip(colour + rng.normal(0, 40, (36, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noise).save(top / name / f"{k}.png")
    return top


def torchrun(spec: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """The training on two processes, started by torchrun itself, without the export; the second has little memory."""
    program = spec.with_name("without_export.py")
    program.write_text(WITHOUT_EXPORT)
    return subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", program, spec],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "PLAYGROUND_HOME": str(home), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=900, check=False)


def test_two_processes_come_to_the_parameters_of_one(colours: Path, playground_home: Path, tmp_path: Path) -> None:
    """Though the last mini-batch is too small to share and one of them runs out of memory."""
    spec = {"kind": "transfer", "request": {"data": str(colours), **REQUEST}, "seed": 3, "name": "together"}
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    alone = tmp_path / "alone"
    alone.mkdir()
    with torch_features.one_core():  # as the two: the order of sums is the number of threads', too
        for _ in torch_fit.fit(RunSpec(**spec), alone, lambda: False):  # type: ignore[arg-type]
            pass
    done = torchrun(tmp_path / "spec.json", playground_home)
    assert done.returncode == 0, done.stderr
    (run_id,) = runs.run_ids()
    view = runs.view(run_id)
    assert [epoch.epoch for epoch in view.epochs] == [1, 2]  # told once, by the first process
    events, _ = read(runs.run_dir(run_id) / "events.jsonl")
    said = [event.text for event in events if isinstance(event, Stage) and "memory is full" in event.text]
    assert len(said) == 1
    assert "in parts of 2 from now on" in said[0]
    assert view.finished is not None
    assert view.finished.test_count == 2
    one = load_file(alone / "trained.safetensors")
    two = load_file(runs.run_dir(run_id) / "trained.safetensors")
    assert one.keys() == two.keys()
    apart = {name: (one[name].double() - two[name].double()).abs().max().item() for name in one}
    assert max(apart.values()) <= 1e-5, apart
    start = backbones.pretrained("efficientnet_lite0").head
    assert (one["units.0.conv.weight"] - start.conv.weight).abs().max() > 1e-4  # something was learnt
    assert (one["units.0.norm.weight"] - start.norm.weight).abs().max() > 1e-4


@pytest.mark.parametrize(("content", "sentence"), [
    (None, "is no run's spec"),
    ({"kind": "digits", "request": {}, "seed": 0, "name": "x"}, "fine-tune or scratch mode"),
    ({"kind": "transfer", "request": {"data": "faces"}, "seed": 0, "name": "x"}, "fine-tune or scratch mode"),
])
def test_what_is_no_shared_training_is_refused(content: Any, sentence: str, tmp_path: Path,
                                               capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.json").write_text("{" if content is None else json.dumps(content))
    assert main([str(tmp_path / "spec.json")]) == 2
    assert sentence in capsys.readouterr().err
    assert not torch.distributed.is_initialized()


def test_the_spec_of_a_killed_run_lets_that_run_go_on(playground_home: Path) -> None:
    folder = runs.new_folder()
    runs.write_spec(folder, RunSpec("transfer", {"data": "faces", "mode": "scratch"}, 0, "x"), "cpu")
    log = [Started("transfer", 2, 2, 5, ("a", "b"), {"train": 8}, "cpu", 1.0), Saved("w", 1, 2.0)]
    (folder / "events.jsonl").write_text("".join(to_json(event) + "\n" for event in log))
    assert going_on(folder / "spec.json") == folder.name
    assert going_on(playground_home / "spec.json") is None
    ended = [*log, Finished("completed", 2, None, 0, 1.0, (), 3.0), Exported("x", "p", 0.0, 1, 4.0)]
    (folder / "events.jsonl").write_text("".join(to_json(event) + "\n" for event in ended))
    with pytest.raises(PlaygroundError, match="this one is completed"):
        going_on(folder / "spec.json")
