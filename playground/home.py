"""Where the playground keeps what it makes: exported models, training runs, downloaded and uploaded data."""

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


def home() -> Path:
    """The folder everything below is kept in: PLAYGROUND_HOME, or the repository. Always absolute."""
    named = os.environ.get("PLAYGROUND_HOME")
    return Path(named).expanduser().resolve() if named else REPOSITORY


def exports_dir() -> Path:
    """Exported models, one folder each."""
    return _made(home() / "exports")


def runs_dir() -> Path:
    """Training runs, one folder each."""
    return _made(home() / ".runs")


def data_dir() -> Path:
    """Downloaded, unpacked and generated data."""
    return _made(home() / "data")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
