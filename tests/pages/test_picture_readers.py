"""One picture, four readers (a page, `predict`, the program and the lines handed out): one answer."""

import contextlib
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from playground import __main__ as cli
from playground.datasets import picture
from playground.datasets.picture import DIGITS, are_digits, ink
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import package, registry
from playground.deploy.registry import Entry
from playground.deploy.session import Classifier
from playground.inspection import bounded
from playground.numbers import percent
from playground.ui import contents
from playground.ui.parts import image_input
from playground.ui.studio import models, onnx_lab
from playground.view import looks
from tests.pages.on_a_page import OpenPage, errors, put_model, sent, texts
from tests.pages.picture_kinds import Kind, handwriting, kinds, saved
from tests.playground.tiny_models import COLOUR, linear_file
from tests.waiting import HOPE_SECONDS

KINDS = kinds()
ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_picture_is_read_as_it_is_seen(kind: Kind) -> None:
    pixels = picture.read(kind.data)
    assert pixels.shape == kind.shown.shape
    assert np.abs(pixels.astype(int) - kind.shown).max() <= kind.off


def colours() -> Entry:
    """A model whose scores depend on every pixel's place and colour, so that two readers that differ are told apart."""
    model = linear_file(COLOUR, classes=3)
    registry.put("colours", model, {"preprocessing": {**COLOUR.to_dict(), "sentence": COLOUR.sentence()}})
    entry = registry.get("colours")
    assert isinstance(entry, Entry)
    return entry


def unpacked(entry: Entry, into: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(package.package(entry))) as archive:
        archive.extractall(into)
    return into / entry.name


def by_predict(entry: Entry, files: list[Path], capfd: pytest.CaptureFixture[str]) -> list[tuple[str, float]]:
    capfd.readouterr()
    assert cli.main(["predict", entry.name, *map(str, files), "--json", "--top", "1"]) == 0
    answers = [one["top"][0] for one in json.loads(capfd.readouterr().out)["predictions"]]
    return [(one["label"], one["probability"]) for one in answers]


def by_program(folder: Path, files: list[Path]) -> list[str]:
    done = subprocess.run([sys.executable, "run.py", *map(str, files)], cwd=folder, capture_output=True, text=True,
                          timeout=HOPE_SECONDS, check=True)
    return [line.rpartition(": ")[2] for line in done.stdout.splitlines()]


