"""The seconds an epoch of a design will take, measured once for everybody: by our engine at once, by PyTorch in a
process of its own while the page goes on."""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import streamlit as st

from playground.errors import PlaygroundError
from playground.network.kind import Shape
from playground.network.presets import network_named
from playground.training.scratch import timing
from playground.training.scratch.settings import TORCH
from playground.ui.parts.torch_process import asked_torch

MODULE = "playground.training.scratch.timing"
PATIENCE_SECONDS = 60
MOST = 256
_LOCK, _ONE_AT_A_TIME = threading.Lock(), threading.Lock()
_FOUND: "OrderedDict[str, float | None]" = OrderedDict()
_UNDER_WAY: set[str] = set()


def seconds(text: str, takes: Shape, classes: int, pictures: int, settings: Mapping[str, Any]) -> float | None:
    """Seconds an epoch of a design on a set with so many training pictures; `settings` are those of a request. None
    where it cannot be trained, or is not known yet: then the page is drawn again as soon as it is."""
    costs = {name: settings[name] for name in timing.COSTS if name in settings}
    if costs.get("engine") != TORCH:
        return _ours(text, takes, classes, pictures, costs)
    question = json.dumps({"network": text, "takes": takes, "classes": classes, "pictures": pictures,
                           "settings": costs}, sort_keys=True)
    found = _by_torch(question)
    if question in _UNDER_WAY:
        _draw_when_known(question)
    return found


@st.cache_data(max_entries=MOST, show_spinner=False)
def _ours(text: str, takes: Shape, classes: int, pictures: int, costs: dict[str, Any]) -> float | None:
    try:
        return timing.seconds_an_epoch(network_named(text, takes, classes), takes, classes, pictures, costs)
    except (PlaygroundError, MemoryError):
        return None


@st.fragment(run_every=1.0)
def _draw_when_known(question: str) -> None:
    if question not in _UNDER_WAY:
        st.rerun()


def _by_torch(question: str) -> float | None:
    with _LOCK:
        if question in _FOUND:
            return _FOUND[question]
        if question not in _UNDER_WAY:
            _UNDER_WAY.add(question)
            threading.Thread(target=_measure, args=(question,), daemon=True).start()
    return None


def _measure(question: str) -> None:
    found = None
    try:
        with _ONE_AT_A_TIME:  # two that are measured at once would slow each other down
            done = asked_torch(MODULE, question, patience=PATIENCE_SECONDS, late="It took too long.")
        found = json.loads(done.stdout) if done.returncode == 0 else None
    except (PlaygroundError, ValueError):
        pass
    finally:
        with _LOCK:
            _FOUND[question] = found
            while len(_FOUND) > MOST:
                _FOUND.popitem(last=False)
            _UNDER_WAY.discard(question)
