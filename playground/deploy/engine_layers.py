"""Layer by layer: every number that onnxruntime and the engine compute on the way, and where they first part."""

import math
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper

from engine import no_grad
from playground.deploy.contract import first_line
from playground.deploy.engine_backend import EngineModel
from playground.errors import PlaygroundError

NEAR, NEAR_IN_HALF = 1e-3, 1e-2
"""Up to which share of a layer's largest number both count as equal; the second where onnxruntime rounds to float16."""
MOST_NUMBERS = 100_000_000


def layers(model: onnx.ModelProto, name: str, x: np.ndarray) -> dict[str, Any]:
    """For each node: its largest number and the largest difference between both, in the order of computing.

    x is what the input called `name` is given. `parted` is the first node whose difference is more than `NEAR` of its
    largest number, None where there is none. onnxruntime runs the graph as it is written, not rewritten for speed, so
    that every node has a result. Raises PlaygroundError when either of them cannot run the file.

    >>> model = onnx.parser.parse_model('<ir_version: 9, opset_import: ["": 20]> g (float[2] x) => (float[2] y) {'
    ...     "a = Relu (x) y = Neg (a)}")
    >>> found = layers(model, "x", np.float32([1, -2]))
    >>> [(one["operator"], one["size"], one["difference"]) for one in found["nodes"]], found["parted"]
    ([('Relu', 1.0, 0.0), ('Neg', 1.0, 0.0)], None)
    """
    ours = EngineModel(model)
    theirs = _every_result(model, name, x, [out for node, _ in ours.nodes for out in node.output if out])
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
                found.append({**row, "size": size, "difference": float(gap.max()) if not np.isnan(gap).any() else None,
                              **({"half": True} if other.dtype == np.float16 else {})})
    return {"nodes": found, "parted": next((k for k, one in enumerate(found) if _parts(one)), None)}


def _parts(one: dict[str, Any]) -> bool:
    near = NEAR_IN_HALF if one.get("half") else NEAR
    return one["difference"] is None or not math.isfinite(one["difference"]) \
        or one["difference"] > near * max(one["size"], 1e-6)


def _every_result(model: onnx.ModelProto, name: str, x: np.ndarray, wanted: list[str]) -> dict[str, Any]:
    """What onnxruntime computes at every node."""
    told = onnx.ModelProto()
    told.CopyFrom(model)
    known = {value.name for value in told.graph.output}
    made = {out for node in told.graph.node for out in node.output}
    told.graph.output.extend(helper.make_empty_tensor_value_info(one) for one in dict.fromkeys(wanted)
                             if one in made and one not in known)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = 2, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.enable_cpu_mem_arena = False
    try:
        network = onnxruntime.InferenceSession(told.SerializeToString(), options, providers=["CPUExecutionProvider"])
        results = network.run(None, {name: x})
    except MemoryError:
        raise
    except Exception as error:  # onnxruntime's errors share no class of their own
        raise PlaygroundError(f"onnxruntime cannot run this file node by node: {first_line(error)}") from error
    return dict(zip((one.name for one in network.get_outputs()), results, strict=True))
