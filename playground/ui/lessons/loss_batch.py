"""The loss of a mini-batch, the gradient checked three ways, and the same in three libraries."""

import numpy as np
import streamlit as st

from engine import Tensor
from engine import functional as F
from playground.figures.maps import enlarged
from playground.numbers import counted, number, percent
from playground.ui import frame, links
from playground.ui.lessons import digits_model
from playground.ui.lessons.loss import Setting
from playground.ui.parts import lesson

SIZES = (1, 2, 4, 8, 16)


@st.fragment
@frame.guarded("A mini-batch")
def batch() -> None:
    """Digits by the shipped model: each one's loss, their mean, and what is left of each gradient."""
    st.header("A mini-batch: the mean over its pictures", anchor=False)
    lesson.equations(r"L = \frac1N \sum_n L_n",
                     r"\frac{\partial L}{\partial z_{n,k}} = \frac{p_{n,k} - y_{n,k}}{N}")
    locked = links.locked()
    left, right = st.columns(2)
    size = left.select_slider("Pictures N", SIZES, 4, key="batch", bind="query-params", disabled=locked)
    seed = int(right.number_input("Seed: which digits", 0, 9999, 0, key="seed", bind="query-params", width=240,
                                  disabled=locked))
    digits = digits_model.unseen()
    losses = F.cross_entropy(digits_model.unseen_scores(), digits.labels, reduction="none").numpy()
    # Most digits cost the model nothing. One of the ten that cost it most is among them, so that there is a difference.
    rng = np.random.default_rng(seed)
    hard = int(rng.choice(np.argsort(losses)[-10:]))
    chosen = np.array([hard, *(k for k in rng.permutation(len(digits)) if k != hard)][:size])
    scores, labels = digits_model.unseen_scores()[chosen].astype(np.float64), digits.labels[chosen]
    z = Tensor(scores, requires_grad=True)
    loss = F.cross_entropy(z, labels)
    loss.backward()
    assert z.grad is not None
    p = F.softmax(scores, 1).numpy()
    at = np.arange(size)
    lesson.gallery([enlarged(digits.images[k], 64) for k in chosen], [str(label) for label in labels],
                   "A handwritten digit", width=64)
    st.dataframe([{"picture": n + 1, "label": str(labels[n]), "p of the label": percent(p[n, labels[n]], 2),
                   "its loss": number(float(losses[chosen[n]]), 3),
                   "p − y of the label, alone": number(float(p[n, labels[n]] - 1), 3),
                   f"in this batch, / {size}": number(float(z.grad[n, labels[n]]), 3)} for n in range(size)],
                 hide_index=True)
    share = float(losses[chosen].max() / max(losses[chosen].sum(), 1e-12))
    apart = float(np.abs(z.grad - (p - np.eye(10)[labels]) / size)[at].max())
    st.markdown(
        f"The batch's loss is **{number(loss.item(), 4)}**, the mean of {counted(size, 'loss', 'losses')}; "
        f"{percent(share, 0)} of it is one picture's. The engine's gradients are (p − y) / {size} to "
        f"{number(apart, 2)}. Because of the 1 / N a batch of twice as many pictures takes a step of about the same "
        "length; with the **sum** of the losses the step would grow with the batch.")


@st.fragment
@frame.guarded("The gradient check")
def check(setting: Setting) -> None:
    """p − y, the engine's walk back, and a finite difference, class by class."""
    st.header("Is it right? Nudge a score", anchor=False)
    h = 1e-5
    gradient, found = setting.engines()[1], setting.found
    rows = []
    for k in range(len(setting.scores)):
        moved = [setting.engines(tuple(z + sign * h * (j == k) for j, z in enumerate(setting.scores)))[0]
                 for sign in (1, -1)]
        measured = (moved[0] - moved[1]) / (2 * h)
        told = (found.p[k] - float(setting.y[k])) / setting.temperature
        rows.append({"class": str(k), "(p − y) / T": number(told, 6),
                     "our engine": number(float(gradient[k]), 6), "finite difference": number(measured, 6),
                     "apart": number(abs(measured - float(gradient[k])), 2)})
    st.dataframe(rows, hide_index=True)
    st.caption("The finite difference moves one score by 0.00001 up and down: (L(z + h) − L(z − h)) / 2h.")
    with st.container(horizontal=True):
        frame.link("autograd", "Any formula's gradient, stepped: Autograd")
        frame.link("whole-cnn", "Where the scores come from: A whole CNN")


def in_code(setting: Setting) -> None:
    """The reader's scores in three libraries: the loss, p, and the gradient."""
    lesson.in_code(code(setting), "All three take scores, not probabilities: softmax and log belong into the loss. In "
                                  "Keras that is from_logits=True; a softmax as last layer and from_logits=True would "
                                  "take it twice.")


def code(setting: Setting) -> dict[str, str]:
    """The loss of the reader's scores in our engine, PyTorch and Keras."""
    scores, label, smoothing = list(setting.scores), setting.label, setting.smoothing
    by = "" if setting.temperature == 1 else f" / {setting.temperature:g}"
    smooth = f", label_smoothing={smoothing:g}" if smoothing else ""
    return {
        "Our engine": f"""import numpy as np
from engine import Tensor
from engine import functional as F

z = Tensor(np.array([{scores}]), requires_grad=True)
loss = F.cross_entropy(z{by}, np.array([{label}]){smooth})
loss.backward()
print(round(loss.item(), 4), F.softmax(z{by}, 1).numpy().round(4).tolist(), z.grad.round(4).tolist())
""",
        "PyTorch": f"""import torch
from torch.nn import functional as F

z = torch.tensor([{scores}], dtype=torch.float64, requires_grad=True)
loss = F.cross_entropy(z{by}, torch.tensor([{label}]){smooth})
loss.backward()
print(round(loss.item(), 4), F.softmax(z{by}, 1).detach().numpy().round(4).tolist(), z.grad.numpy().round(4).tolist())
""",
        "Keras": f"""import os

os.environ["KERAS_BACKEND"] = "torch"  # Keras leaves gradients to its backend, here to PyTorch
import keras

z = keras.Variable([{scores}], dtype="float64")
y = keras.ops.one_hot([{label}], {len(scores)}, dtype="float64")
loss_of = keras.losses.CategoricalCrossentropy(from_logits=True{smooth}, dtype="float64")
loss = loss_of(y, z.value{by})
loss.backward()
p = keras.ops.softmax(z.value{by}).detach().numpy()
print(round(loss.item(), 4), p.round(4).tolist(), z.value.grad.numpy().round(4).tolist())
""",
    }
