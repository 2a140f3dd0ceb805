"""From a photograph that was mistaken back to the set it is in: another class, or out, and the training once more.

A photograph is found in the set by its content, never by its place, so it does not matter what was edited meanwhile.
The set may be edited by whoever has its address, as everywhere.
"""

import re
from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image, ImageOps

from playground.datasets import allowed, collection, folders, photos, versions
from playground.datasets.collection import PhotoSet
from playground.deploy.evaluation import Predictions
from playground.errors import PlaygroundError
from playground.home import data_dir
from playground.numbers import count, percent
from playground.training.runs.runs import RunSpec, RunView
from playground.ui import frame, links
from playground.ui.parts import lesson
from playground.ui.studio import models, own_set, runs_view

THUMBNAIL = 160
MOST_SHOWN = 24
_EDITED = "corrections-edited"


def follow_edits() -> None:
    """At the beginning of the fragment: counts and settings of the whole page follow an edit."""
    if st.session_state.pop(_EDITED, False):
        st.rerun()


def shown(view: RunView, found: Predictions, which: np.ndarray) -> None:
    """Photos with what the model said of them, each to be corrected where its set is at hand; one that is gone is left
    out."""
    if hidden(found):
        return
    pictures = {int(k): small for k in which[:MOST_SHOWN] if (small := thumbnail(str(found.paths[k]))) is not None}
    chosen = collection.read(set_id) if (set_id := own_set.current()) else None
    keys = {k: key for k in pictures if chosen and (key := key_of(chosen, found, k)) is not None}
    if chosen is None or not keys:
        captions = [said_of(found, k) for k in pictures]
        lesson.gallery(list(pictures.values()), captions, "A photo", width=THUMBNAIL)
    else:
        own_set.tell()
        with st.container(horizontal=True, gap="small"):
            for k, picture in pictures.items():
                with st.container(width=THUMBNAIL, gap="xsmall"):
                    st.image(picture, said_of(found, k), width=THUMBNAIL, alt=f"Photo {k + 1}")
                    if k in keys:
                        card(chosen, keys[k])
    if len(which) > MOST_SHOWN:
        st.caption(f"and {len(which) - MOST_SHOWN} more")
    if chosen is not None and keys:
        again(view, chosen)
    elif pictures:
        how_to_edit(view)


def hidden(found: Predictions) -> bool:
    """Whether these are somebody else's photos; then it is said who may see them."""
    if all(own_set.may_see(path) for path in found.paths):
        return False
    st.info("These photos are in an own set or an uploaded zip and are shown only to whoever has its address: with its "
            "address (set=…) or (zip=…) in this page's they are here, and those of a set can be relabelled and taken "
            "out. To look at photos of your own, give them there as a zip and train on that.",
            icon=":material/lock:")
    return True


def said_of(found: Predictions, k: int) -> str:
    """What the model said of a photo, and its name."""
    return (f"{frame.literal(found.labels[found.said[k]])} {percent(float(found.sure[k]), 0)}: "
            f"{frame.literal(found.paths[k].name)}")


@st.cache_data(max_entries=256, show_spinner=False)
def thumbnail(path: str) -> np.ndarray | None:
    """A photo cut to a small square; None when it cannot be opened any more."""
    try:
        return np.asarray(ImageOps.fit(Image.fromarray(photos.open_photo(Path(path))), (THUMBNAIL, THUMBNAIL)))
    except PlaygroundError:
        return None


def key_of(chosen: PhotoSet, found: Predictions, k: int) -> str | None:
    """The photo in the set, if it is there."""
    path = found.paths[k]
    try:
        return collection.identified(chosen, _digests(str(path), path.stat().st_mtime_ns), found.labels[found.truth[k]])
    except (PlaygroundError, OSError):
        return None


@st.cache_data(max_entries=4096, show_spinner=False)
def _digests(path: str, version: int) -> tuple[str, ...]:
    return collection.digests(Path(path))


