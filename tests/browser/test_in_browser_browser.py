"""Models run by the browser itself: the answers are onnxruntime's, pictures stay, and what goes wrong is a sentence."""

import base64
import functools
import io
import json
import re
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, expect

from playground.browser import PANEL, runtime
from playground.datasets import picture, samples
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import package, registry
from playground.deploy.network_file import network_alone
from playground.deploy.parity import pattern
from playground.deploy.session import Classifier
from playground.inspection import running
from playground.inspection.preparation import Preparation, guess
from playground.numbers import percent
from tests.browser.conftest import settled, silent
from tests.pages.on_a_page import put_model
from tests.pages.picture_kinds import kinds
from tests.parity.export_kinds import KINDS, SHIPPED, exported
from tests.playground.inspection import other_kinds
from tests.waiting import until

PICTURES = [pattern(), pattern(9, 13), samples.photo("cat"), pattern(1, 1), pattern(40, 3)]
WITH_A_PICTURE = 2_000  # bytes of a message from the browser that holds one


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a folder, as `python -m http.server` serves it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def bare(shared_context, web_runtime: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:  # type: ignore[no-untyped-def]
    """A page of nothing but the scripts, with the runtime beside it."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "runtime").symlink_to(web_runtime)
    names = "panel runtimeFrom modelBytes opened answered pixelsOfFile prepared ink refusal Trouble"
    (folder / "index.html").write_text(
        "<!doctype html><meta charset=utf-8><title>bare</title><div class=panel></div>"
        f"<script type=module>{PANEL}\nconst bytes = (text) => Uint8Array.from("
        f"atob(text), (letter) => letter.charCodeAt(0));\nconst FILES = {json.dumps(runtime.said(None)['files'])};\n"
        f"Object.assign(window, {{ bytes, FILES, {names.replace(' ', ', ')} }});</script>")
    with serving(folder) as address:
        page = shared_context.new_page()
        page.goto(address)
        yield page
        page.close()


ANSWERS = """async ([model, pictures, wanted]) => {
  const ort = await runtimeFrom("runtime/", FILES, "");
  const session = await opened(ort, bytes(model));
  const found = [];
  for (const one of pictures) {
    const pixels = await pixelsOfFile(new Blob([bytes(one)]), "it", Infinity);
    found.push((await answered(ort, session, pixels, wanted)).scores);
  }
  await session.release();
  return found;
}"""


def by_browser(bare: Page, model: bytes, wanted: dict[str, object]) -> np.ndarray:
    return np.array(bare.evaluate(ANSWERS, [text(model), [text(png(one)) for one in PICTURES], wanted]))


made = functools.cache(exported)


def by_onnxruntime(model: bytes, given: list[np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model)
    name = session.get_inputs()[0].name
    return np.concatenate([session.run([session.get_outputs()[0].name], {name: x})[0] for x in given])


RAW = {"input": "image", "output": "logits", "preparation": None}


@pytest.mark.parametrize("kind", [*KINDS, SHIPPED])
def test_a_browser_gives_onnxruntimes_logits_for_every_kind_of_export(bare: Page, kind: str) -> None:
    model = made(kind)[0].SerializeToString()
    expected = by_onnxruntime(model, [one[None] for one in PICTURES])
    np.testing.assert_allclose(by_browser(bare, model, RAW), expected, atol=1e-4, rtol=0)


def said_of(known: Preprocessing, order: str, layout: str, number: str = "float32") -> dict[str, object]:
    """A preparation as the scripts are told it."""
    return {"height": known.size[0], "width": known.size[1], "gray": known.gray, "mean": list(known.mean),
            "std": list(known.std), "order": order, "layout": layout, "number": number}


@pytest.mark.parametrize("kind", ["one logit", "one probability", "eight at once"])
def test_a_browser_gives_one_score_and_a_fixed_batch_as_the_server_does(bare: Page, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "theirs.onnx"
    onnx.save(other_kinds.made(kind), path)
    wanted = guess(onnx.load(path))
    said = [running.answers(path, wanted.input, wanted.apply(one)) for one in PICTURES]
    known = said_of(wanted.preprocessing, wanted.order, wanted.layout)
    found = by_browser(bare, path.read_bytes(), {"input": wanted.input, "output": "y", "preparation": known,
                                                 "batch": said[0]["batch"], "single": said[0]["single"]})
    np.testing.assert_allclose(found, [one["scores"] for one in said], atol=1e-4, rtol=0)


@pytest.mark.parametrize(("order", "layout"), [("RGB", "NCHW"), ("BGR", "NHWC")])
def test_a_browser_prepares_pictures_as_the_server_does(bare: Page, order: str, layout: str) -> None:
    whole, known = made("torch")
    wanted = Preparation("pixels", known, layout, order)
    model = network_alone(whole, known)
    if layout == "NHWC":  # as TensorFlow's files: turned round as they come in
        model.graph.node.insert(0, onnx.helper.make_node("Transpose", ["nhwc"], ["pixels"], perm=[0, 3, 1, 2]))
        model.graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info("nhwc", 1, [1, *known.size, 3]))
        wanted = Preparation("nhwc", known, layout, order)
    data = model.SerializeToString()
    said = {"input": wanted.input, "output": "logits", "preparation": said_of(known, order, layout)}
    found = by_browser(bare, data, said)
    np.testing.assert_allclose(found, by_onnxruntime(data, [wanted.apply(one) for one in PICTURES]), atol=1e-4, rtol=0)


def test_gray_whole_numbers_are_prepared_as_the_server_does(bare: Page) -> None:
    known = Preprocessing((6, 10), True, (0.25,), (1 / 100,))
    found = bare.evaluate("""async ([pictures, wanted]) => Promise.all(pictures.map(async (one) => Array.from(
        prepared(await pixelsOfFile(new Blob([bytes(one)]), "it"), wanted).data)))""",
                          [[text(png(one)) for one in PICTURES], said_of(known, "RGB", "NCHW", "uint8")])
    expected = np.array([Preparation("x", known, number="uint8").apply(one).ravel() for one in PICTURES], int)
    assert np.abs(np.array(found) - expected).max() <= 1  # a level that is halfway may fall on either side
    assert (np.array(found) == expected).mean() > 0.99


def handwriting() -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    paper = rng.integers(200, 240, (50, 70, 3), np.uint8)
    paper[9:31, 20:26] = (20, 40, 90)
    faint = np.full((12, 9, 3), 180, np.uint8)
    faint[2:9, 4] = 150
    return [paper, faint, np.full((5, 4, 3), 255, np.uint8), np.zeros((5, 4, 3), np.uint8), 255 - paper]


def test_ink_becomes_light_strokes_as_for_every_reader_of_pictures(bare: Page) -> None:
    for paper in handwriting():
        found = bare.evaluate("""async (one) => { const { height, width, data } = ink(await pixelsOfFile(
            new Blob([bytes(one)]), "it")); return [height, width, Array.from(data)]; }""", text(png(paper)))
        expected = picture.ink(paper)
        assert tuple(found[:2]) == expected.shape[:2]
        np.testing.assert_array_equal(np.array(found[2]).reshape(expected.shape), expected)


def test_a_browser_reads_picture_files_as_the_app_does(bare: Page) -> None:
    """But for formats that browsers do not open, pictures that are made smaller, which each does in its own way, and a
    PNG that is turned by XMP."""
    asked = {kind.name: picture.read(kind.data) for kind in kinds() if not re.search(
        r"\.(tiff?|ppm|pgm|avif)$|large|turned-by-xmp", kind.name)}
    files = {kind.name: kind.data for kind in kinds() if kind.name in asked}
    assert len(asked) > 12
    found = bare.evaluate("""async (files) => Promise.all(files.map(async ([file, height, width, expected]) => {
        const got = await pixelsOfFile(new Blob([bytes(file)]), "it"), wanted = bytes(expected);
        return got.height === height && got.width === width
            ? Math.max(...got.data.map((level, k) => Math.abs(level - wanted[k]))) : "another size";
      }))""", [[text(files[name]), *shown.shape[:2], text(shown.tobytes())] for name, shown in asked.items()])
    assert {name: off for name, off in zip(asked, found, strict=True) if off == "another size" or off > 3} == {}


@pytest.mark.parametrize(("asked", "sentence"), [
    ("opened(await runtimeFrom('runtime/', FILES, ''), new Uint8Array(9))", "onnxruntime-web cannot run this model"),
    ("runtimeFrom('nowhere/', FILES, '')", r"The server of this page has no ort.* to give \(it answered 404\)"),
    ("runtimeFrom('http://localhost:9/', FILES, 'localhost')", "localhost cannot be reached, or something"),
    ("runtimeFrom('runtime/./', FILES.map((file) => ({ ...file, integrity: 'sha384-' + 'A'.repeat(64) })), '')",
     "did not send ort.* as it was published, so it is not run"),
    ("modelBytes('gone.onnx')", "The model is no longer there: it was removed meanwhile"),
    ("modelBytes('http://localhost:9/model.onnx')", "The model could not be fetched: the server does not answer"),
    ("pixelsOfFile(new Blob(['no picture']), 'x.jpg')", "x.jpg is not a picture that this browser can read"),
    ("(delete window.WebAssembly, runtimeFrom('runtime/../runtime/', FILES, ''))", "does not run WebAssembly"),  # last
])
def test_what_a_browser_cannot_do_is_one_sentence(bare: Page, asked: str, sentence: str) -> None:
    said = bare.evaluate(f"async () => {{ try {{ await ({asked}); }} "
                         "catch (error) { return [error instanceof Trouble, error.message]; } }")
    assert said[0]
    assert re.search(sentence, said[1])


def test_a_browser_without_memory_says_so(bare: Page) -> None:
    said = bare.evaluate("""async () => [7234, new RangeError("Array buffer allocation failed"),
        new Error("failed to allocate a buffer of size 99."), new Error("bad node")].map(refusal)""")
    assert ["not the memory" in one for one in said] == [True, True, True, False]


def gap(page: Page, what: str) -> float:
    """By how much the page says that browser and server differ."""
    said = page.locator(".panel .beside", has_text=f"in a {what}").inner_text()
    number = re.search(r"at most ([\d.]+)(?: × 10(\S+))? in", said)
    assert number, said
    power = int((number[2] or "⁰").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")))
    return float(number[1]) * 10.0 ** power


def test_the_panel_asks_again_under_another_preparation_and_another_picture(bare: Page, tmp_path: Path) -> None:
    whole, known = made("torch")
    model = network_alone(whole, known).SerializeToString()
    bare.evaluate("(model) => { window.address = URL.createObjectURL(new Blob([bytes(model)])); }", text(model))
    for order, shown, key in (("RGB", PICTURES[2], "a"), ("BGR", PICTURES[2], "a"), ("BGR", PICTURES[0], "a"),
                              ("RGB", PICTURES[1], "b")):
        (scores,) = by_onnxruntime(model, [Preparation("pixels", known, order=order).apply(shown)]).tolist()
        data = {"name": "it", "key": key, "bytes": len(model), "labels": list("abc"), "input": "pixels",
                "output": "logits", "preparation": said_of(known, order, "NCHW"), "ink": False, "predict": None,
                "picture": {"name": f"{shown.shape[0]} rows", "png": text(png(shown))},
                "server": {"scores": scores, "milliseconds": 1.5}, "runtime": runtime.said("runtime/"), "near": "here",
                "missing": "There is none.", "chooses": False, "locked": False}
        bare.evaluate("(said) => panel(document.querySelector('.panel'), { ...said, model: window.address }) && null",
                      data)
        if key == "a" and not bare.locator(".best").inner_text():  # at first; from then on, it goes by itself
            bare.get_by_role("button", name="Run it in this browser").click()
        best = int(np.argmax(scores))
        chance = np.exp(scores[best]) / np.exp(scores).sum()
        expect(bare.locator(".best")).to_have_text(f"{'abc'[best]}, {percent(chance)}")
        expect(bare.locator("figcaption")).to_contain_text(f"{shown.shape[0]} rows")
        until(lambda: gap(bare, "score") < 1e-4)  # of the one before it was more


# -- on the app's pages ------------------------------------------------------------------------------------------------


@pytest.fixture
def model(app_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[registry.Entry]:
    """A small real model in the server's own registry, removed again after."""
    monkeypatch.setenv("PLAYGROUND_HOME", str(app_home))
    entry = put_model("brightness")
    yield entry
    if registry.find(entry.name) is not None:
        registry.remove(entry.name)


@pytest.fixture
def fetched(app_home: Path, web_runtime: Path) -> Iterator[None]:
    """The runtime's files are on the server, for one test."""
    (app_home / "data").mkdir(exist_ok=True)
    link = app_home / "data" / runtime.NAME
    link.symlink_to(web_runtime)
    yield
    link.unlink()


def run_here(page: Page, name: str = "Run it in this browser") -> None:
    page.get_by_role("button", name=name).click()
    page.get_by_text("Browser and server differ by at most").wait_for()


@pytest.mark.usefixtures("fetched")
def test_the_models_page_runs_it_here_and_photos_and_the_camera_stay(page: Page, goto, app_url: str, model) -> None:  # type: ignore[no-untyped-def]
    messages: list[int] = []
    asked: list[tuple[str, str]] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: messages.append(len(data))))
    page.on("request", lambda one: asked.append((one.method, one.url)))
    goto("models?model=brightness&in-browser-too=true")
    run_here(page)
    assert gap(page, "score") < 1e-4
    assert {url.partition("/api/")[2] for _, url in asked if "/api/" in url} == {
        "models/brightness/model.onnx", *(f"runtime/{runtime.VERSION}/{file.name}" for file in runtime.FILES)}

    settled(page)
    silent(page, messages)
    del asked[:], messages[:]
    pixels = np.random.default_rng(1).integers(90, 256, (70, 110, 3), np.uint8)
    page.locator('.panel input[aria-label="A photo of yours"]').set_input_files(
        {"name": "own.png", "mimeType": "image/png", "buffer": png(pixels)})
    expect(page.locator(".panel figcaption")).to_have_text("own.png, 110 × 70 pixels: it stays in this browser")
    _, probabilities = onnxruntime.InferenceSession(model.onnx).run(None, {"image": pixels[None]})
    best = int(probabilities[0].argmax())
    expect(page.locator(".panel .best")).to_have_text(
        f"{('dark', 'bright')[best]}, {percent(probabilities[0, best])}")
    page.locator(".panel").get_by_role("button", name="Camera").click()
    expect(page.locator(".panel figcaption")).to_contain_text("what the camera sees")
    shown = page.locator(".panel .figures, .panel .answer .quiet")
    before = shown.inner_text()
    expect(shown).not_to_have_text(before)  # the fake camera's pictures follow each other
    page.get_by_role("button", name="Switch the camera off").click()
    silent(page, messages)
    assert [one for one in asked if not one[1].startswith(("data:", "blob:"))] == []
    assert sum(size > WITH_A_PICTURE for size in messages) == 0

    page.get_by_role("button", name="Ask the server, too").click()
    page.get_by_text("Browser and server differ by at most").wait_for()
    assert gap(page, "probability") < 1e-5
    expect(page.locator(".panel figcaption")).to_contain_text("the server was sent it")
    assert asked == [("POST", f"{app_url}/api/models/brightness/predict?as_it_is=true")]


