"""The pretrained network reaches the registry with its answers proved, and knows a cat."""

from pathlib import Path

import pytest

from playground import jobs
from playground.datasets import samples
from playground.deploy import registry
from playground.deploy.session import Classifier
from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.training.runs.events import Exported
from playground.training.runs.runs import PRETRAINED, RunSpec


@pytest.mark.slow
@pytest.mark.usefixtures("without_shipped")
def test_it_is_exported_compared_and_names_the_cat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path))
    spec = RunSpec(PRETRAINED, {"backbone": "efficientnet_lite0"}, 0, "imagenet")
    folder = tmp_path / "run"
    folder.mkdir()
    runs.write_spec(folder, spec, "cpu")
    *_, last = jobs.events(spec, folder, bool)
    assert isinstance(last, Exported)
    (entry,) = registry.entries()
    assert entry.card["task"] == PRETRAINED
    assert entry.card["parity"]["same_top"] == entry.card["parity"]["samples"]
    said = Classifier(entry.onnx).predict([samples.photo("cat")])[0]
    assert len(said.labels) == 1000
    assert {name for name, _ in said.top(3)} == {"Egyptian cat", "tiger cat", "tabby"}


def test_another_backbone_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path))
    with pytest.raises(PlaygroundError, match="no backbone 'vgg'"):
        list(jobs.events(RunSpec(PRETRAINED, {"backbone": "vgg"}, 0, "x"), tmp_path, bool))
