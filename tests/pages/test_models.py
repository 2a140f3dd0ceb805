"""The registry on a page: empty, with a model, with a damaged one, with names nobody should trust."""

import base64
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from PIL import Image

from playground.datasets import picture as reader
from playground.deploy import interval, package, registry
from playground.deploy.session import Classifier
from playground.numbers import THIN, percent
from playground.ui.studio import models
from tests.pages.on_a_page import OpenPage, errors, put_model, sent, texts
from tests.waiting import HOPE_SECONDS


@pytest.mark.usefixtures("without_shipped")
def test_an_empty_registry_says_how_to_get_a_model(open_page: OpenPage) -> None:
    app = open_page("models")
    assert "There are no models yet" in texts(app)
    assert not app.selectbox
    labels = [str(link.proto.label) for link in app.get("page_link")]
    assert any(label.startswith("Train a CNN") for label in labels)
    assert any(label.startswith("Retrain a pretrained network") for label in labels)


def test_a_models_card_answers_and_download_are_shown(open_page: OpenPage) -> None:
    entry = put_model(
        "brightness",
        task="digits",
        accuracy={"value": 0.98, "count": 200, "split": "test"},
        data={"name": "squares", "train": 800},
        training={"epochs": 3, "seed": 7},
    )
    app = open_page("models", model="brightness")
    assert errors(app) == []
    words = texts(app).replace("\\", "")
    assert interval.sentence(0.98, 200).replace(THIN, " ") in words
    assert entry.card["preprocessing"]["sentence"] in words
    assert entry.card["sha256"] in words
    assert "| training: epochs | 3 |\n| training: seed | 7 |" in words
    assert [m.value for m in app.metric if m.label == "test accuracy"] == [percent(0.98)]
    assert "Download .onnx" in [b.proto.label for b in app.get("download_button")]


def test_the_page_answers_as_onnxruntime_does(open_page: OpenPage) -> None:
    from playground.datasets import samples

    entry = put_model("brightness")
    app = open_page("models")
    best, chance = Classifier(entry.onnx).predict([samples.photo("cat")])[0].top(1)[0]
    assert f"## {best}, {percent(chance)}" in texts(app)


def test_the_browser_is_given_the_picture_the_file_and_the_servers_scores(open_page: OpenPage) -> None:
    from playground.datasets import samples

    entry = put_model("brightness")
    app = open_page("models", **{"in-browser-too": "true"})
    (said,) = sent(app, "in_browser")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(said["picture"]["png"]))))
    np.testing.assert_array_equal(pixels, samples.photo("cat"))
    answer = Classifier(entry.onnx).predict([samples.photo("cat")])[0]
    np.testing.assert_allclose(said["server"]["scores"], answer.logits, rtol=1e-6)
    assert (said["model"], said["key"]) == ("/api/models/brightness/model.onnx", entry.card["sha256"])
    assert (said["ink"], said["preparation"], said["runtime"]["address"]) == (False, None, None)
    assert "make browser" in said["missing"]
    app.toggle(key="in-browser-too").set_value(False).run()
    assert sent(app, "in_browser") == []


def test_verify_again_runs_every_check_and_a_changed_file_fails_it(open_page: OpenPage) -> None:
    entry = put_model("brightness")
    app = open_page("models")
    app.button(key="verify-brightness").click().run()
    passed = "\n".join(element.value for element in app.success)
    assert "**The same file.**" in passed
    assert "**Pixels in, scores out.**" in passed
    entry.onnx.write_bytes(entry.onnx.read_bytes() + b"\x00\x00")
    app.button(key="verify-brightness").click().run()
    assert any("The same file" in element.value for element in app.error)


def test_the_report_of_the_export_is_shown_and_can_be_made_again(open_page: OpenPage) -> None:
    app = open_page("models", model="digits-example")
    told = [frame.value for frame in app.dataframe]
    assert any("16 of 16" in str(frame.to_dict()) for frame in told)  # the test pictures that the export asks about
    app.button(key="report-digits-example").click().run()
    assert errors(app) == []
    assert len(app.dataframe) == 2 * len(told)
    assert sum("agree at all" in element.value for element in app.success) == 2


