"""What is asked of a run, and how it is doing: a pure fold of what happened."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from playground.training.runs.events import (
    Batch,
    Cancelled,
    Epoch,
    Event,
    Exported,
    Failed,
    Finished,
    Measured,
    Measures,
    Queued,
    RateChanged,
    Resumed,
    Saved,
    Stage,
    Started,
)
from playground.training.runs.remaining import progress, remaining_seconds

KINDS = ("digits", "transfer", "experiment", "pretrained", "download")
EXPERIMENT = "experiment"  # trains to be watched: nothing of it is exported
PRETRAINED = "pretrained"  # trained elsewhere: only exported
DOWNLOAD = "download"  # fetches a set of photographs: nothing is trained and nothing exported
WITHOUT_MODEL = (EXPERIMENT, DOWNLOAD)
ENDED = ("completed", "stopped", "failed", "lost")
ID_MOMENT = "%Y%m%d-%H%M%S-%f"  # what a run's id begins with


@dataclass(frozen=True)
class RunSpec:
    """What is asked of a run. `kind` names the trainer, `request` is its own, `name` the model's in the registry."""

    kind: str
    request: dict[str, Any]
    seed: int
    name: str
    replace: bool = False  # the model of that name may go


@dataclass(frozen=True)
class RunView:
    """How a run is doing: a pure fold of its events, and whether its worker lives.

    `state` is "queued" (`place` says how far from its turn, 1 is next), "starting", "running", "stopping", "completed",
    "stopped", "failed" or "lost" (the worker died without a last word). `progress` is 0..1; `remaining_seconds` is None
    while nobody can know. `seconds` is how long the run has worked in all: from its start to its last word, without
    waiting in the queue and without lying dead. Curves of an earlier attempt are shown as long as its weights are kept,
    until a later one has learnt something itself. `measures` are of all attempts, which take the same steps.
    """

    run_id: str
    spec: RunSpec
    state: str
    stage: Stage | None = None
    started: Started | None = None
    batches: list[Batch] = field(default_factory=list)
    epochs: list[Epoch] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    measures: list[Measures] = field(default_factory=list)
    rate_changes: list[RateChanged] = field(default_factory=list)
    saved: Saved | None = None
    finished: Finished | None = None
    exported: Exported | None = None
    failed: Failed | None = None
    place: int = 0
    progress: float = 0.0
    remaining_seconds: float | None = None
    seconds: float = 0.0
    finishing: bool = False  # nothing is trained any more: a model is made of what was learnt before

    @property
    def ended(self) -> bool:
        """Nothing more will happen."""
        return self.state in ENDED

    @property
    def can_go_on(self) -> bool:
        """It ended without what was asked for: its worker died, something failed, or it was cancelled in the queue."""
        return self.state in ("lost", "failed") or (self.state == "stopped" and self.finished is None)

    @property
    def can_be_finished(self) -> bool:
        """It ended without a model though it has kept weights: `runs.finish` makes a model of them without training."""
        return self.can_go_on and self.spec.kind not in WITHOUT_MODEL and bool(self.saved or self.finished)


def fold(run_id: str, spec: RunSpec, events: list[Event], alive: bool, stop_asked: bool) -> RunView:
    """The events of a run as one view; the same events, aliveness and wish give the same view."""
    attempts = divided(events)
    now = attempts[-1]
    shown = next((one for one in reversed(attempts) if any(isinstance(e, Epoch | Measured | Saved) for e in one)), now)
    shown = shown if shown is now else [*shown, *now]
    last: dict[type, Event] = {type(event): event for event in now}
    told: dict[type, Event] = {type(event): event for event in shown}
    finished = last.get(Finished)
    queued = now[-1] if now and isinstance(now[-1], Queued) else None
    work = [event for event in now if not isinstance(event, Queued)]  # waiting is neither progress nor work

    if Failed in last:
        state = "failed"
    elif Cancelled in last:
        state = "stopped"
    elif isinstance(finished, Finished) and (Exported in last or spec.kind in WITHOUT_MODEL):
        state = finished.reason
    elif not alive:
        state = "lost"
    elif stop_asked:
        state = "stopping"
    elif queued is not None and queued.place:
        state = "queued"
    else:
        state = "running" if work else "starting"
    return RunView(
        run_id, spec, state,
        stage=now[-1] if now and isinstance(now[-1], Stage) else None,
        started=told.get(Started),  # type: ignore[arg-type]
        batches=[event for event in shown if isinstance(event, Batch)],
        epochs=[event for event in shown if isinstance(event, Epoch)],
        measured=[event for event in shown if isinstance(event, Measured)],
        measures=[event for _, event in sorted({e.step: e for e in events if isinstance(e, Measures)}.items())],
        rate_changes=[event for event in shown if isinstance(event, RateChanged)],
        saved=told.get(Saved),  # type: ignore[arg-type]
        finished=told.get(Finished) if state in ENDED else finished,  # type: ignore[arg-type]
        exported=last.get(Exported),  # type: ignore[arg-type]
        failed=last.get(Failed),  # type: ignore[arg-type]
        place=queued.place if queued and state == "queued" else 0,
        progress=1.0 if state in ("completed", "stopped") else progress(work, spec.request),
        remaining_seconds=remaining_seconds(work, spec.request) if state == "running" else None,
        seconds=worked_seconds(run_id, events),
        finishing=next((event.finishing for event in reversed(events) if isinstance(event, Resumed)), False),
    )


def divided(events: list[Event]) -> list[list[Event]]:
    """The events of each attempt. One that only finishes what the one before has learnt goes on with its events, and
    what went wrong there is no longer so."""
    attempts: list[list[Event]] = [[]]
    for event in events:
        if not isinstance(event, Resumed):
            attempts[-1].append(event)
        elif not event.finishing:
            attempts.append([])
        else:
            if len(attempts) > 1 and not any(isinstance(e, Saved | Finished) for e in attempts[-1]):
                attempts.pop()  # it learnt nothing: what is finished is an earlier one's
            attempts[-1] = [e for e in attempts[-1] if not isinstance(e, Failed | Cancelled)]
    return attempts


def worked_seconds(run_id: str, events: list[Event]) -> float:
    """How long a run has worked: every attempt from its start to its last word, less what it waited in the queue."""
    total, began, last, waits = 0.0, began_at(run_id), 0.0, 0.0
    for event in events:
        if isinstance(event, Resumed):
            total, began, last, waits = total + max(0.0, last - began) if last else total, event.time, 0.0, 0.0
            continue
        began = began or event.time
        if waits:
            began, waits = began + max(0.0, event.time - waits), 0.0
        if isinstance(event, Queued) and event.place:
            waits = event.time
        last = event.time
    return total + (max(0.0, last - began) if last else 0.0)


def began_at(run_id: str) -> float:
    """When a run was asked for, seconds since 1970, as its id says; 0 where it does not."""
    try:
        return datetime.strptime(run_id.rpartition("-")[0], ID_MOMENT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
