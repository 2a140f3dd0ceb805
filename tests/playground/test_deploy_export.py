"""A trained model reaches the registry only if onnxruntime gives its own answers."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from sklearn.datasets import load_digits

from engine import layers
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import export, registry
from playground.deploy.export import answers, export_run
from playground.deploy.session import Classifier
from playground.errors import PlaygroundError
from tests.playground.tiny_models import GRAY, pictures

FACTS = {"task": "digits", "data": {"name": "digits", "train": 4}, "training": {"epochs": 1, "seed": 0},
         "accuracy": {"value": 0.5, "count": 4, "split": "test"}}


@dataclass
class TrainedEngine:
    model: layers.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...]


@dataclass
class TrainedTorch:
    module: object
    preprocessing: Preprocessing
    classes: tuple[str, ...]


def trained(scores: int = 3, classes: int = 3) -> TrainedEngine:
    rng = np.random.default_rng(0)
    model = layers.Sequential(
        layers.Conv2d(1, 4, 3, padding=1, rng=rng), layers.BatchNorm2d(4), layers.ReLU(), layers.MaxPool2d(2),
        layers.Dropout(0.5, rng=rng), layers.Flatten(), layers.Linear(64, scores, rng=rng))
    return TrainedEngine(model, GRAY, tuple(f"class {k}" for k in range(classes)))


def digits() -> list[np.ndarray]:
    gray = np.round(load_digits().images[:10] * 255 / 16).astype(np.uint8)
    return [np.repeat(image[:, :, None], 3, axis=2) for image in gray]


@pytest.fixture
def exports(playground_home: Path) -> Path:
    return playground_home / "exports"


def exported_names(exports: Path) -> list[str]:
    return sorted(path.name for path in exports.glob("*")) if exports.exists() else []


def test_a_trained_model_reaches_the_registry_with_what_is_known_of_it(exports: Path) -> None:
    entry = export_run(trained(), "digits-1", FACTS, digits())
    card = json.loads((exports / "digits-1/card.json").read_text())
    assert card == entry.card
    assert {key: card[key] for key in FACTS} == FACTS
    assert card["labels"] == ["class 0", "class 1", "class 2"]
    assert Preprocessing.from_dict(card["preprocessing"]) == GRAY
    assert card["preprocessing"]["sentence"] == GRAY.sentence()
    assert card["versions"]["onnxruntime"] == onnxruntime.__version__
    assert "NumPy engine" in card["source"]
    parity = card["parity"]
    assert parity["max_difference"] <= parity["allowed"]
    assert parity["samples"] == 10 + len(parity["references"])
    assert parity["same_top"] == parity["samples"]
    assert parity["second_runtime"]["max_difference"] < 1e-4
    assert registry.verify(entry).ok


def test_the_file_gives_the_sources_answers_to_photographs_of_any_size(exports: Path) -> None:
    source = trained()
    entry = export_run(source, "m", FACTS, digits())
    images = pictures((1, 1), (300, 200), (9, 500), (31, 33))
    found = [prediction.logits for prediction in Classifier(entry.onnx).predict(images)]
    np.testing.assert_allclose(found, answers(source, images), atol=1e-4)


def test_a_sigmoid_head_is_exported_as_two_logits(exports: Path) -> None:
    source = trained(scores=1, classes=2)
    entry = export_run(source, "m", FACTS, digits())
    (prediction,) = Classifier(entry.onnx).predict(pictures((20, 20)))
    z = float(answers(source, pictures((20, 20)))[0, 1])
    assert prediction.logits[0] == 0
    assert prediction.probabilities[1] == pytest.approx(1 / (1 + np.exp(-z)), abs=1e-5)


def test_a_torch_model_goes_the_same_way(exports: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3), torch.nn.ReLU(), torch.nn.Flatten(),
                                 torch.nn.Linear(108, 3))
    entry = export_run(TrainedTorch(module, GRAY, ("a", "b", "c")), "m", FACTS, digits())
    assert "PyTorch" in entry.card["source"]
    assert {"torch", "onnxscript"} <= set(entry.card["versions"])
    assert registry.verify(entry).ok


# --- guards: each is seen to fail, and leaves nothing ---

def test_planted_wrong_weights_are_refused_and_leave_nothing(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = export._core

    def wrong(source: object) -> onnx.ModelProto:
        core = real(source)
        (bias,) = [tensor for tensor in core.graph.initializer if tensor.name == "6.bias"]
        bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.01), "6.bias"))
        return core

    monkeypatch.setattr(export, "_core", wrong)
    with pytest.raises(PlaygroundError, match="does not give the model's own answers"):
        export_run(trained(), "m", FACTS, digits())
    assert exported_names(exports) == []


def test_another_preprocessing_than_the_models_is_refused(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = export.contract.finish
    other = Preprocessing(size=(8, 8), gray=True, mean=(0.31,), std=(0.25,))
    monkeypatch.setattr(export.contract, "finish", lambda core, _, *rest, **more: real(core, other, *rest, **more))
    with pytest.raises(PlaygroundError, match="does not give the model's own answers"):
        export_run(trained(), "m", FACTS, digits())
    assert exported_names(exports) == []


def test_a_model_that_answers_nan_is_refused(exports: Path) -> None:
    source = trained()
    next(source.model.parameters()).data[:] = np.nan
    with pytest.raises(PlaygroundError, match="is no number"):
        export_run(source, "m", FACTS, digits())
    assert exported_names(exports) == []


def test_a_disagreeing_second_runtime_refuses(exports: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "second_opinion", lambda *_: 0.5)
    with pytest.raises(PlaygroundError, match="reference runtime"):
        export_run(trained(), "m", FACTS, digits())
    assert exported_names(exports) == []


def test_a_name_taken_or_impossible_is_refused_before_anything_is_computed(
    exports: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    export_run(trained(), "m", FACTS, digits())
    monkeypatch.setattr(export, "_core", lambda _: pytest.fail("it was exported"))
    with pytest.raises(PlaygroundError, match="already a model called m"):
        export_run(trained(), "m", FACTS, digits())
    with pytest.raises(PlaygroundError, match="cannot be called"):
        export_run(trained(), "../m", FACTS, digits())


def test_a_refused_replacement_leaves_the_old_model(exports: Path) -> None:
    export_run(trained(), "m", FACTS, digits())
    before = (exports / "m/model.onnx").read_bytes()
    broken = trained()
    next(broken.model.parameters()).data[:] = np.nan
    with pytest.raises(PlaygroundError):
        export_run(broken, "m", FACTS, digits(), replace=True)
    assert (exports / "m/model.onnx").read_bytes() == before


def test_gray_pictures_are_compared_as_the_rgb_they_are_to_the_file(exports: Path) -> None:
    gray = np.stack([image[:, :, 0] for image in digits()])
    entry = export_run(trained(), "m", FACTS, gray)
    assert entry.card["parity"]["same_top"] == entry.card["parity"]["samples"]


def test_an_export_without_real_pictures_is_refused(exports: Path) -> None:
    with pytest.raises(PlaygroundError, match="real pictures"):
        export_run(trained(), "m", FACTS, [])


def test_a_digits_model_is_exported_without_torch(exports: Path) -> None:
    program = ("import sys; from tests.playground.test_deploy_export import *;"
               "export_run(trained(), 'm', FACTS, digits()); print('torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=900, check=True)
    assert done.stdout.strip() == "False"
