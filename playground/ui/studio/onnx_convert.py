"""Part of the page "ONNX lab": a file written in other ways, side by side before one is chosen."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image, ImageOps

from playground import home, jobs
from playground.datasets import named, photos
from playground.deploy import evaluation, interval, registry
from playground.errors import PlaygroundError
from playground.inspection import bounded
from playground.inspection.converting import WAYS, crops
from playground.inspection.preparation import Preparation
from playground.numbers import counted, number
from playground.training.runs import runs
from playground.ui import frame, links
from playground.ui.studio import train
from playground.ui.studio.models import size
from playground.ui.studio.onnx_file import Opened, opened_dir, trim

ORIGINAL = "as it is"
PICTURES = 200
KEPT_CONVERTED = 30
STAND_INS = "numbers from 0 to 1 in place of its inputs (zeros where they are whole), because it takes no picture"


def pictures_for(opened: Opened, preparation: Preparation) -> tuple[list[np.ndarray], np.ndarray | None, str]:
    """Raw pictures to compare on, their labels where they are known, and a sentence about them."""
    with suppress(PlaygroundError, OSError):  # the run was removed, or its photographs were
        if (kept := kept_aside(opened, max(preparation.preprocessing.size))) is not None:
            return *kept, f"{counted(len(kept[0]), 'picture')} kept aside from its training"
    if preparation.preprocessing.gray and tuple(opened.said["labels"]) == tuple("0123456789"):
        _, test = named.load("digits")
        images = [np.repeat(one[..., None], 3, axis=2) if one.ndim == 2 else one for one in test.images[:PICTURES]]
        return images, test.labels[:PICTURES], f"{counted(len(images), 'handwritten digit')} kept aside from training"
    own = crops()
    return own, None, (f"{len(own)} crops of the sample photographs: nobody knows what is right for them, so answers "
                       "are compared with those of the file as it is")


def kept_aside(opened: Opened, side: int) -> tuple[list[np.ndarray], np.ndarray] | None:
    """Up to `PICTURES` of the pictures that a model made here was checked on, squares of `side` pixels where they are
    photographs, and their labels. None for a file from elsewhere. Raises PlaygroundError when they are gone."""
    entry = registry.find(Path(opened.name).parent.name)
    run = entry.card.get("training", {}).get("run") if entry is not None and entry.onnx == opened.path else None
    if not run:
        return None
    folder = runs.run_dir(str(run))
    spec = runs.read_spec(folder)
    if spec.kind == "digits":
        _, test = train.read(spec.request["data"])
        chosen = jobs.spread(len(test), PICTURES)
        return [train.raw(test.images[k]) for k in chosen], test.labels[chosen]
    found = evaluation.read(folder / evaluation.FILE)
    if found is None:
        return None
    chosen = jobs.spread(len(found.paths), PICTURES)
    squares = [np.asarray(ImageOps.fit(Image.fromarray(photos.open_small(found.paths[k], 2 * side)), (side, side)))
               for k in chosen]
    return squares, found.truth[chosen]


@st.cache_data(max_entries=12, show_spinner="Writing it in every way and asking each file: up to a minute…")
def _written(path: str, key: str, name: str | None, digest: str, _x: np.ndarray | None) -> dict[str, Any]:
    files, found, folder = {ORIGINAL: path}, {}, opened_dir("converted")
    operators: dict[str, list[dict[str, Any]]] = {}
    trim(folder, KEPT_CONVERTED)
    home.clear_left(folder)
    home.demand_room(len(WAYS) * Path(path).stat().st_size)
    for way in WAYS:
        target = folder / f"{key}-{digest}-{way.replace(' ', '-')}.onnx"
        try:
            done = bounded.ask("convert", Path(path), _x, target=str(target), way=way, input=name)
            operators[way], files[way] = done["operators"], str(target)
        except bounded.EndedError:
            raise  # and not kept: it says nothing of the file
        except PlaygroundError as error:
            found[way] = {"sentence": str(error)}
    return {**bounded.ask("compare", Path(path), _x, paths=files, input=name), **found, "files": files,
            "operators": operators}


def convert(opened: Opened, preparation: Preparation | None) -> None:
    """Every way to write the file: size, time, what changes in its answers and in its graph, accuracy where it is
    known, and a download. A file that takes no picture (`preparation` None) is compared on other numbers."""
    pictures, truth, words = pictures_for(opened, preparation) if preparation else ([], None, STAND_INS)
    if not st.toggle("Write it in every way and compare", key=f"onnx-ways-{opened.key}", disabled=links.locked()):
        st.markdown("\n".join(f"- **{way}**: {what}" for way, what in WAYS.items()))
        st.caption(f"Compared on {words}.")
        return
    x = np.concatenate([preparation.apply(one) for one in pictures]) if preparation else None
    digest = hashlib.sha256(b"" if x is None else x.tobytes()).hexdigest()[:12]
    said = _written(str(opened.path), opened.key, preparation.input if preparation else None, digest, x)
    base = said[ORIGINAL]
    offered = [way for way in WAYS if way in said["files"] and ("sentence" not in said[way] or "sentence" in base)]
    if "sentence" in base:
        st.warning(f"What the files answer could not be compared. {frame.literal(base['sentence'])}",
                   icon=":material/rule:")
    else:
        st.dataframe([row(way, said[way], base, truth) for way in (ORIGINAL, *offered)], hide_index=True)
        st.caption(f"Compared on {words}. Times are for one answer on this server, with two threads.")
    for way in WAYS:
        if way not in offered:
            st.caption(f"**{way}** is not offered. {frame.literal(said[way]['sentence'])}")
    with st.container(horizontal=True):
        for way in offered:
            if (path := Path(said["files"][way])).is_file():
                st.download_button(f"Download {way}", path.read_bytes(), f"{Path(opened.name).stem}-"
                                   f"{way.replace(' ', '-')}.onnx", "application/octet-stream", on_click="ignore",
                                   key=f"onnx-take-{way}", icon=":material/download:")
    in_the_graph({way: said["operators"][way] for way in offered})


def in_the_graph(operators: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Which kinds of operators each way writes otherwise."""
    st.markdown("**What changes in the graph**")
    rows = [{"written": way, "operator": one["operator"], "nodes before": one["before"], "nodes after": one["after"]}
            for way, changed in operators.items() for one in changed]
    if rows:
        st.dataframe(rows, hide_index=True)
    same = [way for way, changed in operators.items() if not changed]
    if same:
        st.caption(f"{', '.join(same)}: no operator had to be written otherwise. Where the counts of one are the same, "
                   "its inputs or attributes are others.")


def row(way: str, one: Mapping[str, Any], base: Mapping[str, Any], truth: np.ndarray | None) -> dict[str, str]:
    """One way in a table."""
    found = {"written": way, "size": size(one["bytes"]), "of the size": f"{one['bytes'] / base['bytes']:.2f}",
             "ms an answer": number(one["milliseconds"], 3),
             "of the time": f"{one['milliseconds'] / base['milliseconds']:.2f}"}
    largest = "not a number" if one["largest"] is None else number(one["largest"], 2)
    if "answers" not in one:
        return {**found, "largest difference of an output": largest, "largest number": number(one["size"], 2),
                "outputs of another shape": f"{one['reshaped']} of {one['pictures']}"}
    count = len(one["answers"])
    found |= {"answers changed": f"{one['changed']} of {count}", "largest change of a probability": largest}
    if truth is not None:
        right = int((np.asarray(one["answers"]) == truth).sum())
        found["accuracy (95 % interval)"] = interval.sentence(right / count, count)
    return found
