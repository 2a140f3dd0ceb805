"""The page on batch norm: its controls, a mini-batch before and after, the running statistics."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine import Tensor, layers, no_grad
from engine import functional as F
from playground.datasets import named
from playground.figures.bars import histograms
from playground.figures.lines import lines
from playground.numbers import count, counted, number, percent
from playground.ui import frame, links
from playground.ui.parts import lesson
from playground.ui.parts.chart import chart

CHANNELS = 8
SIZES = (1, 2, 8, 64)


@dataclass(frozen=True)
class Setting:
    """What the reader chose, and the numbers that reach the layer: z (N, C, H, W)."""

    size: int
    seed: int
    channel: int
    gamma: float
    beta: float
    z: np.ndarray

    @property
    def numbers(self) -> np.ndarray:
        """All numbers of the chosen channel, over the pictures of the mini-batch and their places."""
        return np.asarray(self.z[:, self.channel].ravel())

    def layer(self) -> layers.BatchNorm2d:
        """The engine's layer with the reader's gamma and beta in the chosen channel."""
        norm = layers.BatchNorm2d(CHANNELS)
        for parameter, value in ((norm.weight, self.gamma), (norm.bias, self.beta)):
            assert parameter is not None
            parameter.data[self.channel] = value
        return norm


def formula() -> None:
    """What the layer does."""
    st.latex(r"\begin{aligned} \hat z &= \frac{z - \mu_B}{\sqrt{\sigma_B^2 + \varepsilon}}, \qquad"
             r" y = \gamma\,\hat z + \beta \end{aligned}")
    st.caption(r"$\mu_B$ and $\sigma_B^2$ are mean and variance of one channel over the **mini-batch** (all pictures, "
               r"all places), $\gamma$ and $\beta$ are learnt, one each a channel. Then comes the activation.",
               text_alignment="center")


class Controls:
    """Mini-batch, channel, what is learnt, and the seed."""

    def groups(self) -> lesson.Groups:
        return (self._size, self._channel, self._gamma, self._beta), self._seed

    def setting(self) -> Setting:
        z = responses(digits(self.size, self.seed))
        return Setting(self.size, self.seed, self.channel, self.gamma, self.beta, z)

    def _size(self) -> None:
        self.size = st.select_slider("Pictures in the mini-batch", SIZES, 8, key="batch", bind="query-params",
                                     disabled=links.locked())

    def _channel(self) -> None:
        self.channel = st.slider("Channel", 0, CHANNELS - 1, 0, key="channel", bind="query-params",
                                 disabled=links.locked())

    def _gamma(self) -> None:
        self.gamma = st.slider("γ, the new deviation", -3.0, 3.0, 1.0, 0.1, key="gamma", bind="query-params",
                               disabled=links.locked())

    def _beta(self) -> None:
        self.beta = st.slider("β, the new mean", -3.0, 3.0, 0.0, 0.1, key="beta", bind="query-params",
                              disabled=links.locked())

    def _seed(self) -> None:
        self.seed = int(st.number_input("Seed: which digits", 0, 9999, 0, key="seed", bind="query-params", width=240,
                                        disabled=links.locked()))


def digits(size: int, seed: int) -> np.ndarray:
    """Digits (N, 1, 8, 8), levels 0..1, drawn by the seed."""
    train, _ = named.load("digits")
    chosen = np.random.default_rng(seed).permutation(len(train.images))[:size]
    return np.asarray(train.images[chosen][:, None] / 255)


def responses(x: np.ndarray) -> np.ndarray:
    """What an untrained convolution of eight 3 × 3 filters gives for pictures (N, 1, H, W), before its activation."""
    convolution = layers.Conv2d(1, CHANNELS, 3, padding=1, rng=np.random.default_rng(1))
    with no_grad():
        return np.asarray(convolution(Tensor(x)).numpy(), np.float64) * 4 + 1


def predict(setting: Setting) -> None:
    """Mean and deviation after the layer, computed by the engine."""
    after = _after(setting)[:, setting.channel]
    answer = f"mean {_plain(after.mean())}, deviation {_plain(after.std())}"
    before = f"mean {_plain(setting.numbers.mean())}, deviation {_plain(setting.numbers.std())}"
    wrong = {f"mean 0, deviation {_plain(abs(setting.gamma) + 1)}", before,
             f"mean {_plain(setting.gamma)}, deviation {_plain(abs(setting.beta) + 0.5)}"}
    lesson.predict(
        f"channel {setting.channel} has {before} in this mini-batch. What does it have after batch norm with "
        f"γ = {number(setting.gamma)} and β = {number(setting.beta)}?", sorted({answer, *wrong}), answer,
        "Whatever came in, the normalized numbers have mean 0 and deviation 1; γ stretches them to deviation |γ| and β "
        "moves them to mean β.",
        key=f"guess-{setting.size}-{setting.channel}-{setting.gamma}-{setting.beta}-{setting.seed}", horizontal=False)


def _after(setting: Setting) -> np.ndarray:
    with no_grad():
        return np.asarray(setting.layer()(Tensor(setting.z)).numpy())


def _plain(value: float) -> str:
    return number(round(float(value), 2))


def heading() -> None:
    """What stands over the histogram, whatever the controls say."""
    st.header("One mini-batch, before and after", anchor=False)


def before_and_after(setting: Setting) -> None:
    """The channel's histogram before and after."""
    after = _after(setting)
    chart(histograms({"before": setting.numbers, "after": after[:, setting.channel].ravel()},
                     titles=(f"value in channel {setting.channel}", "how many numbers")),
          key="histogram", alt="Values of a channel before and after")


