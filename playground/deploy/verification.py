"""Years later, on another machine: is this still the model that was exported, and does it still answer the same?"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper

from playground.datasets import samples
from playground.deploy import contract
from playground.deploy.card import Card, Entry
from playground.deploy.parity import TOLERANCE, Reference, pattern, pixels_sha256
from playground.deploy.session import Array, Classifier
from playground.errors import PlaygroundError
from playground.numbers import counted, number

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)
PATTERN = "pattern"  # the computed picture; every other reference is a built-in photo


@dataclass(frozen=True)
class Check:
    """One thing looked at: its name, whether it holds, and a sentence for a person."""

    name: str
    ok: bool
    sentence: str


@dataclass(frozen=True)
class Verification:
    """Every check of one model, in order."""

    name: str
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok,
                "checks": [{"name": c.name, "ok": c.ok, "sentence": c.sentence} for c in self.checks]}


def reference_picture(name: str) -> Array:
    """A known picture by its name: uint8 (H, W, 3). Raises PlaygroundError when there is none here."""
    if name == PATTERN:
        return pattern()
    if name not in samples.photo_names():
        raise PlaygroundError(f"There is no built-in photo called {name}.")
    known: np.ndarray = samples.photo(name)
    return known


def verify(model: Entry | Path) -> Verification:
    """Checksum, contract, labels, and the stored answers asked again of onnxruntime, without the trainer.

    A file without a card can be held to the contract only, and to answering at all.
    """
    path, name = (model.onnx, model.name) if isinstance(model, Entry) else (model, model.name)
    checks = []
    if isinstance(model, Entry):
        checks.append(_checksum(path, model.card))
    try:
        classifier = Classifier(path)
    except PlaygroundError as error:
        return Verification(name, (*checks, Check("contract", False, str(error))))
    checks.append(Check("contract", True, "Raw pixels in, logits and probabilities of "
                                          f"{counted(len(classifier.labels), 'label')} out; made by "
                                          f"{classifier.source}."))
    checks += [_weights(path), _probabilities(classifier)]
    if isinstance(model, Entry):
        checks += [_labels(classifier, model.card), _references(classifier, model.card)]
    return Verification(name, tuple(checks))


def _checksum(path: Path, card: Card) -> Check:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return Check("checksum", False, f"{path.name} cannot be read: {error.strerror}.")
    if found != card["sha256"]:
        return Check("checksum", False, f"{path.name} is not the file that was exported: its SHA-256 is "
                                        f"{found[:12]}…, the card says {card['sha256'][:12]}….")
    return Check("checksum", True, f"{path.name} is the file that was exported (SHA-256 {found[:12]}…).")


def _weights(path: Path) -> Check:
    """Whether every weight is a number: one NaN makes every answer one, and an infinity most of them."""
    graph = contract.parse(path.read_bytes()).graph
    wrong = [tensor.name or "a constant" for tensor in contract.tensors(graph) if tensor.data_type in FLOATS
             and not np.isfinite(numpy_helper.to_array(tensor).astype(np.float64)).all()]
    wrong += [node.name or node.op_type for node in graph.node for attribute in node.attribute
              if not np.isfinite([attribute.f, *attribute.floats]).all()]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return Check("weights", False, f"Not all weights are numbers: {', '.join(wrong[:3])}{more} hold NaN or "
                                       "infinity.")
    return Check("weights", True, "All weights are numbers.")


def _probabilities(classifier: Classifier) -> Check:
    """Its probabilities are the softmax of its logits, one picture at a time and two together."""
    picture = pattern()
    try:
        answers = [*classifier.predict([picture]), *classifier.predict([picture, picture[:, ::-1].copy()])]
    except PlaygroundError as error:
        return Check("probabilities", False, str(error))
    worst = 0.0
    for answer in answers:
        exponentials = np.exp(answer.logits.astype(np.float64) - answer.logits.max())
        worst = max(worst, float(np.abs(exponentials / exponentials.sum() - answer.probabilities).max()))
    if not worst <= 1e-5:
        return Check("probabilities", False, f"The probabilities are up to {number(worst, 3)} off the softmax of "
                                             "the logits.")
    return Check("probabilities", True, "The probabilities are the softmax of the logits.")


def _labels(classifier: Classifier, card: Card) -> Check:
    if list(classifier.labels) != card["labels"]:
        return Check("labels", False, "The labels in the file are not the labels on the card.")
    return Check("labels", True, f"File and card name the same {counted(len(classifier.labels), 'label')}.")


def _references(classifier: Classifier, card: Card) -> Check:
    name = "references"
    try:
        kept = card.get("parity") or {}
        references = [Reference.from_dict(data) for data in kept.get("references", [])]
        tolerance = float(kept.get("tolerance", TOLERANCE))
    except (KeyError, TypeError, ValueError, AttributeError):
        return Check(name, False, "The answers kept on the card cannot be read.")
    pictures, wanted, changed = [], [], []
    for reference in references:
        try:
            picture = reference_picture(reference.photo)
        except PlaygroundError:
            changed.append(reference.photo)
            continue
        if pixels_sha256(picture) == reference.pixels_sha256:
            pictures.append(picture)
            wanted.append(reference.logits)
        else:
            changed.append(reference.photo)
    if not pictures:
        return Check(name, False, "The card keeps no answer to a picture that this machine has.")
    try:
        answers = [answer.logits.astype(np.float64) for answer in classifier.predict(pictures)]
    except PlaygroundError as error:
        return Check(name, False, str(error))
    if any(len(logits) != len(answer) for logits, answer in zip(wanted, answers, strict=True)):
        return Check(name, False, "The answers kept on the card are for another number of labels.")
    worst = float(np.abs(np.array(answers) - np.array(wanted)).max())
    allowed = tolerance * max(1.0, float(np.abs(wanted).max()))
    without = f" ({', '.join(changed)} left out: the pictures differ here)" if changed else ""
    known = counted(len(pictures), "known picture")
    if not worst <= allowed:
        return Check(name, False, f"On {known} the file is up to {number(worst, 3)} off its source's answers, "
                                  f"{number(allowed, 3)} is allowed{without}.")
    return Check(name, True, f"On {known} the file gives its source's answers to "
                             f"{number(worst, 3)}{without}.")
