"""Who has a model's name: it is taken when a run starts and given back when the run has ended without anything to keep.

    .runs/names/NAME     the id of the run that holds the name

A file alone decides nothing: it counts as long as its run lives, or has learnt something that is not exported yet. So
nothing is stuck after a kill -9. Whoever changes it holds the lock of all names, from looking whether one is free until
the run that takes it can be seen by others.
"""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playground import home, model_names
from playground.errors import PlaygroundError

Holds = Callable[[str, str], bool]
"""Whether a run (its id) still holds a name."""


@contextmanager
def locked() -> Iterator[None]:
    """The names to oneself. The kernel gives the lock back when its holder dies; one thread must not take it twice."""
    with open(_folder() / ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def holder(name: str, holds: Holds) -> str | None:
    """The run that holds a name, or None."""
    try:
        run_id = (home.home() / ".runs" / "names" / name).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return run_id if holds(run_id, name) else None


def is_free(name: str, holds: Holds) -> bool:
    """Whether neither a model nor a run has the name."""
    # The run is asked first: one that ends meanwhile has put its model there before it said so.
    return holder(name, holds) is None and not model_names.exists(name)


def free(wish: str, holds: Holds) -> str:
    """The wish, or the first of wish-2, wish-3 ... that is free."""
    while not is_free(wish, holds):
        wish = model_names.following(wish)
    return wish


def take(name: str, run_id: str, holds: Holds, replace: bool = False) -> None:
    """Let a run hold a name; only while the names are `locked`.

    Raises PlaygroundError when no model can be called that, another run holds it, or a model is called that, unless
    it may be replaced or is the run's own.
    """
    model_names.check(name)
    other = holder(name, holds)
    if other not in (None, run_id):
        raise PlaygroundError(f"The name {name} is taken by another training that is not over or whose model is not "
                              "exported yet: choose another name.")
    if model_names.exists(name) and (model_names.given(name) or not (
            replace or model_names.made_by(name) == run_id)):
        raise model_names.taken(name)
    with home.whole(_folder() / name) as incoming:
        incoming.write_text(run_id, encoding="utf-8")


def give_back(name: str, run_id: str) -> None:
    """Let go of a name that the run holds; of another's it does nothing. Only while the names are `locked`."""
    path = home.home() / ".runs" / "names" / name
    try:
        if path.read_text(encoding="utf-8") == run_id:
            path.unlink()
    except (OSError, ValueError):
        return


def _folder() -> Path:
    folder = home.runs_dir() / "names"
    folder.mkdir(exist_ok=True)
    return folder
