"""Files of every kind written otherwise and compared: scores or none, one picture or eight at once, or no picture."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper
from other_kinds import BODIES, made

from playground.__main__ import main as cli_main
from playground.datasets import samples
from playground.errors import PlaygroundError
from playground.inspection import bounded, comparing, converting, cutting, layers, report, running
from playground.inspection.core import network_of
from playground.inspection.preparation import Preparation
from playground.view.sources import File
from tests.playground.killed import deaths

PICTURE = samples.photo("cat")
RUNNING = [kind for kind in BODIES if kind != "unknown operators"]
BATCHED = ("eight at once", "eight counted on")


def stored(folder: Path, kind: str) -> tuple[Path, Preparation | None]:
    path = folder / "theirs.onnx"
    onnx.save(made(kind), path)
    said = report.report(path)["preparation"]
    return path, None if said is None else Preparation.from_dict(said)


def prepared(preparation: Preparation, pictures: int = 6) -> np.ndarray:
    return np.concatenate([preparation.apply(one) for one in converting.crops(pictures)])


def onnxruntimes(path: Path, x: np.ndarray) -> list[np.ndarray]:
    network = onnxruntime.InferenceSession(str(path))
    return list(network.run(None, {"x": x}))


@pytest.mark.parametrize("way", converting.WAYS)
@pytest.mark.parametrize("kind", RUNNING)
def test_every_kind_is_written_in_every_way_and_says_the_same(tmp_path: Path, kind: str, way: str) -> None:
    path, preparation = stored(tmp_path, kind)
    target = tmp_path / "made.onnx"
    name, x = ("x", prepared(preparation)) if preparation else (None, None)
    if way == "int8" and x is None:
        with pytest.raises(PlaygroundError, match="come from pictures, and this file takes none"):
            converting.convert(path, target, way, name, x)
        assert not target.exists()
        return
    assert converting.convert(path, target, way, name, x)["bytes"] == target.stat().st_size
    said = comparing.compare({"as it is": path, way: target}, name, x)[way]
    assert "sentence" not in said
    if kind in ("segmenter", "detector", "two inputs", "four channels"):
        assert "answers" not in said
        assert said["reshaped"] == 0
        assert said["pictures"] == (1 if x is None else 6)
        assert said["largest"] <= {"int8": 0.03, "float16": 3e-3}.get(way, 1e-5) * said["size"]
    else:
        assert len(said["answers"]) == 6
        assert said["largest"] < {"int8": 0.12, "float16": 5e-3}.get(way, 1e-5)


def test_a_conversion_that_is_killed_leaves_what_was_offered_before_or_the_whole_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    path, _ = stored(folder, "segmenter")
    target = folder / "made.onnx"
    converting.convert(path, target, "opset 15", None, None)
    before, found = target.read_bytes(), []
    for _ in deaths(folder, lambda: converting.convert(path, target, "float16", None, None)):
        found.append(target.read_bytes())
    assert found[0] == before
    assert found[-1] != before
    assert len(set(found)) == 2


def test_the_largest_difference_is_numpys_and_another_shape_is_counted(tmp_path: Path) -> None:
    path, preparation = stored(tmp_path, "segmenter")
    assert preparation is not None
    x = prepared(preparation, 2)
    (outputs,) = onnxruntimes(path, x)
    other = made("segmenter")
    other.graph.node[0].output[0] = "z"
    other.graph.node.append(helper.make_node("Neg", ["z"], ["y"]))
    onnx.save(other, tmp_path / "negated.onnx")
    said = comparing.compare({"as it is": path, "negated": tmp_path / "negated.onnx"}, "x", x)
    assert said["negated"]["largest"] == pytest.approx(2 * np.abs(outputs).max(), rel=1e-5)
    assert said["negated"]["size"] == pytest.approx(np.abs(outputs).max(), rel=1e-5)
    other.graph.node[-1].CopyFrom(helper.make_node("Flatten", ["z"], ["y"]))
    other.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, None))
    onnx.save(other, tmp_path / "flat.onnx")
    said = comparing.compare({"as it is": path, "flat": tmp_path / "flat.onnx"}, "x", x)
    assert said["flat"]["reshaped"] == 2


def test_slow_files_are_compared_on_as_many_pictures_as_there_is_time_for(tmp_path: Path) -> None:
    for kind in ("classifier", "segmenter"):
        path, preparation = stored(tmp_path, kind)
        assert preparation is not None
        said = comparing.compare({"as it is": path, "again": path}, "x", prepared(preparation, 3), seconds=0)
        assert [one["pictures"] for one in said.values()] == [1, 1]
        said = comparing.compare({"as it is": path, "again": path}, "x", prepared(preparation, 3), seconds=1e9)
        assert [one["pictures"] for one in said.values()] == [3, 3]


def test_int8_takes_its_scales_from_other_photographs_than_it_is_tried_on(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    real = samples.photo
    monkeypatch.setattr(samples, "photo", lambda name: taken.append(name) or real(name))
    converting.crops(4)
    compared, taken[:] = set(taken), []
    converting.crops(4, to_scale=True)
    assert compared
    assert taken
    assert not compared & set(taken)


def test_a_process_that_was_ended_for_its_time_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _ = stored(tmp_path, "classifier")
    monkeypatch.setattr(subprocess, "run", lambda command, **_: subprocess.CompletedProcess(
        command, -signal.SIGXCPU, b"", b""))
    with pytest.raises(bounded.UnansweredError, match="asked for more than 150 seconds of a processor"):
        bounded.ask("report", path)


@pytest.mark.parametrize("kind", ["one logit", "one probability"])
def test_one_score_alone_is_a_sigmoids_everywhere(tmp_path: Path, kind: str) -> None:
    path, preparation = stored(tmp_path, kind)
    assert preparation is not None
    x = preparation.apply(PICTURE)
    value = float(onnxruntimes(path, x)[0].item())
    p = value if kind == "one probability" else 1 / (1 + np.exp(-value))
    said = running.answers(path, "x", x)
    assert said["single"] == kind.removeprefix("one ")
    np.testing.assert_allclose(running.probabilities(said["scores"]), [1 - p, p], atol=1e-6)
    labels = ("no", "yes")
    source = File(network_of(path, preparation, "y", two=True), preparation.preprocessing, labels)
    logits = source.scores(preparation.preprocessing.apply(PICTURE)[None])
    np.testing.assert_allclose(running.probabilities(logits.ravel().tolist()), [1 - p, p], atol=1e-6)
    assert source.run(preparation.preprocessing.apply(PICTURE)[None]).parts
    cut = cutting.cut(path, tmp_path / "cut.onnx", preparation)
    assert (cut["features"], cut["classes"]) == (4, 2)


@pytest.mark.parametrize("kind", BATCHED)
def test_a_file_of_a_fixed_batch_is_given_the_picture_so_often(tmp_path: Path, kind: str) -> None:
    path, preparation = stored(tmp_path, kind)
    assert preparation is not None
    x = preparation.apply(PICTURE)
    want = onnxruntimes(path, np.repeat(x, 8, axis=0))[0]
    said = running.answers(path, "x", x)
    np.testing.assert_allclose([said["scores"]], want[:1], atol=1e-5)
    assert (said["batch"], said["outputs"][0]["shape"]) == (8, [8, 5])
    assert said["engine"]["largest"] < 1e-4
    assert layers.layers(path, "x", x)["parted"] is None
    speed = running.profile(path, "x", x, threads=(1,))
    assert speed["at once"] == 8
    assert [one["pictures"] for one in speed["batches"]] == [8]
    one = report.report(path)
    (tmp_path / "free").mkdir()
    free, _ = stored(tmp_path / "free", "classifier")
    assert (one["batch"], one["scores"]) == (8, True)
    assert one["macs"] == report.report(free)["macs"]
    source = File(network_of(path, preparation, "y"), preparation.preprocessing, tuple("abcde"))
    alone = preparation.preprocessing.apply(PICTURE)[None]
    if kind == "eight at once":
        np.testing.assert_allclose(source.scores(alone), want[:1], atol=1e-5)
        assert cutting.cut(path, tmp_path / "cut.onnx", preparation)["features"] == 4
    else:
        with pytest.raises(PlaygroundError, match="takes a fixed number of pictures at once"):
            cutting.cut(path, tmp_path / "cut.onnx", preparation)


def test_whether_there_is_a_row_of_scores_is_known_from_the_file(tmp_path: Path) -> None:
    found = {kind: report.report(stored(tmp_path, kind)[0])["scores"] for kind in BODIES}
    assert {kind for kind, said in found.items() if said} == {
        "classifier", "one logit", "one probability", "eight at once", "eight counted on", "a softmax without a name"}
    assert {kind for kind, said in found.items() if said is False} == {"segmenter", "detector"}


def test_a_softmax_without_a_name_stays_in_float(tmp_path: Path) -> None:
    path, preparation = stored(tmp_path, "a softmax without a name")
    assert preparation is not None
    converting.convert(path, tmp_path / "int8.onnx", "int8", "x", prepared(preparation))
    written = onnx.load(tmp_path / "int8.onnx").graph
    assert any(node.op_type == "QuantizeLinear" for node in written.node)
    (softmax,) = (node for node in written.node if node.op_type == "Softmax")
    assert softmax.output[0] == "y", "what it gives is not rounded"
    assert not any("y" in node.input for node in written.node)


def test_names_that_are_given_take_nobody_elses(tmp_path: Path) -> None:
    model = made("a softmax without a name")
    model.graph.node[0].name = "Softmax_5"
    path = tmp_path / "named.onnx"
    onnx.save(model, path)
    x = prepared(Preparation.from_dict(report.report(path)["preparation"]))
    converting.convert(path, tmp_path / "int8.onnx", "int8", "x", x)
    assert any(node.op_type == "QuantizeLinear" for node in onnx.load(tmp_path / "int8.onnx").graph.node)


def test_what_a_way_rewrites_is_said_with_counts(tmp_path: Path) -> None:
    path, preparation = stored(tmp_path, "detector")
    assert preparation is not None
    target = tmp_path / "made.onnx"
    said = converting.convert(path, target, "opset 17", "x", None)["operators"]
    assert {"operator": "ReduceMax", "before": 1, "after": 1} in said, "its axes became an attribute"
    assert "Conv" not in {one["operator"] for one in said}
    before, after = onnx.load(path).graph.node, onnx.load(target).graph.node
    for one in said:
        assert one["before"] == sum(node.op_type == one["operator"] for node in before)
        assert one["after"] == sum(node.op_type == one["operator"] for node in after)
    assert converting.convert(path, target, "opset 22", "x", None)["operators"] == []
    half = {one["operator"]: one for one in converting.convert(path, target, "float16", "x", None)["operators"]}
    assert half["Cast"]["before"] == 0 < half["Cast"]["after"]


def with_a_resize(sides: list[int], pictures: str, **said: Any) -> onnx.ModelProto:
    """A segmenter whose map is resized as set 18 and later can say it; of pictures 12 x 12, or of any size."""
    model = made("segmenter")
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", 1, ["N", 3, pictures, 12] if pictures else
                                                                ["N", 3, 12, 12]))
    model.graph.node[0].output[0] = "z"
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(sides), "sides"))
    model.graph.node.append(helper.make_node("Resize", ["z", "", "", "sides"], ["y"], **said))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, ["N", 4, "h", "w"]))
    return model


RESIZES = {
    "two axes": ([5, 23], {"axes": [2, 3], "mode": "linear"}),
    "antialiased": ([1, 4, 4, 7], {"mode": "linear", "antialias": 1}),
    "cubic": ([4, 21], {"axes": [-2, -1], "mode": "cubic", "antialias": 1, "exclude_outside": 1}),
    "nearest": ([17, 3], {"axes": [3, 2], "mode": "nearest", "coordinate_transformation_mode": "asymmetric"}),
    "corners": ([3, 19], {"axes": [2, 3], "mode": "linear", "coordinate_transformation_mode": "align_corners"}),
    "channels": ([6, 9], {"axes": [1, 3], "mode": "nearest"}),
    "as it was": ([10, 10], {"axes": [2, 3], "mode": "linear"}),
    "scales": ([], {"axes": [2, 3], "mode": "linear"}),
}


@pytest.mark.parametrize("way", ["opset 15", "opset 17"])
@pytest.mark.parametrize("kind", RESIZES)
def test_a_resize_of_known_sizes_becomes_products(tmp_path: Path, kind: str, way: str) -> None:
    sides, said = RESIZES[kind]
    path, target = tmp_path / "resized.onnx", tmp_path / "made.onnx"
    model = with_a_resize(sides, "", **said)
    if kind == "antialiased":
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    if kind == "channels":
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", 1, ["N", 6, "h", "w"]))
    if kind == "scales":  # a factor, in a Constant node
        factors = onnx.numpy_helper.from_array(np.array([1.5, 2.25], np.float32))
        model.graph.node.insert(0, helper.make_node("Constant", [], ["factors"], value=factors))
        model.graph.node[-1].input[:] = ["z", "", "factors"]
    onnx.save(model, path)
    done = converting.convert(path, target, way, None, None)["operators"]
    assert {"operator": "Resize", "before": 1, "after": 0} in done
    x = np.random.default_rng(0).normal(size=(1, 3, 12, 12)).astype(np.float32)
    np.testing.assert_allclose(onnxruntimes(target, x)[0], onnxruntimes(path, x)[0], atol=2e-5)


def test_an_older_export_of_ours_gets_the_preparation_that_is_written_today(tmp_path: Path) -> None:
    """As files were made before their resize was two products: Resize with axes, of a crop of any size."""
    front = onnx.parser.parse_model("""<ir_version: 9, opset_import: ["": 20]>
        old (uint8[N, H, W, 3] image) => (float[N, K] logits, float[N, K] probabilities) {
            levels = Cast <to = 1> (image)
            planes = Transpose <perm = [0, 3, 1, 2]> (levels)
            resized = Resize <mode = "linear", antialias = 1, axes = [2, 3], exclude_outside = 1> (planes, , , target)
            scaled = Mul (resized, scale)
            pixels = Add (scaled, shift)
        }""")
    held = {"scale": np.full((1, 3, 1, 1), 1 / 127.5, np.float32), "shift": np.full((1, 3, 1, 1), -1, np.float32),
            "target_height": np.array([12]), "target_width": np.array([12]), "target": np.array([12, 12])}
    front.graph.initializer.extend(onnx.numpy_helper.from_array(value, name) for name, value in held.items())
    for node in front.graph.node:
        node.name = node.output[0]
    del front.graph.output[:]
    model = onnx.compose.add_prefix(front, "preprocess/", rename_inputs=False)
    core = made("classifier")
    core.graph.node[0].input[0], core.graph.node[-1].output[0] = "preprocess/pixels", "logits"
    model.graph.node.extend([*core.graph.node, helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1)])
    model.graph.initializer.extend(core.graph.initializer)
    model.graph.output.extend(helper.make_tensor_value_info(name, 1, ["N", 5]) for name in ("logits", "probabilities"))
    path, target = tmp_path / "old.onnx", tmp_path / "made.onnx"
    onnx.save(model, path)
    converting.convert(path, target, "opset 15", None, None)
    image = PICTURE[None, :300, :300]
    answers = [onnxruntime.InferenceSession(str(one)).run(None, {"image": image}) for one in (path, target)]
    for was, now in zip(*answers, strict=True):
        np.testing.assert_allclose(now, was, atol=1e-4)


def test_a_way_that_cannot_be_gone_says_what_is_in_the_way(tmp_path: Path) -> None:
    onnx.save(with_a_resize([5, 5], "any", axes=[2, 3], mode="linear"), tmp_path / "resized.onnx")
    with pytest.raises(PlaygroundError) as raised:
        converting.convert(tmp_path / "resized.onnx", tmp_path / "made.onnx", "opset 15", None, None)
    assert str(raised.value) == ("It cannot be written as opset 15: Resize axes is not supported when converting from "
                                 "opset 18 to opset 17.")


def test_every_unknown_operator_is_named(tmp_path: Path) -> None:
    path, _ = stored(tmp_path, "unknown operators")
    assert report.report(path)["valid"] == "onnx has no operators Bar, Foo in set 18."
    with pytest.raises(PlaygroundError, match="cannot run this file: onnx has no operators Bar, Foo in set 18"):
        running.session(path)


def test_a_shape_that_does_not_fit_is_said_with_its_numbers(tmp_path: Path) -> None:
    path, _ = stored(tmp_path, "classifier")
    with pytest.raises(PlaygroundError, match="Got: 9 Expected: 12"):
        running.run(running.session(path), {"x": np.zeros((1, 3, 9, 12), np.float32)})


@pytest.mark.parametrize("way", ["int8", "opset15"])
@pytest.mark.parametrize("kind", ["classifier", "segmenter", "eight at once"])
def test_the_command_writes_a_file_of_every_kind(playground_home: Path, kind: str, way: str,
                                                 capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = stored(playground_home, kind)
    target = playground_home / "made.onnx"
    assert cli_main(["convert", str(path), way, str(target)]) == 0
    assert "differ by at most" in (out := capsys.readouterr().out) or "answers changed" in out
    onnx.checker.check_model(onnx.load(target))


@pytest.mark.parametrize("where", ["convert", "compare"])
def test_a_command_that_fails_leaves_no_file_and_may_be_tried_again(
        playground_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], where: str) -> None:
    path, _ = stored(playground_home, "segmenter")
    target = playground_home / "made.onnx"
    true = bounded.ask

    def broken(what: str, *given: Any, **more: Any) -> dict[str, Any]:
        said = true(what, *given, **more)
        if what == where == "convert":
            raise PlaygroundError("It broke on the way.")
        if what == where == "compare":
            said["float16"] = {"sentence": "It broke on the way."}
        return said

    monkeypatch.setattr(bounded, "ask", broken)
    assert cli_main(["convert", str(path), "float16", str(target)]) == 2
    assert "It broke on the way." in capsys.readouterr().err
    assert [one.name for one in playground_home.glob("*.onnx*")] == ["theirs.onnx"]
    monkeypatch.undo()
    assert cli_main(["convert", str(path), "float16", str(target)]) == 0
