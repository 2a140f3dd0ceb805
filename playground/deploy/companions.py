"""What goes home beside a model for those who use it: a page, a notebook, snippets, and what all of it is."""

import json
from pathlib import Path
from string import Template
from typing import Any

from playground.browser import runtime
from playground.browser.page import page
from playground.datasets.picture import are_digits
from playground.deploy.card import Entry

_HERE = Path(__file__).parent / "take_home"
_README = Template((_HERE / "README.md").read_text())
SNIPPETS = ("classify.py", "classify.mjs", "Program.cs")
INK = (" A model of handwritten digits has learnt from light strokes on black: run.py, index.html and the notebook turn "
       "dark ink on light paper round; the snippets show the model the picture as it is.")
CELLS: tuple[tuple[str, str], ...] = (
    ("markdown", "`pip install onnxruntime pillow numpy`, put a photo beside this notebook and name it below."),
    ("code", "import json\nfrom pathlib import Path\n\nimport numpy as np\nimport onnxruntime\nfrom PIL import Image\n\n"
             "import picture  # picture.py, beside this notebook: how the app reads pictures\n\n"
             "photo = Path(\"photo.jpg\")"),
    ("markdown", "The file takes raw pixels of any size. What is done to them before the network sees them is inside it, "
                 "and it says so itself."),
    ("code", "session = onnxruntime.InferenceSession(\"model.onnx\")\n"
             "said = session.get_modelmeta().custom_metadata_map\nlabels = json.loads(said[\"labels\"])\n"
             "print(said[\"preprocessing\"])\n"
             "for value in (*session.get_inputs(), *session.get_outputs()):\n"
             "    print(value.name, value.type, value.shape)"),
    ("markdown", "Without a photo of yours, some noise goes in, so that the notebook runs as it is."),
    ("code", "if photo.exists():\n    image = picture.for_model(photo, labels)\nelse:\n"
             "    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)\n"
             "print(image.dtype, image.shape)\nImage.fromarray(image)"),
    ("code", "logits, probabilities = session.run([\"logits\", \"probabilities\"], {\"image\": image[None]})\n"
             "for k in np.argsort(-probabilities[0])[:5]:\n"
             "    print(f\"{labels[k]:30} {100 * probabilities[0, k]:5.1f} %\")"),
    ("markdown", "Probabilities are the softmax of the logits, and share 1 among the classes the model knows: it cannot say "
                 "\"none of these\"."),
    ("code", "powers = np.exp(logits[0] - logits[0].max())\n"
             "print(np.abs(powers / powers.sum() - probabilities[0]).max())"),
)


def companions(entry: Entry, title: str, network: str, has_network: bool) -> dict[str, bytes]:
    """Files by name; the same model gives the same bytes.

    title, network: the model's name and a sentence on what it is, as Markdown; has_network: whether network.onnx goes
    along.
    """
    labels = entry.card["labels"]
    names = " ".join(f"package/dist/{file.name}" for file in runtime.FILES)
    readme = _README.substitute(
        title=title, network=network, count=len(labels), version=runtime.VERSION, package=runtime.NAME, files=names,
        host=runtime.CDN_HOST, ink=INK if are_digits(labels) else "",
        network_row="| network.onnx | the network alone, for tools that take one fixed size: see the card |\n"
        if has_network else "")
    return {
        "README.md": readme.encode(),
        "index.html": page(entry.name, labels, entry.card.get("size_bytes", 0), are_digits(labels)).encode(),
        "notebook.ipynb": notebook(title).encode(),
        **{f"snippets/{name}": (_HERE / name).read_bytes() for name in SNIPPETS},
    }


def notebook(title: str) -> str:
    """A Jupyter notebook (nbformat 4.5) that runs the model step by step."""
    cells = [_cell(k, kind, text) for k, (kind, text) in enumerate((("markdown", f"# {title}"), *CELLS))]
    return json.dumps({
        "cells": cells, "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                     "language_info": {"name": "python"}},
    }, ensure_ascii=False, indent=1) + "\n"


def _cell(k: int, kind: str, text: str) -> dict[str, Any]:
    more: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": f"cell-{k}", "metadata": {}, "source": text.splitlines(keepends=True), **more}
