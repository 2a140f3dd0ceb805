"""The view of a whole network: columns of maps, forward and backward, down to one product. Drawn on canvases by the
browser, which fetches what it shows from the app's own routes."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from playground.figures import style
from playground.ui.parts.stepper import COLOURS_JS
from playground.view import looks
from playground.view.looks import Look

ADDRESS = "view"
"""What of a page's address says where in the view the reader is."""
_PLACE = re.compile(r"[A-Za-z0-9_.\-]{0,600}")
_HERE = Path(__file__).parent
_view = st.components.v2.component(
    "network_view",
    html='<div class="network"></div>\n',
    css=f".network {{ --more: {style.POSITIVE}; --less: {style.NEGATIVE}; }}\n" + (_HERE / "view.css").read_text(),
    js=COLOURS_JS + "".join((_HERE / name).read_text() for name in ("drawing.js", "pane.js", "levels.js", "view.js")),
)


def view(look: Look, beside: Look | None = None, *, titles: Sequence[str] = (), curve: Sequence[Sequence[Any]] = (),
         live: bool = False, key: str = "network-view") -> dict[str, Any] | None:
    """Draw a network at work, with another or another epoch beside it; what is chosen in it: part, channel, place (None
    where the reader is not that deep), the target of a walk back and the epoch. None while the whole is looked at.

    curve: rows of epoch, training and validation loss, over which the film of a training runs; `live` that it is under
    way.
    """
    place = st.query_params.get(ADDRESS, "")
    said = _view(
        key=key, on_chosen_change=lambda: None,
        data={"token": looks.opened(look), "second": looks.opened(beside) if beside is not None else None,
              "titles": list(titles), "curve": [list(row) for row in curve], "live": live, "base": base(),
              "scale": [list(stop) for stop in style.SIGNED], "series": list(style.CATEGORICAL[:4]),
              "at": place if _PLACE.fullmatch(place) else ""},
    )
    chosen = said.get("chosen") if said is not None else None
    return chosen if isinstance(chosen, dict) else None


def base() -> str:
    """The path below which the app is served, without a slash at its end."""
    path = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""
