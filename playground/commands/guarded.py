"""A process that opens a model somebody else may have made: `python -m playground.commands.guarded REQUEST`.

A few hundred bytes of ONNX can ask for gigabytes, or for hours. So the address space is limited (RLIMIT_AS) to what is
in use once the libraries are loaded, and what an honest model and the pictures need beside; the caller limits the time.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from playground.commands.output import print_json, printable
from playground.commands.run import BAD_INPUT, answered
from playground.errors import PlaygroundError
from playground.inspection.limits import limit_memory
from playground.numbers import number


def predict(asked: dict[str, Any]) -> int:
    """Ask a model about pictures: 1 where some of them could not be answered, 2 where none could."""
    from playground.datasets import photos
    from playground.deploy import registry, session

    found = registry.get(asked["path"])
    onnx = found if isinstance(found, Path) else found.onnx
    if sys.platform == "linux":
        limit_memory(onnx)
    classifier = session.Classifier(onnx)
    predictions: list[dict[str, Any]] = []
    wrong = []
    for name in asked["images"]:  # one at a time: a folder of photographs need not fit into memory
        path = Path(name)
        try:
            picture = photos.for_model(path, classifier.labels)
            if sys.platform == "linux":
                limit_memory(onnx, picture.shape[0] * picture.shape[1])
            (answer,) = classifier.predict([picture])
        except PlaygroundError as error:
            message = str(error)
            wrong.append(message if path.name in message else f"{path}: {message}")
            predictions.append({"image": name, "error": wrong[-1]})
            print(printable(wrong[-1]), file=sys.stderr)
            continue
        top = [{"label": label, "probability": probability} for label, probability in answer.top(asked["top"])]
        predictions.append({"image": name, "top": top})
        if not asked["json"]:
            print(path)
            for one in top:
                print(f"  {one['probability']:7.2%}  {printable(str(one['label']))}")
    none = len(wrong) == len(predictions)
    if asked["json"]:
        print_json({"model": asked["model"], "predictions": predictions} | ({"error": wrong[0]} if none else {}))
    return BAD_INPUT if none else 1 if wrong else 0


def verify(asked: dict[str, Any]) -> int:
    """Check a model, and put source, onnxruntime and engine beside each other."""
    from playground import verifying
    from playground.deploy import engine_report, registry, report

    found = registry.get(asked["path"])
    source = verifying.source_of(found, asked.get("most") or engine_report.PICTURES)
    if sys.platform == "linux":
        limit_memory(found if isinstance(found, Path) else found.onnx, 2**22)
    result = registry.verify(found)
    told: report.Report | None = None
    said: list[str] = []
    try:
        told = verifying.report(found, source)
        said = list(report.sentences(told))
    except PlaygroundError as error:  # a file that is no model: the checks say so
        said = [str(error)]
    ok = result.ok and (told is None or bool(told["ok"]))
    if asked["json"]:
        print_json({**result.to_dict(), "ok": ok, "report": told})
    else:
        for check in result.checks:
            print(f"{'ok ' if check.ok else 'NOT'}  {check.name}: {printable(check.sentence)}")
        for sentence in said:
            print(f"{'ok ' if told is not None and told['ok'] else 'NOT'}  report: {printable(sentence)}")
        for one in () if told is None else told["through"]:
            if "milliseconds" in one:
                print(f"     {report.CALLED[one['by']]}: {number(one['milliseconds'], 3)} ms a picture")
    if not ok:
        wrong = ", ".join([*(check.name for check in result.checks if not check.ok),
                           *(["report"] if told is not None and not told["ok"] else [])])
        print(f"{printable(result.name)} is not what it should be: {wrong}.", file=sys.stderr)
    return 0 if ok else 1


def main(arguments: list[str]) -> int:
    """Do what is asked, and say in one sentence what is wrong."""
    asked = json.loads(arguments[0])
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    return answered(lambda: {"predict": predict, "verify": verify}[asked["command"]](asked), asked["json"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
