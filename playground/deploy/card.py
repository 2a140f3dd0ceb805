"""What is known of an exported model beside its file."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict


class Card(TypedDict, total=False):
    """What card.json says. `shelf.put` writes name, created, source, labels, sha256 and size_bytes from the file."""

    name: str
    created: str  # ISO 8601
    source: str  # which engine and version
    labels: list[str]
    task: str  # "digits", "transfer"
    data: dict[str, Any]  # where the pictures are from and how many there were
    training: dict[str, Any]  # the request, the seed, epochs, seconds
    accuracy: dict[str, Any] | None  # {"value": 0.98, "count": 360, "split": "test"}
    preprocessing: dict[str, Any]  # Preprocessing.to_dict() and its "sentence"
    versions: dict[str, str]
    parity: dict[str, Any]  # Parity.to_dict()
    sha256: str  # of model.onnx
    size_bytes: int


@dataclass(frozen=True)
class Entry:
    """One model on the shelf."""

    name: str
    folder: Path
    onnx: Path
    card: Card
