"""Commands that look at any ONNX file. Each opens it in a process of its own (`inspection.bounded`)."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from playground.commands.output import print_json, printable
from playground.errors import PlaygroundError
from playground.numbers import count, counted, number

if TYPE_CHECKING:
    import numpy as np

    from playground.inspection.preparation import Preparation


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
    import numpy as np

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
        print(f"{counted(one['threads'], 'thread')}: {number(one['median'], 3)} ms, 95 % within "
              f"{number(one['p95'], 3)} ms")
    for one in found["levels"]:
        print(f"graph optimisation {one['level']}: {number(one['median'], 3)} ms")
    for one in found["batches"]:
        print(f"{one['pictures']} at once: {number(one['a second'], 3)} pictures a second")
    for one in found["operators"]:
        print(f"{printable(one['operator'])}: {number(one['milliseconds'], 3)} ms in {counted(one['nodes'], 'node')}")
    return 0


def convert(options: argparse.Namespace) -> int:
    """Write a file otherwise, and say what that changed."""
    from playground import home
    from playground.datasets import photos
    from playground.inspection import bounded
    from playground.inspection.converting import CALIBRATION_PICTURES, WAYS, crops
    from playground.inspection.preparation import Preparation

    way = next((one for one in WAYS if one.replace(" ", "") == options.way.replace(" ", "")), None)
    if way is None:
        raise PlaygroundError(f"There is no way {options.way} to write a file: choose "
                              f"{', '.join(one.replace(' ', '') for one in WAYS)}.")
    path, target = path_of(options.model), options.target
    if target.exists():
        raise PlaygroundError(f"{target} is there already: name another file.")
    if not target.parent.is_dir():
        raise PlaygroundError(f"There is no folder {target.parent}.")
    said = bounded.ask("report", path)
    name, x, scaling = None, None, None
    if said["preparation"] is not None:
        preparation, labels = Preparation.from_dict(said["preparation"]), tuple(said["labels"])
        name, x = preparation.input, _prepared(preparation, crops())
        if way == "int8":
            own = [photos.for_model(one, labels) for one in options.images[:CALIBRATION_PICTURES]]
            scaling = _prepared(preparation, own or crops(to_scale=True))
    with home.whole(target.resolve()) as incoming:
        done = bounded.ask("convert", path, scaling, target=str(incoming), way=way, input=name)
        files = {"as it was": str(path.resolve()), way: str(incoming)}
        found = bounded.ask("compare", path, x, paths=files, input=name)
        if "sentence" in found[way] and "sentence" not in found["as it was"]:
            raise PlaygroundError(found[way]["sentence"])
    found[way] |= done
    if options.json:
        print_json(found)
        return 0
    print("\n".join(map(printable, _changes(found["as it was"], found[way], said["bytes"]))))
    return 0


def _prepared(preparation: "Preparation", pictures: "Sequence[np.ndarray]") -> "np.ndarray":
    """Pictures as the file takes them: what it prepares itself is brought to one size first, so that all are alike."""
    import numpy as np

    known = preparation.preprocessing
    return np.concatenate([preparation.apply(known.pictured(known.apply(one))) for one in pictures])


def _changes(before: Mapping[str, Any], after: Mapping[str, Any], bytes_before: int) -> Iterator[str]:
    """What is said of a file and of the other way to write it."""
    sizes = f"{count(bytes_before)} bytes became {count(after['bytes'])}"
    if "sentence" in before:
        yield f"{sizes}; the answers could not be compared. {before['sentence']}"
    else:
        largest = "no number" if after["largest"] is None else number(after["largest"], 2)
        what = (f"{count(after['changed'])} of {counted(len(after['answers']), 'answer')} changed, a probability by at "
                f"most {largest}" if "answers" in after else
                f"outputs differ by at most {largest} (the largest number is {number(after['size'], 2)})"
                + (f", {after['reshaped']} of {after['pictures']} have another shape" if after["reshaped"] else ""))
        yield (f"{sizes}, {number(before['milliseconds'], 3)} ms {number(after['milliseconds'], 3)}; {what}")
    if after["operators"]:
        yield "nodes: " + ", ".join(f"{one['operator']} {one['before']} to {one['after']}"
                                    if one["before"] != one["after"] else f"{one['operator']} written otherwise"
                                    for one in after["operators"])
    else:
        yield "no operator had to be written otherwise"


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
