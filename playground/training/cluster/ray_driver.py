"""The process of a run that trains on a Ray cluster: `python -m playground.training.cluster.ray_driver RUN_DIR`.

    PLAYGROUND_RAY=HOST:PORT    the cluster's address; this machine has to be one of its nodes, be it with no CPUs
    PLAYGROUND_RAY_CPUS=N       CPUs of a training that takes no GPU (2)

It is the run's worker as far as anybody here can see: it holds the run's lock and writes its log, its files and its
model. Only this module and `attempt` import Ray, which is no part of requirements.txt.
"""

import fcntl
import itertools
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from playground import home
from playground.errors import PlaygroundError
from playground.home import strict_json
from playground.training.cluster import photos, run_files
from playground.training.cluster.attempt import Attempt
from playground.training.cluster.following import CHECKPOINT, Answer, LostError, follow, turn
from playground.training.cluster.telling import Told
from playground.training.runs import turns, worker
from playground.training.runs.events import Event, Finished, Started, from_json
from playground.training.runs.run_view import RunSpec

ADDRESS, CPUS = "PLAYGROUND_RAY", "PLAYGROUND_RAY_CPUS"
USUAL_CPUS = 2
REACH_SECONDS = 5.0
CLOSE = 8
"""So many of this server's runs wait with a connection to the cluster, which takes 100 MB each; the others without."""
NAMESPACE = "cnn-playground"
SENT = ("engine", "playground")  # of the project: everything else stays here


def events(spec: RunSpec, run_dir: Path, should_stop: Callable[[], bool]) -> Iterator[Event]:
    """Everything that happens in a run that trains on the cluster. Raises PlaygroundError as `jobs.events` does, and
    where the cluster cannot be used."""
    asked = turns.queue_dir() / run_dir.name
    stack = ExitStack()

    def first() -> int:
        return ahead(run_dir, spec.kind)

    def begun() -> None:
        stack.enter_context(under_way(turns.workspace_of(run_dir.name)))
        asked.unlink(missing_ok=True)

    try:
        if not (yield from turn(first, lambda: CLOSE, should_stop)):
            return
        with Connected(spec, run_dir) as cluster:
            signal.signal(signal.SIGTERM, lambda *_: (run_dir / "stop").touch())  # Ray has put its own there

            def keep(told: Told, started: Started, finished: Finished) -> Event:
                from playground import jobs  # it imports what a run that is under way elsewhere does without

                card = strict_json(told.card, "the model's card")
                return jobs.put(spec, run_dir, told.model, card, started, finished)

            yield from follow(cluster, run_dir, should_stop, first, begun, keep)
    finally:
        stack.close()
        asked.unlink(missing_ok=True)


