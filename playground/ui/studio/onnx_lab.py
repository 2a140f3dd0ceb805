"""The page "ONNX lab": what is in any ONNX file, what it says of a picture, and how fast."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from playground.datasets.imagenet import imagenet_labels
from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError
from playground.figures import bars, maps, onnx_graph, style
from playground.figures.lines import lines
from playground.inspection import bounded, running
from playground.inspection import preparation as preparations
from playground.inspection.core import network_of
from playground.inspection.preparation import LAYOUTS, ORDERS, SCALES, Preparation
from playground.numbers import count, counted, number, percent
from playground.ui import frame, links
from playground.ui.network import whole
from playground.ui.network.whole import Setting, Subject
from playground.ui.parts.image_input import Picture, asked, choose_picture
from playground.ui.studio import in_browser, onnx_convert, onnx_further
from playground.ui.studio.models import size
from playground.ui.studio.onnx_file import Opened
from playground.view.sources import File, Source

INSIDE, RUN, WORK, GRAPH = "What is in it", "Run it", "At work", "Graph"
WEIGHTS, SPEED, CONVERT, BROWSER, FURTHER = "Weights", "Speed", "Convert", "In this browser", "Train further"
OWN_SCALE = "own numbers"
KNOWN_LABELS = 1000


def lab(opened: Opened) -> None:
    """Everything about one file, one view at a time."""
    headline(opened)
    shown = st.segmented_control("View", [INSIDE, RUN, WORK, GRAPH, WEIGHTS, SPEED, CONVERT, BROWSER, FURTHER],
                                 default=INSIDE,
                                 key="onnx-view", bind="query-params", required=True, label_visibility="collapsed")
    with frame.guard(str(shown)):
        if shown == INSIDE:
            inside(opened)
        elif shown == GRAPH:
            graph(opened)
        elif shown == WEIGHTS:
            weights(opened)
        elif opened.said["preparation"] is None:
            st.info(f"{frame.literal(opened.said['pictures'])} So it cannot be run on a picture here.",
                    icon=":material/hide_image:")
        elif shown == FURTHER:
            onnx_further.further(opened, preparation_of(opened))
        elif shown == CONVERT:
            onnx_convert.convert(opened, preparation_of(opened))
        else:
            {RUN: run, WORK: work, SPEED: speed, BROWSER: browser}[str(shown)](opened)


def headline(opened: Opened) -> None:
    """The figures people ask for first."""
    said = opened.said
    st.header(frame.literal(opened.name), anchor=False)
    with st.container(horizontal=True):
        st.metric("file", size(said["bytes"]), width="content")
        st.metric("parameters", count(said["parameters"]), width="content")
        st.metric("multiply-adds", "not known" if said["macs"] is None else count(said["macs"]), width="content",
                  help="Of convolutions and matrix products, for one picture.")
        st.metric("nodes", count(said["count"]), width="content")
        st.metric("opset", next((str(one["version"]) for one in said["opsets"] if one["domain"] == "ai.onnx"), "none"),
                  width="content")


def inside(opened: Opened) -> None:
    """Inputs, outputs, operators, sizes, what the file says about itself, and whether the engine can follow it."""
    said = opened.said
    if said["valid"]:
        st.warning(f"onnx's checker objects: {frame.literal(said['valid'])}", icon=":material/rule:")
    if said["engine"]:
        st.info(f"Our engine cannot follow this file. {frame.literal(said['engine'])} onnxruntime may run it all the "
                "same.", icon=":material/block:")
    else:
        st.success(f"Our engine knows every operator in it: under “{WORK}” it is watched forward and backward.",
                   icon=":material/check:")
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**In and out**")
        st.dataframe([{"": kind, "name": one["name"], "numbers": one["number"], "shape": " × ".join(one["shape"])}
                      for kind, values in (("in", said["inputs"]), ("out", said["outputs"])) for one in values],
                     hide_index=True)
        st.markdown("**Where the bytes are**")
        st.dataframe([{"part": "weights", "size": size(said["weight_bytes"]),
                       "share": percent(min(1.0, said["weight_bytes"] / said["bytes"]))},
                      {"part": "graph, names, metadata", "size": size(max(0, said["bytes"] - said["weight_bytes"])),
                       "share": percent(max(0.0, 1 - said["weight_bytes"] / said["bytes"]))}], hide_index=True)
    with right:
        st.markdown("**Operators**")
        st.dataframe([{"operator": name, "nodes": n} for name, n in said["operators"].items()], hide_index=True,
                     height=280)
    st.markdown("**What the file says about itself**")
    known = {"producer": said["producer"], "IR version": str(said["ir"]), "graph": said["graph"],
             "operator sets": ", ".join(f"{one['domain']} {one['version']}" for one in said["opsets"]),
             "local functions": ", ".join(said["functions"]), **said["metadata"]}
    st.dataframe([{"what": name, "says": value} for name, value in known.items() if value], hide_index=True)


def graph(opened: Opened) -> None:
    """The graph drawn, and every node in a table."""
    nodes = opened.said["nodes"]
    st.plotly_chart(onnx_graph.graph(nodes), config={**style.CONFIG, "scrollZoom": True}, key="onnx-graph",
                    alt=f"The graph of {opened.name}: {counted(len(nodes), 'node')} in columns")
    st.caption("Drag to move it, turn the wheel to come nearer, point at a mark to read it."
               + (f" The first {count(onnx_graph.MOST)} nodes are drawn." if len(nodes) > onnx_graph.MOST else ""))
    st.dataframe([{"operator": one["operator"], "name": one["name"], "gives": " × ".join(map(str, one["shape"])) or "?",
                   "parameters": one["parameters"], "multiply-adds": one["macs"]} for one in nodes], hide_index=True)
    if opened.said["count"] > len(nodes):
        st.caption(f"The first {count(len(nodes))} of {count(opened.said['count'])} nodes.")


@st.cache_data(max_entries=64, show_spinner="Reading the weights…")
def _weight(path: str, key: str, name: str) -> dict[str, Any]:
    return bounded.ask("weight", Path(path), name=name)


def weights(opened: Opened) -> None:
    """One tensor of the file: its numbers as a histogram, kernels as pictures."""
    found = {one["name"]: one for one in opened.said["weights"]}
    if not found:
        st.info("This file holds no weights.", icon=":material/info:")
        return
    kernels = [name for name, one in found.items() if len(one["shape"]) == 4 and min(one["shape"][2:]) > 1]
    first = min(kernels, key=lambda name: found[name]["first"]) if kernels else next(iter(found))
    name = st.selectbox("Weights", list(found), index=list(found).index(first), key=f"onnx-weight-{opened.key}",
                        format_func=lambda one: f"{one}  ({' × '.join(map(str, found[one]['shape']))})",
                        help="The largest first.")
    said = _weight(str(opened.path), opened.key, name)
    if said.get("damaged"):
        st.warning("This tensor holds fewer or more numbers than its shape says.", icon=":material/broken_image:")
        return
    if said.get("not_finite"):
        st.warning(f"{counted(said['not_finite'], 'number')} of it are infinite or not a number.",
                   icon=":material/error:")
    st.caption(f"{said['number']}, {size(said['bytes'])}"
               + (f"; from {number(said['least'])} to {number(said['most'])}, mean {number(said['mean'])}, deviation "
                  f"{number(said['deviation'])}, {percent(said['zeros'])} zeros" if "mean" in said else ""))
    if "kernels" in said:
        kernel = np.array(said["kernels"])
        limit = style.signed_limit(kernel)
        sheet = maps.contact_sheet(np.stack([maps.signed_map(one[0], limit) if kernel.shape[1] == 1
                                             else _coloured(one, limit) for one in kernel]), 8, scale=14, gap=14)
        st.image(sheet, alt="The kernels as pictures", caption=(
            f"The first {counted(len(kernel), 'kernel')}; " + (
                "red, green and blue are its three channels, gray is 0" if kernel.shape[1] == 3
                else f"of each the first channel, blue is {number(-limit, 2)}, orange {number(limit, 2)}")))
    if "histogram" in said:
        edges = np.array(said["histogram"]["edges"])
        figure = go.Figure(go.Bar(x=((edges[1:] + edges[:-1]) / 2).tolist(), y=said["histogram"]["counts"],
                                  width=float(edges[1] - edges[0]), marker={"color": style.CATEGORICAL[0]},
                                  hovertemplate="about %{x:.3~g}: %{y} numbers<extra></extra>"))
        st.plotly_chart(style.layout(figure, x="value", y="numbers", height=280), config=style.CONFIG,
                        key="onnx-histogram", alt=f"How many numbers of {name} have which value")


def _coloured(kernel: np.ndarray, limit: float) -> np.ndarray:
    return np.rint(127.5 + 127.5 * np.clip(kernel / limit, -1, 1)).astype(np.uint8).transpose(1, 2, 0)


def prepared(opened: Opened) -> tuple[Preparation, Picture]:
    """The picture, and what is done to it: guessed from the file, and the reader's to change."""
    gray = opened.said["preparation"]["preprocessing"]["gray"]
    left, right = st.columns([1, 2], gap="medium")
    with left:
        picture = asked(choose_picture("Handwritten digit" if gray else "Cat", least=1), opened.said["labels"])
    with right:
        return preparation_of(opened), picture


