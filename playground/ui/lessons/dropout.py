"""The page on dropout: its controls, masks stepped, two schemes with one expectation, thinner networks."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import streamlit as st

from engine import Tensor, layers, no_grad
from engine import functional as F
from playground.datasets import named
from playground.figures import dropout as pictures
from playground.figures import style
from playground.numbers import count, number, percent
from playground.steps.dropout import CLASSIC, INVERTED, draw_masks, dropout_steps, factors
from playground.ui import frame, links
from playground.ui.parts import lesson
from playground.ui.parts.chart import chart
from playground.ui.parts.stepper import Grid, Story, Update, stepper

PICTURES, UNITS, BATCHES = 4, 8, 3
SCHEMES = (CLASSIC, INVERTED)


@dataclass(frozen=True)
class Setting:
    """What the reader chose, and the layer it acts on: activations h (pictures, units), masks (batches, ...)."""

    p: float
    scheme: str
    seed: int
    hidden: np.ndarray
    weights: np.ndarray
    masks: np.ndarray
    backward: bool

    @property
    def factor(self) -> np.ndarray:
        return factors(self.masks, self.p, self.scheme)


def formula() -> None:
    """What the layer does while training, and afterwards."""
    st.latex(r"""\begin{aligned} \text{train:}\quad & y_i = m_i\,h_i, \quad P(m_i = 1) = p \\
        \text{eval:}\quad & y_i = p\,h_i \end{aligned}""")
    st.markdown("$h$ are the activations of a layer, **after** its ReLU; each $m_i$ is 1 with probability $p$, else 0, "
                "and drawn anew for **every picture** of every mini-batch. In eval mode $p\\,h$ is the same as the "
                "next layer's weights times $p$. *Inverted* dropout, which every library uses, divides by $p$ while "
                "training instead, so that eval mode has nothing to do. Google holds a patent on it (US 9406017, "
                "granted in 2016).")


class Controls:
    """Probability, scheme, and the seed of the layer and its masks."""

    def groups(self) -> lesson.Groups:
        return ((self._p, self._scheme, self._seed),)

    def setting(self) -> Setting:
        hidden, weights = layer(self.seed)
        masks = draw_masks(BATCHES, hidden.shape, self.p, self.seed)
        return Setting(self.p, self.scheme, self.seed, hidden, weights, masks, self.backward)

    def passes(self) -> None:
        """Forward or backward."""
        self.backward = lesson.choose_pass() == "Backward"

    def _p(self) -> None:
        self.p = st.slider("Present with probability $p$", 0.1, 1.0, 0.5, 0.1, key="p", bind="query-params",
                           disabled=links.locked())

    def _scheme(self) -> None:
        self.scheme = st.segmented_control("Scheme", SCHEMES, default=CLASSIC, key="scheme", bind="query-params",
                                           required=True, disabled=links.locked()) or CLASSIC

    def _seed(self) -> None:
        self.seed = int(st.number_input("Seed of the draws", 0, 9999, 0, key="seed", bind="query-params",
                                        disabled=links.locked()))


@st.cache_data(max_entries=32, show_spinner=False)
def layer(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Four digits through a dense layer of eight units and ReLU; and the eight weights of a unit that follows."""
    rng = np.random.default_rng(seed)
    train, _ = named.load("digits")
    x = train.images[rng.permutation(len(train.images))[:PICTURES]].reshape(PICTURES, -1) / 255
    model = layers.Sequential(layers.Linear(x.shape[1], UNITS, rng=rng), layers.ReLU())
    with no_grad():
        hidden = model(Tensor(x.astype(np.float64))).numpy() * 10
    return np.round(hidden, 1), np.round(rng.normal(0, 1, UNITS), 2)


