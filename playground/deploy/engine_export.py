"""The NumPy engine's models as ONNX: the tape of one example is walked, and every op on it spelled out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from engine.core import Record, Tensor, no_grad
from engine.module import Module
from engine.onnx_spec import Node, Refused, Situation, Spelled
from playground.deploy.preprocess_graph import IR_VERSION, OPSET
from playground.deploy.session import Array
from playground.errors import PlaygroundError

INPUT = "pixels"


def engine_to_onnx(model: Module, example_shape: Sequence[int]) -> onnx.ModelProto:
    """A model of the engine as an ONNX model: `pixels` float32 (N, C, H, W), N free -> its scores.

    The model is run in eval mode on an example of `example_shape` and the tape walked from the result, without
    recursion. Parameters and buffers become initialisers of their state-dict names, everything in float32. It is done
    twice, on examples of different number and content: what differs was computed beside the tape, and would be wrong
    for every other picture. Raises PlaygroundError then, and with an op's own sentence where it has no ONNX spelling.
    """
    first, second = (_traced(model, (count, *example_shape[1:]), seed) for seed, count in enumerate((2, 3)))
    if first != second:
        raise PlaygroundError("The model computes something from the picture, or from how many there are, without "
                              "Tensors, so it cannot be exported.")
    return first


def tape_to_onnx(
    example: Tensor, result: Tensor, inner: Tensor, names: Mapping[int, str],
) -> tuple[onnx.ModelProto, str]:
    """A recorded run as a graph from `pixels` to its result, with one of its inner results as a second output: the
    model, and that output's name. names: of weights, by `id` of their arrays.

    For pictures as many and as large as the example's: what depends on them is written out as it was. Raises
    PlaygroundError as `engine_to_onnx`, and where the inner result is none that the result was made of.
    """
    writer = _Writer(example, dict(names))
    model = writer.write(result)
    if (name := writer.values.get(id(inner))) is None:
        raise PlaygroundError("The network's answer does not depend on this number, so the exported graph has none.")
    if name not in (output.name for output in model.graph.output):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
    return model, name


def engine_answers(model: Module, pixels: Array) -> Array:
    """The engine's own scores for prepared pixels (N, C, H, W), in eval mode and without a tape."""
    with _eval_mode(model), no_grad():
        return np.asarray(model(Tensor(pixels)).data)


def _traced(model: Module, shape: tuple[int, ...], seed: int) -> onnx.ModelProto:
    pixels = np.random.default_rng(seed).standard_normal(shape, np.float32)
    example = Tensor(pixels, requires_grad=True)  # so that every op that depends on it is on the tape
    with _eval_mode(model):
        return _Writer(example, {id(array): name for name, array in model.named_arrays()}).write(model(example))


class _Writer:
    """Collects the nodes and initialisers of one walk over the tape."""

    def __init__(self, example: Tensor, names: dict[int, str]):
        self.example = example
        self.names = names  # id of an array -> its state-dict name
        self.values: dict[int, str] = {id(example): INPUT}  # id of a Tensor or array -> its name in the graph
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def write(self, result: Tensor) -> onnx.ModelProto:
        for tensor, record in _calls(result):
            self._call(tensor, record)
        if id(self.example) == id(result) or not any(INPUT in node.input for node in self.nodes):
            raise PlaygroundError("The model's answer does not depend on the picture, so there is nothing to export.")
        graph = helper.make_graph(
            self.nodes, "engine",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", *self.example.shape[1:]])],
            [helper.make_tensor_value_info(self.values[id(result)], TensorProto.FLOAT, ["N", *result.shape[1:]])],
            list(self.initializers.values()),
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)

    def _call(self, tensor: Tensor, record: Record) -> None:
        """One recorded call, as the nodes of its op's spelling."""
        spelling = record.op.onnx
        spelled: Spelled = spelling if isinstance(spelling, Node | Refused) else spelling(Situation(
            shapes=tuple(None if x is None else x.shape for x in record.inputs),
            dtypes=tuple(None if x is None else x.dtype for x in record.inputs),
            options=record.options, output_shape=tensor.shape,
        ))
        if isinstance(spelled, Refused):
            raise PlaygroundError(spelled.reason)
        steps = [spelled] if isinstance(spelled, Node) else list(spelled)
        prefix = f"{record.op.name}_{len(self.values)}"
        local: dict[str, str] = {}
        for step in steps:
            inputs = [self._value(value, record, local, prefix)
                      for value in (range(len(record.inputs)) if step.inputs is None else step.inputs)]
            while inputs and not inputs[-1]:
                inputs.pop()
            name = prefix if step is steps[-1] else f"{prefix}/{step.output}"
            local[step.output] = name
            attributes = {key: _plain(value) for key, value in step.attributes.items()}
            filled = {key: value for key, value in attributes.items() if value != []}  # onnx cannot type an empty list
            self.nodes.append(helper.make_node(step.op_type, inputs, [name], name, **filled))
        self.values[id(tensor)] = prefix

    def _value(self, value: Any, record: Record, local: dict[str, str], prefix: str) -> str:
        """The name in the graph of what a spelling calls an input: a position, an earlier node, a constant, None."""
        if value is None:
            return ""
        if isinstance(value, str):
            return local[value]
        if not isinstance(value, int):
            return self._constant(np.asarray(value), f"{prefix}/constant")
        tensor = record.inputs[value]
        if tensor is None:
            return ""
        if id(tensor) in self.values:
            return self.values[id(tensor)]
        name = self.names.get(id(tensor.data))
        return self._constant(tensor.data, name or f"{prefix}/input_{value}", known=name is not None)

    def _constant(self, array: Array, name: str, known: bool = False) -> str:
        if not known:
            while name in self.initializers:
                name += "_"
        if name not in self.initializers:
            single = array.astype(np.float32) if array.dtype == np.float64 else array
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(single).reshape(array.shape), name)
        return name


def _calls(result: Tensor) -> Iterator[tuple[Tensor, Record]]:
    """The recorded calls `result` was made by, what is needed before what needs it; a tape of any length."""
    seen: set[int] = set()
    stack: list[tuple[Tensor, bool]] = [(result, False)]
    while stack:
        tensor, inputs_done = stack.pop()
        node = tensor.node
        if node is None:
            continue
        if inputs_done:
            yield tensor, node
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            stack.extend((x, False) for x in node.inputs if x is not None)


@contextmanager
def _eval_mode(model: Module) -> Iterator[None]:
    modes = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _plain(value: Any) -> Any:
    """An attribute as onnx takes it: NumPy's numbers become Python's, tuples become lists."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value
