"""How fast the workers of the tests are. Python runs this file in every interpreter with this folder on PYTHONPATH.

    PACE=hurried   whoever starts a run finds it at its end: nothing of it can be watched, except of one of
                   thousands of epochs, which is found after its first
    PACE=slowed    every worker begins a second late and rests after every batch

A test that passes both ways, and without either, does not depend on how fast the machine is. tests/conftest.py puts the
folder on PYTHONPATH where PACE is set; the product knows nothing of it.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ENDLESS_EPOCHS = 1000
LATE_SECONDS, REST_SECONDS = 1.0, 0.02
PROCESSES = ("playground.jobs", "playground.training.runs.queue")


def hurried(launch: Callable[..., None], runs: Any) -> Callable[..., None]:
    """A start of a worker that comes back when the run has ended, waits for its turn, or is endless."""

    def launched(folder: Path, spec: Any, **how: Any) -> None:
        launch(folder, spec, **how)
        while runs.is_alive(folder) and spec.kind != runs.DOWNLOAD:  # which is as quick as its server
            view = runs.view(folder.name)
            if view.state == "queued" or (view.epochs and view.spec.request["epochs"] > ENDLESS_EPOCHS):
                return
            time.sleep(0.02)

    return launched


def slowed(work: Callable[..., int]) -> Callable[..., int]:
    """A worker whose trainer rests whenever it asks whether it is to stop: before every batch."""

    def worked(run_dir: Path, fit: Callable[..., Iterator[Any]], signals: bool = True) -> int:
        def rested(spec: Any, folder: Path, should_stop: Callable[[], bool]) -> Iterator[Any]:
            def asked() -> bool:
                time.sleep(REST_SECONDS)
                return should_stop()

            yield from fit(spec, folder, asked)

        return work(run_dir, rested, signals)

    return worked


def change(pace: str) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    try:
        from playground.training.runs import runs, worker  # the standard library alone
    finally:
        del sys.path[0]
    if pace == "hurried":
        runs._launch = hurried(runs._launch, runs)  # type: ignore[assignment]
    elif pace == "slowed":
        worker.work = slowed(worker.work)  # type: ignore[assignment]
        if any(name in sys.orig_argv for name in PROCESSES):
            time.sleep(LATE_SECONDS)
    else:
        raise SystemExit(f"PACE is hurried or slowed, not {pace!r}.")


if os.environ.get("PACE"):
    change(os.environ["PACE"])
