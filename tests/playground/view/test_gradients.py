"""What arrives at every part, weight and pixel is what torch's autograd and finite differences say."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import engine
from engine import layers
from playground.errors import PlaygroundError
from playground.network.build import build_torch, placed
from playground.network.parts import place
from playground.network.presets import PRESETS
from playground.view import gradients as gradients_module
from playground.view.gradients import Target, walk_back
from playground.view.trace import PICTURE
from tests.playground.view.networks import CLASSES, EVERYTHING, TAKES, design, graph, pictures

CLOSE = 1e-5
TARGETS = (Target("loss", label=2), Target("score", label=1))


def same(ours, theirs, what):
    theirs = theirs.detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=CLOSE * max(float(np.abs(theirs).max()), 1e-30), err_msg=what)


def torch_value(scores, target):
    """The number whose gradients are wanted, of picture 0."""
    if target.kind == "loss":
        if scores.shape[1] == 1:
            return F.binary_cross_entropy_with_logits(scores[:1], torch.full((1, 1), float(target.label)))
        return F.cross_entropy(scores[:1], torch.tensor([target.label]))
    return scores[0, target.label]


def torch_run(source, x, train):
    """Torch's module with the source's weights, run on x: the picture, what every part gives, the scores."""
    module = build_torch(source.network, x.shape[1:])
    module.load_state_dict({name: torch.from_numpy(np.array(a)) for name, a in source.model.state_dict().items()})
    module.train(train)
    for one in module.modules():
        if isinstance(one, torch.nn.Dropout):
            one.p = 0.0
    given = {}

    def keep(name):
        def hook(_module, _inputs, output):
            output.retain_grad()
            given[name] = output

        return hook

    for path, one in placed(source.network, module).items():
        one.register_forward_hook(keep(place(path)))
    picture = torch.from_numpy(x).requires_grad_()
    return module, picture, given, module(picture)


def same_everywhere(source, x, train=False):
    trace = source.run(x, train)
    module, picture, given, scores = torch_run(source, x, train)
    for target in TARGETS if scores.shape[1] > 2 else (Target("loss", label=1),):
        module.zero_grad()
        picture.grad = None
        for one in given.values():
            one.grad = None
        value = torch_value(scores, target)
        value.backward(retain_graph=True)
        ours = walk_back(trace, target)
        assert ours.value == pytest.approx(value.item(), rel=1e-5)
        for part in trace.parts:
            same(part.of(part.output.data), given[part.name][0], f"{part.name} forward")
            same(ours.at(part), given[part.name].grad[0], f"{part.name} ({part.title})")
        wanted = dict(module.named_parameters())
        assert ours.weights.keys() == wanted.keys()
        for name, gradient in ours.weights.items():
            same(gradient, wanted[name].grad, name)
        same(ours.picture, picture.grad[0], "the picture")


@pytest.mark.parametrize("name", PRESETS)
def test_gradients_of_a_preset_are_torchs(name):
    same_everywhere(design(name), pictures())


@pytest.mark.parametrize("name", ["usual", "slides", "resnet8", "mobilenet", "inception"])
def test_gradients_in_training_mode_are_torchs(name):
    """Through the statistics of the batch, of the first picture's loss; dropout with p = 0 leaves nothing out."""
    source = design(name)
    for module in placed(source.network, source.model).values():
        if isinstance(module, layers.Dropout):
            module.p = 0.0
    x = pictures(count=5)
    before = {key: array.copy() for key, array in source.model.state_dict().items()}
    trace = source.run(x, train=True)
    module, picture, given, scores = torch_run(source, x, True)
    torch_value(scores, Target("loss", label=2)).backward()
    ours = walk_back(trace, Target("loss", label=2))
    for part in trace.parts:
        same(ours.at(part), given[part.name].grad[0], f"{part.name} ({part.title})")
    for key, weight in module.named_parameters():
        if name == "slides" and key in ("0.bias", "4.bias"):  # in front of batch norm: 0 but for rounding, in both
            assert max(np.abs(ours.weights[key]).max(), float(weight.grad.abs().max())) < 1e-5
            continue
        same(ours.weights[key], weight.grad, key)
    same(ours.picture, picture.grad[0], "the picture")
    for key, array in source.model.state_dict().items():
        np.testing.assert_array_equal(array, before[key], err_msg=f"{key} was changed by looking")


