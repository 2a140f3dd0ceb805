"""Trainings from scratch as sources of a view: after any epoch that is kept, and as they are now.

Reading weights and building their network takes some milliseconds, and a class that watches one training asks sixty
times a second: what was read last is kept, for all who look.
"""

import threading
from collections import OrderedDict
from pathlib import Path

from playground.errors import PlaygroundError
from playground.training.scratch import history, live
from playground.view.looks import LIVE
from playground.view.sources import Design

MOST = 8
_LOCK = threading.Lock()
_KEPT: "OrderedDict[tuple[Path, str], Design]" = OrderedDict()


def at(run_dir: Path, epoch: str) -> tuple[Design, str]:
    """The network of the training in a folder, and a version that differs where its weights do.

    epoch: a number, "live" for the present weights (asking for them has the training show them; the last epoch's until
    it does, and when it has ended), "" for the last epoch's. Raises PlaygroundError where there are none.
    """
    if epoch == LIVE:
        live.watch(run_dir)
        if (where := live.position(run_dir)) is not None:
            try:
                return _kept(run_dir, f"live {where.version}")
            except PlaygroundError:
                if live.position(run_dir) is not None:
                    raise
    if epoch in ("", LIVE):
        epochs = history.epochs(run_dir)
        epoch = str(epochs[-1]) if epochs else "0"
    return _kept(run_dir, f"epoch {int(epoch)}")


def _kept(run_dir: Path, version: str) -> tuple[Design, str]:
    with _LOCK:
        if (run_dir, version) in _KEPT:
            _KEPT.move_to_end((run_dir, version))
            return _KEPT[run_dir, version], version
    kind, number = version.split()
    if kind == "live":
        trained, where = live.latest(run_dir)
        version = f"live {where.version}"  # a newer one may have come
    else:
        trained = history.at_epoch(run_dir, int(number))
    with _LOCK:
        found = _KEPT.setdefault((run_dir, version), Design.of_trained(trained))
        while len(_KEPT) > MOST:
            _KEPT.popitem(last=False)
    return found, version
