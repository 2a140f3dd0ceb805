"""The parts of the page on how an MLP sees an image: what it costs, and what it does not know."""

from collections.abc import Mapping

import numpy as np
import streamlit as st

from playground.datasets import named
from playground.deploy import interval
from playground.figures import contest, maps
from playground.figures.style import CONFIG
from playground.numbers import count, counted, number, percent
from playground.training.runs.runs import RunSpec, RunView
from playground.training.scratch import experiments
from playground.ui import frame, links
from playground.ui.parts import lesson
from playground.ui.parts.chart import chart
from playground.ui.studio import experiment

SIDES = (8, 16, 28, 32, 64, 128, 224, 512, 1024)
GUESSES = (
    "Both, as well as before",
    "The MLP as well as before, the CNN worse",
    "The CNN as well as before, the MLP worse",
    "Both worse",
)
SAMPLES = 300
"""Digits the four networks learn from; all others of the set are those never seen."""
CODE = {
    "Our engine": """import numpy as np
from engine import layers

rng = np.random.default_rng(0)
dense = layers.Sequential(layers.Flatten(), layers.Linear({pixels}, {units}, rng=rng))
convolution = layers.Conv2d({channels}, {units}, 3, padding=1, rng=rng)
counts = [sum(p.size for p in layer.parameters()) for layer in (dense, convolution)]
print(counts)
""",
    "PyTorch": """from torch import nn

dense = nn.Sequential(nn.Flatten(), nn.Linear({pixels}, {units}))
convolution = nn.Conv2d({channels}, {units}, 3, padding=1)
counts = [sum(p.numel() for p in layer.parameters()) for layer in (dense, convolution)]
print(counts)
""",
    "Keras": """import keras

dense = keras.Sequential([
    keras.Input(({side}, {side}, {channels})), keras.layers.Flatten(), keras.layers.Dense({units})])
convolution = keras.Sequential([
    keras.Input(({side}, {side}, {channels})), keras.layers.Conv2D({units}, 3, padding="same")])
counts = [dense.count_params(), convolution.count_params()]
print(counts)
""",
}


def dense_parameters(pixels: int, units: int) -> int:
    """A weight for every pixel and unit, a bias for every unit.

    >>> from engine import layers
    >>> dense_parameters(64, 10), layers.Linear(64, 10).weight.size + 10
    (650, 650)
    """
    return pixels * units + units


def convolution_parameters(channels: int, filters: int, kernel: int = 3) -> int:
    """A kernel for every channel and filter, a bias for every filter, whatever the size of the picture.

    >>> convolution_parameters(3, 64)
    1792
    """
    return filters * (channels * kernel * kernel + 1)


def formula() -> None:
    """How many numbers a first layer has to learn, dense and convolutional."""
    st.latex(r"\underbrace{H W C \cdot U + U}_{\text{dense}} \;\text{ against }\; "
             r"\underbrace{K^2 C \cdot F + F}_{\text{convolution}}")
    st.markdown("An MLP takes the picture as **one long row of numbers**: each of its $U$ units has a weight of its "
                "own for each of the $H W C$ numbers; a digit of MNIST, 28\u00a0×\u00a028 pixels, is a row of 784. A "
                "convolution has $F$ small kernels of $K × K$ weights, used again at every place.")


class Controls:
    """The reader's picture and how many units look at it."""

    def groups(self) -> lesson.Groups:
        return ((self._side, self._channels, self._units),)

    def setting(self) -> dict[str, int]:
        return {"side": self.side, "channels": self.channels, "units": self.units,
                "pixels": self.side * self.side * self.channels}

    def _side(self) -> None:
        self.side = st.select_slider("Side of the picture $H = W$", SIDES, 224, key="side", bind="query-params",
                                     disabled=links.locked())

    def _channels(self) -> None:
        colour = st.segmented_control("Channels $C$", ("gray: 1", "colour: 3"), default="colour: 3", key="channels",
                                      bind="query-params", disabled=links.locked())
        self.channels = 1 if colour == "gray: 1" else 3

    def _units(self) -> None:
        self.units = st.select_slider("Units $U$ = filters $F$", (8, 16, 32, 64, 128), 64, key="units",
                                      bind="query-params", disabled=links.locked())


def parameters(setting: Mapping[str, int]) -> None:
    """The numbers for the reader's picture, and over the side of the picture."""
    side, channels, units = setting["side"], setting["channels"], setting["units"]
    dense, convolution = dense_parameters(setting["pixels"], units), convolution_parameters(channels, units)
    with st.container(horizontal=True):
        st.metric("Dense layer", count(dense))
        st.metric("Convolution 3 × 3", count(convolution))
        st.metric("Ratio", f"{number(dense / convolution, 3)} ×")
    st.caption(apart(side, channels))
    chart(
        contest.growth(SIDES, [dense_parameters(s * s * channels, units) for s in SIDES],
                       [convolution] * len(SIDES), side),
        key="growth", alt="Parameters of a dense layer and of a convolution over the picture's side")


