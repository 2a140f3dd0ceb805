"""Why did this weight change: one step of a training taken apart, down to places in the batch's pictures."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import streamlit as st

from playground.errors import PlaygroundError
from playground.figures import bars, style
from playground.figures.maps import enlarged
from playground.numbers import count, counted, number
from playground.training.scratch import history
from playground.ui import frame, links
from playground.ui.network.asks.asked import (
    SIDE,
    Asked,
    axes_of,
    choose_weight,
    forget_unless,
    literal,
    named,
    question,
    tile,
    written,
)
from playground.ui.parts import lesson
from playground.view.asks.steps import BATCH
from playground.view.asks.why import Push, Taken, Why, taken
from playground.view.asks.why import why as why_of

THUMBNAILS = 8
MOST, OWN = "the one that moved most", "one that I choose"
TERMS = {BATCH: "this batch's gradient", "earlier steps": "earlier steps", "weight decay": "weight decay"}


@st.fragment
@frame.guarded("Why did this weight change?")
def why(asked: Asked) -> None:
    """A step of the run that the network comes from, and the chosen weight in it."""
    with question("Why did this weight change?", "ask-why", ":material/troubleshoot:") as is_open:
        if is_open:
            _why(asked)


def _why(asked: Asked) -> None:
    if asked.run is None:
        st.info("This model was not trained here, so its steps are not known.")
        return
    try:
        steps = history.steps(asked.run)
    except PlaygroundError as error:
        st.info(literal(str(error)))
        return
    if steps < 1:
        st.info("This training has taken no step yet.")
        return
    forget_unless("ask-step", lambda one: isinstance(one, int | float) and 1 <= one <= steps)
    number_of = int(st.number_input(f"Step, of {count(steps)}", 1, steps, min(2, steps), key="ask-step",
                                    bind="query-params", help="A step is a mini-batch. It is taken again, with the "
                                                              "same bits, from the nearest weights that were kept."))
    step = step_of(str(asked.run), number_of)
    name, index = chosen_weight(asked, step)
    found = why_of(step, name, index)
    direction = "up" if found.moved > 0 else "down"
    weight = f"the weight **{literal(name)}{literal(named(index))}**"
    st.markdown(f"Step {count(step.number)}, in epoch {step.epoch}, " + (
        f"moved {weight} from {number(found.before, 6)} to {number(found.after, 6)}: {direction} by "
        f"**{number(abs(found.moved), 4)}**." if found.moved else f"left {weight} at {number(found.before, 6)}."))
    rules(step, found)
    pictures(step, found)


def chosen_weight(asked: Asked, step: Taken) -> tuple[str, tuple[int, ...]]:
    """The weight that is chosen; else the one of the chosen map, its part, or of all, that the step moved most."""
    if asked.chosen.weight is not None and asked.chosen.weight[0] in step.uses:
        return asked.chosen.weight
    part = asked.part
    names = [name for name in (part.weights if part is not None else ()) if name in step.uses] or list(step.weights)
    if not names:
        raise PlaygroundError("This network has no weights that learn.")
    if st.segmented_control("Which weight", (MOST, OWN), default=MOST, required=True, key="ask-why-which",
                            disabled=links.locked()) == OWN:
        return choose_weight(asked, names, "ask-why")
    moved = {name: np.nan_to_num(np.abs(step.after[name].astype(np.float64) - step.before[name])) for name in names}
    where = "of all"
    if part is not None and names[0] in part.weights:
        where = "in the chosen part"
        if asked.chosen.map is not None:
            where = "for the chosen map" if len(part.shape) > 1 else "for the chosen number"
            for one in moved.values():
                maps = np.moveaxis(one, axes_of(part, one.shape)[1], 0)
                maps[np.arange(len(maps)) != min(asked.map, len(maps) - 1)] = -1
    name = max(moved, key=lambda one: float(moved[one].max()))
    st.caption(f"The one that this step moved most {where}.")
    at = np.unravel_index(int(moved[name].argmax()), moved[name].shape)
    return name, tuple(int(i) for i in at)


@st.cache_resource(max_entries=3, show_spinner="Training is taken up again, and goes to this step …")
def step_of(run: str, step: int) -> Taken:
    """The step, kept for other weights of it."""
    return taken(Path(run), step)


def rules(step: Taken, found: Why) -> None:
    """What the optimizer's rules add to the step."""
    terms = found.terms.terms
    names = [TERMS.get(term.name, term.name) for term in terms]
    st.plotly_chart(bars.signed_rows(names, [term.value for term in terms], x="share of the step", total="the step"),
                    config=style.CONFIG, key="ask-why-terms", alt="What each rule of the optimizer adds to the step")
    symbols = r" \\ &\quad ".join(term.formula for term in terms)  # a line each: a phone is narrow
    sums = r" \\ &\quad ".join(signed(term.value, k == 0) for k, term in enumerate(terms))
    st.latex(rf"\begin{{aligned}} \Delta w &= {symbols} \\ &= {sums} \\ &= {written(found.terms.step)} \end{{aligned}}")
    st.caption("with " + ", ".join(f"${symbol} = {written(value)}$" for symbol, value in found.terms.numbers)
               + ". " + " ".join(sentences(step, found)))


def sentences(step: Taken, found: Why) -> list[str]:
    """What else is behind the step: the rate, clipping, and what float32 rounds."""
    said = []
    rate = float(step.settings["lr"])
    if number(rate, 6) != number(step.asked_rate, 6):
        said.append(f"The schedule has brought the learning rate from {number(step.asked_rate, 6)} to "
                    f"{number(rate, 6)}.")
    if step.clip < 1:
        said.append(f"All gradients together had the norm {number(step.norm, 3)}: clipping multiplied each by "
                    f"{number(step.clip, 3)}.")
    if any(symbol in (r"\hat v", "v'") for symbol, _ in found.terms.numbers):
        said.append("The batch's gradient is in the average of squares below the line, too: that is taken as it is, so "
                    "what stands above the line adds up.")
    apart = abs(found.rounding)
    said.append(f"The weight really moved by {number(found.moved, 5)}"
                + (f"; float32 rounded off the {number(apart, 2)} between." if apart else "."))
    return said


