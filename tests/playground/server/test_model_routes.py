"""The routes of the models over real models in a registry: the page's answers, limits, and refusals in a sentence."""

import asyncio
import hashlib
import io
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.testclient import TestClient

from playground import home, model_names
from playground.deploy import contract, registry, session
from playground.server import inference
from playground.server.asked import RefusedError
from playground.server.inbox import Inbox
from playground.server.models import ModelRoutes
from playground.server.single_flight import BusyError, SingleFlight
from playground.server.views import nothing_there
from tests.pages.on_a_page import GRAY, put_model
from tests.waiting import HOPE_SECONDS, on_a_loop

SIDE_UPRIGHT = 6  # EXIF: the camera was held on its side


def app_of(**said: Any) -> Starlette:
    """The routes as the server has them."""
    said.setdefault("models", lambda: inference)
    routes = ModelRoutes(said.pop("predicting", SingleFlight()), SingleFlight(), **said)
    return Starlette(routes=[*routes.routes(), Mount("/api", nothing_there)])


@pytest.fixture
def client(playground_home: Path) -> Iterator[TestClient]:
    with TestClient(app_of()) as opened:
        yield opened


def photo(kind: str = "JPEG", **said: Any) -> bytes:
    """A drawing of dark ink on light paper, taken by a camera that was held on its side."""
    levels = np.random.default_rng(3).integers(190, 240, (40, 56, 3), np.uint8)
    levels[8:30, 20:26] = (30, 60, 20)
    exif = Image.Exif()
    exif[0x0112] = SIDE_UPRIGHT
    file = io.BytesIO()
    Image.fromarray(levels).save(file, kind, exif=exif, **said)
    return file.getvalue()


def put_sigmoid(name: str, slope: float = 3.0) -> None:
    """A model whose network ends in a single score of two labels: slope times the mean of the prepared pixels."""
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "w"], ["score_"])], "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("score_", TensorProto.FLOAT, ["N", 1])],
        [numpy_helper.from_array(np.full((64, 1), slope / 64, np.float32), "w")])
    core = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model: onnx.ModelProto = contract.finish(core, GRAY, ("dark", "bright"), "a test")
    registry.put(name, model, {"preprocessing": {**GRAY.to_dict(), "sentence": GRAY.sentence()}})


def sentence(found: httpx2.Response, status: int) -> str:
    """What a refusal says, which is one JSON sentence without where the server keeps things."""
    assert found.status_code == status
    assert found.headers["content-type"] == "application/json"
    said = found.json()
    assert list(said) == ["error"]
    assert re.fullmatch(r"[A-Z].*\.|(top|as_it_is|'.*') .*\.", said["error"])
    assert str(home.home()) not in found.text
    assert str(home.REPOSITORY) not in found.text
    return str(said["error"])


def test_a_single_score_comes_as_the_sigmoid_and_its_rest(client: TestClient) -> None:
    put_sigmoid("binary", slope=3.0)
    file = io.BytesIO()
    Image.new("L", (5, 5), 200).save(file, "PNG")
    found = client.post("/api/models/binary/predict", content=file.getvalue()).json()["predictions"]
    bright = 1 / (1 + np.exp(-3.0 * (200 / 255 - 0.5) / 0.5))
    assert [one["label"] for one in found] == ["bright", "dark"]
    assert [one["probability"] for one in found] == pytest.approx([bright, 1 - bright], abs=1e-6)


def test_top_says_how_many_labels_come_and_the_likeliest_come_first(client: TestClient) -> None:
    put_model("many", tuple(f"class {k}" for k in range(7)))
    def labels(query: str) -> list[str]:
        found = client.post(f"/api/models/many/predict{query}", content=photo()).json()["predictions"]
        assert [one["probability"] for one in found] == sorted((one["probability"] for one in found), reverse=True)
        return [one["label"] for one in found]

    assert sorted(labels("")) == [f"class {k}" for k in range(7)]
    assert labels("?top=3") == labels("")[:3]
    assert labels("?top=10000") == labels("")


@pytest.mark.parametrize(("query", "named"), [
    ("top=0", "10000"), ("top=-1", "10000"), ("top=2.0", "10000"), ("top=", "10000"), ("top=٣", "10000"),
    ("top=10001", "10000"), ("as_it_is=yes", "true or false"), ("tip=3", "'tip'"), ("top=1&top=1", "twice")])
