"""The picture that a design and a training are looked at on: of the data, one's own, a drawing, what a camera sees."""

import json

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from playground.datasets import named, picture
from playground.datasets.preprocessing import Preprocessing
from playground.training.runs import runs
from playground.training.scratch import numpy_fit
from playground.ui.network import whole
from playground.ui.parts import camera, image_input
from playground.view import looks
from playground.view.looks import Look
from tests.pages.on_a_page import OpenPage, errors, put_model, sent, texts
from tests.pages.picture_kinds import handwriting, saved, scene
from tests.pages.test_camera import shot
from tests.pages.test_network import trained

DESIGN = {"network": "c4-r-f-d10", "untrained": "true"}
PLACES = ("design", "training", "network")


def open_place(open_page: OpenPage, place: str, **more: str) -> tuple[AppTest, Preprocessing]:
    """The page on which a view of the digits stands: of a design, beside the curves of a training, of a network; and
    what is done to the pictures there."""
    if place == "design":
        return open_page("train", **DESIGN, **more), numpy_fit.preprocessing_of(named.load("digits")[0].images, True)
    run = trained(1, "f-d10")
    subject = whole.of_run(runs.view(run))
    assert subject is not None
    app = open_page("train", run=run, **more) if place == "training" else open_page(
        "network", model="training small", **more)
    return app, subject.preprocessing


def looks_of(app: AppTest) -> list[Look]:
    assert [one for one in errors(app) if "ended without a last word" not in one] == []  # `trained` exports nothing
    return [looks._LOOKS[one["token"]] for one in sent(app, "network_view")]


@pytest.mark.parametrize("place", PLACES)
def test_a_test_picture_is_looked_at_with_its_class(place: str, open_page: OpenPage) -> None:
    _, test = named.load("digits")
    app, preparation = open_place(open_page, place, picture=image_input.TEST)
    for which in (0, 7):
        app.number_input(key="which").set_value(which).run()
        (look,) = looks_of(app)
        assert look.label == test.labels[which]
        np.testing.assert_allclose(look.x[0], preparation.apply(test.images[which]), atol=1e-6)


@pytest.mark.parametrize("place", PLACES)
def test_ones_own_photo_is_looked_at_as_a_model_is_asked_about_it(place: str, open_page: OpenPage) -> None:
    _, test = named.load("digits")
    app, preparation = open_place(open_page, place, picture=image_input.UPLOAD)
    (before,) = looks_of(app)
    assert before.x.shape == (1, 1, 8, 8)
    for data in (handwriting(), saved(Image.fromarray(scene()), "PNG")):
        app.file_uploader(key="upload").set_value(("own.png", data, "image/png")).run()
        (look,) = looks_of(app)
        np.testing.assert_allclose(look.x[0], preparation.apply(picture.for_model(data, test.classes)), atol=1e-5)
    app.toggle(key="paper").set_value(False).run()
    np.testing.assert_allclose(looks_of(app)[0].x[0], preparation.apply(picture.read(data)), atol=1e-5)
    box = next(one for one in app.selectbox if one.label == "Its class")
    other = next(one for one in box.options if one != box.value)
    box.set_value(other).run()
    assert looks_of(app)[0].label == int(other)


@pytest.mark.parametrize("place", PLACES)
def test_a_drawing_is_looked_at_cut_to_its_ink(place: str, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
                                               ) -> None:
    ink = np.zeros((64, 64), np.uint8)
    app, preparation = open_place(open_page, place, picture=image_input.DRAWN)
    assert "Until you do, this is test picture 0." in texts(app)
    ink[8:40, 20:24] = 255
    monkeypatch.setattr(image_input, "drawing", lambda *_, **__: ink)
    app.run()
    (look,) = looks_of(app)
    np.testing.assert_allclose(look.x[0], preparation.apply(picture.filled(ink)), atol=1e-6)


@pytest.mark.parametrize("place", PLACES)
def test_what_a_camera_sees_is_looked_at(place: str, open_page: OpenPage) -> None:
    app, preparation = open_place(open_page, place, picture=image_input.LIVE)
    seen = camera.jpeg(shot((200, 30, 30)))
    assert seen is not None
    app.session_state[camera.SEEN] = seen
    app.run()
    (look,) = looks_of(app)
    shown = picture.ink(picture.read(seen))
    np.testing.assert_allclose(look.x[0], preparation.apply(shown), atol=1e-5)


def test_photographs_are_looked_at_in_colour_and_in_the_designs_size(open_page: OpenPage) -> None:
    app = open_page("train", data="faces (photos)", side="48", network="c4-r-g-d2", untrained="true",
                    picture=image_input.UPLOAD)
    data = saved(Image.fromarray(scene()), "PNG")
    app.file_uploader(key="upload").set_value(("own.png", data, "image/png")).run()
    (look,) = looks_of(app)
    assert not [one for one in app.toggle if one.key == "paper"], "nobody reads handwriting here"
    learnt, _ = named.load(app.session_state["design-request"]["data"])
    preparation = numpy_fit.preprocessing_of(learnt.images, True)
    np.testing.assert_allclose(look.x[0], preparation.apply(picture.read(data)), atol=1e-5)
    assert look.x.shape == (1, 3, 48, 48)


def test_a_page_with_a_training_and_a_design_has_one_chooser_for_both(open_page: OpenPage) -> None:
    app = open_page("train", run=trained(1, "f-d10"), **DESIGN)
    for which in (0, 5):
        app.number_input(key="which").set_value(which).run()
        above, below = looks_of(app)
        np.testing.assert_array_equal(above.shown, below.shown)
        assert (above.label, below.label) == (named.load("digits")[1].labels[which],) * 2
    assert "On the picture that is chosen for the training above: test picture 5." in texts(app)
    app.selectbox(key="picture").set_value("Handwritten digit").run()
    above, below = looks_of(app)
    np.testing.assert_array_equal(above.shown, below.shown)
    app.session_state["at-work"] = False
    app.run()
    (alone,) = looks_of(app)
    assert app.selectbox(key="picture"), "the design has the chooser itself, now"
    assert json.loads(looks.answer(alone.token, "structure", {}).body)["parts"][0]["words"] == "convolution"


def test_a_design_for_other_data_is_looked_at_on_a_picture_of_its_own_data(open_page: OpenPage) -> None:
    app = open_page("train", run=trained(1, "f-d10"), data="faces (photos)", side="32", network="c4-r-g-d2",
                    untrained="true")
    above, below = looks_of(app)
    assert (above.x.shape, below.x.shape) == ((1, 1, 8, 8), (1, 3, 32, 32))
    app.number_input(key="which-below").set_value(3).run()
    assert not np.array_equal(looks_of(app)[1].x, below.x)


def test_the_picture_stays_when_another_network_is_chosen(open_page: OpenPage) -> None:
    trained(1, "f-d10")
    put_model("two")
    app = open_page("network", model="training small", picture="Handwritten digit")
    for name in ("two", "training small", "two"):
        app.selectbox(key="model").set_value(name).run()
        assert errors(app) == []
        assert app.selectbox(key="picture").value == "Handwritten digit"
    app.selectbox(key="model").set_value("training small").run()
    app.selectbox(key="picture").set_value(image_input.TEST).run()
    app.selectbox(key="model").set_value("two").run()
    assert errors(app) == []
    assert app.selectbox(key="picture").value == "Cat", "it has no test pictures here"
