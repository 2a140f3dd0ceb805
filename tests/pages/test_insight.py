"""A result understood on the page: the photos behind the numbers, from the exported file's own answers."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground import home
from playground.deploy import evaluation
from playground.training import runs
from playground.training.events import Epoch, Exported, Finished, Started
from playground.training.log import EventLog
from playground.training.runs import RunSpec
from playground.ui import insight
from tests.pages.on_a_page import OpenPage, errors, put_model, texts

RUN = "20260101-000000-000000-abcd"


@pytest.fixture
def finished(playground_home: Path) -> Path:
    """A transfer run that ended, made by hand: ten photos, two of them mistaken, and the model on the shelf."""
    entry = put_model("light", ("dark", "br*ght"), task="transfer")
    photos = home.data_dir() / "light"
    levels = {"dark": (10, 20, 30, 40, 220), "br*ght": (250, 240, 230, 200, 60)}
    pictures = []
    for k, (name, grays) in enumerate(levels.items()):
        (photos / name).mkdir(parents=True)
        for gray in grays:
            Image.fromarray(np.full((20, 20, 3), gray, np.uint8)).save(photos / name / f"{gray}.png")
            pictures.append((photos / name / f"{gray}.png", k))
    folder = home.runs_dir() / RUN
    folder.mkdir(parents=True)
    runs.write_spec(folder, RunSpec("transfer", {"data": str(photos)}, 0, "light"), "cpu")
    log, now = EventLog(folder / "events.jsonl"), time.time()
    log.append(Started("transfer", 1, 1, 4, tuple(levels), {"train": 10, "validation": 10}, "cpu", now))
    log.append(Epoch(1, 0.5, 0.8, 0.5, 0.8, 1.0, now))
    log.append(Finished("completed", 1, 0.8, 10, 1.0, ((4, 1), (1, 4)), now))
    log.append(Exported("light", str(entry.onnx), 1e-7, 10, now))
    log.close()
    list(evaluation.evaluate(entry.onnx, pictures, folder / evaluation.FILE))
    return folder


@pytest.mark.parametrize("look", insight.VIEWS)
def test_every_view_opens(look: str, open_page: OpenPage, finished: Path) -> None:
    app = open_page("transfer", run=RUN, understand=look)
    assert errors(app) == []
    assert "br*ght" not in texts(app).replace("br\\*ght", "")


def test_nothing_is_drawn_until_it_is_asked_for(open_page: OpenPage, finished: Path) -> None:
    app = open_page("transfer", run=RUN)
    assert errors(app) == []
    assert "ECE" not in "".join(latex.value for latex in app.latex)


def test_a_class_is_scored_by_the_files_own_answers(open_page: OpenPage, finished: Path) -> None:
    app = open_page("transfer", run=RUN, understand="Classes")
    table = next(frame.value for frame in app.dataframe if "recall" in frame.value)
    assert list(table["right"]) == [4, 4]
    assert list(table["precision"]) == [80.0, 80.0]


def test_a_cell_of_the_confusions_opens_its_photos(open_page: OpenPage, finished: Path) -> None:
    app = open_page("transfer", run=RUN, understand="Confusions", true="dark", said="br*ght")
    assert "**1** of 5 photos of dark were taken for br\\*ght." in texts(app)
    captions = [image.caption for drawn in app.get("image") for image in drawn.proto.imgs]
    assert any(caption.endswith("220\\.png") for caption in captions)


def test_photos_that_are_gone_are_left_out(open_page: OpenPage, finished: Path) -> None:
    (home.data_dir() / "light" / "dark" / "220.png").unlink()
    app = open_page("transfer", run=RUN, understand="Mistakes")
    assert errors(app) == []
    assert "2 of 10 photos were taken for something else" in texts(app)


def test_answers_that_cannot_be_read_are_passed_over(open_page: OpenPage, finished: Path) -> None:
    (finished / evaluation.FILE).write_text(json.dumps({"labels": []}))
    app = open_page("transfer", run=RUN, understand="Classes")
    assert errors(app) == []
    assert not [frame for frame in app.dataframe if "recall" in frame.value]
