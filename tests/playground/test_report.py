"""The report on an exported file: source, onnxruntime and engine on the same pictures, kept, shown, taken home."""

import io
import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from playground import verifying
from playground.deploy import engine_report, package, registry, report
from playground.deploy.engine_import import OPERATORS, Operator
from playground.deploy.export import answers, export_run
from playground.deploy.registry import Entry
from tests.playground.test_deploy_export import FACTS, digits, trained

pytestmark = pytest.mark.usefixtures("playground_home")


@pytest.fixture
def entry(playground_home: Path) -> Entry:
    return export_run(trained(), "m", FACTS, digits(), created=datetime(2026, 11, 30, tzinfo=UTC))


def again(entry: Entry, data: bytes | None = None) -> report.Report:
    source = trained()
    return engine_report.report(data or entry.onnx.read_bytes(), entry.card["sha256"], digits(), report.OWN,
                                lambda image: answers(source, [image])[0], "a test")


def test_an_export_keeps_a_report_in_which_all_three_agree(entry: Entry) -> None:
    found = report.read(entry)
    assert found is not None
    assert found["ok"] is True
    assert found["pictures"]["count"] == 10
    assert [one["by"] for one in found["through"]] == ["source", "onnxruntime", "engine"]
    assert all(one["milliseconds"] > 0 for one in found["through"])
    assert [one["of"] for one in found["between"]] == [["source", "onnxruntime"], ["source", "engine"],
                                                       ["onnxruntime", "engine"]]
    assert all(one["same_label"] == 10 and 0 < one["largest"] < 1e-4 for one in found["between"])
    assert found["layers"]["parted"] is None
    assert len(found["layers"]["nodes"]) >= len(onnx.load(entry.onnx).graph.node)


def test_it_goes_into_the_zip_without_times_and_into_the_card_in_words(entry: Entry) -> None:
    with zipfile.ZipFile(io.BytesIO(package.package(entry))) as archive:
        taken = json.loads(archive.read("m/report.json"))
        card = archive.read("m/MODEL_CARD.md").decode()
    kept = report.read(entry)
    assert kept is not None
    assert not any("milliseconds" in one for one in taken["through"])
    assert taken["between"] == kept["between"]
    assert taken["layers"] == kept["layers"]
    assert all(sentence in card for sentence in report.sentences(kept))


def test_other_weights_than_the_sources_are_no_agreement(entry: Entry) -> None:
    model = onnx.load(entry.onnx)
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "6.bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32([0.5, 0, 0]), "6.bias"))
    found = again(entry, model.SerializeToString())
    assert [one["ok"] for one in found["between"]] == [False, False, True]
    assert found["between"][0]["largest"] == pytest.approx(0.5, abs=1e-4)
    assert found["between"][0]["mean"] == pytest.approx(0.5 / 3, abs=1e-4)
    assert found["ok"] is False
    assert found["layers"]["parted"] is None  # the same file, read in the same way by both


def test_the_first_node_that_the_engine_computes_otherwise_is_named(
        entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    (row,) = OPERATORS["Relu"]
    wrong = Operator(row.op_type, row.since, lambda x: row.function(x) * 1.5, row.attributes, row.counts_outputs)
    monkeypatch.setitem(OPERATORS, "Relu", [wrong])
    found = again(entry)
    assert found["layers"]["nodes"][found["layers"]["parted"]]["operator"] == "Relu"
    assert [one["ok"] for one in found["between"]] == [True, False, False]
    assert any("part first at" in sentence and "(Relu)" in sentence for sentence in report.sentences(found))


def test_a_file_the_engine_cannot_follow_is_compared_without_it_and_says_why(
        entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(OPERATORS, "Relu")
    found = again(entry)
    assert [one["of"] for one in found["between"]] == [["source", "onnxruntime"]]
    assert found["ok"] is True
    assert "lacks the ONNX operator Relu" in found["through"][-1]["sentence"]
    assert sum("Relu" in sentence for sentence in report.sentences(found)) == 2


def test_a_damaged_report_or_one_of_another_file_is_none(entry: Entry) -> None:
    path = entry.folder / report.FILE
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, "sha256": "0" * 64}))
    assert report.read(entry) is None
    path.write_text(json.dumps({**whole, "between": [{}]}))
    assert report.read(entry) is None
    assert report.take_home(entry) == {}
    assert report.lines(entry) == []


def test_without_its_run_a_model_is_compared_with_the_answers_on_its_card(entry: Entry) -> None:
    source = verifying.source_of(entry, 4)
    assert source.trained is None
    assert len(source.images) == 4
    found = verifying.report(entry, source)
    assert found["ok"] is True
    assert "kept from the export" in found["through"][0]["what"]


def test_the_shipped_model_comes_with_its_report() -> None:
    shipped = registry.find("digits-example")
    assert shipped is not None
    found = report.read(shipped)
    assert found is not None
    assert found["ok"] is True


def test_a_large_photograph_is_thinned_out_where_every_number_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_report, "PIXELS_OF_LAYERS", 100)
    large, small = np.zeros((30, 40, 3), np.uint8), np.zeros((9, 11, 3), np.uint8)
    assert engine_report._small([large, small]).shape == (9, 11, 3)
    assert engine_report._small([large]).shape == (8, 10, 3)
    monkeypatch.setattr(engine_report, "PIXELS_OF_LAYERS", 99)
    assert engine_report._small([small]).shape == (9, 11, 3)
