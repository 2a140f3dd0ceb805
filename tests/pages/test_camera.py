"""What the live camera sends is looked at, kept while it is looked at, and followed where a page asks for it."""

import base64
import io
from typing import Any

import pytest
import streamlit as st
from PIL import Image

from playground.ui import frame
from playground.ui.parts import camera
from playground.ui.parts.image_input import LIVE
from playground.view import looks
from tests.pages.on_a_page import OpenPage, errors, put_model, texts
from tests.pages.test_kernels import put_convolution


def shot(colour: tuple[int, int, int] = (200, 30, 30)) -> str:
    file = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(file, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", kept)
    return kept


def test_a_picture_is_kept_and_the_camera_counts_as_on_until_it_says_otherwise(state: dict[str, Any]) -> None:
    camera.take_picture({"shot": shot(), "on": True})
    assert state[camera.SEEN] == camera.jpeg(shot())
    assert camera.is_on()
    camera.take_picture({"shot": None, "on": False})
    assert state[camera.SEEN] == camera.jpeg(shot())
    assert not camera.is_on()


def test_a_camera_that_is_not_heard_of_is_off_after_a_while(
    state: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(camera.time, "monotonic", lambda: now[0])
    camera.take_picture({"shot": shot(), "on": True})
    now[0] += camera.PATIENCE_SECONDS - 0.1
    assert camera.is_on()
    now[0] += 0.2
    assert not camera.is_on()


def test_another_choice_ends_it(state: dict[str, Any]) -> None:
    camera.take_picture({"shot": shot(), "on": True})
    camera.gone()
    assert not camera.is_on()


@pytest.mark.parametrize("given", [
    None, 3, [], {}, {"shot": 3, "on": 1}, {"shot": "http://elsewhere/1.jpg"}, {"shot": "data:image/jpeg;base64,%%%"},
    {"shot": "data:text/html;base64,AAAA"}, {"shot": "data:image/jpeg;base64," + "A" * camera.MOST_SHOT_BYTES},
], ids=lambda given: str(given)[:40])
def test_odd_pictures_are_dropped_but_answered_so_that_the_next_may_come(state: dict[str, Any], given: Any) -> None:
    camera.take_picture(given)
    assert camera.SEEN not in state
    assert not camera.is_on()
    assert sum(isinstance(value, int) and value == 1 for value in state.values()) == 1


@pytest.mark.parametrize("url", ["models", "kernels"])
def test_without_a_picture_yet_the_sample_stands_there(open_page: OpenPage, url: str) -> None:
    if url == "models":
        put_model("small")
    app = open_page(url, picture=LIVE)
    assert errors(app) == []
    assert app.selectbox(key="picture").value == LIVE
    assert "is not kept" in texts(app)


def test_what_it_saw_last_is_answered(open_page: OpenPage) -> None:
    put_model("small")
    app = open_page("models", picture=LIVE)
    before = [element.value for element in app.markdown if element.value.startswith("## ")]
    app.session_state[camera.SEEN] = camera.jpeg(shot((255, 255, 255)))
    app.run()
    assert errors(app) == []
    after = [element.value for element in app.markdown if element.value.startswith("## ")]
    assert before != after
    assert app.toggle(key="heat").label == "Where does it look?"
    assert len(app.get("image")) == 1


def test_bytes_that_are_no_picture_are_a_sentence(open_page: OpenPage) -> None:
    put_model("small")
    app = open_page("models", picture=LIVE)
    app.session_state[camera.SEEN] = b"\xff\xd8\xffnot a picture"
    app.run()
    assert len(errors(app)) == 1
    assert "Traceback" not in texts(app)


@pytest.mark.parametrize("url", ["convolution", "channels"])
def test_pages_that_do_not_follow_it_do_not_offer_it(open_page: OpenPage, url: str) -> None:
    app = open_page(url, picture=LIVE)
    assert errors(app) == []
    assert LIVE not in app.selectbox(key="picture").options


def test_while_it_is_on_answers_keep_their_places_and_nothing_slow_is_offered(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_model("small", ("dark", "middle", "bright"))
    app = open_page("models", picture=LIVE)
    monkeypatch.setattr(camera, "is_on", lambda: True)
    app.session_state[camera.SEEN] = camera.jpeg(shot((255, 255, 255)))
    app.run()
    assert errors(app) == []
    assert [toggle.key for toggle in app.toggle] == []
    assert len(app.get("image")) == 0


def test_the_whole_network_follows_it(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    put_convolution("net", 3)
    app = open_page("network", picture=LIVE)
    assert errors(app) == []
    before = set(looks._LOOKS)
    monkeypatch.setattr(camera, "is_on", lambda: True)
    app.session_state[camera.SEEN] = camera.jpeg(shot())
    app.run()
    assert errors(app) == []
    assert set(looks._LOOKS) - before


def test_what_a_component_sent_before_it_left_the_page_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(st, "session_state", {"there": {"picture": 3, "other": None}})
    assert frame.sent("there", "picture") == 3
    assert frame.sent("there", "unheard of") is None
    assert frame.sent("gone", "picture") is None


def test_a_digit_on_paper_is_seen_as_the_digits_are_that_the_model_learnt_from(open_page: OpenPage) -> None:
    put_model("small", tuple("0123456789"), task="digits")  # 0 is dark, 9 is bright
    app = open_page("models", picture=LIVE)
    assert "paper" not in [toggle.key for toggle in app.toggle]
    app.session_state[camera.SEEN] = camera.jpeg(shot((240, 240, 240)))
    app.run()
    assert errors(app) == []
    on_paper = [element.value for element in app.markdown if element.value.startswith("## ")]
    app.toggle(key="paper").set_value(False).run()
    as_it_is = [element.value for element in app.markdown if element.value.startswith("## ")]
    assert on_paper[0].startswith("## 0,")
    assert as_it_is[0].startswith("## 9,")
