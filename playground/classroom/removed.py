"""Which workspaces this process deleted, and when: sessions that are older keep nothing of them in memory."""

import time
from pathlib import Path

_when: dict[str, float] = {}


def note(place: Path) -> None:
    """A workspace was deleted now."""
    _when[place.name] = time.time()


def since(place: Path, moment: float) -> bool:
    """Whether a workspace was deleted after a moment (seconds since 1970).

    >>> since(Path("/nowhere"), 0.0)
    False
    """
    return _when.get(place.name, 0.0) > moment
