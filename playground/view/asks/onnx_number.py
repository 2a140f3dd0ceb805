"""One number of a network by onnxruntime: of a design as it would be exported, of a file from its own graph."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from playground.deploy.contract import first_line
from playground.deploy.engine_export import INPUT, tape_to_onnx
from playground.errors import PlaygroundError
from playground.view.sources import Design, File
from playground.view.trace import Array, Part, Trace


def by_onnxruntime(source: Design | File, trace: Trace, part: Part) -> Array:
    """What a part gives for the picture looked at, computed by onnxruntime. Raises PlaygroundError when the graph does
    not hold it, or onnxruntime does not run it."""
    if isinstance(source, Design):
        with source.lock:
            names = {id(array): name for name, array in source.model.named_arrays()}
            model, name = tape_to_onnx(trace.picture, trace.logits, part.output, names)
        given = INPUT
    else:
        model, name = _with_output(source, part)
        given = model.graph.input[0].name
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is said by an exception
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run([name], {given: trace.picture.data[:1].astype(np.float32)})[0]
    except Exception as error:  # onnxruntime's errors share no class of their own
        raise PlaygroundError(f"onnxruntime cannot compute this number: {first_line(error)}") from error
    return np.asarray(found[0])


def _with_output(source: File, part: Part) -> tuple[onnx.ModelProto, str]:
    """The file's graph with what a part gives as an output more, and that output's name."""
    named = [node.output[0] for node in source.nodes if (node.name or node.output[0]) == part.name]
    if len(named) != 1:
        raise PlaygroundError(f"The file's graph has {len(named)} nodes called {part.name[:60]}, so onnxruntime cannot "
                              "be asked for the numbers of this one.")
    model = onnx.ModelProto()
    model.CopyFrom(source.core)
    if named[0] not in (output.name for output in model.graph.output):
        model.graph.output.append(helper.make_tensor_value_info(named[0], TensorProto.FLOAT, None))
    return model, named[0]
