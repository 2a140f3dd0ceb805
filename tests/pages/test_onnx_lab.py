"""The page that opens any ONNX file: every view of one made here and of one from elsewhere, and what is no model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper, parser
from streamlit.testing.v1 import AppTest

from playground import home
from playground.datasets import samples
from playground.deploy.session import Classifier
from playground.training.transfer import imported
from playground.ui.studio import onnx_convert, onnx_file, onnx_further, onnx_lab, onnx_prepared
from tests.pages.on_a_page import OpenPage, errors, put_model, put_run, sent, texts

VIEWS = (onnx_lab.INSIDE, onnx_lab.RUN, onnx_lab.WORK, onnx_lab.GRAPH, onnx_lab.WEIGHTS, onnx_lab.SPEED,
         onnx_lab.CONVERT, onnx_lab.BROWSER, onnx_lab.FURTHER)


def foreign(body: str = "a = Conv (x, w) b = Relu (a) c = GlobalAveragePool (b) d = Flatten (c) y = Gemm (d, v)"
            ) -> bytes:
    rng = np.random.default_rng(0)
    model = parser.parse_model('<ir_version: 9, opset_import: ["": 20]> g (float[N, 3, 24, 16] x) => (float[N, 5] y) '
                               f"{{ {body} }}")
    model.graph.initializer.extend([numpy_helper.from_array(rng.normal(size=(4, 3, 3, 3)).astype(np.float32), "w"),
                                    numpy_helper.from_array(rng.normal(size=(4, 5)).astype(np.float32), "v")])
    model.graph.node[0].name = "<b>bold</b>"
    helper.set_model_props(model, {"licence": "<script>alert(1)</script>"})
    return model.SerializeToString()


def seen(app: AppTest, view: str) -> AppTest:
    return app.segmented_control(key="onnx-view").set_value(view).run()


def every_view(app: AppTest) -> dict[str, Any]:
    """Look at all views, which say nothing wrong; what the reader's own browser is told, in the last one."""
    for view in VIEWS:
        seen(app, view)
        assert errors(app) == [], view
        assert not app.exception, view
    seen(app, onnx_lab.BROWSER)
    (said,) = sent(app, "in_browser")
    return said


@pytest.mark.usefixtures("without_shipped")
def test_without_a_model_the_page_asks_for_a_file(open_page: OpenPage) -> None:
    app = open_page("onnx-lab")
    assert errors(app) == []
    assert app.selectbox(key="onnx-model").disabled
    assert not app.metric


def test_every_view_of_a_model_made_here(open_page: OpenPage) -> None:
    entry = put_model("brightness")
    app = open_page("onnx-lab")
    assert app.selectbox(key="onnx-model").value == "brightness"
    assert {one.label: one.value for one in app.metric}["parameters"] == "128"
    every_view(app)
    seen(app, onnx_lab.RUN)
    app.selectbox(key="picture").set_value("Cat").run()
    answer = Classifier(entry.onnx).predict([samples.photo("cat")])[0]
    assert "it takes the pixels as they are" in texts(app)
    rows = app.dataframe[-1].value
    assert rows["most"].max() == pytest.approx(answer.logits.max(), abs=1e-4)
    assert "its outputs differ by at most" in texts(app)


def test_every_view_of_a_file_from_elsewhere(open_page: OpenPage) -> None:
    app = open_page("onnx-lab")
    app.file_uploader(key="onnx-file").set_value(("theirs.onnx", foreign(), "application/octet-stream")).run()
    said = every_view(app)
    file = onnx_file.opened_dir() / said["model"].removeprefix("/api/opened/")
    assert file.read_bytes() == foreign()
    assert (said["input"], said["output"], said["labels"]) == ("x", "y", [f"class {k}" for k in range(5)])
    assert {**said["preparation"], "mean": None, "std": None} == {
        "height": 24, "width": 16, "gray": False, "order": "RGB", "layout": "NCHW", "number": "float32", "mean": None,
        "std": None}
    assert len(said["server"]["scores"]) == 5
    assert "theirs\\.onnx" in texts(app)
    seen(app, onnx_lab.RUN)
    key = next(one.key for one in app.selectbox if one.key and one.key.startswith("prep-scale"))
    assert app.selectbox(key=key).value == "ImageNet's mean and deviation"
    before = app.dataframe[-1].value["most"][0]
    app.selectbox(key=key).set_value("0 to 255").run()
    assert app.dataframe[-1].value["most"][0] != before, "another scale, other answers"
    app.selectbox(key=key).set_value(onnx_prepared.OWN_SCALE).run()
    means = next(one for one in app.text_input if one.label == "Means")
    means.set_value("a, b, c").run()
    assert [one.replace("\\", "") for one in errors(app)] == ["Write 3 numbers such as 0.5, 0.5, 0.5."]


