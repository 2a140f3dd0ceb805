"""An experiment on a page: started by a button, watched while it learns, the same for everybody who asks the same."""

from collections.abc import Callable

import streamlit as st

from playground.errors import PlaygroundError
from playground.numbers import counted
from playground.training import runs
from playground.training.runs import RunSpec, RunView
from playground.ui import frame, runs_view

Draw = Callable[[RunView], None]


def show(spec: RunSpec, *, button: str, about: str, draw: Draw) -> None:
    """A start button until somebody has asked for these settings; then progress, a stop button and what `draw` draws.

    `draw` gets the run as it stands, again and again while it lives, and draws curves and, once the run is completed,
    what it showed. Under the button stands how long the last one like it took here, or, before there is one, `about`.
    """
    run_id = runs.same(spec)
    if run_id is None:
        st.button(button, type="primary", icon=":material/play_arrow:", key=f"go-{spec.name}",
                  on_click=_start, args=(spec,))
        st.caption(f"{last_took(spec) or about} Whoever asks for the same settings afterwards gets this result at "
                   "once.")
        return
    live = not runs_view.look(run_id).ended
    st.fragment(_progress, run_every=runs_view.TICK_SECONDS if live else None)(run_id, live, draw)


def last_took(spec: RunSpec) -> str:
    """How long the newest completed run like this one took on this computer, in a sentence; nothing if there is none.

    Like this one is what was started by the same button, whatever its settings.
    """
    for run_id in runs.run_ids():
        try:
            other = runs.read_spec(runs.run_dir(run_id))
            if (other.kind, other.name, other.request.get("experiment")) != (
                    spec.kind, spec.name, spec.request.get("experiment")):
                continue
            view = runs_view.look(run_id)
        except PlaygroundError:
            continue  # a damaged run says nothing
        if view.state == "completed" and view.finished:
            epochs = other.request.get("epochs")
            return (f"The last one here took {runs_view.duration(view.finished.seconds)}"
                    + (f", for {counted(epochs, 'epoch')}" if epochs else "") + ".")
    return ""


def _start(spec: RunSpec) -> None:
    with frame.room("Starting the experiment"):
        runs.start_once(spec)


@frame.guarded("The progress of the experiment")
def _progress(run_id: str, was_live: bool, draw: Draw) -> None:
    view = runs_view.look(run_id)
    if was_live and view.ended:
        st.rerun()
    if was_live:
        total = view.started.total_epochs if view.started else 0
        st.progress(view.progress, text=f"{len(view.measured)} of {total} epochs" if total else runs_view.telling(view))
        st.button("Stop", icon=":material/stop:", key=f"stop-{run_id}", on_click=runs.stop, args=(run_id,))
    runs_view.ending(view)
    if view.started:
        draw(view)


def right_answers(view: RunView) -> dict[str, tuple[int, int]]:
    """How many pictures never seen each contestant named rightly at last, of how many."""
    count = view.started.samples["test"] if view.started else 0
    return {m.contestant: (round(m.test_accuracy * count), count) for m in view.measured}


def last_accuracy(view: RunView) -> dict[str, float]:
    """Each contestant's accuracy (%) on pictures never seen, as last measured."""
    return {m.contestant: 100 * m.test_accuracy for m in view.measured}
