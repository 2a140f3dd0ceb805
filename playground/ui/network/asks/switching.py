"""Switch something off: which classes suffer, and what the gradient would have guessed."""

import time

import numpy as np
import streamlit as st

from playground.figures import bars, confusion, style
from playground.numbers import counted, number, percent
from playground.ui import frame, links
from playground.ui.network.asks.asked import Asked, accuracies, key_of, literal, question
from playground.view.asks.measured import Effect
from playground.view.asks.without import (
    LAYER,
    MAPS,
    SHORTCUT,
    WAY,
    Guess,
    Off,
    effect,
    guess,
    is_sum,
    passes_on,
    truly,
)
from playground.view.sources import Design, File
from playground.view.trace import Array, Part

ONE, SEVERAL, WHOLE = "this map", "several maps", "the whole layer"
WORDS = {SHORTCUT: "the shortcut", WAY: "the way round it"}
MOST_RANKED, LEAST_RANKED, RANKING_SECONDS = 16, 4, 2.0
"""Maps whose true effect is measured beside the guess: as many as fit into the time."""
MOST_CLASSES = 12


@st.fragment
@frame.guarded("Switch something off")
def switch_off(asked: Asked) -> None:
    """The chosen map, its part, or one side of a sum switched off."""
    with question("Switch it off: which classes suffer?", "ask-off", ":material/power_settings_new:") as is_open:
        if is_open:
            _switch_off(asked)


def _switch_off(asked: Asked) -> None:
    part = asked.part
    if part is None:
        st.info("Choose a filter above, or a part: a layer, or the sum of a shortcut.")
        return
    labelled = asked.labelled()
    if labelled is None:
        return
    x, y, _ = labelled
    data = key_of(asked.data)
    off, words = chosen(asked, part)
    if off is None:
        st.info("Choose at least one map.")
        return
    found = measured(asked.key, data, off, asked.source, x, y)
    st.markdown(f"Without **{words}**:")
    accuracies(found, "without")
    classes(asked, found)
    if off.what == MAPS:
        ranked(asked, part, x, y)


def chosen(asked: Asked, part: Part) -> tuple[Off | None, str]:
    """What is to be switched off, and in words."""
    sides = [WORDS[SHORTCUT], WORDS[WAY]] if is_sum(asked.trace, part) else []
    number_of = part.shape[0]
    kind = "map" if len(part.shape) == 3 else "number"
    choices = [ONE, *([SEVERAL] if number_of > 1 else []), WHOLE, *sides]
    wanted = st.segmented_control(f"Of the {literal(part.title)}", choices, default=ONE, required=True,
                                  key=f"ask-off-what-{len(choices)}", disabled=links.locked(),
                                  format_func=lambda word: word.replace("map", kind)) or ONE
    if wanted == SEVERAL:
        maps = st.multiselect(f"{kind.capitalize()}s", range(number_of), [asked.map],
                              key=f"ask-off-maps-{part.index}-{number_of}", disabled=links.locked())
        if not maps:
            return None, ""
        return Off(part.index, MAPS, tuple(sorted(maps))), f"{kind}s {', '.join(map(str, sorted(maps)))}"
    if wanted == WHOLE:
        passes = passes_on(asked.trace, part)
        st.caption("The layer gives what it was given." if passes else
                   "The layer gives zeros, for what it is given has another shape.")
        return Off(part.index, LAYER), f"the {literal(part.title)}"
    if wanted in sides:
        left = WORDS[WAY] if wanted == WORDS[SHORTCUT] else WORDS[SHORTCUT]
        st.caption(f"Of the sum, only {left} is left.")
        return Off(part.index, SHORTCUT if wanted == WORDS[SHORTCUT] else WAY), str(wanted)
    return Off(part.index, MAPS, (asked.map,)), f"{kind} {asked.map}"


@st.cache_resource(max_entries=16, show_spinner="The pictures go through once more …")
def measured(key: int, data: int, off: Off, _source: Design | File, _x: Array, _y: np.ndarray) -> Effect:
    """What it is worth without, kept for the next redraw."""
    return effect(_source, _x, _y, [off])


