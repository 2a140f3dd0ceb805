"""Photographs from a zip: given here, found again by the page's address, deleted when their owner wants it."""

from pathlib import Path

import streamlit as st

from playground.datasets import uploads
from playground.numbers import counted
from playground.ui import frame, links, reader
from playground.ui.studio import deletion, models


def known() -> str:
    """The name of the upload the address leads to; "" where it leads to none."""
    return str(st.query_params.get("zip", "")).partition(".")[0]


def given_zip() -> tuple[Path, str] | None:
    """The folder of the zip given here, and a name for its model; after a reload, of the one the address names.

    The address holds a part of the zip's SHA-256, which nobody can guess who has not seen the zip or the address.
    """
    room = f"zip-file-{st.session_state.get('zip-round', 0)}"  # another key is an empty field again
    given = st.file_uploader(
        "A zip with one folder for each class",
        "zip",
        key=room,
        disabled=links.locked(),
        help="cats/1.jpg, cats/2.jpg … dogs/1.jpg … A fifth is kept aside to check the model. With train/ and "
        "validation/ (or test/) folders above the classes, or in each of them, that division is used.",
    )
    st.caption("It starts to work from about ten photos a class. They are unpacked on this server and go nowhere else: "
               f"they are there for {reader.whom_it_is_for()}, until you delete them or nobody has used them for "
               f"{counted(uploads.KEPT_DAYS, 'day')}.")
    if given is not None:
        folder, name = uploads.keep(given.getvalue()), models.tidy(given.name)
        st.query_params["zip"] = f"{folder.name}.{name}"
    else:
        found = uploads.find(known())
        if found is None:
            return None
        folder, name = found, models.tidy(str(st.query_params.get("zip", "")).partition(".")[2])
    with st.popover("Delete these photos …", icon=":material/delete:", disabled=links.locked()):
        st.markdown("Models that learnt from them stay; a training run that is under way fails.")
        st.button("Delete for good", key="zip-delete", type="primary", on_click=delete, args=(folder.name,))
    return folder, name


def delete(name: str) -> None:
    """An upload, for good, and the page without it."""
    with frame.guard("Deleting the photos"):
        deletion.remove_upload(name)
    st.session_state["zip-round"] = st.session_state.get("zip-round", 0) + 1
    st.query_params.pop("zip", None)
