"""The Channels page: it opens, agrees with the engine, and counts parameters."""

import pytest

from tests.pages.on_a_page import OpenPage


@pytest.mark.parametrize("filters", [1, 8])
def test_the_fewest_and_the_most_filters_are_drawn_and_counted(filters: int, open_page: OpenPage) -> None:
    app = open_page("channels", filters=str(filters))
    assert not app.exception
    assert not app.error
    app.radio(key=f"guess-{filters}").set_value(filters * 28).run()
    assert f"{filters * 28}" in app.success[0].value


@pytest.mark.parametrize(("p", "q"), [("3", "7"), ("9999", "-5"), ("x", "1")])
def test_the_inspected_place_is_in_the_address_and_an_impossible_one_does_no_harm(
    p: str, q: str, open_page: OpenPage
) -> None:
    app = open_page("channels", p=p, q=q)
    assert not app.exception
    assert not app.error
    if p == "3":
        assert (app.slider(key="p").value, app.slider(key="q").value) == (3, 7)
