"""What verify sees of a model that was tampered with, and of one that was not."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from playground.deploy import parity, registry, verification
from playground.deploy.parity import Reference, compare, pattern, pixels_sha256
from playground.deploy.registry import Entry, verify
from playground.deploy.session import Classifier
from playground.errors import PlaygroundError
from tests.playground.tiny_models import linear_answers, linear_file, pictures


def answer_to(name: str) -> dict:
    picture = verification.reference_picture(name)
    (logits,) = linear_answers([picture])
    return Reference(name, pixels_sha256(picture), tuple(float(z) for z in logits)).to_dict()


@pytest.fixture
def entry(playground_home: Path) -> Entry:
    kept = {"max_difference": 0.0, "allowed": 1e-3, "samples": 2, "same_top": 2, "tolerance": 1e-3,
            "references": [answer_to("pattern"), answer_to("cat")]}
    registry.put("m", linear_file(), {"parity": kept})
    found = registry.get("m")
    assert isinstance(found, Entry)
    return found


def changed_card(entry: Entry, **changes: object) -> Entry:
    card = entry.folder / "card.json"
    card.write_text(json.dumps({**json.loads(card.read_text()), **changes}))
    found = registry.get(entry.name)
    assert isinstance(found, Entry)
    return found


def failed(entry: Entry | Path) -> list[str]:
    return [check.name for check in verify(entry).checks if not check.ok]


def test_a_model_as_it_was_exported_passes_every_check(entry: Entry) -> None:
    verification = verify(entry)
    assert [(check.name, check.ok) for check in verification.checks] == [
        ("checksum", True), ("contract", True), ("weights", True), ("probabilities", True), ("labels", True),
        ("references", True)]
    assert verification.ok
    assert verification.to_dict()["ok"] is True
    assert all(check.sentence.endswith(".") for check in verification.checks)


def test_other_weights_are_seen_by_the_checksum_and_by_the_answers(entry: Entry) -> None:
    onnx.save(linear_file(seed=1), entry.onnx)
    assert failed(entry) == ["checksum", "references"]


def test_one_changed_byte_is_seen(entry: Entry) -> None:
    data = bytearray(entry.onnx.read_bytes())
    data[data.index(b"a test")] ^= 1
    entry.onnx.write_bytes(bytes(data))
    assert failed(entry) == ["checksum"]


def test_a_slightly_changed_weight_is_seen_by_the_answers_even_with_a_new_checksum(entry: Entry) -> None:
    model = onnx.load(entry.onnx)
    (weight,) = [tensor for tensor in model.graph.initializer if tensor.name == "0.weight"]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight) * np.float32(1.01), "0.weight"))
    card = json.loads((entry.folder / "card.json").read_text())
    registry.put("m", model, card, replace=True)
    found = registry.get("m")
    assert isinstance(found, Entry)
    assert failed(found) == ["references"]


def test_a_file_cut_short_is_seen(entry: Entry) -> None:
    entry.onnx.write_bytes(entry.onnx.read_bytes()[:-100])
    assert failed(entry)[:2] == ["checksum", "contract"]


def test_a_file_that_is_gone_is_seen(entry: Entry) -> None:
    entry.onnx.unlink()
    assert failed(entry) == ["checksum", "contract"]


def test_other_labels_on_the_card_are_seen(entry: Entry) -> None:
    assert failed(changed_card(entry, labels=["class 1", "class 0", "class 2"])) == ["labels"]


@pytest.mark.parametrize("kept", [
    {}, {"references": []}, {"references": [{"photo": "cat"}]}, {"references": "none"}, None, "torn",
    {"tolerance": "x"},
    {"references": [{"photo": "nobody", "pixels_sha256": "", "logits": [1.0]}]},
    {"references": [{"photo": "pattern", "pixels_sha256": pixels_sha256(pattern()), "logits": [1.0]}]},
], ids=repr)
def test_a_card_without_usable_answers_fails_and_does_not_crash(entry: Entry, kept: object) -> None:
    assert failed(changed_card(entry, parity=kept)) == ["references"]


def test_answers_that_are_not_numbers_never_pass(entry: Entry) -> None:
    kept = {"references": [answer_to("pattern") | {"logits": [float("nan")] * 3}]}
    with pytest.raises(PlaygroundError, match="damaged"):  # NaN is no JSON
        changed_card(entry, parity=kept)


def test_a_photo_that_differs_on_this_machine_is_left_out_and_named(entry: Entry) -> None:
    kept = entry.card["parity"] | {
        "references": [answer_to("pattern"), answer_to("cat") | {"pixels_sha256": "another"}]}
    check = verify(changed_card(entry, parity=kept)).checks[-1]
    assert check.ok
    assert "cat left out" in check.sentence


def test_probabilities_that_are_not_the_softmax_are_seen(tmp_path: Path) -> None:
    model = linear_file()
    model.graph.node[-1].op_type = "Sigmoid"
    del model.graph.node[-1].attribute[:]
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    assert failed(path) == ["probabilities"]


def test_a_file_without_a_card_is_held_to_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(linear_file(), path)
    assert verify(path).ok
    path.write_bytes(b"not a model")
    assert failed(path) == ["contract"]
    assert failed(tmp_path / "nowhere.onnx") == ["contract"]


# --- parity ---

def test_parity_is_the_largest_difference_and_counts_the_same_first_answer() -> None:
    images = pictures((8, 8), (30, 20), (9, 50))
    source = linear_answers(images)
    source[1] += np.float32([0.0, 0.5, 0.0])
    found = compare(source, Classifier(linear_file().SerializeToString()), images)
    assert found.max_difference == pytest.approx(0.5, abs=1e-3)
    assert found.samples == 3
    assert found.same_top >= 2
    assert not found.ok


def test_a_nan_is_never_parity() -> None:
    images = pictures((8, 8))
    source = linear_answers(images)
    source[0, 0] = np.nan
    assert not compare(source, Classifier(linear_file().SerializeToString()), images).ok


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(PlaygroundError, match="scores"):
        compare(np.zeros((1, 4)), Classifier(linear_file().SerializeToString()), pictures((8, 8)))


def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(PlaygroundError, match="Without a picture"):
        compare(np.zeros((0, 3)), Classifier(linear_file().SerializeToString()), [])


def test_the_computed_picture_is_the_same_forever() -> None:
    assert pixels_sha256(pattern()) == "c3766e5c03198fdff209a7ecbaa268e2f95841b4268a0a2c656542c316043c72"
    assert parity.pattern().shape == (97, 131, 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_weight_that_is_no_number_is_seen_even_where_no_answer_shows_it(entry: Entry, value: float) -> None:
    model = linear_file()
    unused = numpy_helper.from_array(np.array([1.0, value], np.float32), "unused")
    model.graph.initializer.append(unused)
    model.graph.node.append(onnx.helper.make_node("Identity", ["unused"], ["nobody asks for it"]))
    onnx.save(model, entry.onnx)
    assert failed(entry) == ["checksum", "weights"]
    (found,) = [check for check in verify(entry).checks if check.name == "weights"]
    assert "unused hold NaN or infinity" in found.sentence
