"""A deep stack examined and trained for a moment, as it is and with a cure, and what a shortcut does to a gradient."""

from dataclasses import replace

import numpy as np
import streamlit as st

from playground.datasets import named
from playground.figures import depth as pictures
from playground.network.code import code as network_code
from playground.network.spelling import network_of
from playground.numbers import count, counted, number
from playground.steps.depth import ways
from playground.training.scratch.doctor import Finding, diagnose, preflight
from playground.ui import frame, links
from playground.ui.lessons import depth_network as deep
from playground.ui.lessons.depth_network import BATCH, CURES, STEPS, Setting, cured, size
from playground.ui.lessons.digits_model import CLASSES, TAKES
from playground.ui.network.run_look import cure_words
from playground.ui.parts import lesson
from playground.ui.parts.chart import chart, side_by_side

RATES = (0.01, 0.03, 0.1, 0.3, 1.0)
CHANCE = float(np.log(CLASSES))
SCALES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)


@st.fragment
@frame.guarded("Trained with and without a cure")
def training(setting: Setting) -> None:
    """What the doctor says, and the losses of a short training side by side."""
    st.header("Trained for a moment, with and without a cure", anchor=False)
    locked = links.locked()
    left, right = st.columns([3, 2])
    cure = left.selectbox("Cure", CURES, index=CURES.index("batch norm"), key="cure", bind="query-params",
                          disabled=locked)
    rate = right.select_slider("Learning rate (SGD)", RATES, 0.1, key="rate", bind="query-params", format_func=number,
                               disabled=locked)
    sick = replace(setting, rate=float(rate))
    well = cured(sick, cure)
    runs = {"as chosen": deep.trained(sick), f"with {cure}": deep.trained(well)}
    chart(pictures.losses({name: run.losses for name, run in runs.items()}, CHANCE), key="losses",
          alt="Loss of both over the steps")
    told = [f"**{name}** {_end(run)}" for name, run in runs.items()]
    aside = next(iter(runs.values())).count
    st.markdown(f"{STEPS} steps on mini-batches of {BATCH} digits, the same for both. Of {aside} digits kept aside, "
                f"{' and '.join(told)}."
                + (" Nothing differs: your network has this cure already." if well == sick else ""))
    st.subheader("What the doctor says of yours", anchor=False)
    digits, _ = named.load("digits")
    found = (*preflight(sick.network, TAKES, digits.images[:BATCH], digits.labels[:BATCH], CLASSES, sick.request,
                        sick.seed).findings, *diagnose(sick.network, TAKES, runs["as chosen"].measures, sick.request))
    for finding in {one.kind: one for one in found}.values():
        findings(sick, finding)
    if not found:
        st.success("Nothing found, neither at the first weights nor in these few steps.", icon=":material/check:")
    frame.link("train", "With the doctor beside it: Build and train")


def _end(run: deep.Trained) -> str:
    """What became of a training."""
    if not np.isfinite(run.losses[-1]):
        return f"reads none, since its loss is no number any more after {counted(len(run.losses), 'step')}"
    return f"reads {count(run.right)} rightly, at a loss of {number(float(np.mean(run.losses[-5:])), 3)}"


def findings(setting: Setting, finding: Finding) -> None:
    """One finding with its evidence and the doctor's own cure."""
    with st.container(border=True):
        st.markdown(f"**{finding.kind[0].upper()}{finding.kind[1:]}.** {frame.literal(finding.sentence)}")
        st.caption(" · ".join([*(f"{frame.literal(name.replace('_', ' '))}: {number(value, 3)}"
                                 for name, value in finding.evidence.items()),
                               f"it would try: {frame.literal(cure_words(setting.network, finding))}"]))


