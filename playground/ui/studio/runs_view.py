"""A training run on a page: which one is looked at, how far it is, how it ended.

The worker writes a log, this reads it; nothing here trains. The run's id stands in the page's address, so a reload, a
second window or a colleague with the link sees the same run.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import streamlit as st

from playground import home
from playground.errors import PlaygroundError
from playground.figures import curves, style
from playground.numbers import count, percent
from playground.training.runs import log, runs
from playground.training.runs.events import Exported, Failed, Finished, Queued, Resumed, ordinal
from playground.training.runs.runs import DOWNLOAD, RunSpec, RunView
from playground.training.scratch.losses import learnt_from
from playground.ui import frame, links
from playground.ui.parts import screen
from playground.ui.studio import loss_gap, models

TICK_SECONDS = 0.5
MOST_LISTED, MOST_ASKED = 30, 200
PANEL = "run-panel"

STATES = {
    "queued": ("waiting", ":material/hourglass_top:", "violet"),
    "starting": ("starting", ":material/hourglass_top:", "blue"),
    "running": ("running", ":material/play_arrow:", "blue"),
    "stopping": ("stopping", ":material/stop:", "orange"),
    "completed": ("completed", ":material/check:", "green"),
    "stopped": ("stopped early", ":material/stop:", "orange"),
    "failed": ("failed", ":material/error:", "red"),
    "lost": ("lost", ":material/error:", "red"),
}


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    >>> duration(0.4), duration(75), duration(3 * 3600 + 120)
    ('under 1 s', '1 min 15 s', '3 h 2 min')
    """
    whole = round(seconds)
    if whole < 1:
        return "under 1 s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def follow(run_id: str) -> None:
    """Put a run into the page's address: from now on the page shows it."""
    st.query_params["run"] = run_id


def begin(spec: RunSpec, suggested: bool = False) -> None:
    """Start a run in its own process, follow it, and have it on the screen; where its name was only `suggested` the
    next free one will do.
    """
    follow(runs.start(spec, suggested))
    screen.wanted(PANEL)
    st.rerun()


def look(run_id: str) -> RunView:
    """How a run is doing, read again only when something about it changed: thirty runs are listed on every redraw."""
    folder = runs.run_dir(run_id)
    log = folder / "events.jsonl"
    found = log.stat() if log.exists() else None
    written = (found.st_mtime_ns, found.st_size) if found else None
    return _read(folder, written, runs.is_alive(folder), (folder / "stop").exists())


@lru_cache(maxsize=64)
def _read(folder: Path, *_state: object) -> RunView:
    return runs.view(folder.name)


def clear_cache() -> None:
    """What is kept in memory of runs."""
    _read.cache_clear()


def chosen(kind: str) -> RunView | None:
    """The run named in the page's address, if it exists and is of this page's kind."""
    with frame.guard("The list of runs"):
        wanted = st.query_params.get("run")
        found = {view.run_id: view for view in listed(wanted) if view.spec.kind == kind}
        if found:
            choice = st.selectbox(
                "Your runs" if home.is_class() else "Runs on this server",
                list(found),
                index=list(found).index(wanted) if wanted in found else None,
                format_func=lambda run_id: caption(found[run_id]),
                placeholder=f"{len(found)} so far, newest first",
                key=f"runs-{wanted}-{hash(tuple(map(caption, found.values())))}",
                width=420,
                help="Every run is kept with its curves; the page's address names the one you look at.",
            )
            if choice is not None and choice != wanted:
                follow(choice)
                st.rerun()
            if wanted in found and found[wanted].ended:
                removal(found[wanted])
        if wanted and wanted not in found:
            st.info("The run in this page's address is not on this server (any more). Start a new one.")
        return found.get(wanted or "")
    return None


def removal(view: RunView) -> None:
    """Deleting a run that has ended, asked for twice."""
    with st.popover("Delete this run…", icon=":material/delete:", disabled=links.locked()):
        st.markdown("Its curves and the weights it kept will be deleted. Its model stays under Models.")
        st.button("Delete for good", type="primary", key=f"delete-{view.run_id}", on_click=delete, args=(view.run_id,))


def delete(run_id: str) -> None:
    """Delete a run and take it out of the address; that somebody else was quicker is no trouble."""
    with frame.guard("Deleting a run"):
        if run_id in runs.run_ids():
            runs.remove(run_id)
    st.query_params.pop("run", None)


def followed(kind: str) -> RunView | None:
    """The run named in the page's address, if there is one of this kind, for a page whose list of runs stands below."""
    try:
        view = look(st.query_params.get("run", ""))
    except PlaygroundError:
        return None
    return view if view.spec.kind == kind else None


