"""Dropout against learning by heart: beside L2, and over the width of a network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from playground.deploy import interval
from playground.figures import contest, style
from playground.figures import dropout as pictures
from playground.numbers import number, percent
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec, RunView
from playground.training.scratch import experiments
from playground.ui import frame, links
from playground.ui.lessons.dropout import Setting
from playground.ui.studio import experiment

Right = Mapping[str, tuple[int, int]]
"""How many pictures never seen each network named rightly, of how many."""


@st.fragment
@frame.guarded("Against learning by heart")
def few_digits(setting: Setting) -> None:
    """Few digits, some with a wrong label: with dropout, with L2, with neither; then networks of several widths."""
    st.header("Against learning by heart", anchor=False)
    st.markdown("A network with two hidden layers of 128 units learns from few digits, and some of them carry **a "
                "wrong label**, one of the nine others. It can learn all of them by heart, or it can learn to read.")
    locked = links.locked()
    first, second, third, fourth = st.columns(4)
    samples = first.select_slider("Digits to learn from", (100, 150, 250, 500, 1000), 250, key="samples",
                                  bind="query-params", disabled=locked)
    noise = second.slider("Wrong labels (%)", 0, 50, 30, 5, key="noise", bind="query-params", disabled=locked)
    decay = third.select_slider("L2, $\\lambda$", (0.001, 0.003, 0.01, 0.03, 0.1), 0.03, key="decay",
                                bind="query-params", disabled=locked, format_func=number,
                                help="λ times each weight is added to its gradient before Adam sees it. AdamW's weight "
                                     "decay is something else with Adam: it shrinks the weights apart from the step.")
    epochs = fourth.slider("Epochs", 10, 60, 60, 10, key="epochs", bind="query-params", disabled=locked)
    st.caption(f"Dropout at p = {number(setting.p)} and the seed {setting.seed}, as chosen above.")
    learnt = {"epochs": epochs, "samples": samples, "noise": noise / 100, "p": round(1 - setting.p, 2)}
    request = {"experiment": "overfitting", **learnt, "weight_decay": decay}
    experiment.show(RunSpec("experiment", request, setting.seed, "overfitting"), button="Train all three", draw=result)
    width(learnt, setting.seed)


def result(view: RunView) -> None:
    """Curves so far; weights, what a network can do without, and thinned networks at the end."""
    classes, total = (view.started.classes, view.started.total_epochs) if view.started else ((), 3)
    left, right = st.columns(2)
    epochs = total // len(classes)
    left.plotly_chart(contest.accuracy_curves(view.measured, classes, epochs, of="train"), config=style.CONFIG,
                      key=f"train-{view.run_id}", alt="Accuracy on digits it learns from")
    right.plotly_chart(contest.accuracy_curves(view.measured, classes, epochs), config=style.CONFIG,
                       key=f"test-{view.run_id}", alt="Accuracy on digits never seen")
    if view.state != "completed":
        return
    st.success(told(experiment.right_answers(view)), icon=":material/fact_check:")
    found = experiments.report(runs.run_dir(view.run_id))
    if not found:
        return
    st.markdown(f"**No single feature:** {missed(found['relied'])}")
    left, right = st.columns(2)
    with left:
        st.markdown("**Weights spread and shrink:** is dropout like L2?")
        st.plotly_chart(pictures.spread(found["edges"], {n: w["counts"] for n, w in found["weights"].items()}),
                        config=style.CONFIG, key=f"spread-{view.run_id}", alt="Histogram of weights")
        st.caption(lengths(found["weights"]))
    with right:
        st.markdown("**An ensemble:** thinned networks asked together")
        asked = found["ensemble"]
        st.plotly_chart(pictures.ensemble(asked["single"], asked["average"], asked["eval"]), config=style.CONFIG,
                        key=f"ensemble-{view.run_id}", alt="Accuracy of thinned networks and of their average")
        st.caption(f"One thinned network reads {percent(float(np.mean(asked['single'])))} on average, all "
                   f"{len(asked['single'])} together {percent(asked['average'][-1])}, the eval network, at the price "
                   f"of one, {percent(asked['eval'])}.")


def told(right: Right) -> str:
    """How many digits never seen each network named rightly, and what of it can be chance."""
    (best, (most, count)), *others = sorted(right.items(), key=lambda item: -item[1][0])
    said = f"On {count} digits never seen: " + ", ".join(
        f"{name} {percent(share / n)}" for name, (share, n) in right.items()) + ". "
    beaten = [name for name, (share, n) in others if not interval.chance(most, count, share, n)]
    near = [name for name, _ in others if name not in beaten]
    if not beaten:
        return said + "No difference is more than chance."
    return said + (f"**{best}** is better than {' and '.join(beaten)} by more than chance"
                   + (f"; between it and {' and '.join(near)} it can be chance." if near else "."))


def missed(relied: Mapping[str, Mapping[str, float]]) -> str:
    """What the networks lose when hidden units are taken from them after training, compared in a sentence."""
    names = ("neither", "dropout")
    loss = {name: 100 * (relied[name]["whole"] - relied[name]["worst"]) for name in names}
    half = {name: relied[name]["half"] for name in relied}
    plain, dropped = (100 * (relied[name]["whole"] - half[name]) for name in names)
    verdict = ("With dropout a network has learnt to do with what is there." if dropped < plain - 1 else
               "Here dropout has not made the network more independent of single units." if dropped > plain + 1 else
               "Here that is the same with dropout and without.")
    return (f"without the one hidden unit it needs most, the network trained with dropout loses "
            f"{number(round(loss['dropout'], 1))} points, the one without {number(round(loss['neither'], 1))}. With a "
            "random half of the hidden units they still read "
            + ", ".join(f"{percent(share)} ({name})" for name, share in half.items()) + f". {verdict}")


def lengths(weights: Mapping[str, Mapping[str, Any]]) -> str:
    """Whether dropout made the weights smaller and more evenly used, beside what L2 did, in a sentence."""
    norms = {name: float(w["norm"]) for name, w in weights.items()}
    said = "Length of all weights, ‖w‖: " + ", ".join(f"{n} {number(v, 3)}" for n, v in norms.items()) + ". "
    dropout, decayed = (1 - norms[name] / norms["neither"] for name in ("dropout", "L2"))
    if dropout > 0.03:
        said += f"Dropout shrinks them by {percent(dropout, 0)}"
    elif dropout < -0.03:
        said += f"Dropout does not shrink them here: they are {percent(-dropout, 0)} longer"
    else:
        said += "Dropout leaves their length as it is"
    said += (f", L2 by {percent(decayed, 0)}" if decayed > 0.03 and dropout > 0.03 else
             f", L2 shrinks them by {percent(decayed, 0)}" if decayed > 0.03 else ", and L2 hardly changes it")
    said += (": both hold the weights down, L2 far more." if decayed > dropout + 0.1 > 0.13
             else ".")
    used = {name: float(w["inputs"]) for name, w in weights.items()}
    gained = used["dropout"] - used["neither"]
    return (f"{said} A unit behind the first layer spreads its weight over {percent(used['dropout'], 0)} of its inputs "
            f"with dropout, {percent(used['neither'], 0)} with neither: "
            + ("it leans on more of them." if gained > 0.01 else "on fewer of them." if gained < -0.01 else
               "about as many."))


def width(learnt: Mapping[str, float], seed: int) -> None:
    """The same digits and labels, networks of several widths, without and with dropout."""
    st.header("More units, more power, more overfitting?", anchor=False)
    st.markdown("The same digits and wrong labels, learnt by networks of "
                f"{', '.join(map(str, experiments.WIDTHS[:-1]))} and {experiments.WIDTHS[-1]} units a hidden layer, "
                "without and with dropout.")
    experiment.show(RunSpec("experiment", {"experiment": "width", **learnt}, seed, "width"),
                    button=f"Train all {2 * len(experiments.WIDTHS)}",
                    draw=width_result)


def width_result(view: RunView) -> None:
    """Accuracy over the width, on what was learnt from and on what was never seen."""
    last = {m.contestant: m for m in view.measured}
    points = {
        f"{what}{', dropout' if dropout else ''}": [
            (units, 100 * (m.train_accuracy if what == LEARNT else m.test_accuracy))
            for units in experiments.WIDTHS if (m := last.get(experiments.width_name(units, dropout)))]
        for dropout in (False, True) for what in (LEARNT, UNSEEN)}
    st.plotly_chart(pictures.widths(points, experiments.WIDTHS), config=style.CONFIG, key=f"width-{view.run_id}",
                    alt="Accuracy over the number of units, with dropout and without")
    if view.state == "completed":
        train = {name: m.train_accuracy for name, m in last.items()}
        st.success(told_width(train, experiment.right_answers(view), experiments.WIDTHS), icon=":material/fact_check:")


LEARNT, UNSEEN = "labels it learns from", "digits never seen"


def told_width(train: Mapping[str, float], right: Right, widths: Sequence[int]) -> str:
    """What more units brought: on the labels learnt from, on digits never seen, and what dropout made of it."""
    name, few, many = experiments.width_name, widths[0], widths[-1]
    said = [f"Without dropout {few} units learn {percent(train[name(few, False)])} of the labels, {many} units "
            f"{percent(train[name(many, False)])}: "
            + ("more units, more power." if train[name(many, False)] > train[name(few, False)] else
               "here more units learn no more.")]
    best = max(widths, key=lambda units: right[name(units, False)][0])
    (top, n), (last, m) = right[name(best, False)], right[name(many, False)]
    if best == many:
        said.append(f"On digits never seen the widest is the best, too ({percent(top / n)}): no overfitting by width "
                    "here.")
    else:
        said.append(f"On digits never seen {best} units are best ({percent(top / n)}), {many} units read "
                    f"{percent(last / m)}, {interval.compared(last / m, m, top / n, n)}"
                    + ("." if interval.chance(top, n, last, m) else ". The power went into learning labels by heart."))
    best = max(widths, key=lambda units: right[name(units, True)][0])
    (dropped, k), (plain, n) = right[name(best, True)], right[name(best, False)]
    said.append(f"Dropout is best with {best} units: {percent(dropped / k)}, with as many units and without it "
                f"{percent(plain / n)}, {interval.compared(dropped / k, k, plain / n, n)}.")
    if (fewest := right[name(few, True)])[0] < right[name(few, False)][0] and not interval.chance(
            *fewest, *right[name(few, False)]):
        said.append(f"With {few} units it does harm: there is nobody to spare.")
    return " ".join(said)
