"""The parts of the page on normalization: own numbers, the two proofs, and the race down two bowls."""

import re

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from playground.datasets import samples
from playground.errors import PlaygroundError
from playground.figures import descent as pictures
from playground.figures.style import CATEGORICAL, CONFIG, layout
from playground.numbers import THIN, count, counted, number, percent
from playground.steps.descent import Bowl, DescentStep, descent_steps
from playground.steps.normalization import normalized, proof_lines
from playground.ui import frame, links
from playground.ui.lessons.normalization_inputs import PIXELS, steps_to_a_hundredth
from playground.ui.parts import lesson
from playground.ui.parts.chart import chart, side_by_side

MOST = 200
DEFAULT = "52, 61, 58, 200, 190, 71, 65, 180"
VERSIONS = ("raw", "mean 0", "variance 1", "mean 0, variance 1")
START = (0.0, 0.0)
"""Where every racer starts: the same guess, 0 for every pixel, in all four versions."""


def parsed(text: str, *, least: int = 2) -> np.ndarray:
    """The numbers in a text, separated by commas, semicolons or blanks.

    Raises PlaygroundError with what is wrong: a word, too few, too many, or a number too large to show.

    >>> parsed("1, 2.5; -3e1").tolist()
    [1.0, 2.5, -30.0]
    """
    numbers = []
    for word in filter(None, re.split(r"[\s,;]+", text)):
        try:
            number = float(word)
        except ValueError:
            raise PlaygroundError(
                f"“{word[:20]}” is not a number: write numbers separated by commas, such as 2, 4, 9."
            ) from None
        if not np.isfinite(number) or abs(number) > 1e9:
            raise PlaygroundError(f"“{word[:20]}” is too large to show: write numbers between −10⁹ and 10⁹.")
        numbers.append(number)
    if not least <= len(numbers) <= MOST:
        raise PlaygroundError(f"{counted(len(numbers), 'number')} cannot be used: write between {least} and {MOST}.")
    return np.array(numbers)


def own_numbers() -> np.ndarray:
    """The reader's numbers, and what normalizing does to them."""
    lesson.equations(r"z_i = \frac{x_i - \mu}{\sigma}", r"\mu = \frac1n \sum_i x_i",
                     r"\sigma^2 = \frac1n \sum_i (x_i - \mu)^2")
    st.caption("$\\mu$ is the mean of the $n$ numbers $x_i$, $\\sigma$ their standard deviation, $\\sigma^2$ "
               "their variance.", text_alignment="center")
    text = st.text_input(
        "Your numbers $x_i$", DEFAULT, key="numbers", bind="query-params", disabled=links.locked(), max_chars=2000,
        help="Pixels, prices, body heights: any two or more numbers that are not all equal.",
    )
    x = parsed(text)
    z = normalized(x)
    with st.container(horizontal=True):
        for name, value in (("mean $\\mu$", x.mean()), ("deviation $\\sigma$", x.std()), ("mean of $z$", z.mean()),
                            ("variance of $z$", z.var())):
            st.metric(name, _plain(value))
    st.plotly_chart(_before_and_after(x, z), config=CONFIG, key="numbers_figure",
                    alt="The numbers as given, and normalized, on two scales")
    return x


def _before_and_after(x: np.ndarray, z: np.ndarray) -> go.Figure:
    """The numbers and their normalized selves on two scales of their own: the same picture, moved and stretched."""
    figure = go.Figure()
    for place, (name, values, symbol) in enumerate((("x, as given", x, "circle"), ("z, normalized", z, "diamond"))):
        figure.add_scatter(
            x=values, y=[name] * len(values), mode="markers", name=name, showlegend=False,
            xaxis="x" if place == 0 else "x2", marker={
                "size": 11, "symbol": symbol, "color": CATEGORICAL[place], "opacity": 0.75},
            hovertemplate="%{x:.4g}<extra></extra>",
        )
    layout(figure, x="x", height=240)
    figure.update_layout(
        xaxis2={"overlaying": "x", "side": "top", "title": {"text": "z"}, "zeroline": True},
        margin={"t": 48}, yaxis={"categoryorder": "array", "categoryarray": ["x, as given", "z, normalized"],
                                 "range": [-0.6, 1.6]},
    )
    return figure


