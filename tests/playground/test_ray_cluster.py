"""A training on a real Ray cluster of nodes in network namespaces: it survives the death of any of them."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground.home import REPOSITORY
from playground.training.runs import runs
from playground.training.runs.events import Event, Exported, Resumed, Saved, Stage
from playground.training.runs.log import read
from playground.training.scratch import history_files
from tests.playground.ray_nodes import Nodes, nodes, why_not
from tests.waiting import ended, until

pytestmark = pytest.mark.slow
START = ("import sys, json; from playground.training.runs import runs; "
         "print(runs.start(runs.RunSpec('digits', json.loads(sys.argv[1]), 3, sys.argv[2])))")
RESUME = "import sys; from playground.training.runs import runs; runs.resume(sys.argv[1])"
UNDISTURBED = """
import itertools, json, sys
from pathlib import Path
from playground.training.runs.events import Saved
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
for event in numpy_fit.fit(RunSpec("digits", json.loads(sys.argv[1]), 3, "x"), Path(sys.argv[2]), lambda: False):
    if isinstance(event, Saved) and event.epoch > int(sys.argv[3]):
        break
"""


@pytest.fixture
def request_of_photos(playground_home: Path) -> str:
    """A training without an end on two classes of photos that lie here alone."""
    top, chance = playground_home / "data/uploads/colours", np.random.default_rng(0)
    for name, colour in (("blue", (90, 100, 150)), ("réd", (150, 100, 90))):
        (top / name).mkdir(parents=True)
        for k in range(60):
            noise = np.clip(colour + chance.normal(0, 60, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(noise).save(top / name / f"{k}.png")
    return json.dumps({"data": f"photos:32:{top}", "epochs": 2000, "network": "lenet5"})


@pytest.fixture
def cluster(playground_home: Path) -> Iterator[Nodes]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed (requirements-cluster.txt)")
    if why := why_not():
        pytest.skip(why)
    with nodes(playground_home) as found:
        yield found


def python(cluster: Nodes, code: str, *arguments: str, **more: str) -> str:
    """Have something done where the app would be."""
    done = cluster.inside("a", [sys.executable, "-c", code, *arguments], PYTHONPATH=str(REPOSITORY), **more)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def logged(run_id: str) -> list[Event]:
    return read(runs.run_dir(run_id) / "events.jsonl")[0]


def text(event: Event) -> str:
    return event.text if isinstance(event, Stage) else ""


def since(run_id: str, resumed: int) -> list[Event]:
    """What was told after the run was resumed for the so-manyeth time."""
    found = logged(run_id)
    places = [k for k, event in enumerate(found) if isinstance(event, Resumed)]
    return found[places[resumed - 1] + 1:] if resumed <= len(places) and resumed else ([] if resumed else found)


def join_when_on_c(cluster: Nodes, run_id: str) -> None:
    """Let node b join again once the training has its place on the other one."""
    until(lambda: any("training on node-c" in text(event) for event in logged(run_id)) or runs.view(run_id).ended)
    cluster.join("b")


def learnt(run_id: str, resumed: int, epochs: int) -> int:
    """Wait until so many epochs were saved since; the last of them."""
    def saved() -> list[int]:
        return [event.epoch for event in since(run_id, resumed) if isinstance(event, Saved)]

    until(lambda: len(saved()) >= epochs or runs.view(run_id).ended)
    assert not runs.view(run_id).ended, logged(run_id)[-1]
    return saved()[-1]


def test_a_training_goes_on_whatever_becomes_of_its_nodes(
        cluster: Nodes, request_of_photos: str, playground_home: Path, tmp_path_factory: pytest.TempPathFactory,
        record_property: Callable[[str, object], None]) -> None:
    for name in "ab":
        cluster.join(name)
    asked = time.time()
    run_id = python(cluster, START, request_of_photos, "mine")
    (playground_home / "wrong").write_text("fedcba9876543210" * 3)
    refused = python(cluster, START, request_of_photos, "other", RAY_AUTH_TOKEN_PATH=str(playground_home / "wrong"))
    until(lambda: any("training on node-b" in text(event) for event in logged(run_id)) or runs.view(run_id).ended)
    with ThreadPoolExecutor() as pool:
        joined = pool.submit(cluster.join, "c")
        learnt(run_id, 0, 2)
        joined.result()
    record_property("start", next(e.time for e in logged(run_id) if type(e).__name__ == "Started") - asked)

    # The node is killed while another one is there.
    before, gone = learnt(run_id, 0, 3), time.time()
    cluster.signal("b", signal.SIGKILL)
    until(lambda: not cluster.processes("b"))
    with ThreadPoolExecutor() as pool:
        joined = pool.submit(join_when_on_c, cluster, run_id)
        assert learnt(run_id, 1, 3) > before
        joined.result()
    record_property("killed", since(run_id, 1)[0].time - gone)
    told = [text(event) for event in since(run_id, 1) if text(event)]
    assert "node-b is gone: the training goes on from what was saved" in told[0]
    assert any("training on node-c" in one for one in told)

    # The node hangs: Ray would take a minute to see it.
    before, hung = learnt(run_id, 1, 3), time.time()
    cluster.signal("c", signal.SIGSTOP)
    assert learnt(run_id, 2, 3) > before
    record_property("hung", since(run_id, 2)[0].time - hung)
    told = [text(event) for event in since(run_id, 2) if text(event)]
    assert "node-c has not answered for 8 seconds" in told[0]
    assert any("training on node-b" in one for one in told)

    # The process here is killed, and the run resumed.
    os.kill(int((runs.run_dir(run_id) / "worker").read_text()), signal.SIGKILL)
    until(lambda: runs.view(run_id).state == "lost")
    before = runs.view(run_id).epochs[-1].epoch
    python(cluster, RESUME, run_id)
    last = learnt(run_id, 3, 3)
    assert last > before

    # It is stopped: what was learnt is a model here.
    runs.stop(run_id)
    view = ended(run_id)
    assert view.state == "stopped", view.failed
    assert isinstance(logged(run_id)[-1], Exported)
    assert (playground_home / "exports/mine/model.onnx").is_file()
    assert view.finished is not None
    assert view.finished.epochs >= last
    assert all(one.epoch + 1 == other.epoch for one, other in pairwise(view.epochs))

    # Nothing of the photos is left where it ended, and who has another token was not let in.
    until(lambda: not runs.is_alive(runs.run_dir(run_id)))
    assert not list(cluster.temporary("b").rglob("*.png"))
    card = json.loads((playground_home / "exports/mine/card.json").read_text())
    assert card["data"]["source"] == "the photographs in colours, 32 × 32 pixels"
    assert str(playground_home) not in json.dumps(card["training"])
    failed = ended(refused).failed
    assert failed is not None
    assert "its token is another" in failed.message

    # After all of that the weights are those of a training that nothing happened to.
    alone = tmp_path_factory.mktemp("alone")
    subprocess.run([sys.executable, "-c", UNDISTURBED, request_of_photos, str(alone), str(last)], check=True,
                   cwd=REPOSITORY, env=cluster.environment, timeout=600)
    one, other = (history_files.path_of(folder, history_files.WEIGHTS, last).read_bytes()
                  for folder in (alone, runs.run_dir(run_id)))
    assert one == other
