"""The frame round every page: navigation, claim, the way on, and a floor that no error falls through."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from playground.errors import PlaygroundError
from playground.ui import contents, frame
from playground.ui.parts import lesson
from tests.pages.on_a_page import OpenPage, errors, texts

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("chapter", contents.CHAPTERS, ids=lambda c: c.url)
def test_every_page_opens_with_its_title_its_claim_and_a_way_on(chapter: contents.Chapter, open_page: OpenPage) -> None:
    app = open_page(chapter.url)
    assert errors(app) == []
    assert app.title[0].value == chapter.title
    assert chapter.claim in texts(app)
    links = [str(element.proto.label) for element in app.get("page_link")]
    after = contents.following(chapter)
    assert any(after.title in label or "Back to the start" in label for label in links)


def test_every_page_file_is_in_the_table_of_contents_and_every_row_has_a_file() -> None:
    assert sorted(p.name for p in (ROOT / "pages").glob("*.py")) == sorted(
        c.file for c in (*contents.CHAPTERS, contents.CLASS))


def test_the_pages_are_grouped_and_in_the_order_of_their_numbers() -> None:
    files = [c.file for c in contents.CHAPTERS]
    assert files == sorted(files)
    assert list(contents.navigation()) == ["Start", "Learn", "Build"]


def test_the_tab_has_a_picture_of_ours_before_streamlit_would_fetch_one(
    open_page: OpenPage, monkeypatch: pytest.MonkeyPatch,
) -> None:
    called: list[str] = []
    configure, navigate = st.set_page_config, st.navigation

    def configured(**options: Any) -> None:
        called.extend(options)
        configure(**options)

    def navigated(*pages: Any, **options: Any) -> Any:
        called.append("navigation")
        return navigate(*pages, **options)

    monkeypatch.setattr(st, "set_page_config", configured)
    monkeypatch.setattr(st, "navigation", navigated)
    assert errors(open_page("home")) == []
    assert called == ["page_icon", "layout", "navigation", "page_title"]


@pytest.mark.slow
def test_no_page_waits_for_torch(playground_home: Path) -> None:
    program = (
        "import functools, sys\n"
        "from streamlit.components.v2 import manifest_scanner as scanner\n"  # 0.3 s for every app, as in conftest.py
        "scanner.scan_component_manifests = functools.cache(scanner.scan_component_manifests)\n"
        "from streamlit.testing.v1 import AppTest\n"
        "from playground.ui import contents\n"
        "from playground.ui.studio import pretrained\n"
        "pretrained.BY_ITSELF = False\n"
        "first = AppTest.from_file('playground/app.py', default_timeout=900).run()\n"
        "for c in contents.CHAPTERS:\n"
        "    app = AppTest.from_file('playground/app.py', default_timeout=900)\n"
        "    app._registered_pages = first._registered_pages\n"  # else an address is taken for the name of a file
        "    app.switch_page(str(c.path)).run()\n"
        "    assert app.title[0].value == c.title, c.url\n"
        "    assert not app.exception and not app.error, c.url\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]


def fails_expectedly() -> None:
    from playground.errors import PlaygroundError
    from playground.ui import frame

    with frame.guard("The test"):
        raise PlaygroundError("No [photo](http://elsewhere) here.")


def fails_unexpectedly() -> None:
    import streamlit as st

    from playground.ui import frame

    with frame.guard("The test"):
        raise ZeroDivisionError("secret detail")
    st.write("the rest stands")


def test_an_expected_error_is_shown_as_its_sentence_and_nothing_in_it_becomes_a_link() -> None:
    app = AppTest.from_function(fails_expectedly).run()
    assert not app.exception
    assert app.error[0].value == r"No \[photo\]\(http\:\/\/elsewhere\) here\."


def redraws() -> None:
    import streamlit as st

    from playground.errors import PlaygroundError
    from playground.ui import frame
    from playground.ui.parts import lesson

    again: list[object] = []  # the fragments as they were called: Streamlit runs them so again

    def fragment(draw=None, **_):  # type: ignore
        return (lambda *given: again.append(lambda: draw(*given)) or draw(*given)) if draw else lambda inner: inner

    real, st.fragment = st.fragment, fragment  # type: ignore
    drawn: list[int] = []

    def draw() -> int:
        drawn.append(len(drawn))
        if len(drawn) == 3:
            raise PlaygroundError("One sentence.")
        return 7

    try:
        st.write(lesson.figure_first(draw))
        again[0]()  # type: ignore[operator]
        again[0]()  # type: ignore[operator]
        with frame.guard("The test"):
            drawn[:] = [0, 1]
            lesson.figure_first(draw)
            st.write("not reached")
    finally:
        st.fragment = real


def test_a_figure_that_comes_first_returns_what_it_drew_and_its_errors_are_sentences() -> None:
    app = AppTest.from_function(redraws).run()
    assert not app.exception
    assert [e.value for e in app.error] == ["One sentence\\."] * 2, "in a redraw, and in a run of the whole page"
    assert [m.value for m in app.markdown] == ["`7`"]


class Groups:
    """Two groups of controls that count how often each is drawn."""

    def __init__(self, broken: bool = False) -> None:
        self.first = self.second = 0
        self.broken = broken

    def groups(self) -> tuple[Callable[[], None], ...]:
        return self._first, self._second

    def setting(self) -> tuple[int, int]:
        return self.first, self.second

    def _first(self) -> None:
        self.first += 1

    def _second(self) -> None:
        if self.broken:
            raise PlaygroundError("Broken off.")
        self.second += self.first


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """The fragments in the order they were drawn, each to be called as Streamlit runs it again."""
    calls: list[Callable[[], object]] = []

    def fragment(draw: Callable[..., object] | None = None, **_: object) -> object:
        def called(*given: object) -> object:
            calls.append(lambda: draw(*given))  # type: ignore[misc]
            return draw(*given)  # type: ignore[misc]

        return called if draw else lambda inner: inner

    monkeypatch.setattr("streamlit.fragment", fragment)
    return calls


def test_a_control_has_its_own_group_and_the_figure_drawn_again_and_nothing_else(
    again: list[Callable[[], object]],
) -> None:
    told: list[str] = []
    found = lesson.figure_first(
        Groups(), lambda setting: told.append(f"figure {setting}"), below=(lambda setting: told.append("below"),),
        question=lambda setting: told.append("question"))
    assert found == (1, 1)
    assert told == ["figure (1, 1)", "below", "question"], "the figure once, when all groups have said what they say"
    told.clear()
    again[1]()
    assert told == ["figure (1, 2)"]
    again[0]()
    assert told == ["figure (1, 2)", "figure (2, 2)"]


def test_a_control_of_a_page_that_was_broken_off_asks_for_the_whole_page(
    again: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Rerun(BaseException):
        pass

    def rerun() -> None:
        raise Rerun

    monkeypatch.setattr("streamlit.rerun", rerun)
    drawn: list[object] = []
    with pytest.raises(PlaygroundError, match="Broken off"):
        lesson.figure_first(Groups(broken=True), drawn.append)
    with pytest.raises(Rerun):
        again[0]()
    assert drawn == []


def test_an_unexpected_error_says_what_to_do_keeps_its_details_to_the_log_and_leaves_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = AppTest.from_function(fails_unexpectedly).run()
    assert not app.exception
    assert "Reload the page" in app.error[0].value
    assert "secret" not in app.error[0].value
    assert "secret detail" in caplog.text
    assert app.markdown[0].value == "the rest stands"


@pytest.mark.parametrize("name", ["![x](http://e.vil/p.png)", "<b>bold</b>", "$a$ :red[x] `y` *z* #h", "a\n# b"])
def test_a_name_typed_by_a_user_shows_as_it_is(name: str) -> None:
    escaped = frame.literal(name)
    assert "\n" not in escaped
    assert escaped.replace("\\", "") == " ".join(name.split())
    punctuation = [k for k, c in enumerate(escaped) if c in "![]()<>$:`*#"]
    assert punctuation
    assert all(escaped[k - 1] == "\\" for k in punctuation)


def test_an_error_for_a_person_passes_through_the_guard_of_a_fragment() -> None:
    @frame.guarded("The test")
    def draw() -> None:
        raise PlaygroundError("one sentence")

    assert draw.__name__ == "draw"
    draw()
