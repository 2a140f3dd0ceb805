"""The parts of the page on batch norm: a mini-batch before and after, running statistics, steps, order, race, model."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from engine import Tensor, layers, no_grad
from engine import functional as F
from playground.datasets import named
from playground.figures import contest, style
from playground.figures.bars import histograms
from playground.figures.lines import lines
from playground.steps.batch_norm import norm_backward_steps, norm_steps, normalize
from playground.training.runs import RunSpec, RunView
from playground.ui import experiment, frame, lesson, links
from playground.ui.chart import chart
from playground.ui.stepper import Grid, Story, Update, stepper

CHANNELS = 8
SIZES = (1, 2, 8, 64)
STEPPED = 6


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
        f"γ = {setting.gamma:g} and β = {setting.beta:g}?", sorted({answer, *wrong}), answer,
        "Whatever came in, the normalized numbers have mean 0 and deviation 1; γ stretches them to deviation |γ| and β "
        "moves them to mean β.",
        key=f"guess-{setting.size}-{setting.channel}-{setting.gamma}-{setting.beta}-{setting.seed}", horizontal=False)


def _after(setting: Setting) -> np.ndarray:
    with no_grad():
        return np.asarray(setting.layer()(Tensor(setting.z)).numpy())


def _plain(value: float) -> str:
    return f"{round(value, 2) + 0.0:g}"


def heading() -> None:
    """What stands over the histogram, whatever the controls say."""
    st.subheader("One mini-batch, before and after", anchor=False)


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
        f"Each channel is normalized over {setting.size} picture{'s' * (setting.size > 1)} × 64 places. After a "
        f"**dense** layer there are no places: with one picture in the mini-batch, nothing but {_plain(float(left))} "
        "is left of each number once its mean is taken off, so PyTorch refuses a batch of 1 there while training.")


@st.fragment
@frame.guarded("Running statistics")
def running(setting: Setting) -> None:
    """Running statistics over mini-batches, then the same digit in train and in eval mode."""
    st.subheader("While training: this mini-batch. Afterwards: what was typical", anchor=False)
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
    st.caption(f"The running mean starts at 0 and forgets by {100 * momentum:g} % a mini-batch. It is now "
               f"{kept[-1]:.3f}, the mean of all {len(everything.images):,} training digits is {typical:.3f}.")
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


def steps(setting: Setting) -> None:
    """One channel at one place of a few digits, stepped."""
    st.subheader("Step by step", anchor=False)
    x = np.round(responses(digits(STEPPED, setting.seed))[:, setting.channel, 4, 4], 1)
    chosen = lesson.choose_pass()
    if chosen == "Backward":
        st.latex(r"""\begin{aligned} d\beta &= \textstyle\sum dy, \quad d\gamma = \sum \hat x\,dy \\
            dx &= \tfrac{\gamma}{N\sqrt{\sigma^2+\varepsilon}}\,(N\,dy - d\beta - \hat x\,d\gamma) \end{aligned}""")
        dy = np.round(np.random.default_rng((setting.seed, 5)).normal(0, 1, STEPPED), 1)
        stepper(backward_story(x, dy, setting), key="batch_norm_backward")
    else:
        stepper(story(x, setting), key="batch_norm_forward")


def story(x: np.ndarray, setting: Setting) -> Story:
    """Mean, variance, normalized numbers, outputs: four rounds over the column."""
    records = list(norm_steps(x, setting.gamma, setting.beta))
    found, n = normalize(x, setting.gamma, setting.beta), len(x)

    def marks(part: int, single: bool = False) -> list[int]:
        return [(0 if single else s.index) if s.part == part else -1 for s in records]

    def written(part: int) -> list[float]:
        return [s.value if s.part == part else 0.0 for s in records]

    def number(name: str, symbol: str, title: str, value: float | None, text: str | None = None) -> Grid:
        return Grid(name=name, symbol=symbol, title=title, rows=1, columns=1, side=True, digits=3, limit=4.0,
                    values=None if value is None else [value], texts=None if text is None else [text])

    def column(name: str, symbol: str, title: str, values: np.ndarray | None, limit: float) -> Grid:
        return Grid(name=name, symbol=symbol, title=title, rows=n, columns=1, digits=2, limit=limit,
                    values=None if values is None else values.tolist())

    limit = style.signed_limit(x, found.y, found.hat)
    squares = found.centred**2
    return Story(
        label="Batch norm step by step",
        grids=(
            column("x", "x", "numbers", x, limit),
            column("d2", "(x−μ)²", "squares", squares, float(squares.max() or 1)),
            number("n", "1/N", "share", 1 / n, f"1/{n}"), number("mu", "μ", "mean", None),
            number("var", "σ²", "variance", None), number("r", "1/σ", "scale", found.scale),
            number("g", "γ", "stretch", setting.gamma),
            column("d", "(x−μ)", "centred", found.centred, limit), column("hat", "x̂", "normalized", None, limit),
            Grid(name="y", symbol="y", title="output", rows=n, columns=1, digits=2, limit=limit,
                 values=[setting.beta] * n, note=f"starts at β = {setting.beta:g}"),
        ),
        marks={"x": marks(0), "d2": marks(1), "n": [0 if s.part < 2 else -1 for s in records], "mu": marks(0, True),
               "var": marks(1, True), "r": marks(2, True), "g": marks(3, True), "d": marks(2), "hat": [
                   s.index if s.part >= 2 else -1 for s in records], "y": marks(3)},
        writes={"mu": written(0), "var": written(1),
                "hat": [float(found.hat[s.index]) if s.part >= 2 else 0.0 for s in records], "y": written(3)},
        groups=[s.part for s in records],
        updates=(Update(target="mu", operands=("n", "x"), digits=3, nowhere=""),
                 Update(target="var", operands=("n", "d2"), digits=3, nowhere=""),
                 Update(target="hat", operands=("r", "d"), digits=3, nowhere="", replaces=True),
                 Update(target="y", operands=("g", "hat"), digits=3, nowhere="")),
        step_name="number", group_name="round", start=n + n // 2,
        footnotes=("Four rounds: mean, variance, normalized, stretched by γ and moved by β.",
                   f"The scale 1/σ is 1/√(σ² + 0.00001) = {found.scale:.3f}."),
    )


def backward_story(x: np.ndarray, dy: np.ndarray, setting: Setting) -> Story:
    """Two sums, then every number's gradient."""
    records = list(norm_backward_steps(x, dy, setting.gamma))
    found, n = normalize(x, setting.gamma, setting.beta), len(x)
    factor = setting.gamma * found.scale / n
    limit = style.signed_limit(dy, found.hat)
    second = [s.index if s.part == 1 else -1 for s in records]
    return Story(
        label="Backward pass of batch norm, step by step",
        grids=(
            Grid(name="dy", symbol="dy", title="arrives", rows=n, columns=1, values=dy.tolist(), digits=2, limit=limit),
            Grid(name="hat", symbol="x̂", title="normalized", rows=n, columns=1, values=found.hat.tolist(), digits=2,
                 limit=limit),
            Grid(name="dbeta", symbol="dβ", title="of β", rows=1, columns=1, side=True, digits=3,
                 limit=style.signed_limit([s.beta_gradient for s in records])),
            Grid(name="dgamma", symbol="dγ", title="of γ", rows=1, columns=1, side=True, digits=3,
                 limit=style.signed_limit([s.gamma_gradient for s in records])),
            Grid(name="f", symbol="γ/(Nσ)", title="factor", rows=1, columns=1, side=True, digits=3,
                 values=[factor], limit=style.signed_limit([factor])),
            Grid(name="c", symbol="c", title="bracket", rows=n, columns=1, digits=2, note="N·dy − dβ − x̂·dγ",
                 limit=style.signed_limit([s.bracket for s in records])),
            Grid(name="dx", symbol="dx", title="goes on back", rows=n, columns=1, digits=3,
                 limit=style.signed_limit([s.input_gradient for s in records])),
        ),
        marks={"dy": [s.index for s in records], "hat": [s.index for s in records],
               "dbeta": [0 if s.part == 0 else -1 for s in records],
               "dgamma": [0 if s.part == 0 else -1 for s in records],
               "f": [0 if s.part == 1 else -1 for s in records], "c": second, "dx": second},
        writes={"dbeta": [s.beta_gradient for s in records], "dgamma": [s.gamma_gradient for s in records],
                "c": [s.bracket for s in records], "dx": [s.input_gradient for s in records]},
        groups=[s.part for s in records],
        updates=(Update(target="dbeta", operands=("dy",), digits=3, nowhere=""),
                 Update(target="dgamma", operands=("hat", "dy"), digits=3, nowhere=""),
                 Update(target="dx", operands=("f", "c"), digits=3, nowhere="", replaces=True)),
        step_name="number", group_name="round", start=n + n // 2,
        footnotes=("First round: what γ and β get. Second: every number's gradient, less what all numbers share, "
                   "because each has moved the mean and the variance of all.",
                   f"These gradients add up to {abs(sum(s.input_gradient for s in records)):.0e}: moving all numbers "
                   "together changes nothing."),
    )


