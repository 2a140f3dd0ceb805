"""Check any number: ours beside PyTorch's and onnxruntime's, and a gradient beside finite differences."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

from playground.errors import PlaygroundError
from playground.numbers import number
from playground.training.scratch.losses import CROSS_ENTROPY, WORDS
from playground.ui import frame, links
from playground.ui.network.asks.asked import Asked, choose_place, choose_weight, literal, named, question, written
from playground.ui.parts.torch_process import asked_torch
from playground.view.asks import Chosen, checks
from playground.view.asks.onnx_number import by_onnxruntime
from playground.view.gradients import Target
from playground.view.sources import Design, File
from playground.view.trace import PICTURE, Trace

LOSS, SCORE = "the loss", "the score"
NUMBER, WEIGHT, PIXEL = "the number", "a weight", "a pixel"
PATIENCE_SECONDS = 120
DIGITS = 9


@st.fragment
@frame.guarded("Check a number")
def check(asked: Asked) -> None:
    """The chosen number, and the gradient of it, of a weight or of a pixel, each computed in several ways."""
    with question("Is this number right? Check it", "ask-check", ":material/fact_check:") as is_open:
        if is_open:
            _check(asked)


def _check(asked: Asked) -> None:
    chosen = asked.chosen
    is_number = chosen.place is not None and (asked.part is not None or chosen.part == PICTURE)
    weights = list((asked.part.weights if asked.part is not None else None) or asked.source.weights())
    known = {NUMBER: is_number, WEIGHT: bool(weights), PIXEL: True}
    names = [name for name, there in known.items() if there]
    begin = NUMBER if is_number else WEIGHT if chosen.weight is not None and weights else None
    which = st.segmented_control("Check", names, default=begin, key=f"ask-check-what-{begin}-{len(names)}",
                                 disabled=links.locked())
    if which is None:
        st.info("Choose one number of a map above, or a weight or a pixel here.")
        return
    if which == NUMBER:
        one = Chosen(chosen.part, chosen.place)
    elif which == WEIGHT:
        one = Chosen(weight=chosen.weight or choose_weight(asked, weights, "ask-check"))
    else:
        shape = asked.trace.picture.data[0].shape
        one = Chosen(PICTURE, choose_place(("Channel", "Row", "Column"), shape, [n // 2 if n > 4 else 0 for n in shape],
                                           f"ask-check-pixel-{asked.key}"))
    target = wanted(asked)
    theirs = by_torch(asked, target, one)
    if one.weight is None and one.part != PICTURE:
        forward(asked, one, theirs)
    backward(asked, target, one, theirs)


def wanted(asked: Asked) -> Target:
    """Of what the gradient is taken: the loss with a label, or the score of a class."""
    labels = asked.source.labels
    left, right = st.columns(2)
    of = left.segmented_control("Gradient of", (SCORE, LOSS), default=SCORE, required=True, key="ask-check-of",
                                disabled=links.locked())
    scores = asked.trace.logits.data[0]
    best = int(scores.argmax()) if len(scores) > 1 else int(scores[0] > 0)
    label = right.selectbox("with the label" if of == LOSS else "of the class", range(len(labels)),
                            min(best, len(labels) - 1), key=f"ask-check-label-{asked.key}",
                            format_func=lambda k: labels[k], disabled=links.locked())
    return Target("score" if of == SCORE else "loss", label=int(label))


def forward(asked: Asked, one: Chosen, theirs: Mapping[str, Any] | None) -> None:
    """The number itself."""
    part = asked.part
    assert part is not None
    assert one.place is not None
    ours = checks.value_of(asked.trace, one)
    st.markdown(f"**The number** at {literal(named(one.place))} of the {literal(part.title)}")
    rows = [("our engine", "float32", ours)]
    note = ""
    try:
        found = by_graph(asked.key, part.index, asked.picture.pixels, asked.source, asked.trace)
        rows.append(("onnxruntime", "float32", float(found[one.place])))
    except PlaygroundError as error:
        note = literal(str(error))
    if theirs is not None:
        rows += [("PyTorch", dtype, float(theirs[dtype]["value"])) for dtype in ("float32", "float64")]
    table(rows, ours)
    if note:
        st.caption(note)
    st.caption("A float32 has 24 binary digits, so of two that add in another order the last one or two of nine "
               "figures may differ; of a sum of large numbers that nearly cancel, more.")


def backward(asked: Asked, target: Target, one: Chosen, theirs: Mapping[str, Any] | None) -> None:
    """The gradient."""
    label = literal(asked.source.labels[target.label])
    loss = "loss" if asked.source.loss == CROSS_ENTROPY else WORDS[asked.source.loss]
    of = f"the {loss} with label {label}" if target.kind == "loss" else f"the score of {label}"
    by = f"the weight {literal(one.weight[0])}{literal(named(one.weight[1]))}" if one.weight is not None else (
        f"pixel {literal(named(one.place or ()))}" if one.part == PICTURE else "this number")
    st.markdown(f"**The gradient** of {of} by {by}")
    with asked.source.lock:  # nobody else's edits in the meantime
        single, double = (checks.gradient(asked.trace, target, one, dtype) for dtype in (np.float32, np.float64))
        found = checks.difference(asked.trace, target, one)
    rows = [("our engine", "float32", single), ("our engine", "float64", double),
            ("finite difference", "float64", found.value)]
    if theirs is not None:
        rows += [("PyTorch", dtype, float(theirs[dtype]["gradient"])) for dtype in ("float32", "float64")]
    table(rows, double)
    st.latex(rf"\frac{{f(t + h) - f(t - h)}}{{2h}}, \qquad h = {written(found.step, 3)}")
    apart = abs(double - found.value)
    if found.kink:
        st.warning(f"There is a kink here: to the left the slope is {number(found.left, 5)}, to the right "
                   f"{number(found.right, 5)}, as at 0 of a ReLU or where two numbers of a pooling window are equal. "
                   "The difference takes half of each; the engine has to choose one side, and so does PyTorch.",
                   icon=":material/turn_sharp_right:")
    else:
        verdict = ("within what is to be expected" if apart <= 20 * found.error + 1e-6 * abs(double) else
                   "more than is to be expected: look closer")
        st.caption("The whole network was computed again, in float64, with this number a little larger and smaller. "
                   f"To be expected of it: an error of about {number(found.error, 2)}, for the step cuts the curve off "
                   f"and f is rounded. It is {number(apart, 2)} from ours: {verdict}.")


def table(rows: list[tuple[str, str, float]], beside: float) -> None:
    """Numbers with nine figures, and how far each is from ours. Text, for on a phone a grid cuts its cells off."""
    lines = [f"| {by}, {dtype} | {number(value, DIGITS)} | {number(abs(value - beside), 2)} |"
             for by, dtype, value in rows]
    lines = [line.replace(" × ", "\u00a0×\u00a0") for line in lines]  # a power of ten stays on its line
    st.markdown("\n".join(["| by | value | apart |", "|:--|--:|--:|", *lines]))


def by_torch(asked: Asked, target: Target, one: Chosen) -> Mapping[str, Any] | None:
    """PyTorch's numbers, once they were asked for; None until then."""
    if isinstance(asked.source, File):
        st.caption("This model is a file, not a design of ours: PyTorch has no module for it. onnxruntime runs the "
                   "file itself.")
        return None
    text = checks.torch_question(asked.source, asked.trace, target, one)
    said = st.session_state.get("ask-torch")
    if st.button("Ask PyTorch, too", key="ask-torch-button", icon=":material/compare_arrows:", disabled=links.locked(),
                 help="In a process of its own, which takes some seconds to start."):
        st.session_state["ask-torch"] = said = hash(text)
    return answered(text) if said == hash(text) else None


@st.cache_data(max_entries=32, show_spinner="PyTorch starts in a process of its own …")
def answered(question_text: str) -> dict[str, Any]:
    """What PyTorch says, from playground.view.asks.torch_number in another process."""
    done = asked_torch("playground.view.asks.torch_number", question_text, patience=PATIENCE_SECONDS,
                       late="PyTorch took too long: try again when the server is less busy.")
    if done.returncode:
        raise PlaygroundError("PyTorch could not compute this number here.")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@st.cache_resource(max_entries=16, show_spinner=False)
def by_graph(key: int, part: int, pixels: np.ndarray, _source: Design | File, _trace: Trace) -> np.ndarray:
    """What onnxruntime gives for a part, kept for its other numbers."""
    return by_onnxruntime(_source, _trace, _trace.parts[part])
