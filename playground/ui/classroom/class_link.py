"""A link to the page as it is now, for a class: with controls fixed or hidden, to copy and to scan."""

import re
from collections.abc import Collection, Iterable
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import streamlit as st

from playground.ui import links
from playground.ui.classroom import qr


def made(href: str, lock: bool, hide: Iterable[str]) -> str:
    """A page's address with what is fixed and hidden; what it said of that before is gone.

    >>> made("http://a:8501/pooling?size=3&lock=1&step=4", False, ["stride", "size"])
    'http://a:8501/pooling?size=3&step=4&hide=stride%2Csize'
    """
    parts = urlsplit(href)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True)
            if name not in ("lock", "hide")]
    hidden = ",".join(hide)
    query = [*kept, *([("lock", "1")] if lock else []), *([("hide", hidden)] if hidden else [])]
    return urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))


def plain(label: str, name: str) -> str:
    """What a control is called, without the marks of Markdown; its name in the address where it has no words.

    >>> plain("**Stride** $s$", "stride"), plain("", "pass")
    ('Stride s', 'pass')
    """
    return " ".join(re.sub(r"\\(?=[!-/:-@\[-`{-~])|\*\*|\$|`|:material/\w+:", "", label).split()) or name


def choices(there: dict[str, str], hidden: Collection[str]) -> dict[str, str]:
    """The controls that can be hidden, name -> words: those of the page, and those its address hides already."""
    return {**{name: name for name in hidden}, **{name: plain(label, name) for name, label in there.items()
                                                  if links.hidden_names(name)}}


@st.dialog("Link for my class")
def show(href: str) -> None:
    """Choose what is fixed and hidden, and see the link."""
    before = links.hidden_names(st.query_params.get("hide", ""))
    there = choices(links.controls(), before)
    with links.stays_open():
        lock = st.toggle("Lock the page", key="class-link-lock",
                         help="All controls stay as they are now; questions can be answered.")
        hide = st.multiselect("Hide controls", list(there), before, format_func=lambda name: there[name],
                              key="class-link-hide", placeholder="none",
                              help="What they say goes along in the link.") if there else []
    qr.show(made(href, lock, hide), "this page as it is now")
