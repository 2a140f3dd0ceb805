"""The command `network`: what it says of a design is what a training of it would say."""

import json

import pytest

from playground.commands import run as cli
from playground.network.presets import PRESETS
from playground.training.scratch import numpy_fit


def test_without_a_network_the_presets_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["network"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(PRESETS)
    assert cli.main(["network", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lenet5"]["title"] == "LeNet-5"
    assert [name for name, one in told.items() if one["sick"]] == [name for name, one in PRESETS.items() if one.sick]


@pytest.mark.parametrize("command", [["network"], ["train", "--name", "a", "--network"]], ids=lambda one: one[0])
def test_a_name_that_is_no_preset_gets_the_names_there_are(
        command: list[str], playground_home: object, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("lenet", "ten-sigmoid"):
        assert cli.main([*command, name]) == 2
        assert ", ".join(PRESETS) in capsys.readouterr().err
    assert cli.main([*command, "c8-x3"]) == 2
    assert "lenet5" not in capsys.readouterr().err, "a spelling with a slip is no name"


def test_a_design_too_large_for_the_memory_is_said_to_be(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(numpy_fit, "memory", lambda: 2**27)
    said = {}
    for batch in (32, 256):
        assert cli.main(["network", "c64-r-g-d10", "--json", "--batch-size", str(batch)]) == 0
        said[batch] = [one["sentence"] for one in json.loads(capsys.readouterr().out)["faults"]
                       if one["level"] == "stop"]
    assert said[32] == []
    assert "batches of 256" in said[256][0]
