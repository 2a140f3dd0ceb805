"""Batch norm of one channel at one place of a few digits, stepped forward and backward."""

import numpy as np
import streamlit as st

from playground.figures import style
from playground.numbers import number as plain
from playground.steps.batch_norm import norm_backward_steps, norm_steps, normalize
from playground.ui.lessons.batch_norm import Setting, digits, responses
from playground.ui.parts import lesson
from playground.ui.parts.stepper import Grid, Story, Update, stepper

STEPPED = 6


def steps(setting: Setting) -> None:
    """One channel at one place of a few digits, stepped."""
    st.header("Step by step", anchor=False)
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
                 values=[setting.beta] * n, note=f"starts at β = {plain(setting.beta)}"),
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
                   f"The scale 1/σ is 1/√(σ² + 0.00001) = {plain(found.scale)}."),
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
                   f"These gradients add up to {plain(round(sum(s.input_gradient for s in records), 9))}: moving all "
                   "numbers together changes nothing."),
    )
