"""What the tests of pages share: reading a page's words, and a real model made in milliseconds."""

import contextlib
import io
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from streamlit.testing.v1 import AppTest

from playground import home
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import contract, evaluation, registry
from playground.deploy.registry import Entry
from playground.deploy.session import Classifier
from playground.training.runs import runs
from playground.training.runs.events import Epoch, Exported, Finished, Started
from playground.training.runs.log import EventLog
from playground.training.runs.runs import RunSpec

RUN = "20260101-000000-000000-abcd"
GRAYS = {"dark": (10, 20, 30, 40, 220), "br*ght": (250, 240, 230, 200, 60)}
"""The gray levels of the photos kept aside: the last one of each class is taken for the other."""
OpenPage = Callable[..., AppTest]


def texts(app: AppTest) -> str:
    """All the words on the page, as one text."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "info", "success", "warning", "error")
    return "\n".join(str(element.value) for kind in kinds for element in app.get(kind))


def sent(app: AppTest, component: str) -> list[dict[str, Any]]:
    """What every component of this name on the page was given, in their order."""
    protos = [e.proto for e in app.get("bidi_component") if e.proto.component_name == component]
    return [json.loads(proto.mixed.json if proto.HasField("mixed") else proto.json or proto.bytes) for proto in protos]


GRAY = Preprocessing((8, 8), gray=True, mean=(0.5,), std=(0.5,))


def put_model(name: str, labels: tuple[str, ...] = ("dark", "bright"), preprocessing: Preprocessing = GRAY,
              **facts: object) -> Entry:
    """A real exported model, made in milliseconds: its first score falls with brightness, its last one rises."""
    k, channels, size = len(labels), 1 if preprocessing.gray else 3, preprocessing.size
    small = preprocessing is GRAY  # the levels of a larger one are averaged first
    weight = np.linspace(-1, 1, k, dtype=np.float32)[:, None] * np.ones((1, 64 if small else channels), np.float32)
    graph = helper.make_graph(
        [*([] if small else [helper.make_node("GlobalAveragePool", ["x"], ["mean"])]),
         helper.make_node("Flatten", ["x" if small else "mean"], ["flat"]),
         helper.make_node("Gemm", ["flat", "w"], ["scores"], transB=1)],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", channels, *size])],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", k])],
        [numpy_helper.from_array(weight, "w")],
    )
    core = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model: onnx.ModelProto = contract.finish(core, preprocessing, labels, "a test")
    card = {"preprocessing": {**preprocessing.to_dict(), "sentence": preprocessing.sentence()}, **facts}
    registry.put(name, model, card)
    entry = registry.get(name)
    assert isinstance(entry, Entry)
    assert Classifier(entry.onnx).labels == labels
    return entry


def gray_photos(into: Path) -> list[tuple[Path, int]]:
    """Ten photos in two folders, and the class of each."""
    made = []
    for k, (name, grays) in enumerate(GRAYS.items()):
        (into / name).mkdir(parents=True)
        for gray in grays:
            Image.fromarray(np.full((20, 20, 3), gray, np.uint8)).save(into / name / f"{gray}.png")
            made.append((into / name / f"{gray}.png", k))
    return made


def put_run(pictures: list[tuple[Path, int]] | None = None, **request: object) -> Path:
    """A transfer run that ended, made by hand: ten photos, two of them mistaken, and the exported model."""
    entry = put_model("light", ("dark", "br*ght"), task="transfer")
    photos = home.data_dir() / "light"
    pictures = gray_photos(photos) if pictures is None else pictures
    folder = home.runs_dir() / RUN
    folder.mkdir(parents=True)
    runs.write_spec(folder, RunSpec("transfer", {"data": str(photos), **request}, 0, "light"), "cpu")
    log, now = EventLog(folder / "events.jsonl"), time.time()
    log.append(Started("transfer", 1, 1, 4, tuple(GRAYS), {"train": 10, "validation": 10}, "cpu", now))
    log.append(Epoch(1, 0.5, 0.8, 0.5, 0.8, 1.0, now))
    log.append(Finished("completed", 1, 0.8, 10, 1.0, ((4, 1), (1, 4)), now))
    log.append(Exported("light", str(entry.onnx), 1e-7, 10, now))
    log.close()
    list(evaluation.evaluate(entry.onnx, pictures, folder / evaluation.FILE))
    return folder


def errors(app: AppTest) -> list[str]:
    """What went wrong on the page, in its words: uncaught exceptions and error boxes."""
    return [str(element.value) for element in (*app.exception, *app.error)]


def codes(app: AppTest) -> list[str]:
    """What "In code" shows, library by library."""
    library = app.segmented_control(key="library")
    return [library.set_value(name).run().code[-1].value for name in library.options]


def printed(code: str) -> str:
    """What a page's "In code" prints when it is run."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    return out.getvalue()
