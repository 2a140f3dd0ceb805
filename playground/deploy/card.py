"""What is known of an exported model beside its file."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

from playground.datasets.preprocessing import Preprocessing


class Card(TypedDict, total=False):
    """What card.json says. `registry.put` writes name, created, source, labels, sha256 and size_bytes from the file."""

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
    """One model of the registry. A `shipped` one comes with the playground, or is a class's, and cannot be removed."""

    name: str
    folder: Path
    onnx: Path
    card: Card
    shipped: bool = False


Test = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53


def _moment(value: Any) -> bool:
    try:
        datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _list(test: Test, least: int = 0) -> Test:
    return lambda value: isinstance(value, list) and len(value) >= least and all(map(test, value))


def _values(test: Test) -> Test:
    return lambda value: isinstance(value, dict) and all(map(test, value.values()))


def _says(**tests: Test) -> Test:
    """A mapping that says what it says of these as it should; what it leaves out is not known."""
    return lambda value: isinstance(value, dict) and all(
        test(value[key]) for key, test in tests.items() if key in value)


def _preprocessing(value: Any) -> bool:
    try:
        Preprocessing.from_dict(value)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return False
    return _text(value.get("sentence", ""))


def _accuracy(value: Any) -> bool:
    known = _says(value=_number, count=_count, split=_text, confusion=_list(_list(_count)))
    return value is None or (known(value) and {"value", "count"} <= set(value))


def _parity(value: Any) -> bool:
    reference = _says(photo=_text, pixels_sha256=_text, logits=_list(_number))
    known = _says(max_difference=_number, allowed=_number, samples=_count, tolerance=_number, same_top=_count,
                  references=_list(reference))
    return known(value) and (not value or {"max_difference", "allowed", "samples", "same_top"} <= set(value))


SHAPE: dict[str, Test] = {
    "name": _text, "created": _moment, "source": _text, "labels": _list(_text, 1), "task": _text,
    "data": _says(name=_text, source=_text, licence=_text, samples=_values(_count)),
    "training": _says(request=_says(), seed=_count, epochs=_count, reason=_text, seconds=_number, device=_text,
                      parameters=_count, best_epoch=_count, run=_text),
    "accuracy": _accuracy, "preprocessing": _preprocessing, "versions": _values(_text), "parity": _parity,
    "sha256": _text, "size_bytes": _count,
}
DEMANDED = ("created", "labels", "sha256")


def faults(card: Any) -> list[str]:
    """The keys of a card that do not say what they should. What is not demanded may be missing; a key that is not known
    may say anything."""
    if not isinstance(card, dict):
        return list(DEMANDED)
    return [key for key, test in SHAPE.items() if (key in card or key in DEMANDED) and not test(card.get(key))]
