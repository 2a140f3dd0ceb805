"""What every page has around it: heading and claim above, the way on below, and a floor no error falls through."""

import functools
import importlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ParamSpec

import numpy as np
import streamlit as st
from PIL import Image
from streamlit.runtime.scriptrunner import get_script_run_ctx

from playground import home
from playground.errors import PlaygroundError
from playground.figures import maps, style
from playground.ui import contents, links, reader
from playground.ui.classroom import class_link, tour

P = ParamSpec("P")
log = logging.getLogger(__name__)

_CSS = (Path(__file__).parent / "frame.css").read_text()
_SYMBOLS = "\n".join(  # KaTeX writes a letter's colour into the element: in the dark it becomes the lighter one
    f'.katex [style*="{style.rgb(light)}"] {{ color: {style.by_theme(light, style.SYMBOLS_DARK[symbol])} !important; }}'
    for symbol, light in style.SYMBOLS.items())
STYLE = f"<style>{_CSS}\n{_SYMBOLS}</style>"

PAINT_SECONDS = 0.25
"""How long a visit's first page holds its content back, so that heading and claim are read while the rest comes."""

EMBLEM = maps.contact_sheet(
    maps.signed_map(np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])).reshape(9, 1, 1, 3), columns=3, scale=20, gap=2
)
"""Sobel's kernel in the colours of signed numbers."""


def literal(text: str) -> str:
    """Text typed by a user as Markdown that shows exactly that text.

    Class and file names may hold anything; unescaped, one could put a link or a picture from elsewhere on the page.

    >>> literal("a*b [x](y)")
    'a\\\\*b \\\\[x\\\\]\\\\(y\\\\)'
    """
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))


def plain(markdown: str) -> str:
    """A caption's words alone, for an alternative text: without the marks of Markdown and formulas.

    >>> plain(literal("a*b")), plain("**Sobel x.** $g_x$: edges")
    ('a*b', 'Sobel x. g_x: edges')
    """
    return re.sub(r"\\([!-/:-@\[-`{-~])|\*\*|\$", r"\1", markdown)


def sent(key: str, trigger: str) -> object:
    """In a callback, what the component of this key sent; None when it has left the page in the meantime."""
    try:
        return st.session_state[key].get(trigger)
    except KeyError:
        return None


_PAGE = "page-drawn"
_WRITTEN = "written-by-the-page"
HELD_SECONDS = 30.0
"""How long at most the old value of a control that a callback set counts as one that crossed the answer."""


def write(key: str, value: object) -> None:
    """In a callback, or before it is drawn, set what another control says.

    The browser hears of it with the answer. A message that it sends before, such as the one that asks for the rest of
    the page, still brings what the control said until then: `hold_written` sees to it.
    """
    state = st.session_state
    written = state.setdefault(_WRITTEN, {})
    if state.get(key) != value:
        earlier = written[key][0] if key in written else []
        written[key] = ([*earlier, state.get(key)], value, time.monotonic(), _message())
    state[key] = value


def hold_written() -> None:
    """Before controls are drawn: what was written stands, whatever a message says that crossed the answer.

    So, too, first in the callback of a control that is itself written to: Streamlit calls it for what crossed.

    It is held until a later message brings it, for then the browser knows, or brings what it was neither before nor
    after: then the reader has changed it.
    """
    state = st.session_state
    written, now = state.get(_WRITTEN, {}), _message()
    for key, (before, value, when, message) in list(written.items()):
        known = state.get(key) == value and (now is None or now is not message)
        if known or time.monotonic() - when > HELD_SECONDS or state.get(key) not in (*before, value):
            del written[key]
        elif state.get(key) != value:
            state[key] = value


def _message() -> object:
    """Something that is the same object as long as the script answers the same message of the browser."""
    context = get_script_run_ctx(suppress_warning=True)
    return context.context_info if context is not None else None


@contextmanager
def guard(what: str) -> Iterator[None]:
    """A part of a page, or (as a decorator) of a fragment, whose failure is a sentence and leaves the rest standing.

    A PlaygroundError is already the sentence. Anything else is a defect: the reader is told what to do, the log gets
    the traceback. Streamlit's own control flow (rerun, stop) is not an Exception and passes through.
    """
    try:
        yield
    except PlaygroundError as error:
        # Where on the server something lies is for the command line, not for a visitor.
        st.error(literal(home.public(str(error))), icon=":material/error:")
    except Exception:
        log.exception("part failed: %s", what)
        st.error(
            f"Something went wrong in “{what}”. Reload the page; if it happens again, the server's log has the details "
            f"under “part failed: {what}”.",
            icon=":material/error:",
        )


def guarded(what: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """`guard` as a decorator that keeps the function's name, which fragments are identified by."""

    def around(draw: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(draw)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> None:
            with guard(what):
                hold_written()
                draw(*args, **kwargs)

        return drawn

    return around


def link(url: str, label: str | None = None, **options: object) -> None:
    """A link to a page of the table of contents that looks the same everywhere."""
    target = contents.chapter(url)
    st.page_link(target.path, label=label or target.title, icon=target.icon, **options)  # type: ignore[arg-type]


def run() -> None:
    """The whole app: navigation, then the chosen page inside its frame."""
    links.bring_back()
    if home.is_class():
        reader.begin_anew()
    hold_written()
    st.logo(EMBLEM, size="large")
    st.html(STYLE)
    # A picture of our own, and before the navigation: without it Streamlit has the browser fetch the page's icon for
    # its tab from an outside server, even where another picture follows at once.
    st.set_page_config(page_icon=Image.fromarray(EMBLEM), layout="wide")
    # In the menu above a list is drawn when it is opened; in a sidebar, all its links at each pass over the page
    page = st.navigation(contents.navigation(), position="top", expanded=True)
    if page.url_path in contents.MOVED:
        st.switch_page(contents.chapter(contents.MOVED[page.url_path]).path, query_params=st.query_params.to_dict())
    links.drop_impossible()  # not above: before the navigation Streamlit begins again with the first page
    current = contents.at(page.url_path)
    if st.session_state.get(_PAGE) != current.url:
        st.session_state[_PAGE] = current.url
        links.forget_controls()
    st.set_page_config(page_title=contents.tab_title(current))
    st.title(current.title, anchor=False)
    links.hide_controls()
    with st.container(key="claim", horizontal=True, horizontal_alignment="distribute"):
        st.markdown(current.claim)
        links.copy_button(link=(reader.is_teacher() or not home.is_class()) and not links.locked(),
                          lead=reader.is_teacher() and current is not contents.CLASS)
    links.tell_locked()
    reader.note(current.url)
    what, href = links.pressed()
    if what == "link":
        class_link.show(href)
    if home.is_class():
        if what == "lead":
            tour.lead(href)
        tour.bar(current)
    if "heading_painted" not in st.session_state:  # the browser paints what it has once nothing more arrives
        st.session_state.heading_painted = True
        time.sleep(PAINT_SECONDS)
    importlib.import_module("playground.ui.preload")  # not above: the pages' modules need this one
    with guard(current.title):
        page.run()
    after = contents.following(current)
    st.divider()
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.caption(f"Everything here is computed on this server. {current.asks}")
        link(after.url, f"Next: {after.title}" if after is not contents.CHAPTERS[0] else "Back to the start")