def order(setting: Setting) -> None:
    """Before the activation, or after it."""
    st.subheader("Before the activation, or after?", anchor=False)
    z = Tensor(setting.z)
    with no_grad():
        versions = {"ReLU alone": F.relu(z),
                    "batch norm, then ReLU (the slides)": F.relu(layers.BatchNorm2d(CHANNELS)(z)),
                    "ReLU, then batch norm": layers.BatchNorm2d(CHANNELS)(F.relu(z))}
    rows = []
    for name, version in versions.items():
        values = version.numpy()[:, setting.channel]
        rows.append({"order": name, "zeros (%)": round(100 * float((values == 0).mean()), 1),
                     "mean": round(float(values.mean()), 3) + 0.0, "variance": round(float(values.var()), 3)})
    st.dataframe(rows, hide_index=True)
    st.caption(f"Channel {setting.channel}. Normalized before, about half of the numbers are above 0, whatever the "
               "convolution gave: no unit is dead, none always on. Normalized after, the next layer gets mean 0, but "
               "ReLU may have cut before.")


@st.fragment
@frame.guarded("The race")
def race() -> None:
    """A deep CNN with and without, at several learning rates."""
    st.subheader("Race", anchor=False)
    st.markdown("Eight convolutions deep, with batch norm and without, from the same first weights, on the same "
                "digits.")
    locked = links.locked()
    left, right = st.columns(2)
    rates = left.multiselect("Learning rates", [0.0003, 0.001, 0.003, 0.01, 0.03, 0.1], [0.001, 0.01], key="rates",
                             bind="query-params", max_selections=3, disabled=locked)
    epochs = right.slider("Epochs", 4, 20, 10, key="epochs", bind="query-params", disabled=locked)
    if not rates:
        st.info("Choose at least one learning rate.")
        return
    request = {"experiment": "batch-norm-race", "epochs": epochs, "samples": 300, "rates": sorted(rates)}
    experiment.show(RunSpec("experiment", request, 0, "batch-norm-race"), button="Start the race",
                    draw=result)


