"""A network as a report: its parts with shapes and counts, its faults and their cures, as text or as plain data."""

import math
from typing import Any

from playground.network.edits import edited
from playground.network.faults import faults
from playground.network.kind import Shape
from playground.network.parts import Network, place, shape_words
from playground.network.shapes import walk
from playground.network.spelling import spelled
from playground.numbers import count


def report(network: Network, takes: Shape, classes: int, *, batch: int = 32, memory: int | None = None,
           ) -> dict[str, Any]:
    """Everything as plain JSON: spelling, parts, totals, faults with the spelling that each cure leads to; `batch` and
    `memory` as `faults` takes them."""
    walked = walk(network, takes)
    return {
        "spelling": spelled(network), "input": list(takes), "classes": classes,
        "parts": [{
            "place": place(row.path), "depth": len(row.path) // 2, "kind": row.part.kind, "title": row.part.title,
            "takes": list(row.takes), "gives": list(row.gives), "parameters": row.parameters,
            "multiply_adds": row.multiply_adds,
            "receptive_field": None if math.isinf(row.field) else math.ceil(row.field),
        } for row in walked.rows],
        "parameters": walked.parameters, "multiply_adds": walked.multiply_adds, "additions": walked.additions,
        "faults": [{
            "level": fault.level, "place": place(fault.path) if fault.path else "", "sentence": fault.sentence,
            "cures": [{"label": cure.label, "spelling": spelled(edited(network, cure.edit))} for cure in fault.cures],
        } for fault in faults(network, takes, classes, batch=batch, memory=memory)],
    }


def report_text(found: dict[str, Any]) -> str:
    """A report for a terminal."""
    cells = [("part", "gives", "parameters", "multiply-adds", "sees")]
    for row in found["parts"]:
        sees = "all" if row["receptive_field"] is None else count(row["receptive_field"])
        cells.append(("  " * row["depth"] + row["title"], shape_words(tuple(row["gives"])),
                      count(row["parameters"]) if row["parameters"] else "",
                      count(row["multiply_adds"]) if row["multiply_adds"] else "", sees))
    wide = [max(len(row[k]) for row in cells) for k in range(5)]
    lines = [f"{found['spelling']}  for {shape_words(tuple(found['input']))}, {found['classes']} classes", ""]
    lines += [f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}  {d:>{wide[3]}}  {e:>{wide[4]}}"
              for a, b, c, d, e in cells]
    lines += ["", f"{count(found['parameters'])} parameters, {count(found['multiply_adds'])} multiply-adds a picture"]
    for fault in found["faults"]:
        lines += ["", f"{fault['level']}: {fault['sentence']}"]
        lines += [f"  cure: {cure['label']}:  {cure['spelling']}" for cure in fault["cures"]]
    return "\n".join(lines)
