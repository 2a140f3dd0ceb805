"""What is said of a model's answers: scores, calibration, mistakes, and the card and program that go home with it."""

import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from playground.deploy import evaluation, interval, package, registry
from playground.deploy.evaluation import Predictions
from playground.errors import PlaygroundError
from playground.numbers import percent
from tests.pages.on_a_page import put_model


def drawn(count: int = 200, classes: int = 4, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(classes), count)
    return Predictions(tuple("abcdefgh"[:classes]), tuple(Path(f"{k}.jpg") for k in range(count)),
                       rng.integers(0, classes, count), probabilities)


def test_scores_are_scikit_learns() -> None:
    found = drawn()
    confusion = found.confusion()
    np.testing.assert_array_equal(confusion, confusion_matrix(found.truth, found.said))
    precision, recall, f1, support = precision_recall_fscore_support(found.truth, found.said)
    scores = evaluation.class_scores(confusion, found.labels)
    np.testing.assert_allclose([s.precision for s in scores], precision)
    np.testing.assert_allclose([s.recall for s in scores], recall)
    np.testing.assert_allclose([s.f1 for s in scores], f1)
    assert [s.support for s in scores] == support.tolist()


def test_a_class_without_pictures_has_no_score() -> None:
    (score, _) = evaluation.class_scores(np.array([[0, 0], [0, 3]]), ("none", "some"))
    assert (score.precision, score.recall, score.f1) == (None, None, None)


def test_a_model_that_is_as_often_right_as_it_says_has_no_calibration_error() -> None:
    sure, right = np.repeat((0.25, 0.75), 400), np.concatenate([np.arange(400) % 4 < 1, np.arange(400) % 4 < 3])
    bins, error = evaluation.calibration(sure, right)
    assert error == pytest.approx(0)
    assert [(b.count, b.right) for b in bins] == [(400, 0.25), (400, 0.75)]
    _, error = evaluation.calibration(np.ones(10), np.arange(10) < 7)
    assert error == pytest.approx(0.3)


def test_mistakes_and_cells_hold_the_surest_first() -> None:
    found = drawn()
    wrong = found.mistakes()
    assert len(wrong) == (~found.right).sum()
    assert (np.diff(found.sure[wrong]) <= 0).all()
    assert sum(len(found.cell(i, j)) for i in range(4) for j in range(4)) == len(found.truth)
    assert all(found.truth[k] == 1 and found.said[k] == 2 for k in found.cell(1, 2))


def test_a_file_is_asked_about_every_picture_that_is_still_there(tmp_path: Path, playground_home: Path) -> None:
    entry = put_model("light")
    pictures = []
    for k, level in enumerate((10, 240, 30, 250)):
        path = tmp_path / f"{k}.png"
        Image.new("RGB", (20, 20), (level,) * 3).save(path)
        pictures.append((path, k % 2))
    pictures.insert(1, (tmp_path / "gone.png", 0))
    asked = list(evaluation.evaluate(entry.onnx, pictures, tmp_path / evaluation.FILE))
    assert asked == [5]
    found = evaluation.read(tmp_path / evaluation.FILE)
    assert found is not None
    assert found.labels == ("dark", "bright")
    assert [path.name for path in found.paths] == ["0.png", "1.png", "2.png", "3.png"]
    assert found.right.all()
    features = evaluation.read_features(tmp_path / evaluation.FILE)
    assert features is not None
    assert features.shape == (4, 64)
    np.testing.assert_allclose(features[1], 2 * (240 / 255) - 1, atol=2e-3)  # the prepared pixels, flattened


@pytest.mark.parametrize("content", [
    "", "{}", '{"labels": ["a"], "pictures": []}',
    '{"labels": ["a"], "pictures": [{"path": "x", "label": 5, "probabilities": [1]}]}',
    '{"labels": ["a", "b"], "pictures": [{"path": "x", "label": 0, "probabilities": [1]}]}'],
                         ids=["empty", "nothing", "no pictures", "no such class", "too few numbers"])