# -- the page that goes home with a model ------------------------------------------------------------------------------


def test_the_page_in_the_zip_gives_the_apps_answer_and_asks_nobody_who_is_not_named(  # type: ignore[no-untyped-def]
        page: Page, playground_home: Path, web_runtime: Path) -> None:
    entry = put_model("light", ("da<b>rk", "br*ght"))
    with zipfile.ZipFile(io.BytesIO(package.package(entry))) as archive:
        archive.extractall(playground_home)
    folder = playground_home / entry.name
    asked: list[str] = []
    refused: list[str] = []
    page.on("request", lambda one: asked.append(one.url))
    page.on("console", lambda said: refused.append(said.text) if "Content Security Policy" in said.text else None)
    pixels = np.random.default_rng(2).integers(90, 256, (50, 30, 3), np.uint8)
    label, chance = Classifier(entry.onnx).predict([pixels])[0].top(1)[0]
    answer = f"{label}, {percent(chance)}"
    damaged = [True]

    def from_elsewhere(route: Route) -> None:
        assert route.request.url.startswith(runtime.CDN)
        body = (web_runtime / route.request.url.removeprefix(runtime.CDN)).read_bytes()
        route.fulfill(body=b"export default 1;" if damaged[0] else body, headers={"Access-Control-Allow-Origin": "*"})

    with serving(folder) as address:
        page.goto(address)
        page.get_by_role("button", name="Run it in this browser").click()
        expect(page.locator(".trouble")).to_contain_text("has no ort")
        expect(page.locator(".begin")).to_contain_text("does not lie beside this page")
        assert [url for url in asked if not url.startswith(address)] == []
        button = page.get_by_role("button", name=f"onnxruntime-web from {runtime.CDN_HOST}")
        page.route(f"https://{runtime.CDN_HOST}/**", lambda route: route.abort())
        button.click()
        expect(page.locator(".trouble")).to_contain_text("cdn.jsdelivr.net cannot be reached, or something")
        page.route(f"https://{runtime.CDN_HOST}/**", from_elsewhere)
        button.click()
        expect(page.locator(".trouble")).to_contain_text("as it was published, so it is not run")
        damaged[0] = False
        button.click()
        give(page, pixels)
        expect(page.locator(".best")).to_have_text(answer)

        for file in web_runtime.iterdir():
            (folder / file.name).symlink_to(file)
        del asked[:]
        page.reload()
        page.get_by_role("button", name="Run it in this browser").click()
        give(page, pixels)
        expect(page.locator(".best")).to_have_text(answer)
        assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert refused == []


def give(page: Page, pixels: np.ndarray) -> None:
    page.get_by_label("A photo of yours").set_input_files(
        {"name": "own.png", "mimeType": "image/png", "buffer": png(pixels)})


def test_opened_as_a_file_the_page_asks_for_the_model(page: Page, playground_home: Path) -> None:
    entry = put_model("light")
    with zipfile.ZipFile(io.BytesIO(package.package(entry))) as archive:
        archive.extractall(playground_home)
    page.goto((playground_home / "light" / "index.html").as_uri())
    button = page.get_by_role("button", name=f"onnxruntime-web from {runtime.CDN_HOST}")
    expect(button).to_be_disabled()
    expect(page.locator(".begin")).to_contain_text("python -m http.server")
    page.get_by_label("choose model.onnx").set_input_files(entry.onnx)
    expect(button).to_be_enabled()
