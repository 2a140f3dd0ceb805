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
from streamlit.runtime.scriptrunner import get_script_run_ctx

NEVER_LOCKED = ("arrow_data_frame", "download_button", "link_button", "page_link")
"""What Streamlit can disable, too, and what changes nothing: a table to read, a file to take along, ways to pages."""
LONGEST_ADDRESS = 8000
_open = ContextVar("open", default=False)

_copy = st.components.v2.component(
    "copy_link",
    html='<button type="button" class="copy" title="Copy a link to this page as it is now">Copy link</button>'
         '<button type="button" class="link" hidden title="A link to this page as it is now, with what is locked or '
         'hidden, and as a code to scan">Link for my class</button>'
         '<button type="button" class="lead" hidden title="Every browser of the class comes to this page">'
         'Bring the class here</button><span role="status" aria-live="polite"></span>\n',
    css=""":host > div, div:has(> .copy) { display: flex; flex-wrap: wrap; gap: 0.5rem; justify-content: flex-end; }
button[hidden] { display: none; }
button { font: 400 0.875rem/1.6 var(--st-font); color: var(--st-text-color); background: none;
border: 1px solid var(--st-border-color); border-radius: var(--st-button-radius); padding: 0.2rem 0.7rem;
cursor: pointer; white-space: nowrap; }
button:hover { color: var(--st-primary-color); border-color: var(--st-primary-color); }
button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
span { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
""",
    js="""// What a page writes into its own address is no step of the reader's: the way back leads to the page
// before, and that is what it was when the reader left it, though Streamlit empties its address first.
if (!history.pushState.ofOnePage) {
  const push = history.pushState;
  let left = null;
  addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    left = link && link.origin === location.origin && link.pathname !== location.pathname ? location.href : null;
  }, true);
  history.pushState = function (state, title, url) {
    const samePage = url && new URL(url, location.href).pathname === location.pathname;
    if (!samePage && left) history.replaceState(history.state, "", left);
    return (samePage ? history.replaceState : push).call(history, state, title, url);
  };
  history.pushState.ofOnePage = true;
}
const here = () => {
  const link = new URL(window.location.href);
  if (window.playgroundStep !== undefined) link.searchParams.set("step", window.playgroundStep);
  return link;
};
export default function ({ parentElement, data, setTriggerValue }) {
  for (const what of ["link", "lead"]) {
    const button = parentElement.querySelector(`.${what}`);
    button.hidden = !data[what];
    button.onclick = () => setTriggerValue("pressed", { what, href: here().href });
  }
  const button = parentElement.querySelector(".copy");
  button.onclick = async () => {
    const link = here();
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


def copy_button(link: bool = False, lead: bool = False) -> None:
    """A button that copies the page's address, with the step where a player stands; where wanted, one for a `link` for
    a class, and one that brings the class here (`lead`)."""
    _copy(key="copy_link", width="content", data={"link": link, "lead": lead}, on_pressed_change=_press)


_PRESSED = "address-button"


def _press() -> None:
    try:
        st.session_state[_PRESSED] = st.session_state["copy_link"].get("pressed")
    except KeyError:  # it has left the page in the meantime
        return


def pressed() -> tuple[str, str]:
    """Which button beside the address was pressed, once: ("link" or "lead", the page's address), or ("", "").

    The browser may send anything, so the address is one of http, or none.
    """
    said = st.session_state.pop(_PRESSED, None)
    if not isinstance(said, dict) or said.get("what") not in ("link", "lead"):
        return "", ""
    href = said.get("href")
    fine = isinstance(href, str) and len(href) < LONGEST_ADDRESS and re.match(r"https?://[^/@\\]+/", href)
    return (str(said["what"]), str(href)) if fine else ("", "")


_BOUND = "controls-in-the-address"


def controls() -> dict[str, str]:
    """The controls of the page that stand in its address, as it was drawn last: name -> label."""
    return dict(st.session_state.get(_BOUND, {}))


def forget_controls() -> None:
    """Another page has other controls."""
    st.session_state.pop(_BOUND, None)


def base() -> str:
    """The path below which the app is served, without a slash at its end."""
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


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


def bring_back() -> None:
    """Before a page is drawn to which the browser's way back or forward led: it is what its address says.

    Streamlit takes out of such an address what the page before has, too, such as the picture or a size.
    """
    context = get_script_run_ctx(suppress_warning=True)
    if context is None or not context.is_history_navigation:
        return
    with context.session_state.query_params() as params:
        params.set_initial_query_params(context.query_string)
        params.populate_from_query_string(context.query_string)
        params._send_query_param_msg()


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
        if name := getattr(element_proto, "query_param_key", ""):
            st.session_state.setdefault(_BOUND, {})[name] = str(element_proto.label)
        return through(self, delta_type, element_proto, *args, **kwargs)

    DeltaGenerator._enqueue = enqueue  # type: ignore[method-assign]


lock_widgets()
