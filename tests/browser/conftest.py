"""One server for all browser tests, with an empty PLAYGROUND_HOME of its own, and Debian's Chromium to look at it."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from playwright.sync_api import expect

from bench.served import served
from playground.datasets import named
from playground.numbers import percent

HOPE = 300_000
"""Milliseconds after which a test no longer waits for what the page is to show: no machine is that slow."""
expect.set_options(timeout=HOPE)
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
     if (found := shutil.which(name))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder is a browser test; without a browser it is skipped, or fails where one is required."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None and not os.environ.get("REQUIRE_BROWSER"):
                item.add_marker(pytest.mark.skip(reason="no Chromium on PATH (REQUIRE_BROWSER=1 makes this a failure)"))


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    assert CHROMIUM, "browser tests are required (REQUIRE_BROWSER) and no Chromium is on PATH"
    return {
        "executable_path": CHROMIUM,
        "args": ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                 "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream",
                 "--use-fake-ui-for-media-stream", "--process-per-site"],  # see kept_open
    }


@pytest.fixture(scope="session")
def app_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The PLAYGROUND_HOME of the server: models and runs of the tests land here."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def app_url(app_home: Path) -> Iterator[str]:
    """The address of a running app: one for each process of the suite, started as a person would."""
    with served(app_home) as url:
        yield url


@pytest.fixture(scope="session")
def shared_context(browser, app_url: str):  # type: ignore[no-untyped-def]
    """One browser profile for all tests: the app's scripts are fetched and compiled once, as for a reader."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, accept_downloads=True)
    context.set_default_timeout(HOPE)
    kept_open(context, app_url)
    yield context
    context.close()


def kept_open(context, app_url: str) -> None:  # type: ignore[no-untyped-def]
    """Keep a window of no weight on the app: all windows of a profile share the process of their site, and it stays
    while one of them is open. A process of its own for every test would compile the app's scripts anew."""
    context.new_page().goto(f"{app_url}/_stcore/health")


@pytest.fixture
def page(shared_context):  # type: ignore[no-untyped-def]
    """A window of its own for every test."""
    opened = shared_context.new_page()
    yield opened
    opened.close()


@pytest.fixture
def goto(page, app_url):  # type: ignore[no-untyped-def]
    """goto("convolution") opens that page and waits until its script has run."""
    def open_page(path: str = "") -> None:
        page.goto(f"{app_url}/{path}")
        settled(page)

    return open_page


def settled(page) -> None:  # type: ignore[no-untyped-def]
    """Wait until the app's script is not running."""
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def silent(page, sent: list[object]) -> None:  # type: ignore[no-untyped-def]
    """Wait until the browser has told the server nothing for half a second; `sent` grows with what it tells."""
    told = -1
    while told < len(sent):
        told = len(sent)
        page.wait_for_timeout(500)  # that nothing comes is seen by waiting only


def answers_of_the_download(page, into: Path) -> tuple[np.ndarray, list[str], named.ImageSet]:  # type: ignore[no-untyped-def]
    """Download the model that the page offers and ask plain onnxruntime about the digits' test pictures: probabilities
    (N, K), the labels in the file, and the pictures. The accuracy that the page shows has to be theirs."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Download .onnx").click()
    file = into / "model.onnx"
    download.value.save_as(file)
    session = onnxruntime.InferenceSession(file)
    _, test = named.load("digits")
    pixels = np.repeat(test.images[..., None], 3, axis=-1)
    _, probabilities = session.run(["logits", "probabilities"], {"image": pixels})
    accuracy = float((probabilities.argmax(1) == test.labels).mean())
    shown = page.locator('[data-testid="stMetric"]', has_text="test accuracy").locator('[data-testid="stMetricValue"]')
    assert shown.inner_text() == percent(accuracy)
    return probabilities, json.loads(session.get_modelmeta().custom_metadata_map["labels"]), test
