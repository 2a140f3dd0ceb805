"""Layer by layer: where onnxruntime and the engine first part on somebody else's file."""

from pathlib import Path
from typing import Any

import numpy as np

from playground.deploy import engine_layers
from playground.inspection.report import opened


def layers(path: Path, name: str, x: np.ndarray) -> dict[str, Any]:
    """`engine_layers.layers` of a file. Raises PlaygroundError when it cannot be opened, or one cannot run it."""
    return engine_layers.layers(opened(path), name, x)
