"""torch's exporter, quietened and held to its word."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from playground.deploy import contract
from playground.deploy.session import Classifier
from playground.deploy.torch_export import torch_answers, torch_to_onnx
from playground.errors import PlaygroundError
from tests.playground.tiny_models import COLOUR, pictures

pytestmark = pytest.mark.slow


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.SiLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Dropout(0.5), nn.Linear(4, 3),
    )
    with torch.no_grad():  # statistics that batch norm in training mode would not use
        network[1].running_mean.uniform_(-1, 1)
        network[1].running_var.uniform_(0.5, 2)
    return network.train()


@pytest.fixture(scope="module")
def network() -> nn.Sequential:
    return small_network()


@pytest.fixture(scope="module")
def model(network: nn.Sequential):
    return torch_to_onnx(network, (1, 3, 12, 12))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_scores_are_the_modules_in_eval_mode_for_any_batch(network, model, count: int) -> None:
    pixels = np.random.default_rng(count).normal(size=(count, 3, 12, 12)).astype(np.float32)
    (scores,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"pixels": pixels})
    np.testing.assert_allclose(scores, torch_answers(network, pixels), atol=1e-5)


def test_the_module_is_left_as_it_was(network, model) -> None:
    torch_answers(network, np.zeros((1, 3, 12, 12), np.float32))
    assert network.training
    assert all(part.training for part in network)
    assert next(network.parameters()).requires_grad


def test_a_part_that_was_in_eval_mode_stays_there() -> None:
    network = small_network()
    network[1].eval()
    torch_answers(network, np.zeros((1, 3, 12, 12), np.float32))
    assert network.training
    assert not network[1].training


def test_a_finished_file_keeps_the_contract(network, model) -> None:
    finished = contract.finish(model, COLOUR, ["a", "b", "c"], "PyTorch")
    images = pictures((30, 20), (12, 12), (5, 60))
    expected = torch_answers(network, COLOUR.apply_all(images))
    answers = Classifier(finished.SerializeToString()).predict(images)
    np.testing.assert_allclose([answer.logits for answer in answers], expected, atol=1e-4)
    assert b"/site-packages/" not in finished.SerializeToString()
    assert b"test_deploy_torch_export" not in finished.SerializeToString()


def test_the_exporter_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    torch_to_onnx(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), (1, 3, 1, 1))
    assert capfd.readouterr() == ("", "")


def test_a_module_that_cannot_be_traced_is_refused_with_a_sentence() -> None:
    class Moody(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1) if float(x.sum()) > 0 else x.flatten(1) * 2

    with pytest.raises(PlaygroundError, match="torch could not export"):
        torch_to_onnx(Moody(), (1, 3, 4, 4))


def test_another_opset_than_asked_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.onnx.export

    def older(*args, opset_version, **kwargs):
        return real(*args, opset_version=18, **kwargs)

    monkeypatch.setattr(torch.onnx, "export", older)
    with pytest.raises(PlaygroundError, match="opset 18 instead of 20"):
        torch_to_onnx(nn.Sequential(nn.Flatten(), nn.Linear(3, 2)), (1, 3, 1, 1))