def predict(setting: Setting) -> None:
    """What one unit passes on, on average."""
    unit = int(setting.hidden[0].argmax())
    h, p = float(setting.hidden[0, unit]), setting.p
    answer = h if setting.scheme == INVERTED else h * p
    names = {_plain(v): v for v in (0.0, h * p, h, h / p, h * p * p)}
    chance = f"With probability {number(p)} it passes on {_plain(h)}"
    lesson.predict(
        f"unit {unit} answers {_plain(h)} to the first digit. With {setting.scheme} dropout at p = {number(p)}, what "
        "does it pass on while training, on average over many mini-batches?",
        sorted(names, key=lambda text: names[text]), _plain(answer),
        (f"{chance}, else 0: on average {number(p)} · {_plain(h)} = {_plain(h * p)}. So in eval mode, when all are "
         "present, the next layer's weights are multiplied by p."
         if setting.scheme == CLASSIC else
         f"{chance} / {number(p)} = {_plain(h / p)}, else 0: on average {_plain(h)}, just as in eval mode."),
        key=f"guess-{p}-{setting.scheme}-{setting.seed}")


def _plain(value: float) -> str:
    return number(round(value, 2))


def steps(setting: Setting) -> None:
    """Masks stepped, forward or backward."""
    if backward := setting.backward:
        st.caption("What arrives from above, $dy$, passes through the same mask: a unit that was left out had no part "
                   "in the answer and gets no part of the blame. $dh_i = m_i\\,dy_i$"
                   + (r" $/\,p$" if setting.scheme == INVERTED else ""))
    stepper(story(setting, upstream(setting) if backward else setting.hidden, backward),
            key=f"dropout_stepper_{backward}")


def upstream(setting: Setting) -> np.ndarray:
    """What arrives at the outputs when the next layer is one unit and the loss is its sum: its weights, for each."""
    return np.repeat(setting.weights[None], len(setting.hidden), axis=0)


def story(setting: Setting, values: np.ndarray, backward: bool) -> Story:
    """Three mini-batches as the player's grids and records."""
    factor = setting.factor
    records = list(dropout_steps(values, factor))
    cells = [step.picture * UNITS + step.unit for step in records]
    into, out = ("dy", "dh") if backward else ("h", "y")
    limit, digits = style.signed_limit(values, [step.result for step in records]), 2
    texts = [_plain(v) for v in (0.0, 1.0, 1 / setting.p)]
    return Story(
        label=f"Dropout {'backward' if backward else 'forward'}, step by step",
        grids=(
            Grid(name=into, symbol=into, title="arrives" if backward else "activations", rows=PICTURES, columns=UNITS,
                 values=values.ravel().tolist(), limit=limit, digits=digits,
                 note=f"{PICTURES} pictures × {UNITS} units"),
            Grid(name="m", symbol="m" if setting.scheme == CLASSIC else "m/p", title="mask", rows=PICTURES,
                 columns=UNITS, limit=max(1.0, 1 / setting.p), digits=2, emptied=True,
                 note=f"{texts[0]} or {texts[1] if setting.scheme == CLASSIC else texts[2]}"),
            Grid(name=out, symbol=out, title="goes on back" if backward else "output", rows=PICTURES, columns=UNITS,
                 limit=limit, digits=digits, emptied=True, note="of this mini-batch"),
        ),
        marks={into: cells, "m": cells, out: cells},
        writes={"m": [step.factor for step in records], out: [step.result for step in records]},
        groups=[step.batch for step in records],
        updates=(Update(target=out, operands=("m", into), digits=digits, replaces=True),),
        step_name="unit", group_name="mini-batch", start=PICTURES * UNITS + UNITS + 3,
        footnotes=(f"Present in these {BATCHES} mini-batches: {percent(float(setting.masks.mean()), 0)} of the units, "
                   f"expected {percent(setting.p, 0)}.",),
    )


