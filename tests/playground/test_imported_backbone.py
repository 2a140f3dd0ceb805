"""An ONNX classifier of somebody's as a backbone: cut before its last layer, a new one trained, exported whole."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper, parser
from torch import nn

from playground import __main__ as cli
from playground import adopting, jobs
from playground.datasets import samples
from playground.deploy import registry, report
from playground.deploy.registry import Entry
from playground.deploy.session import Classifier
from playground.errors import PlaygroundError
from playground.inspection import cutting
from playground.inspection.preparation import Preparation, guess
from playground.training.runs import runs
from playground.training.runs.runs import RunSpec
from playground.training.transfer import backbones, imported
from playground.training.transfer.frozen import graph_with_head
from playground.training.transfer.networks import head_description, head_of
from playground.training.transfer.recipe import ACTIVATIONS, Request

HEAD = '<ir_version: 8, opset_import: ["": 17]>'
SIDE = 24


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, 2, 1),
                                  nn.Hardswish(), nn.AdaptiveAvgPool2d(2))
        self.last = nn.Linear(48, 7)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(self.body(x).flatten(1)).softmax(1)
        return y


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Small, Path]:
    """A network with random weights, written for one picture at a time, in an older operator set."""
    torch.manual_seed(0)
    network = Small().eval()
    path = tmp_path_factory.mktemp("file") / "small.onnx"
    torch.onnx.export(network, (torch.rand(1, 3, SIDE, SIDE),), str(path), dynamo=False, opset_version=11,
                      input_names=["x"])
    return network, path


def written(folder: Path, body: str, given: str = "float[N, 3, 8, 8] x", gives: str = "float[N, K] y",
            weights: dict[str, np.ndarray] | None = None) -> Path:
    model = parser.parse_model(f"{HEAD} g ({given}) => ({gives}) {{ {body} }}")
    for name, array in (weights or {}).items():
        model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def cut(path: Path) -> tuple[dict[str, object], onnxruntime.InferenceSession, Preparation]:
    preparation = guess(onnx.load(path))
    target = path.with_name("features.onnx")
    said = cutting.cut(path, target, preparation)
    return said, onnxruntime.InferenceSession(target.read_bytes()), preparation


def test_the_cut_gives_what_the_last_layer_was_given_of_any_number_of_pictures(exported: tuple[Small, Path]) -> None:
    network, path = exported
    said, features, preparation = cut(path)
    assert said == {"features": 48, "classes": 7, "parameters": 8 * 28 + 12 * 73}
    x = np.stack([preparation.preprocessing.apply(samples.photo(one)) for one in samples.photo_names()])
    (seen,) = features.run(None, {"backbone/pixels": x})
    with torch.no_grad():
        wanted = network.body(torch.from_numpy(x)).flatten(1).numpy()
    np.testing.assert_allclose(seen, wanted, atol=1e-5)


def test_channels_last_and_blue_first_are_turned_as_the_file_wants_them(tmp_path: Path) -> None:
    w = np.random.default_rng(0).normal(size=(192, 4))
    path = written(tmp_path, "f = Flatten (x) z = MatMul (f, w) s = Add (z, b) y = Softmax (s)",
                   "float[N, 8, 8, 3] x", weights={"w": w, "b": np.zeros(4)})
    preparation = Preparation(**{**vars(guess(onnx.load(path))), "order": "BGR"})
    assert preparation.layout == "NHWC"
    target = tmp_path / "features.onnx"
    cutting.cut(path, target, preparation)
    picture = samples.photo("cat")
    (seen,) = onnxruntime.InferenceSession(target.read_bytes()).run(
        None, {"backbone/pixels": preparation.preprocessing.apply(picture)[None]})
    np.testing.assert_allclose(seen, preparation.apply(picture).reshape(1, -1), atol=1e-6)


def test_maps_in_front_of_a_1_x_1_convolution_are_averaged(tmp_path: Path) -> None:
    path = written(tmp_path, "z = Conv (x, w) p = GlobalAveragePool (z) y = Flatten (p)",
                   weights={"w": np.random.default_rng(0).normal(size=(5, 3, 1, 1))})
    said, features, preparation = cut(path)
    x = preparation.preprocessing.apply(samples.photo("cat"))[None]
    assert said["features"] == 3
    np.testing.assert_allclose(features.run(None, {"backbone/pixels": x})[0], x.mean((2, 3)), atol=1e-6)


W = {"w": np.ones((192, 4))}
REFUSED = {
    "no dense layer": ("f = Flatten (x) y = Softmax (f)", {}, "does not end in a dense layer"),
    "two ways": ("f = Flatten (x) a = MatMul (f, w) b = Neg (f) c = MatMul (b, w) y = Add (a, c)", W, "the ways part"),
    "a large kernel": ("z = Conv (x, k) y = Flatten (z)", {"k": np.ones((2, 3, 8, 8))}, "larger than 1 × 1"),
    "a graph inside": ("t = Constant<value = bool {1}> () f = Flatten (x) h = If (t) <then_branch = g () => "
                       "(float[N, D] o) { o = Neg (f) }, else_branch = e () => (float[N, D] p) { p = Abs (f) }> "
                       "y = MatMul (h, w)", W, "no loops or branches"),
    "another domain": ("f = Flatten (x) g = com.microsoft.QuickGelu (f) y = MatMul (g, w)", W, "own operators only"),
    "a number that is none": ("f = Flatten (x) g = Log (f) y = MatMul (g, w)", W, "not all numbers"),
    "coarse": ("m = Mul (x, big) n = Floor (m) d = Sub (m, n) f = Flatten (d) y = MatMul (f, w)",
               {**W, "big": np.full(1, 1e5)}, "in so few bits"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_go_on_is_a_sentence(tmp_path: Path, kind: str) -> None:
    body, weights, sentence = REFUSED[kind]
    path = written(tmp_path, body, weights=weights)
    if "microsoft" in body:
        model = onnx.load(path)
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        path.write_bytes(model.SerializeToString())
    with pytest.raises(PlaygroundError, match=sentence):
        cut(path)
    assert not path.with_name("features.onnx").exists()


def test_a_new_last_layer_is_trained_and_the_whole_is_exported(
        exported: tuple[Small, Path], playground_home: Path) -> None:
    network, path = exported
    name = adopting.adopt(path, "small", guess(onnx.load(path)))
    spec = RunSpec("transfer", {"data": "faces", "epochs": 5, "backbone": name}, 0, "small-faces")
    run_dir = runs.new_folder()
    runs.write_spec(run_dir, spec, "")
    list(jobs.events(spec, run_dir, lambda: False))
    entry = registry.get("small-faces")
    assert isinstance(entry, Entry)
    assert entry.card["labels"] == ["faces", "non-faces"]
    assert entry.card["accuracy"] is not None
    assert entry.card["accuracy"]["value"] > 0.75
    assert entry.card["training"]["request"]["backbone"] == f"small ({name})"
    assert entry.card["training"]["parameters"] == 2 * 49

    held = {one.name: numpy_helper.to_array(one) for one in onnx.load(entry.onnx).graph.initializer}
    preprocessing = imported.find(name).preprocessing()
    picture = samples.photo("astronaut")
    with torch.no_grad():
        seen = network.body(torch.from_numpy(preprocessing.apply(picture)[None])).flatten(1).numpy()
    wanted = seen @ held["head/0/weight"].T + held["head/0/bias"]
    np.testing.assert_allclose(Classifier(entry.onnx).predict([picture])[0].logits, wanted[0], atol=1e-4)
    kept = report.read(entry)
    assert kept is not None
    assert kept["ok"] is True
    assert kept["layers"]["parted"] is None


def test_every_head_is_written_as_torch_computes_it(exported: tuple[Small, Path], playground_home: Path) -> None:
    _, path = exported
    preparation, target = guess(onnx.load(path)), playground_home / "features.onnx"
    said = cutting.cut(path, target, preparation)
    name = imported.put(16 * "a", target.read_bytes(), {
        "title": "small", "preprocessing": preparation.preprocessing.to_dict(), **said})
    torch.manual_seed(1)
    network = backbones.pretrained(name)
    x = torch.rand(3, 3, SIDE, SIDE)
    request = {"data": "faces", "backbone": name}
    for asked in ({"head": "linear"}, {"head": "linear", "dropout": 0.5}, {"head": "sigmoid"},
                  *({"head": "hidden", "hidden": 9, "dropout": 0.2, "activation": one} for one in ACTIVATIONS)):
        network.classifier = head_of(head_description(Request.of({**request, **asked}), 48, 2))
        network.eval()
        whole = graph_with_head(network.row.path, network.classifier)
        found = onnxruntime.InferenceSession(whole.SerializeToString()).run(None, {"backbone/pixels": x.numpy()})[0]
        with torch.no_grad():
            np.testing.assert_allclose(found, network(x).numpy(), atol=1e-5, err_msg=str(asked))


def test_only_its_last_layer_is_trained_and_its_size_stays() -> None:
    asked = {"data": "faces", "backbone": "onnx:0123456789abcdef"}
    assert Request.of(asked).backbone == asked["backbone"]
    with pytest.raises(PlaygroundError, match="only the last layer is trained"):
        Request.of({**asked, "mode": "fine-tune"})
    with pytest.raises(PlaygroundError, match="keeps the picture size"):
        Request.of({**asked, "image_size": 64})


def test_a_backbone_that_is_not_kept_any_more_is_a_sentence(playground_home: Path) -> None:
    for name in ("onnx:0123456789abcdef", "onnx:../../etc"):
        with pytest.raises(PlaygroundError, match="is not here"):
            backbones.find(name)


def test_the_server_keeps_the_newest(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imported, "MOST", 2)
    for key in ("a", "b", "c"):
        imported.put(16 * key, b"graph", {})
        (playground_home / "data" / "backbones" / (16 * key)).touch()
    assert sorted(one.name[0] for one in (playground_home / "data" / "backbones").iterdir()) == ["b", "c"]


def test_the_command_line_says_what_is_wrong_with_a_file(
        playground_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (playground_home / "no.onnx").write_bytes(b"no")
    for file, sentence in (("no.onnx", "not an ONNX file"), ("gone.onnx", "There is no file")):
        assert cli.main(["transfer", "--name", "a", "--backbone", str(playground_home / file)]) == 2
        assert sentence in capsys.readouterr().err