def test_a_link_chooses_the_model_and_a_stale_link_says_so(open_page: OpenPage) -> None:
    put_model("first")
    put_model("second")
    assert open_page("models", model="first").selectbox[0].value == "first"
    stale = open_page("models", model="gone")
    assert stale.selectbox[0].value in ("first", "second")
    assert "no model called gone" in texts(stale)


def test_the_shipped_model_is_there_at_the_first_click_and_cannot_be_removed(open_page: OpenPage) -> None:
    app = open_page("models")
    assert not app.exception
    assert app.selectbox[0].value == "digits-example"
    assert errors(app) == []
    assert "remove-digits-example" not in [button.key for button in app.button]
    assert "comes with the playground and cannot be removed" in texts(app)
    app.button(key="verify-digits-example").click().run()
    assert errors(app) == []
    for url in ("network", "kernels"):
        app = open_page(url)
        assert errors(app) == [], url
        assert app.selectbox(key="model").value == "digits-example"
        assert "There are no models yet" not in texts(app)
    assert [entry.name for entry in registry.entries()] == ["digits-example"]


@pytest.mark.usefixtures("without_shipped")
def test_removing_the_only_model_empties_the_registry(open_page: OpenPage) -> None:
    put_model("brightness")
    app = open_page("models")
    app.button(key="remove-brightness").click().run()
    assert registry.entries() == []
    assert "There are no models yet" in texts(app)


def test_a_damaged_model_is_named_and_the_others_stay(open_page: OpenPage, playground_home: Path) -> None:
    put_model("whole")
    broken = put_model("broken")
    (broken.folder / "card.json").write_text("{")
    app = open_page("models")
    assert "broken" in texts(app)
    assert list(app.selectbox[0].options) == ["whole", "digits-example"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_no_number_is_said_on_the_page_and_by_the_program(
    value: float, open_page: OpenPage, playground_home: Path, tmp_path: Path,
) -> None:
    entry = put_model("broken")
    file = onnx.load(entry.onnx)
    (weight,) = [one for one in file.graph.initializer if one.name == "w"]
    weight.CopyFrom(onnx.numpy_helper.from_array(np.full_like(onnx.numpy_helper.to_array(weight), value), "w"))
    onnx.save(file, entry.onnx)
    assert any("answer is no number" in said for said in errors(open_page("models", model="broken")))
    with zipfile.ZipFile(io.BytesIO(package.package(entry))) as archive:
        archive.extractall(tmp_path)
    Image.new("RGB", (9, 9), "white").save(tmp_path / "white.png")
    done = subprocess.run([sys.executable, "broken/run.py", "white.png"], cwd=tmp_path, capture_output=True, text=True,
                          timeout=HOPE_SECONDS, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "answer is no number" in done.stderr


def test_labels_of_a_hundred_classes_and_hostile_names_open(open_page: OpenPage) -> None:
    labels = tuple(f"<img src=x> ![a](http://b) {k}" for k in range(100))
    put_model("many", labels)
    app = open_page("models")
    assert errors(app) == []
    assert "![a](http://b)" not in texts(app)


def test_the_five_lines_give_the_apps_own_answer(playground_home: Path, tmp_path: Path) -> None:
    entry = put_model("brightness")
    picture = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    (tmp_path / "brightness.onnx").write_bytes(entry.onnx.read_bytes())
    (tmp_path / "picture.py").write_bytes(Path(reader.__file__).read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", models.SNIPPET.format(file="brightness.onnx"), "photo.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    label, chance = done.stdout.split()
    best, expected = Classifier(entry.onnx).predict([picture])[0].top(1)[0]
    assert label == best
    assert abs(float(chance) - expected) < 1e-6


def test_a_taken_name_gets_a_number(playground_home: Path) -> None:
    assert models.free_name("digits") == "digits"
    put_model("digits")
    put_model("digits-2")
    assert models.free_name("digits") == "digits-3"
