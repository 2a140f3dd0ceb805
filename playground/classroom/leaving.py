"""Who leaves takes everything along: what one reader has on the server, or all of them, is deleted for good."""

import secrets
import shutil
from pathlib import Path

from playground import home
from playground.classroom import answers, collecting, keys, publishing, removed, workspaces
from playground.datasets.disk import plainly


def delete_everything(place: Path) -> None:
    """Delete a workspace, what it gave to the class (photographs collected, models published), and what was computed
    from those in common; end what it trains. Raises PlaygroundError where something stays."""
    collecting.forget(place)
    publishing.forget(place)
    workspaces.remove(place)
    answers.clear_cache()
    removed.note(place)


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
        for path in list(home.shared().iterdir()):
            if path.name == keys.SECRET:
                continue
            gone = path.with_name(f"gone-{secrets.token_hex(4)}")
            path.rename(gone)  # who comes meanwhile begins beside it
            if gone.is_dir() and not gone.is_symlink():
                shutil.rmtree(gone)
            else:
                gone.unlink()
    answers.clear_cache()
    return len(everybody)
