"""An experiment on a page: started by a button, watched while it learns, the same for everybody who asks the same."""

from collections.abc import Callable

import streamlit as st

from playground.training import runs
from playground.training.runs import RunSpec, RunView
from playground.ui import frame, runs_view

Draw = Callable[[RunView], None]


def show(spec: RunSpec, *, button: str, about: str, draw: Draw) -> None:
    """A start button until somebody has asked for these settings; then progress, a stop button and what `draw` draws.

    `draw` gets the run as it stands, again and again while it lives, and draws curves and, once the run is completed,
    what it showed. `about` says under the button how long it takes.
    """
    run_id = runs.same(spec)
    if run_id is None:
        st.button(button, type="primary", icon=":material/play_arrow:", key=f"go-{spec.name}",
                  on_click=_start, args=(spec,))
        st.caption(f"{about} Whoever asks for the same settings afterwards gets this result at once.")
        return
    live = not runs_view.look(run_id).ended
    st.fragment(_progress, run_every=runs_view.TICK_SECONDS if live else None)(run_id, live, draw)


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


def last_accuracy(view: RunView) -> dict[str, float]:
    """Each contestant's accuracy (%) on pictures never seen, as last measured."""
    return {m.contestant: 100 * m.test_accuracy for m in view.measured}
