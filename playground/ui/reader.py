"""Who reads a page of a class: the workspace its browser shows the key of, and whether it is the teacher's."""

import time
from pathlib import Path

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from playground import home
from playground.classroom import keys, removed, workspaces
from playground.classroom.keys import COOKIE, TEACHER


def cookie(name: str) -> str:
    """A cookie of the browser whose page is drawn; "" where it has none, or no page is drawn."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return ""
    return st.context.cookies.get(name) or ""


def key() -> str:
    """The key of the reader's workspace."""
    return cookie(COOKIE)


def workspace() -> Path | None:
    """The home of the reader's workspace; None where no page is drawn."""
    return keys.workspace_of(key())


def is_teacher() -> bool:
    """Whether the browser is the teacher's."""
    return home.is_class() and keys.is_teacher_cookie(cookie(TEACHER))


def whom_it_is_for(what: str = "page") -> str:
    """Who may see the photos of a page or set, in words that follow "for" or "to"."""
    if home.is_class():
        return "your workspace alone" if what == "page" else "the workspace they are in"
    return f"whoever has this {what}'s address" if what == "page" else f"whoever has their {what}'s address"


_LAST = "last-seen"


def page() -> str:
    """The page the reader of a class is on; "" where that was not noted."""
    return str(st.session_state.get(_LAST, ("", 0.0))[0])


def note(page: str) -> None:
    """Write down on which page the reader is, where that is another or was some time ago."""
    place = workspace() if home.is_class() else None
    if place is None:
        return
    before, when = st.session_state.get(_LAST, ("", 0.0))
    if page != before or time.monotonic() - when > workspaces.SEEN_EVERY_SECONDS:
        st.session_state[_LAST] = (page, time.monotonic())
        workspaces.seen(place, page)


_SINCE = "session-since"


def begin_anew() -> None:
    """Where the reader's workspace was deleted (by the teacher, in another window, or at another server of the class),
    forget what this session kept of it."""
    place = workspace() if home.is_class() else None
    if place is not None:
        removed.looked_at(place, workspaces.at(place).born)
    since = st.session_state.setdefault(_SINCE, time.time())
    if place is not None and removed.since(place, since):
        forget_session()


def forget_session() -> None:
    """Forget all that this session has kept in memory."""
    st.session_state.clear()
    st.session_state[_SINCE] = time.time()


home.known_by(workspace)
