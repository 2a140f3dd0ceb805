"""Other runtimes, simplifiers, converters and quantisation give the answers of our files."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import onnxsim
import onnxslim
import openvino
import pytest
from onnx import version_converter
from onnx.reference import ReferenceEvaluator
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

from playground.datasets import samples
from playground.datasets.preprocessing import Preprocessing
from playground.deploy.network_file import network_alone
from playground.deploy.parity import pattern
from tests.parity.export_kinds import KINDS, SHIPPED, exported

LEVELS = ["ORT_DISABLE_ALL", "ORT_ENABLE_BASIC", "ORT_ENABLE_EXTENDED", "ORT_ENABLE_ALL"]
PICTURES = [pattern(), samples.photo(samples.photo_names()[0]), pattern(9, 13)]


@dataclass
class Made:
    whole: onnx.ModelProto
    network: onnx.ModelProto
    preprocessing: Preprocessing

    def expected(self) -> list[np.ndarray]:
        return asked(self.whole, [picture[None] for picture in PICTURES])

    def prepared(self) -> list[np.ndarray]:
        return [self.preprocessing.apply(picture)[None] for picture in PICTURES]


def asked(model: onnx.ModelProto, given: list[np.ndarray], level: str = "ORT_ENABLE_ALL") -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return [session.run(["logits"], {session.get_inputs()[0].name: x})[0] for x in given]


def same(found: list[np.ndarray], wanted: list[np.ndarray], off: float = 1e-3) -> None:
    assert np.abs(np.concatenate(found) - np.concatenate(wanted)).max() < off


@pytest.fixture(scope="module", params=[*KINDS, SHIPPED])
def made(request: pytest.FixtureRequest) -> Made:
    whole, preprocessing = exported(request.param)
    return Made(whole, network_alone(whole, preprocessing), preprocessing)


@pytest.mark.parametrize("level", LEVELS)
def test_every_level_of_onnxruntime_answers_the_same(made: Made, level: str) -> None:
    same(asked(made.whole, [picture[None] for picture in PICTURES], level), made.expected(), 1e-5)
    same(asked(made.network, made.prepared(), level), made.expected(), 1e-4)


def test_openvino_answers_the_same(made: Made) -> None:
    kernel = openvino.Core()
    for model, given in ((made.whole, [picture[None] for picture in PICTURES]), (made.network, made.prepared())):
        compiled = kernel.compile_model(kernel.read_model(model.SerializeToString()), "CPU", {
            "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
        same([compiled([x])["logits"] for x in given], made.expected())


def test_the_network_alone_is_written_as_onnx2torch_knows_it(made: Made) -> None:
    """It knows Reshape and Shape up to opset 18 and ReduceMean up to 17 (docs/decisions/0043). Not run here: it wants
    torchvision, whose published wheels do not load beside a torch without CUDA."""
    (opset,) = made.network.opset_import
    assert (opset.domain, opset.version, made.network.ir_version) == ("", 17, 8)


def test_opencv_runs_the_network_alone(made: Made) -> None:
    net = cv2.dnn.readNetFromONNX(np.frombuffer(made.network.SerializeToString(), np.uint8))
    found = []
    for pixels in made.prepared():
        net.setInput(pixels)
        found.append(net.forward("logits").copy())
    same(found, made.expected())


@pytest.mark.parametrize("opset", [15, 17, 18, 22, 25])
def test_another_opset_answers_the_same(made: Made, opset: int) -> None:
    for model, given in ((made.whole, [picture[None] for picture in PICTURES]), (made.network, made.prepared())):
        converted = version_converter.convert_version(model, opset)
        assert converted.opset_import[0].version == opset
        same(asked(converted, given), made.expected(), 1e-4)


def test_simplifiers_keep_the_answers(made: Made) -> None:
    for model, given in ((made.whole, [picture[None] for picture in PICTURES]), (made.network, made.prepared())):
        simple, ok = onnxsim.simplify(model)
        assert ok
        same(asked(simple, given), made.expected(), 1e-4)
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        same(asked(onnxslim.slim(copy), given), made.expected(), 1e-4)


def test_onnx_s_reference_answers_the_same(made: Made) -> None:
    for model, given in ((made.whole, [PICTURES[2][None]]), (made.network, made.prepared()[2:])):
        evaluator = ReferenceEvaluator(model)
        found = [evaluator.run(["logits"], {model.graph.input[0].name: x})[0] for x in given]
        same(found, made.expected()[2:], 1e-4)


class Reader(CalibrationDataReader):
    def __init__(self, name: str, given: list[np.ndarray]) -> None:
        self.rows = iter([{name: x} for x in given])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.rows, None)


@pytest.mark.parametrize("part", ["whole", "network"])
def test_eight_bit_files_load_at_every_level(made: Made, part: str, tmp_path: Path) -> None:
    model: onnx.ModelProto = getattr(made, part)
    given = made.prepared() if part == "network" else [picture[None] for picture in PICTURES]
    onnx.save(model, tmp_path / "float.onnx")
    quantize_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", Reader(model.graph.input[0].name, given),
                    quant_format=QuantFormat.QDQ)
    small = onnx.load(tmp_path / "int8.onnx")
    assert any(node.op_type == "QuantizeLinear" for node in small.graph.node)
    spread = float(np.ptp(np.concatenate(made.expected())))
    for level in LEVELS:
        same(asked(small, given, level), made.expected(), 0.25 * spread)  # eight bits, calibrated on three pictures
