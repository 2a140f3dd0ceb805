"""Sets of photographs on a page: what is offered, by whom and under which licence, and a button that fetches one."""

from pathlib import Path

import streamlit as st

from playground.datasets import downloads
from playground.errors import PlaygroundError
from playground.numbers import count, number
from playground.training.runs import runs
from playground.training.runs.runs import DOWNLOAD, RunSpec, RunView
from playground.ui import frame, links
from playground.ui.studio import runs_view


def photo_set() -> tuple[Path, str] | None:
    """Choose a set of photographs and get it: its folder and a name for the model, or None until it is here."""
    offered = [name for name, one in downloads.CATALOGUE.items() if one.photographs]
    name = st.selectbox("Set", offered, format_func=titled, key="set", bind="query-params", disabled=links.locked())
    folder = offer(name)
    return (folder, name.replace("_", "-")) if folder else None


def is_here(name: str) -> bool:
    """Whether a set has been downloaded."""
    return downloads.folder(name) is not None


@frame.guarded("More data")
def small_sets() -> None:
    """Sets of pictures of one small size, to train on from scratch; once here, they are among the page's data."""
    with st.expander("More data", icon=":material/download:"):
        offered = [name for name, one in downloads.CATALOGUE.items() if one.small]
        name = st.selectbox("Set", offered, format_func=titled, key="small-set", disabled=links.locked())
        if offer(name):
            st.success(f"It is here: choose `{name}` under Data.", icon=":material/check:")


def titled(name: str) -> str:
    """A set's title and size, for a list."""
    one = downloads.find(name)
    return f"{one.title} · {count(round(one.size / 1e6))} MB"


def offer(name: str) -> Path | None:
    """What a set is, and the button or the progress of its download; its folder once it is here."""
    one, folder = downloads.find(name), downloads.folder(name)
    st.markdown(one.about)
    st.caption(f"{number(one.size / 1e6, 3)} MB to fetch · from [{frame.literal(one.source)}]({one.page}) · licence: "
               f"{frame.literal(one.licence)}")
    if folder is not None:
        return folder
    earlier = runs_of(name)
    if earlier and not earlier[0].ended:
        runs_view.watch(earlier[0], "")
        return None
    if earlier:
        runs_view.ending(earlier[0])
    # Thirty who press in the same moment ask for the same: the number of downloads that have ended is in the wish.
    wish = RunSpec(DOWNLOAD, {"set": name}, len(earlier), name)
    received = downloads.received(name)
    st.button("Go on downloading" if received else "Download", type="primary", icon=":material/download:",
              key=f"download-{name}", disabled=links.locked(), on_click=_start, args=(wish,))
    st.caption(f"This server asks {downloads.host(name)} for it, once for everybody" +
               (f"; {number(received / 1e6, 3)} MB have come already." if received else
                ", and goes on while you do something else."))
    return None


def runs_of(name: str) -> list[RunView]:
    """The downloads of a set, newest first."""
    found = []
    for run_id in runs.run_ids():
        try:
            spec = runs.read_spec(runs.run_dir(run_id))
            if spec.kind == DOWNLOAD and spec.request.get("set") == name:
                found.append(runs_view.look(run_id))
        except PlaygroundError:
            continue  # a damaged run is nobody's download
    return found


def _start(wish: RunSpec) -> None:
    with frame.guard("Starting the download"):
        runs.start_once(wish)