def test_a_setting_that_is_none_is_refused(client: TestClient, query: str, named: str) -> None:
    assert named in sentence(client.post(f"/api/models/digits-example/predict?{query}", content=photo()), 400)


def test_the_models_are_listed_with_what_a_program_has_to_know(client: TestClient) -> None:
    put_model("photos", ("cat", "dog"), task="transfer", accuracy={"value": 0.5, "count": 4, "confusion": [[1, 2]]},
              training={"request": {"backbone": "mobilenet", "data": str(home.data_dir())}})
    listed = client.get("/api/models").json()["models"]
    assert [one["name"] for one in listed] == ["photos", "digits-example"]
    one = listed[0]
    assert one == client.get(one["links"]["self"]).json()
    assert (one["task"], one["backbone"], one["labels"]) == ("transfer", "mobilenet", ["cat", "dog"])
    assert one["accuracy"] == {"value": 0.5, "count": 4, "split": "test"}
    assert {key: one["input"][key] for key in ("height", "width", "channels")} == {
        "height": 8, "width": 8, "channels": 1}
    content = client.get(one["links"]["onnx"]).content
    assert (len(content), hashlib.sha256(content).hexdigest()) == (one["size_bytes"], one["sha256"])
    assert client.post(one["links"]["predict"], content=photo()).status_code == 200
    assert one["links"]["page"] == "/models?model=photos"
    assert str(home.home()) not in json.dumps(listed)


def test_below_a_path_the_links_and_the_document_say_so(playground_home: Path) -> None:
    with TestClient(app_of(base="/play")) as client:
        one = client.get("/play/api/models").json()["models"][0]
        assert client.get(one["links"]["onnx"]).status_code == 200
        assert client.get("/play/api/openapi.json").json()["servers"] == [{"url": "/play"}]
        assert client.get("/api/models").status_code == 404


