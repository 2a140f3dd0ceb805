"""What "In code" shows is run: on every page and for several settings, and all libraries print the same."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from playground.ui import contents
from playground.ui.lessons.autograd import PRESETS
from playground.ui.parts import lesson
from tests.pages.on_a_page import OpenPage

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("Our engine", "PyTorch", "Keras")
SETTINGS: dict[str, tuple[dict[str, str], ...]] = {
    "images": ({}, {"size": "16", "cell": "1", "row": "15", "column": "0", "bits": "8"},
               {"picture": "Handwritten digit", "bits": "1"}),
    "mlp": ({}, {"side": "8", "channels": "gray: 1", "units": "8"}),
    "convolution": ({}, {"kernel": "1/9 1/9 1/9; 1/9 1/9 1/9; 1/9 1/9 1/9", "stride": "2", "dilation": "2",
                         "bias": "3.5", "padding": "0"},
                    {"kernel": "-2.5", "padding": "4", "stride": "4", "size": "16"},
                    {"kernel": "1 4 6 4 1; 4 16 24 16 4; 6 24 36 24 6; 4 16 24 16 4; 1 4 6 4 1", "dilation": "3",
                     "padding": "3", "picture": "Handwritten digit"}),
    "kernels": ({}, {"kernel": "2"}, {"kernel": "1/3 0 -1/3; 1/3 0 -1/3; 1/3 0 -1/3"},
                {"kernel": "0 0 -1 0 0; 0 -1 -2 -1 0; -1 -2 17 -2 -1; 0 -1 -2 -1 0; 0 0 -1 0 0"}),
    "channels": ({}, {"filters": "1", "bias": "-0.55"}),
    "network": ({},),
    "pooling": ({}, {"kind": "average"}, {"window": "4", "stride": "1"},
                {"kind": "average", "window": "2", "stride": "4"}, {"window": "3", "stride": "2"}),
    "augmentation": ({}, {"steps": "rotate"}),
    "normalization": ({}, {"numbers": "3, 1, 4, 1, 5"}),
    "batch-norm": ({}, {"batch": "2"}),
    "dropout": ({}, {"p": "1.0"}, {"p": "0.1"}),
    "autograd": (*({"formula": formula} for formula, _ in PRESETS.values()),
                 {"formula": "result*print + F", "v-F": "0.7"}, {"formula": "relu(np*torch) + Tensor/keras - os"},
                 {"formula": "x + relu(3)"}, {"formula": "exp(2)*x + exp(log(3) + 1)*x"}, {"formula": "1/x - 2**0.5/x"},
                 {"formula": "relu(3)*v*v"}, {"formula": "-(x**-2)"}, {"formula": "sigmoid(x - relu(y - 5)*y)"},
                 {"formula": "x"}, {"formula": "(result)"}),
    "loss": ({}, {"classes": "5", "label": "1", "z3": "-2.5", "smoothing": "0.1", "temperature": "2.0"}),
    "whole-cnn": ({}, {"digit": "3", "label": "5", "rate": "0.03"}),
    "depth": ({}, {"activation": "ReLU", "shortcuts": "true", "gain": "0.5"}, {"activation": "none", "gain": "4.0"}),
    "imagenet": ({},),
}
"""Addresses of every page with code, by their settings: the default, and what changes the code."""
NUMBER = re.compile(r"(?<![\w.])[-−]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\d*\.\d+(?:e[+-]?\d+)?|inf|nan)(?!\w)")
IMAGENET_FILE = """
import onnx
from playground.deploy.contract import finish
from playground.deploy.torch_export import torch_to_onnx
from playground.training.transfer import backbones