def listed(wanted: str | None) -> Iterator[RunView]:
    """The newest runs and the wanted one; a damaged one is told of and passed over."""
    ids = [one for one in runs.run_ids() if one == wanted or not runs.is_in_common(one)]
    for run_id in [*ids[:MOST_LISTED], *(i for i in ids[MOST_LISTED:] if i == wanted)]:
        try:
            yield look(run_id)
        except PlaygroundError as error:
            st.warning(frame.literal(str(error)), icon=":material/broken_image:")


def caption(view: RunView) -> str:
    """One line that tells runs apart."""
    score = view.finished.test_accuracy if view.finished else None
    # Live states change twice a second inside the fragment, this list only with the whole page.
    state = STATES[view.state][0] if view.ended else "under way"
    return f"{view.spec.name} · {state}" + (f" · {percent(score)}" if score is not None else "")


def watch(view: RunView, held_out: str, result: Callable[[RunView], None] | None = None,
          ails: Callable[[RunView], bool] | None = None) -> None:
    """The run's progress: redrawn twice a second while it lives, once when it has ended; with `result` between.

    `result` is drawn of a run that has ended, where the progress was, above its curves; `ails` says whether something
    is wrong with the run, so that nothing beside the curves says otherwise.
    """
    live = not view.ended
    with st.container(key=PANEL):
        st.fragment(progress, run_every=TICK_SECONDS if live else None)(view.run_id, live, held_out, result, ails)
    screen.bring(PANEL)


@frame.guarded("The progress of the run")
def progress(run_id: str, was_live: bool, held_out: str, result: Callable[[RunView], None] | None = None,
             ails: Callable[[RunView], bool] | None = None) -> None:
    """State, stage, time left, stop button, result and curves of one run."""
    view = look(run_id)
    if was_live and view.ended:
        st.rerun()  # the whole page: what follows a finished run is outside this fragment
    state, icon, colour = STATES[view.state]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{frame.literal(view.spec.name)}**", width="content")
        st.badge(state, icon=icon, color=colour)  # type: ignore[arg-type]
        if was_live:
            st.button(
                "Cancel" if view.state == "queued" else "Stop",
                icon=":material/stop:",
                key=f"stop-{run_id}",
                disabled=view.state == "stopping" or links.locked() or not runs.may_change(run_id),
                on_click=runs.stop,
                args=(run_id,),
                help=stopping(view),
            )
        elif view.epochs and view.started is not None:
            st.caption(f"epoch {view.epochs[-1].epoch} of {view.started.total_epochs}", width="content")
    if was_live:
        st.progress(min(max(view.progress, 0.0), 1.0), text=frame.literal(telling(view)))
    ending(view)
    if result is not None and view.ended:
        result(view)
    if view.batches or view.epochs:
        all_curves(view, held_out, ails)


def all_curves(view: RunView, held_out: str, ails: Callable[[RunView], bool] | None = None) -> None:
    """Loss, accuracy and, where it changes much, the learning rate, side by side as far as there is room."""
    total, run_id = view.started.total_epochs if view.started else 1, view.run_id
    unit = loss_gap.unit_of(learnt_from(view.spec.request))
    left, right = st.columns(2)
    left.plotly_chart(
        curves.loss_curves(view.batches, view.epochs, total, held_out, unit),
        key=f"loss-{run_id}",
        config=style.CONFIG,
        alt="Loss over epochs",
    )
    right.plotly_chart(
        curves.accuracy_curves(view.batches, view.epochs, total, held_out),
        key=f"accuracy-{run_id}",
        config=style.CONFIG,
        alt="Accuracy over epochs",
    )
    st.caption(
        "Faint: single training batches. Lines: averages over an epoch. The "
        f"{held_out} images are never trained on: when their loss rises while the training loss falls, the network "
        "is learning its training images by heart."
    )
    if (said := loss_gap.why(view, held_out)) and not (ails and ails(view)):
        st.caption(said)
    if len({batch.learning_rate for batch in view.batches}) > 1:
        st.plotly_chart(
            curves.learning_rate_curve(view.batches, total),
            key=f"rate-{run_id}",
            config=style.CONFIG,
            alt="Learning rate over epochs",
        )


