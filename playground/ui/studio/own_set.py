"""One's own set of photographs: begin one, add to its classes from the camera, from files or a zip, take steps back.

The set's id is in the page's address and cannot be guessed: a reload finds the set again, and whoever is given the
address may add to it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import streamlit as st

from playground import home, numbers
from playground.classroom import keys
from playground.datasets import collection, photos, provenance, uploads, versions
from playground.datasets.collection import PhotoSet, Refused
from playground.datasets.folders import PhotoFolder
from playground.datasets.small_photos import photos_named
from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.ui import frame, held_uploads, links, reader
from playground.ui.parts import camera
from playground.ui.studio import models

OWN = "Your own set"
CAMERA, FILES, ZIP = "Camera", "Files", "A zip"
MOST_SHOTS = 64
_SAID, _ANSWERS, _ROUND, _ARRIVED = "own-set-said", "own-set-answers", "own-set-round", "own-set-arrived"


def current() -> str | None:
    """The id of the set the address names, where there is one."""
    set_id = st.query_params.get("set", "")
    return set_id if collection.exists(set_id) else None


def arrive() -> bool:
    """Called before the page's source is drawn: whether a set was just made, which is the source from now on."""
    if st.session_state.pop(_ARRIVED, None) is None:
        return False
    st.session_state["photos"] = OWN
    return True


def at_hand() -> dict[str, str]:
    """The sets that may be trained on here, label -> id: the one in the address, in a class all of the workspace."""
    ids = collection.set_ids() if home.is_class() else [one for one in [current()] if one]
    found = {}
    for set_id in ids:
        with suppress(PlaygroundError):  # a damaged one hides only itself
            chosen = collection.read(set_id)
            if without(chosen, too_few(chosen)).trainable:
                found[f"{chosen.name or 'your set'} (your photos)"] = set_id
    return found


def folder_of(set_id: str) -> Path:
    """A set as it is now, as a folder of class folders to train on."""
    chosen = collection.read(set_id)
    return versions.version(without(chosen, too_few(chosen)), in_use)


def go_to(made: PhotoSet) -> None:
    """Show a set that was just made, wherever the page stands."""
    st.session_state[_ARRIVED] = made.set_id
    st.query_params["set"] = made.set_id  # what stands above the page's source needs it already
    st.rerun()


def may_see(path: Path) -> bool:
    """Whether the photo of a run may be shown to whoever has this page's address: one of an own set or of an uploaded
    zip only where that is in the address, too; every other one is on the server for all. A workspace of a class sees
    all that is in it."""
    if home.is_class():
        return not path.is_relative_to(home.shared() / keys.WORKSPACES) or path.is_relative_to(home.home())
    if path.is_relative_to(collection.sets_dir()):
        set_id = current()
        inside = path.relative_to(collection.sets_dir()).parts
        prefix = collection.version_prefix(set_id) if set_id else ""
        return bool(prefix) and "/".join(inside).startswith(f".versions/{prefix}-")
    if path.is_relative_to(uploads.uploads_dir()):
        return path.relative_to(uploads.uploads_dir()).parts[0] == str(st.query_params.get("zip", "")).partition(".")[0]
    return True


@contextmanager
def answered() -> Iterator[None]:
    """Around an edit in a callback: why it could not be made stands on the page when that is drawn."""
    try:
        yield
    except PlaygroundError as error:
        st.session_state[_SAID] = str(error)


def tell() -> None:
    """Why the last edit could not be made, once."""
    if said := st.session_state.pop(_SAID, ""):
        st.warning(frame.literal(said), icon=":material/info:")


def in_use() -> set[str]:
    """The folders runs were given."""
    found = set()
    for run_id in runs.run_ids():
        try:
            data = str(runs.read_spec(runs.run_dir(run_id)).request.get("data"))
            small = photos_named(data)  # a network from scratch learns from them made small
            found.add(str(small[0]) if small else data)
        except PlaygroundError:
            continue  # a damaged run needs no photographs
    return found


def collect() -> tuple[Path, str, PhotoFolder] | None:
    """The controls of one's own set; the folder to train on, a name for the model and what is in it, once it is enough.
    """
    set_id = current()
    if set_id is None:
        begin()
        return None
    chosen = collection.read(set_id)
    head(chosen)
    add_to(chosen)
    tell()
    few = too_few(chosen)
    if not chosen.trainable:
        st.info(
            "Two classes with two photos each are the least there is to learn from; from about ten each it begins to "
            "work. " + (f"Still to come: {frame.literal(', '.join(few))}." if few else ""),
            icon=":material/photo_library:",
        )
        return None
    if few:
        st.caption(f"Not trained on until there are two photos or more: {frame.literal(', '.join(few))}.")
    trained = without(chosen, few)
    label = next((name for name, known in at_hand().items() if known == set_id), None)
    if label is not None:
        frame.link("train", "Design a network of your own for these photos", query_params={"set": set_id,
                                                                                          "data": label})
    return versions.version(trained, in_use), models.tidy(chosen.name), versions.as_folder(trained, in_use)


