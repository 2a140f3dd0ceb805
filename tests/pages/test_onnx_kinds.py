"""The ONNX lab's views of files that are no plain classifiers, and what its Convert view says of each."""


import onnx
import pytest
from streamlit.testing.v1 import AppTest

from playground import home, model_names
from playground.inspection.report import LARGEST_BYTES
from playground.ui.studio import onnx_convert, onnx_lab
from tests.pages.on_a_page import OpenPage, errors, texts
from tests.pages.test_onnx_lab import VIEWS, every_view, seen
from tests.playground.inspection.other_kinds import made

NO_SCORES = ("segmenter", "detector")
CLASSIFIERS = ("one logit", "one probability", "eight at once")


def opened(open_page: OpenPage, kind: str) -> AppTest:
    app = open_page("onnx-lab")
    content = made(kind).SerializeToString()
    return app.file_uploader(key="onnx-file").set_value(("theirs.onnx", content, "application/octet-stream")).run()


def converted(app: AppTest) -> AppTest:
    seen(app, onnx_lab.CONVERT)
    return next(one for one in app.toggle if one.key and one.key.startswith("onnx-ways")).set_value(True).run()


@pytest.mark.parametrize("kind", NO_SCORES)
def test_what_gives_no_scores_is_promised_nothing_that_it_cannot_do(open_page: OpenPage, kind: str) -> None:
    app = opened(open_page, kind)
    (said,) = (one.value for one in app.success)
    assert "it is watched forward and backward" not in said
    assert "cannot show it" in said
    seen(app, onnx_lab.WORK)
    assert errors(app) == []
    assert "Only classifiers are shown here" in texts(app)
    for view in (onnx_lab.RUN, onnx_lab.BROWSER):
        seen(app, view)
        assert errors(app) == []
        assert onnx_lab.NO_CLASSES in texts(app)
    rows = converted(app).dataframe[0].value
    assert rows["written"].tolist() == [onnx_convert.ORIGINAL, *onnx_convert.WAYS]
    assert "answers changed" not in rows
    assert set(rows["outputs of another shape"]) == {"0 of 64"}
    assert len(app.get("download_button")) == len(onnx_convert.WAYS)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_one_score_and_eight_pictures_at_once_go_through_every_view(open_page: OpenPage, kind: str) -> None:
    app = opened(open_page, kind)
    assert "it is watched forward and backward" in texts(app)
    said = every_view(app)
    assert (said["batch"], said["single"]) == ((8, None) if kind == "eight at once" else (1, kind[4:]))
    assert len(said["labels"]) == (5 if kind == "eight at once" else 2)
    rows = converted(app).dataframe[0].value
    assert rows["written"].tolist() == [onnx_convert.ORIGINAL, *onnx_convert.WAYS]
    assert rows["answers changed"][0] == "0 of 64"


def test_a_file_that_counts_on_eight_pictures_is_a_sentence_at_work_only(open_page: OpenPage) -> None:
    app = opened(open_page, "eight counted on")
    for view in VIEWS:
        seen(app, view)
        said = errors(app)
        assert len(said) == (view == onnx_lab.WORK), view
        if said:
            assert said[0].startswith("This file takes 8 pictures at once and counts on it")
    seen(app, onnx_lab.SPEED)
    next(one for one in app.toggle if one.key and one.key.startswith("onnx-measure")).set_value(True).run()
    assert "8 pictures at a time" in texts(app)


@pytest.mark.parametrize("kind", ["two inputs", "four channels"])
def test_what_takes_no_picture_is_written_otherwise_all_the_same(open_page: OpenPage, kind: str) -> None:
    app = opened(open_page, kind)
    assert "watched forward and backward" not in texts(app)
    converted(app)
    assert errors(app) == []
    assert app.dataframe[0].value["written"].tolist() == [onnx_convert.ORIGINAL,
                                                          *(way for way in onnx_convert.WAYS if way != "int8")]
    assert "**int8** is not offered." in texts(app)
    assert "because it takes no picture" in texts(app)


def test_a_file_that_does_not_run_is_offered_without_a_comparison(open_page: OpenPage) -> None:
    model = made("classifier")
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 13
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("kernel_shape", [5, 5]))
    app = open_page("onnx-lab")
    app.file_uploader(key="onnx-file").set_value(("odd.onnx", model.SerializeToString(), "a/b")).run()
    converted(app)
    assert errors(app) == []
    assert "could not be compared" in texts(app)
    assert app.get("download_button")


def test_the_graph_s_changes_are_listed_with_their_counts(open_page: OpenPage) -> None:
    app = converted(opened(open_page, "detector"))
    rows = app.dataframe[-1].value
    row = rows[(rows["written"] == "opset 17") & (rows["operator"] == "ReduceMax")].iloc[0]
    assert (row["nodes before"], row["nodes after"]) == (1, 1)
    assert rows[rows["operator"] == "QuantizeLinear"]["written"].tolist() == ["int8"]
    assert "opset 22: no operator had to be written otherwise" in texts(app)


def test_the_model_that_comes_along_is_written_in_every_way(open_page: OpenPage) -> None:
    app = open_page("onnx-lab")
    assert app.selectbox(key="onnx-model").value == model_names.SHIPPED[0]
    rows = converted(app).dataframe[0].value
    assert rows["written"].tolist() == [onnx_convert.ORIGINAL, *onnx_convert.WAYS]
    assert "is not offered" not in texts(app)
    assert rows["answers changed"].str.split(" of ").str[0].astype(int).max() <= 4


def test_the_page_takes_files_as_large_as_they_are_read() -> None:
    said = (home.REPOSITORY / ".streamlit" / "config.toml").read_text()
    assert f"maxUploadSize = {LARGEST_BYTES // 2**20}\n" in said
