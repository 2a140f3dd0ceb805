"""The view of a whole network: columns of maps, forward and backward, down to one product. Drawn on canvases by the
browser, which fetches what it shows from the app's own routes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import rjsmin
import streamlit as st

from playground.figures import style
from playground.ui.links import base
from playground.ui.parts.stepper import COLOURS_JS
from playground.view import looks
from playground.view.looks import Look

ADDRESS = "view"
"""What of a page's address says where in the view the reader is."""
_PLACE = re.compile(r"[A-Za-z0-9_.\-]{0,600}")
_HERE = Path(__file__).parent


FILES = ("drawing.js", "pane.js", "levels.js", "kernels.js", "view.js", "pointing.js", "strip.js", "film.js")
SCRIPT = str(rjsmin.jsmin("".join((_HERE / name).read_text() for name in FILES)))
"""The files one after the other, minified: the browser needs no comments. In a template there may be no other one,
which rjsmin would take for code."""
_view = st.components.v2.component(
    "network_view",
    html='<div class="network"></div>\n',
    css=f".network {{ --more: {style.POSITIVE}; --less: {style.NEGATIVE}; }}\n" + (_HERE / "view.css").read_text(),
    js=COLOURS_JS + SCRIPT,
)


def view(look: Look, beside: Look | None = None, *, titles: Sequence[str] = (), curve: Sequence[Sequence[Any]] = (),
         live: bool = False, key: str = "network-view") -> "Place | None":
    """Draw a network at work, with another or another epoch beside it; where in it the reader is, None while the whole
    is looked at.

    curve: rows of epoch, training and validation loss, over which the film of a training runs; `live` that it is under
    way.
    """
    place = st.query_params.get(ADDRESS, "")
    said = _view(
        key=key, on_chosen_change=lambda: None,
        data={"token": looks.opened(look), "second": looks.opened(beside) if beside is not None else None,
              "titles": list(titles), "epochs": list(look.epochs), "curve": [list(row) for row in curve], "live": live,
              "base": base(),
              "scale": [list(stop) for stop in style.SIGNED], "series": list(style.CATEGORICAL[:4]),
              "at": place if _PLACE.fullmatch(place) else ""},
    )
    return chosen_of(said.get("chosen") if said is not None else None)


@dataclass(frozen=True)
class Place:
    """Where in the view the reader is: a part, one of its maps, one of its numbers, or one of the map's weights, as
    they lie in its kernels; the target of the walk back ("" on the way forward), and the epoch."""

    part: int
    channel: int | None
    place: tuple[int, ...] | None
    back: str
    epoch: str
    weight: int | None = None


def chosen_of(said: object) -> Place | None:
    """What a browser said it shows. It may say anything.

    >>> chosen_of({"part": 2, "channel": 1, "place": [1, 0, 3], "back": "", "epoch": ""})
    Place(part=2, channel=1, place=(1, 0, 3), back='', epoch='', weight=None)
    >>> chosen_of({"part": -2}), chosen_of("part")
    (None, None)
    """
    if not isinstance(said, dict) or not _whole(said.get("part")):
        return None
    channel, place, weight = said.get("channel"), said.get("place"), said.get("weight")
    numbers = place if isinstance(place, list) and len(place) <= 4 and all(_whole(n) for n in place) else None
    back, epoch = said.get("back"), said.get("epoch")
    return Place(said["part"], channel if _whole(channel) else None, None if numbers is None else tuple(numbers),
                 back[:80] if isinstance(back, str) else "", epoch[:12] if isinstance(epoch, str) else "",
                 weight if _whole(weight) else None)


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**7
