"""A Ray cluster for a test: each node in a network namespace of its own, which lead to each other and nowhere else."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until

NETWORK = "10.213.77"
PORT = 6379
SMALL = ("--object-store-memory=100000000", "--disable-usage-stats")


def why_not() -> str:
    """Why there can be no such cluster on this machine; "" where there can be one."""
    if sys.platform != "linux" or os.getuid() != 0 or not all(map(shutil.which, ("ip", "unshare"))):
        return "network namespaces can only be made by root on Linux, with ip and unshare"
    made = subprocess.run(["ip", "netns", "add", "playground-probe"], capture_output=True, check=False)
    subprocess.run(["ip", "netns", "del", "playground-probe"], capture_output=True, check=False)
    return "" if made.returncode == 0 else "network namespaces cannot be made here"


class Nodes:
    """The cluster: "a" is its head, without CPUs, where runs are started; others are joined by name, "b", "c" ..."""

    def __init__(self, folder: Path, home: Path):
        self.folder, self.tag, self.names = folder, f"pg{os.getpid()}", list[str]()
        self.address = f"{NETWORK}.1:{PORT}"
        (folder / "token").write_text("0123456789abcdef" * 3)
        self.environment = {
            **os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0", "PLAYGROUND_HOME": str(home), "PLAYGROUND_RAY": self.address,
            "PLAYGROUND_RAY_CPUS": "1", "OMP_NUM_THREADS": "1"}

    def space(self, name: str) -> str:
        """The network namespace of a node."""
        return f"{self.tag}-{name}"

    def wire(self, names: str) -> None:
        """Make the network: a bridge without an address, so that this machine itself is no part of it."""
        bridge = f"{self.tag}br"
        _ip("link", "add", bridge, "type", "bridge")
        _ip("link", "set", bridge, "up")
        for k, name in enumerate(names, 1):
            space, here = self.space(name), f"{self.tag}{name}"
            _ip("netns", "add", space)
            self.names.append(name)
            _ip("link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", space)
            _ip("link", "set", here, "master", bridge, "up")
            _ip("-n", space, "addr", "add", f"{NETWORK}.{k}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                _ip("-n", space, "link", "set", device, "up")

    def join(self, name: str) -> None:
        """Start the head ("a"), or let a node with one CPU join it; returns when it has."""
        at = f"{NETWORK}.{1 + self.names.index(name)}"
        own = ["--head", f"--port={PORT}", "--num-cpus=0", "--include-dashboard=False"] if name == "a" else [
            f"--address={self.address}", "--num-cpus=1"]
        place = Path(tempfile.mkdtemp(prefix=name, dir=self.folder))  # paths of sockets have to be short
        ray = Path(sys.executable).with_name("ray")
        self.temporary(name).mkdir(exist_ok=True)
        done = self.inside(name, ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', f"node-{name}", str(ray),
                                  "start", *own, f"--node-ip-address={at}", f"--temp-dir={place}", *SMALL],
                           TMPDIR=str(self.temporary(name)))
        assert done.returncode == 0, done.stdout + done.stderr

    def temporary(self, name: str) -> Path:
        """Where programs on a node put what they need for a while."""
        return self.folder / f"tmp-{name}"

    def inside(self, name: str, command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
        """Run something on a node."""
        return subprocess.run(["ip", "netns", "exec", self.space(name), *command], capture_output=True, text=True,
                              check=False, timeout=300, env=self.environment | more, stdin=subprocess.DEVNULL)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to every process of a node."""
        for pid in self.processes(name):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def processes(self, name: str) -> list[int]:
        """Every process of a node."""
        said = subprocess.run(["ip", "netns", "pids", self.space(name)], capture_output=True, text=True, check=False)
        return [int(pid) for pid in said.stdout.split()]

    def end(self) -> None:
        """End everything, and remove the network."""
        for name in self.names:
            self.signal(name, signal.SIGKILL)
            until(lambda name=name: not self.processes(name))  # type: ignore[misc]
            _ip("netns", "del", self.space(name))
        _ip("link", "del", f"{self.tag}br")


@contextmanager
def nodes(home: Path, names: str = "abc") -> Iterator[Nodes]:
    """A network for nodes of these names; none has been started yet."""
    with tempfile.TemporaryDirectory(prefix="pg", dir="/tmp", ignore_cleanup_errors=True) as folder:
        found = Nodes(Path(folder), home)
        try:
            found.wire(names)
            yield found
        finally:
            found.end()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