def alone(run: str, folder: Path, files: list[Path]) -> list[str]:
    """What a program prints of these files, in a process that has nothing of ours to import."""
    done = subprocess.run([sys.executable, "-I", "-c", run, *map(str, files)], cwd=folder, capture_output=True,
                          text=True, timeout=HOPE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def by_lines(code: str, folder: Path, files: list[Path]) -> list[str]:
    """What lines of a program print, run once for each file, in one process that has nothing of ours to import."""
    asked = code.replace('"photo.jpg"', "sys.argv[1]").replace("import json,", "import sys, json,")
    (folder / "lines.py").write_text(asked)
    run = ("import sys\nsys.path.insert(0, '.')\ncode = open('lines.py').read()\n"
           "for name in sys.argv[1:]:\n    sys.argv[1] = name\n    exec(code, {})\n")
    return alone(run, folder, files)


def by_snippet(folder: Path, files: list[Path]) -> list[str]:
    """What the Python snippet says of each file, in one process."""
    run = ("import runpy, sys\nfor name in sys.argv[1:]:\n    sys.argv[1] = name\n"
           "    runpy.run_path('snippets/classify.py', run_name='__main__')\n")
    return alone(run, folder, files)


def printed(label: str, chance: float) -> str:
    """An answer as programs print it, with a plain space."""
    return f"{label} {percent(chance).replace(chr(0x202f), ' ')}"


def capped(line: str) -> str:
    """An answer as snippets print it: they never say more than 99.9 %."""
    return line.replace(">", "").replace(" 100 %", " 99.9 %")


def lines_of_the_readme() -> str:
    section = (ROOT / "README.md").read_text().split("## Use a model elsewhere")[1]
    return section.split("```python\n")[1].split("```")[0]


def test_program_predict_and_lines_give_one_answer_to_every_kind(
    playground_home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = colours()
    folder = unpacked(entry, tmp_path / "home")
    files = []
    for kind in KINDS:
        files.append(tmp_path / kind.name)
        files[-1].write_bytes(kind.data)
    said = by_predict(entry, files, capfd)
    assert len({label for label, _ in said}) > 1, "a model that always says the same tells no readers apart"
    exact = [k for k, kind in enumerate(KINDS) if kind.off == 0]
    asked = Classifier(entry.onnx).predict([KINDS[k].shown for k in exact])
    for k, answer in zip(exact, asked, strict=True):
        assert said[k] == pytest.approx(answer.top(1)[0]), KINDS[k].name

    written = [printed(label, chance) for label, chance in said]
    assert by_program(folder, files) == written
    of_page = by_lines(models.SNIPPET.format(file="model.onnx"), folder, files)
    assert [line.rpartition(" ")[0] for line in of_page] == [label for label, _ in said]
    np.testing.assert_allclose([float(line.split()[-1]) for line in of_page], [chance for _, chance in said], atol=1e-6)
    assert by_lines(lines_of_the_readme(), folder, files) == [label for label, _ in said]
    assert by_snippet(folder, files) == [capped(line) for line in written]


def test_the_page_gives_the_same_answer(
    open_page: OpenPage, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = colours()
    app = open_page("models", model="colours", picture=image_input.UPLOAD)
    for kind in KINDS:
        path = tmp_path / kind.name
        path.write_bytes(kind.data)
        ((label, chance),) = by_predict(entry, [path], capfd)
        app.file_uploader(key="upload").set_value((kind.name, kind.data, "image/png")).run()
        assert errors(app) == []
        assert f"## {label}, {percent(chance)}" in texts(app), kind.name


def test_ink_on_paper_is_one_answer_too(
    open_page: OpenPage, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    entry = put_model("handwriting", tuple("0123456789"), task="digits")
    path = tmp_path / "seven.png"
    path.write_bytes(handwriting())
    shown = ink(np.asarray(Image.open(path)))
    assert shown.shape[0] == shown.shape[1] == 46, "the ink alone, in a square"
    ((label, chance),) = by_predict(entry, [path], capfd)
    assert (label, chance) == pytest.approx(Classifier(entry.onnx).predict([shown])[0].top(1)[0])
    as_it_is = Classifier(entry.onnx).predict([np.asarray(Image.open(path))])[0].top(1)[0]
    assert as_it_is[0] != label, "or nobody could tell"

    folder = unpacked(entry, tmp_path / "home")
    assert by_program(folder, [path]) == [printed(label, chance)]
    assert by_program(folder, [Path("--as-it-is"), path]) == [printed(*as_it_is)]
    assert by_lines(models.SNIPPET.format(file="model.onnx"), folder, [path])[0].split()[0] == label
    assert by_lines(lines_of_the_readme(), folder, [path]) == [label]
    assert by_snippet(folder, [path]) == [capped(line) for line in by_program(folder, [path])]
    app = open_page("models", model="handwriting", picture=image_input.UPLOAD)
    app.file_uploader(key="upload").set_value(("seven.png", path.read_bytes(), "image/png")).run()
    assert errors(app) == []
    assert f"## {label}, {percent(chance)}" in texts(app)
    app.toggle(key="paper").set_value(False).run()
    assert f"## {as_it_is[0]}, {percent(as_it_is[1])}" in texts(app)


@pytest.mark.parametrize("place", [{"url": "network"}, {"url": "onnx-lab", "onnx-view": onnx_lab.WORK}])
def test_the_network_at_work_looks_at_what_the_model_is_asked_about(
    place: dict[str, str], open_page: OpenPage, tmp_path: Path
) -> None:
    for entry in (colours(), put_model("handwriting", DIGITS, task="digits")):
        app = open_page(**place, picture=image_input.UPLOAD)
        app.selectbox(key="onnx-model" if "onnx-view" in place else "model").set_value(entry.name).run()
        preparation = Preprocessing.from_dict(entry.card["preprocessing"])

        def looked_at(app: AppTest = app) -> np.ndarray:
            assert errors(app) == []
            return looks._LOOKS[sent(app, "network_view")[0]["token"]].x[0]

        for name, data in [*((kind.name, kind.data) for kind in KINDS[::8]), ("seven.png", handwriting())]:
            path = tmp_path / name
            path.write_bytes(data)
            app.file_uploader(key="upload").set_value((name, data, "image/png")).run()
            asked = picture.for_model(path, entry.card["labels"])
            np.testing.assert_allclose(looked_at(), preparation.apply(asked), atol=1e-5, err_msg=name)
    app.toggle(key="paper").set_value(False).run()
    np.testing.assert_allclose(looked_at(), preparation.apply(picture.read(path)), atol=1e-5)


@pytest.mark.parametrize("digits_first", [True, False])
def test_each_of_two_networks_beside_each_other_is_asked_about_the_photo_in_its_own_way(
    digits_first: bool, open_page: OpenPage, tmp_path: Path
) -> None:
    both = [put_model("handwriting", DIGITS, task="digits"), colours()]
    first, other = both if digits_first else both[::-1]
    path = tmp_path / "seven.png"
    path.write_bytes(handwriting())
    app = open_page("network", model=first.name, beside=other.name, picture=image_input.UPLOAD)
    app.file_uploader(key="upload").set_value((path.name, path.read_bytes(), "image/png")).run()

    def as_asked(asked: Callable[[Entry], np.ndarray]) -> None:
        assert errors(app) == []
        drawn = sent(app, "network_view")[0]
        for token, entry in ((drawn["token"], first), (drawn["second"], other)):
            preparation = Preprocessing.from_dict(entry.card["preprocessing"])
            np.testing.assert_allclose(looks._LOOKS[token].x[0], preparation.apply(asked(entry)), atol=1e-5,
                                       err_msg=entry.name)

    as_asked(lambda entry: picture.for_model(path, entry.card["labels"]))
    app.toggle(key="paper").set_value(False).run()
    as_asked(lambda _: picture.read(path))


def test_the_lab_gives_the_same_answer(open_page: OpenPage, tmp_path: Path) -> None:
    for entry in (colours(), put_model("handwriting", DIGITS, task="digits")):
        app = open_page("onnx-lab", **{"onnx-view": onnx_lab.RUN}, picture=image_input.UPLOAD)
        app.selectbox(key="onnx-model").set_value(entry.name).run()

        def largest(app: AppTest = app) -> float:
            assert errors(app) == []
            return float(app.dataframe[-1].value["most"].max())

        def expected(pixels: np.ndarray, entry: Entry = entry) -> float:
            answer = Classifier(entry.onnx).predict([pixels])[0]
            return max(float(answer.logits.max()), float(answer.probabilities.max()))

        for name, data in [*((kind.name, kind.data) for kind in KINDS[::8]), ("seven.png", handwriting())]:
            path = tmp_path / name
            path.write_bytes(data)
            app.file_uploader(key="upload").set_value((name, data, "image/png")).run()
            asked = picture.for_model(path, entry.card["labels"])
            assert largest() == pytest.approx(expected(asked), rel=1e-4), name
    app.toggle(key="paper").set_value(False).run()
    assert largest() == pytest.approx(expected(picture.read(path)), rel=1e-4)
    assert expected(picture.read(path)) != pytest.approx(expected(asked), rel=1e-4), "or nobody could tell"


def test_what_a_file_is_converted_by_is_what_the_model_is_asked_about(
    playground_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = put_model("handwriting", DIGITS, task="digits")
    path = tmp_path / "seven.png"
    path.write_bytes(handwriting())
    given: list[np.ndarray] = []
    ask = bounded.ask

    def noted(what: str, file: Path, x: np.ndarray | None = None, **more: object) -> dict[str, Any]:
        given.extend([] if x is None else [x])
        return ask(what, file, x, **more)

    monkeypatch.setattr(bounded, "ask", noted)
    assert cli.main(["convert", "handwriting", "int8", str(tmp_path / "small.onnx"), str(path)]) == 0
    preparation = Preprocessing.from_dict(entry.card["preprocessing"])
    shown = preparation.pictured(preparation.apply(picture.for_model(path, DIGITS)))
    np.testing.assert_array_equal(given[0][0], shown)


def test_digits_that_are_light_on_black_stay_what_they_are() -> None:
    from playground.datasets import named

    for half in named.load("digits"):
        for image in half.images[::20]:
            pixels = np.repeat(image[:, :, None], 3, 2)
            assert np.array_equal(ink(pixels), pixels)
    assert are_digits(half.classes)


def test_other_small_pictures_are_not_taken_for_handwriting(open_page: OpenPage) -> None:
    put_model("clothes", ("shirt", "bag"), task="digits")
    app = open_page("models", model="clothes", picture=image_input.UPLOAD)
    app.file_uploader(key="upload").set_value(("seven.png", handwriting(), "image/png")).run()
    assert errors(app) == []
    assert not [toggle for toggle in app.toggle if toggle.key == "paper"]


def program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "run.py", *arguments], cwd=folder, capture_output=True, text=True,
                          timeout=HOPE_SECONDS, check=False)


def test_the_program_speaks(playground_home: Path, tmp_path: Path) -> None:
    folder = unpacked(put_model("light", ("dark", "brïght \u2603")), tmp_path)
    alone = program(folder)
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "python run.py [--as-it-is] photo.jpg ..." in alone.stderr
    assert program(folder, "--help").returncode == 0

    (folder / "white.png").write_bytes(saved(Image.new("RGB", (9, 7), "white"), "PNG"))
    (folder / "cut.png").write_bytes((folder / "white.png").read_bytes()[:45])
    (folder / "notes.txt").write_text("hello")
    done = program(folder, "cut.png", "white.png", "absent.jpg", "notes.txt", ".", "white.png")
    assert done.returncode == 1
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["white.png", "white.png"]
    told = done.stderr.splitlines()
    assert len(told) == 4
    assert all(line.endswith(".") for line in told)
    assert "Traceback" not in done.stderr

    (folder / "model.onnx").write_bytes(b"no model")
    broken = program(folder, "white.png")
    assert (broken.returncode, broken.stderr.count("\n")) == (2, 1)


def test_the_program_takes_nothing_but_three_packages_along() -> None:
    source = Path(picture.__file__).read_text() + package.RUN
    named = set(re.findall(r"^\s*(?:from|import) (\w+)", source, flags=re.MULTILINE))
    assert named - set(sys.stdlib_module_names) == {"numpy", "PIL", "onnxruntime", "picture"}


THIN = [("column.png", next(kind for kind in KINDS if kind.name == "column.png").data),
        ("row.png", next(kind for kind in KINDS if kind.name == "row.png").data),
        ("dot.png", saved(Image.new("RGB", (1, 1), "red"), "PNG"))]

@pytest.mark.parametrize("url", [chapter.url for chapter in contents.CHAPTERS])
def test_a_picture_one_pixel_wide_works_on_every_page(url: str, open_page: OpenPage) -> None:
    colours()
    app = open_page(url, picture=image_input.UPLOAD)
    before = errors(app)
    fields = [field for field in app.get("file_uploader") if field.key == "upload"]
    if not fields:
        pytest.skip("no picture of one's own is asked for here")
    with contextlib.suppress(KeyError):
        for name, data in THIN:
            app.file_uploader(key="upload").set_value((name, data, "image/png")).run()
            assert errors(app) == before, name
