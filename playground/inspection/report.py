"""What is in an ONNX file: its operators, shapes, weights and costs. Reads the file and runs nothing of it."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from playground.deploy.engine_backend import EngineModel
from playground.deploy.engine_import.graphs import ready
from playground.deploy.preprocess_graph import PREFIX
from playground.errors import PlaygroundError
from playground.inspection import shape_chains
from playground.inspection.preparation import Preparation, guess, labels_in, rows_of_scores

LARGEST_BYTES = 500 * 2**20
MOST_NODES, MOST_WEIGHTS, MOST_WORDS = 3000, 600, 200
ONNX_DOMAINS = ("", "ai.onnx")
BINS = 40
Shape = tuple[int | str, ...]


def opened(path: Path) -> onnx.ModelProto:
    """The model in a file, nothing beside it read. Raises PlaygroundError in a sentence for what cannot be opened."""
    size = path.stat().st_size
    if size == 0:
        raise PlaygroundError("The file is empty.")
    if size > LARGEST_BYTES:
        raise PlaygroundError(f"The file is larger than {LARGEST_BYTES // 2**20} MiB.")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf raises what it likes
        raise PlaygroundError("This is not an ONNX file, or it is damaged.") from error
    if not model.graph.node and not model.graph.output:
        raise PlaygroundError("This is not an ONNX file: there is no graph in it.")
    for tensor in tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            where = next((entry.value for entry in tensor.external_data if entry.key == "location"), "another file")
            raise PlaygroundError(
                f"This file keeps its weights in another one ({where[:MOST_WORDS]}). Put both into one with Python: "
                "onnx.save(onnx.load(\"model.onnx\"), \"whole.onnx\").")
    return model


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All constant tensors of a graph and of the graphs in it."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs) if attribute.type in (
                    onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS) else ():
                yield from tensors(inner)


def report(path: Path) -> dict[str, Any]:
    """Everything there is to say of a file, as JSON.

    `engine` and `pictures` are sentences where the engine cannot import it, or where it takes no pictures; `valid`
    where onnx's checker objects. Multiply-adds are those of one picture of the guessed size; None where shapes are
    not known. `batch` is how many pictures it takes at once, 1 where any number; `scores` whether an output is one row
    of scores, None where that is not known before it runs. Raises PlaygroundError as `opened`.
    """
    model = opened(path)
    graph = model.graph
    pictures: str | None = None
    preparation: Preparation | None = None
    try:
        preparation = guess(model)
    except PlaygroundError as error:
        pictures = str(error)
    shapes = shapes_of(model, preparation)
    held = {tensor.name: tensor for tensor in graph.initializer}
    nodes = [_node(k, one, shapes, held) for k, one in enumerate(graph.node)]
    weights = [tensor for tensor in graph.initializer if math.prod(tensor.dims) > 0]
    constants = [_constant(node) for node in graph.node if node.op_type == "Constant"]
    weights += [tensor for tensor in constants if tensor is not None and math.prod(tensor.dims) > 1]
    first: dict[str, int] = {}  # the node that takes each weight first
    for k, node in enumerate(graph.node):
        for name in node.input:
            first.setdefault(name, k)
    batch = fixed_batch(model, preparation.input) if preparation else 1
    macs = [one["macs"] for one in nodes if not one["name"].startswith(PREFIX)]  # a photograph may have any size
    return {
        "bytes": path.stat().st_size, "ir": model.ir_version, "graph": graph.name[:MOST_WORDS],
        "producer": " ".join((model.producer_name, model.producer_version)).strip()[:MOST_WORDS],
        "opsets": [{"domain": entry.domain or "ai.onnx", "version": entry.version} for entry in model.opset_import],
        "metadata": {entry.key[:MOST_WORDS]: entry.value[:2000] for entry in list(model.metadata_props)[:50]},
        "labels": list(labels_in(model))[:100_000],
        "inputs": [_value(value) for value in graph.input if value.name not in held],
        "outputs": [_value(value) for value in graph.output],
        "functions": [f"{one.domain}.{one.name}" for one in model.functions][:50],
        "operators": dict(Counter(called(node) for node in graph.node).most_common()),
        "count": len(nodes), "nodes": nodes[:MOST_NODES],
        "parameters": sum(math.prod(tensor.dims) for tensor in weights if _is_learnt(tensor)),
        "weights": [_weight(tensor) | {"first": first.get(tensor.name, len(nodes))}
                    for tensor in sorted(weights, key=_bytes, reverse=True)[:MOST_WEIGHTS]],
        "weight_bytes": sum(map(_bytes, weights)),
        "macs": None if None in macs else sum(macs) // batch,
        "batch": batch, "scores": gives_scores(model, shapes, batch) if preparation else None,
        "preparation": preparation.to_dict() if preparation else None, "pictures": pictures,
        "engine": _said(EngineModel, model), "valid": unknown(model) or _said(onnx.checker.check_model, model),
    }


def fixed_batch(model: onnx.ModelProto, name: str) -> int:
    """How many pictures a file takes at once at the input of that name; 1 where any number."""
    first = next((_dims(value) for value in model.graph.input if value.name == name), ())[:1]
    return first[0] if first and isinstance(first[0], int) else 1


def gives_scores(model: onnx.ModelProto, shapes: dict[str, Shape], batch: int) -> bool | None:
    """Whether an output is one row of scores for each picture; None where the shapes do not say."""
    found: list[Sequence[int] | None] = []
    for value in model.graph.output:
        shape = shapes.get(value.name) or ("?",)  # without dimensions: nothing is known of it
        known = [n for n in shape if isinstance(n, int)]
        number = value.type.tensor_type.elem_type in (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
        found.append((0,) if not number else None if len(known) < len(shape) else
                     [1, *known[1:]] if known[:1] == [batch] else known)
    if any(rows_of_scores([one or (0,) for one in found])):
        return True
    return None if None in found else False


def unknown(model: onnx.ModelProto) -> str | None:
    """The sentence that names every operator of onnx's own sets that onnx does not know; None where there is none."""
    opsets = {entry.domain if entry.domain != "ai.onnx" else "": entry.version for entry in model.opset_import}
    own = {(one.domain, one.name) for one in model.functions}
    missing = sorted({called(node) for node in model.graph.node if node.domain in ONNX_DOMAINS
                      and (node.domain, node.op_type) not in own
                      and not onnx.defs.has(node.op_type, opsets.get("", 1), "")})
    many = len(missing) != 1
    return f"onnx has no operator{'s' * many} {', '.join(missing)} in set {opsets.get('', 1)}." if missing else None


