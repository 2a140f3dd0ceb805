"""The reader's camera: many photographs of a class while a button is held, or what it sees, again and again.

A picture comes as a JPEG in a data address. Whoever has the page can send anything instead, so what comes is looked at
before it is used. The last picture stays in the session it came from and is written nowhere.
"""

import base64
import binascii
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from playground.browser import CAMERA
from playground.ui import frame, links

MOST_SHOT_BYTES = 2 * 2**20
PATIENCE_SECONDS = 3.0
"""How long after a picture the live camera counts as on if nothing is heard of it."""
SEEN = "live-camera-seen"
"""Where the session keeps what the live camera saw last."""
_LIVE, _ANSWERED, _UNTIL = "live-camera", "live-camera-answered", "live-camera-until"
_JPEG = "data:image/jpeg;base64,"

_HERE = Path(__file__).parent


def _component(name: str) -> Callable[..., object]:
    return st.components.v2.component(
        f"camera_{name}",
        html=(_HERE / f"{name}.html").read_text(),
        css=(_HERE / "camera.css").read_text(),
        js=CAMERA + (_HERE / f"{name}.js").read_text(),
    )


burst = _component("burst")
"""data: label, taken (another number when shots have been kept), locked. Triggers `shots`: {"label", "shots"}."""

_live = _component("live")


def jpeg(shot: object) -> bytes | None:
    """The JPEG in what a camera sent; None when it is something else.

    >>> jpeg("data:image/jpeg;base64,/9j/"), jpeg("http://elsewhere/1.jpg"), jpeg(3)
    (b'\\xff\\xd8\\xff', None, None)
    """
    if not isinstance(shot, str) or not shot.startswith(_JPEG) or len(shot) >= MOST_SHOT_BYTES:
        return None
    try:
        return base64.b64decode(shot[len(_JPEG) :], validate=True)
    except binascii.Error:
        return None


class Live:
    """Round a drawing that may follow the live camera. The camera is drawn last: the browser hears that a picture was
    answered, and sends the next, when all of it stands.

        with camera.Live() as live:
            picture = image_input.choose_picture(live=live)
            ...
    """

    def __init__(self) -> None:
        self._place: DeltaGenerator | None = None

    def seen(self) -> tuple[bytes | None, bool]:
        """Keep a place for the camera here; what it saw last, a JPEG, and whether it is on."""
        self._place = st.container()
        return st.session_state.get(SEEN), is_on()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # Streamlit breaks a drawing off by what is no Exception, and begins anew: nothing has been answered yet.
        broken_off = kind is not None and not issubclass(kind, Exception)
        if self._place is None or broken_off:
            return
        state = st.session_state
        with self._place:
            _live(key=_LIVE, on_picture_change=lambda: take_picture(frame.sent(_LIVE, "picture")),
                  data={"answered": state.get(_ANSWERED, 0), "on": is_on(), "kept": SEEN in state,
                        "locked": links.locked()})


def is_on() -> bool:
    """Whether the live camera sent a picture a moment ago and has not been switched off, so that another will come."""
    return bool(time.monotonic() < st.session_state.get(_UNTIL, 0.0))


def gone() -> None:
    """Another picture was chosen: the live camera left the page, which nobody heard from itself."""
    st.session_state.pop(_UNTIL, None)


def take_picture(given: object) -> None:
    """Keep what the camera sent: {"shot": a JPEG as a data address, "on": whether more will follow}."""
    state = st.session_state
    state[_ANSWERED] = state.get(_ANSWERED, 0) + 1
    if not isinstance(given, dict) or links.locked():
        return
    state[_UNTIL] = time.monotonic() + PATIENCE_SECONDS if given.get("on") is True else 0.0
    if (seen := jpeg(given.get("shot"))) is not None:
        state[SEEN] = seen
