"""The operator says which folders of the server a page may look at; nothing leads out of them."""

import os
from pathlib import Path

import pytest
from PIL import Image

from playground.datasets import allowed
from playground.errors import PlaygroundError


def fill(top: Path) -> Path:
    for name in ("a", "b"):
        (top / name).mkdir(parents=True)
        Image.new("L", (4, 4)).save(top / name / "1.png")
    return top


def test_only_folders_the_operator_names_are_offered(playground_home: Path, tmp_path_factory: pytest.TempPathFactory,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    fill(playground_home / "data" / "pets")
    for hidden in ("faces", "uploads/0123", "sets/0123", "opened/0123", ".cache"):
        fill(playground_home / "data" / hidden)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    fill(elsewhere / "birds")
    monkeypatch.delenv(allowed.VARIABLE, raising=False)
    assert list(allowed.folders_offered()) == ["pets"]
    with pytest.raises(PlaygroundError, match="operator"):
        allowed.demand_inside(elsewhere / "birds")
    monkeypatch.setenv(allowed.VARIABLE, os.pathsep.join(["", "relative", "/nowhere", str(elsewhere)]))
    assert list(allowed.folders_offered()) == ["pets", f"{elsewhere.name}/birds"]
    assert allowed.demand_inside(elsewhere / "birds") == elsewhere / "birds"
    monkeypatch.setenv(allowed.VARIABLE, str(elsewhere / "birds"))
    assert list(allowed.folders_offered()) == ["pets", "birds"]
    for path in (elsewhere, elsewhere / "birds" / "..", Path("/"), Path("/etc")):
        with pytest.raises(PlaygroundError, match="operator"):
            allowed.demand_inside(path)


def test_links_that_lead_out_are_refused(playground_home: Path, tmp_path_factory: pytest.TempPathFactory,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(allowed.VARIABLE, raising=False)
    secret = fill(tmp_path_factory.mktemp("secret") / "photos")
    data = playground_home / "data"
    pets = fill(data / "pets")
    (data / "linked").symlink_to(secret)
    assert list(allowed.folders_offered()) == ["pets"]
    (pets / "a" / "2.png").symlink_to(pets / "a" / "1.png")  # stays inside
    assert allowed.demand_inside(pets) == pets
    for link, target in ((pets / "a" / "3.png", secret / "a" / "1.png"), (pets / "c", secret / "a")):
        link.symlink_to(target)
        with pytest.raises(PlaygroundError, match="leads out"):
            allowed.demand_inside(pets)
        link.unlink()
    monkeypatch.setenv(allowed.VARIABLE, str(secret))
    assert "linked" in allowed.folders_offered()
