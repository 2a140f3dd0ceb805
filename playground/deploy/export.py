"""From a trained model to an entry of the registry, only if onnxruntime gives its source's answers."""

import hashlib
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import onnx

from playground.datasets import samples
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import contract, registry
from playground.deploy.parity import TOLERANCE, Parity, Reference, compare, pixels_sha256, second_opinion
from playground.deploy.registry import Entry
from playground.deploy.report import OWN, Report
from playground.deploy.session import Array, Classifier
from playground.deploy.verification import PATTERN, reference_picture
from playground.errors import PlaygroundError
from playground.numbers import counted, number

_AT_ONCE = 32  # prepared pictures through the source together
_FEW_NODES = 40  # up to so many, onnx's slow reference runtime is asked too


class Trained(Protocol):
    """What training hands over: `model` (the NumPy engine's) or `module` (torch's), and what goes around it."""

    @property
    def preprocessing(self) -> Preprocessing: ...
    @property
    def classes(self) -> Sequence[str]: ...


def export_run(
    trained: Trained, name: str, facts: Mapping[str, Any], images: Sequence[Array] | Array, *, replace: bool = False,
    tolerance: float = TOLERANCE, created: datetime | None = None,
) -> Entry:
    """Export a trained model to the registry, if the file gives its source's answers on real raw pictures.

    images: uint8 (H, W, 3) or gray (H, W), some of the data's own. Built-in photos of other sizes and shapes are
    compared too, and the source's answers to those are kept on the card, so that `registry.verify` can ask again
    without the trainer. `created` is the moment the file names, now where none is given: the same training with the
    same moment gives the same bytes. facts go on the card as they are (task, data, training, accuracy). Raises
    PlaygroundError, leaving nothing in the registry, when the name is taken, an op cannot be exported, or the answers
    differ by more than `tolerance` of the largest.
    """
    (registry.check_name if replace else registry.check_free)(name)
    if not len(images):
        raise PlaygroundError("An export is checked on real pictures, and none were given.")
    images = [np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image for image in images]
    preprocessing, labels = trained.preprocessing, list(trained.classes)
    source, packages = _source(trained)
    core = _core(trained)
    data = contract.finish(core, preprocessing, labels, source, created, scores_are_logits=getattr(
        trained, "scores_are_logits", False)).SerializeToString(deterministic=True)

    known = (*samples.photo_names(), PATTERN)
    pictures = [reference_picture(one) for one in known]
    logits = answers(trained, [*images, *pictures])
    references = tuple(
        Reference(one, pixels_sha256(picture), tuple(float(z) for z in row))
        for one, picture, row in zip(known, pictures, logits[len(images):], strict=True))
    parity = compare(logits, Classifier(data), [*images, *pictures], tolerance, references)
    demand(parity)
    kept = parity.to_dict()
    if len(core.graph.node) <= _FEW_NODES and not hasattr(trained, "module"):
        kept["second_runtime"] = _second_runtime(trained, core, images[:2], tolerance)

    card = {
        **facts,
        "preprocessing": {**preprocessing.to_dict(), "sentence": preprocessing.sentence()},
        "versions": _versions(packages),
        "parity": kept,
    }
    report = _report(trained, data, images, source, tolerance)
    registry.put(name, data, card, replace=replace, report=report)
    entry = registry.get(name)
    assert isinstance(entry, Entry)
    return entry


def answers(trained: Trained, images: Sequence[Array]) -> Array:
    """The source's own logits for raw pictures: its Python preprocessing, then its model. float32 (N, K).

    A single score z for two classes (a sigmoid head) is given as [0, z], as in the exported file.
    """
    rows = []
    for start in range(0, len(images), _AT_ONCE):
        pixels = np.stack([trained.preprocessing.apply(image) for image in images[start:start + _AT_ONCE]])
        rows.append(_scores(trained, pixels))
    scores = np.concatenate(rows)
    if scores.shape[1] == 1 and len(trained.classes) == 2:
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    return scores


def _report(trained: Trained, data: bytes, images: Sequence[Array], source: str, tolerance: float) -> Report:
    """The report on the file, on some of the data's own pictures, evenly chosen."""
    from playground.deploy import engine_report

    chosen = np.unique(np.linspace(0, len(images) - 1, min(engine_report.PICTURES, len(images))).astype(int))
    return engine_report.report(data, hashlib.sha256(data).hexdigest(), [images[k] for k in chosen], OWN,
                                lambda image: answers(trained, [image])[0], source, tolerance)


def demand(parity: Parity) -> None:
    """Raises PlaygroundError when the exported file does not give its source's answers."""
    if not parity.ok:
        raise PlaygroundError(
            f"The exported file does not give the model's own answers: on "
            f"{counted(parity.samples, 'picture')} its logits are up to {number(parity.max_difference, 3)} off, "
            f"{number(parity.allowed, 3)} is allowed. No model was kept.")


def _second_runtime(trained: Trained, core: onnx.ModelProto, images: Sequence[Array],
                    tolerance: float) -> dict[str, Any]:
    pixels = np.stack([trained.preprocessing.apply(image) for image in images])
    scores = _scores(trained, pixels)
    difference = second_opinion(core, pixels, scores)
    if not difference <= tolerance * max(1.0, float(np.abs(scores).max())):
        raise PlaygroundError(f"onnx's reference runtime reads the exported model differently: its scores are "
                              f"{number(difference, 3)} off. No model was kept.")
    return {"name": f"onnx.reference {onnx.__version__}", "samples": len(images), "max_difference": difference}


# torch is not waited for unless the model is torch's; the engine's module is imported beside it for symmetry.
def _core(trained: Any) -> onnx.ModelProto:
    shape = (2, 1 if trained.preprocessing.gray else 3, *trained.preprocessing.size)
    if hasattr(trained, "module"):
        from playground.deploy.torch_export import torch_to_onnx
        return torch_to_onnx(trained.module, shape)
    from playground.deploy.engine_export import engine_to_onnx
    return engine_to_onnx(trained.model, shape)


def _scores(trained: Any, pixels: Array) -> Array:
    if hasattr(trained, "module"):
        from playground.deploy.torch_export import torch_answers
        return torch_answers(trained.module, pixels)
    from playground.deploy.engine_export import engine_answers
    return engine_answers(trained.model, pixels)


def _source(trained: Any) -> tuple[str, tuple[str, ...]]:
    if hasattr(trained, "module"):
        return f"PyTorch {importlib.metadata.version('torch')}", ("torch", "onnxscript")
    return f"NumPy engine on NumPy {np.__version__}", ()


def _versions(packages: Sequence[str]) -> dict[str, str]:
    named = ("numpy", "pillow", "onnx", "onnxruntime", *packages)
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in named}
