"""A small HTTP server that misbehaves as it is told to, for the tests of downloads, and small sets to offer."""

import contextlib
import gzip
import hashlib
import io
import struct
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground.datasets import downloads
from playground.datasets.downloads import Downloadable, File
from tests.waiting import HOPE_SECONDS


class Server:
    """Serves `files` (path -> content). `plans` holds, by path, how each next answer goes wrong; then all is well."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.plans: dict[str, list[str]] = {}
        self.asked: list[tuple[str, str | None]] = []  # (path, its Range)
        self.released = threading.Event()  # ends every stall
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, span = request.path, request.headers.get("Range")
        self.asked.append((path, span))
        plan = (self.plans.get(path) or ["well"]).pop(0)
        content = self.files.get(path)
        if plan.startswith("to "):
            request.send_response(302)
            request.send_header("Location", plan[3:])
            request.end_headers()
            return
        if content is None or plan.isdigit():
            request.send_error(404 if content is None else int(plan))
            return
        if plan == "corrupt":
            content = bytes(byte ^ 0x55 for byte in content)
        if plan == "portal":
            content = b"<html>Please log in</html>"
        first = int(span.removeprefix("bytes=").rstrip("-")) if span and plan != "no range" else 0
        if first:
            request.send_response(206)
            request.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        else:
            request.send_response(200)
        if plan != "endless":
            request.send_header("Content-Length", str(len(content) - first))
        request.end_headers()
        body = content[first:] + (b"more" * 9 if plan == "endless" else b"")
        if plan in ("truncate", "stall"):
            body = body[: len(body) // 2]
        with contextlib.suppress(ConnectionError):
            request.wfile.write(body)
            request.wfile.flush()
            if plan == "stall":
                self.released.wait(HOPE_SECONDS)
        request.close_connection = True


def photo(colour: tuple[int, int, int], suffix: str = "PNG", side: int = 24) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, suffix)
    return file.getvalue()


def pets_zip(each: int = 4) -> bytes:
    """train/ and validation/ of cats and dogs, in one folder, as cats_and_dogs_filtered comes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for half in ("train", "validation"):
            for k in range(each):
                archive.writestr(f"pets_filtered/{half}/cats/{k}.png", photo((200, 10 * k, 0)))
                archive.writestr(f"pets_filtered/{half}/dogs/{k}.png", photo((0, 10 * k, 200)))
        archive.writestr("pets_filtered/vectorize.py", "")
    return content.getvalue()


def tar_gz(**files: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        link = tarfile.TarInfo("images/passwords.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return content.getvalue()


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">{1 + array.ndim}I", 0x800 + array.ndim, *array.shape) + array.tobytes())


def offered(server: Server, like: str, files: dict[str, bytes], checked: bool = True) -> Downloadable:
    """A set that is unpacked as `like` of the catalogue, and whose files this server has."""
    model = downloads.CATALOGUE[like]
    found = []
    for name, content in files.items():
        server.files[f"/{name}"] = content
        sha256 = hashlib.sha256(content).hexdigest() if checked else None
        found.append(File(f"{server.url}/{name}", len(content), sha256))
    return Downloadable(f"A small {model.title}", model.about, tuple(found), model.unpack, model.source, model.page,
                        model.licence, model.photographs, model.small)


@contextlib.contextmanager
def serving(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that runs meanwhile, and downloads that ask it again at once."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("PLAYGROUND_MIRROR", raising=False)
    monkeypatch.setattr(downloads, "PAUSE_SECONDS", 0.0)
    server = Server()
    try:
        yield server
    finally:
        server.close()


def here(folder: Path) -> list[str]:
    """Every file below a folder, hidden ones too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
