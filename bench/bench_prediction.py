"""Whether the seconds an epoch that the designer predicts are those that training then takes, on ten designs.

    python -m bench.bench_prediction

Each design is predicted as the page does it (a few real steps), then trained for three epochs on the digits in the same
process; the middle epoch counts. Results are written to bench/results/.
"""

import datetime
import os
import platform
import tempfile
from pathlib import Path

from bench.report import save
from playground.datasets import named
from playground.network.presets import network_named
from playground.training.runs.events import Epoch
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit, timing

DESIGNS = ("linear", "mlp", "lenet5", "usual", "vgg6", "all-convolution", "resnet8", "mobilenet", "inception",
           "c64k5-b-r-p2-c64-b-r-g-d10")
GOAL, BATCH = 0.3, 32


def main() -> None:
    train, _ = named.load("digits")
    takes, classes = numpy_fit.shape_of(train), len(train.classes)
    lines = ["| design | predicted, s | took, s | off by |", "|---|---|---|---|"]
    rows = []
    for name in DESIGNS:
        network = network_named(name, takes, classes)
        predicted = timing.seconds_an_epoch(network, takes, classes, len(train), {"batch_size": BATCH})
        assert predicted is not None
        spec = RunSpec("digits", {"data": "digits", "network": name, "epochs": 3, "batch_size": BATCH}, 0, "timed")
        with tempfile.TemporaryDirectory() as folder:
            epochs = [one.seconds for one in numpy_fit.fit(spec, Path(folder), lambda: False) if isinstance(one, Epoch)]
        took = sorted(epochs)[1]
        off = predicted / took - 1
        rows.append({"design": name, "predicted": predicted, "took": took, "off": off})
        missed = " (missed)" if abs(off) > GOAL else ""
        lines.append(f"| {name} | {predicted:.3f} | {took:.3f} | {100 * off:+.0f} %{missed} |")
        print(lines[-1], flush=True)
    about = f"{datetime.date.today()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    save("prediction", about, "\n".join(lines), rows=rows)


if __name__ == "__main__":
    main()
