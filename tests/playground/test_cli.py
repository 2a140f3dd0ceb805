"""The command line: one sentence for every way to ask wrongly, one JSON object where one is asked for."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground import __main__ as cli
from playground.commands import serve, train
from playground.training.runs import runs
from playground.training.scratch.settings import INITS, OPTIMIZERS, SCHEDULES, Settings
from tests.waiting import HOPE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("app", "train", "transfer", "resume", "download", "predict", "verify", "inspect", "profile",
            "convert", "bench")


def environment(home: Path) -> dict[str, str]:
    """The tests' own, with another home, and the project found from anywhere."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PLAYGROUND_HOME": str(home), "PYTHONPATH": path}


def run(*arguments: str, home: Path, timeout: float = HOPE_SECONDS) -> subprocess.CompletedProcess[str]:
    """The command line as a person calls it."""
    return subprocess.run([sys.executable, "-m", "playground", *arguments], capture_output=True, text=True, cwd=home,
                          env=environment(home), timeout=timeout, check=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        cli.main([command, "--help"])
    assert raised.value.code == 0
    assert "--json" in capsys.readouterr().out


def test_help_names_every_command_and_imports_nothing_heavy(tmp_path: Path) -> None:
    code = ("import sys, playground.__main__ as m\ntry: m.main(['--help'])\nexcept SystemExit: pass\n"
            "print([n for n in ('numpy', 'torch', 'streamlit', 'onnxruntime', 'sklearn') if n in sys.modules])")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert all(command in said for command in COMMANDS)
    assert said.strip().endswith("[]")


WRONG = {
    "no command": ([], "required"),
    "an unknown command": (["fly"], "fly"),
    "an unknown option": (["train", "--name", "a", "--lr", "3"], "--lr"),
    "no name": (["train"], "--name"),
    "epochs that are no number": (["train", "--name", "a", "--epochs", "many"], "'many' is no whole number"),
    "no epochs": (["train", "--name", "a", "--epochs", "0"], "'0' is no whole number"),
    "a negative seed": (["train", "--name", "a", "--seed", "-1"], "'-1' is no whole number"),
    "a learning rate that is none": (["train", "--name", "a", "--learning-rate", "nan"], "'nan' is no number above 0"),
    "an optimizer that is none": (["train", "--name", "a", "--optimizer", "lion"], "adamw or rmsprop"),
    "a schedule that is none": (["train", "--name", "a", "--schedule", "cyclic"], "linear or warmup"),
    "first weights that are none": (["train", "--name", "a", "--init", "ones"], "normal or zeros"),
    "a weight decay that is too much": (["train", "--name", "a", "--weight-decay", "2"], "from 0 to 1"),
    "a weight decay that is no number": (["train", "--name", "a", "--weight-decay", "x"], "'x' is no number"),
    "all of a label smoothed": (["train", "--name", "a", "--label-smoothing", "1"], "below 1"),
    "a negative norm": (["train", "--name", "a", "--clip-norm", "-1"], "no clipping"),
    "a gain of nothing": (["train", "--name", "a", "--weights-gain", "0"], "above 0"),
    "a bias that is no number": (["train", "--name", "a", "--first-bias", "nan"], "a number"),
    "one picture to learn from": (["train", "--name", "a", "--train-pictures", "1"], "2 or more"),
    "epochs to wait that are none": (["train", "--name", "a", "--early-stopping", "-1"], "'-1' is no whole number"),
    "a step of augmentation that is none": (["train", "--name", "a", "--augment", "melt=1"], "'melt'"),
    "a step without a number": (["train", "--name", "a", "--augment", "mirror"], "NAME=NUMBER"),
    "a network that does not fit": (["train", "--name", "a", "--network", "f-d1"], "10 classes"),
    "a name with a path": (["train", "--name", "../a"], "cannot be called"),
    "an empty name": (["train", "--name", ""], "cannot be called"),
    "data that are not there": (["train", "--name", "a", "--data", "nowhere"], "nowhere"),
    "a folder that holds no data": (["train", "--name", "a", "--data", "."], "train-images"),
    "photographs that are not there": (["transfer", "--name", "a", "--data", "nowhere"], "nowhere"),
    "a model that is not there": (["predict", "nothing", "a.png"], "nothing"),
    "a path that is no model": (["verify", "./nothing.onnx"], "nothing.onnx"),
    "no picture": (["predict", "nothing"], "IMAGE"),
    "nothing to look into": (["inspect", "./nothing.onnx"], "nothing.onnx"),
    "nothing to measure": (["profile", "nothing"], "nothing"),
    "a way that is none": (["convert", "digits-example", "int9", "a.onnx"], "float16, int8"),
    "no folder to write to": (["convert", "digits-example", "int8", "nowhere/a.onnx"], "no folder nowhere"),
    "no answers": (["predict", "nothing", "a.png", "--top", "0"], "'0' is no whole number"),
    "a port that is none": (["app", "--port", "99999"], "from 1 to 65535"),
}


@pytest.mark.parametrize("as_json", [False, True], ids=["plain", "json"])
@pytest.mark.parametrize("wrong", WRONG)
def test_bad_input_gets_one_sentence_on_stderr_and_exit_status_2(
        wrong: str, as_json: bool, playground_home: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(playground_home)
    arguments, says = WRONG[wrong]
    assert cli.main([*arguments, "--json"] if as_json else arguments) == 2
    out, err = capsys.readouterr()
    assert says in err
    assert err.count("\n") == 1
    assert err.endswith(".\n")
    if as_json:
        assert json.loads(out) == {"error": err.strip()}
    else:
        assert out == ""
    assert runs.run_ids() == []  # nothing was started


def test_every_setting_of_a_training_can_be_said(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    requests: list[dict[str, object]] = []
    monkeypatch.setattr(train, "follow", lambda options, kind, request: requests.append(request) or 0)
    assert cli.main(["train", "--name", "a"]) == 0
    assert requests.pop() == {"data": "digits", "epochs": 15}
    assert cli.main([
        "train", "--name", "a", "--epochs", "3", "--batch-size", "16", "--learning-rate", "0.1", "--optimizer",
        "momentum", "--schedule", "step", "--weight-decay", "1e-4", "--label-smoothing", "0.1", "--clip-norm", "1",
        "--init", "kaiming", "--weights-gain", "2", "--first-bias", "-0.5", "--no-normalize", "--train-pictures", "100",
        "--early-stopping", "4", "--engine", "torch", "--augment", "mirror=0.5", "rotate=5"]) == 0
    request = requests.pop()
    assert request == {
        "data": "digits", "epochs": 3, "batch_size": 16, "learning_rate": 0.1, "optimizer": "momentum",
        "schedule": "step", "weight_decay": 1e-4, "label_smoothing": 0.1, "clip_norm": 1.0, "init": "kaiming",
        "weights_gain": 2.0, "first_bias": -0.5, "normalize": False, "train_pictures": 100, "early_stopping": 4,
        "engine": "torch", "augment": {"mirror": 0.5, "rotate": 5.0}}
    assert request.keys() - {"data"} == Settings.__dataclass_fields__.keys()
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    said = capsys.readouterr().out.replace("\n", " ")
    for names in (OPTIMIZERS, SCHEDULES, INITS):
        assert all(name in said for name in names)
    for name in ("batch_size", "learning_rate", "optimizer", "schedule"):
        assert f"(default: {getattr(Settings(), name)})" in " ".join(said.split())


def test_a_sick_preset_brings_its_settings_unless_others_are_said(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[dict[str, object]] = []
    monkeypatch.setattr(train, "follow", lambda options, kind, request: requests.append(request) or 0)
    for network, more, wanted in (
            ("weights-x10", [], {"weights_gain": 10.0}),
            ("weights-x10", ["--weights-gain", "1"], {"weights_gain": 1.0}),
            ("dead-relus", [], {"first_bias": -5.0}), ("raw-pixels", [], {"normalize": False}),
            ("raw-pixels", ["--normalize"], {"normalize": True}), ("memoriser", [], {"train_pictures": 60}),
            ("rate-x100", [], {"learning_rate": 0.3})):
        assert cli.main(["train", "--name", "a", "--network", network, *more]) == 0
        assert requests.pop() == {"data": "digits", "epochs": 15, "network": network, **wanted}


def test_a_port_that_is_taken_is_said_to_be(playground_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("", 0))
        other.listen()
        port = other.getsockname()[1]
        assert cli.main(["app", "--port", str(port)]) == 2
    assert str(port) in capsys.readouterr().err


def test_the_app_listens_on_this_computer_only_unless_asked(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: became.append(command) or sys.exit(0))
    monkeypatch.setattr(serve, "own_address", lambda: "192.168.7.9")
    monkeypatch.chdir(playground_home)
    monkeypatch.setenv("PLAYGROUND_HOME", str(playground_home))
    for asked, address, says in (
            ([], "127.0.0.1", "http://localhost:8642 (this computer only; --address 0.0.0.0 lets others in)"),
            (["--address", "0.0.0.0"], "0.0.0.0", "http://localhost:8642 and http://192.168.7.9:8642")):
        with pytest.raises(SystemExit):
            cli.main(["app", "--port", "8642", *asked])
        assert became[-1][-2:] == ["--server.address", address]
        assert f"The app answers on {says}\n" in capsys.readouterr().err
    assert 'address = "127.0.0.1"' in (ROOT / ".streamlit" / "config.toml").read_text()
    assert cli.main(["app", "--address", "203.0.113.7"]) == 2  # nobody's
    assert "203.0.113.7 cannot be listened on" in capsys.readouterr().err


def test_the_own_address_is_asked_of_the_routing_table_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Route(socket.socket):
        def connect(self, address: object) -> None:
            asked.append((self.type & socket.SOCK_DGRAM, address))
            super().connect(address)  # type: ignore[arg-type]

        def send(self, *_: object) -> int:
            pytest.fail("something was sent")

        sendto = sendall = send  # type: ignore[assignment]

    monkeypatch.setattr(socket, "socket", Route)
    found = serve.own_address()
    assert asked == [(socket.SOCK_DGRAM, serve.UNROUTABLE)]
    assert found is None or not found.startswith("127.")
    monkeypatch.setattr(serve, "UNROUTABLE", ("256.0.0.1", 9))
    assert serve.own_address() is None  # no network at all


def test_an_error_nobody_expected_is_one_sentence_too(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from playground.deploy import registry

    def broken(_: str) -> None:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(registry, "get", broken)
    assert cli.main(["verify", "a"]) == 2
    err = capsys.readouterr().err
    assert "ZeroDivisionError: two lines" in err
    assert err.count("\n") == 1
    monkeypatch.setenv("PLAYGROUND_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["verify", "a"])


def test_bench_hands_on_what_was_asked_and_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def ran(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        assert (cwd / "bench" / "bench_engine.py").exists()
        asked.append(command[1:])
        return subprocess.CompletedProcess(command, 3)

    monkeypatch.setattr(subprocess, "run", ran)
    assert cli.main(["bench", "--quick", "--json"]) == 3
    assert asked == [["-m", "bench.bench_engine", "--quick", "--json"]]


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
        assert said.returncode == 2
        assert bad in said.stderr
        assert said.stderr.count("\n") == 1
        assert "error" in json.loads(said.stdout)


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


def test_a_file_is_inspected_and_written_otherwise(playground_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = playground_home / "half.onnx"
    assert cli.main(["inspect", "digits-example"]) == 0
    assert "the engine follows it" in capsys.readouterr().out
    assert cli.main(["convert", "digits-example", "float16", str(target), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["float16"]["bytes"] == target.stat().st_size < said["as it was"]["bytes"]
    assert said["float16"]["changed"] == 0
    assert cli.main(["convert", "digits-example", "float16", str(target)]) == 2, "a file that is there is not lost"
    assert "is there already" in capsys.readouterr().err
