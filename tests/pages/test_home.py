"""The first page: ways in, a picture the engine computes, and facts that are true."""

from pathlib import Path

import numpy as np
import pytest

import engine
from playground.datasets import samples
from playground.ui import contents
from playground.ui.lessons import home
from playground.ui.parts.kernel_editor import PRESETS
from tests.pages.on_a_page import OpenPage, errors, put_model, texts


def test_every_other_page_can_be_reached_from_the_first(open_page: OpenPage) -> None:
    labels = {str(link.proto.label).strip("*") for link in open_page("home").get("page_link")}
    assert {chapter.title for chapter in contents.CHAPTERS[1:]} <= labels


def test_the_facts_are_counted_and_not_written_down(open_page: OpenPage) -> None:
    put_model("one")
    put_model("two")
    app = open_page("home")
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures["operations in the engine"] == str(len(engine.OPS))
    assert figures["models"] == "3", "two, and the one that comes along"
    assert 0 < int(figures["of them with an ONNX spelling"]) <= len(engine.OPS)
    assert f"{len(engine.OPS)} differentiable operations" in texts(app)


@pytest.mark.parametrize("kernel", home.KERNELS)
def test_the_feature_map_is_the_sum_of_products_at_every_place(kernel: str) -> None:
    gray, found, seconds = home.feature_map(kernel)
    photo = samples.photo("cat")
    assert gray.shape == photo.shape[:2]
    assert found.shape == (photo.shape[0] - 2, photo.shape[1] - 2)
    assert seconds > 0
    weights = np.array(PRESETS[kernel][3], float)
    for row, column in ((0, 0), (100, 200), (found.shape[0] - 1, found.shape[1] - 1)):
        patch = gray[row : row + 3, column : column + 3] / 255
        assert abs(found[row, column] - float((patch * weights).sum())) < 0.05  # gray here is rounded to whole levels


def test_a_link_restores_the_kernel_and_its_meaning(open_page: OpenPage) -> None:
    app = open_page("home", look="Laplacian")
    assert "Neighbours minus centre" in texts(app)


def test_an_unknown_kernel_in_the_address_is_ignored(open_page: OpenPage, playground_home: Path) -> None:
    app = open_page("home", look="<script>")
    assert errors(app) == []
