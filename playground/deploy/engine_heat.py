"""Where a network looks: the places of its last feature maps that speak for a class, by our engine's way back."""

from pathlib import Path

import numpy as np

from engine import Tensor, backward_steps
from playground.datasets.preprocessing import Preprocessing
from playground.deploy.core import core_of, opened
from playground.deploy.engine_backend import Array, EngineModel
from playground.errors import PlaygroundError


def grad_cam(path: Path, preparation: Preprocessing, image: Array, label: int) -> Array:
    """What every place of the last feature maps says for a class (> 0) or against it (< 0): float64 (h, w).

    image uint8 (H, W, 3). With A the last maps (C, h, w) that still have places and s the score of the class less the
    mean score of the others,

        alpha[c] = mean over places of ds/dA[c];   heat[p, q] = sum over c of alpha[c] * A[c, p, q]

    Grad-CAM keeps the positive part of it; here both signs stay. (Selvaraju et al. 2017, arXiv 1610.02391.) Raises
    PlaygroundError when the file cannot be read or the network has no such maps.
    """
    prepared = preparation.apply(image)
    core = core_of(opened(path), len(prepared), preparation.size)
    names = {name for node in core.graph.node for name in node.output}
    maps: Tensor | None = None
    logits: Tensor | None = None
    model = EngineModel(core)
    for step in model.steps(Tensor(prepared[None], requires_grad=True)):
        made = step.outputs[0]
        if made.ndim == 4 and made.shape[2] * made.shape[3] > 1:
            maps = made
        if "logits" in model.nodes[step.index][0].output:
            logits = made
    if maps is None or logits is None or "logits" not in names:
        raise PlaygroundError("This model has no feature maps that could show where it looks.")
    if not logits.requires_grad:
        raise PlaygroundError("This model's scores have no gradient, so it cannot be shown where it looks.")
    classes = logits.shape[1]
    wish = np.full(logits.shape, -1 / max(1, classes - 1), logits.dtype)
    wish[0, label] = 1
    for walked in backward_steps(logits, wish):
        if walked.output is maps:
            return np.asarray(np.einsum("c,chw->hw", walked.gradient[0].mean((1, 2)), maps.data[0]), np.float64)
    return np.zeros(maps.shape[2:])  # nothing came back: the score does not depend on the maps
