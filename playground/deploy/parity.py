"""Does the exported file give its source's answers? Measured on real pictures, from raw pixels to logits."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from playground.deploy.session import Array, Classifier
from playground.errors import PlaygroundError

TOLERANCE = 1e-3  # of the largest logit, or of 1 where all are smaller


@dataclass(frozen=True)
class Reference:
    """The source's own answer to one known picture, kept so that it can be asked again without the trainer."""

    photo: str
    pixels_sha256: str
    logits: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"photo": self.photo, "pixels_sha256": self.pixels_sha256, "logits": list(self.logits)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Reference":
        return cls(str(data["photo"]), str(data["pixels_sha256"]), tuple(float(z) for z in data["logits"]))


@dataclass(frozen=True)
class Parity:
    """How far the file's logits are from its source's.

    max_difference is the largest absolute difference, `allowed` what it may be: tolerance * max(1, largest logit).
    same_top counts the samples whose likeliest label is the same.
    """

    max_difference: float
    allowed: float
    samples: int
    tolerance: float
    same_top: int
    references: tuple[Reference, ...] = ()

    @property
    def ok(self) -> bool:
        return self.max_difference <= self.allowed  # false, too, when the difference is nan

    def to_dict(self) -> dict[str, Any]:
        return {
            "max_difference": self.max_difference, "allowed": self.allowed, "samples": self.samples,
            "tolerance": self.tolerance, "same_top": self.same_top,
            "references": [reference.to_dict() for reference in self.references],
        }


def compare(
    source_logits: Array, classifier: Classifier, images: Sequence[Array], tolerance: float = TOLERANCE,
    references: tuple[Reference, ...] = (),
) -> Parity:
    """The source's logits (N, K) beside the classifier's on the same N raw pictures.

    Every picture is asked twice, among its neighbours of the same size and alone, so a file that only works for one
    batch size is found. Raises PlaygroundError when there is nothing to compare.
    """
    if not len(images):
        raise PlaygroundError("Without a picture to compare on, nobody knows whether the export is right.")
    source = np.asarray(source_logits, np.float64)
    together = np.stack([p.logits for p in classifier.predict(images)]).astype(np.float64)
    alone = np.stack([classifier.predict([image])[0].logits for image in images]).astype(np.float64)
    if source.shape != together.shape:
        raise PlaygroundError(f"The source gives scores {source.shape}, the exported file {together.shape}.")
    difference = np.maximum(np.abs(together - source), np.abs(alone - source))
    return Parity(
        max_difference=float(difference.max()),
        allowed=float(tolerance * max(1.0, float(np.abs(source).max()))),
        samples=len(images),
        tolerance=tolerance,
        same_top=int((together.argmax(1) == source.argmax(1)).sum()),
        references=references,
    )


def second_opinion(core: onnx.ModelProto, pixels: Array, scores: Array) -> float:
    """How far the scores onnx's own reference runtime gives are from the source's: another reader of the same graph.

    core takes prepared pixels (N, C, H, W). The reference runtime is plain NumPy and slow: for small models only.
    """
    (found,) = ReferenceEvaluator(core).run(None, {core.graph.input[0].name: pixels})
    return float(np.abs(np.asarray(found, np.float64) - scores).max())


def pixels_sha256(image: Array) -> str:
    """Names a picture by its pixels and shape."""
    return hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes()).hexdigest()


def pattern(height: int = 97, width: int = 131) -> Array:
    """A picture made of integer arithmetic alone, so every machine of every year has the same one: uint8 (H, W, 3).

    Slanted ramps of three speeds and a disc: smooth parts, sharp edges, and no symmetry that could hide a flip.
    """
    y, x = np.mgrid[:height, :width]
    picture = np.stack([(5 * x + 2 * y) % 256, (3 * y - x) % 256, (x * y) // 16 % 256], axis=2)
    picture[(x - width // 3) ** 2 + (y - height // 2) ** 2 < (height // 4) ** 2] = (250, 120, 10)
    return picture.astype(np.uint8)
