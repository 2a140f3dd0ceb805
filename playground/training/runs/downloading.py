"""A download as a run: it goes on when the page is closed, everybody watches the same one, and it can be stopped."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from playground.datasets import downloads
from playground.training.runs.events import Event, Finished, Stage, Started
from playground.training.runs.runs import RunSpec

BETWEEN_STAGES_SECONDS = 0.25
MEGABYTE = 1_000_000
TEXTS = {"waiting": "waiting for the same download, begun elsewhere", "downloading": "downloading, megabyte",
         "checking": "checking what has come", "unpacking": "unpacking, picture"}


def fit(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Fetch the set that the request names (`set`), and finish "stopped" where it is not whole afterwards.

    Raises PlaygroundError when there is no such set, or it cannot be had.
    """
    began = written = time.time()
    name, doing = spec.request["set"], ""
    yield Started(spec.kind, 0, 0, 0, (), {}, "cpu", began)
    for progress in downloads.download(name, should_stop):
        now = time.time()
        if progress.doing == doing and progress.done < progress.total and now - written < BETWEEN_STAGES_SECONDS:
            continue
        doing, written = progress.doing, now
        if doing == "downloading":
            yield Stage(TEXTS[doing], progress.done // MEGABYTE, -(-progress.total // MEGABYTE), now)
        else:
            counted = doing == "unpacking" and progress.total > 1
            yield Stage(TEXTS[doing] if counted else TEXTS[doing].partition(",")[0],
                        progress.done if counted else 0, progress.total if counted else 1, now)
    reason = "completed" if downloads.folder(name) else "stopped"
    yield Finished(reason, 0, None, 0, time.time() - began, (), time.time())
