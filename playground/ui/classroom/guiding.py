"""The teacher's part of a guided tour on the page about the class: where to begin, and how it goes on."""

import streamlit as st

from playground.classroom import state
from playground.ui import contents, frame, links


@frame.guarded("Guided lesson")
def start() -> None:
    """Bring the class to a page; from then on it comes along."""
    st.markdown("Every browser of the class goes where you lead it; each reader can leave the tour and rejoin it. "
                "Your own browser stays where it is.")
    tour = state.read().tour
    urls = [chapter.url for chapter in contents.CHAPTERS]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        url = st.selectbox("Page", urls, urls.index(tour.url) if tour is not None and tour.url in urls else 0,
                           key="class-tour-page", format_func=lambda one: contents.at(one).title, width=320)
        if st.button("Follow me" if tour is None else "Bring the class there", key="class-tour-start", type="primary",
                     icon=":material/tour:", disabled=links.locked()):
            state.lead(url, {})
            st.rerun()
    st.caption("On any other page, “Bring the class here” beside “Copy link” brings the class to that page with the "
               "settings it has then. While a tour is on, the class comes along to every page you open, but this one.")
