"""The Channels page: it opens, agrees with the engine, counts parameters, and its code runs."""

import pytest

from playground.ui import channels
from tests.pages.on_a_page import OpenPage, printed


@pytest.mark.parametrize("filters", [1, 8])
def test_the_fewest_and_the_most_filters_are_drawn_and_counted(filters: int, open_page: OpenPage) -> None:
    app = open_page("channels", filters=str(filters))
    assert not app.exception
    assert not app.error
    app.radio(key="guess").set_value(filters * 28).run()
    assert f"{filters * 28}" in app.success[0].value


def test_the_code_on_the_page_runs_in_the_engine_and_in_torch_and_agrees() -> None:
    assert printed(channels.OURS) == printed(channels.PYTORCH)
