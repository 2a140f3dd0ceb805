"""A model of somebody else's: it gets neither the computer's memory nor its time, and --json stays JSON."""

import json
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from playground.commands import models, output
from playground.commands.run import main
from tests.playground.tiny_models import linear_file

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="address spaces are limited on Linux")


def file_with(nodes: list[onnx.NodeProto], tensors: list[onnx.TensorProto], path: Path) -> Path:
    """An honest model that computes something else beside, whose sum is added to its logits times zero."""
    model = linear_file()
    graph = model.graph
    graph.initializer.extend([*tensors, numpy_helper.from_array(np.float32(0), "zero")])
    logits = next(node for node in graph.node if "logits" in node.output)
    logits.output[list(logits.output).index("logits")] = "honest"
    added = [*nodes, helper.make_node("Mul", ["beside", "zero"], ["nothing"]),
             helper.make_node("Add", ["honest", "nothing"], ["logits"])]
    softmax = graph.node.pop()
    graph.node.extend([*added, softmax])
    onnx.save(model, path)
    return path


def giant(path: Path, side: int = 28_000) -> Path:
    """A file of a few kilobytes that asks for a matrix of side x side float32: 3 GB of constants."""
    return file_with(
        [helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=numpy_helper.from_array(
            np.array([1.0], np.float32))),
         helper.make_node("Sin", ["ones"], ["waves"]),
         helper.make_node("ReduceSum", ["waves"], ["beside"], keepdims=0)],
        [numpy_helper.from_array(np.array([side, side], np.int64), "shape")], path)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(path)
    return path


@pytest.mark.parametrize("command", ["predict", "verify"])
def test_a_small_file_that_asks_for_gigabytes_is_refused_in_a_sentence(
        command: str, tmp_path: Path, picture: Path, playground_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = giant(tmp_path / "giant.onnx")
    assert path.stat().st_size < 100_000
    status = main([command, str(path), *([str(picture)] if command == "predict" else []), "--json"])
    out, err = capfd.readouterr()
    said = json.loads(out)
    if command == "predict":
        assert status == 2
        assert err.strip().count("\n") == 0
        assert "memory" in said["error"] or "alloc" in said["error"]
    else:
        assert status in (1, 2)
        assert said.get("ok") is False or "memory" in said["error"]


def test_a_small_matrix_is_no_reason_to_refuse(
        tmp_path: Path, picture: Path, playground_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(giant(tmp_path / "small.onnx", 100)), str(picture), "--json"]) == 0
    assert len(json.loads(capfd.readouterr().out)["predictions"]) == 1


@pytest.mark.slow
def test_a_model_that_comes_to_no_end_is_ended(
        tmp_path: Path, picture: Path, playground_home: Path, monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "slow.onnx"
    side, times = 2_000, 400
    nodes = [helper.make_node("ConstantOfShape", ["shape"], ["m0"], value=numpy_helper.from_array(
        np.array([1e-4], np.float32)))]
    nodes += [helper.make_node("MatMul", [f"m{k}", "m0"], [f"m{k + 1}"]) for k in range(times)]
    nodes += [helper.make_node("ReduceSum", [f"m{times}"], ["beside"], keepdims=0)]
    file_with(nodes, [numpy_helper.from_array(np.array([side, side], np.int64), "shape")], path)
    monkeypatch.setattr(models, "START_SECONDS", 2)
    monkeypatch.setattr(models, "PICTURE_SECONDS", 1)
    began = time.monotonic()
    assert main(["predict", str(path), str(picture), "--json"]) == 2
    assert time.monotonic() - began < 30
    assert "did not answer within 3 seconds" in json.loads(capfd.readouterr().out)["error"]


def test_an_answer_of_nan_is_said_to_be_no_number(
        tmp_path: Path, picture: Path, playground_home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    nan = numpy_helper.from_array(np.float32(np.nan), "beside")
    path = file_with([], [nan], tmp_path / "nan.onnx")
    assert nan.data_type == TensorProto.FLOAT
    assert main(["predict", str(path), str(picture), "--json"]) != 0
    out = capfd.readouterr().out
    assert "answer is no number" in json.dumps(json.loads(out, parse_constant=lambda token: pytest.fail(token)))
    assert main(["verify", str(path), "--json"]) == 1
    result = json.loads(capfd.readouterr().out, parse_constant=lambda token: pytest.fail(token))
    wrong = {check["name"]: check["sentence"] for check in result["checks"] if not check["ok"]}
    assert list(wrong) == ["weights", "probabilities"]
    assert "answer is no number" in wrong["probabilities"]
    assert result["report"] is None, "NaN on both sides is no agreement"


def test_json_is_json_whatever_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    output.print_json({"a": [float("nan"), (float("inf"), 1)], "b": {"c": -float("inf"), "d": "ä\ud800"}})
    assert json.loads(capsys.readouterr().out, parse_constant=lambda token: pytest.fail(token)) == {
        "a": [None, [None, 1]], "b": {"c": None, "d": "ä\ud800"}}