def too_few(chosen: PhotoSet) -> list[str]:
    """The classes that cannot be trained on yet."""
    return [name for name, count in chosen.counts.items() if count < 2]


def without(chosen: PhotoSet, classes: list[str]) -> PhotoSet:
    """The set as it would be without the photographs of some classes: a single one can be trained or checked on."""
    left = {key: photo for key, photo in chosen.photos.items() if photo.label not in classes}
    return replace(chosen, photos=left) if len(left) < len(chosen.photos) else chosen


def begin() -> None:
    """Before there is a set: name the classes, or bring a zip."""
    with st.form("own-set-begin", border=False):
        names = st.text_input(
            "What should be told apart?", placeholder="cup, no cup", max_chars=400, disabled=links.locked(),
            help="Two names or more, with commas in between. Everything can be renamed later.",
        )
        pressed = st.form_submit_button("Begin", type="primary", icon=":material/photo_camera:",
                                        disabled=links.locked())
    with st.expander("Go on with a zip instead", icon=":material/folder_zip:"):
        given = st.file_uploader("A set you took along, or any zip with one folder for each class", "zip",
                                 key="own-set-zip", disabled=links.locked())
        if given is not None:
            go_to(imported(given.getvalue(), models.tidy(given.name)))
    st.caption(f"The photos stay on this server, for {reader.whom_it_is_for()}. You can delete all of them.")
    if pressed:
        classes = [name for name in names.split(",") if name.strip()] or ["class 1", "class 2"]
        if len(classes) == 1:
            raise PlaygroundError("Telling apart takes two names or more, with a comma in between: cup, no cup.")
        go_to(collection.create(" or ".join(" ".join(name.split()) for name in classes[:3]), classes))


def imported(content: bytes, name: str) -> PhotoSet:
    """A new set from a zip, with a bar while it is read."""
    return _with_bar(lambda heard: versions.from_zip(content, name, heard))


def copied(path: Path, name: str) -> PhotoSet:
    """A new set from a folder, with a bar while it is copied; where the photos are from goes with them."""
    made = _with_bar(lambda heard: versions.from_folder(path, name, heard))
    source, licence = provenance.of(str(path))
    return collection.begin(replace(made, source=made.source or source, licence=made.licence or licence))


def _with_bar(work: Callable[[Callable[[int, int], None]], PhotoSet]) -> PhotoSet:
    bar = st.progress(0.0, "Reading the photos …")

    def heard(done: int, total: int) -> None:
        bar.progress(done / total, f"{numbers.count(done)} of {numbers.count(total)} photos")

    try:
        return work(heard)
    finally:
        bar.empty()


