"""A page's address: what a teacher can put into it (`hide=a,b`, `lock=1`), and how it is taken along."""

import functools
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.errors import StreamlitAPIException

NEVER_LOCKED = ("arrow_data_frame", "download_button", "link_button", "page_link")
"""What Streamlit can disable, too, and what changes nothing: a table to read, a file to take along, ways to pages."""
_open = ContextVar("open", default=False)

_copy = st.components.v2.component(
    "copy_link",
    html='<button type="button" title="Copy a link to this page as it is now">Copy link</button>'
         '<span role="status" aria-live="polite"></span>\n',
    css="""button { font: 400 0.875rem/1.6 var(--st-font); color: var(--st-text-color); background: none;
border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: 0.2rem 0.7rem;
cursor: pointer; white-space: nowrap; }
button:hover { color: var(--st-primary-color); border-color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
span { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
""",
    js="""// What a page writes into its own address is no step of the reader's: the way back leads to the page before.
if (!history.pushState.ofOnePage) {
  const push = history.pushState;
  history.pushState = function (state, title, url) {
    const samePage = url && new URL(url, location.href).pathname === location.pathname;
    return (samePage ? history.replaceState : push).call(history, state, title, url);
  };
  history.pushState.ofOnePage = true;
}
export default function ({ parentElement }) {
  const button = parentElement.querySelector("button");
  button.onclick = async () => {
    const link = new URL(window.location.href);
    if (window.playgroundStep !== undefined) link.searchParams.set("step", window.playgroundStep);
    let copied = true;
    try {
      await navigator.clipboard.writeText(link.href);
    } catch { // no clipboard without https: the old way
      const box = document.createElement("textarea");
      box.value = link.href;
      document.body.append(box);
      box.select();
      copied = document.execCommand("copy");
      box.remove();
    }
    button.textContent = copied ? "Copied" : "Not allowed";
    parentElement.querySelector("span").textContent = copied ? "Link copied" : "The browser does not allow copying";
    setTimeout(() => { button.textContent = "Copy link"; }, 1500);
  };
}
""",
)


def copy_button() -> None:
    """A button that copies the page's address, with the step where a player stands."""
    _copy(key="copy_link", width="content")


def hidden_names(asked: str) -> list[str]:
    """The controls an address asks to hide; anything that is not a control's plain name is dropped.

    >>> hidden_names("stride, bias,<script>")
    ['stride', 'bias']
    """
    names = (part.strip() for part in asked.split(","))
    return [name for name in names if re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", name)]


def hide_controls() -> None:
    """Hide what the address names. Hidden controls still exist, so their values in the address keep working."""
    if names := hidden_names(st.query_params.get("hide", "")):
        st.html(f"<style>{', '.join(f'.st-key-{name}' for name in names)} {{ display: none; }}</style>")


def locked() -> bool:
    """Whether the address fixes every control at what it says."""
    return st.query_params.get("lock") == "1"


def is_no_number(value: str) -> bool:
    """Whether a value of an address is spelled as a number and is none: not a number, or infinite, or larger than any.

    >>> [is_no_number(value) for value in ("inf", "-Infinity", "nan", "1e309", "1e3", "12", "-1 0 1", "")]
    [True, True, True, True, False, False, False, False]
    """
    try:
        return not math.isfinite(float(value))
    except ValueError:
        return False


def drop_impossible() -> None:
    """Take what says nothing out of the address and begin again: Streamlit's number inputs fail on infinity, and an
    empty value takes the choice from lists that must have one.
    """
    dropped = False
    for name in list(st.query_params):
        if any(is_no_number(value) or not value.strip() for value in st.query_params.get_all(name)):
            with suppress(StreamlitAPIException):  # of a control that is on the page and has a value
                del st.query_params[name]
                dropped = True
    if dropped:
        st.rerun()


@contextmanager
def stays_open() -> Iterator[None]:
    """Controls drawn in here can be used on a locked page, too: they change nothing but what is read."""
    before = _open.set(True)
    try:
        yield
    finally:
        _open.reset(before)


def tell_locked() -> None:
    """On a locked page, one line that says so."""
    if locked():
        st.caption(":material/lock: This page is locked: its controls stay as its address says. Questions can be "
                   "answered.")


def lock_widgets() -> None:
    """From now on every control of Streamlit's is disabled on a locked page, whoever draws it and wherever.

    All elements go to the browser through one method; what can be disabled has a field of that name. Choices of which
    none is made at the beginning are a question, and stay open.
    """
    through = DeltaGenerator._enqueue
    if hasattr(through, "__wrapped__"):
        return

    @functools.wraps(through)
    def enqueue(self: DeltaGenerator, delta_type: str, element_proto: Any, *args: Any, **kwargs: Any) -> DeltaGenerator:
        question = delta_type == "radio" and not element_proto.HasField("default")
        if ("disabled" in element_proto.DESCRIPTOR.fields_by_name and delta_type not in NEVER_LOCKED and not question
                and not _open.get() and locked()):
            element_proto.disabled = True
        return through(self, delta_type, element_proto, *args, **kwargs)

    DeltaGenerator._enqueue = enqueue  # type: ignore[method-assign]


lock_widgets()
