"""Which ONNX file is looked at: one that the reader opens, or a model of this app."""

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import streamlit as st

from playground import home
from playground.deploy import registry
from playground.errors import PlaygroundError
from playground.inspection import bounded
from playground.ui import frame, links

KEPT_FILES = 12
"""How many opened files the server keeps, the newest: they are what their pages are drawn from."""


@dataclass(frozen=True)
class Opened:
    """A file, what it is called, and what was found in it (`inspection.report`)."""

    name: str
    path: Path
    key: str
    said: dict[str, Any]

    @property
    def address(self) -> str:
        """Where below the app's path the file itself is to be had."""
        if self.path.parent == opened_dir():
            return f"/api/opened/{self.path.stem}.onnx"
        return f"/api/models/{quote(self.path.parent.name, safe='')}/model.onnx"


def opened_dir(inside: str = "") -> Path:
    """Where opened files are kept, and a folder inside it for what is made of them."""
    return home.opened_dir(inside)


def trim(folder: Path, most: int) -> None:
    """Leave the newest files of a folder."""
    for old in sorted(folder.glob("*.onnx"), key=lambda one: one.stat().st_mtime, reverse=True)[most:]:
        with suppress(OSError):
            old.unlink()


def keep(content: bytes) -> Path:
    """An opened file under the digest of its bytes; the oldest ones go. Raises PlaygroundError on a full disk."""
    path = opened_dir() / f"{hashlib.sha256(content).hexdigest()[:32]}.onnx"
    try:
        if path.is_file():
            os.utime(path)
        else:
            home.demand_room(len(content))
            with home.whole(path) as incoming:
                incoming.write_bytes(content)
        trim(path.parent, KEPT_FILES)
    except OSError as error:
        raise PlaygroundError(f"The file cannot be kept on this server: {error.strerror}.") from error
    return path


@st.cache_data(max_entries=32, show_spinner="Opening the file in a process of its own…")
def _report(path: str, version: int) -> dict[str, Any]:
    return bounded.ask("report", Path(path))


def choose() -> Opened | None:
    """Draw the two ways to a file; None while there is none. What cannot be opened is said in a sentence."""
    entries = {entry.name: entry for entry in registry.entries()}
    left, right = st.columns(2, gap="medium")
    with left:
        given = st.file_uploader("An ONNX file of yours", ["onnx"], key="onnx-file", disabled=links.locked(),
                                 help="It is opened in a process of its own with bounded memory and time. The server "
                                      f"keeps the {KEPT_FILES} files opened last.")
    with right:
        name = st.selectbox("Or a model of this app", list(entries), index=None if given else 0 if entries else None,
                            key="onnx-model", placeholder="the file on the left" if given else "there is none yet",
                            disabled=links.locked() or not entries or given is not None)
    if given is not None:
        path, called, version = keep(given.getvalue()), given.name, 0  # its name is the digest of what is in it
    elif name is not None:
        path, called = entries[name].onnx, f"{name}/model.onnx"
        version = path.stat().st_mtime_ns
    else:
        with right:
            frame.link("train", "Train a network, then look into its file")
        return None
    key = hashlib.sha256(f"{path} {version}".encode()).hexdigest()[:12]
    return Opened(called, path, key, _report(str(path), version))