def test_gradients_of_one_score_for_two_classes_are_torchs():
    same_everywhere(design("slides", classes=2), pictures())


def test_gradients_of_nearly_all_kinds_of_parts_are_torchs():
    same_everywhere(design(EVERYTHING), pictures())


def test_gradients_of_a_number_are_torchs():
    source, x = design("resnet8"), pictures()
    trace = source.run(x)
    module, picture, given, _ = torch_run(source, x, False)
    part = trace.parts[9]
    ours = walk_back(trace, Target("number", part=part.index, place=(3, 2, 5)))
    given[part.name][0, 3, 2, 5].backward()
    same(ours.picture, picture.grad[0], "the picture")
    for other in trace.parts:
        theirs = given[other.name].grad
        if other.index > part.index or theirs is None:
            assert ours.at(other) is None or not np.any(ours.at(other)), other.name
        else:
            same(ours.at(other), theirs[0], other.name)
    assert ours.weights.keys() == {key for key, w in module.named_parameters() if w.grad is not None}


@pytest.mark.parametrize("text", [EVERYTHING, "resnet8"])
def test_three_finite_differences_a_part_in_float64(text):
    """The number is moved by a leaf added behind the part: the rest of the network is run anew from there on."""
    source = design(text, dtype=np.float64)
    x = pictures(dtype=np.float64)
    trace = source.run(x)
    assert all(part.output.dtype == np.float64 for part in trace.parts)
    target, rng = Target("loss", label=2), np.random.default_rng(3)
    gradients = walk_back(trace, target)
    for part in trace.parts:
        gradient = gradients.at(part)
        for _ in range(3):
            at = tuple(int(rng.integers(n)) for n in part.shape)
            ends = [_loss_with(trace, part, at, sign * 1e-6, target.label) for sign in (1, -1)]
            assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(gradient[at], rel=1e-4, abs=1e-8), part.title


def _loss_with(trace, part, at, step, label):
    """The loss with one number of a part moved: what was made of it is made again, op by op, as the tape says."""
    new = {id(part.output): np.array(part.output.data)}
    new[id(part.output)][part.at(at)] += step
    for later in trace.parts:
        for result in later.made:
            if later.index > part.index and any(id(one) in new for one in result.node.inputs):
                arrays = [None if one is None else new.get(id(one), one.data) for one in result.node.inputs]
                new[id(result)] = result.node.op.rule(*arrays, **result.node.options)[0]
    scores = new.get(id(trace.logits), trace.logits.data)
    return float(F.cross_entropy(torch.from_numpy(scores[:1]), torch.tensor([label])))


def test_weights_gradients_and_finite_differences_agree_in_float64():
    source, rng = design(EVERYTHING, dtype=np.float64), np.random.default_rng(5)
    x = pictures(dtype=np.float64)
    gradients = walk_back(source.run(x), Target("score", label=3))
    for name, weight in source.weights().items():
        at = tuple(int(rng.integers(n)) for n in weight.shape)
        kept, ends = weight.data[at], []
        for step in (1e-6, -1e-6):
            weight.data[at] = kept + step
            ends.append(source.scores(x)[0, 3])
        weight.data[at] = kept
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(gradients.weights[name][at], rel=1e-4, abs=1e-8), name


def test_a_walk_leaves_the_weights_own_gradients_alone():
    source = design("resnet8")
    trace = source.run(pictures())
    marks = {name: np.full(weight.shape, 7, np.float32) for name, weight in source.weights().items()}
    for name, weight in source.weights().items():
        weight.grad = marks[name]
    first = walk_back(trace, Target("loss", label=0))
    again = walk_back(trace, Target("loss", label=0))
    for name, weight in source.weights().items():
        assert weight.grad is marks[name]
        np.testing.assert_array_equal(first.weights[name], again.weights[name])
        assert np.all(marks[name] == 7)
    assert trace.picture.grad is None


