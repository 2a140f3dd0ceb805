"""Every page of a class, opened by one reader with every handle of another's work in its address."""

import io

from streamlit.testing.v1 import AppTest

from playground import home
from playground.classroom import keys
from playground.datasets import collection, intake, uploads
from tests.a_class import class_home, place_of, working
from tests.pages.in_a_class import Opened, open_as
from tests.pages.on_a_page import put_model, put_run
from tests.playground.test_workspaces import photo, zipped

__all__ = ["class_home", "open_as"]

NAME, MARK = "zebra", "okapi"
"""What an address says, and what only the owner of the work can know."""


def said(app: AppTest) -> str:
    """Everything the server sent for a page."""
    out = io.StringIO()

    def walk(block: object) -> None:
        for child in getattr(block, "children", {}).values():
            print(getattr(child, "proto", ""), file=out)
            walk(child)

    walk(app._tree)
    return out.getvalue()


def test_no_page_shows_one_reader_the_work_of_another(open_as: Opened) -> None:
    mine, other = keys.new(), keys.new()
    with working(mine):
        folder = put_run()
        put_model(NAME, (MARK, "other"), task="transfer")
        made = collection.create(f"{MARK} set", [f"{MARK}-a", f"{MARK}-b"])
        intake.add(made.set_id, f"{MARK}-a", [(f"{MARK}.png", photo())])
        known = uploads.keep(zipped()).name
    handles = {"run": folder.name, "beside": folder.name, "model": NAME, "set": made.set_id,
               "zip": f"{known}.{NAME}"}
    for url in ("transfer", "models", "onnx-lab", "train", "lab", "network", "kernels", "convolution"):
        seen = {key: said(open_as(key, url, **handles)) for key in (mine, other)}
        for secret in (MARK, "br*ght", "br\\\\*ght", place_of(mine).name):
            assert secret not in seen[other], f"{url} shows {secret}"
        if url in ("transfer", "models"):
            assert MARK in seen[mine] or "light" in seen[mine], f"{url} shows the reader nothing of his own"
    assert not list((place_of(other) / "exports").glob("[!.]*"))
    assert home.shared() in place_of(other).parents