@contextmanager
def under_way(workspace: str) -> Iterator[None]:
    """Inside, one more run counts among those that a workspace has under way: who has fewer comes first."""
    for k in itertools.count():
        with open(turns.places_dir() / f"ray-{k}", "a", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            lock.truncate(0)
            lock.write(workspace)
            lock.flush()
            yield
            return


def ahead(run_dir: Path, kind: str) -> int:
    """How many of this server's runs that want the same of the cluster come before this one."""
    rivals = [turn for turn in turns.waiting() if (turn.kind == "transfer") == (kind == "transfer")]
    ids = [turn.folder.name for turn in turns.in_order(rivals, turns.training())]
    return ids.index(run_dir.name) if run_dir.name in ids else 0


class Connected:
    """The cluster, as long as this is inside, for the attempts at one run. Raises PlaygroundError where it cannot be
    reached or used."""

    def __init__(self, spec: RunSpec, run_dir: Path):
        self.spec, self.run_dir, self.address = spec, run_dir, os.environ.get(ADDRESS, "")
        self.hanging: set[str] = set()

    def __enter__(self) -> "Connected":
        demand_reachable(self.address)
        try:
            import ray
        except ImportError as error:
            raise PlaygroundError(f"Trainings are sent to the Ray cluster at {self.address}, and Ray is not installed "
                                  "here: pip install -r requirements-cluster.txt, or start the app without "
                                  f"{ADDRESS}.") from error
        self.ray: Any = ray
        connect(self.address)
        try:
            self.threads, self.wants = self._wanted()
            self.folder = self._folder()
        except BaseException:
            ray.shutdown()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.ray.shutdown()

    def begin(self, number: int) -> "RayAttempt":
        """Have an attempt begin; its machine, where Ray has a choice, is none that was seen to hang."""
        log = self.run_dir / "events.jsonl"
        files = run_files.contents(self.run_dir)
        order = {
            "spec": asdict(self.spec), "run_id": self.run_dir.name, "run_dir": str(self.run_dir),
            "home": str(home.home()), "threads": self.threads, "folder": self.folder, "kept": CHECKPOINT in files,
            "log": log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""}
        selector = {}
        if self.hanging and any(self._fits(node) for node in self._nodes() if node["NodeID"] not in self.hanging):
            selector = {"label_selector": {"ray.io/node-id": f"!in({','.join(sorted(self.hanging))})"}}
        remote: Any = self.ray.remote(Attempt)
        actor = remote.options(
            **self.wants, **selector, max_restarts=0, max_task_retries=0).remote(number)
        return RayAttempt(self, actor, actor.begin.remote(order, self.ray.put(files)))

    def room(self) -> int:
        """How many such runs could begin now."""
        free = self.ray.available_resources()
        (name, wanted), = self._resources().items()
        return int(free.get(name, 0) // wanted)

    def _resources(self) -> dict[str, float]:
        return {"GPU": 1.0} if self.wants.get("num_gpus") else {"CPU": float(self.wants["num_cpus"])}

    def _wanted(self) -> tuple[int, dict[str, int]]:
        """Threads, and what the run wants of the cluster: a GPU where it would train on one, else CPUs."""
        said = os.environ.get(CPUS, "")
        cpus = max(1, int(said)) if said.isdecimal() else USUAL_CPUS
        gpu = self.spec.kind == "transfer" and self.ray.cluster_resources().get("GPU", 0) >= 1
        self.wants = {"num_gpus": 1, "num_cpus": 0} if gpu else {"num_cpus": cpus}
        if not any(self._fits(node) for node in self._nodes()):
            raise PlaygroundError(f"No machine of the Ray cluster at {self.address} has {cpus} CPUs for a training: "
                                  f"let one join it, or set {CPUS} to fewer.")
        return cpus, self.wants

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]

    def _fits(self, node: Mapping[str, Any]) -> bool:
        return all(node["Resources"].get(name, 0) >= wanted for name, wanted in self._resources().items())

    def _folder(self) -> dict[str, Any] | None:
        """The folder that the run's data are in, put where any node can fetch it; None where none is named."""
        said = str(self.spec.request.get("data", ""))
        if said in ("", "digits"):
            return None
        from playground.datasets import folders
        from playground.datasets.small_photos import photos_named

        if said == "faces":
            folders.write_faces(home.data_dir() / "faces")  # nodes make their own; pages show these
            return None
        pictures = photos_named(said)
        named = pictures[0] if pictures is not None else Path(said).expanduser()
        if not named.is_dir():
            return None
        path = named.absolute()
        digest, pieces = photos.packed(path, self.ray.put)
        return {"named": str(named), "path": str(path), "name": path.name or "data", "digest": digest, "pieces": pieces}


class RayAttempt:
    """An attempt as an actor on the cluster."""

    def __init__(self, cluster: Connected, actor: Any, begun: Any):
        self._cluster, self._actor, self._begun = cluster, actor, begun
        self._ray = cluster.ray
        self.host = self._node = ""
        self._gone = False

    def begun(self, seconds: float) -> bool:
        """Whether it has begun."""
        if not self._waited(self._begun, seconds):
            return False
        said = self._got(self._begun)
        self.host, self._node = str(said["host"]), str(said["node"])
        return True

    def ask(self, said: Mapping[str, Any], seconds: float) -> Answer | None:
        """What happened since; None when it does not answer in time."""
        reference = self._actor.next.remote(dict(said))
        if not self._waited(reference, seconds):
            return None
        answer = self._got(reference)
        told = tuple(Told(from_json(one["event"]), one["files"], one["gone"], one["model"], one["card"])
                     for one in answer["told"])
        return Answer(answer["attempt"], told, answer["over"])

    def avoid(self) -> None:
        """Its machine hangs: the next attempts are made elsewhere if they can."""
        self._gone = True
        self._cluster.hanging.add(self._node)

    def drop(self) -> None:
        """End it, whatever it does; twice is as good as once."""
        if self._actor is None:
            return
        if self._node and not self._gone:
            self._waited(self._actor.close.remote(), REACH_SECONDS)
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(self._actor)
        self._actor = None

    def _waited(self, reference: Any, seconds: float) -> bool:
        ready, _ = self._ray.wait([reference], timeout=seconds)
        return bool(ready)

    def _got(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        where = self.host or "The node"
        try:
            return self._ray.get(reference)
        except errors.RuntimeEnvSetupError as error:
            raise LostError(f"{where} could not take the program ({_first(error)})") from error
        except errors.RayTaskError as error:
            raise LostError(f"{where} could not do it ({_first(error.cause or error)})") from error
        except errors.RayError as error:
            self._gone = True
            raise LostError(f"{where} is gone") from error


def demand_reachable(address: str) -> None:
    """Raises PlaygroundError where nobody answers at HOST:PORT."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise PlaygroundError(f"{ADDRESS} names the Ray cluster as HOST:PORT, and {address[:80]!r} is none.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except OSError as error:
        raise PlaygroundError(f"The Ray cluster at {address} cannot be reached ({error.strerror or error}): start it, "
                              "and let this training go on.") from error


def connect(address: str) -> None:
    """Connect to the cluster. Raises PlaygroundError where it does not let this machine in."""
    import ray

    for name, value in {"RAY_USAGE_STATS_ENABLED": "0", "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES": ""}.items():
        os.environ.setdefault(name, value)
    left = sorted(path.name for path in home.REPOSITORY.iterdir() if path.name not in SENT)
    program = {"working_dir": str(home.REPOSITORY), "excludes": ["__pycache__", *(f"/{name}" for name in left)]}
    try:
        ray.init(address=address, namespace=NAMESPACE, runtime_env=program, log_to_driver=False,
                 logging_level=logging.ERROR, configure_logging=False)
    except Exception as error:
        why = _first(error)
        if isinstance(error, ConnectionError):  # somebody listens there
            why = ("its token is another (RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH have to be as on its nodes), or "
                   f"this machine is none of its nodes (ray start --address={address} --num-cpus=0)")
        raise PlaygroundError(f"The Ray cluster at {address} does not take this training: {why}.") from error


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip(".")


def main(arguments: list[str]) -> int:
    """The process of the run in the folder named."""
    turns.sign(Path(arguments[0]))
    return worker.work(Path(arguments[0]), events)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