def statistics(setting: Setting) -> None:
    """The statistics of all channels before and after."""
    after = _after(setting)
    rows = [{"channel": c, "numbers": setting.z[:, c].size, "mean before": round(float(setting.z[:, c].mean()), 3),
             "variance before": round(float(setting.z[:, c].var()), 3),
             "mean after": round(float(after[:, c].mean()), 3) + 0.0,
             "variance after": round(float(after[:, c].var()), 3)} for c in range(CHANNELS)]
    st.dataframe(rows, hide_index=True, height="content", row_height=29)
    one = setting.z[:1, :, 4, 4]  # after a dense layer there are no places: a picture is one number a channel
    left = np.abs(one - one.mean(axis=0)).max()
    st.caption(
        f"Each channel is normalized over {counted(setting.size, 'picture')} × 64 places. After a "
        f"**dense** layer there are no places: with one picture in the mini-batch, nothing but {_plain(float(left))} "
        "is left of each number once its mean is taken off, so PyTorch refuses a batch of 1 there while training.")


@st.fragment
@frame.guarded("Running statistics")
def running(setting: Setting) -> None:
    """Running statistics over mini-batches, then the same digit in train and in eval mode."""
    st.header("While training: this mini-batch. Afterwards: what was typical", anchor=False)
    st.latex(r"r \leftarrow (1 - m)\,r + m\,\mu_B")
    locked = links.locked()
    left, right = st.columns(2)
    momentum = left.slider("Momentum $m$", 0.01, 1.0, 0.1, 0.01, key="momentum", bind="query-params", disabled=locked)
    batches = right.slider("Mini-batches so far", 1, 100, 30, key="batches", bind="query-params", disabled=locked)
    size = max(setting.size, 2)
    norm, means, kept = layers.BatchNorm2d(CHANNELS, momentum=momentum), [], []
    with no_grad():
        for k in range(batches):
            z = responses(digits(size, setting.seed * 1000 + k))
            norm(Tensor(z))
            means.append(float(z[:, setting.channel].mean()))
            assert norm.running_mean is not None
            kept.append(float(norm.running_mean[setting.channel]))
    everything, _ = named.load("digits")
    typical = float(responses(everything.images[:, None] / 255)[:, setting.channel].mean())
    chart(
        lines(list(range(1, batches + 1)), {"mean of the mini-batch": means, "running mean": kept,
                                            "mean of all training digits": [typical] * batches},
              titles=("mini-batch", f"mean of channel {setting.channel}"), marks=batches <= 30),
        key="running", alt="Running mean over mini-batches")
    st.caption(f"The running mean starts at 0 and forgets by {percent(momentum, 0)} a mini-batch. It is now "
               f"{number(kept[-1])}, the mean of all {count(len(everything.images))} training digits is "
               f"{number(typical)}.")
    x = digits(1, setting.seed)
    rows = []
    with no_grad():
        for other in range(3):
            z = responses(np.concatenate([x, digits(size - 1, setting.seed + 77 + other)]))
            y = F.batch_norm(Tensor(z), norm.running_mean, norm.running_var, training=True, momentum=0.0).numpy()
            rows.append({"mode": "train()", "the others in its mini-batch": f"{size - 1} digits, draw {other + 1}",
                         "the digit's output at its middle": round(float(y[0, setting.channel, 4, 4]), 4)})
        norm.eval()
        alone = norm(Tensor(responses(x))).numpy()[0, setting.channel, 4, 4]
    rows.append({"mode": "eval()", "the others in its mini-batch": "none needed",
                 "the digit's output at its middle": round(float(alone), 4)})
    st.markdown("**One digit, four answers:** while training its output depends on who else is in the mini-batch; in "
                "eval mode the running statistics take that place, and one picture is enough.")
    st.dataframe(rows, hide_index=True)
