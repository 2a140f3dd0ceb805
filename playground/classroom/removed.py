"""Which workspaces were deleted, and when this process knew: sessions that are older keep nothing of them in memory.

A workspace that another process of the server deleted is known by its birth, a moment its note says (`workspaces`):
where that is another one than before, or there is none any more, what was kept of it here is let go.
"""

import time
from collections.abc import Callable
from pathlib import Path

_when: dict[str, float] = {}
_born: dict[str, int] = {}
_heard_by: list[Callable[[Path], None]] = []


def note(place: Path) -> None:
    """A workspace was deleted now."""
    _when[place.name] = time.time()
    _born.pop(place.name, None)


def heard_by(let_go: Callable[[Path], None]) -> None:
    """Have this called with each workspace that another process deleted."""
    _heard_by.append(let_go)


def looked_at(place: Path, born: int) -> None:
    """A workspace's note says that it was born then; 0 where there is none."""
    before = _born.get(place.name, born)
    if born != before:
        note(place)
        for let_go in _heard_by:
            let_go(place)
    if born:
        _born[place.name] = born


def since(place: Path, moment: float) -> bool:
    """Whether a workspace was deleted after a moment (seconds since 1970).

    >>> since(Path("/nowhere"), 0.0)
    False
    """
    return _when.get(place.name, 0.0) > moment