def shapes_of(model: onnx.ModelProto, preparation: Preparation | None) -> dict[str, Shape]:
    """The shape of every value that shape inference finds, for one picture of the guessed size."""
    copy = onnx.ModelProto()
    try:
        copy.CopyFrom(ready(model))
    except PlaygroundError:  # a circle of nodes: what is outside of it has shapes all the same
        copy.CopyFrom(model)
    for value in copy.graph.input:
        dims = value.type.tensor_type.shape.dim
        wanted: list[int | None] = [None] * len(dims)
        if preparation is not None and value.name == preparation.input and len(dims) == 4:
            height, width = preparation.preprocessing.size
            channels = 1 if preparation.preprocessing.gray and not preparation.raw else 3
            wanted = [1, channels, height, width] if preparation.layout == "NCHW" else [1, height, width, channels]
        for k, dim in enumerate(dims):
            if dim.dim_value <= 0 and (n := wanted[k] if wanted[k] is not None else 1 if k == 0 else None):
                dim.Clear()
                dim.dim_value = n
    for value in copy.graph.output:  # else what the file says of them is kept
        value.type.tensor_type.ClearField("shape")
    del copy.graph.value_info[:]
    if preparation is not None and preparation.raw:  # what a picture is made into, whatever its size
        said = preparation.preprocessing
        copy.graph.value_info.append(helper.make_tensor_value_info(
            f"{PREFIX}pixels", TensorProto.FLOAT, [1, 1 if said.gray else 3, *said.size]))
    try:
        inferred = shape_chains.inferred(copy)
    except Exception:  # a shape that contradicts itself: then none is known
        return {}
    graph = inferred.graph
    return {**{tensor.name: tuple(tensor.dims) for tensor in graph.initializer},
            **{value.name: _dims(value) for value in (*graph.input, *graph.value_info, *graph.output)}}


def multiply_adds(node: onnx.NodeProto, shapes: dict[str, Shape]) -> int | None:
    """Multiplications of one node for one picture; 0 for what is none of convolution and matrix product, None where
    the shapes are not known.

    >>> node = helper.make_node("Conv", ["x", "w"], ["y"])
    >>> multiply_adds(node, {"x": (1, 3, 5, 5), "w": (8, 3, 3, 3), "y": (1, 8, 3, 3)})
    1944
    """
    place = {"Conv": 1, "FusedConv": 1, "ConvInteger": 1, "QLinearConv": 3, "ConvTranspose": 1, "Gemm": 1, "MatMul": 1,
             "MatMulInteger": 1, "QLinearMatMul": 3, "FusedMatMul": 1}.get(node.op_type)
    if place is None:
        return 0
    if len(node.input) <= place or not node.output:
        return None
    x, w, y = (shapes.get(name, ("?",)) for name in (node.input[0], node.input[place], node.output[0]))
    if not all(isinstance(n, int) for n in (*x, *w, *y)) or not w or not x:
        return None
    sizes = [int(n) for n in w]
    if node.op_type == "ConvTranspose":
        return math.prod(map(int, x)) * math.prod(sizes[1:])
    if "Conv" in node.op_type:
        return math.prod(map(int, y)) * math.prod(sizes[1:])
    turned = any(attribute.name == "transA" and attribute.i for attribute in node.attribute)
    return math.prod(map(int, y)) * int(x[0 if turned else -1])


