"""What runs in a reader's browser instead of on the server: a model, on pictures that stay where they are.

`panel` is used twice: as a component of the app's pages, and in the page that goes home with a model. Scripts are text
here; nothing of them is made from what somebody typed.
"""

from pathlib import Path

_HERE = Path(__file__).parent

__all__ = ["CAMERA", "NUMBERS", "PANEL", "PANEL_CSS", "RUNNING", "script"]


def script(*names: str) -> str:
    """Scripts of this folder one after the other, without indentation and lines of comment."""
    lines = "".join((_HERE / name).read_text() for name in names).splitlines()
    return "\n".join(line.strip() for line in lines if line.strip() and not line.strip().startswith("//")) + "\n"


NUMBERS = (_HERE / "numbers.js").read_text()
"""Numbers as pages write them."""
CAMERA = (_HERE / "camera.js").read_text()
"""Switching a camera on and off, and a picture of what it sees: of every camera of a page."""
RUNNING = script("pictures.js", "running.js")
"""Reading pictures as `datasets.picture` does, preparing them as `Preprocessing.apply` does, and onnxruntime-web."""
PANEL = NUMBERS + CAMERA + RUNNING + script("panel.js")
"""`panel(root, data)`: choose a picture, see what the model says of it in this browser and on the server."""
PANEL_CSS = (_HERE / "panel.css").read_text()
