"""The page on a whole CNN: network, digit and label as chosen, every part forward and backward, its counts."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import streamlit as st

from playground.figures import whole_network as pictures
from playground.figures.maps import enlarged
from playground.figures.style import signed_limit
from playground.network.parts import shape_words
from playground.network.shapes import walk
from playground.numbers import TIMES, count, counted, number
from playground.ui import frame, links
from playground.ui.lessons import digits_model
from playground.ui.lessons import whole_cnn_network as whole
from playground.ui.lessons.digits_model import CLASSES, TAKES
from playground.ui.lessons.loss import probability
from playground.ui.lessons.whole_cnn_network import NETWORKS, TINY, Look, Part
from playground.ui.parts import lesson
from playground.ui.parts.chart import chart

RATES = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
AS_WRITTEN = "as written"
FALLS, RISES = "falls", "rises"


@dataclass(frozen=True)
class Setting:
    """What the reader chose: a network of NETWORKS, a digit kept aside by its place, its label, the step, the pass."""

    network: str
    place: int
    label: int
    rate: float
    backward: bool

    @property
    def image(self) -> np.ndarray:
        """The digit, uint8 (8, 8)."""
        return np.asarray(digits_model.unseen().images[self.place])

    @cached_property
    def x(self) -> np.ndarray:
        """The digit as the network takes it, (1, 8, 8)."""
        return np.asarray(digits_model.prepared(self.image[None])[0])

    @cached_property
    def look(self) -> Look:
        """The digit through the network to the loss, and back."""
        return whole.look(whole.copy_of(self.network), whole.description(self.network), self.x, self.label)


def formula() -> None:
    """The whole chain, the way back, and the step."""
    st.latex(r"x \to \text{conv} \to \text{ReLU} \to \text{pool} \to \dots \to \text{dense} \to z \to p \to L, "
             r"\qquad\allowbreak {w \leftarrow w - \eta\, \frac{\partial L}{\partial w}}")
    st.caption("Every lesson before this one is one part of this chain. Here one digit goes through all of it; the "
               "loss walks back through the same parts; every weight then takes a step of rate $\\eta$ against its "
               "gradient.", text_alignment="center")


class Controls:
    """Network, digit, label and rate."""

    def groups(self) -> lesson.Groups:
        return self._network, (self._digit, self._which), (self._label, self._rate)

    def setting(self) -> Setting:
        places = whole.hardest_first(self.network)[self.digit]
        label = self.digit if self.label == AS_WRITTEN else int(self.label)
        return Setting(self.network, places[self.which % len(places)], label, self.rate, self.backward)

    def passes(self) -> None:
        """Forward or backward."""
        self.backward = lesson.choose_pass() == "Backward"

    def _network(self) -> None:
        self.network = st.segmented_control(
            "Network", NETWORKS, default=TINY, key="network", bind="query-params", required=True,
            disabled=links.locked(), help="A tiny one of three layers, as it begins or trained here in a moment; or "
            "the usual small CNN that comes with this app.") or TINY

    def _digit(self) -> None:
        self.digit = st.segmented_control("Digit", range(CLASSES), default=8, key="digit", bind="query-params",
                                          required=True, disabled=links.locked()) or 0

    def _which(self) -> None:
        self.which = int(st.number_input("Which of them: 0 costs this network most", 0, 34, 0, key="which",
                                         bind="query-params", width=300, disabled=links.locked()))

    def _label(self) -> None:
        self.label = st.segmented_control("Label", (AS_WRITTEN, *(str(k) for k in range(CLASSES))), default=AS_WRITTEN,
                                          key="label", bind="query-params", required=True,
                                          disabled=links.locked()) or AS_WRITTEN

    def _rate(self) -> None:
        self.rate = st.select_slider("Learning rate $\\eta$ of one step", RATES, 0.001, key="rate",
                                     bind="query-params", format_func=number, disabled=links.locked())


def predict(setting: Setting) -> None:
    """What one step on this digit does to it, and to all others: the step is taken."""
    before = whole.everyone_before(setting.network)
    model, losses = whole.stepped(setting.network, setting.x, setting.label, setting.rate)
    after = whole.everyone(model)
    own = FALLS if losses[-1] < losses[0] else RISES
    others = FALLS if after.loss < before.loss else RISES
    choices = {(a, b): f"its loss {a}, the others' {b}" for a in (FALLS, RISES) for b in (FALLS, RISES)}
    lesson.predict(
        f"the network takes one step with rate {number(setting.rate)} on this digit alone. What does that do to the "
        f"loss on this digit, and to the mean loss on all {before.count} digits kept aside?",
        list(choices.values()), choices[own, others],
        f"On this digit the loss goes from {number(losses[0])} to {number(losses[-1])}; on all of them from "
        f"{number(before.loss)} to {number(after.loss)}, with {before.right} and then {after.right} read rightly. The "
        "gradient knows of this digit alone; that is why a step is taken on the mean of a mini-batch, and a small one.",
        key=f"guess-{setting.network}-{setting.place}-{setting.label}-{setting.rate}", horizontal=False)


def heading() -> None:
    """What stands over the parts."""
    st.header("Through all parts", anchor=False)


def parts(setting: Setting) -> None:
    """The picture and every part with what it holds: forward its numbers, backward the gradient that came to them."""
    found = setting.look
    label = f"label {setting.label}"
    with st.container(horizontal=True):
        st.metric("loss (nats)", number(found.loss))
        st.metric(f"p of {label}", probability(float(found.probabilities[setting.label])))
        st.metric("the network says", str(int(found.scores.argmax())))
    rows = list(_forward(setting))
    for words, about, drawn, alt in (reversed(rows) if setting.backward else rows):
        left, right = st.columns([2, 3], vertical_alignment="center")
        left.markdown(f"**{words}**  \n:small[{about}]")
        right.image(drawn, width=drawn.shape[1], alt=alt)
    st.caption(("The gradient of the loss for every number that a part gave, from the loss at the top down to the "
                "pixels. " if setting.backward else "What every part gives, from the pixels at the top down. ")
               + "Blue is below 0, orange above; each part has full colour at its own largest number, which is "
                 "written beside it. At most 16 maps of a part are drawn.")


def _forward(setting: Setting) -> Iterator[tuple[str, str, np.ndarray, str]]:
    """A row for the picture, every part, and the loss: name, facts, picture, alternative text."""
    found, back = setting.look, setting.backward
    values = found.x_gradient if back else found.x
    limit = signed_limit(values)
    drawn = pictures.sheet(values, limit) if back else np.repeat(enlarged(setting.image, 96)[..., None], 3, axis=2)
    yield ("The digit" + (": which pixels count" if back else ""),
           f"{TAKES[1]} {TIMES} {TAKES[2]} pixels" + (f" · up to ±{number(limit, 3)}" if back else ""), drawn,
           "The gradient of every pixel" if back else "The digit")
    for part in found.parts:
        values = part.gradient if back else part.given
        limit = signed_limit(values)
        yield (whole.words(part.row.path, found.parts), _about(part, back) + f" · up to ±{number(limit, 3)}",
               pictures.sheet(values, limit),
               f"{'The gradient at' if back else 'What comes out of'} part {part.row.path[0] + 1}, "
               f"{part.row.part.title}")
    values = found.probabilities - np.eye(CLASSES)[setting.label] if back else found.probabilities
    limit = signed_limit(values)
    yield ("Loss: p − y for every score" if back else "Softmax and loss",
           f"L = −log {number(float(found.probabilities[setting.label]), 3)} = {number(found.loss)}",
           pictures.sheet(values, limit), "p − y, 0 to 9" if back else "The probabilities of 0 to 9")


def _about(part: Part, back: bool) -> str:
    row = part.row
    if not back:
        counts = [counted(row.parameters, "parameter")] if row.parameters else []
        counts += [counted(row.multiply_adds, "multiply-add")] if row.multiply_adds else []
        return " · ".join([shape_words(row.gives), *counts, f"sees {_field(row.field)}"])
    told = [f"root mean square {number(float(np.sqrt((part.gradient**2).mean())), 3)}"]
    told += [f"{name} {number(float(np.sqrt((gradient**2).mean())), 3)}" for name, gradient in
             part.weight_gradients.items()]
    return " · ".join(told)


def _field(field: float) -> str:
    side = int(min(field, TAKES[1]))
    return f"{side} {TIMES} {side} pixels"


def counts(setting: Setting) -> None:
    """Every part with its shape, parameters, multiply-adds and receptive field, and where most of them are."""
    st.header("What it costs", anchor=False)
    walked = walk(whole.description(setting.network), TAKES)
    st.dataframe([
        {"part": whole.words(row.path, setting.look.parts), "gives": f" {TIMES} ".join(map(str, row.gives)),
         "parameters": count(row.parameters), "multiply-adds": count(row.multiply_adds),
         "receptive field": _field(row.field)} for row in walked.rows], hide_index=True, height="content",
        row_height=29)
    most = max(walked.rows, key=lambda row: row.parameters)
    dearest = max(walked.rows, key=lambda row: row.multiply_adds)
    titles = {row.path: whole.words(row.path, setting.look.parts) for row in (most, dearest)}
    st.markdown(f"All together **{counted(walked.parameters, 'parameter')}** and "
                f"**{counted(walked.multiply_adds, 'multiply-add')}** for one digit. Most parameters are in "
                f"{titles[most.path]} ({count(most.parameters)}), most multiply-adds in {titles[dearest.path]} "
                f"({count(dearest.multiply_adds)}): a convolution uses its few weights at every place, a dense layer "
                "each of its many once.")


@frame.guarded("Sizes on the way")
def sizes(setting: Setting) -> None:
    """The size of what every part gives and of the gradient that comes to it."""
    st.header("Sizes on the way", anchor=False)
    found = setting.look.parts
    series = {"activation": [_size(part.given) for part in found], "gradient": [_size(part.gradient) for part in found]}
    chart(pictures.sizes(series), key="sizes",
          alt="Size of activation and gradient at every part")
    first, last = series["gradient"][0], series["gradient"][-1]
    st.markdown(f"The gradient is {number(last, 3)} at the scores and {number(first, 3)} behind the first part: "
                f"{number(first / last, 3) if last else 'none'} times as large. In three layers that is no matter; "
                "what becomes of it in fifty is the next lesson.")
    frame.link("depth", "Vanishing and exploding: Depth")


def _size(values: np.ndarray) -> float:
    return float(np.sqrt((values.astype(np.float64)**2).mean()))
