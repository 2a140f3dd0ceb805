"""The page on the loss: scores and label as the reader sets them, what they cost, and which way each score is to go."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import streamlit as st

from engine import Tensor
from engine import functional as F
from playground.figures import loss as pictures
from playground.numbers import number, percent
from playground.steps.loss import LossNumbers, loss_numbers, target
from playground.ui import frame, links
from playground.ui.lessons import digits_model
from playground.ui.parts import lesson
from playground.ui.parts.chart import side_by_side

FEWEST, MOST, FARTHEST = 2, 10, 30.0
RIGHT, WRONG = "A digit, read rightly", "A digit, read wrongly"
PRESETS: dict[str, tuple[tuple[float, ...], int]] = {
    "Undecided": ((0.5, 0.2, 0.1), 0),
    "Sure and right": ((6.0, 1.0, -2.0), 0),
    "Sure and wrong": ((6.0, 1.0, -2.0), 2),
    "Five classes": ((2.0, 1.0, 0.0, -1.0, -2.0), 1),
}
FIRST = "Sure and wrong"
NUDGE = 0.1


@dataclass(frozen=True)
class Setting:
    """Scores z (K,), the label's class, the share that is spread over all classes, the temperature, and the pass."""

    scores: tuple[float, ...]
    label: int
    smoothing: float
    temperature: float
    backward: bool

    @property
    def y(self) -> np.ndarray:
        """What p is to be, (K,)."""
        return target(self.label, len(self.scores), self.smoothing)

    @cached_property
    def found(self) -> LossNumbers:
        """Everything on the way to the loss and back, one number at a time."""
        return loss_numbers(self.scores, self.y.tolist(), self.temperature)

    def engines(self, scores: tuple[float, ...] | None = None) -> tuple[float, np.ndarray]:
        """The engine's loss and its gradient for the scores (K,), in float64."""
        z = Tensor(np.array([self.scores if scores is None else scores]), requires_grad=True)
        loss = F.cross_entropy(z * (1 / self.temperature), np.array([self.label]), label_smoothing=self.smoothing)
        loss.backward()
        assert z.grad is not None
        return loss.item(), np.asarray(z.grad[0])


def formula() -> None:
    """Softmax, the loss, and its gradient."""
    lesson.equations(r"p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}", r"L = -\sum_k y_k \log p_k = -\log p_{\text{label}}",
                     r"\frac{\partial L}{\partial z_k} = p_k - y_k")
    st.caption("A network ends in a **score** $z_k$ for each class, any number (*logits* in libraries). **Softmax** "
               "makes probabilities $p$ of them, **cross-entropy** says how little the label was expected; $y$ is 1 "
               "for the label's class and 0 for all others.", text_alignment="center")


class Controls:
    """Scores and label; label smoothing and temperature."""

    def groups(self) -> lesson.Groups:
        return self._scores, (self._smoothing, self._temperature)

    def setting(self) -> Setting:
        return Setting(self.scores, self.label, self.smoothing, self.temperature, self.backward)

    def passes(self) -> None:
        """Forward or backward."""
        self.backward = lesson.choose_pass() == "Backward"

    def _scores(self) -> None:
        state, locked = st.session_state, links.locked()
        usual, usual_label = PRESETS[FIRST]
        left, middle, right = st.columns([2, 2, 3])
        chooser = left.empty()
        classes = middle.slider("Classes", FEWEST, MOST, len(usual), key="classes", bind="query-params",
                                disabled=locked)
        if state.get("label", 0) not in range(classes):
            state["label"] = 0
        self.label = right.segmented_control(
            "Label: the right class", range(classes), default=min(usual_label, classes - 1), key="label",
            bind="query-params", required=True, disabled=locked) or 0
        with st.container(horizontal=True):
            self.scores = tuple(
                float(st.number_input(f"Score $z_{k}$", -FARTHEST, FARTHEST, usual[k] if k < len(usual) else 0.0,
                                      step=0.5, format="%g", width=130, key=f"z{k}", bind="query-params",
                                      disabled=locked))
                for k in range(classes))
        said = (self.scores, self.label)
        frame.write("preset", next((name for name, told in presets().items() if told == said), None))
        chooser.selectbox("Example", list(presets()), key="preset", index=None, placeholder="own scores",
                          on_change=_take_preset, disabled=locked)

    def _smoothing(self) -> None:
        self.smoothing = st.slider("Label smoothing $s$", 0.0, 0.3, 0.0, 0.05, key="smoothing", bind="query-params",
                                   disabled=links.locked(),
                                   help="y is 1 − s for the label, and s / K more for each of the K classes.")

    def _temperature(self) -> None:
        self.temperature = st.slider("Temperature $T$", 0.5, 4.0, 1.0, 0.25, key="temperature", bind="query-params",
                                     disabled=links.locked(),
                                     help="Every score is divided by T before softmax: large T, flatter p.")


def _take_preset() -> None:
    frame.hold_written()
    chosen = presets().get(st.session_state["preset"])
    if chosen is not None:
        scores, label = chosen
        frame.write("classes", len(scores))
        frame.write("label", label)
        for k, score in enumerate(scores):
            frame.write(f"z{k}", score)


