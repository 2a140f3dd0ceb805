"""What every test shares: the project's root, the optional data beside it, a home of its own, and what is slow.

More is beside the tests that need it: tests/pages/conftest.py opens pages, tests/browser/conftest.py serves the app and
shows it in a browser, tests/waiting.py waits, tests/pace changes how fast workers are.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from playground.browser import runtime

ROOT = Path(__file__).resolve().parents[1]
if os.environ.get("PYTEST_XDIST_WORKER"):  # one of several processes: threads of all of them would fight for the cores
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
if os.environ.get("PACE"):  # hurried or slowed workers: see the module
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(ROOT / "tests" / "pace"), os.environ.get("PYTHONPATH"))))
    from tests.pace import sitecustomize  # noqa: F401 - for the runs that this process starts

# The same draws every time: a test that fails here fails on the next machine too, however slow that one is.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")

WEB_RUNTIME = runtime.folder()  # before a test has a home of its own

SLOW_SHARE, MANY = 0.02, 1000
SHARED_DATA = ROOT.parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_photos() -> Path:
    """The folder of cat and dog photographs beside the project, where there is one."""
    folder = SHARED_DATA / "cats_vs_dogs"
    if not folder.is_dir():
        pytest.skip(f"the photographs are not on this machine ({folder})")
    return folder


@pytest.fixture(scope="session")
def web_runtime() -> Path:
    """The folder of onnxruntime-web's files, which `make test` has fetched where there is a network."""
    if WEB_RUNTIME is None:
        pytest.skip(f"onnxruntime-web is not on this machine: {runtime.COMMAND} fetches it")
    return WEB_RUNTIME


@pytest.fixture
def playground_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PLAYGROUND_HOME: what a test trains or exports never lands in the project."""
    monkeypatch.setenv("PLAYGROUND_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def home_of_the_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One PLAYGROUND_HOME for all tests of a file: its pictures are decoded, and seen by a backbone, once."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("PLAYGROUND_HOME", str(folder))
        yield folder


@pytest.fixture
def without_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model comes with the playground: for what is said where there is none at all."""
    from playground import model_names

    monkeypatch.setattr(model_names, "SHIPPED", ())


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first: those with a browser, then those with slow tests. With several processes
    the quick ones fill the gaps at the end; xdist's own order, most tests first, leaves the long ones for last."""
    late: dict[Path, int] = {}
    for item in items:
        kind = 0 if "browser" in item.keywords else 1 if "slow" in item.keywords else 2
        late[item.path] = min(kind, late.get(item.path, kind))
    items.sort(key=lambda item: late[item.path])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that `make check` waits for too long: a share of the whole, so the machine's speed counts not."""
    ran = [report for report in terminalreporter.stats.get("passed", []) if report.when == "call"]
    if len(ran) < MANY:
        return
    most = SLOW_SHARE * sum(report.duration for report in ran)
    late = [report for report in ran if report.duration > most and not {"slow", "browser"} & report.keywords.keys()]
    if late:
        terminalreporter.section("Mark these as slow, or make them quicker: `make check` waits for them")
        for report in sorted(late, key=lambda report: -report.duration):
            terminalreporter.line(f"{report.duration:6.1f} s  {report.nodeid}")
