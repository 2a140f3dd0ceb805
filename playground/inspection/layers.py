"""Layer by layer: every number that onnxruntime and the engine compute on the way, and where they first part."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from engine import no_grad
from playground.deploy.engine_backend import EngineModel
from playground.errors import PlaygroundError
from playground.inspection.report import opened
from playground.inspection.running import run, session

NEAR = 1e-3
"""Up to which share of a layer's largest number both count as equal."""
MOST_NUMBERS = 100_000_000


def layers(path: Path, name: str, x: np.ndarray) -> dict[str, Any]:
    """For each node: its largest number and the largest difference between both, in the file's order.

    `parted` is the first node whose difference is more than `NEAR` of its largest number, None where there is none.
    onnxruntime runs the graph as it is written, not rewritten for speed, so that every node has a result. Raises
    PlaygroundError when either of them cannot run the file.
    """
    ours = EngineModel(opened(path))
    theirs = _every_result(path, name, x, [out for node, _ in ours.nodes for out in node.output if out])
    found, seen = [], 0
    with no_grad():
        for step in ours.steps(**{name: x}):
            node = ours.nodes[step.index][0]
            for out, result in zip(node.output, step.outputs, strict=False):
                other = theirs.get(out)
                if not out or not isinstance(other, np.ndarray) or other.dtype.kind not in "fiub" or not other.size:
                    continue
                mine = np.asarray(result.data)
                seen += mine.size
                if seen > MOST_NUMBERS:
                    raise PlaygroundError("This file computes too many numbers on its way to compare them all here.")
                row: dict[str, Any] = {"operator": step.op_type, "name": (step.name or out)[:80],
                                       "shape": list(mine.shape)}
                if mine.shape != other.shape:
                    found.append({**row, "size": None, "difference": None, "theirs": list(other.shape)})
                    continue
                a, b = mine.astype(np.float64), other.astype(np.float64)
                same = (a == b) | (np.isnan(a) & np.isnan(b))
                gap = np.abs(np.where(same, 0.0, a - b))
                size = float(np.abs(b[np.isfinite(b)]).max(initial=0.0))
                found.append({**row, "size": size, "difference": float(gap.max()) if not np.isnan(gap).any() else None})
    parted = next((k for k, one in enumerate(found) if one["difference"] is None
                   or not math.isfinite(one["difference"]) or one["difference"] > NEAR * max(one["size"], 1e-6)), None)
    return {"nodes": found, "parted": parted}


def _every_result(path: Path, name: str, x: np.ndarray, wanted: list[str]) -> dict[str, Any]:
    """What onnxruntime computes at every node."""
    model = onnx.load(path)
    known = {value.name for value in model.graph.output}
    made = {out for node in model.graph.node for out in node.output}
    model.graph.output.extend(helper.make_empty_tensor_value_info(one) for one in dict.fromkeys(wanted)
                              if one in made and one not in known)
    network = session(model.SerializeToString(), level="none")
    return dict(zip((one.name for one in network.get_outputs()), run(network, {name: x}), strict=True))
