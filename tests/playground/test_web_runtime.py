"""onnxruntime-web on its way from npm to a browser: fetched whole and checked, and served as what it is."""

import base64
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from playground import __main__ as cli
from playground.browser import fetching, runtime
from playground.datasets.downloads import File
from playground.errors import PlaygroundError
from playground.server import runtime as route
from tests.playground.a_server import Server, serving

CONTENTS = {"ort.wasm.min.mjs": b"export const ort = 1;\n" * 40, "ort-wasm-simd-threaded.mjs": b"export default 2;\n",
            "ort-wasm-simd-threaded.wasm": bytes(range(256)) * 20}


def package(contents: dict[str, bytes]) -> bytes:
    """A package as npm's, with more in it than is wanted."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in {**contents, "README.md": b"?", "../../evil.mjs": b"evil"}.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def offered(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A registry that offers a small package in its place."""
    files = tuple(replace(file, size=len(CONTENTS[file.name])) for file in runtime.FILES)
    monkeypatch.setattr(runtime, "FILES", files)
    with serving(monkeypatch) as server:
        offer(server, monkeypatch, package(CONTENTS))
        yield server


def offer(server: Server, monkeypatch: pytest.MonkeyPatch, archive: bytes, sha512: bytes | None = None) -> None:
    server.files["/one.tgz"] = archive
    sha = base64.b64encode(sha512 or hashlib.sha512(archive).digest()).decode()
    monkeypatch.setattr(fetching, "PACKAGE", replace(
        fetching.PACKAGE, files=(File(f"{server.url}/one.tgz", len(archive), sha512=sha),)))


def test_three_files_are_fetched_once_and_lie_there_compressed_too(
        offered: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["browser", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    folder = Path(said["folder"])
    assert folder == runtime.folder()
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".gz"} == CONTENTS
    assert {name: gzip.decompress((folder / f"{name}.gz").read_bytes()) for name in CONTENTS} == CONTENTS
    offered.asked.clear()
    assert cli.main(["browser"]) == 0
    assert offered.asked == []


@pytest.mark.parametrize(("archive", "sha512", "sentence"), [
    (package(CONTENTS), hashlib.sha512(b"another").digest(), r"one\.tgz .* is not what was published .*SHA-512"),
    (package({**CONTENTS, "ort.wasm.min.mjs": b"shorter"}), None, "is not the file that is expected"),
    (package({"ort.wasm.min.mjs": CONTENTS["ort.wasm.min.mjs"]}), None, "does not hold the files that are expected"),
    (b"no archive at all", None, "the archive is damaged"),
])
def test_what_is_not_the_package_is_not_kept(
        offered: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], archive: bytes,
        sha512: bytes | None, sentence: str) -> None:
    offer(offered, monkeypatch, archive, sha512)
    assert cli.main(["browser"]) == 2
    assert runtime.folder() is None
    with pytest.raises(PlaygroundError, match=sentence):
        list(fetching.fetch())


def test_a_server_that_is_away_is_a_sentence_that_says_what_works_without(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(monkeypatch) as server:
        offer(server, monkeypatch, package(CONTENTS))
    assert cli.main(["browser"]) == 2
    assert "cannot be reached from this server" in (said := capsys.readouterr().err)
    assert "without it, models run on this server alone" in said


@pytest.fixture
def client(playground_home: Path) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=route.routes())) as opened:
        yield opened


def address(name: str, version: str = runtime.VERSION) -> str:
    return f"/api/runtime/{version}/{name}"


@pytest.mark.usefixtures("offered")
def test_each_file_is_served_as_what_it_is_and_may_be_kept_for_good(client: TestClient) -> None:
    assert cli.main(["browser"]) == 0
    for file in runtime.FILES:
        for takes, coding in (("gzip, br", "gzip"), ("identity", "identity")):
            found = client.get(address(file.name), headers={"Accept-Encoding": takes})
            assert found.status_code == 200
            assert found.content == CONTENTS[file.name]  # unpacked by the client
            assert found.headers["content-encoding"] == coding
            assert found.headers["content-type"].split(";")[0] == file.media_type
            assert found.headers["cache-control"] == route.LASTING
            assert found.headers["vary"] == "Accept-Encoding"
            head = client.head(address(file.name), headers={"Accept-Encoding": takes})
            assert (head.content, head.headers["content-length"]) == (b"", found.headers["content-length"])
    assert client.post(address("ort.wasm.min.mjs")).status_code == 405


@pytest.mark.usefixtures("offered")
@pytest.mark.parametrize("asked", [
    address("ort.wasm.min.mjs", "1.29.0"), address("ort.wasm.min.mjs.gz"), address("README.md"), address("evil.mjs"),
    address("%2e%2e%2fevil.mjs"), address("ort.wasm.min.mjs", ".."),
])
def test_nothing_else_is_served(client: TestClient, asked: str) -> None:
    assert cli.main(["browser"]) == 0
    found = client.get(asked)
    assert found.status_code == 404


def test_without_the_files_one_sentence_says_what_to_do(client: TestClient) -> None:
    found = client.get(address("ort.wasm.min.mjs"))
    assert found.status_code == 404
    assert found.json() == {"error": "onnxruntime-web is not on this server: make browser fetches it."}


def test_the_files_that_were_fetched_are_those_a_browser_is_told_of(web_runtime: Path) -> None:
    for file in runtime.FILES:
        content = (web_runtime / file.name).read_bytes()
        assert len(content) == file.size
        assert file.integrity == f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"
        assert gzip.decompress((web_runtime / f"{file.name}{runtime.PACKED}").read_bytes()) == content
