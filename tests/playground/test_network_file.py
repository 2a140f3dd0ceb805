"""The network in a file of its own, and zips and exports that are the same bytes every time."""

import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

from playground.datasets.preprocessing import Preprocessing
from playground.deploy import contract, network_file, package, registry
from playground.deploy.export import export_run
from playground.deploy.registry import Entry
from playground.deploy.session import Classifier, open_classifier
from tests.playground.test_deploy_export import FACTS, TrainedTorch, digits, trained
from tests.playground.tiny_models import GRAY, pictures

MOMENT = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


def torch_trained() -> TrainedTorch:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return TrainedTorch(torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(),
                                            torch.nn.Linear(108, 3)), GRAY, ("a", "b", "c"))


def in_zip(entry: Entry) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package.package(entry))) as archive:
        return {Path(name).name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("make", [trained, torch_trained], ids=["engine", "torch"])
def test_the_same_training_exported_twice_is_the_same_bytes(playground_home: Path, make: object) -> None:
    found = []
    for _ in range(2):
        entry = export_run(make(), "m", FACTS, digits(), replace=True, created=MOMENT)  # type: ignore[operator]
        found.append((entry.onnx.read_bytes(), package.package(entry)))
    assert found[0] == found[1]
    assert entry.card["created"] == MOMENT.isoformat()


@pytest.mark.parametrize("name", ["digits-example", "m"])
def test_the_zip_holds_the_network_alone_and_says_how_to_prepare_a_picture(playground_home: Path, name: str) -> None:
    entry = registry.get(name) if name != "m" else export_run(trained(), "m", FACTS, digits(), created=MOMENT)
    assert isinstance(entry, Entry)
    files = in_zip(entry)
    model = onnx.load_from_string(files["network.onnx"])
    onnx.checker.check_model(model, full_check=True)
    said = {one.key: one.value for one in model.metadata_props}
    contract = json.loads(said["preprocessing_json"])
    preprocessing = Preprocessing.from_dict(contract)
    assert (contract["layout"], contract["channels"], contract["crop"]) == ("NCHW", "gray", "centre")
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 1, *preprocessing.size]
    assert not any("preprocess/" in text for node in model.graph.node for text in (node.name, *node.input))
    (picture,) = pictures((31, 40))
    session = onnxruntime.InferenceSession(files["network.onnx"])
    logits, probabilities = session.run(["logits", "probabilities"], {"pixels": preprocessing.apply(picture)[None]})
    (whole,) = open_classifier(entry.onnx).predict([picture])
    np.testing.assert_allclose(logits[0], whole.logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(probabilities[0], whole.probabilities, atol=1e-5)
    assert "network.onnx: the same network alone" in files["MODEL_CARD.md"].decode()


def test_a_network_of_an_operator_without_an_older_way_stays_as_it_is() -> None:
    core = parser.parse_model("""
        <ir_version: 9, opset_import: ["": 20]>
        core (float[N, 1, 8, 8] x) => (float[N, 64] y) { a = Gelu (x) y = Flatten (a) }""")
    whole = contract.finish(core, GRAY, [str(k) for k in range(64)], "a test")
    alone = network_file.network_alone(whole, GRAY)
    assert alone.opset_import[0].version == 20
    (picture,) = pictures((31, 40))
    session = onnxruntime.InferenceSession(alone.SerializeToString())
    (logits,) = session.run(["logits"], {"pixels": GRAY.apply(picture)[None]})
    (expected,) = Classifier(whole.SerializeToString()).predict([picture])
    np.testing.assert_allclose(logits[0], expected.logits, atol=1e-5)


def test_a_network_that_answers_otherwise_is_left_out_with_a_sentence(
    playground_home: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    entry = export_run(trained(), "m", FACTS, digits())
    real = network_file._answers
    monkeypatch.setattr(network_file, "_answers", lambda data, prepared: real(data, prepared) + np.float32(0.5))
    files = in_zip(entry)
    assert "network.onnx" not in files
    assert "is not in this zip: The network alone answers otherwise" in files["MODEL_CARD.md"].decode()