def apart(side: int, channels: int) -> str:
    """Where the row of numbers puts two neighbours, in a sentence.

    >>> apart(28, 1)
    'Two pixels below each other touch in the picture; in the row of 784 numbers they are 28 apart. Nothing tells the \
dense layer so: what is near what, it has to find out from examples.'
    """
    return (f"Two pixels below each other touch in the picture; in the row of {count(side * side * channels)} numbers "
            f"they are {count(side * channels)} apart. Nothing tells the dense layer so: what is near what, it has to "
            "find out from examples.")


def predict() -> None:
    """The question whose answer the experiment computes."""
    st.header("Predict first", anchor=False)
    st.radio("The pixels of every digit are put into another order, the same for all. Who still learns to read them?",
             GUESSES, index=None, key="guess")
    st.caption("Train both below: the answer is what comes out.")


def pictures(seed: int) -> None:
    """The same digits as both see them."""
    train, _ = named.load("digits")
    chosen = train.images[:8]
    for column, images, caption in zip(
        st.columns(2), (chosen, experiments.shuffled(chosen, seed)),
        ("Eight digits as they are", "The same digits, their 64 pixels in another order, the same for all"),
        strict=True,
    ):
        sheet = maps.contact_sheet(images.astype(np.uint8), columns=4, scale=10, gap=4)
        column.image(sheet, caption=caption, width=340, alt=caption)


@st.fragment
@frame.guarded("Shuffled pixels")
def shuffled_pixels() -> None:
    """Shuffled pixels: four networks learn, live, in a process of their own."""
    st.header("Shuffled pixels", anchor=False)
    mlp, cnn = (experiments.size(c.model) for c in experiments.shuffled_pixels({}, 0)[:2])
    st.markdown(f"An MLP and a CNN learn from the same {SAMPLES} digits, twice: as they are, and with one fixed "
                "permutation of their pixels. Nothing is lost by it, only **who is whose neighbour**. The two are "
                f"alike but for their windows: {count(mlp)} and {count(cnn)} parameters, ReLU, one dense layer "
                "at the end, no batch norm.")
    first, second = st.columns(2)
    epochs = first.slider("Epochs", 2, 30, 20, key="epochs", bind="query-params", disabled=links.locked())
    seed = int(second.number_input("Seed of the permutation and of the weights", 0, 9999, 0, key="seed",
                                   bind="query-params", disabled=links.locked()))
    pictures(seed)
    spec = RunSpec("experiment", {"experiment": "shuffled-pixels", "epochs": epochs, "samples": SAMPLES}, seed,
                   "shuffled-pixels")
    experiment.show(spec, button="Train all four", draw=result)


def result(view: RunView) -> None:
    """Curves so far, and what came out at the end."""
    classes, total = (view.started.classes, view.started.total_epochs) if view.started else ((), 4)
    st.plotly_chart(contest.accuracy_curves(view.measured, classes, total // len(classes)), config=CONFIG,
                    key=f"curves-{view.run_id}", alt="Accuracy of four networks over epochs")
    if view.state == "completed":
        right = experiment.right_answers(view)
        st.success(told(right), icon=":material/fact_check:")
        if guess := st.session_state.get("guess"):
            answer = GUESSES[outcome(right)]
            st.info(f"You predicted it: “{answer}”." if guess == answer else f"You said “{guess}”; it was “{answer}”.")


Right = Mapping[str, tuple[int, int]]
"""How many pictures each network named rightly, of how many."""


def worse(right: Right, kind: str) -> bool:
    """Whether a kind of network reads shuffled digits worse than others, by more than chance."""
    kept, moved = right[f"{kind}, pixels as they are"], right[f"{kind}, pixels shuffled"]
    return moved[0] < kept[0] and not interval.chance(*kept, *moved)


def outcome(right: Right) -> int:
    """Which of GUESSES the experiment showed."""
    return {(False, False): 0, (False, True): 1, (True, False): 2, (True, True): 3}[
        worse(right, "MLP"), worse(right, "CNN")]


def told(right: Right) -> str:
    """What the experiment showed, in its own numbers."""
    said = []
    for kind in ("MLP", "CNN"):
        (kept, n), (moved, m) = right[f"{kind}, pixels as they are"], right[f"{kind}, pixels shuffled"]
        said.append(f"The {kind} reads {percent(kept / n)} of the {counted(n, 'digit')} it has never seen, and "
                    f"{percent(moved / m)} when they are shuffled: {interval.compared(moved / m, m, kept / n, n)}.")
    why = (
        "Here both differences can be chance; another seed or fewer epochs may show more.",
        "To a dense layer any order of its inputs is as good as another; a small window is worth something only where "
        "neighbours belong together.",
        "That is not what one expects of a dense layer, to which any order of its inputs is as good as another: its "
        "first weights met the pixels in another order. Try another seed.",
        "That the CNN suffers is what its small windows make it do. The MLP's difference is one of luck in the "
        "beginning: to a dense layer any order of its inputs is as good as another. Try another seed.",
    )[outcome(right)]
    return " ".join([*said, why])


def in_code(setting: dict[str, int]) -> None:
    """The two counts in three libraries."""
    lesson.in_code({name: code.format(**setting) for name, code in CODE.items()},
                   f"The dense layer really holds its {count(dense_parameters(setting['pixels'], setting['units']))} "
                   "weights and biases: mind the memory at large sides.")