@st.cache_data(show_spinner=False)
def presets() -> dict[str, tuple[tuple[float, ...], int]]:
    """Examples: scores and label; two of them are what the shipped model says of digits it has never seen."""
    scores, labels = digits_model.unseen_scores(), digits_model.unseen().labels
    losses = F.cross_entropy(Tensor(scores), labels, reduction="none").numpy()
    order = np.argsort(losses, kind="stable")
    read = {name: int(order[place]) for name, place in ((RIGHT, len(order) // 2), (WRONG, -1))}
    return {**PRESETS, **{name: (tuple(round(float(z), 1) + 0.0 for z in scores[k]), int(labels[k]))
                          for name, k in read.items()}}


def predict(setting: Setting) -> None:
    """How much a little more for the right class is worth: computed by the engine, explained by the gradient."""
    before, gradient = setting.engines()
    raised = tuple(z + NUDGE * (k == setting.label) for k, z in enumerate(setting.scores))
    answer = before - setting.engines(raised)[0]
    p = setting.found.p[setting.label]
    others = (NUDGE, NUDGE * p, NUDGE / 2, 0.0, -NUDGE * p)
    wrong = [one for one in others if abs(one - answer) > 0.012]
    choices = sorted({round(answer, 3), *(round(one, 3) for one in wrong[:3])})
    words = {one: _falls(one) for one in choices}
    lesson.predict(
        f"p of the label is {probability(p)}. Its score is raised by {number(NUDGE)}: what does the loss do?",
        list(words.values()), words[round(answer, 3)],
        f"The slope of the loss for this score is {number(gradient[setting.label], 3)}, so for {number(NUDGE)} more "
        f"the loss changes by about {number(NUDGE * float(gradient[setting.label]), 3)}. Where the label gets far too "
        "little the slope is −1, its largest; where p is what it should be, there is nothing left to gain.",
        key=f"guess-{setting.scores}-{setting.label}-{setting.smoothing}-{setting.temperature}")


def probability(p: float) -> str:
    """In percent, or written out where that would be 0.

    >>> probability(0.25), probability(0.000333)
    ('25.0\u202f%', '0.000333')
    """
    return percent(p) if p >= 0.001 else number(p, 3)


def _falls(by: float) -> str:
    if round(by, 3) == 0:
        return "it stays, to three decimals"
    return f"it {'falls' if by > 0 else 'rises'} by {number(abs(round(by, 3)), 3)}"


def overview(setting: Setting) -> None:
    """Probabilities beside what they are to be, the loss on its curve, and the gradient of every score."""
    found, names = setting.found, [str(k) for k in range(len(setting.scores))]
    p = found.p[setting.label]
    with st.container(horizontal=True):
        st.metric("p of the label", probability(p))
        st.metric("loss L (nats)", number(found.loss, 4))
        st.metric("loss of an even guess, log K", number(float(np.log(len(names))), 4))
    side_by_side({
        "Probabilities, and what they are to be": pictures.probabilities(names, found.p, setting.y.tolist()),
        "Loss over the label's probability": pictures.surprise(len(names), setting.smoothing, p, found.loss),
        "Gradient of the loss for every score": pictures.gradients(names, found.dz),
    }, key="loss-overview")
    st.caption(f"Blue is below 0: this score is to rise; orange above 0: it is to fall. The gradient adds up to "
               f"{number(round(sum(found.dz), 9))}: what the label gains, the others lose. The engine's loss differs "
               f"by {number(abs(setting.engines()[0] - found.loss), 2)}.")


@st.fragment
@frame.guarded("Label smoothing and temperature")
def smoothing_and_temperature(setting: Setting) -> None:
    """How temperature flattens p, and what label smoothing aims for."""
    st.header("Temperature and label smoothing", anchor=False)
    lesson.equations(r"p_k = \frac{e^{z_k / T}}{\sum_j e^{z_j / T}}",
                     r"y_k = (1 - s)\,[k = \text{label}] + \frac{s}{K}")
    temperatures = np.geomspace(0.25, 8, 41)
    p = np.array([F.softmax(np.array(setting.scores) / t, 0).numpy() for t in temperatures])
    spread = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
    k = len(setting.scores)
    top = 1 - setting.smoothing + setting.smoothing / k
    best = float(F.cross_entropy(np.log(setting.y[None] + 1e-300), setting.y[None]).item())
    side_by_side({
        "Probabilities over the temperature": pictures.temperatures(temperatures, p, setting.temperature),
        "How even the probabilities are, over the temperature": pictures.evenness(
            temperatures, spread, setting.temperature, float(np.log(k))),
    }, key="temperatures")
    smooth = ("asks for less than 1 for the label: without it the loss still falls when a network that is sure and "
              "right becomes surer, so scores grow for ever. Raise s above and look at the curve: its lowest place "
              "moves inside.")
    if setting.smoothing:
        gap = float(np.log(top / (setting.smoothing / k)))
        smooth = (f"asks for p = {number(top, 3)} instead of 1 for the label: the smallest loss is {number(best, 3)}, "
                  f"at p = y, with a gap of {number(gap, 3)} between the scores; without it no gap is large enough, "
                  "and scores grow for ever.")
    st.markdown("**Temperature** changes no order: the largest score stays the largest p. Towards 0 it takes all, at "
                f"large T all classes come to 1 / {k}. **Label smoothing** {smooth}")
