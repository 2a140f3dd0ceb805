"""What each ONNX operator is in the engine's terms; importing this package fills the table."""

from playground.deploy.engine_import import (
    activations,
    arithmetic,
    indexing,
    losses,
    microsoft,
    microsoft_quantized,
    norms,
    quantized,
    recurrent,
    reductions,
    resize,
    sampling,
    shapes,
    windows,
)
from playground.deploy.engine_import.operators import OPERATORS, Operator, find

__all__ = [
    "OPERATORS", "Operator", "activations", "arithmetic", "find", "indexing", "losses", "microsoft",
    "microsoft_quantized", "norms", "quantized", "recurrent", "reductions", "resize", "sampling", "shapes", "windows",
]
