"""The worker: runs a trainer to its end and writes every event down; whatever goes wrong becomes the last event."""

import contextlib
import errno
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from playground.errors import PlaygroundError
from playground.training.runs import runs
from playground.training.runs.events import Event, Failed, Saved, Started
from playground.training.runs.log import EventLog, read

Fit = Callable[[runs.RunSpec, Path, Callable[[], bool]], Iterator[Event]]


def work(run_dir: Path, fit: Fit, signals: bool = True) -> int:
    """Do the run in `run_dir` and return the exit status: 0, or 1 when it ended with a Failed.

    `fit(spec, run_dir, should_stop)` yields the events. Being told to end by the system (SIGTERM) is the same as being
    asked to stop: what was learnt is kept (without `signals` the caller sees to that). Never raises; the traceback of a
    failure is in the Failed and on the standard output (worker.log).
    """
    stop_file = run_dir / "stop"
    if signals and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: stop_file.touch())
    log = EventLog(run_dir / "events.jsonl")
    try:
        spec = runs.read_spec(run_dir)
        for event in fit(spec, run_dir, stop_file.exists):
            log.append(event)
            if isinstance(event, Started):  # only now is it known what it really runs on
                runs.write_spec(run_dir, spec, event.device)
        return 0
    except BaseException as error:  # SystemExit and Ctrl-C too: a run without a last word would look lost
        detail = traceback.format_exc()
        with contextlib.suppress(OSError):  # a full disk takes no last word: the run then shows as lost, and can go on
            kept = any(isinstance(event, Saved) for event in read(run_dir / "events.jsonl")[0])
            log.append(Failed(sentence(error, kept), detail, time.time()))
        with contextlib.suppress(OSError):
            print(detail, flush=True)
        return 1
    finally:
        log.close()


def sentence(error: BaseException, kept: bool = True) -> str:
    """What went wrong, in one sentence for a person. `kept`: whether an epoch had been saved."""
    if isinstance(error, PlaygroundError):
        return str(error)
    if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
        return "The computer ran out of memory: fewer or smaller pictures, or a smaller batch, would help."
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error):
        if not kept:
            return "The disk is full, and nothing had been learnt yet: once there is room, it can begin again."
        return "The disk is full: what was saved before is kept, and once there is room the training can go on from it."
    if getattr(error, "errno", None) == errno.EROFS:
        return "Nothing can be written where the playground keeps things: name another folder in PLAYGROUND_HOME."
    if isinstance(error, KeyboardInterrupt):
        return "The training was interrupted."
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"The training could not go on: {error.strerror}{where}."
    said = (str(error).strip().splitlines() or [""])[0][:200]
    return f"The training broke off with an error nobody expected: {type(error).__name__}{': ' if said else ''}{said}"
