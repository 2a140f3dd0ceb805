"""Inside a network: maps, one number's products, its receptive field and a score's gradient are torch's."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from playground.datasets import samples
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import contract
from playground.deploy.engine_maps import Inside, look_inside, receptive_field, saliency, taken_apart
from playground.deploy.torch_export import torch_to_onnx
from playground.errors import PlaygroundError

SIZE = 24
PREPARATION = Preprocessing((SIZE, SIZE), gray=False, mean=(0.5,) * 3, std=(0.5,) * 3)


class Small(nn.Module):
    """Padding, strides, dilation, a depthwise convolution, a shortcut and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.wide = nn.Conv2d(4, 6, 3, dilation=2)
        self.head = nn.Linear(6, 3)

    def maps(self, x: torch.Tensor) -> list[torch.Tensor]:
        a = self.first(x)
        b = torch.relu(a)
        c = self.depthwise(b)
        d = b + c
        e = nn.functional.max_pool2d(d, 2)
        return [a, b, c, d, e, self.wide(e)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.maps(x)[-1].mean((2, 3)))


@pytest.fixture(scope="module")
def network() -> Small:
    torch.manual_seed(0)
    return Small().eval()


@pytest.fixture(scope="module")
def inside(network: Small, tmp_path_factory: pytest.TempPathFactory) -> Inside:
    path: Path = tmp_path_factory.mktemp("net") / "model.onnx"
    core = torch_to_onnx(network, (2, 3, SIZE, SIZE))
    onnx.save(contract.finish(core, PREPARATION, ("a", "b", "c"), "a test"), path)
    return look_inside(path, PREPARATION, samples.photo("cat"))


def test_every_layer_holds_torchs_maps(inside: Inside, network: Small) -> None:
    x = torch.tensor(inside.prepared[None])
    theirs = network.maps(x)
    assert [layer.op for layer in inside.layers][:6] == ["Conv", "Relu", "Conv", "Add", "MaxPool", "Conv"]
    for layer, wanted in zip(inside.layers, theirs, strict=False):
        np.testing.assert_allclose(layer.values, wanted[0].detach(), atol=1e-5)
    np.testing.assert_allclose(inside.logits, network(x)[0].detach(), atol=1e-5)


def test_the_products_of_a_number_add_up_to_it_at_corners_too(inside: Inside) -> None:
    for layer in inside.layers:
        if layer.op != "Conv":
            with pytest.raises(ValueError, match="no convolution"):
                taken_apart(layer, 0, 0, 0)
            continue
        count, height, width = layer.values.shape
        for f, p, q in ((0, 0, 0), (count - 1, height - 1, width - 1), (1, height // 2, 0)):
            products = taken_apart(layer, f, p, q)
            assert products.bias + products.by_channel.sum() == pytest.approx(products.value, abs=1e-4)


def test_the_receptive_field_is_where_torchs_gradient_can_be(inside: Inside, network: Small) -> None:
    x = torch.tensor(inside.prepared[None], requires_grad=True)
    for number, layer in enumerate(inside.layers[:6]):
        height, width = layer.values.shape[1:]
        for p, q in ((0, 0), (height // 2, width // 2), (height - 1, 0)):
            top, bottom, left, right = receptive_field(inside, layer.output, p, q)
            outside = torch.ones(SIZE, SIZE, dtype=torch.bool)
            outside[top : bottom + 1, left : right + 1] = False
            changed = inside.prepared.copy()
            changed[:, outside.numpy()] = 99.0
            same = network.maps(torch.tensor(changed[None]))[number][0, :, p, q]
            np.testing.assert_allclose(same.detach(), layer.values[:, p, q], atol=1e-4)
            if layer.op == "Conv":  # and all of its border counts: maxima may ignore some of it
                (g,) = torch.autograd.grad(network.maps(x)[0][0, :, p, q].sum(), x) if number == 0 else (None,)
                if g is not None:
                    rows, columns = np.nonzero(np.abs(g[0].numpy()).sum(0))
                    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (top, bottom, left, right)


def test_the_gradient_of_a_score_is_torchs(inside: Inside, network: Small) -> None:
    x = torch.tensor(inside.prepared[None], requires_grad=True)
    network(x)[0, 2].backward()
    np.testing.assert_allclose(saliency(inside, 2), x.grad[0], atol=1e-6)


def test_a_broken_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\xff\xff nothing")
    with pytest.raises(PlaygroundError, match="cannot be read"):
        look_inside(tmp_path / "broken.onnx", PREPARATION, samples.photo("cat"))
