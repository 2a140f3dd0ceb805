"""The app as the server finds it, and as it answers: our routes and Streamlit's on one port."""

import json
import shlex
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path

import httpx2
import pytest
from streamlit.web.server.app_discovery import discover_asgi_app

from bench.served import served
from playground.datasets import photos
from playground.deploy.session import Classifier
from playground.home import REPOSITORY
from playground.ui.studio import over_http
from tests.playground.server.test_model_routes import photo
from tests.waiting import HOPE_SECONDS, on_a_loop

APP = Path(__file__).resolve().parents[3] / "playground" / "app.py"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served() as address:
        yield address


def asked(address: str, **headers: str) -> tuple[int, HTTPMessage, bytes]:
    """Status, headers and body of an answer."""
    request = urllib.request.Request(address, headers={name.replace("_", "-"): said for name, said in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=HOPE_SECONDS) as found:
            return found.status, found.headers, found.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def test_the_server_finds_the_app_in_its_file() -> None:
    found = discover_asgi_app(APP)
    assert (found.is_asgi_app, found.import_string) == (True, "app:app")


@pytest.mark.slow
def test_our_routes_and_streamlits_answer_on_one_port(url: str) -> None:
    assert asked(f"{url}/_stcore/health")[::2] == (200, b"ok")
    status, headers, page = asked(f"{url}/convolution?size=5")
    assert (status, headers.get_content_type()) == (200, "text/html")
    assert b"<title>Streamlit</title>" in page
    status, headers, said = asked(f"{url}/api/view/a/b?c")
    assert (status, headers.get_content_type()) == (400, "application/json")
    assert set(json.loads(said)) == {"error"}
    assert asked(f"{url}/api/else")[0] == 404


@pytest.mark.slow
def test_every_error_of_our_addresses_is_a_sentence(url: str) -> None:
    for path in ("api/models/..%2f", "api/models/..%2f..%2fetc", "api/models/..%5c", "api/%2fetc", "api/view/~%2f/x",
                 "api/else", "api/", "api/runtime/..%2f/x", "api/models/a/..%2fmodel.onnx"):
        status, headers, said = asked(f"{url}/{path}")
        assert (status in (400, 404), headers.get_content_type()) == (True, "application/json"), path
        assert json.loads(said)["error"].endswith("."), path


@pytest.mark.slow
@pytest.mark.parametrize("path", ["", "pooling", "_stcore/health", "static/nothing.js", "api/nothing", "media/nothing",
                                  "_stcore/metrics"])
def test_every_answer_has_the_headers_that_do_no_harm(url: str, path: str) -> None:
    _, headers, _ = asked(f"{url}/{path}")
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert headers.get_all("Referrer-Policy") == ["same-origin"]
    assert headers.get_all("X-Frame-Options") == ["DENY"]
    (policy,) = headers.get_all("Content-Security-Policy") or []
    said = {name: sources.split() for name, _, sources in (one.partition(" ") for one in policy.split("; "))}
    assert said["default-src"] == said["frame-ancestors"] == said["base-uri"] == ["'none'"]
    assert not {"'unsafe-inline'", "'unsafe-eval'", "*", "http:", "https:", "data:"} & {*said["script-src"]}


@pytest.mark.slow
def test_what_streamlit_tells_of_its_readers_is_told_to_nobody(url: str) -> None:
    for path in ("_stcore/metrics", "_stcore/metrics/", "_stcore/metrics?families=session", "_stcore%2Fmetrics"):
        status, _, said = asked(f"{url}/{path}")
        assert (status, said) == (404, b"There is nothing at this address.\n"), path


@pytest.mark.slow
def test_pages_and_their_websocket_answer_under_names_that_are_ours_alone(url: str) -> None:
    port = url.rpartition(":")[2]
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "192.168.0.7", f"[::1]:{port}", f"{socket.gethostname()}:1"):
        assert asked(f"{url}/_stcore/health", Host=host)[0] == 200, host
        assert on_a_loop(opens(port, host)), host
    status, headers, said = asked(f"{url}/convolution", Host="evil.example:8501")
    assert (status, headers.get_content_type()) == (400, "text/plain")
    assert b"'evil.example'" in said
    assert b"PLAYGROUND_HOSTS" in said
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert not on_a_loop(opens(port, "evil.example"))


MODEL = REPOSITORY / "exports" / "digits-example" / "model.onnx"


def own_answer() -> list[tuple[str, float]]:
    """What the model that comes with the playground says of the photo."""
    classifier = Classifier(MODEL)
    return classifier.predict([photos.for_model(photo(), classifier.labels)])[0].top(3)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(over_http.LINES))
def test_the_lines_on_the_models_page_give_the_apps_own_answer(url: str, name: str, tmp_path: Path) -> None:
    program = {"curl": "curl", "Python": sys.executable, "JavaScript": "node"}[name]
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not on this machine")
    (tmp_path / "photo.jpg").write_bytes(photo())
    lines = over_http.with_key(over_http.LINES[name][0], f"{url}/api/models/digits-example", False)
    (tmp_path / "ask.mjs").write_text(lines)
    command = {"curl": shlex.split(lines), "Python": [program, "-c", lines], "JavaScript": [program, "ask.mjs"]}[name]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HOPE_SECONDS)
    assert done.returncode == 0, done.stderr
    if name == "curl":
        said = [(one["label"], one["probability"]) for one in json.loads(done.stdout)["predictions"]]
    else:
        said = [(label, float(chance)) for label, chance in map(str.split, done.stdout.splitlines())]
    assert said == own_answer()


@pytest.mark.slow
def test_a_models_file_is_not_compressed_anew_for_everybody(url: str) -> None:
    path = f"{url}/api/models/digits-example/model.onnx"
    status, headers, content = asked(path, Accept_Encoding="gzip")
    assert (status, headers["Content-Encoding"], content) == (200, "identity", MODEL.read_bytes())
    assert asked(path, If_None_Match=headers["ETag"])[::2] == (304, b"")


@pytest.mark.slow
@pytest.mark.parametrize(("status", "size", "headers"), [
    (413, 70, {"Content-Type": "image/png"}), (415, 20, {}),
    (403, 20, {"Content-Type": "image/png", "Origin": "http://evil.example"})])
def test_who_sends_much_hears_why_it_is_refused(url: str, status: int, size: int, headers: dict[str, str]) -> None:
    """A server that closes while a client sends has it see a lost connection, and no sentence."""
    request = urllib.request.Request(f"{url}/api/models/digits-example/predict", bytes(size * 2**20), headers)
    with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request, timeout=HOPE_SECONDS):
        pass
    with refused.value as answer:
        assert (answer.code, list(json.load(answer))) == (status, ["error"])


async def opens(port: str, host: str) -> bool:
    """Whether a page's websocket is let in under a name."""
    headers = {"Host": host, "Origin": f"http://{host}"}
    async with httpx2.AsyncClient(timeout=HOPE_SECONDS) as client:
        found = await client.get(f"http://localhost:{port}/_stcore/stream", headers=headers | {
            "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "streamlit"})
    return found.status_code == 101
