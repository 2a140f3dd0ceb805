"""A class that watches one training: its network is read once for all, and what is measured of it counts rightly."""

import doctest
import json
from pathlib import Path

import httpx2
import numpy as np
import pytest
from starlette.applications import Starlette

from bench import watchers
from playground import server
from playground.datasets import named
from playground.errors import PlaygroundError
from playground.server import asked, models, openapi, views
from playground.training.scratch import history, live_files, numpy_fit
from playground.view import trainings
from tests.playground.server.test_views import FRAME, Stand, app_of
from tests.playground.test_live import spec
from tests.playground.test_numpy_fit import blobs, never
from tests.waiting import on_a_loop


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of two epochs."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(named, "load", lambda data: (blobs(), blobs(21)))
        list(numpy_fit.fit(spec(epochs=2), folder, never))
    return folder


def shown(run_dir: Path, version: int, bias: float) -> None:
    """What a training would show now, told apart by one bias."""
    trained = history.at_epoch(run_dir, 1)
    weights = trained.model.state_dict()
    weights["0.bias" if "0.bias" in weights else "1.bias"][:] = bias
    now = live_files.Live(run_dir, iter([0.0, 1.0, 1.0]).__next__)
    now._version = version - 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_files.time, "time_ns", lambda: 0)
        patch.setattr(live_files.Live, "_watched", lambda self: True)
        now.stepped(trained.model, 1, 2, 3)


def test_a_training_is_seen_as_it_is_now_and_as_it_was_and_read_once(run_dir: Path) -> None:
    try:
        first, version = trainings.at(run_dir, "1")
        assert (first, version) == trainings.at(run_dir, "1")
        assert version == "epoch 1"
        last, version = trainings.at(run_dir, "live")
        assert version == "epoch 2"
        assert trainings.at(run_dir, "")[0] is last
        assert (run_dir / live_files.WATCHED).is_file()
        shown(run_dir, 7, 0.25)
        now, version = trainings.at(run_dir, "live")
        assert version == "live 7"
        assert trainings.at(run_dir, "live")[0] is now
        shown(run_dir, 8, 0.5)
        later, version = trainings.at(run_dir, "live")
        assert version == "live 8"
        for design, bias in ((now, 0.25), (later, 0.5)):
            name = next(name for name in design.weights() if name.endswith("bias"))
            np.testing.assert_array_equal(design.weights()[name].data, np.full_like(design.weights()[name].data, bias))
    finally:
        for name in (live_files.LIVE, live_files.WATCHED):
            (run_dir / name).unlink(missing_ok=True)
    assert trainings.at(run_dir, "live")[1] == "epoch 2"
    with pytest.raises(PlaygroundError, match="no weights of epoch 7"):
        trainings.at(run_dir, "7")


async def _watched(app: Starlette, count: int, asks: int) -> list[watchers.Watcher]:
    clients = [httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://testserver",
                                  headers={"Accept-Encoding": "identity"}) for _ in range(count)]
    return await watchers.together(clients, "/api/view/a/live", asks, between=0.0)


def test_the_measurement_counts_pictures_and_what_is_known_already() -> None:
    stand = Stand()
    found = watchers.row(on_a_loop(_watched(app_of(stand), 4, 3)))
    assert (found["watchers"], found["asked"], found["errors"]) == (4, 12, 0)
    assert found["new"] == 12  # the stand-in has another picture whenever it is asked
    assert found["kilobytes"] == len(FRAME) / 1000
    assert found["p95_ms"] <= found["most_ms"]
    stand.answer = lambda *_: Stand().answer("a", "frame", {})  # type: ignore[method-assign]
    found = watchers.row(on_a_loop(_watched(app_of(stand), 4, 3)))
    assert (found["asked"], found["new"]) == (12, 4)
    assert "| 4 | 12 | 4 |" in watchers.table([found])


def test_a_token_is_found_in_what_a_page_tells() -> None:
    said = json.dumps({"token": "0123456789abcdef" * 2, "second": None}).encode()
    assert watchers.TOKEN.search(b"\x0a\x07" + said)[1] == b"0123456789abcdef" * 2  # type: ignore[index]


@pytest.mark.parametrize("module", [server, asked, views, models, openapi])
def test_the_examples_run(module: object) -> None:
    tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried.failed == 0
    assert tried.attempted
