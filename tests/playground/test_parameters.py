"""The blocks that are counted without torch are those of the networks that are trained with it."""

from typing import Any

import pytest
import torch

from playground.training.transfer import backbones, parameters
from playground.training.transfer import networks as torch_networks
from playground.training.transfer.backbone_facts import BACKBONES
from playground.training.transfer.recipe import ALL_BLOCKS, Request


def network(request: Request, classes: int, monkeypatch: pytest.MonkeyPatch) -> torch_networks.Parts:
    """The network of a request; no weights are needed to be counted."""
    def bare(name: str) -> backbones.EfficientNetLite:
        row = BACKBONES[name]
        return backbones.EfficientNetLite(row.width, row.depth)

    monkeypatch.setattr(backbones, "pretrained", bare)
    monkeypatch.setattr(backbones, "fused", lambda units: units)
    inputs = 256 if request.mode == "scratch" else BACKBONES[request.backbone].channels
    head = torch_networks.head_of(torch_networks.head_description(request, inputs, classes))
    return torch_networks.take_apart(request, head)


@pytest.mark.parametrize(("asked", "classes"), [
    *(({"mode": "fine-tune", "backbone": name, "blocks": blocks}, 5) for name in BACKBONES
      for blocks in (1, 3, ALL_BLOCKS)),
    ({"mode": "fine-tune", "head": "sigmoid"}, 2), ({"mode": "fine-tune", "head": "hidden", "hidden": 40}, 3),
    ({"mode": "scratch"}, 2), ({"mode": "scratch", "head": "hidden"}, 7), ({"mode": "scratch", "head": "sigmoid"}, 2)])
def test_every_block_has_the_real_networks_parameters(asked: dict[str, Any], classes: int,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request.of({"data": "x", **asked})
    with torch.device("meta"):
        real = network(request, classes, monkeypatch)
    found = parameters.blocks(request, classes)
    assert found is not None
    units = [*real.network.units(), real.network.classifier]
    assert [block.parameters for block in found] == [sum(p.numel() for p in unit.parameters()) for unit in units]
    assert [block.trained for block in found] == [any(p.requires_grad for p in unit.parameters()) for unit in units]
    assert sum(block.parameters for block in found if block.trained) == real.trained
    assert sum(block.parameters for block in found) == real.total


def test_in_frozen_mode_only_the_new_head_is_trained() -> None:
    found = parameters.blocks(Request.of({"data": "x"}), 2)
    assert found is not None
    assert [(block.name, block.parameters) for block in found if block.trained] == [("new head", 2 * 1281)]
    assert len({block.name for block in found}) == len(found) == 19


def test_of_a_network_of_timm_nothing_is_claimed() -> None:
    assert parameters.blocks(Request.of({"data": "x", "backbone": "timm:resnet18"}), 2) is None