@st.fragment
@frame.guarded("Two schemes")
def expectation(setting: Setting) -> None:
    """Both schemes over many draws, beside what eval mode gives."""
    st.header("Two schemes, one expectation", anchor=False)
    draws = st.select_slider("Draws", (1, 2, 5, 10, 50, 100, 500, 1000, 5000), 100, key="draws", bind="query-params",
                             disabled=links.locked())
    h = setting.hidden[0]
    many = F.dropout(Tensor(np.repeat(h[None], draws, axis=0)), 1 - setting.p, True,
                     rng=np.random.default_rng(setting.seed)).numpy()
    for column, (scheme, outputs, target) in zip(
        st.columns(2), ((CLASSIC, many * setting.p, h * setting.p), (INVERTED, many, h)), strict=True,
    ):
        with column:
            st.markdown(f"**{scheme.capitalize()}**: train {'m·h' if scheme == CLASSIC else 'm·h / p'}, "
                        f"eval {'p·h' if scheme == CLASSIC else 'h'}")
            error = outputs.std(axis=0) / np.sqrt(draws)
            chart(pictures.averages(target, outputs.mean(axis=0), error, ("train, average", "eval")),
                  key=f"averages-{scheme}", alt=f"Averages of {scheme} dropout")
            following = float(outputs.mean(axis=0) @ setting.weights)
            st.caption(f"Largest difference {number(float(np.abs(outputs.mean(axis=0) - target).max()), 3)}. A unit "
                       f"that follows gets {_plain(following)} on average, and "
                       f"{_plain(float(target @ setting.weights))} in eval mode.")
    st.caption("Bars: eval mode. Diamonds: the average over the draws of the engine's dropout, with two standard "
               "errors; a hundred times the draws, a tenth of the error.")


@st.fragment
@frame.guarded("Thinner networks")
def thinner(setting: Setting) -> None:
    """The network that one picture of a mini-batch really meets."""
    st.header("Every picture trains a thinner network", anchor=False)
    sizes = (4, 8, 6, 1)
    draw = st.slider("Draw", 1, 50, 1, key="draw", bind="query-params", disabled=links.locked())
    rng = np.random.default_rng((setting.seed, draw))
    present = [np.ones(n, bool) if layer in (0, len(sizes) - 1) else rng.random(n) < setting.p
               for layer, n in enumerate(sizes)]
    hidden = sum(sizes[1:-1])
    whole = sum(a * b for a, b in pairwise(sizes))
    alive = sum(int(a.sum() * b.sum()) for a, b in pairwise(present))
    chart(pictures.network(sizes, present), key="network", alt="A network of which some units are left out")
    st.markdown(f"{int(sum(layer.sum() for layer in present[1:-1]))} of {hidden} hidden units and {alive} of {whole} "
                f"weights take part for this picture; the next picture of the mini-batch has a network of its own. "
                f"There are 2 to the power of {hidden} = **{count(2**hidden)}** of them; they share their weights. "
                "A unit never knows who else will be there: no single feature can be relied on.")


def in_code(setting: Setting) -> None:
    """The same in three libraries, which call p the share that is left out."""
    lesson.in_code({name: code.format(out=round(1 - setting.p, 2)) for name, code in CODE.items()},
                   "Libraries count the other way: their p is the probability of being left out, 1 minus ours.")


CODE = {
    "Our engine": """import numpy as np
from engine import Tensor, layers

drop = layers.Dropout({out}, rng=np.random.default_rng(0))
h = Tensor(np.full((1000, 100), 3.0))
drop.train()
trained = drop(h).numpy()
drop.eval()
print(sorted(set(trained.ravel().round(4).tolist())), drop(h).numpy().mean().round(4))
""",
    "PyTorch": """import torch
from torch import nn

drop = nn.Dropout({out})
h = torch.full((1000, 100), 3.0, dtype=torch.float64)
drop.train()
trained = drop(h).numpy()
drop.eval()
print(sorted(set(trained.ravel().round(4).tolist())), drop(h).numpy().mean().round(4))
""",
    "Keras": """import keras
import numpy as np

drop = keras.layers.Dropout({out}, dtype="float64")
h = np.full((1000, 100), 3.0)
trained = keras.ops.convert_to_numpy(drop(h, training=True))
evaluated = keras.ops.convert_to_numpy(drop(h, training=False))
print(sorted(set(trained.ravel().round(4).tolist())), evaluated.mean().round(4))
""",
}
