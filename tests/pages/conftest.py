"""Pages as a person meets them: inside the app, with an empty PLAYGROUND_HOME."""

import gc
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

from playground.training.runs import runs
from playground.ui import contents, frame
from playground.ui.studio import pretrained
from tests.pages.on_a_page import OpenPage
from tests.waiting import HOPE_SECONDS, until

ROOT = Path(__file__).resolve().parents[2]
REGISTERED: dict[Any, Any] = {}
"""The pages as Streamlit came to know them by the app's first run in this process: always the same. Without them
it would take a page's address for the name of its file, and show home where they differ."""


@pytest.fixture(scope="session", autouse=True)
def _packages_looked_through_once() -> Iterator[None]:
    """Streamlit looks through all installed packages for components whenever an app is made: 0.3 s, always the same."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(scope="module", autouse=True)
def _what_is_there_stays() -> None:
    """Streamlit looks through every object of the process after each pass over a page. With thousands of tests and
    torch in memory that takes seconds, so what was there before a module's tests is not looked through any more."""
    gc.freeze()


@pytest.fixture
def keras_on_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras computes with torch, as the pages' code says; without Keras the test is skipped."""
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")


@pytest.fixture
def open_page(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenPage]:
    """open_page("train", run="...") is the app at that address, run once. Runs it started are ended after."""
    monkeypatch.setattr(frame, "PAINT_SECONDS", 0.0)
    monkeypatch.setattr(pretrained, "BY_ITSELF", False)  # an export of 20 s that few tests want

    def opened(url: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "playground" / "app.py"), default_timeout=HOPE_SECONDS)
        if url != contents.CHAPTERS[0].url:
            if REGISTERED:
                app._registered_pages = dict(REGISTERED)
            else:
                app.run()
                REGISTERED.update(app._registered_pages)
            app.switch_page(str(contents.chapter(url).path))
        for key, value in query.items():
            app.query_params[key] = value
        return app.run()

    yield opened
    for run_id in runs.run_ids():
        runs.stop(run_id)
    until(lambda: not any(runs.is_alive(runs.run_dir(run_id)) for run_id in runs.run_ids()))
