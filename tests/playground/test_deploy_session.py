"""A file at work: onnxruntime on raw pictures, for many at once, and a sentence when something is wrong."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from playground.deploy import session
from playground.deploy.session import Classifier, Prediction, open_classifier
from playground.errors import PlaygroundError
from tests.playground.tiny_models import COLOUR, linear_answers, linear_file, pictures


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(linear_file(COLOUR), path)
    return path


def test_pictures_of_mixed_sizes_come_back_in_order(file: Path) -> None:
    images = pictures((20, 30), (20, 30), (8, 8), (20, 30), (1, 1), (8, 8), (8, 8))
    predictions = Classifier(file).predict(images)
    np.testing.assert_allclose([p.logits for p in predictions], linear_answers(images, COLOUR), atol=2e-3)
    assert all(p.labels == ("class 0", "class 1", "class 2") for p in predictions)


def test_a_batch_too_large_for_memory_is_split_and_gives_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = pictures(*[(9, 9)] * 7)
    whole = Classifier(file).predict(images)
    monkeypatch.setattr(session, "PIXELS_AT_ONCE", 200)
    assert [len(batch) for batch in session._batches(images)] == [2, 2, 2, 1]
    parts = Classifier(file).predict(images)
    np.testing.assert_allclose([p.logits for p in parts], [p.logits for p in whole], atol=1e-5)


def test_no_picture_is_no_prediction(file: Path) -> None:
    assert Classifier(file).predict([]) == []


def test_top_is_the_likeliest_first() -> None:
    prediction = Prediction(("a", "b", "c"), np.float32([0.2, 0.7, 0.1]), np.float32([0, 1, -1]))
    assert [label for label, _ in prediction.top(2)] == ["b", "a"]
    assert len(prediction.top(10)) == 3
    assert prediction.top(1)[0][1] == pytest.approx(0.7)


def test_many_threads_get_their_own_answers(file: Path) -> None:
    classifier = Classifier(file)
    jobs = [pictures((8 + seed, 30 - seed), (5, 5), seed=seed) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(classifier.predict, jobs))
    for images, predictions in zip(jobs, answers, strict=True):
        np.testing.assert_allclose([p.logits for p in predictions], linear_answers(images, COLOUR), atol=2e-3)


def test_a_file_is_opened_once_until_it_changes(file: Path) -> None:
    first = open_classifier(file)
    assert open_classifier(str(file)) is first
    other = file.with_name("other")
    onnx.save(linear_file(COLOUR, classes=4), other)
    other.replace(file)
    assert len(open_classifier(file).labels) == 4


@pytest.mark.parametrize("wrong", [
    np.zeros((4, 4, 3), np.float32), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8),
    np.zeros((1, 4, 4, 3), np.uint8), np.zeros((0, 4, 3), np.uint8), "a path",
], ids=["float", "gray", "alpha", "batch", "empty", "text"])
def test_what_is_no_picture_is_refused_with_its_shape(file: Path, wrong: object) -> None:
    with pytest.raises(PlaygroundError, match="A picture has to be uint8"):
        Classifier(file).predict([wrong])  # type: ignore[list-item]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for opened in (Classifier, open_classifier):
        with pytest.raises(PlaygroundError, match=r"no file .*nowhere\.onnx"):
            opened(tmp_path / "nowhere.onnx")


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(PlaygroundError, match="a folder"):
        Classifier(tmp_path)


def test_a_text_file_is_not_an_onnx_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("hello")
    with pytest.raises(PlaygroundError, match="not an ONNX file"):
        Classifier(path)


def test_a_file_beyond_the_limit_is_not_even_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.contract, "SIZE_LIMIT_BYTES", 100)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("it was read"))
    with pytest.raises(PlaygroundError, match="larger than"):
        Classifier(file)


def test_a_model_that_fails_on_a_picture_says_so() -> None:
    model = linear_file()
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([0, 999]), "elsewhere"))
    graph.node.insert(0, helper.make_node("Gather", ["image", "elsewhere"], ["gathered"], axis=0))
    graph.node.insert(1, helper.make_node("ReduceMax", ["gathered"], ["most"], keepdims=0))
    graph.node.insert(2, helper.make_node("CastLike", ["most", "0.weight"], ["added"]))
    logits = next(node for node in graph.node if "logits" in node.output)
    logits.output[0] = "before"
    graph.node.insert(len(graph.node) - 1, helper.make_node("Add", ["before", "added"], ["logits"]))
    with pytest.raises(PlaygroundError, match="failed on pictures"):
        Classifier(model.SerializeToString()).predict(pictures((4, 4)))


def test_answers_of_another_shape_than_promised_are_refused() -> None:
    model = linear_file()
    graph = model.graph  # one row too many: the batch axis is free, so no inference can see it
    graph.initializer.append(numpy_helper.from_array(np.zeros((1, 3), np.float32), "row"))
    softmax = graph.node.pop()
    logits = next(node for node in graph.node if "logits" in node.output)
    logits.output[0] = "before"
    graph.node.extend([helper.make_node("Concat", ["before", "row"], ["logits"], axis=0), softmax])
    with pytest.raises(PlaygroundError, match="answered"):
        Classifier(model.SerializeToString()).predict(pictures((4, 4)))


def test_predicting_needs_neither_torch_nor_the_engine_nor_pillow(file: Path) -> None:
    program = ("import sys, numpy as np; from playground.deploy.session import Classifier;"
               f"Classifier({str(file)!r}).predict([np.zeros((5, 5, 3), np.uint8)]);"
               "print([m for m in ('torch', 'engine', 'streamlit') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=900)
    assert done.stdout.strip() == "[]"
