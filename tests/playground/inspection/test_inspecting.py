"""What is said of a file, judged by torch and onnxruntime."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hostile import honest
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from playground.datasets import samples
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import engine_layers, network_file
from playground.deploy.registry import entries
from playground.errors import PlaygroundError
from playground.inspection import layers, report, running
from playground.inspection import preparation as preparations
from playground.inspection.core import network_of
from playground.inspection.preparation import Preparation
from playground.view.sources import File

PICTURE = samples.photo(samples.photo_names()[0])


def convolutional() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
                         nn.Conv2d(8, 8, 3, padding=1, groups=4), nn.ReLU(), nn.ConvTranspose2d(8, 6, 2, stride=2),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5)).eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inspected") / "torch.onnx"
    stream = io.BytesIO()
    torch.onnx.export(convolutional(), (torch.zeros(1, 3, 32, 24),), stream, dynamo=False, opset_version=17,
                      input_names=["x"], output_names=["scores"], dynamic_axes={"x": {0: "batch"}})
    path.write_bytes(stream.getvalue())
    return path


def test_parameters_and_multiply_adds_are_torchs(exported: Path) -> None:
    said = report.report(exported)
    model = convolutional()
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, 32, 24))
    assert said["macs"] == counter.get_total_flops() // 2
    folded = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("1."))
    assert said["parameters"] == folded + 8 * (model[0].bias is None), "the exporter folds the batch norm"
    assert said["engine"] is None
    assert said["valid"] is None
    assert said["inputs"] == [{"name": "x", "number": "float", "shape": ["batch", "3", "32", "24"]}]
    assert said["preparation"]["preprocessing"]["size"] == [32, 24]
    assert said["operators"]["Conv"] == 2
    assert next(one for one in said["nodes"] if one["operator"] == "Gemm")["shape"] == [1, 5]


def test_a_weight_is_described_as_numpy_describes_it(exported: Path) -> None:
    model = onnx.load(exported)
    tensor = next(one for one in model.graph.initializer if list(one.dims) == [8, 3, 3, 3])
    values = numpy_helper.to_array(tensor)
    said = report.weight(exported, tensor.name)
    assert said["mean"] == pytest.approx(values.mean(), abs=1e-6)
    assert said["deviation"] == pytest.approx(values.std(), rel=1e-5)
    assert sum(said["histogram"]["counts"]) == values.size
    np.testing.assert_allclose(said["kernels"], values, rtol=1e-6)
    with pytest.raises(PlaygroundError, match="no weights nothing"):
        report.weight(exported, "nothing")


def otherwise(model: onnx.ModelProto, layout: str, order: str, kind: int) -> onnx.ModelProto:
    """The same network for pictures in another form, made of plain operators."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph, at, nodes = copy.graph, "img", []
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [at], ["cast"], to=TensorProto.FLOAT))
        at = "cast"
    if layout == "NHWC":
        nodes.append(helper.make_node("Transpose", [at], ["turned"], perm=[0, 3, 1, 2]))
        at = "turned"
    if order == "BGR":
        graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "order"))
        nodes.append(helper.make_node("Gather", [at, "order"], ["rgb"], axis=1))
        at = "rgb"
    nodes.append(helper.make_node("Identity", [at], ["x"]))
    shape: list[str | int] = ["n", 3, 32, 24] if layout == "NCHW" else ["n", 32, 24, 3]
    inside = list(graph.node)
    del graph.input[:], graph.node[:]
    graph.node.extend([*nodes, *inside])
    graph.input.append(helper.make_tensor_value_info("img", kind, shape))
    return copy


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_every_form_of_a_picture_gives_the_same_answer_and_the_same_view(
        exported: Path, tmp_path: Path, layout: str, order: str, kind: int) -> None:
    plain = preparations.guess(onnx.load(exported))
    path = tmp_path / "other.onnx"
    onnx.save(otherwise(onnx.load(exported), layout, order, kind), path)
    guessed = preparations.guess(onnx.load(path))
    assert (guessed.layout, guessed.preprocessing.size, guessed.input) == (layout, (32, 24), "img")
    prepared = Preparation("img", plain.preprocessing, layout, order, guessed.number)
    want = onnxruntime.InferenceSession(str(exported)).run(None, {"x": plain.apply(PICTURE)})[0]
    said = running.answers(path, "img", prepared.apply(PICTURE))
    near = 2e-3 if kind == TensorProto.FLOAT16 else 1e-5
    np.testing.assert_allclose([said["scores"]], want, atol=near)
    assert said["engine"]["largest"] < near
    x = plain.preprocessing.apply(PICTURE)[None]
    source = File(network_of(path, prepared, "scores"), plain.preprocessing, tuple("abcde"))
    np.testing.assert_allclose(source.scores(x), want, atol=near)
    assert {(8, 16, 12), (6,), (5,)} <= {part.shape for part in source.run(x).parts}


