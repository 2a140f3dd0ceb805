"""The frozen part through onnxruntime gives what torch gives."""

import onnx
import pytest
import torch
from torch import nn

from playground.training.transfer import backbones
from playground.training.transfer import frozen as torch_frozen
from playground.training.transfer.backbones import ConvNorm, InvertedResidual

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")


def small() -> nn.Sequential:
    """Every kind of layer: odd and even strides, both kernels, with and without a residual or an expansion."""
    torch.manual_seed(0)
    chain = nn.Sequential(
        ConvNorm(3, 8, kernel=3, stride=2), InvertedResidual(8, 8, 3, 1, 1), InvertedResidual(8, 12, 5, 2, 6),
        nn.Sequential(InvertedResidual(12, 12, 5, 1, 6), nn.Identity()), ConvNorm(12, 16, activated=False))
    for layer in chain.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean)
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)
    return chain.eval()


@pytest.mark.parametrize("size", [32, 33, 50])
@pytest.mark.parametrize("pooled", [False, True])
def test_a_chain_through_onnxruntime_gives_what_torch_gives(size: int, pooled: bool) -> None:
    plain = small()
    if pooled:
        plain.append(nn.AdaptiveAvgPool2d(1))
    fused = backbones.fused(plain)
    onnx.checker.check_model(torch_frozen.as_onnx(fused, size), full_check=True)
    answers = torch_frozen.answering(fused, size, CPU, cores=1)
    x = 3 * torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = plain(x)
    torch.testing.assert_close(answers(x), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(answers(x[:1]), expected[:1], rtol=1e-4, atol=1e-5)
    assert answers(x).is_contiguous(memory_format=torch.channels_last)


def test_the_backbone_as_a_chain_gives_the_backbones_features() -> None:
    network = backbones.pretrained("efficientnet_lite0")
    whole = backbones.fused(network)
    chain = torch_frozen.as_chain(whole)
    assert torch_frozen.is_chain(chain)
    x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = network.features(x)
    torch.testing.assert_close(torch_frozen.answering(chain, 96, CPU, 1)(x).flatten(1), expected, rtol=1e-3, atol=1e-4)


def test_what_is_no_such_chain_stays_with_torch() -> None:
    assert not torch_frozen.is_chain(small()), "its batch norms are not folded in"
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid())
    assert not torch_frozen.is_chain(other)
    assert torch_frozen.as_chain(other) is other
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(torch_frozen.answering(other, 8, CPU, 1)(x), other.eval()(x))
