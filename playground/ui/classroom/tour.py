"""A guided tour: the teacher brings every browser of the class to a page, with its settings; each reader may leave it.

Each browser asks every few seconds for one small answer (`playground.server.class_state`). Where it says another step
of a tour, the browser opens that address, as a link would; where it says that something on the page is new, the page
is drawn again; where it says that a file was refused, the sentence is shown. The teacher's own browser stays where it
is.
"""

import json
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import streamlit as st

from playground import home
from playground.classroom import state, workspaces
from playground.classroom.state import Tour
from playground.errors import PlaygroundError
from playground.ui import contents, links, reader
from playground.ui.contents import Chapter
from playground.ui.links import base

ASK_SECONDS, SHOWN_SECONDS = 2.5, 20.0
LEFT = "tour.json"
"""In a workspace: which tour its owner has left, so that a reload does not bring him back."""
_REJOINED = "tour-rejoined"

_poll = st.components.v2.component(
    "class_poll",
    html='<p role="status" hidden>The server is away: it is being started again, or your connection is lost. What you '
         "train goes on, or can go on from where it last saved itself; this page comes back by itself.</p>"
         '<p role="alert" hidden></p>',
    css="""p { position: fixed; left: 1rem; right: 1rem; bottom: 1rem; z-index: 999; margin: 0 auto; max-width: 40rem;
padding: 0.8rem 1rem; font: 400 1rem/1.5 var(--st-font); color: var(--st-text-color);
background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color);
border-radius: var(--st-button-radius); }
p[hidden] { display: none; }
""",
    js="""const NAME = "playground-tour-step";
const asking = new WeakMap();
const go = (now, tour) => { // as a link does: the page is then as its address says, whatever it was before
  sessionStorage.setItem(NAME, String(tour.step));
  const there = new URL(`${now.data.base}/${tour.address}`, location.origin);
  if (there.pathname === location.pathname && there.search === location.search) return false;
  location.assign(there);
  return true;
};
const ask = async (now, parentElement) => {
  clearTimeout(now.timer);
  if (!parentElement.isConnected) return;
  now.timer = setTimeout(ask, now.data.seconds * (800 + 400 * Math.random()), now, parentElement); // not all at once
  if (document.hidden) return;
  const away = (isAway) => { // once is nothing: a phone that changes its network
    now.missed = isAway ? (now.missed || 0) + 1 : 0;
    parentElement.querySelector("p").hidden = now.missed < 2;
  };
  try {
    const answer = await fetch(`${now.data.base}/api/class`, { cache: "no-cache" });
    away(answer.status >= 502);
    if (!answer.ok) return;
    const said = await answer.json();
    if (said.refused && said.refused.at !== now.refusedAt) { // of a file that was sent the field shows a number alone
      now.refusedAt = said.refused.at;
      const alert = parentElement.querySelector('[role="alert"]');
      Object.assign(alert, { textContent: said.refused.sentence, hidden: false });
      clearTimeout(now.alerted);
      now.alerted = setTimeout(() => { alert.hidden = true; }, 1000 * now.data.shown);
    }
    const tour = said.tour;
    const isNew = tour && tour.started !== now.data.left && sessionStorage.getItem(NAME) !== String(tour.step);
    if (isNew && go(now, tour)) return;
    const mark = `${tour ? tour.step : 0}.${said.changed[now.data.page] || 0}`;
    if (mark === now.data.mark || (mark === now.told && performance.now() - now.toldAt < 10000)) return;
    Object.assign(now, { told: mark, toldAt: performance.now() });
    now.setTriggerValue("changed", mark);
  } catch {
    away(true);
  }
};
export default function ({ parentElement, data, setTriggerValue }) {
  const now = asking.get(parentElement) || { told: "", toldAt: 0 };
  const fresh = now.data === undefined;
  Object.assign(now, { data, setTriggerValue });
  asking.set(parentElement, now);
  if (data.rejoin && data.rejoin !== now.rejoined) {
    now.rejoined = data.rejoin;
    sessionStorage.removeItem(NAME);
  } else if (!fresh) return;
  ask(now, parentElement);
  if (fresh) document.addEventListener("visibilitychange", () => ask(now, parentElement));
}
""",
)