def test_the_file_comes_as_it_is_and_once(client: TestClient, playground_home: Path) -> None:
    entry = put_model("photos")
    path = "/api/models/photos/model.onnx"
    found = client.get(path, headers={"Accept-Encoding": "gzip", "Range": "bytes=1-2"})
    assert (found.status_code, found.content) == (200, entry.onnx.read_bytes())
    assert found.headers["content-disposition"] == 'attachment; filename="photos.onnx"'
    assert found.headers["content-encoding"] == "identity"
    assert found.headers["content-length"] == str(len(found.content))
    head = client.head(path)
    assert (head.headers, head.content) == (found.headers, b"")
    tag = {"If-None-Match": found.headers["etag"]}
    assert (client.get(path, headers=tag).status_code, client.get(path, headers=tag).content) == (304, b"")
    registry.remove("photos")
    put_model("photos", ("other", "labels"))
    again = client.get(path, headers=tag)
    assert (again.status_code, again.content) == (200, entry.onnx.read_bytes())
    assert client.get(path, headers={"If-None-Match": again.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("name", ["none", "NONE", "a b", "%00", "%F0%9F%90%88", "..%5C..", "~", "%2e%2e%2f%2e%2e",
                                  "%2Fetc%2Fpasswd", "x" * 3000, "%FF", "playground", ".lock"])
def test_a_name_that_no_model_has_is_not_found(client: TestClient, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.REPOSITORY)  # where playground is a folder
    for found in (client.get(f"/api/models/{name}"), client.get(f"/api/models/{name}/model.onnx"),
                  client.post(f"/api/models/{name}/predict", content=photo())):
        sentence(found, 404)


def test_a_folder_elsewhere_is_no_model_whatever_it_holds(client: TestClient, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    entry = put_model("inside")
    entry.folder.rename(tmp_path / "outside")
    monkeypatch.chdir(tmp_path)
    assert isinstance(registry.get("outside"), registry.Entry)  # the command line follows paths
    sentence(client.get("/api/models/outside"), 404)


def test_an_opened_file_comes_to_who_knows_its_digest(client: TestClient, playground_home: Path) -> None:
    content = b"any ONNX file"
    digest = hashlib.sha256(content).hexdigest()[:32]
    (home.opened_dir() / f"{digest}.onnx").write_bytes(content)
    found = client.get(f"/api/opened/{digest}.onnx")
    assert (found.status_code, found.content) == (200, content)
    assert client.get(f"/api/opened/{digest}.onnx", headers={"If-None-Match": found.headers["etag"]}).status_code == 304
    (playground_home / "secret.onnx").write_bytes(b"no")
    for other in ("0" * 32, digest[:31], digest.upper(), "..%2f..%2fsecret", "converted"):
        answer = client.get(f"/api/opened/{other}.onnx")
        assert answer.status_code == 404
        assert sentence(answer, 404)
    assert home.public(f"data/opened/{digest}.onnx is damaged.") == "data/opened/….onnx is damaged."


def test_other_methods_and_addresses_are_refused(client: TestClient) -> None:
    for method, path, allowed in (("POST", "", "GET, HEAD"), ("DELETE", "/digits-example", "GET, HEAD"),
                                  ("OPTIONS", "/digits-example/predict", "POST"),
                                  ("GET", "/digits-example/predict", "POST"),
                                  ("PUT", "/digits-example/model.onnx", "GET, HEAD")):
        found = client.request(method, f"/api/models{path}")
        sentence(found, 405)
        assert found.headers["allow"] == allowed
    for path in ("/api/models/", "/api/models/digits-example/", "/api/models/digits-example/card.json", "/api/runs"):
        sentence(client.get(path, follow_redirects=False), 404)


@pytest.mark.parametrize(("content", "named"), [
    (b"", "Nothing was sent"), (b"no picture", "not a picture"), (photo()[:300], "damaged"),
    (b"%!PS-Adobe-3.0 EPSF-3.0", "not a picture")])
def test_what_is_no_picture_is_refused(client: TestClient, content: bytes, named: str) -> None:
    assert named in sentence(client.post("/api/models/digits-example/predict", content=content), 400)


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain",
                                  "application/json"])
def test_what_calls_itself_something_else_is_refused(client: TestClient, kind: str) -> None:
    asked = "/api/models/digits-example/predict"
    sentence(client.post(asked, content=photo(), headers={"Content-Type": kind}), 415)
    for picture in ("image/jpeg", "IMAGE/PNG; x=y", "application/octet-stream"):
        assert client.post(asked, content=photo(), headers={"Content-Type": picture}).status_code == 200


def test_a_page_of_another_site_may_not_ask_with_its_readers_browser(client: TestClient) -> None:
    asked = "/api/models/digits-example/predict"
    for origin in ("http://evil.example", "null", "http://testserver:8501", ""):
        said = sentence(client.post(asked, content=photo(), headers={"Origin": origin}), 403)
        assert "another site" in said
    own = client.post(asked, content=photo(), headers={"Origin": "http://testserver"})
    assert own.status_code == 200
    assert "access-control-allow-origin" not in own.headers


def test_a_damaged_model_is_a_sentence_and_leaves_the_others(client: TestClient) -> None:
    put_model("broken").onnx.write_bytes(b"no model")
    assert "not an ONNX file" in sentence(client.post("/api/models/broken/predict", content=photo()), 500)
    (home.exports_dir() / "broken" / "card.json").write_text("{")
    assert "card.json is damaged" in sentence(client.get("/api/models/broken"), 500)
    assert [one["name"] for one in client.get("/api/models").json()["models"]] == ["digits-example"]


def test_where_the_server_keeps_things_is_not_said(
        client: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    found = registry.find("digits-example")
    assert found is not None
    for said in (home.REPOSITORY / "exports" / "gone.onnx", home.home() / "exports" / "gone.onnx"):
        monkeypatch.setattr(inference.session, "open_classifier", lambda path, at=said: session._read(at))
        assert "exports/gone.onnx" in sentence(client.post("/api/models/digits-example/predict", content=photo()), 500)
    monkeypatch.setattr(inference.session, "open_classifier", lambda path: Path(home.home() / "secret").read_bytes())
    assert "log" in sentence(client.post("/api/models/digits-example/predict", content=photo()), 500)
    assert "secret" in caplog.text


def test_a_model_is_opened_once_for_all_who_ask(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    put_model("photos")
    opened = []
    monkeypatch.setattr(session, "Classifier", lambda path, made=session.Classifier: opened.append(path) or made(path))
    for _ in range(3):
        assert client.post("/api/models/photos/predict", content=photo()).status_code == 200
    assert len(opened) == 1


class Slow:
    """A model that answers when it is told to, and holds everybody else up."""

    def __init__(self) -> None:
        self.go_on, self.asked = threading.Event(), 0

    def described(self, name: str, base: str) -> dict[str, Any]:
        return {}

    def predicted(self, *_: Any) -> dict[str, Any]:
        self.asked += 1
        assert self.go_on.wait(HOPE_SECONDS)
        return {"said": self.asked}


async def all_at_once(app: Starlette, slow: Slow, count: int, told: int) -> list[httpx2.Response]:
    """`count` who ask at the same moment; the model answers when `told` of them have heard something."""
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://testserver", timeout=HOPE_SECONDS) as client:
        tasks = [asyncio.create_task(client.post("/api/models/a/predict", content=b"x" * 60)) for _ in range(count)]
        while sum(task.done() for task in tasks) < told or not slow.asked:
            await asyncio.sleep(0.005)
        slow.go_on.set()
        return list(await asyncio.gather(*tasks))


@pytest.mark.parametrize("limits", [
    {"predicting": (2, 3)}, {"inbox": (100, 1000, 3)}, {"inbox": (100, 200, 100)}])
def test_who_is_one_too_many_is_told_to_come_again(limits: dict[str, Any]) -> None:
    slow = Slow()
    made: dict[str, Any] = {"models": lambda: slow}
    if "predicting" in limits:
        made["predicting"] = SingleFlight(*limits["predicting"])
    else:
        made["inbox"] = Inbox(*limits["inbox"], HOPE_SECONDS)
    found = on_a_loop(all_at_once(app_of(**made), slow, 8, 5))
    assert sorted(one.status_code for one in found) == [200] * 3 + [503] * 5
    for one in found:
        if one.status_code == 503:
            sentence(one, 503)
            assert one.headers["retry-after"] == "1"
    if "inbox" in made:
        assert (made["inbox"].held, made["inbox"].senders) == (0, 0)


def test_who_has_waited_too_long_is_let_go_without_being_computed() -> None:
    slow = Slow()
    slow.go_on.set()
    with TestClient(app_of(models=lambda: slow, wait_seconds=-1.0)) as client:
        sentence(client.post("/api/models/a/predict", content=photo()), 503)
    assert slow.asked == 0


def test_no_more_than_the_limit_is_held(playground_home: Path) -> None:
    inbox = Inbox(1000, 10_000, 10, HOPE_SECONDS)
    most = []
    with TestClient(app_of(inbox=inbox)) as client:
        asked = "/api/models/digits-example/predict"

        def pieces() -> Iterator[bytes]:
            for _ in range(50):
                most.append(inbox.held)
                yield b"x" * 100

        assert "1000 bytes" in sentence(client.post(asked, content=b"x" * 1001), 413)
        assert "1000 bytes" in sentence(client.post(asked, content=pieces()), 413)
        assert "1000 bytes" in sentence(client.post(asked, content=b"x", headers={"Content-Length": "9" * 18}), 413)
        sentence(client.post(asked, content=b"x" * 1000), 400)
    assert inbox.held == inbox.senders == 0


async def received(inbox: Inbox, messages: list[dict[str, Any]], held: list[int]) -> bytes:
    """The body that an inbox makes of messages of a server; after the last there comes nothing."""
    async def receive() -> dict[str, Any]:
        held.append(inbox.held)
        if not messages:
            await asyncio.Event().wait()
        return messages.pop(0)

    async with inbox.body(Request({"type": "http", "headers": []}, receive)) as content:
        held.append(inbox.held)
        return content


def test_bodies_are_counted_while_they_come_and_forgotten_after() -> None:
    def messages(count: int) -> list[dict[str, Any]]:
        return [{"type": "http.request", "body": b"x" * 10, "more_body": k < count - 1} for k in range(count)]

    inbox, held = Inbox(40, 100, 2, 1000.0), []
    assert on_a_loop(received(inbox, messages(4), held)) == b"x" * 40
    assert held == [0, 10, 20, 30, 40]
    with pytest.raises(RefusedError) as refused:
        on_a_loop(received(inbox, messages(9), held := []))
    assert (refused.value.status, max(held), len(held)) == (413, 40, 5)
    with pytest.raises(BusyError):
        on_a_loop(received(Inbox(40, 25, 2, 1000.0), messages(3), []))
    with pytest.raises(RefusedError) as refused:
        on_a_loop(received(slow := Inbox(40, 100, 2, 0.0), messages(2)[:1], []))
    assert refused.value.status == 408
    assert (inbox.held, inbox.senders, slow.held, slow.senders) == (0, 0, 0, 0)


def test_a_name_may_be_what_the_registry_takes_and_the_address_holds_it(client: TestClient) -> None:
    for name in ("0", "a_-b", "x" * model_names.LONGEST):
        put_model(name)
        assert client.get(f"/api/models/{name}").json()["name"] == name
    assert len(client.get("/api/models").json()["models"]) == 4
