"""Predict answers every picture it can read, and says of each other one why it cannot."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground import __main__ as cli
from tests.pages.on_a_page import put_model


@pytest.fixture
def pictures(playground_home: Path, tmp_path: Path) -> list[str]:
    """A model, and of its pictures the first and the last can be read."""
    put_model("light")
    for name, gray in (("a.png", 0), ("d.png", 255)):
        Image.fromarray(np.full((9, 9, 3), gray, np.uint8)).save(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:45])
    (tmp_path / "c.txt").write_text("Dear network,")
    return [str(tmp_path / name) for name in ("a.png", "b.png", "c.txt", "missing.png", "d.png")]


def test_a_damaged_picture_costs_no_other_its_answer(
        pictures: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "light", *pictures, "--top", "1"]) == 1
    out, err = capfd.readouterr()
    assert out.splitlines() == [pictures[0], "  100.00%  dark", pictures[-1], "  100.00%  bright"]
    assert [name for line in err.splitlines() for name in ("b.png", "c.txt", "missing.png") if name in line] == [
        "b.png", "c.txt", "missing.png"]
    assert err.count("\n") == 3

    assert cli.main(["predict", "light", *pictures, "--top", "1", "--json"]) == 1
    out, err = capfd.readouterr()
    said = json.loads(out)
    assert said.keys() == {"model", "predictions"}
    assert [one["image"] for one in said["predictions"]] == pictures
    assert [one["top"][0]["label"] if "top" in one else "" for one in said["predictions"]] == [
        "dark", "", "", "", "bright"]
    assert [one["error"] for one in said["predictions"] if "error" in one] == err.splitlines()


def test_where_none_can_be_read_there_is_no_answer(pictures: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", "light", pictures[1], pictures[3], "--json"]) == 2
    out, err = capfd.readouterr()
    said = json.loads(out)
    assert said["error"] == err.splitlines()[0]
    assert [one["error"] for one in said["predictions"]] == err.splitlines()
    assert cli.main(["predict", "light", pictures[1]]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
