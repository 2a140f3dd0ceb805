"""What normalization does not do: neighbouring inputs stay correlated, and its numbers come from the training set."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from playground.datasets import named, samples
from playground.figures import descent as pictures
from playground.numbers import count, counted, number
from playground.steps.descent import Bowl, descent_steps
from playground.steps.normalization import normalized
from playground.ui import frame, links
from playground.ui.parts.chart import side_by_side

PIXELS = 256
"""How many pixels of the photo the model with two inputs looks at."""
FARTHEST = 64


@dataclass(frozen=True)
class Pair:
    """Two normalized inputs: their correlation, the bowl over their two weights, and the bowl of the same two after
    they have been made uncorrelated (their sum and their difference, normalized again)."""

    correlation: float
    bowl: Bowl
    uncorrelated: Bowl


def pair(gray: np.ndarray, apart: int, seed: int = 0) -> Pair:
    """A pixel guessed from the one to its left and another `apart` further left, at PIXELS places of gray (H, W).

    Both inputs and the target have mean 0, so there is no intercept. Of two normalized inputs with the correlation ρ
    the curvatures are 2 (1 - |ρ|) and 2 (1 + |ρ|), so the condition number is (1 + |ρ|) / (1 - |ρ|).
    """
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, gray.shape[0], PIXELS)
    columns = rng.integers(min(1 + apart, gray.shape[1] - 1), gray.shape[1], PIXELS)
    first, second = normalized(gray[rows, columns - 1]), normalized(gray[rows, columns - 1 - apart])
    target = normalized(gray[rows, columns])
    turned = [normalized(first + second), normalized(first - second)]
    return Pair(float((first * second).mean()), Bowl(np.stack([first, second], axis=1), target),
                Bowl(np.stack(turned, axis=1), target))


@st.fragment
@frame.guarded("Two inputs")
def two_inputs() -> None:
    """A second input: how round the bowl is depends on how alike the two are."""
    st.header("Two inputs: as round as they are unlike", anchor=False)
    st.markdown("Now two pixels guess the next one, "
                r"$\hat y = w_1 x_1 + w_2 x_2$, both normalized. Their bowl is round only if they are **uncorrelated**:"
                r" with the correlation $\rho$ its condition number is $\frac{1+|\rho|}{1-|\rho|}$.")
    name = st.session_state.get("photo") or samples.photo_names()[1]
    gray = samples.photo(name) @ np.array([0.299, 0.587, 0.114])
    apart = st.slider("How far the second pixel is from the first", 1, FARTHEST, 1, key="apart", bind="query-params",
                      disabled=links.locked())
    found = pair(gray, apart)
    with st.container(horizontal=True):
        st.metric("correlation ρ", number(found.correlation, 3))
        st.metric("condition number", number(found.bowl.condition, 3))
        st.metric("after decorrelation", number(found.uncorrelated.condition, 3))
    figures = {}
    for title, bowl, names in (
        ("two normalized pixels", found.bowl, ("weight w₁", "weight w₂")),
        ("their sum and difference", found.uncorrelated, ("weight of the sum", "weight of the difference")),
    ):
        path = np.array([step.parameters for step in descent_steps(bowl, (0.0, 0.0), bowl.best_learning_rate, 40)])
        figures[f"Loss over two weights, {title}"] = pictures.bowl_figure(
            bowl.above, path, bowl.lowest, names=names, title=title)
    side_by_side(figures, key="pairs")
    st.caption(roundness(found.correlation, found.bowl.condition))


def steps_to_a_hundredth(condition: float) -> int:
    """Steps of gradient descent, at its best step size, until the distance is at worst a hundredth.

    >>> steps_to_a_hundredth(1.0), steps_to_a_hundredth(92.0)
    (1, 212)
    """
    shrink = (condition - 1) / (condition + 1)
    return 1 if shrink < 0.01 else int(np.ceil(np.log(0.01) / np.log(shrink)))


def roundness(correlation: float, condition: float) -> str:
    """What the correlation of two inputs makes of their bowl, in a sentence."""
    steps, rho = counted(steps_to_a_hundredth(condition), "step"), number(correlation, 3)
    if condition < 1.5:
        return (f"These two have next to nothing in common (ρ = {rho}): their bowl is as good as round, and {steps} "
                "come a hundred times closer.")
    alike = "say much the same" if condition > 10 else "have something in common"
    return (f"These two {alike} (ρ = {rho}): gradient descent takes {steps} to come a hundred times closer, although "
            "both are normalized. Uncorrelated inputs, as their sum and difference are, need 1.")


def training_statistics() -> None:
    """The numbers are the training set's, and are used again for every picture that comes later."""
    st.header("Whose mean, whose deviation?", anchor=False)
    train, test = named.load("digits")
    mean, deviation = float(train.images.mean()), float(train.images.std())
    st.markdown(f"$\\mu$ and $\\sigma$ are computed **once, from the training set** (here {number(mean)} and "
                f"{number(deviation)}, of {count(len(train.images))} digits), kept with the model, and used again for "
                "every picture that comes later. Nothing is looked at in the test set, and a single picture has no "
                "statistics worth the name.")
    rows = reused(train.images, test.images)
    st.dataframe(rows, hide_index=True)
    st.caption(told(rows))


def reused(train: np.ndarray, test: np.ndarray) -> list[dict[str, str | float]]:
    """Mean and variance of pictures (N, H, W) after normalization with the training set's numbers or with their own."""
    dark = test * 0.5
    return [
        {"pictures": name, "normalized with": whose, "mean": round(float(z.mean()), 3) + 0.0,
         "variance": round(float(z.var()), 3)}
        for name, x, whose, y in (
            ("training digits", train, "training set", train), ("test digits", test, "training set", train),
            ("test digits, half as bright", dark, "training set", train),
            ("test digits, half as bright", dark, "their own", dark))
        for z in ((x - y.mean()) / y.std(),)
    ]


def told(rows: list[dict[str, str | float]]) -> str:
    """What the table shows, in its own numbers."""
    (mean, variance), (dark_mean, dark_variance) = (
        (float(row["mean"]), float(row["variance"])) for row in rows[1:3])
    return (f"The test digits come out near mean 0 and variance 1, not exactly there: mean {number(mean)}, variance "
            f"{number(variance)}. Darker ones stay darker (mean {number(dark_mean)}, variance {number(dark_variance)})"
            "; with statistics of their own that would be gone, and the network would be shown something other than "
            "what it is to judge.")