def weight(path: Path, name: str) -> dict[str, Any]:
    """One tensor of a file: what `report` says of it, its histogram, and of kernels the first 64 as numbers."""
    model = opened(path)
    found = next((one for one in (*model.graph.initializer, *(_constant(node) for node in model.graph.node))
                  if one is not None and one.name == name), None)
    if found is None:
        raise PlaygroundError(f"There are no weights {name[:MOST_WORDS]} in this file.")
    values = numpy_helper.to_array(found)
    said = _weight(found)
    if values.dtype.kind in "fiu" and values.size:
        finite = values[np.isfinite(values)].astype(np.float64)
        counts, edges = np.histogram(finite, BINS) if finite.size else (np.zeros(BINS), np.linspace(0, 1, BINS + 1))
        said |= {"histogram": {"counts": counts.tolist(), "edges": edges.tolist()}}
        if values.ndim == 4 and 1 < values.shape[2] <= 11 and 1 < values.shape[3] <= 11:
            kernels = values[:64] if values.shape[1] == 3 else values[:64, :1]
            said |= {"kernels": np.nan_to_num(kernels.astype(np.float64)).tolist()}
    return said


def _node(index: int, node: onnx.NodeProto, shapes: dict[str, Shape], held: dict[str, Any]) -> dict[str, Any]:
    own = [held[name] for name in node.input if name in held]
    return {
        "index": index, "operator": called(node), "name": (node.name or (node.output[0] if node.output else ""))[:80],
        "from": [name[:80] for name in node.input if name and name not in held],
        "to": [name[:80] for name in node.output if name],
        "shape": list(shapes.get(node.output[0], ())) if node.output else [],
        "parameters": sum(math.prod(tensor.dims) for tensor in own), "macs": multiply_adds(node, shapes),
    }


def _weight(tensor: onnx.TensorProto) -> dict[str, Any]:
    said: dict[str, Any] = {"name": tensor.name[:MOST_WORDS], "shape": list(tensor.dims), "bytes": _bytes(tensor),
                            "number": TensorProto.DataType.Name(tensor.data_type).lower()}
    try:
        values = numpy_helper.to_array(tensor)
    except Exception:  # its numbers are fewer than its shape says
        return said | {"damaged": True}
    if values.dtype.kind not in "fiu" or not values.size:
        return said
    numbers = values.astype(np.float64)
    bad = int(values.size - np.isfinite(numbers).sum())
    numbers = numbers[np.isfinite(numbers)] if bad else numbers
    if numbers.size:
        said |= {"least": float(numbers.min()), "most": float(numbers.max()), "mean": float(numbers.mean()),
                 "deviation": float(numbers.std()), "zeros": float((numbers == 0).mean())}
    return said | {"not_finite": bad}


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant":
        return None
    found = next((attribute.t for attribute in node.attribute if attribute.name == "value"), None)
    if found is not None and node.output:
        copy = onnx.TensorProto()
        copy.CopyFrom(found)
        copy.name = node.output[0]
        return copy
    return None


def _is_learnt(tensor: onnx.TensorProto) -> bool:
    """Whether it may have been learnt: sizes and places are whole numbers of 64 bits, and a preparation is none."""
    return tensor.data_type not in (TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING) \
        and not tensor.name.startswith(PREFIX)


def _bytes(tensor: onnx.TensorProto) -> int:
    try:
        return int(math.prod(tensor.dims)) * int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    except KeyError:
        return 0


def called(node: onnx.NodeProto) -> str:
    """What kind of operator a node is, with the name of its set where that is none of onnx's own."""
    return (node.op_type if node.domain in ONNX_DOMAINS else f"{node.domain}.{node.op_type}")[:80]


def _dims(value: onnx.ValueInfoProto) -> Shape:
    return tuple(dim.dim_value if dim.dim_value > 0 else dim.dim_param or "any"
                 for dim in value.type.tensor_type.shape.dim)


def _value(value: onnx.ValueInfoProto) -> dict[str, Any]:
    kind = value.type.WhichOneof("value")
    number = TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower() if kind == "tensor_type" else str(kind)
    return {"name": value.name[:MOST_WORDS], "number": number, "shape": [str(n)[:40] for n in _dims(value)]}


def _said(ask: Any, model: onnx.ModelProto) -> str | None:
    """What it objects to in a sentence; None where it does not."""
    try:
        ask(model)
    except PlaygroundError as error:
        return str(error)[:2000]
    except MemoryError:
        raise
    except Exception as error:
        return (str(error).splitlines() or [type(error).__name__])[0][:500]
    return None
