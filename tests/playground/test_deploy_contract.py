"""Every exported file keeps one contract, and what breaks it is named."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from playground.deploy import contract
from playground.deploy.preprocess_graph import prepend
from playground.errors import PlaygroundError
from tests.playground.tiny_models import COLOUR, GRAY, linear_answers, linear_core, linear_file, pictures


@pytest.mark.parametrize("preprocessing", [GRAY, COLOUR], ids=["gray", "colour"])
def test_five_lines_of_plain_onnxruntime_give_the_answer(preprocessing) -> None:
    session = onnxruntime.InferenceSession(linear_file(preprocessing).SerializeToString())
    for image in pictures((20, 30), (8, 8), (1, 1), (50, 7)):
        logits, probabilities = session.run(["logits", "probabilities"], {"image": image[None]})
        expected = linear_answers([image], preprocessing)
        np.testing.assert_allclose(logits, expected, atol=1e-3)
        np.testing.assert_allclose(probabilities, np.exp(expected) / np.exp(expected).sum(), atol=1e-4)
    said = session.get_modelmeta().custom_metadata_map
    assert json.loads(said["labels"]) == ["class 0", "class 1", "class 2"]
    assert said["preprocessing"] == preprocessing.sentence()
    assert said["source"] == "a test"
    assert datetime.fromisoformat(said["created"]) <= datetime.now(UTC)


def test_input_and_outputs_are_typed_and_free_in_number_and_size() -> None:
    graph = linear_file().graph
    described = {value.name: (value.type.tensor_type.elem_type,
                              [dim.dim_value or dim.dim_param for dim in value.type.tensor_type.shape.dim])
                 for value in (*graph.input, *graph.output)}
    assert described == {
        "image": (TensorProto.UINT8, ["N", "H", "W", 3]),
        "logits": (TensorProto.FLOAT, ["N", 3]),
        "probabilities": (TensorProto.FLOAT, ["N", 3]),
    }


def test_parameters_keep_their_state_dict_names() -> None:
    assert "0.weight" in {tensor.name for tensor in linear_file().graph.initializer}


def test_labels_of_any_script_survive() -> None:
    labels = ["Katze", "собака", '"quoted"']
    assert contract.check(contract.finish(linear_core(GRAY, 3), GRAY, labels, "a test")).labels == tuple(labels)


def test_a_single_score_for_two_labels_becomes_two_logits_whose_softmax_is_the_sigmoid() -> None:
    model = contract.finish(linear_core(GRAY, 1), GRAY, ["no", "yes"], "a test")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    images = pictures((9, 9), (9, 9), (9, 9))
    logits, probabilities = session.run(["logits", "probabilities"], {"image": np.stack(images)})
    z = linear_answers(images, GRAY, 1)[:, 0]
    np.testing.assert_allclose(logits, np.stack([np.zeros(3), z], axis=1), atol=1e-3)
    np.testing.assert_allclose(probabilities[:, 1], 1 / (1 + np.exp(-z)), atol=1e-4)


@pytest.mark.parametrize("last", ["Softmax", "Sigmoid", "LogSoftmax"])
def test_a_model_that_ends_in_probabilities_is_refused(last: str) -> None:
    with pytest.raises(PlaygroundError, match=f"ends in {last}"):
        contract.finish(linear_core(GRAY, 3, last=last), GRAY, ["a", "b", "c"], "a test")


@pytest.mark.parametrize(("scores", "labels"), [(3, 2), (2, 3), (1, 3)])
def test_scores_and_labels_of_different_number_are_refused(scores: int, labels: int) -> None:
    with pytest.raises(PlaygroundError, match=f"{scores} scores for {labels} labels"):
        contract.finish(linear_core(GRAY, scores), GRAY, [f"{k}" for k in range(labels)], "a test")


def test_a_core_for_other_pixels_is_refused() -> None:
    with pytest.raises(PlaygroundError, match="do not fit together"):
        contract.finish(linear_core(COLOUR, 3), GRAY, ["a", "b", "c"], "a test")


def test_a_core_that_uses_a_name_of_the_contract_is_refused() -> None:
    core = linear_core(GRAY, 3)
    core.graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "preprocess/top"))
    with pytest.raises(ValueError, match="preprocess/top"):
        prepend(core, GRAY)


def test_no_path_of_this_machine_is_left_in_the_file() -> None:
    core = linear_core(GRAY, 3)
    core.graph.node[0].doc_string = "/home/somebody/secret.py"
    entry = core.graph.node[1].metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.stack_trace", "/home/somebody/secret.py"
    whole = contract.finish(core, GRAY, ["a", "b", "c"], "a test").SerializeToString()
    assert b"somebody" not in whole


# --- guards: each is seen to fail ---

def rename_input(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.input[:] = ["x" if name == "image" else name for name in node.input]
    model.graph.input[0].name = "x"


def fix_the_size(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 32


def drop_probabilities(model: onnx.ModelProto) -> None:
    del model.graph.output[1]


def float_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def labels(text: str | None) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        said = {entry.key: entry.value for entry in model.metadata_props}
        del model.metadata_props[:]
        helper.set_model_props(model, {k: v for k, v in (said | {"labels": text}).items() if v is not None})
    return change


def no_source(model: onnx.ModelProto) -> None:
    for entry in list(model.metadata_props):
        if entry.key == "source":
            model.metadata_props.remove(entry)


def no_date(model: onnx.ModelProto) -> None:
    for entry in model.metadata_props:
        if entry.key == "created":
            entry.value = "yesterday"


def external_weights(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"


def external_constant(model: onnx.ModelProto) -> None:
    tensor = TensorProto(name="c", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    model.graph.node.insert(0, helper.make_node("Constant", [], ["c"], value=tensor))


def foreign_operator(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("com.somebody", 1))
    model.graph.node.append(helper.make_node("Run", ["logits"], ["r"], domain="com.somebody"))


def loop(model: onnx.ModelProto) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node.append(helper.make_node("Loop", ["", "", "logits"], ["l"], body=body))


def own_function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("", "Softmax", ["x"], ["y"], [helper.make_node("Relu", ["x"], ["y"])],
                                                [helper.make_opsetid("", 20)]))


def unknown_operator(model: onnx.ModelProto) -> None:
    model.graph.node[-1].op_type = "Softmaximum"


@pytest.mark.parametrize(("change", "sentence"), [
    (rename_input, "one input named image"), (fix_the_size, "any number and size"), (float_input, "uint8"),
    (drop_probabilities, "outputs logits and probabilities"), (labels(None), "does not say its labels"),
    (labels("no json"), "not JSON"), (labels('["one"]'), "two or more"), (labels('["a", "b"]'), "one column a label"),
    (labels('["a", "b", 3]'), "two or more names"), (no_source, "source"), (no_date, "yesterday"),
    (external_weights, "in another file"), (external_constant, "in another file"), (foreign_operator, "com.somebody"),
    (loop, "loops"), (own_function, "operators of its own"), (unknown_operator, "not valid"),
], ids=lambda value: getattr(value, "__name__", None))
def test_what_breaks_the_contract_is_named(change: Callable[[onnx.ModelProto], None], sentence: str) -> None:
    model = linear_file()
    contract.check(model)
    change(model)
    with pytest.raises(PlaygroundError, match=sentence):
        contract.check(model)


@pytest.mark.parametrize("data", [b"", b"not onnx", b"\x00" * 1000, b"PK\x03\x04 a zip file"],
                         ids=["empty", "text", "zeros", "zip"])
def test_bytes_that_are_no_model_are_refused(data: bytes) -> None:
    with pytest.raises(PlaygroundError, match="not an ONNX file"):
        contract.parse(data)


def test_a_file_cut_short_is_refused() -> None:
    data = linear_file().SerializeToString()
    with pytest.raises(PlaygroundError, match=r"damaged|not valid"):
        contract.check(contract.parse(data[:len(data) // 2]))


def test_more_bytes_than_the_limit_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "SIZE_LIMIT_BYTES", 100)
    with pytest.raises(PlaygroundError, match="holds"):
        contract.parse(linear_file().SerializeToString())
