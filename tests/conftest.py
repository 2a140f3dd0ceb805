"""What every test shares: the project's root, the optional data beside it, and a home of its own."""

from pathlib import Path

import pytest
from hypothesis import settings

from playground import model_names

# The same draws every time: a test that fails here fails on the next machine too, however slow that one is.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_photos() -> Path:
    """The folder of cat and dog photographs beside the project, where there is one."""
    folder = SHARED_DATA / "cats_vs_dogs"
    if not folder.is_dir():
        pytest.skip(f"the photographs are not on this machine ({folder})")
    return folder


@pytest.fixture
def playground_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PLAYGROUND_HOME: what a test trains or exports never lands in the project."""
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def without_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model comes with the playground: for what is said where there is none at all."""
    monkeypatch.setattr(model_names, "SHIPPED", ())
