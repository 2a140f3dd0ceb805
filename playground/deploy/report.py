"""The report on an exported file: source, onnxruntime and engine beside each other. Kept beside the card, read here."""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from playground.deploy.card import Entry
from playground.home import read_json
from playground.numbers import count, counted, number

FILE = "report.json"
SOURCE, RUNTIME, ENGINE = "source", "onnxruntime", "engine"
CALLED = {SOURCE: "the source", RUNTIME: "onnxruntime", ENGINE: "the engine"}
OWN, KNOWN = "of its own data, as raw as they are", "known to this app"
"""Which pictures a report is made on."""
MOST_BYTES = 4 * 2**20

Report = Mapping[str, Any]
"""What `engine_report.report` gives."""


def read(entry: Entry) -> Report | None:
    """The report kept beside a model's card; None where there is none, or it is damaged."""
    path = entry.folder / FILE
    try:
        if path.stat().st_size > MOST_BYTES:
            return None
        found: Report = read_json(path)
        list(sentences(found))
        return found if found["sha256"] == entry.card["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None


def to_bytes(report: Report) -> bytes:
    """A report as the file's bytes."""
    return json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False).encode()


def without_times(report: Report) -> Report:
    """The same without what differs from one export of the same weights to the next."""
    told = copy.deepcopy(dict(report))
    for one in told["through"]:
        one.pop("milliseconds", None)
    return told


def sentences(report: Report) -> Iterator[str]:
    """The report in a few sentences for a person."""
    through = [f"{CALLED[one['by']]} ({one['what']})" for one in report["through"] if "sentence" not in one]
    yield (f"{counted(int(report['pictures']['count']), 'picture')} ({report['pictures']['what']}) went through "
           + " and ".join(filter(None, (", ".join(through[:-1]), through[-1]))) + ".")
    for one in report["between"]:
        a, b = (CALLED[name] for name in one["of"])
        yield (f"Between {a} and {b} the logits differ by at most {number(float(one['largest']), 2)}, on average "
               f"{number(float(one['mean']), 2)} ({number(float(one['allowed']), 2)} is allowed); the first answer is "
               f"the same on {count(int(one['same_label']))} of {count(int(report['pictures']['count']))}."
               if one["largest"] is not None else f"Between {a} and {b} a logit is no number.")
    for one in report["through"]:
        if "sentence" in one:
            yield f"Not through {CALLED[one['by']]}: {one['sentence']}"
    layers = report["layers"]
    if layers is not None and "sentence" in layers:
        yield f"Not compared layer by layer: {layers['sentence']}"
    elif layers is not None:
        nodes = layers["nodes"]
        yield (f"Node by node onnxruntime and the engine agree at all {counted(len(nodes), 'node')} to "
               f"{number(float(layers['near']), 1)} of each one's largest number." if layers["parted"] is None else
               f"Node by node onnxruntime and the engine part first at {nodes[layers['parted']]['name']} "
               f"({nodes[layers['parted']]['operator']}), node {layers['parted'] + 1} of {len(nodes)}.")


def lines(entry: Entry) -> list[str]:
    """The kept report as lines of the model card (Markdown), nothing where there is none."""
    found = read(entry)
    return [f"- {sentence}" for sentence in sentences(found)] + ["- all of it: report.json"] if found else []


def take_home(entry: Entry) -> dict[str, bytes]:
    """The kept report as a file of the zip, without times: the same training gives the same zip."""
    found = read(entry)
    return {FILE: to_bytes(without_times(found))} if found else {}
