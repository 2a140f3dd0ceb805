"""The reader's own photo: given once, there on every page, and after a reload, until another picture is chosen.

It is kept in the reader's session, and for a reload in the reader's own browser (sessionStorage: this tab alone, until
it is closed). It is written nowhere on the server, and no address leads to it. A list of pictures says "Your photo"
only over a photo of the reader's: as long as there is none, it stays at what is shown.
"""

import base64
import binascii
import hashlib

import streamlit as st

from playground.datasets import photos
from playground.errors import PlaygroundError
from playground.ui import frame, links

MOST_KEPT_BYTES = 2 * 2**20
"""What a browser keeps for a reload: it has room for five million characters, and a photo takes 4 for 3 bytes."""
TYPES = [suffix.lstrip(".") for suffix in photos.SUFFIXES]
PHOTO = "own-photo"
"""Where the session keeps the file that was given."""
_SHOWN, _WAY, _LIST, _TROUBLE = "own-photo-shown", "own-photo-way", "own-photo-list", "own-photo-trouble"
_TOLD, _AGAIN = "own-photo-told", "own-photo-again"
_KEPT, _LOOKED, _ASKED = "own-photo-kept", "own-photo-looked", "own-photo-asked"
_KEEPER = "photo_keeper"

_keeper = st.components.v2.component(
    _KEEPER,
    html="<span hidden></span>",
    js="""const NAME = "playground-own-photo";
export default function ({ data, setTriggerValue }) {
  try {
    if (data.photo) {
      sessionStorage.removeItem(NAME);
      sessionStorage.setItem(NAME, data.photo);
    }
    if (data.forget) sessionStorage.removeItem(NAME);
    if (data.look) setTriggerValue("found", sessionStorage.getItem(NAME) || "");
    if (data.photo) setTriggerValue("kept", { digest: data.digest, kept: true });
  } catch { // no room, or not allowed
    if (data.photo) setTriggerValue("kept", { digest: data.digest, kept: false });
  }
}
""",
)


def given() -> bytes | None:
    """The reader's photo, a file as it was given, if there is one."""
    found = st.session_state.get(PHOTO)
    return found if isinstance(found, bytes) else None


def way() -> str | None:
    """How the reader wants to give a photo, as the list of pictures spells it, while that is asked for."""
    return st.session_state.get(_WAY)


def before_the_list(own: str, ways: tuple[str, ...], begin: str) -> None:
    """Before the list of pictures is drawn: let it say `own` where the own photo is shown, and only there.

    `ways` are the choices by which a photo is given, `begin` the one that the list begins with.
    """
    state = st.session_state
    if state.pop(_AGAIN, False):
        state["picture"] = own
    new_page = "picture" not in state
    asked = None if new_page else state["picture"]
    if asked in ways and (asked != own or given() is None):  # not a picture, but the wish to give one
        state[_WAY] = asked
        before = begin if state.get(_LIST) in (None, *ways) else state[_LIST]
        state["picture"] = own if given() is not None else before
    elif new_page and state.get(_SHOWN):
        state["picture"] = own
        state[_WAY] = own
    elif asked == own:
        state[_WAY] = state.get(_WAY) or own
    elif new_page or asked != state.get(_LIST):  # another picture was chosen
        state.pop(_WAY, None)
        state.pop(_TROUBLE, None)
    state[_TOLD] = state.get("picture") == own


def after_the_list(own: str, ways: tuple[str, ...]) -> None:
    """When the list of pictures is drawn: remember what it says for the next page and the next choice."""
    state = st.session_state
    said = state.get("picture")
    if links.locked():  # the address goes before all at each pass, so the list cannot turn, and nothing can be given
        state[_LIST], state[_SHOWN] = said, said == own and given() is not None
        return
    if said in ways and (said != own or given() is None):  # a new page's address goes before all: now the list can turn
        state[_LIST] = None
        st.rerun()
    if state.pop(_TOLD, False) and said != own and "picture" not in st.query_params:
        state[_AGAIN] = True  # on the browser's way back an address that says nothing means the list's beginning
        st.rerun()
    if said == own:
        state[_WAY] = state.get(_WAY) or own
    state[_LIST], state[_SHOWN] = said, said == own


def ask(by_camera: bool, shown: str) -> None:
    """Draw the field for a file or the camera, and say what is shown until there is a photo, and how long it stays."""
    key = "camera" if by_camera else "upload"
    if by_camera:
        st.camera_input("Your camera", key=key, on_change=_take, args=(key,), disabled=links.locked())
    else:
        st.file_uploader("Your photo", TYPES, key=key, on_change=_take, args=(key,), disabled=links.locked())
    state, photo = st.session_state, given()
    if trouble := state.get(_TROUBLE):
        st.error(frame.literal(trouble))
    data: dict[str, object] = {}
    if photo is None:
        st.caption(f"Until there is a photo of yours, this is the {frame.literal(shown)}.")
        data = {"look": not state.get(_LOOKED), "forget": bool(state.get(_LOOKED)), "asked": state.get(_ASKED, 0)}
    else:
        digest = hashlib.sha256(photo).hexdigest()[:16]
        if state.get(_KEPT, (None,))[0] != digest and len(photo) <= MOST_KEPT_BYTES:
            data = {"photo": base64.b64encode(photo).decode(), "digest": digest}
        reload = "" if state.get(_KEPT, (digest, True)) == (digest, True) and len(photo) <= MOST_KEPT_BYTES else \
            " Reloading the page loses it."
        st.caption("Your photo stays on all pages until you choose another picture; nobody else gets it." + reload)
    _keeper(key=_KEEPER, data=data, on_kept_change=_kept, on_found_change=_found)


def _take(key: str) -> None:
    """Take the file that was given; when it was taken away again, forget it."""
    state = st.session_state
    state.pop(_TROUBLE, None)
    state[_LOOKED] = True  # from here on the session knows better than the browser
    if state.get(key) is None:
        state.pop(PHOTO, None)
        return
    take(state[key].getvalue())


def take(file: bytes) -> None:
    """Make this file the reader's photo and show it, if it is a picture."""
    state = st.session_state
    try:
        photos.open_photo(file)
    except PlaygroundError as error:
        state[_TROUBLE] = str(error)
        return
    state[PHOTO] = file
    frame.write("picture", "Your photo")


def _kept() -> None:
    said = frame.sent(_KEEPER, "kept")
    if isinstance(said, dict):
        st.session_state[_KEPT] = (said.get("digest"), said.get("kept") is True)
        if st.session_state.get(_SHOWN):  # this may come before the browser's list has heard of the photo
            frame.write("picture", "Your photo")


def _found() -> None:
    """What the browser has kept. It may send anything, so it is looked at like every file."""
    said = frame.sent(_KEEPER, "found")
    if said is None:  # the answer was lost: what is kept must not be forgotten for it, so it is asked for again
        st.session_state[_ASKED] = st.session_state.get(_ASKED, 0) + 1
        return
    st.session_state[_LOOKED] = True
    if not isinstance(said, str) or not said or len(said) > 2 * MOST_KEPT_BYTES or links.locked():
        return
    try:
        file = base64.b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        return
    take(file)
    st.session_state.pop(_TROUBLE, None)
    st.session_state[_KEPT] = (hashlib.sha256(file).hexdigest()[:16], True)
