"""The answers of the class, question by question, and the button that shows them to all."""

import streamlit as st

from playground.classroom import answers, state
from playground.classroom.answers import Tally
from playground.numbers import counted
from playground.ui import contents, frame, links
from playground.ui.classroom import counting

EVERY_SECONDS = 3.0
MOST = 12
"""Questions of a page that are shown: its settings ask many, each a little different."""


@st.fragment(run_every=EVERY_SECONDS)
@frame.guarded("Answers")
def all_of_them() -> None:
    """Choose a page, see its questions."""
    found = answers.tallies()
    if not found:
        st.caption("When somebody answers a “Predict first”, it is counted here.")
        return
    pages = {one.page: sum(other.asked for other in found if other.page == one.page) for one in found}
    tour = state.read().tour
    urls = [chapter.url for chapter in contents.CHAPTERS if chapter.url in pages]
    first = tour.url if tour is not None and tour.url in urls else max(urls, key=lambda url: pages[url])
    page = st.selectbox("Page", urls, urls.index(first), key="class-answers-page", width=360,
                        format_func=lambda url: f"{contents.at(url).title}: {counted(pages[url], 'answer')}")
    revealed = state.read().revealed
    shown = [one for one in found if one.page == page]
    for one in shown[:MOST]:
        question(one, one.id in revealed)
    if len(shown) > MOST:
        st.caption(f"and {counted(len(shown) - MOST, 'question')} with fewer answers")


def question(one: Tally, is_revealed: bool) -> None:
    """A question with its bars, and whether the class sees them."""
    with st.container(border=True, key=f"class-question-{one.id}"):
        right = one.first[one.answer]
        st.markdown(f"**{one.question}**")
        counting.bars(one, f"class-bars-{one.id}")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Hide again" if is_revealed else "Reveal to the class", key=f"class-reveal-{one.id}",
                      icon=":material/visibility_off:" if is_revealed else ":material/visibility:",
                      type="secondary" if is_revealed else "primary", on_click=state.reveal,
                      args=(one.id, one.page, not is_revealed), disabled=links.locked())
            changed = sum(abs(a - b) for a, b in zip(one.first, one.last, strict=True)) // 2
            st.caption(f"{right} of {one.asked} right at the first go"
                       + (f", {one.last[one.answer]} in the end" if changed else "")
                       + (" · the class sees this" if is_revealed else ""), width="content")
