"""Layer by layer: where onnxruntime and the engine first part on somebody else's file."""

from pathlib import Path
from typing import Any

import numpy as np

from playground.deploy import engine_layers
from playground.inspection import running
from playground.inspection.report import opened


def layers(path: Path, name: str, x: np.ndarray) -> dict[str, Any]:
    """`engine_layers.layers` of a file. Raises PlaygroundError when it cannot be opened, or one cannot run it."""
    model = opened(path)
    return engine_layers.layers(model, name, running.batched(x, running.batch_of(running.session(path), name)))
