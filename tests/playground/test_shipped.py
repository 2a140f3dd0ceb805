"""The model that comes with the playground: small, sound, there everywhere, and what the own command makes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, printer

from engine import Tensor
from playground import model_names
from playground.datasets import named
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import contract, registry, session
from playground.deploy.engine_export import engine_to_onnx
from playground.deploy.preprocess_graph import PREFIX, preprocess_graph
from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from tests.playground.tiny_models import linear_file

ROOT = Path(__file__).resolve().parents[2]
(NAME,) = model_names.SHIPPED


@pytest.fixture
def entry(playground_home: Path) -> registry.Entry:
    found = registry.get(NAME)
    assert isinstance(found, registry.Entry)
    return found


def answers(path: Path) -> np.ndarray:
    _, test = named.load("digits")
    pictures = [np.repeat(image[..., None], 3, axis=2) for image in test.images]
    return np.stack([one.logits for one in session.Classifier(path).predict(pictures)])


def test_it_is_listed_last_wherever_the_home_is_and_can_be_opened(entry: registry.Entry, playground_home: Path) -> None:
    assert entry.shipped
    assert entry.folder == ROOT / "exports" / NAME
    assert [one.name for one in registry.entries()] == [NAME]
    registry.put("mine", linear_file(), {})
    assert [(one.name, one.shipped) for one in registry.entries()] == [("mine", False), (NAME, True)]


def test_it_is_small_and_verified(entry: registry.Entry) -> None:
    assert sum(path.stat().st_size for path in entry.folder.iterdir()) < 300_000
    assert registry.verify(entry).ok
    _, test = named.load("digits")
    right = float((answers(entry.onnx).argmax(1) == test.labels).mean())
    assert entry.card["accuracy"] is not None
    assert right == pytest.approx(entry.card["accuracy"]["value"])
    assert right > 0.97


def test_it_says_nothing_of_the_machine_it_was_made_on(entry: registry.Entry) -> None:
    for path in entry.folder.iterdir():
        content = path.read_bytes()
        assert not any(word in content for word in (b"/home/", b"/work", b"/root", b"/tmp"))


def test_it_prepares_a_picture_as_a_file_exported_today_does(entry: registry.Entry) -> None:
    stored = contract.parse(entry.onnx.read_bytes())
    fresh = preprocess_graph(Preprocessing.from_dict(entry.card["preprocessing"]))
    assert stored.opset_import == fresh.opset_import
    assert [printer.to_text(one) for one in stored.graph.node if one.name.startswith(PREFIX)] \
        == [printer.to_text(one) for one in fresh.graph.node]
    assert [one for one in stored.graph.initializer if one.name.startswith(PREFIX)] == list(fresh.graph.initializer)


def test_it_can_neither_be_removed_nor_replaced(entry: registry.Entry) -> None:
    for change in (lambda: registry.remove(NAME), lambda: registry.put(NAME, linear_file(), {}, replace=True)):
        with pytest.raises(PlaygroundError, match="comes with the playground"):
            change()
    assert registry.get(NAME) == entry
    assert runs.free_name(NAME) == f"{NAME}-2"


@pytest.mark.slow
def test_the_same_command_makes_the_same_model_again(entry: registry.Entry, tmp_path: Path) -> None:
    training = entry.card["training"]
    list(numpy_fit.fit(RunSpec("digits", training["request"], training["seed"], NAME), tmp_path, lambda: False))
    anew = numpy_fit.load_trained(tmp_path)
    written = contract.parse(entry.onnx.read_bytes())
    wanted = {one.name: numpy_helper.to_array(one) for one in written.graph.initializer}
    linear = [array for name, array in anew.model.state_dict().items() if name.startswith("13.") or "weight" in name]
    kept = [array for array in wanted.values() if array.dtype == np.float32 and array.size > 1000]
    matched = [min(float(np.abs(one.reshape(-1) - other.reshape(-1)).mean()) for other in linear
                   for other in (other, other.T) if other.size == one.size) for one in kept
               if any(other.size == one.size for other in linear)]
    assert matched
    assert max(matched) < 0.01, matched  # another machine adds up in another order
    _, test = named.load("digits")
    with_engine = anew.model(Tensor(anew.preprocessing.apply_all(test.images))).data
    stored = answers(entry.onnx)
    assert (with_engine.argmax(1) == stored.argmax(1)).mean() > 0.97
    assert np.abs(with_engine - stored).mean() < 0.5
    core = engine_to_onnx(anew.model, (2, 1, *anew.preprocessing.size))
    again = contract.finish(core, anew.preprocessing, entry.card["labels"], written.producer_name)
    assert without_numbers(again) == without_numbers(written)


def without_numbers(model: onnx.ModelProto) -> onnx.GraphProto:
    """The graph as it is written, its weights as zeros: another machine trains to others."""
    graph = onnx.GraphProto()
    graph.CopyFrom(model.graph)
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and not tensor.name.startswith(PREFIX):
            tensor.raw_data = bytes(len(tensor.raw_data))
    return graph
