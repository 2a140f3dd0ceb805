"""The Network page: which networks it offers, what the browser is told, and what the server answers to it."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from playground.datasets import samples
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from playground.ui.network import stepped, view, whole
from playground.ui.parts.image_input import Picture
from playground.view import looks
from playground.view.frames import unpacked
from tests.pages.on_a_page import GRAY, OpenPage, errors, put_model, sent, texts
from tests.pages.test_kernels import put_convolution, put_deep

VIEW = "network_view"


def trained(epochs: int = 2, network: str = "c4n-b-r-p2-f-d10", name: str = "small", **settings: object) -> str:
    """The id of a small training that has ended here, in this process."""
    request = {"data": "digits", "network": network, "epochs": epochs, "train_pictures": 60, **settings}
    spec = RunSpec("digits", request, 0, name)
    folder = runs.new_folder()
    runs.write_spec(folder, spec, "cpu")
    for event in numpy_fit.fit(spec, folder, lambda: False):
        runs._append(folder, event)
    return folder.name


@pytest.mark.usefixtures("without_shipped")
def test_without_a_model_it_says_how_to_get_one(open_page: OpenPage) -> None:
    app = open_page("network")
    assert errors(app) == []
    assert "There are no models yet" in texts(app)
    assert app.button(key="go-imagenet")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("picture", ["Cat", "Handwritten digit"])
def test_a_model_is_drawn_and_its_prediction_computed(open_page: OpenPage, channels: int, picture: str) -> None:
    put_convolution("net", channels)
    app = open_page("network", picture=picture)
    assert errors(app) == []
    told = sent(app, VIEW)[0]
    structure = json.loads(looks.answer(told["token"], "structure", {}).body)
    assert structure["parts"][0]["shape"] == [4, 6, 6]
    assert structure["labels"] == ["a", "b", "c", "d"]
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value("3 × 3").run()
    assert app.success[0].value.startswith("Yes")


def test_another_picture_and_another_class_are_another_look(open_page: OpenPage) -> None:
    put_convolution("net", 1)
    app = open_page("network")
    first = sent(app, VIEW)[0]["token"]
    app.selectbox(key="picture").set_value("Handwritten digit").run()
    second = sent(app, VIEW)[0]["token"]
    box = next(box for box in app.selectbox if box.label == "Its class")
    box.set_value(next(name for name in box.options if name != box.value)).run()
    assert len({first, second, sent(app, VIEW)[0]["token"]}) == 3
    assert errors(app) == []


def its_class(app: AppTest) -> Selectbox:
    return next(box for box in app.selectbox if box.label == "Its class")


def test_the_class_is_that_of_the_picture_until_another_is_chosen(open_page: OpenPage) -> None:
    trained(1, "f-d10")
    app = open_page("network", model="training small")
    said = []
    for name in ("Astronaut", "Cat", "Coffee", "Rocket"):
        app.selectbox(key="picture").set_value(name).run()
        picture = Picture(name, samples.photo(name.lower()))
        subject = whole.made(whole.subjects(), "training small")
        assert its_class(app).value == subject.labels[whole.likeliest(subject, picture)]
        said.append(its_class(app).value)
        other = next(one for one in its_class(app).options if one != said[-1])
        its_class(app).set_value(other).run()
        assert its_class(app).value == other
    assert len(set(said)) > 1
    assert errors(app) == []


def test_the_class_of_a_cameras_pictures_stays_as_it_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    monkeypatch.setattr(whole.st, "selectbox", lambda *_, key, index, **__: keys.append(key) or "a")
    subject = whole.Subject("net", "net", GRAY, ("a", "b"), lambda _: (None, ""))  # type: ignore[arg-type,return-value]
    monkeypatch.setattr(whole, "likeliest", lambda *_: 1)
    for live in (True, False):
        for gray in (0, 9):
            whole.label_of(subject, Picture("seen", np.full((8, 8, 3), gray, np.uint8), live=live))
    assert len(set(keys)) == 3
    assert keys[0] == keys[1]


def test_what_stands_beside_has_the_class_of_the_same_name(open_page: OpenPage) -> None:
    put_model("two")
    put_model("turned", ("2", "bright", "dark"))
    put_model("others", ("3", "7", "x", "y"))
    app = open_page("network", model="two", beside="turned")

    def second() -> int:
        return int(json.loads(looks.answer(sent(app, VIEW)[0]["second"], "structure", {}).body)["label"])

    for name, label in (("dark", 2), ("bright", 1)):
        its_class(app).set_value(name).run()
        assert second() == label
        assert "has no class" not in texts(app)
    app.selectbox(key="beside").set_value("others").run()
    app.selectbox(key="picture").set_value("Handwritten digit").run()
    assert second() in (0, 3)  # what it says: its first score falls with brightness, its last one rises
    assert "the class that it says itself" in texts(app)
    app.segmented_control(key="digit").set_value(7).run()
    assert second() == 1
    assert "its loss is against “7”, the digit’s own class" in texts(app)
    assert errors(app) == []


def test_of_trainings_of_one_name_each_can_be_looked_at(open_page: OpenPage) -> None:
    ids = [trained(1, network, "twin") for network in ("f-d10", "c2-f-d10", "c2-r-f-d10")]
    found = [name for name in whole.subjects() if name.startswith("training twin")]
    assert found[0] == "training twin"
    assert [whole.made(whole.subjects(), name).key for name in found] == [f"run {one}" for one in reversed(ids)]
    app = open_page("network", model="training twin", beside=found[1])
    assert errors(app) == []
    told = sent(app, VIEW)[0]
    assert told["titles"] == ["twin", found[1].removeprefix("training ")]
    assert len(json.loads(looks.answer(told["token"], "structure", {}).body)["parts"]) == 4


def test_a_model_without_maps_is_drawn_too(open_page: OpenPage) -> None:
    put_model("linear")
    app = open_page("network")
    assert errors(app) == []
    assert sent(app, VIEW)[0]["token"]


def test_a_training_is_watched_at_each_of_its_epochs_and_beside_itself(open_page: OpenPage) -> None:
    run_id = trained()
    app = open_page("network", model="training small")
    assert errors(app) == []
    told = sent(app, VIEW)[0]
    assert (told["epochs"], told["live"], told["second"]) == ([0, 1, 2], False, None)
    assert [row[0] for row in told["curve"]] == [1, 2]
    frames = [unpacked(looks.answer(told["token"], "frame", {"parts": "0", "epoch": str(epoch)}).body)
              for epoch in (0, 1, 2)]
    assert len({body for _, body in frames}) == 3
    assert frames[1][0]["dw"]  # the first step is always measured
    app.selectbox(key="beside").set_value("epoch 0 of it").run()
    assert errors(app) == []
    told = sent(app, VIEW)[0]
    one = unpacked(looks.answer(told["second"], "frame", {"parts": "0"}).body)
    held = unpacked(looks.answer(told["token"], "frame", {"parts": "0", "epoch": "0", "hold": "2"}).body)
    assert one[1] == held[1]  # of epoch 0, in the same full colours as all others
    assert one[1] != frames[0][1]
    assert told["titles"] == ["small", "small, epoch 0"]
    app = open_page("train", run=run_id)
    assert sent(app, VIEW)[0]["epochs"] == [0, 1, 2]


def test_a_frame_says_of_every_relu_the_share_of_units_that_are_dead(open_page: OpenPage) -> None:
    trained(1, "c4-[c4-r]-c4-f-d10", "dead", first_bias=-50.0)
    trained(1, "c4-b-r-f-d10", "alive")
    shares = {}
    for name in ("dead", "alive"):
        told = sent(open_page("network", model=f"training {name}"), VIEW)[0]
        parts = json.loads(looks.answer(told["token"], "structure", {}).body)["parts"]
        said = unpacked(looks.answer(told["token"], "frame", {"parts": "0", "epoch": "1"}).body)[0]["dead"]
        assert list(said) == [str(part["i"]) for part in parts if part["words"] == "ReLU"]
        shares[name] = list(said.values())
    assert shares["dead"] == [1.0]
    assert shares["alive"] != [1.0]


def test_the_views_script_is_small() -> None:
    assert len(view.SCRIPT.encode()) <= 60 * 1024
    assert "// " not in view.SCRIPT


def nested(script: str) -> list[int]:
    """The lines in which a template begins inside of another one."""
    found, inside = [], []  # of templates, of code in them and of braces in that, the innermost last
    for hit in re.finditer(r"//[ ].*|\"[^\"\n]*\"|\\.|`|\$\{|[{}]", script):
        said, template = hit[0], bool(inside) and inside[-1] == "`"
        if said == "`":
            if not template and "`" in inside:
                found.append(script[: hit.start()].count("\n") + 1)
            inside.pop() if template else inside.append("`")
        elif said in ("{", "${") and (not template or said == "${"):
            inside.append(said)
        elif said == "}" and not template:
            inside.pop()
    assert inside == []
    return found


def test_no_template_of_the_script_has_one_inside_that_would_be_minified() -> None:
    assert nested('a = `${b ? `c  d` : ""} "`;') == [1]
    for name in view.FILES:
        assert nested((Path(view.__file__).parent / name).read_text()) == [], name


@pytest.mark.parametrize("said", [None, "part", {"part": -1}, {"part": True}, {"part": 10**9}, {"channel": 2}])
def test_what_is_no_place_in_the_view_is_none(said: object) -> None:
    assert view.chosen_of(said) is None


def test_a_design_is_at_work_before_it_is_trained(open_page: OpenPage) -> None:
    app = open_page("train", network="c4-r-f-d10", untrained="true")
    assert errors(app) == []
    assert "One batch forward and back at the first weights" in texts(app)
    told = sent(app, VIEW)[0]
    structure = json.loads(looks.answer(told["token"], "structure", {}).body)
    assert [part["words"] for part in structure["parts"]] == ["convolution", "ReLU", "flatten", "dense layer"]
    app = open_page("train", network="ten-sigmoids", untrained="true")
    assert "vanish" in texts(app).lower()


@pytest.mark.usefixtures("playground_home")
def test_a_chosen_weight_is_what_is_asked_about() -> None:
    put_deep("chosen")
    subject = whole.made(whole.subjects(), "chosen")
    x = np.random.default_rng(0).normal(size=(1, 1, 8, 8)).astype(np.float32)
    part = subject.source("")[0].run(x).parts[0]
    (name, weight), rows, columns = next(iter(part.weights.items())), *part.shape[1:]
    of = weight.size // len(weight.data)
    chosen = whole.chosen_in(part, view.Place(0, 1, None, "", "", of - 1))
    assert chosen.weight == (name, (1, *(n - 1 for n in weight.shape[1:])))
    assert chosen.place == (1, rows // 2, columns // 2)
    assert whole.chosen_in(part, view.Place(0, 1, None, "", "", of)).weight is None
    assert whole.chosen_in(part, view.Place(0, 1, None, "", "")).weight is None


@pytest.mark.usefixtures("playground_home")
def test_one_number_is_stepped_through_to_the_engines_own() -> None:
    put_deep("stepped")
    subject = whole.made(whole.subjects(), "stepped")
    x = np.random.default_rng(0).normal(size=(1, 1, 8, 8)).astype(np.float32)
    trace = subject.source("")[0].run(x)
    for part, place in ((trace.parts[0], (2, 3, 4)), (trace.parts[1], (1, 0, 0))):
        told = stepped.story(part, place)
        assert told is not None
        assert told.writes["y"][-1] == pytest.approx(float(part.output.data[(0, *place)]), rel=1e-5)
    assert stepped.story(trace.parts[2], (0,)) is None
