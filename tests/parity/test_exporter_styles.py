"""Files in the style of tf2onnx and paddle2onnx: imported, drawn, run and trained as the files made here are."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from engine import no_grad
from playground.datasets import samples
from playground.deploy.engine_backend import onnx_to_engine
from playground.deploy.engine_import.graphs import ready
from playground.figures import onnx_graph
from playground.inspection import converting, report, running
from playground.inspection.core import network_of
from playground.inspection.preparation import Preparation
from playground.view.sources import File
from tests.parity.exporter_styles import LEARNT, STYLES, tf2onnx

LAYOUT = {"tf2onnx": "NHWC", "paddle2onnx": "NCHW"}


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(style: str, tmp_path: Path) -> Path:
    onnx.save(STYLES[style](), tmp_path / "theirs.onnx")
    return tmp_path / "theirs.onnx"


def test_the_engine_computes_what_onnxruntime_computes(style: str, path: Path) -> None:
    shape = (3, 32, 32, 3) if LAYOUT[style] == "NHWC" else (3, 3, 32, 32)
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    model = onnx_to_engine(path)
    with no_grad():
        (found,) = model.run({"x": x})
    # onnxruntime itself wants nodes in order, which the engine does not
    (wanted,) = onnxruntime.InferenceSession(ready(onnx.load(path)).SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(found.data, wanted, atol=1e-6)


def test_what_may_be_learnt_is_learnt(style: str, path: Path) -> None:
    model = onnx_to_engine(path)
    x = np.random.default_rng(1).normal(size=(2, 32, 32, 3)).astype(np.float32)
    (out,) = model.run({"x": x if LAYOUT[style] == "NHWC" else x.transpose(0, 3, 1, 2)})
    (out[:, 0]).sum().backward()
    moved = [one for one in model.parameters() if one.grad is not None and np.abs(one.grad).max() > 0]
    assert sum(one.data.size for one in moved) >= LEARNT[style]


def test_the_lab_knows_its_shapes_draws_and_runs_it(style: str, path: Path) -> None:
    said = report.report(path)
    assert (said["engine"], said["pictures"]) == (None, None)
    assert said["scores"], "the output's shape is known, behind a row of numbers that Shape, Slice and Concat ask for"
    assert said["macs"] == {"tf2onnx": 16 * 16 * 6 * 27 + 8 * 8 * 6 * 9 + 30,
                            "paddle2onnx": 16 * 16 * 8 * 27 + 2 * 8 * 2 + 128 * 5}[style]
    assert onnx_graph.graph(said["nodes"]).data
    preparation = Preparation.from_dict(said["preparation"])
    assert (preparation.layout, preparation.preprocessing.size) == (LAYOUT[style], (32, 32))
    picture = samples.photo("cat")
    answers = running.answers(path, "x", preparation.apply(picture))
    assert answers["engine"]["largest"] < 1e-6
    source = File(network_of(path, preparation, "y"), preparation.preprocessing, tuple("abcde"))
    scores = source.scores(preparation.preprocessing.apply(picture)[None])
    np.testing.assert_allclose(running.probabilities(scores.ravel().tolist()), running.probabilities(answers["scores"]),
                               atol=1e-6)


def test_it_is_written_in_every_way(style: str, path: Path, tmp_path: Path) -> None:
    preparation = Preparation.from_dict(report.report(path)["preparation"])
    x = np.concatenate([preparation.apply(one) for one in converting.crops(3)])
    for way in converting.WAYS:
        converting.convert(path, tmp_path / "made.onnx", way, "x", x)
        onnx.checker.check_model(onnx.load(tmp_path / "made.onnx"))


def test_what_does_not_follow_from_the_file_stays_unknown(tmp_path: Path) -> None:
    """The row's size is an input, so nobody knows it before it is given."""
    model = tf2onnx()
    kept = [one for one in model.graph.initializer if one.name != "six_wide"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.input.append(helper.make_tensor_value_info("six_wide", onnx.TensorProto.INT64, [2]))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert report.report(tmp_path / "theirs.onnx")["macs"] is None
