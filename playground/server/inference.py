"""What a program is told of the models here, and what they say of its pictures, just as the Models page says it.

Loaded by `playground.server.models` when somebody asks first. All of it is called in threads.
"""

import re
import time
from collections.abc import Mapping
from typing import Any, BinaryIO
from urllib.parse import quote

from playground import home
from playground.datasets import photos
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import registry, session
from playground.deploy.card import Card, Entry
from playground.errors import PlaygroundError
from playground.server.asked import RefusedError

GONE = "There is no model of this name here: GET /api/models lists those that there are."
FORGOTTEN = "There is no such file: the server keeps the few that were opened last, and knows each by its digest."
_DIGEST = re.compile(r"[0-9a-f]{32}")


def listed(base: str = "") -> dict[str, Any]:
    """All models that can be read, newest first, those that come with the playground last."""
    return {"models": [_of(entry, base) for entry in registry.entries()]}


def described(name: str, base: str = "") -> dict[str, Any]:
    """One model. `base` stands before the addresses of its links. Raises RefusedError."""
    return _of(_find(name), base)


def opened(name: str) -> BinaryIO:
    """The file of a model, open: it can be read to its end, removed or replaced meanwhile. Raises RefusedError."""
    try:
        return open(_find(name).onnx, "rb")
    except FileNotFoundError as error:  # removed since
        raise RefusedError(404, GONE) from error


def opened_file(digest: str) -> BinaryIO:
    """A file that a reader opened in the ONNX lab, by the digest that names it. Raises RefusedError."""
    if _DIGEST.fullmatch(digest) is None:
        raise RefusedError(404, FORGOTTEN)
    try:
        return open(home.opened_dir() / f"{digest}.onnx", "rb")
    except FileNotFoundError as error:
        raise RefusedError(404, FORGOTTEN) from error


def predicted(name: str, content: bytes, top: int | None = None, as_it_is: bool = False) -> dict[str, Any]:
    """What a model says of a picture file: the `top` likeliest labels (all without it), likeliest first.

    A model of handwritten digits is shown the dark ink on light paper as the light strokes on black it has learnt from,
    unless it is to see the picture `as_it_is`. Raises RefusedError where there is no such model or no picture.
    """
    entry = _find(name)
    try:
        pixels = photos.open_photo(content) if as_it_is else photos.for_model(content, tuple(entry.card["labels"]))
    except PlaygroundError as error:
        raise RefusedError(400, str(error)) from error
    classifier = session.open_classifier(entry.onnx)
    start = time.perf_counter()
    said = classifier.predict([pixels])[0]
    seconds = time.perf_counter() - start
    likeliest = said.top(len(said.labels) if top is None else top)
    return {"model": name, "seconds": seconds,
            "predictions": [{"label": label, "probability": chance} for label, chance in likeliest]}


def _find(name: str) -> Entry:
    found = registry.find(name)
    if found is None:
        raise RefusedError(404, GONE)
    return found


def _of(entry: Entry, base: str) -> dict[str, Any]:
    card = entry.card
    here = f"{base}/api/models/{quote(entry.name, safe='')}"
    measured = card.get("accuracy")
    return {
        "name": entry.name, "task": card.get("task"), "backbone": _backbone(card),
        "input": _input(card.get("preprocessing")), "labels": card["labels"],
        "accuracy": measured and {"value": measured["value"], "count": measured["count"],
                                  "split": measured.get("split", "test")},
        "size_bytes": card.get("size_bytes"), "sha256": card["sha256"], "created": card["created"],
        "source": home.public(card.get("source", "")),
        "links": {"self": here, "onnx": f"{here}/model.onnx", "predict": f"{here}/predict",
                  "page": f"{base}/models?model={quote(entry.name, safe='')}"},
    }


def _backbone(card: Card) -> str | None:
    request = card.get("training", {}).get("request", {})
    found = request.get("backbone") if isinstance(request, dict) else None
    return found if isinstance(found, str) else None


def _input(said: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the network inside the file looks at, after the preparation that is in the file too."""
    if not said:
        return None
    known = Preprocessing.from_dict(said)
    height, width = known.size
    return {"height": height, "width": width, "channels": 1 if known.gray else 3, "preprocessing": known.sentence()}