def test_a_damaged_file_of_answers_is_no_answer(content: str, tmp_path: Path) -> None:
    (tmp_path / "answers.json").write_text(content)
    assert evaluation.read(tmp_path / "answers.json") is None
    assert evaluation.read(tmp_path / "missing.json") is None


@pytest.mark.parametrize("method", ["PCA", "t-SNE"])
def test_what_is_alike_lies_together_on_the_map(method: str) -> None:
    rng = np.random.default_rng(0)
    features = np.concatenate([rng.normal(0, 1, (20, 30)), rng.normal(6, 1, (20, 30))])
    places = evaluation.flat_map(features, method)
    assert places.shape == (40, 2)
    np.testing.assert_array_equal(places, evaluation.flat_map(features, method))
    nearest = [np.argsort(np.linalg.norm(places - place, axis=1))[1] for place in places]
    assert all((k < 20) == (n < 20) for n, k in enumerate(nearest))
    assert evaluation.flat_map(features[:2, :1], method).shape == (2, 2)


def facts() -> dict[str, object]:
    return {"task": "transfer", "data": {"name": "pets", "source": "photographs", "licence": "the owner's",
                                         "samples": {"train": 90, "validation": 10}},
            "training": {"request": {"data": "/secret/place", "mode": "fine-tune", "backbone": "efficientnet_lite0",
                                     "augment": {"mirror": 0.5}},
                         "seed": 3, "epochs": 4, "parameters": 12345, "seconds": 9.7, "device": "cpu", "best_epoch": 2},
            "accuracy": {"value": 0.9, "count": 10, "split": "validation", "confusion": [[4, 1], [0, 5]]}}


def test_the_card_says_what_was_measured_and_where_it_ends(playground_home: Path) -> None:
    entry = put_model("light", ("dark", "<b>bright*"), **facts())
    text = package.model_card(entry)
    for part in (interval.sentence(0.9, 10), f"| dark | 5 | {percent(1)} | {percent(0.8)} | {percent(0.889)} |",
                 "1 × dark taken for \\<b\\>bright\\*", "chosen by the loss on the same pictures", "seed 3, 4 epochs",
                 "train pictures: 90", "its head and last blocks trained further", entry.card["sha256"],
                 "of any other picture it names one of these"):
        assert part in text
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert "/secret/place" not in text
    said = Predictions(("dark", "<b>bright*"), (Path("x"),) * 4, np.array([0, 0, 1, 1]), np.eye(2)[[0, 1, 1, 1]])
    through_the_file = package.model_card(entry, said)
    assert "through onnxruntime, on 4 pictures kept aside: 75.0\u202f%" in through_the_file
    assert "90.0\u202f% (" not in through_the_file


def test_what_is_taken_home_runs_by_itself(tmp_path: Path, playground_home: Path) -> None:
    entry = put_model("light", **facts())
    with zipfile.ZipFile(io.BytesIO(package.package(entry))) as archive:
        assert sorted(archive.namelist()) == [f"light/{name}" for name in (
            "MODEL_CARD.md", "README.md", "card.json", "index.html", "labels.txt", "model.onnx", "network.onnx",
            "notebook.ipynb", "picture.py", "run.py", "snippets/Program.cs", "snippets/classify.mjs",
            "snippets/classify.py")]
        archive.extractall(tmp_path)
    Image.new("RGB", (33, 20), (250, 250, 250)).save(tmp_path / "white.png")
    said = subprocess.run([sys.executable, "light/run.py", "white.png"], cwd=tmp_path, capture_output=True, text=True,
                          check=True, timeout=900).stdout
    assert said.startswith("white.png: bright ")
    assert (tmp_path / "light" / "labels.txt").read_text() == "dark\nbright\n"
    assert (tmp_path / "light" / "model.onnx").read_bytes() == entry.onnx.read_bytes()
    with pytest.raises(PlaygroundError):
        registry.get("nothing")
