"""One's own photo: it stays on all pages until another is chosen, and the list says "Your photo" over nothing else."""

import base64
import io

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from playground.training.transfer.backbone_facts import BACKBONES
from playground.ui import contents
from playground.ui.parts import image_input, own_photo
from playground.ui.studio import pretrained
from tests.pages.on_a_page import OpenPage, errors, put_model, texts

WITH_A_LIST = ("images", "convolution", "kernels", "channels", "network", "pooling", "augmentation", "imagenet",
               "models")


def png(level: int = 90, width: int = 40, height: int = 30) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), level, np.uint8)).save(file, "PNG")
    return file.getvalue()


def give(app: AppTest, file: bytes) -> AppTest:
    return app.file_uploader(key="upload").set_value(("own.png", file, "image/png")).run()


def go(app: AppTest, url: str) -> AppTest:
    """To another page as by a link, which takes nothing along in the address."""
    app.query_params.clear()
    return app.switch_page(str(contents.chapter(url).path)).run()


@pytest.fixture
def models_there(playground_home: object) -> None:
    put_model("imagenet", tuple(f"class {k}" for k in range(1000)), BACKBONES[pretrained.BACKBONE].preprocessing(),
              task="pretrained")


@pytest.mark.parametrize("url", WITH_A_LIST)
@pytest.mark.parametrize("wish", [image_input.UPLOAD, image_input.CAMERA])
def test_until_there_is_one_the_list_says_what_is_shown(url: str, wish: str, open_page: OpenPage,
                                                        models_there: None) -> None:
    for app in (open_page(url, picture=wish), open_page(url).selectbox(key="picture").set_value(wish).run()):
        assert errors(app) == []
        shown = app.selectbox(key="picture").value
        assert shown not in (image_input.UPLOAD, image_input.CAMERA)
        assert f"Until there is a photo of yours, this is the {shown}." in texts(app)
        assert app.get("camera_input" if wish == image_input.CAMERA else "file_uploader")
        assert not app.get("file_uploader" if wish == image_input.CAMERA else "camera_input")


def test_it_goes_along_to_every_page_until_another_picture_is_chosen(open_page: OpenPage, models_there: None) -> None:
    app = give(open_page("images", picture=image_input.UPLOAD), png())
    for url in WITH_A_LIST:
        go(app, url)
        assert errors(app) == []
        assert app.selectbox(key="picture").value == image_input.UPLOAD, url
        assert "Until there is a photo" not in texts(app), url
    assert "your photo, 40 × 30 pixels" in [image.caption for drawn in app.get("image") for image in drawn.proto.imgs]
    app.selectbox(key="picture").set_value("Coffee").run()
    assert not app.file_uploader, "who has chosen another is not asked for one any more"
    go(app, "images")
    assert app.selectbox(key="picture").value == "Coffee"
    app.selectbox(key="picture").set_value(image_input.UPLOAD).run()
    assert app.selectbox(key="picture").value == image_input.UPLOAD, "it is still there for who wants it back"


def test_what_is_no_picture_is_a_sentence_and_leaves_what_was_shown(open_page: OpenPage) -> None:
    app = give(open_page("channels", picture=image_input.UPLOAD), b"no picture")
    assert len(errors(app)) == 1
    assert app.selectbox(key="picture").value == "Cat"
    app.selectbox(key="picture").set_value("Coffee").run()
    assert errors(app) == []
    assert app.selectbox(key="picture").value == "Coffee"


def test_a_photo_taken_away_again_is_forgotten(open_page: OpenPage) -> None:
    app = give(open_page("channels", picture=image_input.UPLOAD), png())
    assert own_photo.PHOTO in app.session_state
    app.file_uploader(key="upload").set_value(None).run()
    assert errors(app) == []
    assert own_photo.PHOTO not in app.session_state
    assert app.selectbox(key="picture").value == "Cat"


def test_a_photo_of_one_reader_is_nobody_elses(open_page: OpenPage) -> None:
    give(open_page("channels", picture=image_input.UPLOAD), png())
    other = open_page("channels", picture=image_input.UPLOAD)
    assert own_photo.PHOTO not in other.session_state
    assert other.selectbox(key="picture").value == "Cat"


@pytest.mark.parametrize(("said", "taken"), [
    (base64.b64encode(png()).decode(), True), ("", False), (None, False), (7, False), ("%%%", False),
    (base64.b64encode(b"<svg onload=x>").decode(), False), ("A" * (2 * own_photo.MOST_KEPT_BYTES + 4), False),
], ids=["a picture", "nothing", "None", "a number", "no base64", "no picture", "too much"])
def test_what_the_browser_has_kept_is_looked_at_like_every_file(said: object, taken: bool,
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, object] = {"photo_keeper": {"found": said}}
    monkeypatch.setattr(st, "session_state", state)
    monkeypatch.setattr(st, "query_params", {})
    own_photo._found()
    assert (own_photo.given() == png()) is taken
    assert (own_photo.PHOTO in state) is taken
    assert own_photo._TROUBLE not in state


def test_what_the_browser_keeps_is_not_forgotten_when_its_answer_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, object] = {}
    monkeypatch.setattr(st, "session_state", state)
    own_photo._found()
    assert (state.get(own_photo._LOOKED), state[own_photo._ASKED]) == (None, 1)
