"""A model in the reader's own browser, and the server's answer beside it: for the Models page and the ONNX lab.

The panel's buttons fetch, the page only says where from. What a photo of the reader's or the camera shows stays there.
"""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import streamlit as st
from PIL import Image

from playground.browser import PANEL, PANEL_CSS, runtime
from playground.datasets.picture import are_digits
from playground.deploy.registry import Entry
from playground.deploy.session import Prediction
from playground.figures import style
from playground.inspection.preparation import Preparation
from playground.ui import links
from playground.ui.links import base
from playground.ui.parts.image_input import Picture
from playground.ui.studio.onnx_file import Opened

MISSING = (f"onnxruntime-web, which runs models in browsers, is not on this server: “{runtime.COMMAND}” fetches it, "
           "once.")

_panel = st.components.v2.component(
    "in_browser",
    html='<div class="panel"></div>',
    css=f".panel {{ --bar: {style.CATEGORICAL[5]}; }}\n" + PANEL_CSS,
    js=PANEL + "export default ({ data, parentElement }) => panel(parentElement.querySelector('.panel'), data);\n",
)


def of_model(entry: Entry, name: str, pixels: np.ndarray, said: Prediction, seconds: float) -> None:
    """A model of the registry; `said` is the server's answer to the pixels, which took it so many seconds."""
    here = f"{base()}/api/models/{quote(entry.name, safe='')}"
    _panel(key="in-browser", data={
        **_always(name, pixels, said.logits.tolist(), 1000 * seconds),
        "name": entry.name, "model": f"{here}/model.onnx", "predict": f"{here}/predict", "key": entry.card["sha256"],
        "bytes": entry.card.get("size_bytes", 0), "labels": list(said.labels), "input": "image", "output": "logits",
        "preparation": None, "ink": are_digits(said.labels)})


def of_file(opened: Opened, preparation: Preparation, picture: Picture, said: dict[str, Any], labels: Sequence[str]
            ) -> None:
    """A file that was opened in the ONNX lab, under a preparation; `said` is `inspection.running.answers`."""
    known = preparation.preprocessing
    wanted = None if preparation.raw else {
        "height": known.size[0], "width": known.size[1], "gray": known.gray, "mean": list(known.mean),
        "std": list(known.std), "order": preparation.order, "layout": preparation.layout, "number": preparation.number}
    times = sorted(said["milliseconds"])
    _panel(key="in-browser", data={
        **_always(picture.name, picture.pixels, said["scores"], times[len(times) // 2]),
        "name": opened.name, "model": f"{base()}{opened.address}", "predict": None,
        "key": opened.key, "bytes": opened.said["bytes"], "labels": list(labels),
        "input": preparation.input, "output": said["scores_of"], "preparation": wanted, "batch": said["batch"],
        "single": said["single"],
        "ink": are_digits(opened.said["labels"])})


def _always(name: str, pixels: np.ndarray, scores: Sequence[float | None], milliseconds: float) -> dict[str, Any]:
    address = f"{base()}/api/runtime/{runtime.VERSION}/" if runtime.folder() else None
    finite = [one if one is not None and math.isfinite(one) else None for one in scores]
    return {"picture": {"name": name, "png": _png(pixels)}, "server": {"scores": finite, "milliseconds": milliseconds},
            "runtime": runtime.said(address), "near": "this server (3.7 MB)", "missing": MISSING, "chooses": False,
            "locked": links.locked()}


@st.cache_data(max_entries=16, show_spinner=False)
def _png(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()
