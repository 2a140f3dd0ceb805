"""Part of the page "ONNX lab": a file written in other ways, side by side before one is chosen."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from playground.inspection.converting import CALIBRATION_PICTURES as SCALING
from playground.inspection.converting import WAYS, crops
from playground.inspection.preparation import Preparation
from playground.numbers import counted, number
from playground.training.runs import runs
from playground.training.transfer import photo_list
from playground.ui import frame, links
from playground.ui.studio import train
from playground.ui.studio.models import size
from playground.ui.studio.onnx_file import Opened, opened_dir, trim

ORIGINAL = "as it is"
PICTURES = 200
KEPT_CONVERTED = 30
STAND_INS = "numbers from 0 to 1 in place of its inputs (zeros where they are whole), because it takes no picture"


@dataclass(frozen=True)
class Pictures:
    """Raw pictures that files are compared on, their labels where they are known, and others that int8 takes its
    scales from; each with words about them."""

    compared: Sequence[np.ndarray]
    truth: np.ndarray | None
    words: str
    scaling: Sequence[np.ndarray]
    scaling_words: str


def pictures_for(opened: Opened, preparation: Preparation) -> Pictures:
    """A model made here is compared on what was kept aside and scaled on what it was trained on; a file of digits on
    digits; any other one on crops of sample photographs."""
    with suppress(PlaygroundError, OSError):  # the run was removed, or its photographs were
        if (kept := of_its_run(opened, max(preparation.preprocessing.size))) is not None:
            return kept
    if preparation.preprocessing.gray and tuple(opened.said["labels"]) == tuple("0123456789"):
        training, test = named.load("digits")
        first = [_coloured(one) for one in test.images[:PICTURES]]
        return Pictures(first, test.labels[:PICTURES], f"{counted(len(first), 'handwritten digit')} kept aside from "
                        "training", [_coloured(training.images[k]) for k in jobs.spread(len(training), SCALING)],
                        "digits that such models are trained on")
    own = crops()
    return Pictures(own, None, f"{len(own)} crops of the sample photographs: nobody knows what is right for them, so "
                    "answers are compared with those of the file as it is", crops(to_scale=True),
                    "crops of other sample photographs")


def of_its_run(opened: Opened, side: int) -> Pictures | None:
    """Up to `PICTURES` of the pictures that a model made here was checked on, and some that it was trained on; squares
    of `side` pixels where they are photographs. None for a file from elsewhere. Raises PlaygroundError when they are
    gone."""
    entry = registry.find(Path(opened.name).parent.name)
    run = entry.card.get("training", {}).get("run") if entry is not None and entry.onnx == opened.path else None
    if not run:
        return None
    folder = runs.run_dir(str(run))
    spec = runs.read_spec(folder)
    if spec.kind == "digits":
        training, test = train.read(spec.request["data"])
        chosen = jobs.spread(len(test), PICTURES)
        kept, truth = [train.raw(test.images[k]) for k in chosen], test.labels[chosen]
        learnt = [train.raw(training.images[k]) for k in jobs.spread(len(training), SCALING)]
    else:
        found = evaluation.read(folder / evaluation.FILE)
        if found is None:
            return None
        chosen = jobs.spread(len(found.paths), PICTURES)
        kept, truth = [_square(found.paths[k], side) for k in chosen], found.truth[chosen]
        learnt = []
        with suppress(PlaygroundError, OSError):  # some of its training photographs were removed
            paths = [path for path, _ in divided.train] if (divided := photo_list.read(folder)) else []
            learnt = [_square(paths[k], side) for k in jobs.spread(len(paths), SCALING)]
    return Pictures(kept, truth, f"{counted(len(kept), 'picture')} kept aside from its training",
                    learnt or crops(to_scale=True), f"{counted(len(learnt), 'picture')} that it was trained on"
                    if learnt else "crops of sample photographs")


def _coloured(image: np.ndarray) -> np.ndarray:
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _square(path: Path, side: int) -> np.ndarray:
    return np.asarray(ImageOps.fit(Image.fromarray(photos.open_small(path, 2 * side)), (side, side)))


@st.cache_data(max_entries=60, show_spinner=False)
def _written(path: str, key: str, way: str, name: str | None, digest: str, again: int, _x: np.ndarray | None,
             _scaling: np.ndarray | None) -> dict[str, Any]:
    """One way: its `file`, what is said of it (`said`) and of the file as it is (`base`) on the same pictures, and the
    `operators` that are written otherwise. Or a `sentence`, and whether it may be asked for `again`."""
    folder = opened_dir("converted")
    trim(folder, KEPT_CONVERTED)
    home.clear_left(folder)
    home.demand_room(Path(path).stat().st_size)
    target = folder / f"{key}-{digest}-{way.replace(' ', '-')}.onnx"
    try:
        done = bounded.ask("convert", Path(path), _scaling, target=str(target), way=way, input=name)
    except PlaygroundError as error:
        return {"sentence": str(error), "again": isinstance(error, bounded.UnansweredError)}
    found: dict[str, Any] = {"file": str(target), "operators": done["operators"], "again": False}
    try:
        both = bounded.ask("compare", Path(path), _x, paths={ORIGINAL: path, way: str(target)}, input=name)
    except PlaygroundError as error:
        nothing = {"sentence": str(error)}
        return {**found, "base": nothing, "said": nothing, "again": isinstance(error, bounded.UnansweredError)}
    return {**found, "base": both[ORIGINAL], "said": both[way]}


def convert(opened: Opened, preparation: Preparation | None) -> None:
    """Every way to write the file, each as soon as it is there: size, time, what changes in its answers and in its
    graph, accuracy where it is known, and a download. A file that takes no picture (`preparation` None) is compared on
    other numbers."""
    pictures = pictures_for(opened, preparation) if preparation else None
    words = f"Compared on {pictures.words if pictures else STAND_INS}."
    if pictures:
        words += f" int8 takes its scales from others: {pictures.scaling_words}."
    if not st.toggle("Write it in every way and compare", key=f"onnx-ways-{opened.key}", disabled=links.locked()):
        st.markdown("\n".join(f"- **{way}**: {what}" for way, what in WAYS.items()))
        st.caption(words)
        return
    x = scaling = None
    if preparation and pictures:
        order = np.random.default_rng(0).permutation(len(pictures.compared))  # a slow file is asked about the first
        x = np.concatenate([preparation.apply(pictures.compared[k]) for k in order])
        scaling = np.concatenate([preparation.apply(one) for one in pictures.scaling])
    truth = pictures.truth[order] if pictures and pictures.truth is not None else None
    digest = hashlib.sha256(b"".join(one.tobytes() for one in (x, scaling) if one is not None)).hexdigest()[:12]
    table = st.empty()
    found: dict[str, dict[str, Any]] = {}
    rows: list[dict[str, str]] = []
    for way in WAYS:
        with st.spinner(f"Writing it as {way}, and asking both files…"):
            found[way] = one = _written(
                str(opened.path), opened.key, way, preparation.input if preparation else None, digest,
                st.session_state.get(_tries(opened, way), 0), x, scaling if way == "int8" else None)
        if "file" in one and "sentence" not in one["said"]:
            rows += [row(ORIGINAL, one["base"], one["base"], truth)] * (not rows) + [
                row(way, one["said"], one["base"], truth)]
            table.dataframe(rows, hide_index=True)
    st.caption(f"{words} Times are for one answer on this server, with two threads; shares of the time are of the file "
               "as it is, asked at the same moment.")
    offered = [way for way in WAYS if "file" in found[way]
               and ("sentence" not in found[way]["said"] or "sentence" in found[way]["base"])]
    _less(found, offered, 0 if x is None else len(x))
    for way in WAYS:
        if found[way]["again"] and st.button(f"Try {way} again", key=f"onnx-again-{way}", icon=":material/refresh:",
                                             disabled=links.locked()):
            st.session_state[_tries(opened, way)] = st.session_state.get(_tries(opened, way), 0) + 1
            st.rerun()
    with st.container(horizontal=True):
        for way in offered:
            if (path := Path(found[way]["file"])).is_file():
                st.download_button(f"Download {way}", path.read_bytes(), f"{Path(opened.name).stem}-"
                                   f"{way.replace(' ', '-')}.onnx", "application/octet-stream", on_click="ignore",
                                   key=f"onnx-take-{way}", icon=":material/download:")
    in_the_graph({way: found[way]["operators"] for way in offered})


def _tries(opened: Opened, way: str) -> str:
    return f"onnx-tries-{opened.key}-{way}"


def _less(found: Mapping[str, Mapping[str, Any]], offered: Sequence[str], pictures: int) -> None:
    """What is missing, in sentences: ways that are not offered, not compared, or compared on fewer pictures."""
    uncompared: dict[str, list[str]] = {}
    for way, one in found.items():
        if way not in offered:
            st.caption(f"**{way}** is not offered. {frame.literal((one.get('said') or one)['sentence'])}")
        elif "sentence" in one["base"]:
            uncompared.setdefault(one["base"]["sentence"], []).append(way)
        elif 0 < (asked := one["said"]["pictures"]) < pictures:
            st.caption(f"**{way}**: there was time for {asked} of {counted(pictures, 'picture')}.")
    for sentence, ways in uncompared.items():
        st.warning(f"What {', '.join(ways)} and the file as it is answer could not be compared. "
                   f"{frame.literal(sentence)}", icon=":material/rule:")


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
        right = int((np.asarray(one["answers"]) == truth[:count]).sum())
        found["accuracy (95 % interval)"] = interval.sentence(right / count, count)
    return found
