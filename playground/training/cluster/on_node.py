"""The process that trains on a node: `python -m playground.training.cluster.on_node RUN_DIR ORDER.json`.

It does what a worker does, but tells its events on the standard output: a line of JSON each, and behind it the files of
the run's folder that changed (`telling`). Its standard input is a pipe that only its parent holds: when that dies,
however it dies, so does the training.
"""

import os
import sys
import threading
import time
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from playground import home, jobs
from playground.training.cluster.run_files import Changes, Paths
from playground.training.cluster.telling import Told, write
from playground.training.runs import runs, worker
from playground.training.runs.events import Event, Exported, Failed, Saved, from_json, to_json


def train(run_dir: Path, order: Path, out: IO[bytes]) -> int:
    """Do the run in a folder and write what happens; 0, or 1 when it failed, which is then the last event."""
    said = home.read_json(order)
    paths, changes = Paths(said["paths"]), Changes(run_dir)
    spec, kept = runs.read_spec(run_dir), bool(said["kept"])

    def tell(event: Event) -> None:
        files, gone = changes.since()
        model = card = b""
        if isinstance(event, Exported):
            model, card = (Path(event.path).with_name(name).read_bytes() for name in ("model.onnx", "card.json"))
        here = from_json(paths.here(to_json(event)))
        write(out, Told(here, paths.files_here(files), gone, model, paths.here(card.decode()).encode()))

    try:
        with ExitStack() as stack:
            if said["moved"]:
                stack.enter_context(home.moved(*map(Path, said["moved"])))
            for event in jobs.events(spec, run_dir, (run_dir / "stop").exists):
                kept = kept or isinstance(event, Saved)
                tell(event)
        return 0
    except Exception as error:
        detail = traceback.format_exc()
        print(detail, file=sys.stderr, flush=True)
        tell(Failed(worker.sentence(error, kept), detail, time.time()))
        return 1


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


def main(arguments: list[str]) -> int:
    """The process: what others print goes to the standard error, which is a file."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    return train(Path(arguments[0]), Path(arguments[1]), out)


if __name__ == "__main__":
    ended = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(ended)  # all is told: threads of libraries that take their time to end hold nobody up