@frame.guarded("Shortcuts")
def shortcuts(setting: Setting) -> None:
    """The gradient's two ways at every block of the same stack with shortcuts."""
    st.header("A shortcut adds", anchor=False)
    st.latex(r"y = x + f(x), \qquad \frac{\partial L}{\partial x} = \underbrace{\frac{\partial L}{\partial y}}_{"
             r"\text{the shortcut}} + \underbrace{\Big(\frac{\partial f}{\partial x}\Big)^{\!\top} \frac{\partial L}"
             r"{\partial y}}_{\text{through } f}, \qquad \frac{dy}{dx} = 1 + f'(x)")
    found, plain = (deep.measured(replace(setting, shortcuts=one)) for one in (True, False))
    taken = [found.first, *found.arriving[:-1]]
    through = [before - after for before, after in zip(taken, found.arriving, strict=True)]
    series = {"by the shortcut": [size(one) for one in found.arriving], "through f": [size(one) for one in through],
              "their sum": [size(one) for one in taken],
              "the same stack without shortcuts": plain.gradients.tolist()}
    chart(pictures.over_layers(series, "gradient"), key="two-ways", alt="The gradient's two ways at every block")
    blocks = len(taken)
    shown = sorted({blocks - 1, blocks - 2, blocks // 2, 1, 0} & set(range(blocks)), reverse=True)
    st.dataframe([
        {"block": str(k + 1), "by the shortcut": _signed(found.arriving[k]), "through f": _signed(through[k]),
         "their sum": _signed(taken[k]), "sizes": " + ".join(
             number(size(one), 3) for one in (found.arriving[k], through[k])) + f" → {number(size(taken[k]), 3)}"}
        for k in shown], hide_index=True)
    ratio = size(taken[0]) / size(found.arriving[-1])
    st.caption("For one digit and one unit at each block: the two shares and their sum; then the sizes over all digits "
               f"and units. With shortcuts the first block gets {number(ratio, 3)} times what the last one gets, "
               f"without them {number(plain.ratio, 3)} times. What the shortcut brings cannot be lost in f. (Sizes add "
               "in squares where the two shares have nothing to do with each other.)")
    identity(setting)


def _signed(gradient: np.ndarray) -> str:
    return number(float(gradient[0, WATCHED]), 3)


WATCHED = 20
"""The unit whose gradient is written out."""


@frame.guarded("Identity")
def identity(setting: Setting) -> None:
    """How far a stack with and without shortcuts is from giving back what it takes, as its weights grow from 0."""
    st.subheader("The identity is easy to learn", anchor=False)
    blocks = min(setting.layers, 20)
    activation = deep.CODES[setting.activation]
    apart = {name: [moved(blocks, activation, scale, setting, shortcut) for scale in SCALES]
             for name, shortcut in (("with shortcuts", True), ("without", False))}
    st.dataframe([{"weights times": number(scale), **{f"{name}: |out − in| / |in|": number(values[k], 3)
                                                     for name, values in apart.items()}}
                  for k, scale in enumerate(SCALES)], hide_index=True)
    st.markdown(f"{counted(blocks, 'block')} of two dense layers with the activation between, so that $f$ ends in a "
                "dense layer, as in ResNet. With weights of 0 a stack with shortcuts gives back exactly what it takes: "
                f"{number(apart['with shortcuts'][0], 3)} off. One without gives 0. So a deeper network with shortcuts "
                "begins as a shallow one and adds what helps; without them it has to learn to hand on what it gets "
                "(He et al., 2015).")


@st.cache_data(max_entries=256, show_spinner=False)
def moved(blocks: int, activation: str, scale: float, setting: Setting, shortcut: bool) -> float:
    """|out − in| / |in| of a stack of blocks on a mini-batch, all weights times `scale`."""
    one = "-".join(filter(None, ("d64", activation, "d64")))
    return deep.away(network_of("-".join(["f", *[f"[{one}]" if shortcut else one] * blocks])), setting, scale)


@st.fragment
@frame.guarded("All ways")
def all_ways(setting: Setting) -> None:
    """The ways of a gradient through blocks of one number each: how many, and what they bring back."""
    st.subheader("2 to the power of L ways", anchor=False)
    st.latex(r"(1 + f')^L = \sum_{k=0}^{L} \binom{L}{k} f'^{\,k} \qquad \text{instead of} \qquad f'^{\,L}")
    slope = st.slider("Slope $f'$ of every block", -0.5, 0.5, 0.1, 0.05, key="slope", bind="query-params",
                      disabled=links.locked())
    found = list(ways(setting.layers, slope))
    side_by_side({"What all ways bring back, by how often they go through f": pictures.ways(
        [way.through for way in found], [way.together for way in found])}, key="ways")
    whole, most = sum(way.together for way in found), max(found, key=lambda way: abs(way.together))
    st.markdown(f"Through {setting.layers} blocks lead {number(2.0 ** setting.layers)} ways. Together they bring back "
                f"**{number(whole, 3)}** of the gradient; without shortcuts there is one way alone, which brings back "
                f"{number(slope ** setting.layers, 3)}. Most comes by the {counted(most.count, 'way')} that "
                f"{'go' if most.count != 1 else 'goes'} through f in {counted(most.through, 'block')}: a deep residual "
                "network is trained along its short ways (Veit et al., 2016).")


CODED = (4, 8)
"""Layers of the printed stack, and their units."""


def in_code(setting: Setting) -> None:
    """A small stack of the reader's kind in three libraries, and its gradients."""
    lesson.in_code(code(setting), "Weights and picture are made up, so that all three print the same: the size of the "
                                  "gradient at the first and at the last layer's weights.")


def code(setting: Setting) -> dict[str, str]:
    """Four layers of eight units with the reader's activation and shortcuts in three libraries."""
    layers, units = CODED
    one = "-".join(filter(None, (f"d{units}", deep.CODES[setting.activation])))
    network = network_of("-".join([*[f"[{one}]" if setting.shortcuts else one] * layers, "d3"]))
    takes = (units,)
    made = "np.sin(np.arange({size}) * (k + 1.0)).reshape({shape})"
    scale = f"{setting.gain:g}"
    return {
        "Our engine": f"""import numpy as np
from engine import Tensor
from engine import functional as F
{network_code(network, takes, "engine")}

weights = [one for one in model.parameters() if len(one.shape) == 2]
for k, one in enumerate(model.parameters()):
    one.data = {scale} * {made.format(size="one.size", shape="one.shape")} * (len(one.shape) == 2)
x = Tensor(np.cos(np.arange({units}.0))[None])
F.cross_entropy(model(x), np.array([1])).backward()
print([float(np.sqrt((one.grad ** 2).mean())) for one in (weights[0], weights[-1])])
""",
        "PyTorch": f"""import numpy as np
import torch
from torch.nn import functional as F
{network_code(network, takes, "torch")}

model.double()
weights = [one for one in model.parameters() if one.ndim == 2]
for k, one in enumerate(model.parameters()):
    values = {scale} * {made.format(size="one.numel()", shape="tuple(one.shape)")} * (one.ndim == 2)
    one.data = torch.tensor(values)
x = torch.cos(torch.arange({units}, dtype=torch.float64))[None]
F.cross_entropy(model(x), torch.tensor([1])).backward()
print([float(one.grad.square().mean().sqrt()) for one in (weights[0], weights[-1])])
""",
        "Keras": f"""import os

os.environ["KERAS_BACKEND"] = "torch"  # Keras leaves gradients to its backend, here to PyTorch
import numpy as np
{network_code(network, takes, "keras")}

weights = [one for one in model.weights if len(one.shape) == 2]
for k, one in enumerate(model.weights):
    shape = tuple(one.shape)[::-1]
    values = {scale} * {made.format(size="np.prod(shape)", shape="shape")} * (len(shape) == 2)
    one.assign(values.T)
x = np.cos(np.arange({units}.0))[None]
y = keras.ops.one_hot([1], 3)
keras.losses.CategoricalCrossentropy(from_logits=True)(y, model(x)).backward()
print([float(one.value.grad.square().mean().sqrt()) for one in (weights[0], weights[-1])])
""",
    }