def head(chosen: PhotoSet) -> None:
    """The set's name, its classes to edit, and the way back."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{frame.literal(chosen.name)}** · {numbers.count(len(chosen.kept))} photos", width="content")
        undo_button(chosen, "own-set-undo")
        with st.popover("Classes", icon=":material/edit:", disabled=links.locked()):
            classes(chosen)
        st.button("Another set", icon=":material/add:", key="own-set-leave", type="tertiary", on_click=leave,
                  help="This one stays where it is: keep the page's address to come back to it.")


def leave() -> None:
    """Out of the set; the address is all that leads back."""
    st.query_params.pop("set", None)


def undo_button(chosen: PhotoSet, key: str) -> None:
    """Takes the last edit back; it names it."""
    if chosen.edits:
        what = chosen.edits[-1].what
        st.button(f"Undo: {frame.literal(what if len(what) <= 48 else what[:47] + '…')}", icon=":material/undo:",
                  key=key, on_click=take_back, args=(chosen.set_id,), disabled=links.locked(),
                  help="Takes back the last edit; again, the one before it.")


def take_back(set_id: str) -> None:
    """One step back."""
    with answered():
        collection.undo(set_id)


def classes(chosen: PhotoSet) -> None:
    """Rename, add and remove classes."""
    for k, name in enumerate(chosen.classes):
        with st.container(horizontal=True, vertical_alignment="bottom", key=f"own-set-class-{k}"):
            key = f"own-set-name-{name}"
            st.text_input(f"Class {k + 1}", name, max_chars=collection.LONGEST_CLASS, key=key, on_change=rename,
                          args=(chosen.set_id, name, key))
            st.button("Remove", key=f"own-set-remove-{k}", icon=":material/delete:", on_click=drop_class,
                      args=(chosen.set_id, name), help="With its photos; “Undo” brings them back.")
    st.text_input("One class more", key="own-set-new-class", placeholder="its name, then Enter",
                  max_chars=collection.LONGEST_CLASS, on_change=new_class, args=(chosen.set_id,))


def rename(set_id: str, name: str, key: str) -> None:
    """Take the name typed for a class."""
    with answered():
        collection.rename_class(set_id, name, str(st.session_state[key]))


def drop_class(set_id: str, name: str) -> None:
    """A class less."""
    with answered():
        collection.remove_class(set_id, name)


def new_class(set_id: str) -> None:
    """A class more, named as typed."""
    typed = str(st.session_state["own-set-new-class"])
    st.session_state["own-set-new-class"] = ""
    if typed.strip():
        with answered():
            collection.add_class(set_id, typed)


def add_to(chosen: PhotoSet) -> None:
    """Choose a class and add photographs to it."""
    if not chosen.classes:
        st.info("There is no class yet: add one under “Classes”.", icon=":material/edit:")
        return
    counts = chosen.counts
    left, right = st.columns([2, 3], gap="large")
    with left:
        into = st.radio(
            "Add photos of", chosen.classes, key="own-set-into", disabled=links.locked(), format_func=frame.literal,
            captions=[f"{counts[name]} photo{'s' if counts[name] != 1 else ''}" for name in chosen.classes],
        ) or chosen.classes[0]
        source = st.segmented_control("from", [CAMERA, FILES, ZIP], default=CAMERA, required=True, key="from",
                                      bind="query-params", disabled=links.locked())
        if source == CAMERA:
            st.caption("Move the thing while you hold the button, and take some in another place: photos that are "
                       "nearly the same teach little.")
    with right:
        if source == CAMERA:
            from_camera(chosen, into)
        elif source == FILES:
            files(chosen, into)
        else:
            zip_file(chosen)


def from_camera(chosen: PhotoSet, into: str) -> None:
    """Many shots of a class without leaving the camera."""
    answers = st.session_state.get(_ANSWERS, 0)
    camera.burst(
        key="own-set-camera",
        data={"label": into, "taken": answers, "locked": links.locked()},
        on_shots_change=lambda: take_shots(chosen.set_id, frame.sent("own-set-camera", "shots")),
    )


def take_shots(set_id: str, given: object) -> None:
    """Keep what the camera sent: {"label": ..., "shots": [JPEG as a data address, ...]}. It may be anything."""
    st.session_state[_ANSWERS] = st.session_state.get(_ANSWERS, 0) + 1
    if not isinstance(given, dict) or links.locked():
        return
    label, shots = given.get("label"), given.get("shots")
    if not isinstance(label, str) or not isinstance(shots, list):
        return
    contents = [content for shot in shots[:MOST_SHOTS] if (content := camera.jpeg(shot)) is not None]
    with answered():
        first = collection.read(set_id).following
        given_names = [(f"camera-{first + k:04d}.jpg", content) for k, content in enumerate(contents)]
        _, refused = collection.add(set_id, label, given_names)
        note(len(given_names) - len(refused), label, refused)


def note(count: int, label: str, refused: list[Refused]) -> None:
    """Says what became of photographs; raises PlaygroundError, for `answered` to show, when some were not taken."""
    if refused:
        whys = " ".join(each.why for each in refused[:3])
        more = f" And {len(refused) - 3} more like that." if len(refused) > 3 else ""
        raise PlaygroundError(f"{count} added to {label}, {len(refused)} not. {whys}{more}")
    st.toast(f"{count} photo{'s' if count != 1 else ''} of {frame.literal(label)} added")


def files(chosen: PhotoSet, into: str) -> None:
    """Photographs from files, several at once."""
    key = f"own-set-files-{st.session_state.get(_ROUND, 0)}"  # another key is an empty field again
    st.file_uploader(
        "Photos", [suffix.lstrip(".") for suffix in photos.SUFFIXES], accept_multiple_files=True, key=key,
        on_change=take_files, args=(chosen.set_id, into, key), disabled=links.locked(),
        help=f"They are stored upright, at most {collection.LONGEST_SIDE} pixels wide or high, without the place and "
        "time a phone writes into them.",
    )
    st.caption(f"All of them become photos of **{frame.literal(into)}**.")


def take_files(set_id: str, into: str, key: str) -> None:
    """Keep the files given."""
    given = st.session_state.get(key) or []
    if not given or links.locked():
        return
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
    with answered():
        contents = [(file.name, file.getvalue()) for file in given]
        held_uploads.let_go(given)
        _, refused = collection.add(set_id, into, contents)
        note(len(given) - len(refused), into, refused)


def zip_file(chosen: PhotoSet) -> None:
    """The photographs of a zip of class folders, all classes at once."""
    key = f"own-set-more-{st.session_state.get(_ROUND, 0)}"
    given = st.file_uploader("A zip with one folder for each class", "zip", key=key, disabled=links.locked())
    st.caption("Folders named like a class of yours add to it; others become new classes.")
    if given is not None:
        st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
        content = given.getvalue()
        held_uploads.let_go([given])
        with answered():
            _with_bar(lambda heard: versions.add_zip(chosen.set_id, content, heard))
        st.rerun()

