"""What a person sees without scrolling at 1440 x 900: a run's progress, curves and result, the photos of a cell."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from playground import home
from playground.deploy import registry
from tests.browser.conftest import settled
from tests.browser.test_insight_browser import press
from tests.pages.on_a_page import put_run
from tests.waiting import shown

WIDTH, HEIGHT = 1440, 900


@pytest.fixture(autouse=True)
def a_desk(page: Page) -> None:
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


@pytest.fixture
def run(app_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A transfer run on the server that ended, taken away again after."""
    monkeypatch.setenv("PLAYGROUND_HOME", str(app_home))
    folder = put_run()
    yield folder.name
    registry.remove("light")
    shutil.rmtree(folder)
    shutil.rmtree(home.data_dir() / "light")


def on_the_screen(page: Page, selector: str, nth: int = 0) -> None:
    """Wait until an element lies within the screen as a whole, below the menu."""
    page.locator(selector).nth(nth).wait_for(timeout=240_000)
    shown(
        page, """([selector, nth, height]) => {
          const box = document.querySelectorAll(selector)[nth]?.getBoundingClientRect();
          return box && box.height > 0 && box.top >= 0 && box.bottom <= height;
        }""", [selector, nth, HEIGHT])


def test_a_run_shows_its_curves_and_its_result_where_start_is_even_if_it_ends_at_once(page: Page, goto) -> None:
    goto("train?epochs=1")
    page.get_by_role("button", name="Start training").click()
    on_the_screen(page, ".st-key-run-panel [data-testid='stProgress'], .st-key-run-panel [data-testid='stMetric']")
    on_the_screen(page, ".st-key-run-panel .js-plotly-plot", 0)
    on_the_screen(page, ".st-key-run-panel .js-plotly-plot", 1)
    page.get_by_text("What came out").wait_for(timeout=240_000)
    settled(page)
    for k in range(2):
        on_the_screen(page, ".st-key-run-panel [data-testid='stMetric']", k)
        on_the_screen(page, ".st-key-run-panel .js-plotly-plot", k)
    assert page.evaluate("window.scrollY") == 0
    page.get_by_text("epoch 1 of 1").wait_for()
    box = page.locator(".st-key-run-panel .js-plotly-plot").nth(1).bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= HEIGHT


def test_the_run_of_the_address_stands_on_top_of_the_transfer_page(page: Page, goto, run: str) -> None:
    goto(f"transfer?run={run}")
    for k in range(2):
        on_the_screen(page, ".st-key-run-panel [data-testid='stMetric']", k)
        on_the_screen(page, ".st-key-run-panel .js-plotly-plot", k)


def test_the_photos_of_a_cell_that_is_clicked_come_onto_the_screen(page: Page, goto, run: str) -> None:
    goto(f"transfer?run={run}")
    press(page, "confusion", 0.9, 0.25, "1 of 5 photos of dark were taken for br*ght.")
    on_the_screen(page, ".st-key-photos-of-a-cell [data-testid='stImage']")
    on_the_screen(page, ".st-key-photos-of-a-cell .js-plotly-plot")


@pytest.mark.parametrize(("path", "button", "key"), [
    ("batch-norm?epochs=5", "Start the race", "experiment-batch-norm-race"),
    ("augmentation?epochs=10", "Train both", "experiment-augmentation"),
])
def test_an_experiment_is_brought_onto_the_screen_when_it_is_started(page: Page, goto, path: str, button: str,
                                                                     key: str) -> None:
    goto(path)
    page.get_by_role("button", name=button).click()
    on_the_screen(page, f".st-key-{key} .js-plotly-plot")


def test_the_lab_trains_all_with_one_button_on_top(page: Page, goto) -> None:
    goto("lab?epochs=3")
    on_the_screen(page, ".st-key-train-all")
    page.get_by_role("button", name="Train all").click()
    on_the_screen(page, ".st-key-lab-all [data-testid='stProgress'], .st-key-lab-all [data-testid='stMetric']")
    on_the_screen(page, ".st-key-lab-curves .js-plotly-plot")
    page.get_by_text(re.compile(r"Guessing would give 50")).first.wait_for(timeout=240_000)
    on_the_screen(page, ".st-key-lab-all [data-testid='stMetric']")
    on_the_screen(page, ".st-key-lab-curves .js-plotly-plot")