def test_an_operator_that_the_engine_lacks_is_named_and_the_rest_stays(open_page: OpenPage) -> None:
    app = open_page("onnx-lab")
    content = foreign("a = Conv (x, w) b = Frobnicate (a) e = Gibberish (b) c = GlobalAveragePool (e) d = Flatten (c) "
                      "y = Gemm (d, v)")
    app.file_uploader(key="onnx-file").set_value(("odd.onnx", content, "application/octet-stream")).run()
    assert "Frobnicate" in texts(app)
    assert "Gibberish" in texts(app)
    assert errors(app) == []
    seen(app, onnx_lab.GRAPH)
    assert errors(app) == []
    assert "Frobnicate" in app.dataframe[-1].value["operator"].tolist()
    seen(app, onnx_lab.RUN)
    (error,) = errors(app)
    assert error.startswith("onnxruntime cannot run this file")


@pytest.mark.parametrize("content", [b"no model", b"", foreign()[:200]])
def test_what_is_no_model_is_a_sentence(open_page: OpenPage, content: bytes) -> None:
    app = open_page("onnx-lab")
    app.file_uploader(key="onnx-file").set_value(("bad.onnx", content, "application/octet-stream")).run()
    (error,) = errors(app)
    assert "ONNX file" in error or "empty" in error


def test_ways_to_write_a_file_stand_side_by_side(open_page: OpenPage) -> None:
    app = open_page("onnx-lab")
    app.file_uploader(key="onnx-file").set_value(("theirs.onnx", foreign(), "application/octet-stream")).run()
    seen(app, onnx_lab.CONVERT)
    next(one for one in app.toggle if one.key and one.key.startswith("onnx-ways")).set_value(True).run()
    assert errors(app) == []
    rows = app.dataframe[0].value
    assert rows["written"].tolist() == [onnx_convert.ORIGINAL, *onnx_convert.WAYS]
    assert rows["answers changed"][0] == "0 of 64"
    made = {path.stem.split("-", 2)[2]: onnx.load(path) for path in onnx_file.opened_dir("converted").glob("*.onnx")}
    assert made["opset-15"].opset_import[0].version == 15
    assert any(node.op_type == "DequantizeLinear" for node in made["int8"].graph.node)
    assert {one.data_type for one in made["float16"].graph.initializer} == {onnx.TensorProto.FLOAT16}


def test_a_model_made_here_is_compared_on_the_photos_kept_aside_from_its_training(open_page: OpenPage) -> None:
    run = put_run()
    card = home.exports_dir() / "light" / "card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), "training": {"run": run.name, "request": {}}}))
    app = open_page("onnx-lab")
    app.selectbox(key="onnx-model").set_value("light").run()
    seen(app, onnx_lab.CONVERT)
    assert "10 pictures kept aside from its training" in texts(app)
    next(one for one in app.toggle if one.key and one.key.startswith("onnx-ways")).set_value(True).run()
    assert errors(app) == []
    said = app.dataframe[0].value.set_index("written")["accuracy (95 % interval)"]
    assert said[onnx_convert.ORIGINAL].startswith("80")
    for path in (home.data_dir() / "light").rglob("*.png"):
        path.unlink()
    app.run()
    assert "kept aside" not in texts(app)
    assert errors(app) == []


def test_only_the_newest_files_are_kept(playground_home: Path) -> None:
    first = onnx_file.keep(b"0")
    for k in range(1, onnx_file.KEPT_FILES + 1):
        onnx_file.keep(str(k).encode())
    assert not first.exists()
    assert len(list(onnx_file.opened_dir().glob("*.onnx"))) == onnx_file.KEPT_FILES
    again = onnx_file.keep(b"5")
    assert again.read_bytes() == b"5"
    assert len(list(onnx_file.opened_dir().glob("*"))) == onnx_file.KEPT_FILES


def test_a_file_goes_on_as_a_backbone_for_who_took_it_and_who_has_its_name(open_page: OpenPage) -> None:
    app = open_page("onnx-lab")
    app.file_uploader(key="onnx-file").set_value(("my {net}.onnx", foreign(), "application/octet-stream")).run()
    seen(app, onnx_lab.FURTHER)
    app.selectbox[2].set_value("0 to 255").run()
    next(one for one in app.button if one.label == "Use it as a backbone").click().run()
    assert errors(app) == []
    assert "4 numbers a picture" in texts(app)
    (name,) = app.session_state[onnx_further.ADOPTED]
    found = imported.find(name)
    assert found.preprocessing().size == (24, 16)
    assert found.preprocessing().std == pytest.approx((1 / 255,) * 3)
    page = open_page("transfer", backbone=onnx_further.called(found))
    assert errors(page) == []
    assert page.selectbox(key="backbone").value == name
    assert "came as an ONNX file" in texts(page)
    assert name not in open_page("transfer").selectbox(key="backbone").options
    gone = open_page("transfer", backbone="x, ONNX file 0123456789abcdef")
    assert "is not here any more" in texts(gone)
    assert gone.selectbox(key="backbone").value == "efficientnet_lite0"
