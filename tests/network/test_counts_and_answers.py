"""Counts against independent counters, and the engine's, PyTorch's, Keras' and the exported file's answers."""

import os
import re
from collections import Counter

import numpy as np
import onnxruntime as ort
import pytest
import torch
import torchinfo
from torch.utils.flop_counter import FlopCounterMode

from playground.deploy.engine_export import engine_answers, engine_to_onnx
from playground.network import build, code, presets
from playground.network.shapes import walk
from playground.network.spelling import network_of, spelled
from tests.network.designs import SHAPES, random_design

os.environ.setdefault("KERAS_BACKEND", "torch")
pytestmark = pytest.mark.slow
CASES = [(name, shape) for name in presets.PRESETS for shape in ((1, 28, 28), (3, 32, 32), (1, 8, 8))]


def counted(network, takes):
    """Parameters by torchinfo and multiply-adds by torch's counter of floating-point operations."""
    model = build.build_torch(network, takes).eval()
    # Really computed: on the meta device, of shapes alone, torch goes through Python for every operator.
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        model(torch.zeros(1, *takes))
    info = torchinfo.summary(model, verbose=0)
    return info.total_params, flops.get_total_flops() // 2


@pytest.mark.parametrize(("name", "takes"), CASES)
def test_counts_of_a_preset_are_those_of_independent_counters(name, takes):
    walked = walk(presets.preset(name).network(takes, 10), takes)
    assert walked.stopped is None
    assert (walked.parameters, walked.multiply_adds) == counted(presets.preset(name).network(takes, 10), takes)


def test_counts_of_500_random_designs_are_those_of_independent_counters():
    rng = np.random.default_rng(0)
    for _ in range(500):
        takes = SHAPES[rng.integers(len(SHAPES))]
        network = random_design(rng, takes, 10)
        walked = walk(network, takes)
        assert (walked.parameters, walked.multiply_adds) == counted(network, takes), spelled(network)


def same_answers(network, takes, seed):
    """The engine, PyTorch and onnxruntime on the exported file, with the same weights and running statistics."""
    rng = np.random.default_rng(seed)
    engine = build.build(network, takes, rng)
    x = rng.standard_normal((4, *takes)).astype(np.float32)
    engine.train()
    engine(x)  # so that running statistics are not those of the start
    engine.eval()
    other = build.build_torch(network, takes)
    other.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in engine.state_dict().items()})
    ours = engine_answers(engine, x)
    with torch.no_grad():
        theirs = other.eval()(torch.from_numpy(x)).numpy()
    size = max(1.0, float(np.abs(ours).max()))
    np.testing.assert_allclose(theirs, ours, atol=1e-5 * size, err_msg=spelled(network))
    session = ort.InferenceSession(engine_to_onnx(engine, x.shape).SerializeToString(),
                                   providers=["CPUExecutionProvider"])
    filed = session.run(None, {session.get_inputs()[0].name: x})[0]
    np.testing.assert_allclose(filed, ours, atol=1e-5 * size, err_msg=spelled(network))


@pytest.mark.parametrize(("name", "takes"), [(n, s) for n, s in CASES if s != (3, 32, 32)])
def test_a_preset_answers_the_same_in_the_engine_torch_and_as_a_file(name, takes):
    same_answers(presets.preset(name).network(takes, 10), takes, seed=0)


def test_200_random_designs_answer_the_same_in_the_engine_torch_and_as_a_file():
    rng = np.random.default_rng(1)
    for seed in range(200):
        takes = SHAPES[rng.integers(2) * 3]  # the small ones
        same_answers(random_design(rng, takes, 10), takes, seed)


def run(text):
    names = {}
    exec(text, names)  # our own text, of networks made here
    return names["model"]


def in_keras_order(model, wanted):
    """The layers with weights in the order they were made, as Keras numbers them."""
    def number(layer):
        found = re.search(r"_(\d+)$", layer.name)
        return int(found[1]) if found else 0
    queues = {kind: sorted((layer for layer in model.layers if type(layer).__name__ == kind and layer.weights),
                           key=number) for kind in Counter(kind for kind, _ in wanted)}
    return [queues[kind].pop(0) for kind, _ in wanted]


def same_code(network, takes, seed):
    """What the three texts build, with the same weights, gives the same answers."""
    import keras

    keras.utils.clear_session()
    rng = np.random.default_rng(seed)
    engine = build.build(network, takes, rng)
    x = rng.standard_normal((3, *takes)).astype(np.float32)
    engine.train()
    engine(x)
    engine.eval()
    state = engine.state_dict()
    ours, size = engine_answers(engine, x), 1.0
    size = max(1.0, float(np.abs(ours).max()))
    of_engine = run(code.code(network, takes, "engine"))
    of_engine.load_state_dict(state)
    np.testing.assert_array_equal(engine_answers(of_engine, x), ours)
    of_torch = run(code.code(network, takes, "torch"))
    of_torch.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    with torch.no_grad():
        np.testing.assert_allclose(of_torch.eval()(torch.from_numpy(x)).numpy(), ours, atol=1e-5 * size)
    of_keras = run(code.code(network, takes, "keras"))
    wanted = code.keras_weights(network, takes, state)
    for layer, (_, arrays) in zip(in_keras_order(of_keras, wanted), wanted, strict=True):
        layer.set_weights(arrays)
    theirs = keras.ops.convert_to_numpy(of_keras(x.transpose(0, 2, 3, 1), training=False))
    np.testing.assert_allclose(theirs, ours, atol=2e-5 * size, err_msg=spelled(network))


@pytest.mark.parametrize("name", presets.PRESETS)
def test_the_code_of_a_preset_runs_in_three_libraries_and_answers_the_same(name):
    same_code(presets.preset(name).network((1, 28, 28), 10), (1, 28, 28), 0)


def test_the_code_of_20_random_designs_runs_in_three_libraries_and_answers_the_same():
    from playground.errors import PlaygroundError

    rng, made = np.random.default_rng(2), 0
    while made < 20:
        takes = SHAPES[rng.integers(2) * 3]
        network = random_design(rng, takes, 10)
        try:
            code.code(network, takes, "keras")
        except PlaygroundError:
            continue  # Keras has no such layer, and says so
        same_code(network, takes, made)
        made += 1


def test_the_slides_model_is_as_written():
    text = code.code(presets.preset("slides").network((3, 32, 32), 2), (3, 32, 32), "keras")
    assert re.findall(r"layers\.\w+\([^\n]*\)", text) == [
        "layers.Input((32, 32, 3))", "layers.Conv2D(64, 3)", "layers.BatchNormalization()",
        'layers.Activation("relu")', "layers.Flatten()", "layers.Dense(64)", "layers.BatchNormalization()",
        'layers.Activation("relu")', "layers.Dense(1)", 'layers.Activation("sigmoid")']


@pytest.mark.parametrize("text", ["c4d2s2-g-d2", "ct4k2s3-g-d2"])
def test_what_keras_lacks_is_a_sentence(text):
    from playground.errors import PlaygroundError

    with pytest.raises(PlaygroundError, match="Keras"):
        code.code(network_of(text), (1, 28, 28), "keras")