def proofs(x: np.ndarray) -> None:
    """Both proofs, each line beside what it comes to on the reader's numbers."""
    st.header("Why the mean becomes 0 and the variance 1", anchor=False)
    st.caption("Every line is computed, as it is written, from your numbers above. They agree up to rounding.")
    lines = list(proof_lines(x))
    for column, proof in zip(st.columns(2, gap="large"), ("mean", "variance"), strict=True):
        # One text a proof: a browser goes over every element of the page several times at each press of a slider
        column.markdown("\n\n".join([f"**The {proof} of $z$**", *(
            rf"$\displaystyle {line.latex}$ &emsp; `{_plain(line.value)}`" f"  \n:small[:gray[{line.why}]]"
            for line in lines if line.proof == proof)]))


def _plain(value: float) -> str:
    """A number for the eye: rounding errors of the last digits are zero.

    >>> _plain(-1.1e-16), _plain(73.125), _plain(1234567.0)
    ('0', '73.12', '1\u202f234\u202f567')
    """
    return number(round(value, 2 if abs(value) >= 1 else 4))


def bowls() -> dict[str, Bowl]:
    """A line fitted to the pixels of a photo (darkness of a pixel from that of its left neighbour), with the
    input in four versions: raw, centred, scaled, both."""
    st.header("What it does to gradient descent", anchor=False)
    st.markdown(
        "The smallest model there is: guess each pixel of a photo from the pixel to its left, "
        r"$\hat y = w\,x + b$. Two parameters, so the loss is a landscape one can look at. The four versions differ "
        "only in what is done to $x$; the best guesses, and so the lowest loss, are the same in all four."
    )
    name = st.selectbox("Photo", samples.photo_names(), key="photo", bind="query-params", disabled=links.locked(),
                        index=1)
    gray = samples.photo(name) @ np.array([0.299, 0.587, 0.114])
    rows, columns = (np.random.default_rng(0).integers(1, n, PIXELS) for n in gray.shape)
    x, y = gray[rows, columns - 1], gray[rows, columns] / 255
    versions = (x, x - x.mean(), x / x.std(), normalized(x))
    return {
        version: Bowl(np.stack([values, np.ones_like(values)], axis=1), y)
        for version, values in zip(VERSIONS, versions, strict=True)
    }


def race(found: dict[str, Bowl]) -> None:
    """Gradient descent on the four bowls, each at its own best step size."""
    question(found)
    steps, pace, paths = lesson.figure_first(Controls(found), lambda setting: descents(found, setting[2]))
    paths |= {name: descent(bowl, steps, pace) for name, bowl in found.items() if name not in paths}
    chart(
        pictures.race_figure([(name, _above_lowest(bowl, paths[name])) for name, bowl in found.items()]),
        key="race", alt="Loss above the lowest over the steps, for four versions of the input",
    )
    raw, both = found[VERSIONS[0]], found[VERSIONS[-1]]
    st.caption(
        "Centring removes the tilt of the valley (w and b stop pulling at each other); scaling makes it as steep one "
        "way as the other. With both, the bowl of this one input is round, the slope points straight at the lowest "
        "place, and one step of the best size arrives. From the best step size on there is room for "
        f"{_room(raw)} in the raw valley before it diverges, in the round bowl for {_room(both)}."
    )


def _room(bowl: Bowl) -> str:
    """How much larger than the best a step may be before gradient descent diverges: flattest / steepest curvature.

    >>> _room(Bowl(np.eye(2), np.zeros(2)))
    '100\u202f% more'
    """
    share = 1 / bowl.condition
    return f"{percent(share, 0) if share >= 0.01 else f'{number(100 * share, 2)}{THIN}%'} more"


def _above_lowest(bowl: Bowl, path: list[DescentStep]) -> list[float]:
    lowest = float(bowl.loss(bowl.lowest))
    return [step.loss - lowest for step in path]


def descent(bowl: Bowl, steps: int, pace: float) -> list[DescentStep]:
    """The steps down a bowl at its own best step size times `pace`."""
    return list(descent_steps(bowl, START, pace * bowl.best_learning_rate, steps))