def preparation_of(opened: Opened) -> Preparation:
    """What is done to a picture: guessed from the file, and the reader's to change."""
    guessed = Preparation.from_dict(opened.said["preparation"])
    if not guessed.raw:
        return _edited(opened, guessed)
    st.caption("This file was made here: it takes the pixels as they are and prepares them itself. "
               f"{guessed.preprocessing.sentence()}")
    return guessed


def _edited(opened: Opened, guessed: Preparation) -> Preparation:
    key, said, locked = opened.key, guessed.preprocessing, links.locked()
    shape = opened.said["inputs"][0]["shape"]
    fixed = [shape[k].isdigit() for k in ((2, 3) if guessed.layout == "NCHW" else (1, 2))]
    one, two, three = st.columns(3)
    sides = [place.number_input(name, 1, preparations.LARGEST_SIDE, value, key=f"prep-{name}-{key}",
                                disabled=locked or is_fixed, help="The file allows only this." if is_fixed else None)
             for place, name, value, is_fixed in zip((one, two), ("Height", "Width"), said.size, fixed, strict=True)]
    layout = three.selectbox("Layout", LAYOUTS, LAYOUTS.index(guessed.layout), key=f"prep-layout-{key}",
                             disabled=locked,
                             help="N pictures, C channels, H rows, W columns: the order of the input's dimensions.")
    own = preparations.scale_of(said) or OWN_SCALE
    scales = [*SCALES, OWN_SCALE]
    scale = two.selectbox("Levels", scales, scales.index(own), key=f"prep-scale-{key}", disabled=locked,
                          help="What 0 to 255 become.")
    order = one.selectbox("Channels", ORDERS, ORDERS.index(guessed.order), key=f"prep-order-{key}",
                          disabled=locked or said.gray)
    mean, std = said.mean, said.std
    if scale == OWN_SCALE:
        mean = numbers_typed(three.text_input("Means", ", ".join(f"{v:g}" for v in mean), key=f"prep-mean-{key}",
                                              disabled=locked, help="Of levels from 0 to 1."), len(mean))
        std = numbers_typed(three.text_input("Deviations", ", ".join(f"{v:g}" for v in std), key=f"prep-std-{key}",
                                             disabled=locked), len(std))
        if min(std) <= 0:
            raise PlaygroundError("A deviation is larger than 0.")
    else:
        mean, std = (values[:len(mean)] for values in SCALES[scale])
    st.caption("Guessed from the file; where it is wrong, the answers are."
               if opened.said["preparation"] == guessed.to_dict() else "")
    return replace(guessed, preprocessing=Preprocessing((int(sides[0]), int(sides[1])), said.gray, mean, std),
                   layout=layout, order=order)


