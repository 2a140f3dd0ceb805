"""What is wrong with the photographs of a run is said where it is followed, on the command line too."""

from pathlib import Path

import pytest
from PIL import Image

from playground import __main__ as cli
from playground.datasets import folders, named
from playground.datasets.small_photos import named_photos
from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.training.runs.events import Failed, Started
from playground.training.runs.log import EventLog
from playground.training.runs.runs import RunSpec
from playground.training.scratch import timing
from playground.training.transfer import photo_list
from playground.training.transfer.feature_store import content_digest


def kept(run: Path, folder: Path) -> Path:
    found = folders.scan(folder, seed=0)
    run.mkdir(parents=True, exist_ok=True)
    photo_list.keep(run, found, {path: content_digest(path) for path, _ in (*found.train, *found.validation)})
    return run


def fill(folder: Path, **grays: tuple[int, ...]) -> Path:
    for name, levels in grays.items():
        for k, gray in enumerate(levels):
            path = folder / name.replace("__", "/") / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (5, 4), gray).save(path)
    return folder


def test_photos_without_a_fault_are_not_spoken_of(tmp_path: Path) -> None:
    assert photo_list.remarks(kept(tmp_path / "run", fill(tmp_path / "photos", a=(1, 2, 3), b=(4, 5, 6)))) == []
    assert photo_list.remarks(tmp_path) == []


def test_the_same_photo_in_two_classes_in_both_halves_and_a_class_never_checked_are_said(tmp_path: Path) -> None:
    folder = fill(tmp_path / "photos", train__a=(1, 2, 9), train__b=(3, 9), train__c=(5, 6), test__a=(1,), test__b=(7,))
    twice, again, unchecked = photo_list.remarks(kept(tmp_path / "run", folder))
    assert twice == "1 photo is in two classes, the very same file (a and b): one of them is wrong."
    assert again.startswith("1 photo kept aside is among those trained on, too")
    assert unchecked == "No photo of c is kept aside: what the model makes of it is never checked."


def test_the_command_line_says_so(
    playground_home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = fill(tmp_path_factory.mktemp("photos"), a=(1, 2, 9), b=(3, 9, 4), c=(5,))

    def start(spec: RunSpec) -> str:
        run = runs.new_folder()
        runs.write_spec(run, spec, "cpu")
        kept(run, photos)
        log = EventLog(run / "events.jsonl")
        log.append(Started("transfer", 1, 1, 4, ("a", "b", "c"), {"train": 5, "validation": 2}, "cpu", 0.0))
        log.append(Failed("enough of it.", "", 0.0))
        log.close()
        return run.name

    monkeypatch.setattr(runs, "start", start)
    assert cli.main(["transfer", "--data", str(photos), "--name", "pets", "--epochs", "1"]) == 2
    told = capsys.readouterr().err
    assert "in two classes, the very same file (a and b)" in told
    assert "No photo of c is kept aside" in told


def test_training_from_scratch_says_the_same_and_which_files_it_leaves_out(
    playground_home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photos = fill(tmp_path_factory.mktemp("photos"), a=(1, 2, 9), b=(3, 9, 4), c=(5,))
    (photos / "a" / "cut.png").write_bytes((photos / "a" / "0.png").read_bytes()[:-25])
    (photos / "a" / "cut\x1b[2J.png").touch()

    def enough(_: RunSpec) -> str:
        raise PlaygroundError("Enough of it.")

    monkeypatch.setattr(runs, "start", enough)
    data = named_photos(photos, 32)
    assert cli.main(["train", "--data", data, "--name", "pets", "--epochs", "1", "--network", "f-d3"]) == 2
    told = capsys.readouterr().err
    assert "2 files were left out: cut?[2J.png is an empty file; cut.png is damaged" in told
    assert "\x1b" not in told
    assert "in two classes, the very same file (a and b)" in told
    assert "No photo of c is kept aside" in told
    broken = runs.new_folder()
    runs.write_spec(broken, RunSpec("digits", {"data": data, "epochs": 1, "network": "f-d3"}, 0, "pets"), "cpu")
    monkeypatch.setattr(runs, "resume", lambda *_: EventLog(broken / "events.jsonl").append(Failed("Enough.", "", 0.0)))
    assert cli.main(["resume", broken.name]) == 2
    again = capsys.readouterr().err
    assert "No photo of c is kept aside" in again
    assert "\x1b" not in again
    assert named.load(named_photos(fill(photos.with_name("right"), a=(1, 2, 3), b=(4, 5, 6)), 32))[0].remarks == ()


def test_training_tells_of_minutes_an_epoch_before_it_begins(
    playground_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[dict[str, object]] = []

    def lasting(network: object, takes: object, classes: int, pictures: int, settings: dict[str, object]) -> float:
        asked.append(settings)
        return 754.0

    def enough(_: RunSpec) -> str:
        raise PlaygroundError("Enough of it.")

    monkeypatch.setattr(timing, "seconds_an_epoch", lasting)
    monkeypatch.setattr(runs, "start", enough)
    command = ["train", "--network", "c8-r-c8-r-g-d10", "--name", "long", "--epochs", "1", "--batch-size", "16"]
    assert cli.main(command) == 2
    told = capsys.readouterr().err
    assert "An epoch takes about 13 min on this machine" in told
    assert told.index("An epoch takes") < told.index("Enough of it.")
    assert asked == [{"batch_size": 16}]
    monkeypatch.setattr(timing, "seconds_an_epoch", lambda *_: 3.0)
    assert cli.main(command) == 2
    assert "An epoch takes" not in capsys.readouterr().err
