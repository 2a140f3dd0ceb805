"""The Feature maps page: without a model it says how to get one, with one it shows any layer down to one number."""

import pytest

from playground.deploy import registry
from tests.pages.on_a_page import OpenPage, errors, put_model, texts
from tests.pages.test_kernels import put_convolution, put_deep


@pytest.mark.usefixtures("without_shipped")
def test_without_a_model_it_says_how_to_get_one(open_page: OpenPage) -> None:
    app = open_page("feature-maps")
    assert not app.exception
    assert not app.error
    assert "There are no models yet" in texts(app)
    assert app.button(key="go-imagenet")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("picture", ["Cat", "Handwritten digit"])
def test_a_layer_is_shown_down_to_one_number(open_page: OpenPage, channels: int, picture: str) -> None:
    put_convolution("net", channels)
    app = open_page("feature-maps", picture=picture)
    assert not app.exception
    assert not app.error
    said = texts(app)
    assert "1. Conv: 4 maps of 6 × 6" in said
    assert f"{channels} channel{'s' * (channels > 1)} × 3 × 3 = {channels * 9} products and a bias" in said
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value("3 × 3").run()
    assert app.success[0].value.startswith("Yes")
    next(box for box in app.selectbox if box.label == "Score of").set_value("b").run()
    assert not app.exception


def test_a_model_without_maps_is_a_sentence(open_page: OpenPage) -> None:
    put_model("linear")
    assert registry.entries()[0].card
    app = open_page("feature-maps")
    assert not app.exception
    assert "no feature maps" in app.error[0].value


@pytest.mark.parametrize("query", [{"map": "2", "p": "1", "q": "4"}, {"map": "99", "p": "99", "q": "-1"},
                                   {"layer": "no such layer"}])
def test_the_place_is_in_the_address_and_an_impossible_one_does_no_harm(
    open_page: OpenPage, query: dict[str, str]
) -> None:
    put_convolution("net", 1)
    app = open_page("feature-maps", **query)
    assert not app.exception
    assert not app.error
    if query.get("map") == "2":
        assert "Map 2, row 1, column 4" in texts(app)
    app.selectbox(key="picture").set_value("Handwritten digit").run()
    assert not app.exception
    assert not app.error


def test_another_layer_begins_at_its_own_strongest_place(open_page: OpenPage) -> None:
    put_deep("deep")
    app = open_page("feature-maps", map="3", p="5", q="5")
    assert "Map 3, row 5, column 5" in texts(app)
    box = app.selectbox(key="layer")
    box.set_value(next(title for title in box.options if "3 maps of 1 × 1" in title)).run()
    assert not app.exception
    assert errors(app) == []
    assert (app.number_input(key="map").max, app.number_input(key="map").value) != (2, 3)
    said = texts(app)
    strongest = said.split("The strongest filters: ")[1].split(" ")[0]
    assert f"Map {strongest}, row 0, column 0" in said
    box = app.selectbox(key="layer")
    box.set_value(next(title for title in box.options if "4 maps of 6 × 6" in title)).run()
    assert "Map 3, row 5, column 5" not in texts(app)
    assert errors(app) == []


def test_no_formula_has_an_activation_that_the_listed_layers_have_not(open_page: OpenPage) -> None:
    put_convolution("net", 1)
    app = open_page("feature-maps")
    assert not any("ReLU" in latex.value for latex in app.latex)
    assert "layers of their own" in texts(app)
