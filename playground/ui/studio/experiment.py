"""An experiment on a page: started by a button, watched while it learns, the same for everybody who asks the same."""

from collections.abc import Callable

import streamlit as st

from playground.training.runs import runs
from playground.training.runs.runs import RunSpec, RunView
from playground.ui import frame, links
from playground.ui.parts import screen
from playground.ui.studio import runs_view

Draw = Callable[[RunView], None]


def show(spec: RunSpec, *, button: str, draw: Draw, about: str = "") -> None:
    """A start button until somebody has asked for these settings; then progress, a stop button and what `draw` draws.

    `draw` gets the run as it stands, again and again while it lives, and draws curves and, once the run is completed,
    what it showed. Under the button stands what it is `about`, and how long such a run took on this machine the last
    time; where none has ended yet, nothing is promised.
    """
    run_id = runs.same(spec)
    key = f"experiment-{spec.name}"
    with st.container(key=key):
        if run_id is None:
            st.button(button, type="primary", icon=":material/play_arrow:", key=f"go-{spec.name}",
                      on_click=_start, args=(spec, key), disabled=links.locked())
            st.caption(" ".join(filter(None, (
                about, last_time(spec), "Whoever asks for the same settings afterwards gets this result at once."))))
            return
        live = not runs_view.look(run_id).ended
        st.fragment(_progress, run_every=runs_view.TICK_SECONDS if live else None)(run_id, live, draw)
    screen.bring(key)


def last_time(spec: RunSpec) -> str:
    """How long a run like this one took here: on the same data, of the same experiment and recipe."""
    like = ("experiment", "data", "recipe")
    found = runs_view.last_time(lambda other: other.kind == spec.kind and all(
        other.request.get(key) == spec.request.get(key) for key in like))
    return f"The last run like it took {runs_view.duration(found)} on this machine." if found is not None else ""


def _start(spec: RunSpec, key: str) -> None:
    with frame.guard("Starting the experiment"):
        runs.start_once(spec)
        screen.wanted(key)


@frame.guarded("The progress of the experiment")
def _progress(run_id: str, was_live: bool, draw: Draw) -> None:
    view = runs_view.look(run_id)
    if was_live and view.ended:
        st.rerun()
    if was_live:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(view.progress, text=telling(view))
            st.button("Stop", icon=":material/stop:", key=f"stop-{run_id}", on_click=runs.stop, args=(run_id,),
                      disabled=links.locked() or not runs.may_change(run_id))
    runs_view.ending(view)
    if view.started:
        draw(view)


def right_answers(view: RunView) -> dict[str, tuple[int, int]]:
    """How many pictures never seen each contestant named rightly at last, of how many."""
    count = view.started.samples["test"] if view.started else 0
    return {m.contestant: (round(m.test_accuracy * count), count) for m in view.measured}


def telling(view: RunView) -> str:
    """How far an experiment is, and how long it will take once that can be known."""
    total = view.started.total_epochs if view.started else 0
    if not total or view.state in ("queued", "starting", "stopping") or not (view.measured or view.epochs):
        return runs_view.telling(view)
    left = f" · about {runs_view.duration(view.remaining_seconds)} left" if view.remaining_seconds is not None else ""
    return f"{len(view.measured) or len(view.epochs)} of {total} epochs{left}"


def last_accuracy(view: RunView) -> dict[str, float]:
    """Each contestant's accuracy (%) on pictures never seen, as last measured."""
    return {m.contestant: 100 * m.test_accuracy for m in view.measured}
