"""ONNX lab: open any ONNX file, look into it, run it, and see how fast it is."""

from playground.ui.studio import onnx_file, onnx_lab

opened = onnx_file.choose()
if opened:
    onnx_lab.lab(opened)
