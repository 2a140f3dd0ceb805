"""What the ONNX lab's Convert view compares on, scales int8 by, and does when one way takes too long."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground import home
from playground.datasets import named
from playground.deploy import registry
from playground.deploy.registry import Entry
from playground.inspection import bounded, report
from playground.inspection.preparation import Preparation
from playground.ui.studio import onnx_convert, onnx_lab
from playground.ui.studio.onnx_file import Opened
from tests.pages.on_a_page import OpenPage, errors, texts
from tests.pages.test_onnx_lab import foreign, put_run, seen


def opened(path: Path, name: str) -> tuple[Opened, Preparation]:
    said = report.report(path)
    return Opened(name, path, "key", said), Preparation.from_dict(said["preparation"])


def shown(pictures: Any) -> set[bytes]:
    return {np.ascontiguousarray(one).tobytes() for one in pictures}


@pytest.mark.usefixtures("playground_home")
def test_a_file_of_digits_takes_its_scales_from_training_digits() -> None:
    entry = registry.get("digits-example")
    assert isinstance(entry, Entry)
    found = onnx_convert.pictures_for(*opened(entry.onnx, "elsewhere.onnx"))
    training, _ = named.load("digits")
    assert found.truth is not None
    assert shown(found.scaling) <= shown(onnx_convert._coloured(one) for one in training.images)
    assert not shown(found.scaling) & shown(found.compared)
    assert found.scaling_words == "digits that such models are trained on"


@pytest.mark.usefixtures("playground_home")
def test_a_model_made_here_takes_its_scales_from_the_photos_it_was_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    run = put_run()
    entry = registry.get("light")
    assert isinstance(entry, Entry)
    entry.card["training"] = {"run": run.name}
    monkeypatch.setattr(registry, "find", lambda name: entry if name == "light" else None)
    kept = onnx_convert.photo_list.read(run)
    found = onnx_convert.pictures_for(*opened(entry.onnx, "light/model.onnx"))
    assert not shown(found.scaling) & shown(found.compared)
    assert found.scaling_words == (f"{len(kept.train)} pictures that it was trained on" if kept
                                   else "crops of sample photographs")


def test_only_int8_is_given_pictures_to_scale_by_and_none_that_it_is_compared_on(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def ask(what: str, path: Path, x: np.ndarray | None = None, **more: Any) -> dict[str, Any]:
        asked[what] = x
        return {"operators": []} if what == "convert" else {onnx_convert.ORIGINAL: {}, more["paths"].popitem()[0]: {}}

    monkeypatch.setattr(bounded, "ask", ask)
    path = playground_home / "one.onnx"
    path.write_bytes(b"x")
    onnx_convert._written(str(path), "a key", "int8", "x", "digest", 0, np.zeros(2), np.ones(3))
    assert (asked["convert"].tolist(), asked["compare"].tolist()) == ([1, 1, 1], [0, 0])


def test_a_way_that_took_too_long_may_be_tried_again_and_the_others_stay(open_page: OpenPage,
                                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    real, slow = bounded.ask, {"float16": "convert", "opset 17": "compare"}

    def ask(what: str, path: Path, x: np.ndarray | None = None, **more: Any) -> dict[str, Any]:
        for way, where in slow.items():
            if what == where and way in (more.get("way"), *more.get("paths", {})):
                raise bounded.UnansweredError("This file did not answer within 90 seconds.")
        return real(what, path, x, **more)

    monkeypatch.setattr(bounded, "ask", ask)
    app = open_page("onnx-lab")
    app.file_uploader(key="onnx-file").set_value(("theirs.onnx", foreign(), "application/octet-stream")).run()
    seen(app, onnx_lab.CONVERT)
    next(one for one in app.toggle if one.key and one.key.startswith("onnx-ways")).set_value(True).run()
    assert errors(app) == []
    assert app.dataframe[0].value["written"].tolist() == [onnx_convert.ORIGINAL, "opset 15", "opset 22", "int8"]
    assert "**float16** is not offered. This file did not answer" in texts(app)
    assert "What opset 17 and the file as it is answer could not be compared." in texts(app)
    assert len(app.get("download_button")) == 4, "what was written is there, compared or not"
    slow.clear()
    app.button(key="onnx-again-float16").click().run()
    app.button(key="onnx-again-opset 17").click().run()
    assert errors(app) == []
    assert app.dataframe[0].value["written"].tolist() == [onnx_convert.ORIGINAL, *onnx_convert.WAYS]
    assert not [one for one in app.button if one.key and one.key.startswith("onnx-again")]
    assert home.opened_dir("converted").is_dir()
