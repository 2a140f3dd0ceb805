"""What is in the zip beside the model runs as it stands: the notebook, the snippets, and the names in its README."""

import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

from playground.browser import runtime
from playground.datasets import picture
from playground.deploy import package, registry
from playground.deploy.companions import SNIPPETS
from playground.deploy.registry import Entry
from playground.deploy.session import Classifier
from playground.numbers import percent
from tests.pages.on_a_page import put_model
from tests.playground.tiny_models import COLOUR, linear_file
from tests.waiting import HOPE_SECONDS

SHARP = """
import { readFileSync } from "node:fs";
// Reads a binary PPM through the calls of sharp that the snippet makes, if it makes them all.
export default (path) => {
  const asked = [], made = { toBuffer: async () => {
      if (asked.join(" ") !== WANTED) throw new Error(`sharp was asked for ${asked.join(" ")}`);
      const bytes = readFileSync(path), head = /^P6\\s(\\d+)\\s(\\d+)\\s255\\s/.exec(bytes.toString("latin1", 0, 40));
      return { data: bytes.subarray(head[0].length), info: { width: Number(head[1]), height: Number(head[2]) } };
    } };
  for (const name of ["rotate", "resize", "flatten", "toColourspace", "raw"])
    made[name] = (...given) => { asked.push(name + JSON.stringify(given)); return made; };
  return made;
};
"""
WANTED = ('rotate[] resize[1024,1024,{"fit":"inside","withoutEnlargement":true}] flatten[{"background":"white"}] '
          'toColourspace["srgb"] raw[]')
"""As the app reads a picture: upright, no larger than it needs, white behind what is transparent, three colours."""


@pytest.fixture
def entry(playground_home: Path) -> Entry:
    """A model whose scores depend on every pixel's place and colour."""
    said = {**COLOUR.to_dict(), "sentence": COLOUR.sentence()}
    registry.put("co_lours", linear_file(COLOUR), {"preprocessing": said})
    found = registry.get("co_lours")
    assert isinstance(found, Entry)
    return found


@pytest.fixture
def folder(entry: Entry, tmp_path: Path) -> Path:
    return unpacked(entry, tmp_path)


def unpacked(entry: Entry, into: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(package.package(entry))) as archive:
        archive.extractall(into / "unpacked")
    return into / "unpacked" / entry.name


def answer(entry: Entry, pixels: np.ndarray) -> str:
    label, chance = Classifier(entry.onnx).predict([pixels])[0].top(1)[0]
    return f"{label} {percent(chance).replace(chr(0x202f), ' ').lstrip('>')}"


def photo(path: Path) -> np.ndarray:
    """A photo taken with the camera on its side, where the format knows of that; its upright pixels."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.random.default_rng(5).integers(0, 256, (30, 44, 3), np.uint8)).save(path, exif=exif)
    return picture.read(path)


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=HOPE_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_notebook_is_one_and_its_cells_give_the_apps_answer(entry: Entry, folder: Path) -> None:
    found = nbformat.read(folder / "notebook.ipynb", as_version=4)
    nbformat.validate(found)
    pixels = photo(folder / "photo.jpg")
    code = "\n".join(cell.source for cell in found.cells if cell.cell_type == "code")
    (folder / "cells.py").write_text(code)
    said = run(sys.executable, "cells.py", cwd=folder)
    expected = Classifier(entry.onnx).predict([pixels])[0].top(5)
    assert re.findall(r"^(\S.*\S) +(\d+\.\d) %$", said, re.MULTILINE) == [
        (label, f"{min(99.9, 100 * chance):.1f}") for label, chance in expected]
    assert COLOUR.sentence() in said
    assert float(said.split()[-1]) < 1e-6
    (folder / "photo.jpg").unlink()
    assert "uint8 (240, 320, 3)" in run(sys.executable, "cells.py", cwd=folder)


def test_the_python_snippet_gives_the_apps_answer(entry: Entry, folder: Path) -> None:
    pixels = photo(folder / "photo.jpg")
    assert run(sys.executable, "snippets/classify.py", "photo.jpg", cwd=folder).strip() == answer(entry, pixels)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node on this machine")
def test_the_javascript_snippet_gives_the_apps_answer(entry: Entry, folder: Path, web_runtime: Path) -> None:
    """By the very runtime, under its name of npm; sharp, which reads pictures, is stood in for."""
    pixels = photo(folder / "photo.ppm")
    for name, main in (("onnxruntime-web", "ort.wasm.min.mjs"), ("sharp", "index.mjs")):
        place = folder / "node_modules" / name
        place.mkdir(parents=True)
        (place / "package.json").write_text(json.dumps({"name": name, "type": "module", "exports": f"./{main}"}))
    for file in web_runtime.glob("*[ms]"):
        shutil.copy(file, folder / "node_modules" / "onnxruntime-web")
    (folder / "node_modules" / "sharp" / "index.mjs").write_text(f"const WANTED = {json.dumps(WANTED)};{SHARP}")
    assert run("node", "snippets/classify.mjs", "photo.ppm", cwd=folder).strip() == answer(entry, pixels)


def test_the_snippet_in_c_sharp_reads_a_picture_as_the_app_does(folder: Path) -> None:
    """It is only read here: there is no .NET."""
    code = (folder / "snippets" / "Program.cs").read_text()
    assert code.index("Load<Rgba32>") < code.index("AutoOrient().BackgroundColor(Color.White)") \
        < code.index("CloneAs<Rgb24>")


def test_the_readme_names_what_is_there(entry: Entry, folder: Path) -> None:
    readme = (folder / "README.md").read_text()
    assert readme.startswith("# co\\_lours\n")
    named = set(re.findall(r"[\w.-]+\.(?:onnx|txt|json|py|html|ipynb|mjs|cs|wasm|md)\b", readme))
    beside = {path.name for path in folder.rglob("*") if path.is_file()} - {"README.md"}
    assert named == beside | {file.name for file in runtime.FILES}
    assert {path.name for path in (folder / "snippets").iterdir()} == set(SNIPPETS)
    assert "light strokes" not in readme


@pytest.mark.usefixtures("playground_home")
def test_a_model_of_digits_says_that_its_snippets_show_it_the_picture_as_it_is(tmp_path: Path) -> None:
    folder = unpacked(put_model("digits", tuple("0123456789")), tmp_path)
    assert "the snippets in JavaScript and C# show the model the picture as it is" in (folder / "README.md").read_text()
    assert '"ink": true' in (folder / "index.html").read_text()


@pytest.mark.usefixtures("playground_home")
def test_a_label_cannot_end_the_pages_script_and_the_zip_is_the_same_each_time(tmp_path: Path) -> None:
    entry = put_model("labels", ("</script><script>alert(1)</script>", "<!-- \u2028"))
    said = (unpacked(entry, tmp_path) / "index.html").read_text()
    assert said.count("</script>") == 1
    assert "<!--" not in said
    assert package.package(entry) == package.package(entry)
