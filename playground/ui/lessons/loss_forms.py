"""What else is asked of the loss: exp that overflows, two classes and a sigmoid, and the squared error instead."""

import numpy as np
import streamlit as st

from engine import Tensor
from engine import functional as F
from engine.optim import SGD
from playground.figures import loss as pictures
from playground.figures.lines import lines
from playground.numbers import number, percent
from playground.steps.loss import without_shift
from playground.training.scratch.losses import SQUARED_ERROR, WORDS
from playground.ui import frame, links
from playground.ui.lessons.loss import Setting, probability
from playground.ui.parts.chart import side_by_side

SHIFTS = (0, 10, 50, 80, 90, 100, 500, 700, 800, 1000)
RACE_STEPS, RACE_RATE = 60, 1.0


@st.fragment
@frame.guarded("Why the largest score is taken off")
def overflow(setting: Setting) -> None:
    """The same scores with a number added to all, with and without taking the largest off first."""
    st.header("Why the largest score is taken off", anchor=False)
    added = st.select_slider("Added to every score", SHIFTS, 100, key="added", bind="query-params",
                             disabled=links.locked())
    z = np.array(setting.scores) / setting.temperature + added
    rows = []
    for name, dtype in (("float32", np.float32), ("float64", np.float64)):
        e, total, p = without_shift(z.tolist(), dtype)
        safe = F.softmax(z.astype(dtype), 0).numpy()
        rows.append({"numbers": name, "largest exp z": number(float(e.max()), 4), "their sum": number(total, 4),
                     "p of the label, without": number(float(p[setting.label]), 4),
                     "p of the label, the largest taken off": number(float(safe[setting.label]), 4)})
    st.dataframe(rows, hide_index=True)
    last = {name: float(np.log(np.finfo(dtype).max)) for name, dtype in (("float32", np.float32),
                                                                         ("float64", np.float64))}
    st.markdown("Softmax does not change when all scores rise together: $e^{z + c} = e^c e^z$, and $e^c$ is in every "
                f"numerator and in the sum. So the largest score is taken off first: exp is then at most 1. Without "
                f"it exp leaves what float32 can hold above z = {number(last['float32'], 4)}, float64 above "
                f"{number(last['float64'], 4)}, and infinity / infinity is not a number. The engine takes log and "
                "softmax in one for the other end: there p would become 0, and its log −infinity.")


@st.fragment
@frame.guarded("Two classes")
def two_classes() -> None:
    """Softmax of two scores is a sigmoid of their difference; the binary loss of one score."""
    st.header("Two classes: one score and a sigmoid", anchor=False)
    st.latex(r"\frac{e^{a}}{e^{a} + e^{b}} = \frac{1}{1 + e^{-(a - b)}} = \sigma(a - b), \qquad "
             r"L = -y \log \sigma(z) - (1 - y) \log (1 - \sigma(z)), \qquad \frac{dL}{dz} = \sigma(z) - y")
    locked = links.locked()
    left, middle, right = st.columns(3)
    a = left.slider("Score $a$ of “cat”", -6.0, 6.0, 1.5, 0.5, key="a", bind="query-params", disabled=locked)
    b = middle.slider("Score $b$ of “dog”", -6.0, 6.0, -0.5, 0.5, key="b", bind="query-params", disabled=locked)
    said = right.segmented_control("It is a", ("cat", "dog"), default="cat", key="animal", bind="query-params",
                                   required=True, disabled=locked)
    y = float(said != "dog")
    two = Tensor(np.array([[a, b]]), requires_grad=True)
    loss = F.cross_entropy(two, np.array([int(1 - y)]))
    loss.backward()
    one = Tensor(np.array([a - b]), requires_grad=True)
    binary = F.binary_cross_entropy_with_logits(one, np.array([y]))
    binary.backward()
    assert two.grad is not None
    assert one.grad is not None
    st.dataframe([
        {"written as": "two scores, softmax, cross-entropy", "scores": f"{number(a)} and {number(b)}",
         "p of cat": number(float(F.softmax(two.data, 1).numpy()[0, 0]), 6), "loss": number(loss.item(), 6),
         "gradient": f"{number(float(two.grad[0, 0]))} and {number(float(two.grad[0, 1]))}"},
        {"written as": "one score, sigmoid, binary cross-entropy", "scores": number(a - b),
         "p of cat": number(float(F.sigmoid(one.data).numpy()[0]), 6), "loss": number(binary.item(), 6),
         "gradient": number(float(one.grad[0]))},
    ], hide_index=True)
    z = np.linspace(-8, 8, 65)
    series = {f"y = {k}": F.binary_cross_entropy_with_logits(z, np.full(65, float(k)), reduction="none").numpy()
              for k in (1, 0)}
    slopes = {f"y = {k}": F.sigmoid(z).numpy() - k for k in (1, 0)}
    side_by_side({
        "Binary cross-entropy over the score": pictures.over_a_score(
            z, series, ("score z = a − b", "loss (nats)"), now=a - b if abs(a - b) <= 8 else None),
        "Its slope over the score": pictures.over_a_score(
            z, slopes, ("score z = a − b", "slope of the loss"), now=a - b if abs(a - b) <= 8 else None),
    }, key="binary")
    st.markdown("Only the difference of two scores counts, so one score is enough: `Dense(1, activation=\"sigmoid\")` "
                "with `binary_crossentropy` in Keras, as on the slides. For labels that do not exclude each other (a "
                "cat and a dog in one picture) every class gets a sigmoid of its own.")


