"""The network of an exported file in a file of its own, of one fixed size, for tools that take nothing else."""

import json

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, shape_inference, version_converter

from playground.datasets.preprocessing import Preprocessing
from playground.deploy.card import Entry
from playground.deploy.contract import first_line
from playground.deploy.core import core_of, opened
from playground.deploy.parity import TOLERANCE
from playground.deploy.session import Array, Classifier
from playground.deploy.verification import PATTERN, reference_picture
from playground.errors import PlaygroundError
from playground.numbers import number

INPUT = "pixels"
OPSET, IR_VERSION = 17, 8
"""What it is written in where it can be: onnx2torch and other tools know no newer operators."""


def network_alone(model: onnx.ModelProto, preprocessing: Preprocessing) -> onnx.ModelProto:
    """An exported file cut after its preprocessing: `pixels` float32 (1, C, height, width) -> `logits` and
    `probabilities` float32 (1, K), in an older operator set where that can be.

    The weights are the file's. What has to be done to a picture first stands in its metadata: a sentence, and size,
    mean, std and the order of channels as JSON. Raises PlaygroundError when network and preprocessing cannot be told
    apart.
    """
    channels = 1 if preprocessing.gray else 3
    alone = core_of(model, channels, preprocessing.size)
    graph = alone.graph
    old = graph.input[0].name
    for node in graph.node:
        node.input[:] = [INPUT if name == old else name for name in node.input]
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    columns = model.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    del graph.initializer[:], graph.input[:], graph.output[:]
    graph.initializer.extend(kept)
    graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, channels, *preprocessing.size]))
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, columns])
                        for name in ("logits", "probabilities"))
    said = {entry.key: entry.value for entry in model.metadata_props}
    contract = {"layout": "NCHW", "channels": "gray" if preprocessing.gray else "RGB", "crop": "centre",
                "resize": "bilinear, antialiased", "divide_by": 255, **preprocessing.to_dict()}
    helper.set_model_props(alone, {**said, "preprocessing": preprocessing.sentence(),
                                   "preprocessing_json": json.dumps(contract)})
    return shape_inference.infer_shapes(_older(alone))


def _older(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same in the older operator set; as it is where an operator has no older way to be written."""
    try:
        older = version_converter.convert_version(model, OPSET)
        older.ir_version = IR_VERSION
        onnx.checker.check_model(older)
    except Exception:  # the converter's errors share no class of their own
        return model
    return older


def network_of(entry: Entry) -> bytes:
    """`network_alone` of a model of the registry, if onnxruntime gives the whole file's answers with it.

    Asked on the pictures that verification knows, prepared by `Preprocessing.apply`. Raises PlaygroundError with the
    sentence for the model's card when it does not, or when the card does not state the preprocessing.
    """
    try:
        preprocessing = Preprocessing.from_dict(entry.card["preprocessing"])
    except (KeyError, TypeError, ValueError) as error:
        raise PlaygroundError("The card does not state the preprocessing in numbers.") from error
    kept = entry.card.get("parity", {}).get("references", [])
    pictures = []
    for name in dict.fromkeys([PATTERN, *(reference["photo"] for reference in kept)]):
        try:
            pictures.append(reference_picture(name))
        except PlaygroundError:  # a photo of another version
            continue
    data: bytes = network_alone(opened(entry.onnx), preprocessing).SerializeToString(deterministic=True)
    whole = np.stack([answer.logits for answer in Classifier(entry.onnx).predict(pictures)])
    difference = np.abs(_answers(data, [preprocessing.apply(picture) for picture in pictures]) - whole).max()
    if not difference <= TOLERANCE * max(1.0, float(np.abs(whole).max())):
        raise PlaygroundError(f"The network alone answers otherwise than the whole file: its logits are "
                              f"{number(float(difference), 3)} off.")
    return data


def _answers(data: bytes, prepared: list[Array]) -> Array:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return np.concatenate([session.run(["logits"], {INPUT: pixels[None]})[0] for pixels in prepared])
    except Exception as error:  # onnxruntime's errors share no class of their own
        raise PlaygroundError(f"onnxruntime cannot run the network alone: {first_line(error)}") from error