def took(run_id: str) -> float | None:
    """Seconds from a run's turn to its end, as the clock on the wall says: start, reading, training, export.

    Waiting in the queue is not in it, nor what came before the run was resumed. None while it has not ended.
    """
    folder = runs.run_dir(run_id)
    events, _ = log.read(folder / "events.jsonl")
    if not events or not isinstance(events[-1], (Finished, Exported, Failed)):
        return None
    began = datetime.strptime(run_id[:22], "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC).timestamp()
    for event in events:
        if isinstance(event, Resumed) or (isinstance(event, Queued) and event.place == 0):
            began = event.time
    return max(0.0, events[-1].time - began)


def time_metric(view: RunView) -> None:
    """How long an ended run took, as the clock on the wall says."""
    seconds = took(view.run_id)
    if seconds is not None:
        st.metric("trained for", duration(seconds), width="content",
                  help="From its turn until its model was exported: start of the process, reading the pictures, "
                  "training, export and comparison.")


def said_last_time(same: Callable[[RunSpec], bool]) -> str:
    """How long a run took here the last time, as a sentence; nothing where there was none."""
    seconds = last_time(same)
    return f"The last run like it took {duration(seconds)} on this machine." if seconds is not None else ""


def last_time(same: Callable[[RunSpec], bool]) -> float | None:
    """Seconds that the newest completed run took of those whose spec says so; None when there is none yet."""
    for run_id in runs.run_ids()[:MOST_ASKED]:
        try:
            spec = runs.read_spec(runs.run_dir(run_id))
            if same(spec) and look(run_id).state == "completed":
                return took(run_id)
        except PlaygroundError:
            continue  # a damaged run is nobody's measure
    return None


def stopping(view: RunView) -> str:
    """What the stop button does."""
    if view.state == "queued":
        return "Takes it out of the queue."
    if view.spec.kind == DOWNLOAD:
        return "What has come is kept."
    return "Ends after the batch it is in; what was learnt until then is kept."


def telling(view: RunView) -> str:
    """What is going on and how long it will take, in one line."""
    if view.state == "queued":
        return f"{ordinal(view.place)} in the queue: it starts by itself when its turn comes"
    if view.state == "starting":
        return "starting a process of its own"
    if view.stage is not None:
        text = (
            f"{view.stage.text} {count(view.stage.done)} of {count(view.stage.total)}"
            if view.stage.total > 1
            else view.stage.text
        )
    elif view.epochs or view.batches:
        total = view.started.total_epochs if view.started else 0
        now = view.batches[-1].epoch if view.batches else view.epochs[-1].epoch
        text = f"epoch {now} of {total}"
    else:
        text = "reading the pictures and getting ready"
    if view.state == "stopping":
        return f"{text} · stopping"
    return text + (f" · about {duration(view.remaining_seconds)} left" if view.remaining_seconds is not None else "")


def go_on(run_id: str) -> None:
    """Resume a run that died or failed; that somebody else was quicker is no trouble."""
    try:
        runs.resume(run_id)
    except PlaygroundError as error:
        if runs.view(run_id).can_go_on:
            st.toast(frame.literal(home.public(str(error))), icon=":material/error:")


def finishing(view: RunView) -> bool:
    """Where only the last step failed: a name and a button that keeps what was trained. Whether they are drawn."""
    if not view.can_be_finished:
        return False
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.text_input("Name", models.free_name(view.spec.name), max_chars=60, key=f"finish-name-{view.run_id}",
                      width=240, disabled=links.locked())
        st.button("Keep it under this name", type="primary", icon=":material/save:", key=f"finish-{view.run_id}",
                  on_click=finish, args=(view.run_id, f"finish-name-{view.run_id}"), disabled=links.locked(),
                  help="What was trained is still there: it is exported and kept under Models, without training again.")
    return True


def finish(run_id: str, field: str) -> None:
    """Finish a run whose export failed under the name in a field; what is wrong with the name is said."""
    try:
        runs.finish(run_id, st.session_state[field])
        screen.wanted(PANEL)
    except PlaygroundError as error:
        st.toast(frame.literal(home.public(str(error))), icon=":material/error:")


def ending(view: RunView) -> None:
    """The sentence a run ends with when it did not end well."""
    if view.state == "failed" and view.failed is not None:
        st.error(frame.literal(home.public(view.failed.message)), icon=":material/error:")
        if finishing(view):
            return
        if view.spec.kind != DOWNLOAD:
            st.button(
                "Try again",
                icon=":material/resume:",
                key=f"resume-{view.run_id}",
                on_click=go_on,
                args=(view.run_id,),
                help="Goes on from where the run last saved itself, or begins anew where it has not.",
            )
    elif view.spec.kind == DOWNLOAD and view.state in ("lost", "stopped"):
        st.info("The download was interrupted; what has come is kept.", icon=":material/stop:")
    elif view.state == "lost":
        st.error(
            "The process that trained this model ended without a last word: it was killed or the machine went down. "
            "It can go on from where it last saved itself, and comes to the same end.",
            icon=":material/error:",
        )
        st.button("Go on", icon=":material/resume:", key=f"resume-{view.run_id}", on_click=go_on, args=(view.run_id,))
    elif view.state == "stopped" and view.started is None:
        st.info("It was stopped before it began.", icon=":material/stop:")
    elif view.state == "stopped":
        epochs = view.finished.epochs if view.finished else len(view.epochs)
        st.info(
            f"Stopped after {epochs} of {view.started.total_epochs if view.started else '?'} epochs; what was learnt "
            "until then was kept.",
            icon=":material/stop:",
        )
