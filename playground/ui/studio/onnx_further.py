"""Part of the page "ONNX lab": a file's classifier goes on as a backbone, its last layer replaced."""

import re

import streamlit as st

from playground import adopting
from playground.errors import PlaygroundError
from playground.inspection.preparation import Preparation
from playground.numbers import count, counted
from playground.training.transfer import imported
from playground.ui import frame, links
from playground.ui.studio.onnx_file import Opened

ADOPTED = "adopted-backbones"
"""In the session: what this reader took as a backbone. Nobody else is offered it without its name."""


def further(opened: Opened, preparation: Preparation) -> None:
    """What becomes of the file on the transfer page, and the button that takes it there."""
    st.markdown(
        "On the transfer page this file is a **frozen backbone**: everything up to its last layer stays as it is and "
        "turns each photo into a row of numbers; a new last layer is trained from those numbers to your classes. Only "
        "that layer is trained, not the file's own weights. The exported model is the file's graph with the new layer, "
        "and with this preparation of a picture in front:")
    st.markdown(f"> {frame.literal(preparation.preprocessing.sentence())}"
                + (" The channels go in as blue, green, red." if preparation.order == "BGR" else ""))
    title = opened.name.rsplit("/", 1)[0] if opened.name.endswith("/model.onnx") else opened.name.removesuffix(".onnx")
    if st.button("Use it as a backbone", type="primary", icon=":material/school:", key=f"onnx-adopt-{opened.key}",
                 disabled=links.locked()):
        with st.spinner("Taking its last layer off, in a process of its own…"):
            name = adopting.adopt(opened.path, title[:60], preparation)
        st.session_state[ADOPTED] = list(dict.fromkeys([*st.session_state.get(ADOPTED, ()), name]))
        found = imported.find(name)
        st.success(f"Taken: {counted(found.channels, 'number')} a picture in front of the new last layer, "
                   f"{count(found.parameters)} frozen weights.", icon=":material/check:")
        frame.link("transfer", "Train a new last layer on photos", query_params={"backbone": called(found)})


def called(backbone: imported.Imported) -> str:
    """What it is called in a list of backbones, and so in the address of the page: with its key, which finds it."""
    return f"{backbone.title}, ONNX file {backbone.key}"


def offered() -> dict[str, imported.Imported]:
    """The backbones from ONNX files that this reader may choose: those taken in this session, and the one that the
    page's address names."""
    names = list(st.session_state.get(ADOPTED, ()))
    if key := re.search(r"ONNX file ([0-9a-f]{16})$", st.query_params.get("backbone", "")):
        names.append(f"{imported.MARK}{key[1]}")
    found = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = imported.find(name)
        except PlaygroundError:  # it went meanwhile
            st.info(f"The backbone {frame.literal(name)} is not here any more: open its file in the ONNX lab again.")
    return found