def numbers_typed(text: str, wanted: int) -> tuple[float, ...]:
    """Numbers separated by commas or spaces. Raises PlaygroundError for others, or another count.

    >>> numbers_typed("0.5, 0.25 1", 3)
    (0.5, 0.25, 1.0)
    """
    try:
        values = tuple(float(word) for word in text.replace(",", " ").split())
    except ValueError:
        values = ()
    if len(values) != wanted or not np.isfinite(values).all():
        raise PlaygroundError(f"Write {counted(wanted, 'number')} such as {', '.join(['0.5'] * wanted)}.")
    return values


@st.cache_data(max_entries=32, show_spinner="Asking onnxruntime and our engine…")
def _answers(path: str, key: str, name: str, digest: str, _x: np.ndarray) -> dict[str, Any]:
    return bounded.ask("answers", Path(path), _x, input=name)


def answers(opened: Opened, preparation: Preparation, x: np.ndarray) -> dict[str, Any]:
    """What onnxruntime and the engine say of a prepared picture; asked once."""
    return _answers(str(opened.path), opened.key, preparation.input, hashlib.sha256(
        f"{x.dtype}{x.shape}".encode() + x.tobytes()).hexdigest(), x)


def labels_of(opened: Opened, scores: int) -> tuple[str, ...]:
    """The classes: those in the file, ImageNet's where there are a thousand, or what the reader pastes."""
    own = tuple(opened.said["labels"])
    if len(own) == scores:
        return own
    if scores in (KNOWN_LABELS, KNOWN_LABELS + 1):
        known = imagenet_labels()
        return known if scores == KNOWN_LABELS else ("background", *known)
    text = st.text_area("Labels, one a line", key=f"onnx-labels-{opened.key}", max_chars=100_000, height=120,
                        disabled=links.locked(),
                        placeholder=f"The file names none; it gives {counted(scores, 'score')}.")
    return preparations.labels_typed(text, scores)