name = "efficientnet_lite0"
core = torch_to_onnx(backbones.fused(backbones.pretrained(name)), (2, 3, 224, 224))
onnx.save(finish(core, backbones.find(name).preprocessing(), backbones.imagenet_labels(), "a test"), "imagenet.onnx")
"""
"""Writes the file that the page on ImageNet offers for download."""


class CodeServer:
    """A process of one library that runs texts in `folder`."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PLAYGROUND_HOME": str(folder)}
        self._process = subprocess.Popen([sys.executable, str(Path(__file__).with_name("code_server.py"))], cwd=folder,
                                         env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def printed(self, code: str) -> str:
        """What the code prints; an AssertionError with the code and its traceback when it raises."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        guard = threading.Timer(300, self._process.kill)
        guard.start()
        print(json.dumps(code), file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline()
        guard.cancel()
        assert answer, f"This ended its process or did not end in five minutes:\n{code}"
        said = json.loads(answer)
        assert not said["error"], f"{said['error']}\n{code}"
        return str(said["printed"])

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], CodeServer]]:
    """The process of a library, begun when first asked for: each has to import its library only once."""
    folder, begun = tmp_path_factory.mktemp("code"), {}

    def server(library: str) -> CodeServer:
        name = library if library in LIBRARIES else LIBRARIES[0]
        if name not in begun:
            begun[name] = CodeServer(folder)
        return begun[name]

    for name in LIBRARIES:  # they import while the first page is opened
        server(name)
    yield server
    for process in begun.values():
        process.close()


def apart(mine: str, other: str) -> str:
    """How two printed texts differ beyond rounding, or nothing.

    >>> apart("(1, 2) [0.1 -3.]", "(1, 2) [0.10000002  -3.0]"), apart("[1.5]", "[1.6]")[:12]
    ('', '1.5 is not 1.6')
    """
    words = [re.sub(r"\s", "", NUMBER.sub("#", text)) for text in (mine, other)]
    if words[0] != words[1]:
        return f"{mine!r} is not written as {other!r}"
    a, b = (np.array([float(number.replace("−", "-")) for number in NUMBER.findall(text)]) for text in (mine, other))
    finite = np.abs(a[np.isfinite(a)])
    wrong = ~np.isclose(a, b, rtol=1e-5, atol=1e-4 + 1e-6 * finite.max(initial=0), equal_nan=True)
    return ", ".join(f"{x:g} is not {y:g}" for x, y in zip(a[wrong], b[wrong], strict=True))


def test_a_difference_that_is_not_rounding_is_seen() -> None:
    assert apart("(1, 2) [0.1 -3.]", "(1, 2) [0.10000002  -3.0]") == ""
    assert apart("[1.5]", "[1.6]") == "1.5 is not 1.6"
    assert apart("112", "(1, 4, 3, 3) 35964.0")
    assert apart("", "1")
    assert apart("[1, nan]", "[1, 2]")
    assert apart("tabby 0.2", "tiger cat 0.2")


def test_every_page_that_shows_code_is_run() -> None:
    showing = set()
    for chapter in contents.CHAPTERS:
        imported = re.findall(r"from playground\.ui\.(\w+) import (.+)", chapter.path.read_text())
        for folder, module in ((folder, module) for folder, modules in imported for module in modules.split(", ")):
            source = ROOT / "playground" / "ui" / folder / f"{module}.py"
            if source.exists() and "lesson.in_code(" in source.read_text():
                showing.add(chapter.url)
    assert showing == set(SETTINGS)


def shown(open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, url: str, setting: dict[str, str]) -> Mapping[str, str]:
    """What the page hands to "In code"."""
    found: list[Mapping[str, str]] = []
    monkeypatch.setattr(lesson, "in_code", lambda codes, note="": found.append(codes))
    app = open_page(url, **setting)
    assert not app.exception
    assert not app.error
    (codes,) = found
    return codes


@pytest.mark.parametrize(("url", "setting"), [(url, one) for url, settings in SETTINGS.items() for one in settings],
                         ids=[f"{url}-{n}" for url, settings in SETTINGS.items() for n in range(len(settings))])
def test_the_code_runs_and_all_libraries_print_the_same(
    servers: Callable[[str], CodeServer], open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, url: str,
    setting: dict[str, str],
) -> None:
    codes = shown(open_page, monkeypatch, url, setting)
    assert set(LIBRARIES) <= set(codes), "the same thing is shown in all three libraries"
    if url == "imagenet":
        servers("PyTorch").printed(IMAGENET_FILE)
    said = {library: servers(library).printed(code) for library, code in codes.items()}
    assert all(text.strip() for text in said.values()), f"each prints something: {said}"
    for library in said:
        if library != "The pipeline":  # the trainers' own: what it draws has no counterpart elsewhere
            assert not (difference := apart(said[LIBRARIES[0]], said[library])), f"{library}: {difference}"
