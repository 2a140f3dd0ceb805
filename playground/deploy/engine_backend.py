"""ONNX models as models of the engine: run by it, walked back by it, trained on by it.

`onnx_to_engine` is the way back of engine_export: a graph becomes an `EngineModel` whose weights are leaves of the
tape. `EngineBackend` is the same behind onnx's own test interface. What each operator means stands in engine_import.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper
from onnx.backend.base import Backend, BackendRep

from engine import ShapeError, Tensor, no_grad
from playground.deploy.engine_import import Operator, find
from playground.deploy.engine_import.arithmetic import cast_to
from playground.deploy.engine_import.graphs import leaves, read, ready, refuse_volumes, rows, with_branches
from playground.deploy.engine_import.half import in_single, is_half
from playground.deploy.engine_import.operators import domain_of, refuse
from playground.errors import PlaygroundError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class ForwardStep:
    """One node of the graph, computed: its place in the order, its name, what went in (None where absent) and out."""

    index: int
    name: str
    op_type: str
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]


class EngineModel:
    """A graph of ONNX operators whose numbers are computed by the engine and recorded on its tape.

    Called with the graph's inputs, in their order or by name (arrays or Tensors), it gives the graph's output, or a
    tuple of them where there are several. An initialiser that is also an input is its default: it may be given by
    name, and counts for that call only. Raises PlaygroundError for a name that is no input.

    Floating-point initialisers, and what Constant nodes hold, are leaves that want a gradient, under their names in
    the file; not so single numbers (0 axes), the preprocessing in front of our own exports, and what stands where no
    weight stands: batch statistics, bounds of Clip, scales of Resize. Batch norm and dropout stay as the file has
    them, so fine-tuning does not move statistics. `nodes` are what is computed, in that order, which need not be the
    file's. What is float16 inside a file is float32 here. Raises PlaygroundError naming the operators or the attribute
    the engine does not know.

    >>> model = onnx_to_engine(onnx.parser.parse_model('<ir_version: 9, opset_import: ["": 20]>'
    ...     "example (float[N, 2] x) => (float[N, 1] y) <float[2, 1] w = {3, -1}> { y = MatMul (x, w) }"))
    >>> model(np.array([[1.0, 2.0]], np.float32)).sum().backward()
    >>> model.state_dict()["w"].tolist(), dict(model.named_parameters())["w"].grad.tolist()
    ([[3.0], [-1.0]], [[1.0], [2.0]])
    """

    def __init__(self, model: onnx.ModelProto):
        model = with_branches(in_single(ready(model)))
        self.opsets = {domain_of(entry): entry.version for entry in model.opset_import}
        graph = model.graph
        if graph.sparse_initializer:
            raise refuse("it holds sparse weights")
        self.values, nodes = leaves(graph)
        self.nodes: list[tuple[onnx.NodeProto, Operator]] = list(zip(nodes, rows(nodes, self.opsets), strict=True))
        refuse_volumes(nodes, self.values)
        self.inputs = {info.name: info.type for info in graph.input if info.name not in self.values}
        self.defaults = {info.name: info.type for info in graph.input if info.name in self.values}  # need not be given
        self.outputs = [info.name for info in graph.output]
        self._halves = {info.name for info in graph.output if is_half(info.type)}
        self._last_use = {name: k for k, (node, _) in enumerate(self.nodes) for name in node.input}
        self._last_use.update(dict.fromkeys([*self.outputs, *self.values], len(self.nodes)))

    def __call__(self, *args: Any, **named: Any) -> Any:
        results = self.run(self._bound(args, named))
        return results[0] if len(results) == 1 else results

    def run(self, inputs: Mapping[str, Any]) -> tuple[Tensor, ...]:
        """The graph's outputs for its inputs by name."""
        values: dict[str, Tensor] = {}
        for _ in self._walk(inputs, values):
            pass
        return tuple(cast_to(values[name], np.dtype(np.float16)) if name in self._halves else values[name]
                     for name in self.outputs)

    def steps(self, *args: Any, **named: Any) -> Iterator[ForwardStep]:
        """The same, one node a step."""
        return self._walk(self._bound(args, named), {})

    def _bound(self, args: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        if len(args) > len(self.inputs):
            raise TypeError(f"the graph takes {len(self.inputs)} inputs ({', '.join(self.inputs)}), not {len(args)}")
        by_place = dict(zip(self.inputs, args, strict=False))
        for name in by_place.keys() & named.keys():
            raise TypeError(f"the input {name} is given twice, by its place and by its name")
        return {**by_place, **named}

    def _walk(self, inputs: Mapping[str, Any], values: dict[str, Tensor]) -> Iterator[ForwardStep]:
        """Generator behind both; `values` holds every result by name until the last node that needs it."""
        for name in inputs:
            if name not in self.inputs and name not in self.defaults:
                more = f" (and, if you like, {', '.join(self.defaults)})" if self.defaults else ""
                raise PlaygroundError(f"The model has no input {name}: it takes {', '.join(self.inputs)}{more}.")
        values.update(self.values)
        values.update({name: _checked(name, kind, inputs) for name, kind in self.inputs.items()})
        values.update({name: _checked(name, kind, inputs) for name, kind in self.defaults.items() if name in inputs})
        for index, (node, row) in enumerate(self.nodes):
            given = tuple(values[name] if name else None for name in node.input)
            try:
                results = row(node, given)
            except (ValueError, IndexError) as error:
                name = node.name or node.output[0]
                raise PlaygroundError(f"The node {name} ({node.op_type}) failed: {error}") from error
            values.update({name: result for name, result in zip(node.output, results, strict=False) if name})
            yield ForwardStep(index, node.name, node.op_type, given, results)
            for name in (*node.input, *node.output):  # so that a big model does not keep every map it made
                if self._last_use.get(name, -1) <= index:
                    values.pop(name, None)

    # --- weights, with the names of engine.layers.Module ---

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """What an optimizer is given: the leaves that want a gradient, by their names in the file."""
        return ((name, value) for name, value in self.values.items() if value.requires_grad)

    def parameters(self) -> Iterator[Tensor]:
        return (value for _, value in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The other numbers of the file: statistics, bounds, shapes, indices."""
        return ((name, value) for name, value in self.values.items() if not value.requires_grad)

    def state_dict(self) -> dict[str, Array]:
        """The array of every initialiser and of every weight in a Constant node, by name."""
        return {name: value.data for name, value in self.values.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Put arrays of the same names and shapes in; ValueError or ShapeError names the first that does not fit."""
        for name in self.values.keys() ^ state.keys():
            raise ValueError(f"{name} is {'missing from' if name in self.values else 'not in the graph but in'} the "
                             "state")
        for name, value in self.values.items():
            if (given := np.shape(state[name])) != value.shape:
                raise ShapeError(f"{name} has shape {value.shape} in the graph and {given} in the state")
        for name, value in self.values.items():
            value.data = np.array(state[name], value.dtype)

    def zero_grad(self) -> None:
        for value in self.parameters():
            value.zero_grad()


def onnx_to_engine(model: onnx.ModelProto | str | Path) -> EngineModel:
    """An ONNX model, or the file it is in, as a model of the engine.

    Raises PlaygroundError when the file is no valid ONNX model, keeps weights in a file that is missing, or needs
    operators the engine does not know.
    """
    model = ready(model if isinstance(model, onnx.ModelProto) else read(Path(model)))
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise PlaygroundError(f"This is not a valid ONNX model: {str(error).splitlines()[0]}") from error
    return EngineModel(model)


def _checked(name: str, kind: onnx.TypeProto, inputs: Mapping[str, Any]) -> Tensor:
    """One input as a Tensor of the type and shape the graph declares."""
    if name not in inputs:
        raise PlaygroundError(f"The model needs its input {name}.")
    if kind.WhichOneof("value") != "tensor_type":
        raise PlaygroundError(f"The engine cannot import this file: its input {name} is not a tensor.")
    declared = kind.tensor_type
    value = inputs[name]
    tensor = value if isinstance(value, Tensor) else Tensor(np.asarray(value))
    dtype = helper.tensor_dtype_to_np_dtype(declared.elem_type)
    if tensor.dtype != dtype:
        raise PlaygroundError(f"The model's input {name} holds {dtype} numbers, not {tensor.dtype}.")
    if declared.HasField("shape"):
        wanted = [d.dim_value if d.dim_value > 0 else d.dim_param or "any" for d in declared.shape.dim]
        if len(wanted) != tensor.ndim or any(isinstance(n, int) and n != m
                                             for n, m in zip(wanted, tensor.shape, strict=True)):
            raise PlaygroundError(f"The model's input {name} has the shape ({', '.join(map(str, wanted))}), "
                                  f"not {tensor.shape}.")
    return cast_to(tensor, np.dtype(np.float32)) if is_half(kind) else tensor


# --- onnx's own test interface ---


class EngineRep(BackendRep):
    """A prepared model: `run` takes and gives arrays."""

    def __init__(self, model: EngineModel):
        self.model = model

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Array, ...]:
        """inputs: arrays in the graph's order, or by name."""
        named = inputs if isinstance(inputs, Mapping) else self.model._bound(list(inputs), {})
        with no_grad():
            return tuple(result.data for result in self.model.run(named))


class EngineBackend(Backend):
    """The engine as a backend of ONNX: what `onnx.backend.test` asks questions to."""

    @classmethod
    def prepare(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> EngineRep:
        if not cls.supports_device(device):
            raise PlaygroundError(f"The engine computes on the CPU, not on {device}.")
        return EngineRep(onnx_to_engine(model))

    @classmethod
    def run_model(cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Array, ...]:
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(cls, node: onnx.NodeProto, inputs: Any, device: str = "CPU", outputs_info: Any = None,
                 **kwargs: Any) -> tuple[Array, ...]:
        """One operator on arrays, in the order of its inputs (absent ones left out or None)."""
        opsets = {node.domain: kwargs.get("opset_version", onnx.defs.onnx_opset_version())}
        given = iter([inputs[name] for name in node.input if name] if isinstance(inputs, Mapping)
                     else [x for x in inputs if x is not None])
        row = find(node, opsets)
        with no_grad():
            results = row(node, [Tensor(np.asarray(next(given))) if name else None for name in node.input])
        return tuple(result.data for result in results[: len(node.output)])

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return device.split(":")[0] == "CPU"
