"""A result understood with the mouse: a click on a cell of the confusion matrix opens the photos in it."""

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from playground import home
from playground.deploy import registry
from tests.browser.conftest import settled
from tests.pages.on_a_page import put_run


@pytest.fixture
def run(app_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A run on the server that ended, taken away again after, with its model and its photos."""
    monkeypatch.setenv("PLAYGROUND_HOME", str(app_home))
    folder = put_run()
    yield folder.name
    registry.remove("light")
    shutil.rmtree(folder)
    shutil.rmtree(home.data_dir() / "light")


def press(page: Page, chart: str, x: float, y: float, then: str) -> None:
    """Click at a share of the plot's width and height, as a hand does, until the page says `then`.

    The mouse comes from somewhere; and a hand that clicks while a busy browser still moves things clicks again.
    """
    area = page.locator(f".st-key-{chart} .nsewdrag").first
    for patience in (5_000, 10_000, 20_000):
        settled(page)
        area.wait_for()
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + x * box["width"] - 5, box["y"] + y * box["height"])
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
        page.locator(f".st-key-{chart} .hovertext").first.wait_for()  # from here on the chart knows where the mouse is
        page.mouse.down()
        page.mouse.up()
        with contextlib.suppress(AssertionError):
            expect(page.get_by_text(then)).to_be_visible(timeout=patience)
            return
    expect(page.get_by_text(then)).to_be_visible()


def test_a_cell_that_is_clicked_shows_its_photos(page, goto, run: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 2400})
    goto(f"transfer?run={run}")
    press(page, "confusion", 0.9, 0.25, "1 of 5 photos of dark were taken for br*ght.")
    expect(page.get_by_text(re.compile(r"220\.png"))).to_be_visible()
    press(page, "cells", 0.6, 0.9, "4 of 5 photos of br*ght were taken for br*ght.")  # anywhere in the cell
    expect(page.get_by_text(re.compile(r"2\d0\.png"))).to_have_count(4)
    page.reload()
    expect(page.get_by_text("4 of 5 photos of br*ght were taken for br*ght.")).to_be_visible()
    assert page.locator('[data-testid="stAlertContentError"]').all_inner_texts() == []
