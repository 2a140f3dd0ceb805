"""The app as the server finds it, and as it answers: our routes and Streamlit's on one port."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPMessage
from pathlib import Path

import pytest
from streamlit.web.server.app_discovery import discover_asgi_app

from bench.served import served
from tests.waiting import HOPE_SECONDS

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
@pytest.mark.parametrize("path", ["", "pooling", "_stcore/health", "static/nothing.js", "api/nothing", "media/nothing"])
def test_every_answer_has_the_headers_that_do_no_harm(url: str, path: str) -> None:
    _, headers, _ = asked(f"{url}/{path}")
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert headers.get_all("Referrer-Policy") == ["same-origin"]
    assert headers.get_all("X-Frame-Options") == ["DENY"]
