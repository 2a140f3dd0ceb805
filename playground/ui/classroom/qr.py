"""A link as something to read, to copy and to scan; and the address under which this server is reached."""

import io
from urllib.parse import urlsplit

import segno
import streamlit as st

from playground.ui.links import base

SCALE, BORDER = 6, 4
"""Pixels a module of a code, and modules of quiet around it: what readers of codes want at least."""
LOCAL = ("localhost", "127.0.0.1", "[::1]", "::1")


def address() -> str:
    """The address of the app as this reader's browser knows it, without a slash at its end."""
    url = st.context.url
    parts = urlsplit(url if isinstance(url, str) else "")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return f"http://localhost:{st.get_option('server.port')}{base()}"
    return f"{parts.scheme}://{parts.netloc}{base()}"


def is_of_this_computer(link: str) -> bool:
    """Whether a link leads other devices to themselves.

    >>> is_of_this_computer("http://localhost:8501/loss"), is_of_this_computer("http://192.168.0.7:8501/")
    (True, False)
    """
    return (urlsplit(link).hostname or "") in LOCAL


def png(link: str) -> bytes:
    """A link as a picture of its code, black on white in light and in dark: not every camera reads the inverse.

    >>> png("http://192.168.0.7:8501/")[1:4]
    b'PNG'
    """
    file = io.BytesIO()
    segno.make(link, micro=False, error="l" if len(link) > 200 else "m").save(file, kind="png", scale=SCALE,
                                                                            border=BORDER)
    return file.getvalue()


def show(link: str, what: str) -> None:
    """A link with a button to copy it, and its code; `what` says where it leads."""
    st.code(link, language=None, wrap_lines=True)
    try:
        st.image(png(link), width=260, alt=f"QR code: {what}")
    except segno.DataOverflowError:
        st.caption("The link is too long for a code: copy it.")
    if is_of_this_computer(link):
        st.caption(":material/info: This link leads to this computer alone. For other devices open the app by the "
                   "address that it printed when it was started, and come back here.")
