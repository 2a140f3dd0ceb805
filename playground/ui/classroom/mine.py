"""The reader's own part of the page about the class: his name, his key, what is kept about him, and its deletion."""

from pathlib import Path

import streamlit as st

from playground import home
from playground.classroom import answers, collecting, leaving, publishing, removed, state, workspaces
from playground.datasets import photo_set, uploads
from playground.deploy import registry, session
from playground.numbers import count, counted
from playground.training.runs import runs
from playground.ui import frame, links, reader
from playground.ui.classroom import qr, trainings
from playground.ui.studio import deletion, models, runs_view
from playground.view import looks


@frame.guarded("Your name")
def name() -> None:
    """What the reader wants to be called."""
    place = reader.workspace()
    if place is None:
        return
    one = workspaces.at(place)
    key = "my-name"
    st.session_state.setdefault(key, one.name)
    st.text_input("What do you want to be called?", key=key, max_chars=workspaces.LONGEST_NAME, width=320,
                  on_change=_rename, args=(place, key), disabled=links.locked(),
                  placeholder=one.called, help="The teacher sees it beside your trainings; nobody else of the class "
                                               "does. It need not be your real name.")


@frame.guarded("My key")
def key() -> None:
    """The link that opens the reader's workspace on another device."""
    with st.expander("My key: go on with another device", icon=":material/key:"):
        st.markdown("This link opens your workspace on another device, with all you have made. **Whoever has it can "
                    "do what you can**: show it to nobody you would not lend your photos to.")
        qr.show(f"{qr.address()}/join/{reader.key()}", "your own workspace")


@frame.guarded("What is kept")
def kept() -> None:
    """What this server keeps about the reader, and for how long."""
    place = reader.workspace()
    if place is None:
        return
    with st.container(horizontal=True):
        for label, value in holdings(place).items():
            st.metric(label, value, width="content")
    st.caption(f"All of it lies on this server alone, in a workspace that your key opens and nobody else’s. It goes "
               f"when you delete it, when your teacher wipes the class, or {workspaces.EXPIRE_DAYS} days after you "
               "were here last. Beside it are kept: your name as you gave it, which page you opened last and when, and "
               f"your answers to “Predict first”. It may take {count(home.quota_bytes() // 10**6)} MB of the disk.")


def holdings(place: Path) -> dict[str, str]:
    """What is in the workspace that is worked for."""
    own = [run_id for run_id in runs.run_ids() if not runs.is_in_common(run_id)]
    sets = photo_set.sets_dir()
    zips = uploads.uploads_dir()
    collection = state.read().collection
    given = {"photos given to the class": str(collecting.count_of(place, collection.name))} if collection else {}
    return {
        "on the disk": models.size(home.used_bytes(place)), "trainings": str(len(own)),
        "models": str(sum(not entry.shipped for entry in registry.entries())),
        "own sets of photos": str(sum(photo_set.exists(path.name) for path in sets.glob("*"))),
        "zips": str(sum(path.is_dir() for path in zips.glob("*"))),
        "answers": str(len(answers.of(place))), **given}


_ASKED = "delete-everything-asked"


@frame.guarded("Delete everything of mine")
def delete() -> None:
    """Deleting the whole workspace, asked for twice."""
    place = reader.workspace()
    if place is None:
        return
    if not st.session_state.get(_ASKED):
        st.button("Delete everything of mine…", icon=":material/delete_forever:", key="delete-everything",
                  on_click=_set, args=(_ASKED, True), disabled=links.locked())
        return
    given = [entry.name for entry in publishing.models()
             if dict(entry.card).get(publishing.OWNER) == publishing.mark(place)]
    with st.container(border=True):
        st.markdown("**Everything of yours will be deleted on this server, at once and for good**: trainings, models, "
                    "photos and what was computed from them, answers, your name, and photos you gave to the class. "
                    "Trainings under way are ended. What others have trained with the class’s photos stays."
                    + (f" Published models of yours go, too: {frame.literal(', '.join(given))}." if given else ""))
        with st.container(horizontal=True):
            if st.button("Yes, delete everything", type="primary", key="delete-everything-really",
                         disabled=links.locked()):
                forget(place)
            st.button("Keep it", key="delete-everything-not", on_click=_set, args=(_ASKED, False))


def forget(place: Path) -> None:
    """Delete a reader's workspace, what is kept of it in memory, and begin his page anew."""
    leaving.delete_everything(place)
    clear_memory([place])
    reader.forget_session()
    st.toast("Everything of yours was deleted.", icon=":material/delete_forever:")
    st.rerun()


def clear_memory(places: list[Path]) -> None:
    """What this process keeps in memory of workspaces that are deleted."""
    for place in places:
        looks.forget(place)
    runs_view.clear_cache()
    trainings.clear_cache()
    session.clear_cache()
    deletion.clear_memory()


removed.heard_by(lambda place: clear_memory([place]))


def said_in_sum(place: Path) -> str:
    """What a workspace holds in few words, for the teacher.

    >>> said_in_sum(Path("/nowhere"))
    '0 kB, 0 answers'
    """
    return f"{models.size(home.used_bytes(place))}, {counted(len(answers.of(place)), 'answer')}"


def _rename(place: Path, key: str) -> None:
    workspaces.rename(place, str(st.session_state.get(key, "")))


def _set(name: str, value: bool) -> None:
    st.session_state[name] = value
