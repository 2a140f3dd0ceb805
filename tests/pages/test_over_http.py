"""The Models page says how a program asks, and the program hears what the page shows."""

from collections.abc import Sequence

import numpy as np
import pytest
from starlette.testclient import TestClient

from playground.deploy import session
from playground.deploy.session import Prediction
from playground.ui.parts import image_input
from playground.ui.studio import over_http
from tests.pages.on_a_page import OpenPage, errors, put_model, texts
from tests.pages.test_own_photo import give
from tests.playground.server.test_model_routes import app_of, photo, put_sigmoid

DIGITS = tuple("0123456789")


@pytest.mark.slow
def test_an_answer_is_the_pages_own_bit_for_bit(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    put_model("photos", ("cat", "dog", "a \"fox\" ü"))
    put_sigmoid("binary")
    put_model("handwriting", DIGITS)
    on_the_page: list[Prediction] = []
    predict = session.Classifier.predict

    def watched(self: session.Classifier, images: Sequence[np.ndarray]) -> list[Prediction]:
        on_the_page.extend(said := predict(self, images))
        return said

    monkeypatch.setattr(session.Classifier, "predict", watched)
    app = give(open_page("models", picture=image_input.UPLOAD, model="photos"), photo())
    pages = {"photos": on_the_page[-1]}
    for name in ("binary", "handwriting"):
        app.selectbox(key="chosen-model").set_value(name).run()
        pages[name] = on_the_page[-1]
    app.toggle(key="paper").set_value(False).run()
    pages["handwriting?as_it_is=true"] = on_the_page[-1]
    client = TestClient(app_of())
    for asked, page in pages.items():
        name, _, query = asked.partition("?")
        found = client.post(f"/api/models/{name}/predict?{query}".rstrip("?"), content=photo())
        assert found.status_code == 200, found.text
        assert found.json()["model"] == name
        said = {one["label"]: np.float32(one["probability"]) for one in found.json()["predictions"]}
        assert [(label, float(chance)) for label, chance in said.items()] == page.top(99), asked
        assert [said[label] for label in page.labels] == page.probabilities.tolist()
    ink, paper = pages["handwriting"], pages["handwriting?as_it_is=true"]
    assert ink.probabilities.tolist() != paper.probabilities.tolist()


def test_the_page_has_lines_for_the_chosen_model(open_page: OpenPage) -> None:
    put_model("first")
    put_model("second")
    app = open_page("models", model="first")
    assert errors(app) == []
    here = f"{over_http.origin(None)}/api/models/first"
    codes = [block.value for block in app.code if "/api/models/" in block.value]
    assert len(codes) == len(over_http.LINES) == 3
    assert all(f'"{here}/predict?top=3"' in code for code in codes)
    assert f"({here}/model.onnx)" in texts(app)
    assert "/api/openapi.json)" in texts(app)


@pytest.mark.parametrize(("page", "base", "origin"), [
    ("https://class.example/models", "", "https://class.example"),
    ("http://192.168.0.7:8501/play/models", "/play/", "http://192.168.0.7:8501/play"),
    ("http://[::1]:8501/", "play", "http://[::1]:8501/play"),
])
def test_the_lines_have_the_address_that_the_reader_sees(
        page: str, base: str, origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(over_http.st, "get_option", {"server.baseUrlPath": base, "server.port": 8501}.get)
    assert over_http.origin(page) == origin
