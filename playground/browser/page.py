"""A page of its own that runs a model in any browser, from the folder it lies in."""

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from pathlib import Path
from string import Template

from playground.browser import PANEL, PANEL_CSS, runtime

_PAGE = Template((Path(__file__).parent / "page.html").read_text())
BAR = "#56b4e9"
MISSING = "onnxruntime-web does not lie beside this page (README.md says how it gets there)."
START = """
const beside = location.protocol !== "file:"; // a page that was opened as a file may not read those beside it
data.runtime.address = beside ? "./" : null;
data.chooses = !beside;
if (!beside)
  data.missing = "Opened as a file, this page may not read what lies beside it. Start “python -m http.server” in this "
    + "folder and open http://localhost:8000 instead.";
panel(document.querySelector(".panel"), data);
"""


def page(name: str, labels: Sequence[str], size: int, ink: bool) -> str:
    """The page, for model.onnx beside it: a model of `labels` and `size` bytes, which takes raw pixels.

    ink: it reads handwriting, so dark ink on light paper is to become light strokes on black. Runtime files are read
    from beside the page, or, if the reader presses that button, from the CDN; each is checked before it runs. Its own
    policy lets it speak to nobody else, so a picture stays. The same arguments give the same text.
    """
    classes = f"{len(labels)} classes" if len(labels) != 1 else "one class"
    data = {
        "name": name, "model": "model.onnx", "key": name, "bytes": size, "labels": list(labels), "input": "image",
        "output": "logits", "preparation": None, "ink": ink, "picture": None, "server": None, "predict": None,
        "runtime": runtime.said(None), "missing": MISSING, "near": "beside this page", "locked": False}
    written = json.dumps(data, ensure_ascii=True).replace("<", "\\u003c")
    script = f"{PANEL}const data = {written};{START}"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (f"default-src 'none'; script-src 'sha256-{digest}' blob: 'wasm-unsafe-eval'; style-src 'unsafe-inline'; "
              f"img-src blob: data:; connect-src 'self' https://{runtime.CDN_HOST}; base-uri 'none'; "
              "form-action 'none'")
    return _PAGE.substitute(
        title=html.escape(name), policy=policy, style=f".panel {{ --bar: {BAR}; }}\n{PANEL_CSS}", script=script,
        claim=f"An image classifier of {classes}, run by this browser: give it a photo or the camera, which stay here.")