@st.fragment
@frame.guarded("Why not the squared error")
def squared(setting: Setting) -> None:
    """The squared error through softmax: its gradient where the network is sure and wrong, and a race from there."""
    st.header("Why not the squared error?", anchor=False)
    st.latex(r"E = \sum_k (p_k - y_k)^2, \qquad \frac{\partial E}{\partial z_k} = 2\, p_k \Big[(p_k - y_k) - "
             r"\sum_j p_j (p_j - y_j)\Big]")
    z = np.linspace(-12, 12, 97)
    rows = np.tile(np.array(setting.scores), (97, 1))
    rows[:, setting.label] = z
    slopes = {"cross-entropy": label_slopes(rows, setting.label, squared=False),
              "squared error": label_slopes(rows, setting.label, squared=True)}
    here = float(setting.scores[setting.label])
    now = here if abs(here) <= 12 else None
    paths = {name: race(setting.scores, setting.label, square) for name, square in
             (("cross-entropy", False), ("squared error", True))}
    side_by_side({
        "How hard each loss pulls at the label's score": pictures.over_a_score(
            z, {name: -one for name, one in slopes.items()}, ("score of the label", "pull upwards, −∂/∂z"), now=now),
        "p of the label, when the scores themselves go down each loss": lines(
            list(range(RACE_STEPS + 1)), paths, titles=("steps of gradient descent", "p of the label"), marks=False,
            height=320),
    }, key="squared")
    ce, se = (float(label_slopes(np.array([setting.scores]), setting.label, squared=one)[0]) for one in (False, True))
    first = probability(paths["cross-entropy"][0])
    after = {name: path[-1] for name, path in paths.items()}
    st.markdown(
        f"With your scores, at T = 1, the label has p = {first}. Cross-entropy pulls its score up "
        f"with {number(-ce, 3)}, the squared error with {number(-se, 3)}. On the left of the first picture, sure and "
        f"wrong, cross-entropy pulls with all of 1 and the squared error with almost nothing: the flat end of softmax "
        f"is multiplied in. After {RACE_STEPS} steps at rate {number(RACE_RATE)} p is "
        f"{percent(after['cross-entropy'])} with cross-entropy and {percent(after['squared error'])} with the squared "
        "error. The log undoes the exp; that is why the two belong together.")
    frame.link("train", "Train with the squared error, there averaged over the classes: Build and train",
               query_params={"loss": WORDS[SQUARED_ERROR]})


def label_slopes(scores: np.ndarray, label: int, *, squared: bool) -> np.ndarray:
    """The engine's gradient of the label's score for many rows of scores (N, K) -> (N,)."""
    z = Tensor(scores, requires_grad=True)
    if squared:
        loss = ((F.softmax(z, 1) - np.eye(scores.shape[1])[label]) ** 2.0).sum()
    else:
        loss = F.cross_entropy(z, np.full(len(scores), label), reduction="sum")
    loss.backward()
    assert z.grad is not None
    return np.asarray(z.grad[:, label])


@st.cache_data(max_entries=64, show_spinner=False)
def race(scores: tuple[float, ...], label: int, square: bool) -> list[float]:
    """p of the label while the scores themselves go down a loss, start included: the engine's SGD."""
    z = Tensor(np.array([scores]), requires_grad=True)
    optimizer, path = SGD([z], lr=RACE_RATE), []
    for step in range(RACE_STEPS + 1):
        p = F.softmax(z, 1)
        path.append(float(p.data[0, label]))
        if step == RACE_STEPS:
            break
        optimizer.zero_grad()
        loss = ((p - np.eye(len(scores))[label]) ** 2.0).sum() if square else F.cross_entropy(z, np.array([label]))
        loss.backward()
        optimizer.step()
    return path


