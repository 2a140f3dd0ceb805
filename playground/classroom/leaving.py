"""Who leaves takes everything along: what one reader has on the server, or all of them, is deleted for good."""

import secrets
import shutil
from pathlib import Path

from playground import home
from playground.classroom import answers, collecting, keys, publishing, removed, state, workspaces
from playground.datasets.disk import plainly, sweep

GONE = "gone-"


def delete_everything(place: Path) -> None:
    """Delete a workspace, what it gave to the class (photographs collected, models published), and what was computed
    from those in common; end what it trains. Raises PlaygroundError where something stays."""
    collecting.forget(place)
    publishing.forget(place)
    workspaces.remove(place)
    answers.clear_cache()
    removed.note(place)


def clear_up() -> list[str]:
    """What a server does as it starts and now and then: remove the workspaces nobody has used for long, and whatever is
    left of a process that was killed while it deleted, published or took something in; the ids of the workspaces."""
    gone = workspaces.expire()
    for left in home.shared().glob(f"{GONE}*"):
        shutil.rmtree(left, ignore_errors=True)
    sweep(publishing.published_dir())
    collecting.clear_left()
    return gone


def wipe() -> int:
    """Delete everything of the class but its secret, without which no link would open anything any more: workspaces,
    answers, collected and published things, common trainings; how many workspaces. Readers whose pages are open begin
    anew, with nothing. Raises PlaygroundError where something stays."""
    everybody = workspaces.all_of_them()
    for one in everybody:
        workspaces.remove(one.home)
        removed.note(one.home)
    workspaces.end_runs(home.shared())
    with plainly("not everything of the class was deleted"):
        for path in sorted(home.shared().iterdir(), key=lambda one: one.name == state.STATE):
            if path.name == keys.SECRET:
                continue
            gone = path.with_name(f"{GONE}{secrets.token_hex(4)}")
            path.rename(gone)  # who comes meanwhile begins beside it; what shows that photos wait goes last
            if gone.is_dir() and not gone.is_symlink():
                shutil.rmtree(gone)
            else:
                gone.unlink()
    answers.clear_cache()
    return len(everybody)
