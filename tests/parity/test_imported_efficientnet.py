"""The app's own export of EfficientNet-Lite0, from raw pixels to logits, computed by the NumPy engine."""

import numpy as np
import onnx
import onnxruntime
import pytest
from skimage import data

from engine import Tensor, no_grad, optim
from engine import functional as F
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import contract
from playground.deploy.engine_backend import EngineModel, onnx_to_engine
from playground.deploy.torch_export import torch_to_onnx
from playground.training.transfer.backbones import imagenet_labels, pretrained

PHOTOGRAPHS = {"chelsea": data.chelsea, "coffee": data.coffee, "astronaut": data.astronaut}


@pytest.fixture(scope="module")
def exported() -> onnx.ModelProto:
    preprocessing = Preprocessing((224, 224), gray=False, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    core = torch_to_onnx(pretrained("efficientnet_lite0"), (1, 3, 224, 224))
    return contract.finish(core, preprocessing, imagenet_labels(), "a test")


@pytest.fixture
def imported(exported: onnx.ModelProto) -> EngineModel:
    return onnx_to_engine(exported)


@pytest.mark.slow
def test_photographs_get_onnxruntimes_logits(exported: onnx.ModelProto, imported: EngineModel) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(exported.SerializeToString(), options)
    for name, photograph in PHOTOGRAPHS.items():
        image = photograph()[None]
        wanted = session.run(["logits", "probabilities"], {"image": image})
        with no_grad():
            logits, probabilities = imported(image)
        np.testing.assert_allclose(logits.data, wanted[0], atol=1e-3, err_msg=name)
        np.testing.assert_allclose(probabilities.data, wanted[1], atol=1e-3, err_msg=name)
        assert logits.data.argmax() == wanted[0].argmax()


def test_the_engine_sees_a_cat_in_chelsea(imported: EngineModel) -> None:
    with no_grad():
        _, probabilities = imported(data.chelsea()[None])
    assert imagenet_labels()[int(probabilities.data.argmax())] in ("Egyptian cat", "tabby", "tiger cat")


def test_the_last_layers_learn_another_answer(imported: EngineModel) -> None:
    """Fine-tuning in NumPy: only the classifier moves, and the photograph becomes an espresso."""
    head = {name: p for name, p in imported.named_parameters() if name.startswith("classifier")}
    assert {p.shape for p in head.values()} == {(1000, 1280), (1000,)}
    for name, parameter in imported.named_parameters():
        parameter.requires_grad = name in head
    before = {name: array.copy() for name, array in imported.state_dict().items()}
    descent = optim.SGD(head.values(), lr=0.003)
    image, espresso = data.chelsea()[None], Tensor(np.array([imagenet_labels().index("espresso")]))
    losses = []
    for _ in range(3):
        imported.zero_grad()
        loss = F.cross_entropy(imported(image)[0], espresso)
        loss.backward()
        descent.step()
        losses.append(loss.item())
    assert losses[2] < losses[1] < losses[0]
    moved = {name for name, array in imported.state_dict().items() if not np.array_equal(array, before[name])}
    assert moved == head.keys()


def test_every_weight_of_the_file_has_a_gradient_and_the_preprocessing_is_no_weight(imported: EngineModel) -> None:
    F.cross_entropy(imported(data.coffee()[None])[0], np.array([0])).backward()
    without = [name for name, parameter in imported.named_parameters() if parameter.grad is None]
    assert without == []
    assert not any(name.startswith("preprocess/") for name, _ in imported.named_parameters())
    assert sum(parameter.data.size for parameter in imported.parameters()) > 4_600_000
