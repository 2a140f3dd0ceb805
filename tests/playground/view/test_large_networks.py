"""ResNet-18 and EfficientNet-Lite0 as files: torch's gradients at every part, few columns, few bytes."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from playground.view import describe, frames, numbers
from playground.view.folding import Fold, folded
from playground.view.gradients import Target, walk_back
from playground.view.looks import Look, answer, opened
from tests.playground.view import networks
from tests.playground.view.networks import filed, pictures
from tests.playground.view.test_folding import sound as folds_whole
from tests.playground.view.test_maps import every_sum_is_right
from tests.playground.view.test_numbers_taken_apart import backward_is_right, forward_is_right, weights_are_right
from tests.playground.view.test_trace import sound

pytestmark = pytest.mark.slow
SIDE = 96
TARGET = Target("loss", label=3)
CLOSE = 1e-5


@pytest.fixture(scope="module", params=["resnet18", "lite0"])
def run(request):
    """A network's name and its trace of one picture with the walk back."""
    trace = filed(request.param, SIDE).run(pictures((3, SIDE, SIDE)))
    return request.param, trace, walk_back(trace, TARGET)


@pytest.fixture(scope="module", params=["resnet18", "lite0"])
def whole(request):
    """A network's name and its source for pictures of the size it was made for."""
    return request.param, filed(request.param, 224)


class Exactly(torch.autograd.Function):
    """Torch's numbers replaced by ours, which are near: so that both decide alike at every kink of a ReLU and between
    every two pixels of a maximum, and only the way back is compared."""

    @staticmethod
    def forward(ctx, theirs, ours):
        return ours.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def test_gradients_of_every_part_weight_and_pixel_are_torchs(run):
    name, trace, gradients = run
    module = networks.fused(name).requires_grad_()
    given = {part.index: [] for part in trace.parts}

    def replaced(_module, _inputs, output):
        alike = [part for part in trace.parts if part.output.size == output.numel()]
        index = alike[nearest(output, [part.output.data for part in alike])].index
        same = Exactly.apply(output, torch.from_numpy(trace.parts[index].output.data).reshape(output.shape))
        same.retain_grad()
        given[index].append(same)
        return same

    for one in module.modules():
        if one is not module:
            one.register_forward_hook(replaced)
    picture = torch.from_numpy(pictures((3, SIDE, SIDE))).requires_grad_()
    loss = F.cross_entropy(module(picture), torch.tensor([TARGET.label]))
    loss.backward()
    assert gradients.value == pytest.approx(loss.item(), rel=1e-6)
    off = {}
    for part in trace.parts:
        if part.sort.words == "mean" or part.sort.key == "flatten":  # no module of its own: x.mean((2, 3))
            continue
        assert given[part.index], part.title
        first = given[part.index][0]  # an identity behind it gives the same numbers again
        off[part.name] = apart(gradients.at(part).reshape(-1), first.grad.reshape(-1).numpy())
    parameters = list(module.parameters())
    for key, gradient in gradients.weights.items():
        weight = next(part.weights[key] for part in trace.parts if key in part.weights).data
        alike = [one for one in parameters if one.shape == weight.shape]
        off[key] = apart(gradient, alike[nearest(torch.from_numpy(weight), [one.detach().numpy() for one in alike])]
                         .grad.numpy())
    assert len(gradients.weights) == len(parameters)
    off["picture"] = apart(gradients.picture, picture.grad[0].numpy())
    assert max(off.values()) < CLOSE, sorted(off.items(), key=lambda one: -one[1])[:5]


def nearest(theirs, candidates):
    """Which array holds a torch tensor's numbers."""
    wanted = theirs.detach().numpy().reshape(-1)
    distances = [float(np.abs(one.reshape(-1) - wanted).max()) for one in candidates]
    best = int(np.argmin(distances))
    assert distances[best] <= 2e-5 * float(np.abs(wanted).max())
    return best


def apart(ours, theirs):
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30))


def test_the_trace_is_sound_and_adds_up(run):
    _, trace, gradients = run
    sound(trace)
    rng = np.random.default_rng(2)
    forward_is_right(trace, rng)
    backward_is_right(trace, gradients, rng)
    weights_are_right(trace, gradients, rng)
    every_sum_is_right(trace)


def test_it_fits_on_a_screen(run):
    name, trace, _ = run
    items = folds_whole(trace)
    titles = [item.title if isinstance(item, Fold) else trace.parts[item].sort.words for item in items]
    assert len(items) == {"resnet18": 8, "lite0": 11}[name]
    stages = [title for title in titles if title.startswith("stage")]
    side = SIDE // 32
    assert stages == {
        "resnet18": [f"stage of {side * 8} × {side * 8}, 64 maps", f"stage of {side * 4} × {side * 4}, 128 maps",
                     f"stage of {side * 2} × {side * 2}, 256 maps", f"stage of {side} × {side}, 512 maps"],
        "lite0": [f"stage of {side * 8} × {side * 8}, 24 maps", f"stage of {side * 4} × {side * 4}, 40 maps",
                  f"stage of {side * 2} × {side * 2}, 80 maps", f"stage of {side * 2} × {side * 2}, 112 maps",
                  f"stage of {side} × {side}, 192 maps"]}[name]
    assert titles[0].startswith("convolution")
    assert titles[-1].startswith("dense layer")


def test_the_blocks_of_the_papers_are_found(run):
    name, trace, _ = run
    blocks = [fold.title for fold in _all(folded(trace)) if fold.kind == "block"]
    residual = sum(part.sort.key == "sum" for part in trace.parts)
    assert blocks.count("residual block") == residual == {"resnet18": 8, "lite0": 9}[name]
    assert blocks.count("inverted residual block") == {"resnet18": 0, "lite0": 7}[name]  # those without a shortcut


def _all(items):
    for item in items:
        if isinstance(item, Fold):
            yield item
            yield from _all(item.inside)


def test_what_is_sent_is_as_small_as_promised(whole):
    name, source = whole
    token = opened(Look(name, lambda epoch: (source, ""), pictures((3, 224, 224)),
                        np.zeros((224, 224, 3), np.uint8), label=3))
    structure = json.loads(answer(token, "structure", {}).body)
    columns = ",".join(str(item if isinstance(item, int) else item["last"]) for item in structure["tree"])
    rng = np.random.default_rng(3)
    for back in ({}, {"back": "loss:3"}):
        assert len(answer(token, "frame", {"parts": columns, **back}).body) <= 160 * 2**10
        for row in structure["parts"]:
            assert len(answer(token, "layer", {"part": str(row["i"]), **back}).body) <= 300_000, row
            place = ".".join(str(int(rng.integers(n))) for n in row["shape"])
            if row["i"] % 7 == 0:
                said = answer(token, "number", {"part": str(row["i"]), "place": place, **back})
                assert len(said.body) <= 8 * 2**10, row


def test_a_number_deep_inside_is_told_with_its_products(run):
    _, trace, gradients = run
    part = [one for one in trace.parts if one.sort.key == "conv"][-1]
    said = describe.one_number(trace, part, (5, 1, 1), gradients)
    assert said["made"][0]["count"] > numbers.MOST_TERMS
    assert len(said["made"][0]["terms"]) == numbers.MOST_TERMS
    header, _ = frames.unpacked(describe.one_map(trace, part, 5, None))
    assert header["sum"]["left"] > 0
