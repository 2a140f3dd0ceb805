"""What every exported file promises, made by `finish` and demanded by `check`.

    image          uint8   (N, H, W, 3)   raw RGB pixels, any N, H, W
    logits         float32 (N, K)
    probabilities  float32 (N, K)         softmax of the logits
    metadata       labels (JSON list of K strings), preprocessing (a sentence), source, created (ISO 8601)

in one self-contained file: standard operators only, no data beside it, nothing that could loop.
"""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference

from playground.datasets.preprocessing import Preprocessing
from playground.deploy.preprocess_graph import prepend
from playground.errors import PlaygroundError

SIZE_LIMIT_BYTES = 512 * 2**20


@dataclass(frozen=True)
class Promise:
    """What a file that keeps the contract says about itself."""

    labels: tuple[str, ...]
    preprocessing: str
    source: str
    created: str


def finish(
    core: onnx.ModelProto, preprocessing: Preprocessing, labels: Sequence[str], source: str,
    created: datetime | None = None, *, scores_are_logits: bool = False,
) -> onnx.ModelProto:
    """A model of prepared pixels (N, C, *size) -> scores (N, K), made into a file that keeps the contract.

    A core with a single score for two labels is a sigmoid head: its logits become [0, z], whose softmax is exactly
    [1 - sigmoid(z), sigmoid(z)]. A core that ends in Softmax or Sigmoid is refused, because its scores are no logits,
    unless `scores_are_logits`: its training took their softmax, whatever gave them.
    Raises PlaygroundError when labels and scores differ in number.
    """
    if len(core.graph.input) != 1 or len(core.graph.output) != 1:
        raise PlaygroundError(f"A model of pictures has one input and one output, this one has "
                              f"{len(core.graph.input)} and {len(core.graph.output)}.")
    scores = core.graph.output[0].name
    maker = next((node for node in core.graph.node if scores in node.output), None)
    if not scores_are_logits and maker is not None and maker.op_type in ("Softmax", "LogSoftmax", "Sigmoid"):
        raise PlaygroundError(f"The model ends in {maker.op_type}; export it without that last layer, because the "
                              f"file itself turns logits into probabilities.")

    model = prepend(core, preprocessing)
    graph = model.graph
    count = _columns(model)
    one_score = count == 1 and len(labels) == 2
    if count is not None and count != len(labels) and not one_score:
        raise PlaygroundError(f"The model gives {count} scores for {len(labels)} labels.")

    if one_score:
        _rename(graph, scores, "score")
        second = numpy_helper.from_array(np.array([[0, 1]], np.float32), "head/second")  # a zero before the score
        graph.initializer.append(second)
        graph.node.append(helper.make_node("Mul", ["score", second.name], ["logits"], "head/two_logits"))
    else:
        _rename(graph, scores, "logits")
    graph.node.append(helper.make_node("Softmax", ["logits"], ["probabilities"], "head/probabilities", axis=1))

    shape: list[str | int | None] = ["N", len(labels)]
    del graph.output[:], graph.value_info[:]
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
                        for name in ("logits", "probabilities"))
    graph.name = "classifier"
    graph.doc_string = model.doc_string = ""
    for node in graph.node:  # exporters leave stack traces with the paths of this machine
        node.doc_string = ""
        del node.metadata_props[:]
        for attribute in [one for one in node.attribute if one.name == "noop_with_empty_axes" and not one.i]:
            node.attribute.remove(attribute)  # the default, written out: the converter to opset 17 would trip over it
    del graph.metadata_props[:], model.metadata_props[:]
    model.producer_name, model.producer_version = "cnn-playground", ""
    moment = (created or datetime.now(UTC)).isoformat(timespec="seconds")
    helper.set_model_props(model, {
        "labels": json.dumps(list(labels), ensure_ascii=False), "preprocessing": preprocessing.sentence(),
        "source": source, "created": moment,
    })
    check(model)
    return model


