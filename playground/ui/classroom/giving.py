"""What the teacher gives to the class: models of anybody's, and photographs of his own; and how he takes them back."""

import streamlit as st

from playground.classroom import publishing, workspaces
from playground.classroom.workspaces import Workspace
from playground.deploy import registry
from playground.numbers import counted
from playground.ui import frame, links, reader
from playground.ui.studio import deletion, models


@frame.guarded("Publish a model")
def publish_model() -> None:
    """Choose whose and which model."""
    own = reader.workspace()
    found = {one.id: one for one in sorted(workspaces.all_of_them(), key=lambda one: one.home != own)}
    offered: dict[str, tuple[Workspace, str]] = {}
    for known, one in found.items():
        with workspaces.within(one):
            for entry in registry.entries():
                if not entry.shipped:
                    offered[f"{known}/{entry.name}"] = (one, entry.name)
    if not offered:
        st.caption("There are no models in any workspace yet: every training that finishes makes one.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox(
            "Model", list(offered), key="publish-model", width=420,
            format_func=lambda key: f"{offered[key][1]} · {whose(offered[key][0])}")
        if st.button("Give it to the class", key="publish-model-go", icon=":material/publish:",
                     disabled=links.locked()):
            called = publishing.publish_model(*offered[chosen])
            st.toast(f"The class has {called} under Models.", icon=":material/check:")
            st.rerun()


def whose(one: Workspace) -> str:
    """Whose a workspace is, as the teacher sees it."""
    return "yours" if one.home == reader.workspace() else one.called


@frame.guarded("Publish photos")
def publish_photos() -> None:
    """Choose photographs of the teacher's own."""
    found = publishing.sources()
    if not found:
        st.caption("You have no photos of your own here: make a set or send a zip on the page Transfer learning.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.selectbox("Photos", list(found), key="publish-photos", width=300)
        name = st.text_input("Called", models.tidy(chosen), key=f"publish-photos-name-{chosen}", width=200,
                             max_chars=40)
        if st.button("Give them to the class", key="publish-photos-go", icon=":material/publish:",
                     disabled=links.locked()):
            with st.spinner("Copying the photos …"):
                into = publishing.publish_photos(found[chosen](), name)
            st.toast(f"The class has class/{into.name} among the folders on the server.", icon=":material/check:")
            st.rerun()
    st.caption("Copies are made; what cameras add (place, time) is taken out of them.")


@frame.guarded("Published")
def published() -> None:
    """What the class has, each with a button that takes it back."""
    for entry in publishing.models():
        _row(f"model **{frame.literal(entry.name)}**", f"unpublish-{entry.name}", take_model, entry.name)
    for name, number in publishing.photo_folders().items():
        _row(f"photos **{frame.literal(name)}**, {counted(number, 'photo')}", f"unpublish-photos-{name}", take_photos,
             name)
    if not publishing.models() and not publishing.photo_folders():
        st.caption("The class has been given nothing yet.")


def take_model(name: str) -> None:
    """Take a model back."""
    with frame.guard("Taking back"):
        publishing.unpublish_model(name)


def take_photos(name: str) -> None:
    """Take photographs back, and forget what was drawn of them."""
    with frame.guard("Taking back"):
        publishing.unpublish_photos(name)
        deletion.clear_memory()


def _row(text: str, key: str, action: object, name: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(text, width=380)
        st.button("Take back", key=key, icon=":material/undo:", on_click=action, args=(name,),  # type: ignore[arg-type]
                  disabled=links.locked())



