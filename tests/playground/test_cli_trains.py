"""The command line trains, stops, verifies and predicts, in processes of its own as a person calls it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground import __main__ as cli
from playground.training.runs import runs
from tests.playground.test_cli import environment, run
from tests.waiting import HOPE_SECONDS


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A home with one model that the command line trained, and what the command said."""
    home = tmp_path_factory.mktemp("home")
    return home, run("train", "--data", "digits", "--epochs", "2", "--seed", "3", "--name", "mine", "--json", home=home)


@pytest.mark.slow
def test_train_says_on_stdout_what_came_out_and_on_stderr_what_happened(
        trained: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    home, said = trained
    assert said.returncode == 0, said.stderr
    result = json.loads(said.stdout)
    assert result["name"] == "mine"
    assert Path(result["model"]) == home / "exports" / "mine" / "model.onnx"
    assert Path(result["model"]).is_file()
    assert (result["reason"], result["epochs"], result["test_count"]) == ("completed", 2, 355)
    assert 0.5 < result["test_accuracy"] <= 1
    assert 0.5 < result["validation_accuracy"] <= 1
    assert 0 <= result["max_difference"] < 1e-3
    assert result["compared"] >= 32
    assert "epoch 2/2" in said.stderr
    assert "\033" not in said.stderr  # not a terminal


@pytest.mark.slow
def test_a_run_of_the_command_line_is_a_run_like_any_other(
        trained: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    home, said = trained
    monkeypatch.setenv("PLAYGROUND_HOME", str(home))
    view = runs.view(json.loads(said.stdout)["run"])
    assert view.state == "completed"
    assert view.spec == runs.RunSpec("digits", {"data": "digits", "epochs": 2}, 3, "mine")
    assert len(view.epochs) == 2


@pytest.mark.slow
def test_a_name_that_is_taken_is_refused_before_anything_is_trained(
        trained: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    home, _ = trained
    monkeypatch.setenv("PLAYGROUND_HOME", str(home))
    before = runs.run_ids()
    for command in ("train", "transfer"):
        assert cli.main([command, "--name", "mine"]) == 2
        err = capsys.readouterr().err
        assert "mine" in err
        assert "--replace" in err
    assert runs.run_ids() == before


@pytest.mark.slow
def test_verify_finds_the_model_as_it_was_exported_and_notices_a_changed_one(
        trained: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    home, _ = trained
    said = run("verify", "mine", "--json", home=home)
    assert said.returncode == 0, said.stderr
    result = json.loads(said.stdout)
    assert result["ok"] is True
    assert all(check["ok"] for check in result["checks"])
    assert len(result["checks"]) >= 4
    report = result["report"]
    assert report["pictures"] == {"count": 16, "what": "of its own data, as raw as they are"}
    assert [one["by"] for one in report["through"] if one["milliseconds"] > 0] == ["source", "onnxruntime", "engine"]
    assert report["layers"]["parted"] is None

    folder = tmp_path / "changed"
    folder.mkdir()
    for path in (home / "exports" / "mine").iterdir():
        data = bytearray(path.read_bytes())
        if path.suffix == ".onnx":
            data[len(data) // 2] ^= 0x40
        (folder / path.name).write_bytes(data)
    changed = run("verify", str(folder), "--json", home=home)
    assert changed.returncode == 1
    assert json.loads(changed.stdout)["ok"] is False
    assert changed.stderr.count("\n") == 1


@pytest.mark.slow
def test_ctrl_c_stops_the_run_and_keeps_what_it_has_learnt(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "playground", "train", "--epochs", "5000", "--name", "long", "--json"], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment(tmp_path),
        # A suite started in the background inherits an ignored Ctrl-C; a person's shell does not pass one on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch 1/"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=HOPE_SECONDS)
    assert process.returncode == 0, err
    result = json.loads(out)
    assert result["reason"] == "stopped"
    assert 1 <= result["epochs"] < 5000
    assert Path(result["model"]).is_file()


@pytest.mark.slow
def test_predict_names_the_digit_on_a_picture(
        trained: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    from playground.datasets import named
    home, _ = trained
    _, test = named.load("digits")
    paths = []
    for index in range(20):
        paths.append(str(tmp_path / f"{index} ä.png"))
        Image.fromarray(test.images[index]).resize((64, 64), Image.Resampling.NEAREST).save(paths[-1])
    said = run("predict", "mine", *paths, "--top", "2", "--json", home=home)
    assert said.returncode == 0, said.stderr
    result = json.loads(said.stdout)
    assert [one["image"] for one in result["predictions"]] == paths
    right = sum(one["top"][0]["label"] == str(label)
                for one, label in zip(result["predictions"], test.labels, strict=False))
    assert right >= 15
    for one in result["predictions"]:
        first, second = (entry["probability"] for entry in one["top"])
        assert 1 >= first >= second >= 0

    plain = run("predict", "mine", paths[0], home=home)
    assert plain.returncode == 0
    assert plain.stdout.splitlines()[0] == paths[0]
    assert len(plain.stdout.splitlines()) == 4


@pytest.mark.slow
def test_predict_names_the_file_that_is_no_picture(
        trained: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    home, _ = trained
    (tmp_path / "letter.txt").write_text("Dear network,")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "fine.png")
    for bad in ("letter.txt", "missing.png"):
        said = run("predict", "mine", str(tmp_path / "fine.png"), str(tmp_path / bad), "--json", home=home)
        assert said.returncode == 1
        assert bad in said.stderr
        assert said.stderr.count("\n") == 1
        assert ["error" in one for one in json.loads(said.stdout)["predictions"]] == [False, True]


@pytest.mark.slow
def test_transfer_learns_faces_and_its_model_answers_elsewhere(tmp_path: Path) -> None:
    said = run("transfer", "--data", "faces", "--epochs", "5", "--name", "faces", "--json", home=tmp_path)
    assert said.returncode == 0, said.stderr
    result = json.loads(said.stdout)
    assert result["validation_accuracy"] > 0.9
    assert result["validation_count"] >= 20
    assert result["max_difference"] < 0.1
    assert "computing features" in said.stderr
    pictures = [str(sorted((tmp_path / "data" / "faces").rglob(f"{kind}/*.png"))[0]) for kind in ("faces", "non-faces")]
    answers = json.loads(run("predict", result["model"], *pictures, "--top", "1", "--json", home=tmp_path).stdout)
    assert [one["top"][0]["label"] for one in answers["predictions"]] == ["faces", "non-faces"]
    assert run("verify", "faces", home=tmp_path).returncode == 0


@pytest.mark.slow
def test_transfer_says_in_one_sentence_what_is_wrong_with_a_request(tmp_path: Path) -> None:
    (tmp_path / "photos" / "only").mkdir(parents=True)
    for more, says in ((["--data", "photos"], "photos"), (["--backbone", "alexnet"], "alexnet")):
        said = run("transfer", *more, "--name", "a", "--json", home=tmp_path)
        assert said.returncode == 2
        assert says in said.stderr.splitlines()[-1]
        assert "Traceback" not in said.stderr
        assert json.loads(said.stdout) == {"error": said.stderr.splitlines()[-1]}