def bar(current: Chapter) -> None:
    """One line about the tour, and what asks for news."""
    if reader.is_teacher():
        _lead_on(current.url)
        _teachers(state.read().tour)
        return
    seen, place = state.read(), reader.workspace()
    if current is contents.CHAPTERS[0] and place is not None and not workspaces.at(place).name:
        st.page_link(contents.CLASS.path, label="You are in a class: say what you want to be called.",
                     icon=contents.CLASS.icon)
    if seen.tour is not None:
        _readers(seen.tour, current)
    _poll(key="class_poll", on_changed_change=lambda: None,
          data={"page": current.url, "mark": seen.mark(current.url), "seconds": ASK_SECONDS, "base": base(),
                "shown": SHOWN_SECONDS,
                "left": seen.tour.started if seen.tour and has_left(seen.tour) else 0,
                "rejoin": st.session_state.get(_REJOINED, 0)})


def lead(href: str) -> None:
    """Bring the class to an address of this app, the teacher's doing; what is none is said."""
    if not reader.is_teacher():
        return
    try:
        url, query = place(href)
        state.lead(url, query)
        st.toast(f"The class comes to “{contents.at(url).title}”.", icon=":material/tour:")
    except PlaygroundError as error:
        st.toast(str(error), icon=":material/error:")


def place(href: str) -> tuple[str, dict[str, str]]:
    """The page and the settings in an address. Raises PlaygroundError where it is of no page of the class's.

    >>> place("http://a:8501/pooling?size=3"), place("http://a:8501/")
    (('pooling', {'size': '3'}), ('home', {}))
    """
    parts = urlsplit(href)
    url = parts.path.rstrip("/").rpartition("/")[2] if parts.path.rstrip("/") != base() else contents.CHAPTERS[0].url
    if url not in {chapter.url for chapter in contents.CHAPTERS}:
        raise PlaygroundError("The class cannot be brought there: this is no page of it.")
    return url, dict(parse_qsl(parts.query))


def has_left(tour: Tour) -> bool:
    """Whether the reader has left this tour."""
    with suppress(OSError, ValueError, AttributeError, PlaygroundError):
        return bool(home.read_json(_file()).get("left") == tour.started)
    return False


def leave(tour: Tour) -> None:
    """Go one's own way, until the teacher starts another tour."""
    _note(tour.started)


def rejoin() -> None:
    """Go where the class is, and on with it."""
    _note(0)
    st.session_state[_REJOINED] = st.session_state.get(_REJOINED, 0) + 1


def _readers(tour: Tour, current: Chapter) -> None:
    title = contents.at(tour.url).title
    with st.container(key="tour", horizontal=True, vertical_alignment="center"), links.stays_open():
        if has_left(tour):
            st.caption(f":material/tour: The class is on a tour, at “{title}”. You left it.", width="content")
            st.button("Rejoin", key="tour-rejoin", icon=":material/tour:", on_click=rejoin)
            return
        where = "Your teacher leads: this is where the class is." if current.url == tour.url else \
            f"Your teacher leads: the class is at “{title}”."
        st.markdown(f":material/tour: {where}", width="content")
        if current.url != tour.url:
            st.button("Go there", key="tour-there", icon=":material/arrow_forward:", on_click=rejoin)
        st.button("Leave the tour", key="tour-leave", on_click=leave, args=(tour,))


def _teachers(tour: Tour | None) -> None:
    if tour is None:
        return
    with st.container(key="tour", horizontal=True, vertical_alignment="center"), links.stays_open():
        st.markdown(f":material/tour: The class follows you: it is at “{contents.at(tour.url).title}”, and comes along "
                    "to the next page you open.", width="content")
        st.button("End the tour", key="tour-end", icon=":material/stop:", on_click=state.end_tour)


_LED_FROM = "led-from"


def _lead_on(page: str) -> None:
    """While a tour is on, the class comes along when the teacher opens another page; not to the page about itself."""
    before = st.session_state.get(_LED_FROM)
    st.session_state[_LED_FROM] = page
    tour = state.read().tour
    if tour is not None and before not in (None, page) and page not in (tour.url, contents.CLASS.url):
        with suppress(PlaygroundError):
            state.lead(page, st.query_params.to_dict())


def _note(left: int) -> None:
    with suppress(OSError), home.whole(_file()) as incoming:
        incoming.parent.mkdir(parents=True, exist_ok=True)
        incoming.write_text(json.dumps({"left": left}), encoding="utf-8")


def _file() -> Path:
    return home.home() / LEFT
