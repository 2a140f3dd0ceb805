"""Who is here, and what the teacher may do with a workspace: look at what it holds, and remove things."""

import time

import streamlit as st

from playground.classroom import leaving, workspaces
from playground.classroom.workspaces import Workspace
from playground.deploy import registry
from playground.numbers import counted
from playground.training.runs import runs
from playground.ui import contents, frame, links, reader
from playground.ui.classroom import mine
from playground.ui.classroom.qr import address, show
from playground.ui.studio import runs_view

EVERY_SECONDS = 4.0
_ASKED = "remove-workspace-asked"
_WIPE = "wipe-asked"


def ago(seconds: float) -> str:
    """How long since somebody was seen.

    >>> ago(4), ago(130), ago(7300), ago(200_000)
    ('now', '2 min ago', '2 h ago', '2 days ago')
    """
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min ago"
    return f"{seconds // 3600:.0f} h ago" if seconds < 2 * 86400 else f"{seconds // 86400:.0f} days ago"


def everybody() -> list[Workspace]:
    """All workspaces but the teacher's own."""
    own = reader.workspace()
    return [one for one in workspaces.all_of_them() if one.home != own]


@frame.guarded("The way in")
def way_in() -> None:
    """The address of the class, to read and to scan."""
    with st.expander("The address for the class", icon=":material/qr_code:"):
        show(f"{address()}/", "the first page of this class")


@st.fragment(run_every=EVERY_SECONDS)
@frame.guarded("Who is here")
def here() -> None:
    """Who is here, on which page, seen when."""
    found = everybody()
    now = time.time()
    st.markdown(f"**{counted(sum(one.is_here for one in found), 'reader')}** here, {counted(len(found), 'workspace')}.")
    if found:
        st.dataframe(
            {"reader": [one.called for one in found], "page": [contents.at(one.page).title if one.page else "" for one
                                                               in found],
             "seen": [ago(now - one.seen) for one in found]},
            hide_index=True, height=min(36 + 35 * len(found), 320), key="class-here")


@frame.guarded("One reader")
def one_of_them() -> None:
    """A reader's workspace: its ended trainings and models, each of which can be removed, and the whole of it."""
    found = {one.id: one for one in everybody()}
    if not found:
        st.caption("There is nobody yet.")
        return
    chosen = st.selectbox("Reader", list(found), key="class-reader", format_func=lambda known: found[known].called,
                          width=320)
    one = found[chosen]
    st.caption(f"{frame.literal(one.called)}: {mine.said_in_sum(one.home)}.")
    with workspaces.within(one):
        models = [entry.name for entry in registry.entries() if not entry.shipped]
        ended = [view for view in runs_view.listed(None) if view.ended]
    for view in ended:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(frame.literal(runs_view.caption(view)), width=260)
            st.button("Remove training", key=f"class-run-{view.run_id}", icon=":material/delete:", on_click=drop_run,
                      args=(one, view.run_id), disabled=links.locked())
    for name in models:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(frame.literal(name), width=260)
            st.button("Remove model", key=f"class-model-{one.id}-{name}", icon=":material/delete:", on_click=drop,
                      args=(one, name), disabled=links.locked())
    if st.session_state.get(_ASKED) != one.id:
        st.button("Remove this workspace…", key="class-remove", icon=":material/person_remove:",
                  on_click=_set, args=(_ASKED, one.id), disabled=links.locked())
        return
    with st.container(border=True):
        st.markdown(f"**Everything of {frame.literal(one.called)} will be deleted, at once and for good**; trainings "
                    "under way are ended.")
        with st.container(horizontal=True):
            if st.button("Yes, remove it", key="class-remove-really", type="primary", disabled=links.locked()):
                leaving.delete_everything(one.home)
                mine.clear_memory([one.home])
                st.session_state.pop(_ASKED, None)
                st.rerun()
            st.button("Keep it", key="class-remove-not", on_click=_set, args=(_ASKED, ""))


def drop(one: Workspace, name: str) -> None:
    """Remove a reader's model; what is gone already is left alone."""
    with frame.guard("Removing a model"), workspaces.within(one):
        registry.remove(name)


def drop_run(one: Workspace, run_id: str) -> None:
    """Remove a reader's training that has ended; what is gone already is left alone."""
    with frame.guard("Removing a training"), workspaces.within(one):
        if run_id in runs.run_ids():
            runs.remove(run_id)


@frame.guarded("Wipe the class")
def wipe() -> None:
    """Deleting all there is of the class, asked for twice."""
    if not st.session_state.get(_WIPE):
        st.button("Wipe the class…", key="class-wipe", icon=":material/delete_forever:", on_click=_set,
                  args=(_WIPE, True), disabled=links.locked())
        st.caption("Deletes all workspaces, answers, collected and published photos and models. Links and keys go on "
                   "to work, and open empty workspaces. What readers downloaded is theirs.")
        return
    with st.container(border=True):
        st.markdown(f"**Everything of all {counted(len(workspaces.all_of_them()), 'workspace')} will be deleted, yours "
                    "too, at once and for good.** Trainings under way are ended.")
        with st.container(horizontal=True):
            if st.button("Yes, wipe the class", key="class-wipe-really", type="primary", disabled=links.locked()):
                places = [one.home for one in workspaces.all_of_them()]
                leaving.wipe()
                mine.clear_memory(places)
                reader.forget_session()
                st.toast("The class was wiped.", icon=":material/delete_forever:")
                st.rerun()
            st.button("Keep it all", key="class-wipe-not", on_click=_set, args=(_WIPE, False))


def _set(name: str, value: object) -> None:
    st.session_state[name] = value