class Controls:
    """How far and how fast the racers go, and which of them is shown beside the raw input."""

    def __init__(self, found: dict[str, Bowl]) -> None:
        self.found = found

    def groups(self) -> lesson.Groups:
        return ((self._steps, self._pace, self._version),)

    def setting(self) -> tuple[int, float, dict[str, list[DescentStep]]]:
        """Steps, their pace, and those taken in the two bowls that are shown."""
        paths = {name: descent(self.found[name], self.steps, self.pace) for name in (VERSIONS[0], self.version)}
        return self.steps, self.pace, paths

    def _steps(self) -> None:
        self.steps = st.slider("Steps", 1, 200, 40, key="steps", bind="query-params", disabled=links.locked())

    def _pace(self) -> None:
        self.pace = st.slider(
            "Step size, as a share of the best one", 0.1, 1.3, 1.0, 0.05, key="pace", bind="query-params",
            disabled=links.locked(),
            help="The best fixed step size for a bowl is 2 / (flattest + steepest curvature). It diverges from "
            "2 / steepest on: in a narrow valley that is a little more, in a round bowl twice as much.",
        )

    def _version(self) -> None:
        self.version = st.segmented_control(
            "Beside the raw input", VERSIONS[1:], default=VERSIONS[-1], key="version", bind="query-params",
            required=True, disabled=links.locked(),
        ) or VERSIONS[-1]


def descents(found: dict[str, Bowl], paths: dict[str, list[DescentStep]]) -> None:
    """Two of the bowls side by side, with the steps taken in them."""
    figures = {
        f"Loss over slope and intercept with the steps taken, {name}": pictures.bowl_figure(
            found[name].above, _places(path), found[name].lowest, names=("slope w", "intercept b"),
            title=f"{name}: condition number {_plain(found[name].condition)}, best step size "
                  f"{number(found[name].best_learning_rate, 3)}")
        for name, path in paths.items()}
    side_by_side(figures, key="bowls")


@st.fragment
@frame.guarded("Predict first")
def question(found: dict[str, Bowl]) -> None:
    """Predict first: how many steps until the distance is a hundredth, computed from the condition numbers."""
    steps = [steps_to_a_hundredth(found[name].condition) for name in (VERSIONS[0], VERSIONS[-1])]
    with st.container(border=True, key="predict"):
        guess = st.radio(
            "**Predict first:** at the best step size, normalized input needs "
            f"{counted(steps[1], 'step')} to come a hundred times closer to the lowest place. "
            "And the raw pixels?",
            _choices(steps[0]), index=None, horizontal=True, key="guess",
            format_func=lambda n: f"about {count(n)}",
        )
        if guess is None:
            return
        right = guess == _rounded(steps[0])
        kappa = found[VERSIONS[0]].condition
        (st.success if right else st.info)(
            f"{'Yes' if right else 'No'}: {counted(steps[0], 'step')}. Each step shrinks the distance at worst by "
            f"(κ − 1) / (κ + 1), and the condition number κ of the raw bowl is {_plain(kappa)}: a factor of "
            f"{number((kappa - 1) / (kappa + 1), 6)} a step."
        )


def _rounded(n: int) -> int:
    """To one leading digit.

    >>> _rounded(187432), _rounded(7)
    (200000, 7)
    """
    unit = 10 ** (len(str(n)) - 1)
    return int(round(n / unit) * unit)


def _choices(answer: int) -> list[int]:
    return sorted({_rounded(answer), 5, 50, 500} if answer > 1000 else {_rounded(answer), 5, 5_000, 100_000})


def _places(path: list[DescentStep]) -> np.ndarray:
    return np.array([step.parameters for step in path])


def in_code(x: np.ndarray) -> None:
    """The reader's numbers normalized in three libraries."""
    numbers = ", ".join(repr(float(value)) for value in x)
    lesson.in_code({name: code.replace("NUMBERS", numbers) for name, code in CODE.items()},
                   "Keras' layer keeps what it has learnt from the training data and uses it again for whatever comes "
                   "later.")


CODE = {
    "Our engine": """import numpy as np
from engine import Tensor

x = Tensor(np.array([NUMBERS]))
z = (x - x.mean()) / ((x - x.mean()) ** 2.0).mean().sqrt()
print(z.numpy().round(4).tolist(), round(z.mean().item(), 4) + 0.0, round((z * z).mean().item(), 4))
""",
    "PyTorch": """import torch

x = torch.tensor([NUMBERS], dtype=torch.float64)
z = (x - x.mean()) / x.std(correction=0)  # divided by n, not n - 1
print(z.numpy().round(4).tolist(), round(z.mean().item(), 4) + 0.0, round((z * z).mean().item(), 4))
""",
    "Keras": """import keras
import numpy as np

x = np.array([NUMBERS])
normalize = keras.layers.Normalization(axis=None, dtype="float64")
normalize.adapt(x)  # learns the mean and the variance of the training data
z = keras.ops.convert_to_numpy(normalize(x))
print(z.round(4).tolist(), round(z.mean(), 4) + 0.0, round((z * z).mean(), 4))
""",
}
