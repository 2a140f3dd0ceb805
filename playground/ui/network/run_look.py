"""What a run of a designed network shows besides its curves: what ails it, its parts' sizes, other runs over it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from playground.errors import PlaygroundError
from playground.figures import style
from playground.network.edits import Edit, edited, label
from playground.network.faults import WARN, Fault
from playground.network.kind import Shape
from playground.network.kinds import KINDS
from playground.network.parts import Network
from playground.network.presets import network_named
from playground.network.spelling import spelled
from playground.numbers import number
from playground.training.runs import runs
from playground.training.runs.events import Epoch, Measures
from playground.training.runs.runs import RunSpec, RunView
from playground.training.scratch import numpy_fit
from playground.training.scratch import settings as scratch
from playground.training.scratch.doctor import Finding, diagnose
from playground.training.scratch.losses import WORDS, learnt_from
from playground.training.scratch.settings import ask_rate
from playground.ui import frame, links
from playground.ui.studio import loss_gap, models, runs_view, train

MOST_BESIDE = 3
FACTORS = (("⅒", 0.1), ("½", 0.5), ("2×", 2.0))
TICK_SECONDS = 2.0


@frame.guarded("The learning rate")
def rate(view: RunView) -> None:
    """While a run trains: buttons that change its learning rate from the next epoch on."""
    if view.ended:
        return
    with st.container(horizontal=True, vertical_alignment="center", key="rate-in-flight"):
        st.caption("Learning rate from the next epoch on:", width="content")
        for words, factor in FACTORS:
            if st.button(words, key=f"rate-{words}", help=f"The rate times {number(factor, 2)}, on top of what was "
                                                          "asked before."):
                ask_rate(runs.run_dir(view.run_id), factor)
                st.toast(f"From the next epoch on the learning rate is {words} of what it would be.")


@frame.guarded("What ails it")
def examined(view: RunView) -> None:
    """What the measures of a run say: its findings with a cure to try, and the sizes of every part."""
    told, takes = described(view.spec)
    if told is None:
        return
    st.fragment(findings, run_every=None if view.ended else TICK_SECONDS)(view, told, takes)


def described(spec: RunSpec) -> tuple[Network | None, Shape]:
    """The network of a run and the shape of its pictures; None when its data are gone."""
    try:
        training, _ = train.loaded(spec.request["data"])
        takes = numpy_fit.shape_of(training)
        named = str(spec.request.get("network", numpy_fit.USUAL))
        return network_named(named, takes, len(training.classes)), takes
    except PlaygroundError:
        return None, ()


@frame.guarded("The findings")
def findings(view: RunView, told: Network, takes: Shape) -> None:
    """Findings and sizes as they are now; drawn anew while the run trains."""
    now = runs_view.look(view.run_id)
    if not now.measures:
        return
    st.header("What ails it", anchor=False)
    found = diagnosed(now, told, takes)
    if not found:
        st.success("Nothing found: gradients reach every part, no unit is dead, and steps are of a good size.",
                   icon=":material/check:")
    for finding in found:
        with st.container(border=True):
            st.markdown(f"**{finding.kind[0].upper()}{finding.kind[1:]}.** {frame.literal(finding.sentence)}")
            if finding.evidence:
                st.caption(" · ".join(f"{frame.literal(name)}: {number(value, 3)}"
                                      for name, value in finding.evidence.items()))
            if st.button(f"Try it: {cure_words(told, finding)}", key=f"try-{finding.kind}-{finding.path}",
                         disabled=links.locked()):
                attempt(view, told, finding)
    with st.expander("Sizes of every part", icon=":material/equalizer:", expanded=bool(found)):
        st.plotly_chart(flow(now.measures[-1]), config=style.CONFIG, key=f"flow-{view.run_id}",
                        alt="Size of activation and gradient of every part")
        st.caption(f"At step {number(now.measures[-1].step, 9)}: root mean square of what each part gives, of the "
                   "gradient that comes back to it, and by how much its weights moved in that step.")


def marks(text: str) -> tuple[Fault, ...]:
    """What ails the run that is followed, at its parts, where it is of the design with this spelling."""
    view = runs_view.followed("digits")
    if view is None:
        return ()
    told, takes = described(view.spec)
    if told is None or not view.measures or text not in (spelled(told), view.spec.request.get("network")):
        return ()
    return tuple(Fault(WARN, one.path, f"In the training “{view.spec.name}”: {one.sentence}")
                 for one in diagnosed(view, told, takes) if one.path)


def ails(view: RunView) -> bool:
    """Whether anything ails a run, as far as its measures say."""
    told, takes = described(view.spec)
    return told is not None and bool(view.measures) and bool(diagnosed(view, told, takes))


def diagnosed(view: RunView, told: Network, takes: Shape) -> tuple[Finding, ...]:
    """What ails a run, computed once for what is known of it: every edit of its design asks again."""
    return _diagnosed(view.run_id, len(view.measures), len(view.epochs), view, told, takes)


@st.cache_resource(max_entries=32, show_spinner=False)
def _diagnosed(run_id: str, measures: int, epochs: int, _view: RunView, _told: Network, _takes: Shape
               ) -> tuple[Finding, ...]:
    return diagnose(_told, _takes, [*_view.measures, *_view.epochs], _view.spec.request)


def cure_words(told: Network, finding: Finding) -> str:
    """What the cure of a finding does, for its button."""
    return label(told, finding.cure) if isinstance(finding.cure, Edit) else settings_words(finding.cure)


def settings_words(asked: Mapping[str, Any]) -> str:
    """Settings as a person says them.

    >>> settings_words({"learning_rate": 0.003, "augment": {"rotate": 10.0, "translate": 0.1}})
    'learning rate 0.003, augment (rotate 10, translate 0.1)'
    """
    def said(value: Any) -> str:
        if isinstance(value, Mapping):
            return f"({settings_words(value)})"
        return str(value) if isinstance(value, str | bool) else number(value, 3)

    return ", ".join(f"{name.replace('_', ' ')} {said(value)}" for name, value in asked.items())


def attempt(view: RunView, told: Network, finding: Finding) -> None:
    """Start a second run with the cure, the same seed and all else alike, and lay it over the first."""
    request = dict(view.spec.request)
    if isinstance(finding.cure, Edit):
        request["network"] = spelled(edited(told, finding.cure))
    else:
        request = {**request, "network": spelled(told), **finding.cure}
    name = runs.free_name(models.tidy(f"{view.spec.name}-cured"))
    st.query_params["beside"] = view.run_id
    runs_view.begin(RunSpec("digits", request, view.spec.seed, name), suggested=True)


def flow(measures: Measures) -> go.Figure:
    """Sizes of every part at one step, on one logarithmic axis: activation, gradient, |Δw| / |w|."""
    names = [f"{'.'.join(str(n + 1) for n in part.path)} {KINDS[part.kind].words}" for part in measures.parts]
    series = {"activation": [part.activation for part in measures.parts],
              "gradient": [part.gradient for part in measures.parts],
              "|Δw| / |w|": [part.step for part in measures.parts]}
    figure = go.Figure([
        {"type": "scatter", "x": names, "y": values, "name": name, "mode": "lines+markers", "connectgaps": False,
         "marker": {"symbol": symbol, "size": 8}, "hovertemplate": "%{x}: %{y:.3g}<extra>" + name + "</extra>"}
        for (name, values), symbol in zip(series.items(), ("circle", "diamond", "x"), strict=True)],
        {"yaxis": {"type": "log", "exponentformat": "power"}, "xaxis": {"type": "category"}})
    style.layout(figure, x="part of the network", y="size (log)", height=340, legend=True)
    return figure


# --- runs over each other ---


@frame.guarded("Runs over each other")
def overlaid(view: RunView) -> None:
    """Up to three more runs over this one, and only what differs of their settings."""
    others = {one.run_id: one for one in runs_view.listed(view.run_id)
              if one.spec.kind == "digits" and one.run_id != view.run_id and one.epochs}
    if not others:
        return
    wanted = [one for one in st.query_params.get_all("beside") if one in others][:MOST_BESIDE]
    picked = st.multiselect("Lay other runs over it", list(others), default=wanted, max_selections=MOST_BESIDE,
                            format_func=lambda one: runs_view.caption(others[one]), key=f"beside-{view.run_id}")
    if picked != wanted:
        st.query_params["beside"] = picked
    if not picked:
        return
    shown = [view, *(others[one] for one in picked)]
    learnt = [learnt_from(one.spec.request) for one in shown]
    st.plotly_chart(losses(shown), config=style.CONFIG, key="overlaid", alt="Loss of several runs over their epochs")
    if len(set(learnt)) > 1:
        st.caption("These runs are not measured in the same loss: " + ", ".join(
            f"“{k + 1} {frame.literal(one.spec.name)}” in the {WORDS[loss]}" for k, (one, loss) in
            enumerate(zip(shown, learnt, strict=True))) + ". One curve below another says nothing; compare how many "
            "pictures are named rightly.")
        st.plotly_chart(over_epochs(shown, "accuracy (%)", lambda epoch: (
            100 * epoch.train_accuracy, 100 * epoch.validation_accuracy)), config=style.CONFIG,
            key="overlaid-accuracy", alt="Accuracy of several runs over their epochs")
    rows = differences([one.spec for one in shown])
    if rows:
        st.table([{"setting": name, **{f"{k + 1} {one.spec.name}": said for k, (one, said) in
                                       enumerate(zip(shown, values, strict=True))}} for name, values in rows.items()])
    else:
        st.caption("The settings of these runs are the same.")


def losses(shown: Sequence[RunView]) -> go.Figure:
    """Their losses; the axis says in what they are measured where that is the same."""
    units = {loss_gap.unit_of(learnt_from(one.spec.request)) for one in shown}
    return over_epochs(shown, f"loss ({', '.join(units)})" if len(units) == 1 else "loss, each run's own",
                       lambda epoch: (epoch.train_loss, epoch.validation_loss))


def over_epochs(shown: Sequence[RunView], title: str, both: Callable[[Epoch], tuple[float, float]]) -> go.Figure:
    """What validation (solid) and training (dotted) came to in each epoch of each run, a colour a run; `both` reads
    training's and validation's."""
    figure = go.Figure()
    for k, view in enumerate(shown):
        colour, name = style.CATEGORICAL[k % len(style.CATEGORICAL)], f"{k + 1} {view.spec.name}"
        x = [one.epoch for one in view.epochs]
        figure.add_scatter(x=x, y=[both(one)[1] for one in view.epochs], name=f"{name}, validation",
                           mode="lines+markers", line={"color": colour, "width": 2})
        figure.add_scatter(x=x, y=[both(one)[0] for one in view.epochs], name=f"{name}, training",
                           mode="lines", line={"color": colour, "width": 1.5, "dash": "dot"})
    style.layout(figure, x="epoch", y=title, height=360, legend=True)
    return figure


def differences(specs: Sequence[RunSpec]) -> dict[str, list[str]]:
    """Setting -> what each run has, of the settings in which not all are alike.

    >>> one = RunSpec("digits", {"data": "digits", "epochs": 2}, 0, "a")
    >>> two = RunSpec("digits", {"data": "digits", "epochs": 2, "optimizer": "sgd"}, 0, "b")
    >>> differences([one, two])
    {'optimizer': ['adam', 'sgd']}
    """
    usual = {"network": numpy_fit.USUAL, **vars(scratch.Settings()), "augment": {}}
    all_said = [{**usual, **spec.request, "seed": spec.seed} for spec in specs]
    alike = [{**said, "network": spelling(spec)} for said, spec in zip(all_said, specs, strict=True)]
    names = dict.fromkeys(name for said in all_said for name in said)
    return {name.replace("_", " "): [str(said.get(name)) for said in all_said] for name in names
            if all(len({str(said.get(name)) for said in each}) > 1 for each in (all_said, alike))}


def spelling(spec: RunSpec) -> str:
    """The network of a run in one way, whether its request names a preset or spells it; as it is asked for where its
    data are gone."""
    told, _ = described(spec)
    return str(spec.request.get("network", numpy_fit.USUAL)) if told is None else spelled(told)