@pytest.mark.parametrize(("shape", "kind", "wanted"), [
    ([1, 3, 64, 64], TensorProto.FLOAT, ("NCHW", False, (64, 64), "ImageNet's mean and deviation")),
    (["n", 96, 80, 3], TensorProto.FLOAT, ("NHWC", False, (96, 80), "−1 to 1")),
    ([1, 1, 28, 28], TensorProto.FLOAT, ("NCHW", True, (28, 28), "0 to 1")),
    (["n", "c", "h", "w"], TensorProto.FLOAT, ("NCHW", False, (224, 224), "ImageNet's mean and deviation")),
    (["n", "h", "w", 3], TensorProto.UINT8, ("NHWC", False, (224, 224), "0 to 255")),
    ([-1, 3, -1, -1], TensorProto.FLOAT, ("NCHW", False, (224, 224), "ImageNet's mean and deviation")),
])
def test_what_a_file_wants_is_guessed_from_its_input(shape: list[int | str], kind: int, wanted: tuple[object, ...]
                                                     ) -> None:
    model = honest()
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("x", kind, shape))
    said = preparations.guess(model)
    assert (said.layout, said.preprocessing.gray, said.preprocessing.size,
            preparations.scale_of(said.preprocessing)) == wanted
    levels = Preparation("x", preparations.scaled(said.preprocessing, "0 to 255"), number="uint8").apply(
        np.full((50, 50, 3), 200, np.uint8))
    assert (levels == 200).all()
    assert Preparation.from_dict(said.to_dict()) == said


def test_a_file_made_here_says_exactly_what_it_does() -> None:
    entry = next(one for one in entries() if one.name == "digits-example")
    said = preparations.guess(onnx.load(entry.onnx))
    card = entry.card["preprocessing"]
    assert said.raw
    assert list(said.preprocessing.size) == card["size"]
    np.testing.assert_allclose([said.preprocessing.mean, said.preprocessing.std], [card["mean"], card["std"]],
                               rtol=1e-6)
    assert report.report(entry.onnx)["macs"] > 0
    assert preparations.labels_in(onnx.load(entry.onnx)) == tuple(entry.card["labels"])


@pytest.mark.parametrize(("value", "labels"), [
    ('["cat", "dog"]', ("cat", "dog")), ("{0: 'cat', 1: 'dog'}", ()), ('{"0": "cat"}', ("cat",)), ("[1, 2]", ()),
    ("no list", ()), ("[" * 10_000, ()),
])
def test_labels_are_read_out_of_metadata_where_they_are_some(value: str, labels: tuple[str, ...]) -> None:
    model = honest()
    model.metadata_props.add(key="labels", value=value)
    assert preparations.labels_in(model) == labels


def test_a_profile_names_every_operator_and_grows_with_the_batch(exported: Path) -> None:
    x = preparations.guess(onnx.load(exported)).apply(PICTURE)
    said = running.profile(exported, "x", x, batches=(1, 4), threads=(1,))
    assert [one["pictures"] for one in said["batches"]] == [1, 4]
    assert {one["level"] for one in said["levels"]} == {"none", "basic", "extended", "all"}
    assert {"Conv", "ConvTranspose", "Gemm"} & {one["operator"] for one in said["operators"]}
    assert all(one["milliseconds"] > 0 for one in said["operators"])


def test_a_file_for_one_picture_is_not_asked_about_four(tmp_path: Path) -> None:
    path = tmp_path / "one.onnx"
    onnx.save(honest(), path)
    said = running.profile(path, "x", np.zeros((1, 3, 8, 8), np.float32), batches=(1, 4), threads=(1,))
    assert [one["pictures"] for one in said["batches"]] == [1]


def test_both_agree_at_every_node(exported: Path) -> None:
    x = preparations.guess(onnx.load(exported)).apply(PICTURE)
    said = layers.layers(exported, "x", x)
    assert said["parted"] is None
    assert len(said["nodes"]) == len(onnx.load(exported).graph.node)
    assert max(one["difference"] / max(one["size"], 1e-6) for one in said["nodes"]) < 1e-5
    assert said["nodes"][-1]["shape"] == [1, 5]


def test_the_first_node_at_which_they_part_is_named(exported: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = onnx.load(exported)
    place = next(k for k, node in enumerate(model.graph.node) if node.op_type == "ConvTranspose")
    true = engine_layers._every_result

    def other(*given: Any) -> dict[str, Any]:
        return {name: value + 0.1 * np.abs(value).max() if name == model.graph.node[place].output[0] else value
                for name, value in true(*given).items()}

    monkeypatch.setattr(engine_layers, "_every_result", other)
    x = preparations.guess(model).apply(PICTURE)
    assert layers.layers(exported, "x", x)["parted"] == place


def test_the_network_alone_of_a_model_says_what_it_wants(tmp_path: Path) -> None:
    entry = next(one for one in entries() if one.name == "digits-example")
    path = tmp_path / "network.onnx"
    path.write_bytes(network_file.network_of(entry))
    said = preparations.guess(onnx.load(path))
    assert said.preprocessing == Preprocessing.from_dict(entry.card["preprocessing"])
    assert not said.raw
    whole = preparations.guess(onnx.load(entry.onnx))
    alone = running.answers(path, said.input, said.apply(PICTURE))
    together = running.answers(entry.onnx, whole.input, whole.apply(PICTURE))
    np.testing.assert_allclose(alone["scores"], together["scores"], atol=1e-4)