def result(view: RunView) -> None:
    """Curves so far, and who was faster."""
    names, total = (view.started.classes, view.started.total_epochs) if view.started else ((), 2)
    epochs = total // len(names)
    left, right = st.columns(2)
    left.plotly_chart(contest.loss_curves(view.measured, names, epochs), config=style.CONFIG,
                      key=f"loss-{view.run_id}", alt="Training loss")
    right.plotly_chart(contest.accuracy_curves(view.measured, names, epochs), config=style.CONFIG,
                       key=f"test-{view.run_id}", alt="Accuracy on digits never seen")
    if view.state == "completed":
        last = experiment.last_accuracy(view)
        lost = [name for name in names if sum(m.contestant == name for m in view.measured) < epochs]
        st.success("On digits never seen: " + ", ".join(f"{name} {value:.1f} %" for name, value in last.items()) + "."
                   + (f" Diverged: {', '.join(lost)}." if lost else ""), icon=":material/fact_check:")


def slides_model(setting: Setting) -> None:
    """The model of the slides as our Sequential, run forward and backward."""
    st.subheader("The model of the slides", anchor=False)
    model = keras_like(np.random.default_rng(setting.seed))
    x = Tensor(digits(setting.size, setting.seed).astype(np.float32))
    y = model(x) if setting.size > 1 else None
    table = layers.summary(model, (1, 8, 8))
    norms: dict[str, float] = {}
    if y is not None:
        F.binary_cross_entropy(y, np.ones(y.shape, np.float32)).backward()
        for name, p in model.named_parameters():
            place = name.split(".")[0]
            if p.grad is not None:
                norms[place] = norms.get(place, 0.0) + float((p.grad.astype(np.float64) ** 2).sum())
    st.dataframe(
        [{"layer": row.layer, "output": " × ".join(map(str, row.output_shape)), "parameters": row.parameters,
          "length of its gradient": round(norms[str(k)] ** 0.5, 4) if str(k) in norms else None}
         for k, row in enumerate(table.rows)], hide_index=True, height="content", row_height=29)
    st.caption(f"{table.parameters:,} numbers to learn. " + (
        f"Untrained, it gives {', '.join(f'{v:.2f}' for v in y.numpy().ravel()[:6])}{' …' if setting.size > 6 else ''} "
        "for this mini-batch; the gradients are those of one backward pass against the answer 1." if y is not None else
        "With one picture in the mini-batch its second batch norm, after the dense layer, cannot train: choose 2 or "
        "more."))