def check(model: onnx.ModelProto) -> Promise:
    """What the model says about itself, if it keeps the contract; a PlaygroundError naming what is off otherwise."""
    _check_harmless(model)
    try:
        onnx.checker.check_model(model, full_check=True)
        inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:  # protobuf, checker and inference each have their own family of errors
        raise PlaygroundError(f"This ONNX model is not valid: {first_line(error)}") from error

    initialisers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initialisers]
    if [value.name for value in inputs] != ["image"]:
        raise PlaygroundError("The model has to have one input named image; this one has "
                              f"{_listed(value.name for value in inputs)}.")
    kind, shape = _type(inputs[0])
    if kind != TensorProto.UINT8 or len(shape) != 4 or shape[3] != 3:
        raise PlaygroundError("The input image has to be uint8 (N, H, W, 3); this one is "
                              f"{TensorProto.DataType.Name(kind)} {_written(shape)}.")
    if any(isinstance(size, int) for size in shape[:3]):
        raise PlaygroundError(f"The input image has to take any number and size of pictures; this one takes "
                              f"{_written(shape)} only.")

    labels = _labels(model)
    if sorted(value.name for value in model.graph.output) != ["logits", "probabilities"]:
        raise PlaygroundError("The model has to have the outputs logits and probabilities; this one has "
                              f"{_listed(value.name for value in model.graph.output)}.")
    for value in inferred.graph.output:
        kind, shape = _type(value)
        if kind != TensorProto.FLOAT or len(shape) != 2 or shape[1] != len(labels):
            raise PlaygroundError(f"The output {value.name} has to be float32 (N, {len(labels)}), one column a label; "
                                  f"this one is {TensorProto.DataType.Name(kind)} {_written(shape)}.")
    said = {entry.key: entry.value for entry in model.metadata_props}
    missing = [key for key in ("preprocessing", "source", "created") if not said.get(key)]
    if missing:
        raise PlaygroundError(f"The file does not say {_listed(missing)} in its metadata.")
    try:
        datetime.fromisoformat(said["created"])
    except ValueError as error:
        raise PlaygroundError(f"The file's date of creation is no date: {said['created']!r}") from error
    return Promise(labels, said["preprocessing"], said["source"], said["created"])


def parse(data: bytes) -> onnx.ModelProto:
    """The bytes of a file as a model, whatever it promises; PlaygroundError when they are too many or no model."""
    if len(data) > SIZE_LIMIT_BYTES:
        raise PlaygroundError(f"The file holds {len(data) / 2**20:.0f} MiB; models up to "
                              f"{SIZE_LIMIT_BYTES // 2**20} MiB are opened here.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # google.protobuf.message.DecodeError, a package this house does not import
        raise PlaygroundError("This is not an ONNX file, or it is damaged.") from error
    if not model.graph.node or not model.opset_import:
        raise PlaygroundError("This is not an ONNX file, or it is damaged: no graph is in it.")
    return model


def _check_harmless(model: onnx.ModelProto) -> None:
    """Refuse, before a runtime sees it, what could reach outside the file or never end."""
    if model.functions:
        raise PlaygroundError("The model defines operators of its own; only standard ONNX operators are run here.")
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            raise PlaygroundError(f"The model uses {node.domain}.{node.op_type}; only standard ONNX operators are run "
                                  "here.")
        for attribute in node.attribute:
            if attribute.HasField("g") or attribute.graphs:
                raise PlaygroundError(f"The model holds a {node.op_type} with a graph inside; a picture's way through "
                                      "a model has no loops or branches here.")
    for tensor in tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            raise PlaygroundError(f"The weights {tensor.name!r} are in another file; only self-contained ONNX files "
                                  "are opened here.")


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor a graph brings with it: weights, and the constants of its nodes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors, attribute.sparse_tensor.values,
                        attribute.sparse_tensor.indices)


def _labels(model: onnx.ModelProto) -> tuple[str, ...]:
    text = next((entry.value for entry in model.metadata_props if entry.key == "labels"), None)
    if text is None:
        raise PlaygroundError("The file does not say its labels in its metadata.")
    try:
        labels = json.loads(text)
    except ValueError as error:
        raise PlaygroundError("The labels in the file's metadata are not JSON.") from error
    if not isinstance(labels, list) or len(labels) < 2 or not all(isinstance(x, str) and x for x in labels):
        raise PlaygroundError("The labels in the file's metadata have to be a JSON list of two or more names.")
    return tuple(labels)


def _columns(model: onnx.ModelProto) -> int | None:
    """How many scores the model gives, where its shapes tell."""
    try:
        inferred = shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:  # onnx.shape_inference.InferenceError is a RuntimeError of its own making
        raise PlaygroundError(f"The layers of this model do not fit together: {first_line(error)}") from error
    shape = _type(inferred.graph.output[0])[1]
    if shape and len(shape) != 2:
        raise PlaygroundError(f"The model has to give scores (N, K), this one gives {_written(shape)}.")
    return shape[1] if shape and isinstance(shape[1], int) else None


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        if new in node.output or new in node.input:
            raise ValueError(f"the model already uses the name {new}")
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


def _type(value: onnx.ValueInfoProto) -> tuple[int, tuple[int | str | None, ...]]:
    tensor = value.type.tensor_type
    return tensor.elem_type, tuple(
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor.shape.dim)


def _written(shape: tuple[int | str | None, ...]) -> str:
    return "(" + ", ".join("?" if size is None else str(size) for size in shape) + ")"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def first_line(error: BaseException) -> str:
    """What an error of another library says, cut to what fits a sentence: its first line, and the indented ones after
    it that go on with it (onnxruntime's numbers)."""
    first, *rest = str(error).strip().splitlines() or [type(error).__name__]
    more = itertools.takewhile(lambda line: line.startswith(" ") and line.strip(), rest)
    return " ".join([first, *(line.strip() for line in more)])[:300]
