"""Pages of a class as one of its readers, or its teacher, sees them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from playground.classroom import keys
from playground.ui import contents, frame, reader
from playground.ui.studio import pretrained
from tests.waiting import HOPE_SECONDS

ROOT = Path(__file__).resolve().parents[2]
Opened = Callable[..., AppTest]


@pytest.fixture
def open_as(class_home: Path, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """open_as(key, "train", teacher=True, run=...): a page as the owner of the key sees it."""
    monkeypatch.setattr(frame, "PAINT_SECONDS", 0.0)
    monkeypatch.setattr(pretrained, "BY_ITSELF", False)

    def opened(key: str, url: str = "class", teacher: bool = False, **query: str) -> AppTest:
        shown = {keys.COOKIE: key, keys.TEACHER: keys.teacher_cookie() if teacher else ""}
        monkeypatch.setattr(reader, "cookie", lambda name: shown[name])
        app = AppTest.from_file(str(ROOT / "playground" / "app.py"), default_timeout=HOPE_SECONDS)
        if url != contents.CHAPTERS[0].url:
            app.run().switch_page(str(contents.chapter(url).path))
        for name, value in query.items():
            app.query_params[name] = value
        return app.run()

    return opened