def test_steps_go_from_the_last_part_to_the_first_and_tell_what_was_sent():
    source = design("resnet8")
    trace = source.run(pictures())
    gradients = walk_back(trace, Target("loss", label=0))
    indices = [step.part for step in gradients.steps]
    assert indices == sorted(indices, reverse=True)
    assert set(indices) == {part.index for part in trace.parts}
    owners = {to for step in gradients.steps for to, _ in step.sent}
    assert {PICTURE, *source.weights()} <= owners
    last = gradients.steps[0]
    sent = dict(last.sent)
    weight = max((to for to in sent if isinstance(to, str)), key=lambda name: source.weights()[name].size)
    assert sent[weight] == pytest.approx(float(np.sqrt(np.mean(gradients.weights[weight].astype(np.float64) ** 2))))


@pytest.mark.parametrize("target", [
    Target("loss", label=CLASSES), Target("score", label=99), Target("number", part=99, place=(0,)),
    Target("number", part=0, place=(0, 0)), Target("number", part=0, place=(0, 0, 12)),
    Target("number", part=0, place=()), Target("number", part=-1, place=(0, 0, 0))])
def test_a_target_that_does_not_exist_is_refused_in_a_sentence(target):
    with pytest.raises(PlaygroundError, match=r"there is no|there is none"):
        walk_back(design("lenet5").run(pictures()), target)


@pytest.mark.parametrize("text", ["", "loss", "loss:", "loss:-1", "loss:1:2", "loss:²", "number:1", "number:1:",
                                  "number:a:0", "score:1e3", "score:99999999999", "loss:1 ", "number:0:1,2"])
def test_a_targets_key_that_says_nothing_is_refused(text):
    with pytest.raises(PlaygroundError, match="begins at"):
        Target.of(text)


@pytest.mark.parametrize("target", [Target("loss", 3), Target("score", 0), Target("number", part=4, place=(1, 0, 11))])
def test_a_target_comes_back_from_its_key(target):
    assert Target.of(target.key) == target


def test_scores_that_do_not_depend_smoothly_on_the_picture_have_no_way_back():
    source = graph("g (float[N, 1, 6, 6] x) => (float[N, 4] y) { s = Flatten(x) w = Greater(s, zero) "
                   "z = Cast <to = 1> (w) f = Slice(z, begin, end, axis) y = Identity(f) }",
                   zero=np.float32(0), begin=np.array([0]), end=np.array([4]), axis=np.array([1]))
    with pytest.raises(PlaygroundError, match="no way back"):
        walk_back(source.run(pictures((1, 6, 6))), Target("loss", label=0))


def test_two_threads_that_walk_over_one_network_do_not_mix(monkeypatch):
    """Both would add to the weights' `.grad`; here they meet in the middle of it, where nothing keeps them apart."""
    source, met = design("usual", TAKES), threading.Barrier(2)
    traces = [source.run(pictures(seed=seed)) for seed in range(2)]
    alone = [walk_back(trace, Target("loss", label=1)) for trace in traces]
    at_once: list[bool] = []

    def meeting(tensor, gradient=None):
        try:
            met.wait(0.2)
            at_once.append(True)
        except threading.BrokenBarrierError:
            at_once.append(False)
        yield from engine.backward_steps(tensor, gradient)

    monkeypatch.setattr(gradients_module, "backward_steps", meeting)
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda trace: walk_back(trace, Target("loss", label=1)), traces))
    assert at_once == [False, False]
    for one, wanted in zip(together, alone, strict=True):
        assert one.weights.keys() == wanted.weights.keys()
        for name, gradient in wanted.weights.items():
            np.testing.assert_array_equal(one.weights[name], gradient)


def test_a_number_the_walk_begins_with_has_the_gradient_one():
    trace = design("lenet5").run(pictures())
    gradients = walk_back(trace, Target("number", part=0, place=(2, 3, 4)))
    arrived = gradients.at(trace.parts[0])
    assert arrived[2, 3, 4] == 1
    assert np.count_nonzero(arrived) == 1
