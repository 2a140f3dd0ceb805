"""The trainings of all workspaces, as the teacher sees them: how far they are, where they wait, how well they did."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import streamlit as st

from playground import home
from playground.classroom import workspaces
from playground.deploy import interval
from playground.errors import PlaygroundError
from playground.figures import choices, style
from playground.figures.choices import Result
from playground.numbers import counted, percent
from playground.training.runs import runs, turns
from playground.training.runs.runs import DOWNLOAD, PRETRAINED
from playground.ui import frame, links
from playground.ui.studio import runs_view

EVERY_SECONDS = 3.0
MOST_ENDED, MOST_LIVE, MOST_POINTS = 60, 40, 30
SERIES = {"digits": "from scratch, digits", "transfer": "transfer, photos", "experiment": "experiments"}
COMMON = "the whole class"


@dataclass(frozen=True)
class Training:
    """One run of somebody's: its id, the home it lies in, whose it is in words, and how it is doing."""

    run_id: str
    home: Path
    owner: str
    name: str
    kind: str
    state: str
    progress: float
    told: str
    accuracy: float | None
    count: int

    @property
    def live(self) -> bool:
        return self.state not in runs.ENDED


def all_of_them() -> list[Training]:
    """Every training, in every workspace and in common, the newest first."""
    found = [one for each in workspaces.all_of_them() for one in _of(each.home, each.called)]
    found += _of(home.shared(), COMMON)
    return sorted(found, key=lambda one: one.run_id, reverse=True)


def _of(place: Path, owner: str) -> Iterator[Training]:
    with home.entered(place):
        for run_id in runs.run_ids():
            folder = place / ".runs" / run_id
            if not folder.is_dir():
                continue  # of the class in common: it is listed once, as that
            log = folder / "events.jsonl"
            try:
                stat = log.stat() if log.exists() else None
                seen = _looked(folder, (stat.st_mtime_ns, stat.st_size) if stat else None, turns.is_alive(folder),
                               (folder / "stop").exists())
            except (PlaygroundError, OSError):
                continue  # damaged, or removed this moment
            yield Training(run_id, place, owner, *seen)


@lru_cache(maxsize=2048)
def _looked(folder: Path, *_version: object) -> tuple[str, str, str, float, str, float | None, int]:
    """What is shown of a run, without its curves: a class has hundreds."""
    view = runs.view(folder.name)
    share = view.finished.test_accuracy if view.finished else None
    return (view.spec.name or view.spec.kind, view.spec.kind, view.state, view.progress,
            runs_view.telling(view) if not view.ended else "", share, view.finished.test_count if view.finished else 0)


def clear_cache() -> None:
    """What is kept in memory of the trainings of all."""
    _looked.cache_clear()


@st.fragment(run_every=EVERY_SECONDS)
@frame.guarded("Trainings")
def under_way() -> None:
    """What trains and what waits, each with a button that ends it; and what has ended."""
    found = all_of_them()
    live = [one for one in found if one.live]
    waiting = [turn.folder.name for turn in turns.in_order(turns.waiting(), turns.training())]
    order = {run_id: k for k, run_id in enumerate(waiting, 1)}
    live.sort(key=lambda one: (one.run_id in order, order.get(one.run_id, 0), one.run_id))
    if not live:
        st.caption("Nothing is trained at the moment.")
    for one in live[:MOST_LIVE]:
        _row(one, order.get(one.run_id, 0))
    if len(live) > MOST_LIVE:
        st.caption(f"and {len(live) - MOST_LIVE} more")
    ended = [one for one in found if not one.live and one.kind != PRETRAINED]
    if ended:
        st.dataframe(
            {"reader": [one.owner for one in ended[:MOST_ENDED]], "training": [one.name for one in ended[:MOST_ENDED]],
             "ended": [runs_view.STATES[one.state][0] for one in ended[:MOST_ENDED]],
             "right (%)": [round(100 * one.accuracy, 1) if one.accuracy is not None and one.count else None
                           for one in ended[:MOST_ENDED]]},
            hide_index=True, height=min(36 + 35 * len(ended[:MOST_ENDED]), 260), key="class-ended")


def _row(one: Training, place: int) -> None:
    state, icon, colour = runs_view.STATES[one.state]
    with st.container(horizontal=True, vertical_alignment="center", key=f"class-run-{one.run_id}"):
        st.markdown(f"**{frame.literal(one.owner)}** · {frame.literal(one.name)}", width=220)
        st.badge(state, icon=icon, color=colour)  # type: ignore[arg-type]
        told = f"place {place} in the queue" if place else one.told
        st.progress(min(max(one.progress, 0.0), 1.0), text=frame.literal(told), width=320)
        st.button("Cancel" if one.state == "queued" else "Stop", key=f"class-stop-{one.run_id}", icon=":material/stop:",
                  on_click=stop, args=(one,), disabled=one.state == "stopping" or links.locked())


def stop(one: Training) -> None:
    """Ask a run of anybody's to end; what is gone already is left alone."""
    try:
        with home.entered(one.home):
            runs.stop(one.run_id)
    except PlaygroundError as error:
        st.toast(frame.literal(home.public(str(error))), icon=":material/error:")


def results_of(found: list[Training]) -> list[Result]:
    """The finished trainings that were measured, the newest ones, with the interval of what was measured."""
    made = []
    for one in found:
        if one.state in ("completed", "stopped") and one.accuracy is not None and one.count and one.kind != DOWNLOAD:
            low, high = interval.wilson(round(one.accuracy * one.count), one.count)
            number = list(SERIES).index(one.kind) if one.kind in SERIES else len(SERIES)
            made.append(Result(f"{one.owner}: {one.name}", number, SERIES.get(one.kind, one.kind), one.accuracy, low,
                               high, one.count))
    return made[:MOST_POINTS]


@st.fragment(run_every=EVERY_SECONDS)
@frame.guarded("Results")
def results() -> None:
    """The finished trainings on one chart."""
    found = results_of(all_of_them())
    if not found:
        st.caption("When a training of the class has ended, its result stands here, with its 95 % interval.")
        return
    best = max(found, key=lambda one: one.share)
    st.plotly_chart(choices.result_points(found), key="class-results", config=style.CONFIG,
                    alt=f"Results of {counted(len(found), 'training')}; the highest is {best.name} with "
                        f"{percent(best.share)}")
    st.caption("Points: the share of pictures kept aside that was named right. Lines: Wilson’s 95 % interval of it. "
               "Results on different pictures cannot be compared.")
