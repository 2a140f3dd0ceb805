"""A model's numbers by name, as torch names them: out of a model and into it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.core import Array, ShapeError

if TYPE_CHECKING:
    from engine.module import Module


def state_dict(module: "Module") -> dict[str, Array]:
    """Every parameter and buffer by its path ("0.weight", "1.running_mean"): the arrays themselves, not copies."""
    return dict(module.named_arrays())


def load_state_dict(module: "Module", state: Mapping[str, Any], strict: bool = True) -> tuple[list[str], list[str]]:
    """Copy numbers into a model by name, keeping the model's own dtype; returns (missing, unexpected) names.

    Values are arrays or torch tensors. Nothing is changed unless everything fits: raises KeyError when names are
    missing or unexpected (not with strict=False), ShapeError when an array has another shape.
    """
    own = state_dict(module)
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    if strict and (missing or unexpected):
        said = [f"{kind} {', '.join(names)}" for kind, names in (("missing", missing), ("unexpected", unexpected))
                if names]
        raise KeyError(f"the state does not fit this {type(module).__name__}: {'; '.join(said)}")
    values = {name: np.asarray(state[name]) for name in own if name in state}
    for name, value in values.items():
        if value.shape != own[name].shape:
            raise ShapeError(f"{name} has shape {own[name].shape} in the model and {value.shape} in the state")
    for name, value in values.items():
        own[name][...] = value
    return missing, unexpected
