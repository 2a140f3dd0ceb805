"""Whether the seconds an epoch that the designer predicts are those that training then takes, on ten designs.

    python -m bench.bench_prediction

Each design is predicted as the page does it (a few real steps), then trained for three epochs on the digits in the same
process; the middle epoch counts. First by our engine, then by PyTorch, whose prediction comes from a process of its
own. Results are written to bench/results/.
"""

import datetime
import itertools
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.report import save
from playground.datasets import named
from playground.network.kind import Shape
from playground.network.presets import network_named
from playground.training.runs.events import Epoch
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit, timing
from playground.training.scratch.settings import ENGINES, OURS
from playground.ui.network import predicting
from playground.ui.parts.torch_process import asked_torch

DESIGNS = ("linear", "mlp", "lenet5", "usual", "vgg6", "all-convolution", "resnet8", "mobilenet", "inception",
           "c64k5-b-r-p2-c64-b-r-g-d10")
GOAL, BATCH = 0.3, 32


def main() -> None:
    train, _ = named.load("digits")
    takes, classes = numpy_fit.shape_of(train), len(train.classes)
    lines = ["| computed by | design | predicted, s | took, s | off by |", "|---|---|---|---|---|"]
    rows = []
    for engine, name in itertools.product(ENGINES, DESIGNS):
        settings = {"batch_size": BATCH, "engine": engine}
        predicted = prediction(name, takes, classes, len(train), settings)
        spec = RunSpec("digits", {"data": "digits", "network": name, "epochs": 3, **settings}, 0, "timed")
        with tempfile.TemporaryDirectory() as folder:
            epochs = [one.seconds for one in numpy_fit.fit(spec, Path(folder), lambda: False) if isinstance(one, Epoch)]
        took = sorted(epochs)[1]
        off = predicted / took - 1
        rows.append({"engine": engine, "design": name, "predicted": predicted, "took": took, "off": off})
        missed = " (missed)" if abs(off) > GOAL else ""
        lines.append(f"| {engine} | {name} | {predicted:.3f} | {took:.3f} | {100 * off:+.0f} %{missed} |")
        print(lines[-1], flush=True)
    about = f"{datetime.date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    save("prediction", about, "\n".join(lines), rows=rows)


def prediction(name: str, takes: Shape, classes: int, pictures: int, settings: Mapping[str, Any]) -> float:
    """The seconds an epoch of a preset or spelling, as the page comes to them."""
    if settings["engine"] == OURS:
        found = timing.seconds_an_epoch(network_named(name, takes, classes), takes, classes, pictures, settings)
        assert found is not None
        return found
    question = {"network": name, "takes": takes, "classes": classes, "pictures": pictures, "settings": settings}
    done = asked_torch(predicting.MODULE, json.dumps(question), patience=300, late="It took too long.")
    assert done.returncode == 0, done.stderr
    return float(json.loads(done.stdout))


if __name__ == "__main__":
    main()
