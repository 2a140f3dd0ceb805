"""What goes home beside a model for those who use it: a page, a notebook, snippets, and what all of it is."""

import json
import re
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
INK = (" A model of handwritten digits has learnt from light strokes on black: run.py, classify.py, index.html and "
       "the notebook turn dark ink on light paper round; the snippets in JavaScript and C# show the model the picture "
       "as it is.")


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
    """A Jupyter notebook (nbformat 4.5) that runs the model step by step: the cells of take_home/notebook.py."""
    parts = re.split(r"^# %%(.*)\n", (_HERE / "notebook.py").read_text(), flags=re.MULTILINE)[1:]
    cells = [_cell(0, "markdown", f"# {title}")]
    for kind, text in zip(parts[::2], parts[1::2], strict=True):
        if "markdown" in kind:
            cells.append(_cell(len(cells), "markdown", re.sub(r"^# ?", "", text.strip(), flags=re.MULTILINE)))
        else:
            cells.append(_cell(len(cells), "code", text.strip()))
    return json.dumps({
        "cells": cells, "nbformat": 4, "nbformat_minor": 5,
        "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                     "language_info": {"name": "python"}},
    }, ensure_ascii=False, indent=1) + "\n"


def _cell(k: int, kind: str, text: str) -> dict[str, Any]:
    more: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    return {"cell_type": kind, "id": f"cell-{k}", "metadata": {}, "source": text.splitlines(keepends=True), **more}
