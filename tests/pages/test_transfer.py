"""Transfer learning on a page: photos in, a model out, and every odd zip answered with a sentence."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground.datasets import photos
from playground.deploy import registry
from playground.deploy.session import Classifier
from playground.numbers import count
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec
from playground.training.transfer.recipe import Request
from playground.ui.studio import models, transfer
from tests.pages.on_a_page import OpenPage, errors, texts
from tests.waiting import ended


def photo(colour: tuple[int, int, int], seed: int, side: int = 48) -> bytes:
    """A PNG of one colour with noise: two such classes can be told apart by anything that sees."""
    noise = np.random.default_rng(seed).integers(-30, 30, (side, side, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def two_classes(each: int = 6) -> dict[str, bytes]:
    return {f"red/{k}.png": photo((200, 40, 40), k) for k in range(each)} | {
        f"blue/{k}.png": photo((40, 40, 200), 100 + k) for k in range(each)
    }


def upload(open_page: OpenPage, content: bytes, name: str = "Red & Blue.zip"):
    app = open_page("transfer", photos=transfer.ZIP)
    app.get("file_uploader")[0].set_value((name, content, "application/zip")).run()
    return app


def test_the_sample_photos_are_counted_and_shown(open_page: OpenPage) -> None:
    app = open_page("transfer")
    assert errors(app) == []
    table = app.dataframe[0].value
    assert list(table["class"]) == ["faces", "non-faces"]
    assert list(table["to train on"] + table["kept aside"]) == [100, 100]
    assert "When a run has finished" in texts(app)


def test_without_photos_there_is_nothing_to_start(open_page: OpenPage) -> None:
    app = open_page("transfer", photos=transfer.ZIP)
    assert errors(app) == []
    assert "First choose photos" in texts(app)
    assert "Start training" not in [button.label for button in app.button]


def test_a_zip_is_unpacked_counted_and_found_again_after_a_reload(open_page: OpenPage, playground_home: Path) -> None:
    app = upload(open_page, zipped(**two_classes(), **{"red/broken.png": b"no picture"}))
    assert errors(app) == []
    assert list(app.dataframe[0].value["class"]) == ["blue", "red"]
    assert list(app.dataframe[1].value["file"]) == ["broken.png"]
    assert app.text_input[0].value == "red-blue"
    assert "Fewer than 10 photos" in texts(app)
    address = app.query_params["zip"]
    again = open_page("transfer", photos=transfer.ZIP, zip=address if isinstance(address, str) else address[0])
    assert list(again.dataframe[0].value["class"]) == ["blue", "red"]


@pytest.mark.parametrize(
    "content",
    [
        b"this is not a zip",
        zipped(**{"../../outside/1.png": photo((1, 2, 3), 0)}),
        zipped(**{"only/1.png": photo((1, 2, 3), 0)}),
        zipped(**{"red/1.txt": b"a", "blue/1.txt": b"b"}),
        zipped(),
    ],
    ids=["no zip", "leads outside", "one class", "no pictures", "empty"],
)
def test_an_odd_zip_is_answered_with_one_sentence(open_page: OpenPage, playground_home: Path, content: bytes) -> None:
    app = upload(open_page, content)
    assert not app.exception
    assert len(app.error) == 1
    assert "Something went wrong" not in app.error[0].value
    assert not (playground_home.parent / "outside").exists()


def test_an_address_cannot_lead_to_another_folder(open_page: OpenPage, playground_home: Path) -> None:
    (playground_home / "data" / "uploads").mkdir(parents=True)
    for address in ("..", "../faces", "0123456789abcdef", "/etc"):
        app = open_page("transfer", photos=transfer.ZIP, zip=address)
        assert errors(app) == []
        assert not app.dataframe


def test_a_folder_below_data_can_be_chosen_and_uploads_of_others_are_not_listed(
    open_page: OpenPage, playground_home: Path
) -> None:
    for name in ("pets", "uploads/0123456789abcdef"):
        for file, content in two_classes(2).items():
            path = playground_home / "data" / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    app = open_page("transfer", photos=transfer.FOLDER)
    assert errors(app) == []
    assert list(app.selectbox(key="folder").options) == ["pets"]
    assert app.text_input[0].value == "pets"


def test_class_names_are_never_taken_for_markup(open_page: OpenPage) -> None:
    evil = "![x](http:evil) <b>"
    app = upload(
        open_page,
        zipped(
            **{f"{evil}/{k}.png": photo((9, 9, 9), k) for k in range(3)},
            **{f"fine/{k}.png": photo((200, 9, 9), k) for k in range(3)},
        ),
    )
    assert errors(app) == []
    assert evil not in texts(app)


@pytest.mark.slow
def test_a_zip_of_two_colours_becomes_a_model_that_tells_them_apart(open_page: OpenPage) -> None:
    app = upload(open_page, zipped(**two_classes(8)))
    app.number_input(key="epochs").set_value(30).run()
    app.button(key="start").click().run()
    assert errors(app) == []
    run_id = runs.run_ids()[0]
    view = ended(run_id)
    assert view.state == "completed", view.failed
    app.run()
    assert errors(app) == []
    assert view.started is not None
    assert count(view.started.parameters) in texts(app)
    entry = registry.get("red-blue")
    unseen = [photos.open_photo(photo(colour, 999)) for colour in ((200, 40, 40), (40, 40, 200))]
    assert [said.top(1)[0][0] for said in Classifier(entry.onnx).predict(unseen)] == ["red", "blue"]
    assert "Answered in" in texts(app)


def test_a_files_name_becomes_a_models() -> None:
    assert models.tidy("Ünïcode.zip") == "n-code"
    assert models.tidy("...zip") == "photos"
    registry.check_name(models.tidy("x" * 300 + ".zip"))


@pytest.mark.parametrize(("query", "said"), [
    ({}, {"data": "faces", "epochs": 20, "backbone": "efficientnet_lite0"}),
    ({"mode": "scratch", "epochs-scratch": "3", "steps": "noise", "noise": "5"},
     {"data": "faces", "mode": "scratch", "epochs": 3, "augment": {"noise": 5.0}}),
    ({"mode": "fine-tune", "patience": "2", "size-fine-tune": "160 × 160", "head": "sigmoid"},
     {"data": "faces", "mode": "fine-tune", "epochs": 6, "backbone": "efficientnet_lite0", "image_size": 160,
      "patience": 2, "head": "sigmoid"}),
])
def test_the_page_asks_for_what_the_address_says(query: dict[str, str], said: dict[str, object], open_page: OpenPage,
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[RunSpec] = []
    monkeypatch.setattr("playground.ui.studio.runs_view.begin", lambda spec, suggested=False: asked.append(spec))
    app = open_page("transfer", **query)
    assert errors(app) == []
    app.button(key="start").click().run()
    assert errors(app) == []
    assert asked[0].request == said
    Request.of(asked[0].request)


@pytest.mark.parametrize("mode", ["frozen", "fine-tune", "scratch"])
def test_every_mode_opens_with_a_hidden_head(mode: str, open_page: OpenPage) -> None:
    app = open_page("transfer", mode=mode, head="hidden")
    assert errors(app) == []
    assert "Hidden units" in [field.label for field in app.number_input]


def test_the_block_diagram_follows_what_is_chosen(open_page: OpenPage) -> None:
    app = open_page("transfer", mode="fine-tune")
    assert "numbers are trained" not in texts(app), "nothing is drawn before it is looked for"
    app.session_state["more"] = True
    app.run()
    assert errors(app) == []
    assert "1\u202f496\u202f322 of 3\u202f373\u202f570 numbers are trained" in texts(app)
    app.select_slider(key="blocks").set_value(1).run()
    assert "414\u202f722 of 3\u202f373\u202f570" in texts(app)
    app.selectbox(key="head").set_value("sigmoid").run()
    assert "413\u202f441 of 3\u202f372\u202f289" in texts(app)
    assert errors(app) == []
