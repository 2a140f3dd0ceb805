"""Photographs that the class collects: readers give them, the teacher looks at each before anybody else does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from playground import home
from playground.classroom import collecting, publishing, state, workspaces
from playground.classroom.collecting import Waiting
from playground.classroom.state import Collection
from playground.datasets import photos
from playground.errors import PlaygroundError
from playground.numbers import counted
from playground.ui import contents, frame, held_uploads, links, reader
from playground.ui.classroom import qr
from playground.ui.studio import dataset_view, deletion, transfer

PAGE = contents.CLASS.url
SHOWN, THUMBNAIL = 24, 128
EVERY_SECONDS = 5.0
TYPES = [suffix.lstrip(".") for suffix in photos.SUFFIXES]
DECISIONS = ((":material/check:", "Accept", True), (":material/close:", "Reject", False))
_ROUND, _SAID = "collect-round", "collect-said"


@frame.guarded("Give photos to the class")
def give() -> None:
    """Where photographs are collected: choose a class, and take or send them."""
    into, place = state.read().collection, reader.workspace()
    if into is None or not into.is_open or place is None:
        return
    st.header("Photos for the class", anchor=False)
    st.markdown(f"Your class collects photos for **{frame.literal(into.name)}**. Your teacher looks at each before "
                "anybody else sees it; accepted ones become a set that all can train on. Photograph things, and "
                "people only if they agree.")
    label = st.segmented_control("What is on it?", into.labels, key="collect-label", disabled=links.locked(),
                                 format_func=frame.literal)
    if label is None:
        st.caption("Choose that first.")
    else:
        number = st.session_state.setdefault(_ROUND, 0)
        sent = st.file_uploader(
            "Photos: a phone offers its camera here", TYPES, accept_multiple_files=True, key=f"collect-files-{number}",
            disabled=links.locked(), max_upload_size=collecting.MOST_BYTES // 2**20)
        shot = st.camera_input("Camera", key=f"collect-camera-{number}", disabled=links.locked()) \
            if is_secure() and st.toggle("Use the camera of this device", key="collect-camera") else None
        if files := [*sent, *([shot] if shot is not None else [])]:
            take(place, into, str(label), files)
            held_uploads.let_go(files)
            st.session_state[_ROUND] = number + 1  # an empty field again
            st.rerun()
    for kind, text in st.session_state.pop(_SAID, []):
        (st.success if kind else st.error)(frame.literal(text))
    st.caption(f"{counted(collecting.count_of(place, into.name), 'photo')} of yours so far, at most "
               f"{collecting.MOST_OF_ONE}.")


def take(place: Path, into: Collection, label: str, files: Sequence[Any]) -> None:
    """Take photographs in, and keep what is to be said about it."""
    said, taken = [], 0
    for file in files:
        try:
            collecting.add(place, into, label, file.getvalue())
            taken += 1
        except PlaygroundError as error:
            said.append((False, f"{file.name}: {home.public(str(error))}"))
    if taken:
        said.insert(0, (True, f"{counted(taken, 'photo')} of {label} sent to your teacher."))
    st.session_state[_SAID] = said


def is_secure() -> bool:
    """Whether browsers let the page use a camera: over https, and on this computer."""
    return qr.address().startswith("https://") or qr.is_of_this_computer(qr.address())


@frame.guarded("A class set")
def open_or_close() -> None:
    """Begin a collection, or end it."""
    now = state.read().collection
    if now is None:
        st.markdown("Your class can collect one set of photos with their phones. You look at each photo before it "
                    "becomes part of the set.")
        with st.form("collect-begin", width=520):
            name = st.text_input("Name of the set", "class-photos", max_chars=40, key="collect-name")
            labels = st.text_input("What should be told apart?", "cup, no cup", key="collect-labels",
                                   help="Two classes or more, with commas between.")
            if st.form_submit_button("Begin", type="primary", disabled=links.locked()):
                state.collect(collecting.opened(name.strip(), labels.split(",")), PAGE)
                st.rerun()
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{frame.literal(now.name)}**: {frame.literal(', '.join(now.labels))}", width="content")
        st.badge("open" if now.is_open else "closed", color="green" if now.is_open else "gray")
        st.button("Close it" if now.is_open else "Open it again", key="collect-toggle", on_click=_set_open,
                  args=(now, not now.is_open), disabled=links.locked())
        st.button("End it", key="collect-end", on_click=_end, args=(now,), disabled=links.locked(),
                  help="Photos that wait are deleted; accepted ones stay, as the set that the class was given.")
    st.caption("Readers find the field for photos on this page.")


@st.fragment(run_every=EVERY_SECONDS)
@frame.guarded("Photos that wait")
def moderate() -> None:
    """The photographs that wait, some at a time, to be accepted or rejected."""
    now = state.read().collection
    if now is None:
        return
    waiting = collecting.waiting(now)
    counts = collecting.accepted(now)
    st.markdown(f"**{counted(len(waiting), 'photo')} wait.** In the set: "
                + ", ".join(f"{n} {frame.literal(label)}" for label, n in counts.items()) + ".")
    if not waiting:
        return
    names = {publishing.mark(one.home): one.called for one in workspaces.all_of_them()}
    shown = waiting[:SHOWN]
    with st.container(horizontal=True):
        st.button(f"Accept all {len(shown)}" if len(shown) > 1 else "Accept it", key="collect-accept-all",
                  type="primary", icon=":material/done_all:", on_click=decide, args=(now, shown, True),
                  disabled=links.locked())
        st.button(f"Reject all {len(shown)}" if len(shown) > 1 else "Reject it", key="collect-reject-all",
                  icon=":material/delete:", on_click=decide, args=(now, shown, False), disabled=links.locked())
    with st.container(key="collect-grid", horizontal=True):
        for one in shown:
            with st.container(border=True, width=THUMBNAIL + 36):
                whose = names.get(one.mark, "a reader who is gone")
                pixels = thumbnail(str(one.path))
                st.image(pixels, width=THUMBNAIL, caption=f"{frame.literal(one.label)} · {frame.literal(whose)}",
                         alt=f"A photo of {one.label} from {whose}, waiting")
                with st.container(horizontal=True):
                    for icon, what, yes in DECISIONS:
                        st.button("", key=f"collect-{what.lower()}-{one.path.stem}", icon=icon, help=what,
                                  on_click=decide, args=(now, [one], yes), disabled=links.locked())


def decide(some: Collection, chosen: Sequence[Waiting], yes: bool) -> None:
    """Accept or reject photographs."""
    with frame.guard("Looking at photos"):
        for one in chosen:
            if yes:
                collecting.accept(some, one)
            else:
                collecting.reject(one)
    transfer.scanned.clear()  # a folder of photographs is looked through once, and this one has changed
    dataset_view.looked_at.clear()


@st.cache_data(max_entries=200, show_spinner=False)
def thumbnail(path: str) -> np.ndarray:
    """A photograph small, in a square."""
    pixels = photos.open_small(Path(path), THUMBNAIL)
    side = max(pixels.shape[:2])
    square = np.full((side, side, 3), 128, np.uint8)
    top, left = (side - pixels.shape[0]) // 2, (side - pixels.shape[1]) // 2
    square[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return square


def _set_open(now: Collection, is_open: bool) -> None:
    state.collect(Collection(now.name, now.labels, is_open), PAGE)


def _end(now: Collection) -> None:
    with frame.guard("Ending the collection"):
        collecting.discard(now.name)
        state.collect(None, PAGE)
        deletion.clear_memory()