def pictures(step: Taken, found: Why) -> None:
    """Each picture's share of the batch's gradient, and the places in one of them."""
    pushes = sorted(found.pushes, key=lambda push: -abs(push.gradient))
    up = [push.step for push in pushes if push.step > 0]
    down = [push.step for push in pushes if push.step < 0]
    st.subheader("Which pictures pushed", anchor=False)
    st.plotly_chart(bars.signed_bars([push.at for push in pushes], [push.step for push in pushes],
                                     titles=("picture of the batch, strongest first", "share of the step")),
                    config=style.CONFIG, key="ask-why-pictures", alt="What each picture of the batch adds to the step")
    batch = next(term.value for term in found.terms.terms if term.name == BATCH)
    still = len(pushes) - len(up) - len(down)
    st.markdown(f"{counted(len(up), 'picture')} pushed it up, by {number(math.fsum(up), 4)}; "
                f"{counted(len(down), 'picture')} pushed it down, by {number(-math.fsum(down), 4)}"
                + (f"; {counted(still, 'picture')} did not push it" if still else "") + ". Together "
                f"{number(math.fsum((*up, *down)), 4)}: that is what this batch adds to the step, {number(batch, 4)}.")
    shown = pushes[:THUMBNAILS]
    lesson.gallery([enlarged(step.preprocessing.pictured(step.fed[push.at]), SIDE) for push in shown],
                   [f"{push.at}: {label(step, push)}, {number(push.step, 3)}" for push in shown],
                   "A picture of the batch", width=SIDE)
    note = ("Batch norm lets every picture's numbers depend on the rest of the batch: a share is what the gradient "
            "that arrives for this picture adds at this layer. " if step.coupled else "")
    mixed = "Two pictures are blended into each, and so are their labels. " if step.partners is not None else ""
    st.caption(f"The strongest, as the network was given them, with label and share. {mixed}{note}The gradient is the "
               f"sum over all, {number(found.summed, 5)}; computed in float32 it was {number(found.gradient, 5)}"
               + (f", and clipped it is {number(found.clipped, 5)}." if step.clip < 1 else "."))
    places(step, found, shown)


def label(step: Taken, push: Push) -> str:
    """What a picture of the batch shows."""
    return literal(step.classes[step.labels[push.at]])


def places(step: Taken, found: Why, shown: Sequence[Push]) -> None:
    """The places of one picture that pushed."""
    st.subheader("Which places in it", anchor=False)
    by_at = {push.at: push for push in shown}
    at = st.segmented_control("Picture", list(by_at), default=next(iter(by_at)), required=True,
                              key=f"ask-why-place-{step.number}-{hash(tuple(by_at))}",
                              format_func=lambda one: f"{one}: {step.classes[step.labels[one]]}")
    push = by_at.get(at if at is not None else -1, shown[0])
    if push.inputs is None or push.arriving is None or push.places.size == 1:
        if push.inputs is not None and push.arriving is not None:
            x, g = (float(np.ravel(one)[0]) for one in (push.inputs, push.arriving))
            st.latex(rf"\frac{{\partial L_{{{push.at}}}}}{{\partial w}} = x \cdot g = {written(x)} \cdot ({written(g)})"
                     rf" = {written(push.gradient)}")
            st.caption("This weight is used once a picture: what came in times the gradient that arrived. There are no "
                       "places to divide it among.")
        else:
            st.caption(f"This weight's layer gives no map, so the share of {number(push.gradient, 4)} is of no places.")
        return
    grid = [np.reshape(one, (-1, one.shape[-1])) for one in (push.inputs, push.arriving, push.places)]
    lesson.gallery([enlarged(step.preprocessing.pictured(step.fed[push.at]), SIDE), *(tile(one) for one in grid)],
                   ["the picture", "x: what the weight met", "g: what arrived", "x · g: the push"],
                   ["The picture as the network was given it", "The input under the weight at every place",
                    "The gradient that arrived at every place", "The product of both at every place"], width=SIDE)
    best = np.unravel_index(int(np.abs(grid[2]).argmax()), grid[2].shape)
    strongest = np.sort(np.abs(grid[2]).ravel())[::-1]
    total = float(strongest.sum())
    few = int(np.searchsorted(np.cumsum(strongest), 0.5 * total) + 1) if total else 0
    st.latex(rf"\frac{{\partial L_{{{push.at}}}}}{{\partial w}} = \sum_{{p,q}} x_{{p,q}}\, g_{{p,q}} = "
             rf"{written(push.gradient)}")
    st.caption(f"The strongest place is row {best[0]}, column {best[1]}: {number(float(grid[0][best]), 3)} × "
               f"{number(float(grid[1][best]), 3)} = {number(float(grid[2][best]), 3)}. "
               + (f"{counted(few, 'place')} of {grid[2].size} push with half of all strength. " if total else "")
               + f"The sum over all {grid[2].size} is this picture's share of the gradient; the step takes it times "
               f"{number(found.terms.factor * step.clip, 4)}, which gives {number(push.step, 4)}.")


def signed(value: float, first: bool) -> str:
    """A number in LaTeX as it stands in a sum.

    >>> signed(1.0, True), signed(1.0, False), signed(-2.0, False)
    ('1', '+ 1', '- 2')
    """
    return written(value) if first else f"{'-' if value < 0 else '+'} {written(abs(value))}"
