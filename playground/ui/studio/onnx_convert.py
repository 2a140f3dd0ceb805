"""Part of the page "ONNX lab": a file written in other ways, side by side before one is chosen."""

import hashlib
from collections.abc import Mapping
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
def _written(path: str, key: str, name: str, digest: str, _x: np.ndarray) -> dict[str, Any]:
    files, found, folder = {ORIGINAL: path}, {}, opened_dir("converted")
    trim(folder, KEPT_CONVERTED)
    home.demand_room(len(WAYS) * Path(path).stat().st_size)
    for way in WAYS:
        target = folder / f"{key}-{digest}-{way.replace(' ', '-')}.onnx"
        try:
            bounded.ask("convert", Path(path), _x, target=str(target), way=way, input=name)
            files[way] = str(target)
        except PlaygroundError as error:
            found[way] = {"sentence": str(error)}
    return {**bounded.ask("compare", Path(path), _x, paths=files, input=name), **found, "files": files}


def convert(opened: Opened, preparation: Preparation) -> None:
    """Every way to write the file: size, time, answers that change, accuracy where it is known, and a download."""
    pictures, truth, words = pictures_for(opened, preparation)
    if not st.toggle("Write it in every way and compare", key=f"onnx-ways-{opened.key}", disabled=links.locked()):
        st.markdown("\n".join(f"- **{way}**: {what}" for way, what in WAYS.items()))
        st.caption(f"Compared on {words}.")
        return
    x = np.concatenate([preparation.apply(one) for one in pictures])
    digest = hashlib.sha256(x.tobytes()).hexdigest()[:12]
    said = _written(str(opened.path), opened.key, preparation.input, digest, x)
    rows, base = [], said[ORIGINAL]
    if "sentence" in base:
        raise PlaygroundError(base["sentence"])
    for way in (ORIGINAL, *WAYS):
        one = said.get(way, {"sentence": "It is not there any more."})
        if "sentence" not in one:
            rows.append(row(way, one, base, truth))
    st.dataframe(rows, hide_index=True)
    st.caption(f"Compared on {words}. Times are for one picture on this server, with two threads.")
    for way in WAYS:
        if "sentence" in said.get(way, {}):
            st.caption(f"**{way}** is not offered. {frame.literal(said[way]['sentence'])}")
    with st.container(horizontal=True):
        for way, path in said["files"].items():
            if way != ORIGINAL and "sentence" not in said[way] and Path(path).is_file():
                st.download_button(f"Download {way}", Path(path).read_bytes(), f"{Path(opened.name).stem}-"
                                   f"{way.replace(' ', '-')}.onnx", "application/octet-stream", on_click="ignore",
                                   key=f"onnx-take-{way}", icon=":material/download:")


def row(way: str, one: Mapping[str, Any], base: Mapping[str, Any], truth: np.ndarray | None) -> dict[str, str]:
    """One way in a table."""
    count = len(one["answers"])
    found = {"written": way, "size": size(one["bytes"]), "of the size": f"{one['bytes'] / base['bytes']:.2f}",
             "ms a picture": number(one["milliseconds"], 3),
             "of the time": f"{one['milliseconds'] / base['milliseconds']:.2f}",
             "answers changed": f"{one['changed']} of {count}",
             "largest change of a probability": number(one["largest"], 2)}
    if truth is not None:
        right = int((np.asarray(one["answers"]) == truth).sum())
        found["accuracy (95 % interval)"] = interval.sentence(right / count, count)
    return found