def keras_like(rng: np.random.Generator) -> layers.Sequential:
    """Conv2D(64, 3×3), BatchNorm, ReLU, MaxPool, Flatten, Dense(64), BatchNorm, ReLU, Dense(1, sigmoid)."""
    return layers.Sequential(
        layers.Conv2d(1, 64, 3, padding=1, rng=rng), layers.BatchNorm2d(64), layers.ReLU(), layers.MaxPool2d(2),
        layers.Flatten(), layers.Linear(64 * 16, 64, rng=rng), layers.BatchNorm1d(64), layers.ReLU(),
        layers.Linear(64, 1, rng=rng), layers.Sigmoid())


def in_code() -> None:
    """The same in three libraries."""
    lesson.in_code(CODE, "Keras counts momentum the other way: its 0.9 is the 0.1 of PyTorch and of our engine.")


CODE = {
    "Our engine": """import numpy as np
from engine import Tensor, layers

z = Tensor(np.arange(24.0).reshape(2, 3, 2, 2))
norm = layers.BatchNorm2d(3)
trained = norm(z).numpy()
norm.eval()
print(trained.mean().round(6) + 0.0, trained.std().round(3), norm(z).numpy().mean().round(4))
""",
    "PyTorch": """import torch
from torch import nn

z = torch.arange(24, dtype=torch.float64).reshape(2, 3, 2, 2)
norm = nn.BatchNorm2d(3, dtype=torch.float64)
trained = norm(z).detach().numpy()
norm.eval()
print(trained.mean().round(6) + 0.0, trained.std().round(3), norm(z).detach().numpy().mean().round(4))
""",
    "Keras": """import keras

model = keras.Sequential([
    keras.Input((8, 8, 1)), keras.layers.Conv2D(64, 3, padding="same"), keras.layers.BatchNormalization(),
    keras.layers.ReLU(), keras.layers.MaxPooling2D(), keras.layers.Flatten(), keras.layers.Dense(64),
    keras.layers.BatchNormalization(), keras.layers.ReLU(), keras.layers.Dense(1, activation="sigmoid"),
])
""",
}
