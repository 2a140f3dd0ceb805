"""A handful of the files that bench/bench_import.py counts over: written by other tools, computed as by onnxruntime."""

from pathlib import Path

import pytest

from bench import bench_import, zoo

HANDFUL = {"AlexNet": "onnxruntime, extended", "CRNN (LSTM)": "onnxruntime, basic", "CRNN (GRU)": "onnxruntime, basic",
           "MTCNN P-net": "int8 static, QOperator", "ShuffleNet": "int8 static, QDQ, per channel"}


@pytest.mark.parametrize("name", HANDFUL)
def test_a_file_as_exported_and_as_rewritten_agrees_with_onnxruntime(name: str, tmp_path: Path) -> None:
    exported, rewritten = tmp_path / "exported.onnx", tmp_path / "rewritten.onnx"
    with bench_import.quiet():
        bench_import.by_script(zoo.made(name), exported, 17)
        bench_import.REWRITTEN[HANDFUL[name]](exported, rewritten)
    for path, way in ((exported, "torch"), (rewritten, HANDFUL[name])):
        said = bench_import.judged(path, way, bench_import.given(9))
        assert said["state"] == "agrees", (way, said)


def test_a_file_that_differs_is_not_counted(tmp_path: Path) -> None:
    path = tmp_path / "exported.onnx"
    with bench_import.quiet():
        bench_import.by_script(zoo.made("U-Net"), path, 17)
    real = bench_import.onnx_to_engine

    class Off:
        def __init__(self, file: Path):
            self.model = real(file)

        def run(self, inputs: dict[str, object]) -> list[object]:
            return [1.01 * one for one in self.model.run(inputs)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench_import, "onnx_to_engine", Off)
        assert bench_import.judged(path, "torch", bench_import.given(9))["state"] == "differs"
