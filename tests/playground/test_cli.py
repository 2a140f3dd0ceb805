"""The command line: one sentence for every way to ask wrongly, one JSON object where one is asked for."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from playground import __main__ as cli
from playground.commands import serve, train
from playground.training.runs import runs
from playground.training.scratch.losses import LOSSES
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
    "a loss that is none": (["train", "--name", "a", "--loss", "mse"], "cross-entropy, squared-error or hinge"),
    "shares of a label for the hinge": (["train", "--name", "a", "--loss", "hinge", "--label-smoothing", "0.1"],
                                        "has to be 0 with it"),
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
        "momentum", "--schedule", "step", "--loss", "squared-error", "--weight-decay", "1e-4", "--label-smoothing",
        "0.1", "--clip-norm", "1", "--init", "kaiming", "--weights-gain", "2", "--first-bias", "-0.5", "--no-normalize",
        "--train-pictures", "100", "--early-stopping", "4", "--engine", "torch", "--augment", "mirror=0.5", "rotate=5",
    ]) == 0
    request = requests.pop()
    assert request == {
        "data": "digits", "epochs": 3, "batch_size": 16, "learning_rate": 0.1, "optimizer": "momentum",
        "schedule": "step", "loss": "squared-error", "weight_decay": 1e-4, "label_smoothing": 0.1, "clip_norm": 1.0,
        "init": "kaiming", "weights_gain": 2.0, "first_bias": -0.5, "normalize": False, "train_pictures": 100,
        "early_stopping": 4, "engine": "torch", "augment": {"mirror": 0.5, "rotate": 5.0}}
    assert request.keys() - {"data"} == Settings.__dataclass_fields__.keys()
    with pytest.raises(SystemExit):
        cli.main(["train", "--help"])
    said = capsys.readouterr().out.replace("\n", " ")
    for names in (OPTIMIZERS, SCHEDULES, LOSSES, INITS):
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


@pytest.fixture
def became(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that this process would have become: it goes on instead."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: commands.append(command) or sys.exit(0))
    monkeypatch.setattr(serve, "own_address", lambda: "192.168.7.9")
    monkeypatch.chdir(playground_home)
    monkeypatch.setenv("PLAYGROUND_HOME", str(playground_home))
    return commands


def test_the_app_listens_on_this_computer_only_unless_asked(
        became: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
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


def test_the_app_of_a_class_listens_where_it_is_told_to(
        became: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PLAYGROUND_CLASS", "")
    for asked, hosts, address, teacher in (
            ([], "", "0.0.0.0", "http://192.168.7.9:8642"),
            ([], "cnn.example.org", "0.0.0.0", "http://192.168.7.9:8642"),
            (["--address", "127.0.0.1"], "", "127.0.0.1", "http://localhost:8642"),
            (["--address", "localhost"], " *, CNN.example.org., b.example.org", "localhost", "https://cnn.example.org"),
            (["--address", "127.0.0.1"], "cnn.example.org", "127.0.0.1", "https://cnn.example.org")):
        monkeypatch.setenv("PLAYGROUND_HOSTS", hosts)
        with pytest.raises(SystemExit):
            cli.main(["app", "--class", "--port", "8642", *asked])
        assert became[-1][became[-1].index("--server.address") + 1] == address
        said = capsys.readouterr().err
        assert f"For the class:    {teacher}\nFor the teacher:  {teacher}/teach/" in said


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