def run(opened: Opened) -> None:
    """Its five likeliest classes by onnxruntime, how long that took, and what the engine says beside it."""
    preparation, picture = prepared(opened)
    x = preparation.apply(picture.pixels)
    said = answers(opened, preparation, x)
    left, right = st.columns([1, 2], gap="medium")
    seen = picture.pixels if preparation.raw else preparation.preprocessing.pictured(
        preparation.preprocessing.apply(picture.pixels))
    left.image(seen, caption="what goes in", width=260, alt=f"What the file is given of {picture.name}")
    with right:
        if said["scores"] is None:
            st.info("None of its outputs is one row of scores, so there is no list of classes to show.",
                    icon=":material/info:")
        else:
            labels = labels_of(opened, len(said["scores"]))
            p = running.probabilities(said["scores"])
            if np.isnan(p).any():
                st.warning("Some of its scores are infinite or not a number.", icon=":material/error:")
            else:
                st.plotly_chart(bars.probability_bars(labels, p.tolist(), most=running.TOP), config=style.CONFIG,
                                key="onnx-top", alt="The likeliest classes")
        times = said["milliseconds"]
        st.markdown(f"onnxruntime: {number(float(np.median(times)), 3)} ms (median of {len(times)}).")
        st.markdown(_beside(said["engine"]))
    st.dataframe([{"output": one["name"], "shape": " × ".join(map(str, one.get("shape", []))),
                   "least": one.get("least"), "most": one.get("most"), "mean": one.get("mean")}
                  for one in said["outputs"]], hide_index=True)
    if "sentence" not in said["engine"] and st.toggle("Layer by layer", key=f"onnx-layers-{opened.key}",
                                                      disabled=links.locked()):
        layer_by_layer(opened, preparation, x)


def browser(opened: Opened) -> None:
    """The same file run by the reader's own browser, the server's answer beside it."""
    preparation, picture = prepared(opened)
    said = answers(opened, preparation, preparation.apply(picture.pixels))
    if said["scores"] is None:
        raise PlaygroundError("None of its outputs is one row of scores, so there is no list of classes to show.")
    in_browser.of_file(opened, preparation, picture, said, labels_of(opened, len(said["scores"])))


@st.cache_data(max_entries=16, show_spinner="Comparing every layer…")
def _layers(path: str, key: str, name: str, digest: str, _x: np.ndarray) -> dict[str, Any]:
    return bounded.ask("layers", Path(path), _x, input=name)


def layer_by_layer(opened: Opened, preparation: Preparation, x: np.ndarray) -> None:
    """Where onnxruntime and the engine first part, if they do, and by how much they differ at every node."""
    said = _layers(str(opened.path), opened.key, preparation.input, hashlib.sha256(x.tobytes()).hexdigest(), x)
    nodes = said["nodes"]
    if said["parted"] is None:
        st.success(f"onnxruntime and our engine agree at all {counted(len(nodes), 'node')}: nowhere do they differ by "
                   "more than a thousandth of a layer's largest number.", icon=":material/check:")
    else:
        first = nodes[said["parted"]]
        st.warning(f"They part first at {frame.literal(first['name'])} ({frame.literal(first['operator'])}), node "
                   f"{said['parted'] + 1} of {len(nodes)}.", icon=":material/call_split:")
    st.dataframe([{"operator": one["operator"], "name": one["name"], "gives": " × ".join(map(str, one["shape"])),
                   "largest number": one["size"], "largest difference": one["difference"]} for one in nodes],
                 hide_index=True)