def card(chosen: PhotoSet, key: str) -> None:
    """The class of one photo, to be changed, and the way out of the set."""
    photo = chosen.photos[key]
    field = f"correct-{key}-{photo.label}-{len(chosen.edits)}"  # after an undo, a new field that shows what is now
    st.selectbox(f"Class of {frame.literal(photo.name)}", chosen.classes, chosen.classes.index(photo.label), key=field,
                 on_change=relabel, args=(chosen.set_id, key, field), disabled=links.locked(),
                 label_visibility="collapsed")
    if photo.left_out is None:
        st.button("Take it out", icon=":material/remove_circle:", key=f"correct-out-{key}", on_click=take_out,
                  args=(chosen.set_id, key), disabled=links.locked(), type="tertiary")
    else:
        st.button("Put it back", icon=":material/add_circle:", key=f"correct-back-{key}", on_click=put_back,
                  args=(chosen.set_id, key), disabled=links.locked(), type="tertiary")


def relabel(set_id: str, key: str, field: str) -> None:
    """Another class for a photo."""
    st.session_state[_EDITED] = True
    with own_set.answered():
        collection.relabel(set_id, [key], str(st.session_state[field]))


def take_out(set_id: str, key: str) -> None:
    """A photo out of the set."""
    st.session_state[_EDITED] = True
    with own_set.answered():
        collection.leave_out(set_id, [key])


def put_back(set_id: str, key: str) -> None:
    """A photo that was taken out is part of the set again."""
    st.session_state[_EDITED] = True
    with own_set.answered():
        collection.put_back(set_id, [key])


def again(view: RunView, chosen: PhotoSet) -> None:
    """The way back, and the same training on what the set is now."""
    trained = own_set.without(chosen, own_set.too_few(chosen))
    same = chosen.trainable and str(versions.place(trained)) == view.spec.request["data"]
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button("Train again on the corrected photos", type="primary", icon=":material/replay:",
                            key="train-again", disabled=links.locked() or same or not chosen.trainable)
        own_set.undo_button(chosen, "corrections-undo")
    if same:
        st.caption("Give a photo its right class, or take it out: then the same training can be done once more on "
                   "what is right.")
        return
    if not chosen.trainable:
        st.caption("Two classes with two photos each are the least there is to learn from.")
        return
    st.caption(f"The same settings and seed on the {count(len(trained.kept))} photos that are in "
               f"“{frame.literal(chosen.name)}” now. Take out what is wrong, not what is hard: without the hard ones "
               "the accuracy grows, and the model is no better.")
    if pressed:
        spec = asked(view, trained)
        st.toast(f"Training **{frame.literal(spec.name)}** on the corrected photos. This page follows it.")
        runs_view.begin(spec, suggested=True)


def asked(view: RunView, trained: PhotoSet) -> RunSpec:
    """The run's own recipe and seed on the set as it is now."""
    versions.as_folder(trained, own_set.in_use)  # says what is wrong with it
    data = str(versions.version(trained, own_set.in_use))
    name = models.free_name(re.sub(r"-\d{1,3}$", "", view.spec.name) or view.spec.name)
    return RunSpec(view.spec.kind, {**view.spec.request, "data": data}, view.spec.seed, name)


def how_to_edit(view: RunView) -> None:
    """Where the photos cannot be edited: how to get there."""
    data = str(view.spec.request["data"])
    path = data_dir() / "faces" if data == "faces" else Path(data)
    if collection.sets_dir() / ".versions" in path.parents:
        st.caption("Wrongly labelled? These photos are in an own set: with its address (set=…) they can be relabelled "
                   "and taken out here." if not is_of(path) else "These photos are not in the set any more.")
    elif not may_copy(path):
        st.caption("Wrongly labelled? In a set of your own (“Photos”, at the top) photos can be relabelled and taken "
                   "out here: give them there as a zip and train on that.")
    else:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Wrongly labelled? In a copy of these photos they can be relabelled and taken out, here and "
                       "under “Look at the photos”.", width="content")
            if st.button("Make a copy to edit", icon=":material/edit:", key="correct-copy", disabled=links.locked()):
                folder = folders.write_faces(path) if data == "faces" else allowed.demand_inside(path)
                own_set.go_to(own_set.copied(folder, path.name))


def is_of(path: Path) -> bool:
    """Whether a version is one of the set whose address this is."""
    set_id = own_set.current()
    return set_id is not None and path.parent.name.startswith(f"{collection.version_prefix(set_id)}-")


def may_copy(path: Path) -> bool:
    """Whether everybody may have the photos: those of the server, and the zip whose address this is."""
    uploads = data_dir() / "uploads"
    if uploads in path.parents:
        return path.name == st.query_params.get("zip", "").partition(".")[0]
    return path.is_dir() and allowed.is_inside(path) and not path.is_relative_to(collection.sets_dir())
