"""PyTorch's models as ONNX, through torch's own exporter."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from playground.deploy.contract import first_line
from playground.deploy.preprocess_graph import OPSET
from playground.errors import PlaygroundError


def torch_to_onnx(module: nn.Module, example_shape: Sequence[int]) -> onnx.ModelProto:
    """A torch module as an ONNX model: `pixels` float32 (N, C, H, W), N free -> its scores.

    The module is exported in eval mode, in float32, from a copy on the CPU. Raises PlaygroundError when torch's
    exporter fails or gives another opset than asked for (it would do so silently).
    """
    written: Callable[[], onnx.ModelProto] | None = getattr(module, "as_onnx", None)
    if written is not None:  # a graph that came as ONNX, with a head of torch's
        return written()
    exported = copy.deepcopy(module).to("cpu", torch.float32).eval()
    example = torch.rand((max(2, example_shape[0]), *example_shape[1:]), generator=torch.Generator().manual_seed(0))
    with _quiet():
        try:
            program = torch.onnx.export(
                exported, (example,), dynamo=True, external_data=False, opset_version=OPSET, verbose=False,
                input_names=["pixels"], output_names=["scores"],
                dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
            )
        except Exception as error:  # the exporter and everything under it raise what they like
            raise PlaygroundError(f"torch could not export the model: {first_line(error)}") from error
    assert program is not None
    model = program.model_proto
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets.get("") != OPSET:
        raise PlaygroundError(f"torch's exporter wrote opset {opsets.get('')} instead of {OPSET}; this version of "
                              "torch cannot be used to export.")
    for domain in [entry for entry in model.opset_import if entry.domain]:  # declared by the exporter, used by no node
        if not any(node.domain == domain.domain for node in model.graph.node):
            model.opset_import.remove(domain)
    return model


def torch_answers(module: nn.Module, pixels: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    """The module's own scores for prepared pixels (N, C, H, W), in eval mode, wherever its weights are."""
    place = next(module.parameters(), torch.empty(0)).device
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        with torch.no_grad():
            return np.asarray(module(torch.from_numpy(pixels).to(place)).float().cpu())
    finally:
        for part, training in modes.items():
            part.training = training


@contextlib.contextmanager
def _quiet():  # type: ignore[no-untyped-def]
    """The exporter tells of its progress and of optional packages; nobody asked."""
    loud = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loud]
    for logger in loud:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loud, levels, strict=True):
            logger.setLevel(level)
