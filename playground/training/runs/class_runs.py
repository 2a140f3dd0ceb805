"""What a class does once for everybody: downloads, the pretrained network, and experiments on data that are nobody's.

Such runs lie in the home that all workspaces have in common (`home.shared`), beside the name of the workspace that
began each: it alone may stop it. Without a class there is one home, and nothing of this happens.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playground import home
from playground.training.runs import turns
from playground.training.runs.run_view import DOWNLOAD, EXPERIMENT, PRETRAINED, RunSpec

BEGUN_BY = "begun-by"
SAMPLES = ("digits", "faces")


def has_common() -> bool:
    """Whether there is a home besides that of the workspace worked for."""
    return home.is_class() and home.home() != home.shared()


def is_common(spec: RunSpec) -> bool:
    """Whether a run is done once for a whole class: nothing of it is of one person."""
    if spec.kind in (PRETRAINED, DOWNLOAD):
        return True
    return spec.kind == EXPERIMENT and is_nobodys(str(spec.request.get("data", SAMPLES[0])))


def is_nobodys(data: str) -> bool:
    """Whether data a run names came with the playground, were downloaded, or are published to the class."""
    if data in SAMPLES:
        return True
    path = Path(data).expanduser()
    if not path.is_absolute():
        return False
    real = path.resolve()
    if home.shared() / "data" in real.parents:
        return True
    return home.downloads_dir() in real.parents and real.relative_to(home.downloads_dir()).parts[0] not in home.PRIVATE


@contextmanager
def place_of(spec: RunSpec) -> Iterator[None]:
    """Inside, the home is where the run belongs, and who asked still asks."""
    if not home.is_class() or not is_common(spec):
        yield
        return
    with turns.asked_by(turns.asker()), home.entered(home.shared()):
        yield


def folder_of(run_id: str) -> Path:
    """The folder of a run, be it there or not: the workspace's own, or the one in common."""
    own = home.runs_dir() / run_id
    return home.shared() / ".runs" / run_id if has_common() and not own.is_dir() else own


def home_of_derived(run_dir: Path) -> Path:
    """Where a run keeps what it computes from its photographs: in common, where they are nobody's."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        if is_nobodys(str(home.read_json(run_dir / "spec.json")["request"].get("data"))):
            return home.shared()
    return home.home()


def ids_in_common() -> list[Path]:
    """The specs of all runs that a class has in common."""
    return list((home.shared() / ".runs").glob("*/spec.json")) if has_common() else []


def begun(folder: Path) -> None:
    """Write down who begins a run in common."""
    if home.is_class() and folder.parent.parent == home.shared():
        (folder / BEGUN_BY).write_text(turns.asker(), encoding="utf-8")


def forget(workspace: str) -> None:
    """Write down nowhere any more what a workspace began, which is deleted: that goes on, and nobody may stop it."""
    for path in (home.shared() / ".runs").glob(f"*/{BEGUN_BY}"):
        with suppress(OSError):
            if path.read_text(encoding="utf-8") == workspace:
                path.unlink()
    turns.forget(workspace)


def may_change(folder: Path) -> bool:
    """Whether who asks may stop the run in this folder, or let it go on: an own one, or one in common that he began."""
    if not home.is_class() or folder.parent.parent == home.home():
        return True
    with suppress(OSError):
        return (folder / BEGUN_BY).read_text(encoding="utf-8") == turns.asker()
    return False
