"""Pages as a person meets them: inside the app, with an empty PLAYGROUND_HOME."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from playground.training import runs
from playground.ui import contents, frame, pretrained
from tests.pages.on_a_page import OpenPage

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def open_page(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenPage]:
    """open_page("train", run="...") is the app at that address, run once. Runs it started are ended after."""
    monkeypatch.setattr(frame, "PAINT_SECONDS", 0.0)
    monkeypatch.setattr(pretrained, "BY_ITSELF", False)  # an export of 20 s that few tests want

    def opened(url: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(ROOT / "playground" / "app.py"), default_timeout=60)
        if url != contents.CHAPTERS[0].url:
            app.run().switch_page(str(contents.chapter(url).path))
        for key, value in query.items():
            app.query_params[key] = value
        return app.run()

    yield opened
    deadline = time.monotonic() + 60
    for run_id in runs.run_ids():
        runs.stop(run_id)
        while runs.is_alive(runs.run_dir(run_id)) and time.monotonic() < deadline:
            time.sleep(0.05)