@st.cache_resource(max_entries=16, show_spinner="The network is walked back …")
def guessed(key: int, data: int, part: int, _source: Design | File, _x: Array, _y: np.ndarray
            ) -> tuple[Guess, np.ndarray, Array]:
    """The guess for every map of a part; the maps with the largest guesses of either sign, in their order; and the true
    effect of these."""
    found = guess(_source, _x, _y, part)
    began = time.perf_counter()
    truly(_source, _x, _y, part, [0])
    fit = int(RANKING_SECONDS / max(time.perf_counter() - began, 1e-6))
    most = set(np.argsort(-np.abs(found.values), kind="stable")[:min(MOST_RANKED, max(LEAST_RANKED, fit))].tolist())
    maps = np.array([one for one in found.order if one in most])
    return found, maps, truly(_source, _x, _y, part, maps.tolist())


def classes(asked: Asked, found: Effect) -> None:
    """Of each class how many are still found, and the confusions."""
    labels = asked.source.labels
    before, after = found.before.recalls, found.after.recalls
    lost = np.nan_to_num(before - after)
    order = np.argsort(-np.abs(lost), kind="stable")[:MOST_CLASSES]
    shown = np.sort(order) if len(labels) <= MOST_CLASSES else order
    shown = shown[np.isfinite(before[shown])]
    st.plotly_chart(bars.beside_bars([bars.shortened(labels[k], 14) for k in shown],
                                     {"before": (100 * before[shown]).tolist(),
                                      "without": (100 * after[shown]).tolist()}, titles=("class", "found (%)")),
                    config=style.CONFIG, key="ask-off-classes",
                    alt="Of each class the share found before and without it")
    worst = int(np.argmax(lost))
    if lost[worst] > 0:
        wrong = found.after.confusion[worst].copy()
        wrong[worst] = 0
        mistaken = int(wrong.argmax())
        st.markdown(f"**{literal(labels[worst])}** suffers most: {percent(float(before[worst]))} of its pictures were "
                    f"found, {percent(float(after[worst]))} are without it. Most that are not are taken for "
                    f"{literal(labels[mistaken])}.")
    elif found.after.right == found.before.right:
        st.markdown("No class is found less often: the rest of the network makes up for it.")
    if len(labels) <= MOST_CLASSES:
        for column, one, words in zip(st.columns(2), (found.before, found.after), ("before", "without"), strict=True):
            column.markdown(f"What was taken for what, {words}")
            column.plotly_chart(confusion.confusion_matrix(one.confusion, labels), config=style.CONFIG,
                                key=f"ask-off-confusion-{words}", alt=f"Confusion matrix {words}")


def ranked(asked: Asked, part: Part, x: Array, y: np.ndarray) -> None:
    """The first-order guess for every map beside what is measured."""
    found, shown, true = guessed(asked.key, key_of(asked.data), part.index, asked.source, x, y)
    kind = "map" if len(part.shape) == 3 else "number"
    st.subheader(f"Which {kind} matters most", anchor=False)
    st.latex(r"L(a = 0) - L \;\approx\; -\sum_{p,q} \frac{\partial L}{\partial a_{p,q}}\, a_{p,q}")
    st.plotly_chart(bars.beside_bars([str(one) for one in shown],
                                     {"guessed from the gradient": found.values[shown].tolist(),
                                      "measured, one at a time": true.tolist()},
                                     titles=(kind, "change of the mean loss")),
                    config=style.CONFIG, key="ask-off-ranked",
                    alt="Change of the loss without each map: guessed, measured")
    own = f" The chosen {kind} {asked.map}: guessed {number(float(found.values[asked.map]), 3)}" + (
        f", measured {number(float(true[shown.tolist().index(asked.map)]), 3)}." if asked.map in shown else ".")
    agree = rank_correlation(found.values[shown], true) if len(shown) > 2 else None
    every = len(found.values)
    many = f"the largest guesses of {every}" if len(shown) < every else "all there are"
    st.caption(f"{counted(len(shown), kind)}, {many}, from one walk back over {counted(found.count, 'picture')}.{own}"
               + (f" Their orders agree with a rank correlation of {number(agree, 2)}." if agree is not None else "")
               + " The guess follows the slope at full strength all the way to 0 (Molchanov et al., 2016): exact on a "
               "straight line. Of pictures that are surely right the slope is near 0, so it guesses too little.")


def rank_correlation(one: Array, other: Array) -> float | None:
    """Spearman's: of the places in order. None where all are equal.

    >>> rank_correlation(np.array([1.0, 2.0, 3.0]), np.array([10.0, 30.0, 90.0]))
    1.0
    """
    if min(float(np.ptp(values)) for values in (one, other)) == 0:
        return None
    first, second = (np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(np.float64)
                     for values in (one, other))
    return round(float(np.corrcoef(first, second)[0, 1]), 12)