def _beside(engine: dict[str, Any]) -> str:
    if "sentence" in engine:
        return f"Our engine: {frame.literal(engine['sentence'])}"
    if engine["largest"] is None:
        return f"Our engine: {number(engine['milliseconds'], 3)} ms."
    return (f"Our engine: {number(engine['milliseconds'], 3)} ms; its outputs differ by at most "
            f"{number(engine['largest'], 2)}, on average {number(engine['mean'], 2)}.")


def work(opened: Opened) -> None:
    """The whole network at work, forward and backward, where the engine follows the file."""
    if opened.said["engine"]:
        raise PlaygroundError(f"Our engine cannot follow this file. {opened.said['engine']}")
    preparation, picture = prepared(opened)
    said = answers(opened, preparation, preparation.apply(picture.pixels))
    if said["scores"] is None or "sentence" in said["engine"]:
        raise PlaygroundError(said["engine"].get(
            "sentence", "None of its outputs is one row of scores, so there is nothing to walk back from."))
    labels = labels_of(opened, len(said["scores"]))
    scores = str(said["scores_of"])

    def source(_: str) -> tuple[Source, str]:
        return _source(opened.path, preparation, labels, scores), opened.key

    digest = hashlib.sha256(repr((preparation, labels)).encode()).hexdigest()[:16]
    subject = Subject(f"file {opened.key} {digest}", opened.name, preparation.preprocessing, labels, source)
    likeliest = int(np.argmax([-np.inf if one is None else one for one in said["scores"]]))
    label = st.selectbox("Its class", range(len(labels)), likeliest, format_func=lambda k: labels[k],
                         key=f"onnx-class-{digest}", disabled=links.locked(), help="The loss is computed against it.")
    whole.shown(Setting(subject, picture, label, whole.look_at(subject, picture, label), None, ()))


def _source(path: Path, preparation: Preparation, labels: Sequence[str], scores: str) -> File:
    return File(network_of(path, preparation, scores), preparation.preprocessing, tuple(labels))


@st.cache_data(max_entries=16, show_spinner="Measuring: this takes up to half a minute…")
def _profile(path: str, key: str, name: str, shape: tuple[int, ...], _x: np.ndarray) -> dict[str, Any]:
    return bounded.ask("profile", Path(path), _x, input=name)


def speed(opened: Opened) -> None:
    """How fast onnxruntime runs it here."""
    preparation, picture = prepared(opened)
    x = preparation.apply(picture.pixels)
    if not st.toggle("Measure it", key=f"onnx-measure-{opened.key}", disabled=links.locked()):
        st.caption("A few hundred runs on this server: how long one takes, by threads, by how far onnxruntime may "
                   "rewrite the graph, by pictures at once, and which operators take the time.")
        return
    said = _profile(str(opened.path), opened.key, preparation.input, x.shape, x)
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**One picture, 2 threads**")
        st.plotly_chart(bars.histograms({"calls": np.array(said["samples"])}, titles=("milliseconds", "calls"),
                                        bins=20), config=style.CONFIG, key="onnx-latency",
                        alt="How long one picture takes")
        st.dataframe([{"threads": one["threads"], **_spread(one)} for one in said["threads"]], hide_index=True)
        st.dataframe([{"graph optimisation": one["level"], **_spread(one)} for one in said["levels"]], hide_index=True)
    with right:
        st.markdown("**Several pictures at once**")
        if len(said["batches"]) > 1:
            st.plotly_chart(lines([one["pictures"] for one in said["batches"]],
                                  {"onnxruntime": [one["a second"] for one in said["batches"]]},
                                  titles=("pictures at once", "pictures a second")), config=style.CONFIG,
                            key="onnx-batches", alt="Pictures a second by pictures at once")
        else:
            st.caption("This file takes one picture at a time.")
        st.markdown("**Where the time goes**")
        total = sum(one["milliseconds"] for one in said["operators"]) or 1
        st.dataframe([{"operator": one["operator"], "nodes": one["nodes"], "ms": number(one["milliseconds"], 3),
                       "share": percent(one["milliseconds"] / total)} for one in said["operators"]], hide_index=True)
    st.caption("Measured just now on this server, beside whatever else it does; another computer has other figures.")


def _spread(one: dict[str, Any]) -> dict[str, str]:
    return {"median (ms)": number(one["median"], 3), "95 % within (ms)": number(one["p95"], 3)}
