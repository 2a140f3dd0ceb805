"""Commands that look at any ONNX file. Each opens it in a process of its own (`inspection.bounded`)."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from playground.commands.output import print_json, printable
from playground.errors import PlaygroundError
from playground.numbers import count, counted, number


def inspect(options: argparse.Namespace) -> int:
    """Look into a file."""
    from playground.inspection import bounded

    said = bounded.ask("report", path_of(options.model))
    if options.json:
        print_json(said)
        return 0
    opsets = ", ".join(f"{one['domain']} {one['version']}" for one in said["opsets"])
    print(f"{printable(options.model)}: {count(said['bytes'])} bytes, made by "
          f"{printable(said['producer']) or 'nobody named'}")
    print(printable(f"operator sets: {opsets}"))
    for name in ("inputs", "outputs"):
        for one in said[name]:
            print(printable(f"{name[:-1]}: {one['name']} {one['number']} ({', '.join(one['shape'])})"))
    macs = "not known" if said["macs"] is None else count(said["macs"])
    print(f"{count(said['parameters'])} parameters, {macs} multiply-adds, {count(said['count'])} nodes")
    print(printable(", ".join(f"{n} {name}" for name, n in said["operators"].items())))
    print("the engine follows it" if said["engine"] is None else printable(said["engine"]))
    for sentence in (said["pictures"], said["valid"]):
        if sentence:
            print(printable(sentence))
    return 0


def profile(options: argparse.Namespace) -> int:
    """Measure how fast a file runs."""
    from playground.inspection import bounded
    from playground.inspection.preparation import Preparation

    path = path_of(options.model)
    said = bounded.ask("report", path)
    if said["preparation"] is None:
        raise PlaygroundError(said["pictures"])
    preparation = Preparation.from_dict(said["preparation"])
    height, width = preparation.preprocessing.size
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    found: dict[str, Any] = bounded.ask("profile", path, preparation.apply(picture), input=preparation.input)
    if options.json:
        print_json(found)
        return 0
    for one in found["threads"]:
        print(f"{counted(one['threads'], 'thread')}: {number(one['median'], 3)} ms, 95 % within {number(one['p95'], 3)} ms")
    for one in found["levels"]:
        print(f"graph optimisation {one['level']}: {number(one['median'], 3)} ms")
    for one in found["batches"]:
        print(f"{one['pictures']} at once: {number(one['a second'], 3)} pictures a second")
    for one in found["operators"]:
        print(f"{printable(one['operator'])}: {number(one['milliseconds'], 3)} ms in {counted(one['nodes'], 'node')}")
    return 0


def path_of(model: str) -> Path:
    """The file of a model's name, or the file itself. Raises PlaygroundError where there is none."""
    from playground.deploy import registry

    if model.endswith(".onnx"):
        path = Path(model)
        if not path.is_file():
            raise PlaygroundError(f"There is no file {model}.")
        return path
    found = registry.get(model)
    return found if isinstance(found, Path) else found.onnx
