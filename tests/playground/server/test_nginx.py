"""Two processes of the app behind the nginx that docs/deploy/nginx.conf sets up, and one of them killed under load."""

import asyncio
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest

from bench.bench_class import read
from bench.served import Served, served
from playground.server.node import VARIABLE
from tests.waiting import HOPE_SECONDS, on_a_loop, until

CONFIG = Path(__file__).resolve().parents[3] / "docs" / "deploy" / "nginx.conf"
PAGE = {"Accept": "text/html"}


@pytest.fixture
def behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, dict[str, Served]]]:
    """The address of the proxy, and the processes by their names."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        pytest.skip("nginx is not on this machine")
    with ExitStack() as open_ones:
        nodes = {}
        for name in ("a", "b"):
            monkeypatch.setenv(VARIABLE, name)
            nodes[name] = open_ones.enter_context(served(tmp_path, ["--class", "--address", "127.0.0.1"]))
            assert listens_at(int(nodes[name].rpartition(":")[2])) == {"127.0.0.1"}  # nobody comes past the proxy
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        text = CONFIG.read_text().replace("listen 80;", f"listen 127.0.0.1:{port};")
        for number, node in (("8501", nodes["a"]), ("8502", nodes["b"])):
            assert f"127.0.0.1:{number}" in text
            text = text.replace(f"127.0.0.1:{number}", f"127.0.0.1:{node.rpartition(':')[2]}")
        temporary = "".join(f"{kind}_temp_path {tmp_path};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi",
                                                                          "scgi"))
        (tmp_path / "nginx.conf").write_text(f"worker_processes 1; pid {tmp_path}/nginx.pid; events {{}} http {{ "
                                             f"access_log off; {temporary} {text} }}")
        proxy = subprocess.Popen([nginx, "-p", tmp_path, "-c", tmp_path / "nginx.conf", "-e", tmp_path / "nginx.log",
                                  "-g", "daemon off;"])
        try:
            until(lambda: answers(port))
            yield f"http://127.0.0.1:{port}", nodes
        finally:
            proxy.terminate()
            proxy.wait(20)


def listens_at(port: int) -> set[str]:
    """The addresses of this computer at which somebody listens on a port, as the kernel tells."""
    found = set()
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            address, _, at = local.partition(":")
            if (int(at, 16), state) == (port, "0A"):
                words = bytes.fromhex(address)
                found.add(socket.inet_ntop(family, b"".join(words[k:k + 4][::-1] for k in range(0, len(words), 4))))
    return found


def answers(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.slow
def test_readers_stay_with_their_process_and_go_on_when_it_is_killed(behind: tuple[str, dict[str, Served]]) -> None:
    url, nodes = behind
    browsers = [httpx2.Client(base_url=url, timeout=HOPE_SECONDS) for _ in range(6)]
    for one in browsers:
        assert one.get("/", headers=PAGE).status_code == 200
    at = [one.cookies["playground_node"] for one in browsers]
    assert set(at) == {"a", "b"}
    keys = [one.cookies["playground-workspace"] for one in browsers]
    assert len(set(keys)) == len(browsers)
    for one, node in zip(browsers, at, strict=True):
        for _ in range(3):
            assert f"playground_node={node};" in one.get("/", headers=PAGE).headers["set-cookie"]

    def reading(seconds: float) -> list[int]:
        """Errors on the pages of all readers, who press for so long."""
        async def together() -> list[int]:
            found = await asyncio.gather(*(
                read(url, "convolution", random.Random(k), seconds, (0.2, 0.5), {
                    "Origin": url,
                    "Cookie": f"playground_node={node}; playground-workspace={key}"})
                for k, (node, key) in enumerate(zip(at, keys, strict=True))))
            return [one.errors for one in found]

        return on_a_loop(together())

    assert reading(1.0) == [0] * len(browsers)
    os.kill(nodes["a"].pid, signal.SIGKILL)
    began = time.monotonic()
    assert reading(1.0) == [0] * len(browsers)
    assert time.monotonic() - began < 60
    for one, key in zip(browsers, keys, strict=True):  # whoever was at the dead one is at the other, in his workspace
        found = one.get("/", headers=PAGE)
        assert "playground_node=b;" in found.headers["set-cookie"]
        assert one.cookies["playground-workspace"] == key
