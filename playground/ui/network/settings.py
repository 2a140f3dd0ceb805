"""The settings of a training from scratch on a page: a request's controls, and the schedule and first weights drawn."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from playground.datasets.augmentation import Augmentation
from playground.errors import PlaygroundError
from playground.figures import lines, style
from playground.network import presets
from playground.network.build import build
from playground.network.kind import Shape
from playground.network.shapes import walk
from playground.training.scratch.losses import CROSS_ENTROPY, HINGE, LOSSES, SQUARED_ERROR, WORDS
from playground.training.scratch.settings import (
    ENGINES,
    INITS,
    OPTIMIZERS,
    SCHEDULES,
    Settings,
    first_weights,
    rates,
)
from playground.ui import frame
from playground.ui.lessons import augmentation

BATCH_SIZES = (8, 16, 32, 64, 128, 256)
RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
KEYS = {"epochs": "epochs", "batch_size": "batch", "learning_rate": "rate", "optimizer": "optimizer",
        "schedule": "schedule", "loss": "loss", "weight_decay": "decay", "label_smoothing": "smoothing",
        "clip_norm": "clip", "init": "init", "weights_gain": "gain", "first_bias": "bias", "normalize": "normalize",
        "train_pictures": "few", "early_stopping": "patience", "engine": "engine"}
"""The control of each setting, by its name in the address."""
SHOWN = frozenset(("epochs", "batch_size", "learning_rate", "optimizer"))
"""Settings that are always seen; the others are folded away as long as they are the usual ones."""
MORE = "more-settings"
_FOLLOWED, _BEGAN = "settings-of-a-preset", "settings-began-with"
OPTIMIZER_WORDS = {"sgd": "SGD", "momentum": "SGD, momentum 0.9", "nesterov": "SGD, Nesterov 0.9", "adam": "Adam",
                   "adamw": "AdamW", "rmsprop": "RMSprop"}
SCHEDULE_WORDS = {"cosine": "half a cosine to 0", "constant": "constant", "step": "a tenth after each third",
                  "linear": "straight to 0", "warmup": "warm-up, then half a cosine"}
LOSS_ABOUT = {
    CROSS_ENTROPY: "−log of the label's probability p: its gradient at a score is p − y, and largest where the network "
                   "is confidently wrong.",
    SQUARED_ERROR: "The mean of (p − y)² over the classes, y being 1 for the label and 0 for the others: its gradient "
                   "carries p\u00a0(1\u00a0−\u00a0p), so the network learns slowly where it is confidently wrong.",
    HINGE: "By how much each other score comes closer than 1 to the label's: a picture that keeps this margin teaches "
           "nothing more, and probabilities made of such scores are not to be relied on.",
}
ENGINE_WORDS = {"ours": "our engine (NumPy)", "torch": "PyTorch"}
INIT_WORDS = {"default": "PyTorch's", "kaiming": "Kaiming normal", "xavier": "Xavier uniform",
              "normal": "normal, deviation 0.01", "zeros": "all zero"}
MOST_DRAWN = 20_000_000
"""Weights of which a histogram is made."""
USUAL = Settings()
assert (set(OPTIMIZER_WORDS), set(SCHEDULE_WORDS), set(INIT_WORDS)) == (set(OPTIMIZERS), set(SCHEDULES), set(INITS))
assert (tuple(ENGINE_WORDS), tuple(LOSS_ABOUT)) == (ENGINES, LOSSES)


def usual_of(preset: str | None) -> dict[str, Any]:
    """What every setting begins with: the usual, or what a preset that is sick on purpose says."""
    usual = {one.name: getattr(USUAL, one.name) for one in fields(USUAL) if one.name in KEYS}
    return {**usual, **(presets.preset(preset).settings if preset else {})}


def follow(preset: str | None) -> None:
    """Before the controls are drawn: the design is now made from this preset, or from none (None).

    What the preset before brought along is again what it was, and what this one is sick of is brought along. The
    settings of the first preset of a session are those that the controls begin with, or the address's.
    """
    state = st.session_state
    before, replaced = state.get(_FOLLOWED, (preset, {}))
    state[_FOLLOWED] = (preset, replaced)
    if preset == before:
        return
    brought, old = presets.preset(preset).settings if preset else {}, presets.preset(before).settings if before else {}
    well = {name: replaced.get(name, getattr(USUAL, name)) for name in old}
    well |= {name: state.get(KEYS[name], getattr(USUAL, name)) for name in brought if name not in old}
    for name, value in {**well, **brought}.items():
        frame.write(KEYS[name], value)
    state[_FOLLOWED] = (preset, {name: well[name] for name in brought})
    if set(brought) - SHOWN:
        frame.write(MORE, True)


def stay(preset: str | None) -> None:
    """The design turned out to be made from this preset, and the settings are as they should be."""
    st.session_state[_FOLLOWED] = (preset, {})


def _said_anew(begin: Mapping[str, Any]) -> None:
    """The address leaves out what a control begins with. Where that has changed, the browser is told once more what the
    control says, so that it is in the address and a link keeps it.
    """
    state = st.session_state
    before = state.get(_BEGAN, begin)
    state[_BEGAN] = begin
    for key in (KEYS[name] for name in begin if begin[name] != before[name] and KEYS[name] in state):
        state[key] = state[key]


def controls(preset: str | None) -> dict[str, Any]:
    """Draw the controls; the settings that are not the usual ones, as a request says them."""
    begin = usual_of(preset)
    _said_anew(begin)
    found: dict[str, Any] = {}
    left, right = st.columns(2)
    found["epochs"] = int(left.number_input("Epochs", 1, 1000, begin["epochs"], key="epochs", bind="query-params",
                                            help="How often every training picture is seen."))
    found["batch_size"] = right.selectbox(
        "Batch size", BATCH_SIZES, index=BATCH_SIZES.index(begin["batch_size"]), key="batch", bind="query-params",
        help="Pictures whose gradients are averaged before the weights move one step.")
    found["learning_rate"] = left.selectbox(
        "Learning rate", RATES, index=RATES.index(begin["learning_rate"]), key="rate", bind="query-params",
        help="How far the weights move against the gradient. Too small: slow. Too large: the loss jumps.")
    found["optimizer"] = right.selectbox(
        "Optimizer", list(OPTIMIZERS), index=list(OPTIMIZERS).index(begin["optimizer"]), key="optimizer",
        format_func=OPTIMIZER_WORDS.__getitem__, bind="query-params",
        help="How a step is made of gradients. SGD goes straight against the gradient, mostly at a larger rate than "
             "Adam, which scales each weight's step by what its gradients were like.")
    if MORE not in st.session_state:
        st.session_state[MORE] = any(begin[name] != getattr(USUAL, name) or KEYS[name] in st.query_params
                                     for name in begin if name not in SHOWN)
    with st.expander("More settings", key=MORE, on_change="rerun"):
        found |= _more(begin)
    with st.expander("Augmentation"):
        augment = augmentation.builder(Augmentation(), columns=1)
    changed = {name: value for name, value in found.items() if value != getattr(USUAL, name)}
    always = {name: found[name] for name in ("epochs", "batch_size", "learning_rate")}
    return {**always, **changed, **({"augment": augment.to_dict()} if augment.active else {})}


def _more(begin: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["schedule"] = st.selectbox(
        "Schedule", list(SCHEDULES), index=list(SCHEDULES).index(begin["schedule"]), key="schedule",
        format_func=SCHEDULE_WORDS.__getitem__, bind="query-params", help="The learning rate from the first step to "
        "the last.")
    found["loss"] = st.selectbox(
        "Loss", LOSSES, index=LOSSES.index(begin["loss"]), key="loss", format_func=WORDS.__getitem__,
        bind="query-params", help="What training makes small. Of one score for two classes the sigmoid is taken where "
        "else the softmax of all is.")
    st.caption(LOSS_ABOUT[found["loss"]])
    found["init"] = st.selectbox(
        "First weights", list(INITS), index=list(INITS).index(begin["init"]), key="init",
        format_func=INIT_WORDS.__getitem__, bind="query-params",
        help="What the weights of convolutions and dense layers are drawn from. All zero: every unit then learns the "
             "same, or nothing.")
    found["engine"] = st.selectbox(
        "Computed by", ENGINES, index=ENGINES.index(begin["engine"]), key="engine",
        format_func=ENGINE_WORDS.__getitem__, bind="query-params",
        help="Scores, loss and gradients of every step. First weights, order of pictures and update rules are the "
             "same, so the curves lie on each other until rounding tells; dropout leaves other units out. Steps that "
             "PyTorch computed cannot be taken up again one by one.")
    left, right = st.columns(2)
    found["weight_decay"] = left.number_input(
        "Weight decay", 0.0, 1.0, begin["weight_decay"], 0.0001, format="%.4f", key="decay", bind="query-params",
        help="Weights are pulled towards 0 at every step.")
    smoothing = right.number_input(
        "Label smoothing", 0.0, 0.9, begin["label_smoothing"], 0.05, key="smoothing", bind="query-params",
        disabled=found["loss"] == HINGE,
        help="This share of each label is spread over all classes, so that no score has to grow for ever. The hinge "
             "loss knows one right class, no shares of it.")
    found["label_smoothing"] = 0.0 if found["loss"] == HINGE else smoothing
    found["clip_norm"] = left.number_input(
        "Clip gradients at", 0.0, 1000.0, begin["clip_norm"], 0.5, key="clip", bind="query-params",
        help="A gradient whose joint norm is larger is scaled down to it. 0: never.")
    found["weights_gain"] = right.number_input(
        "First weights ×", 0.01, 1000.0, begin["weights_gain"], 0.5, key="gain", bind="query-params",
        help="Too large: numbers explode on their way forward.")
    found["train_pictures"] = int(left.number_input(
        "Pictures to learn", 0, 10**6, begin["train_pictures"], key="few", bind="query-params",
        help="Of all classes their share. 0: all there are. With few the network learns them by heart."))
    found["early_stopping"] = int(right.number_input(
        "Stop after", 0, 1000, begin["early_stopping"], key="patience", bind="query-params",
        help="So many epochs without a better validation loss end the training. 0: never."))
    bias = st.number_input(
        "First biases", -100.0, 100.0, begin["first_bias"], 0.5, key="bias", bind="query-params",
        placeholder="as drawn", help="What all biases but the last layer's begin with. Far below 0, ReLUs never "
                                     "answer.")
    found["first_bias"] = None if bias is None else float(bias)
    found["normalize"] = st.checkbox(
        "Mean 0 and deviation 1", begin["normalize"], key="normalize", bind="query-params",
        help="Otherwise the network sees levels from 0 to 255 as they are.")
    return found


@frame.guarded("Schedule and first weights")
def drawn(request: Mapping[str, Any], text: str, takes: Shape, classes: int, batches: int) -> None:
    """The learning rate of every step, and a histogram of each layer's first weights."""
    asked = Settings.from_request(request)
    steps = asked.epochs * batches
    at = np.unique(np.linspace(0, steps - 1, min(steps, 200)).astype(int))
    values = rates(asked, steps)[at]
    left, right = st.columns(2)
    left.plotly_chart(
        lines.lines((at / batches).tolist(), {"learning rate": values.tolist()}, titles=("epoch", "learning rate"),
                    marks=False, height=240),
        config=style.CONFIG, key="schedule-drawn", alt="Learning rate over the epochs")
    counted = histograms(text, takes, classes, asked.init, asked.weights_gain)
    if not counted:
        right.info("The first weights are drawn here once every part fits, of networks that are not too large.")
        return
    figure = go.Figure([{"type": "scatter", "x": edges, "y": shares, "name": name, "mode": "lines",
                         "line": {"shape": "hvh"}} for name, (edges, shares) in counted.items()])
    style.layout(figure, x="first weight", y="share of a layer's weights (%)", height=240)
    right.plotly_chart(figure, config=style.CONFIG, key="weights-drawn", alt="Histogram of the first weights, a line a "
                       "layer")


@st.cache_data(max_entries=64, show_spinner=False)
def histograms(text: str, takes: Shape, classes: int, init: str, gain: float, bins: int = 41,
               ) -> dict[str, tuple[list[float], list[float]]]:
    """Of each layer with weights: the middles of the bins and the share of its first weights in each, in per cent."""
    network = presets.network_named(text, takes, classes)
    if walk(network, takes).parameters > MOST_DRAWN:
        return {}
    try:
        model = build(network, takes, np.random.default_rng(0))
    except PlaygroundError:  # a design that is still being made does not fit everywhere
        return {}
    first_weights(model, Settings(init=init, weights_gain=gain), np.random.default_rng(0))
    found = {}
    weighty = [(name, p.data) for name, p in model.named_parameters() if p.ndim >= 2]
    limit = max((float(np.abs(array).max()) for _, array in weighty), default=0.0) or 1.0
    for number, (_, array) in enumerate(weighty[:8]):
        shares, edges = np.histogram(array, bins, (-limit, limit))
        middles = edges[:-1] + np.diff(edges) / 2
        found[f"layer {number + 1}"] = (middles.tolist(), (100 * shares / array.size).tolist())
    return found
