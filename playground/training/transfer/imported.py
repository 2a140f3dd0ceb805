"""Backbones that came as ONNX files, cut before their last layer: what is known of each. No torch in here.

    data/backbones/<key>/features.onnx    prepared pictures (N, C, height, width) -> features (N, D)
                         backbone.json    its title, preprocessing, size; `key` is made of the file and of both
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError
from playground.home import data_dir, demand_room, read_json, whole

MARK = "onnx:"
GRAPH, FACTS = "features.onnx", "backbone.json"
MOST = 24
"""How many of them the server keeps: those that were taken longest ago go first."""
_KEY = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True)
class Imported:
    """An ONNX classifier without its last layer, as a row of `BACKBONES`. Only its last layer can be trained anew."""

    key: str
    title: str
    prepared: Preprocessing
    channels: int
    parameters: int
    at_once: int = 2  # pictures at a time: so many were tried in a process with bounded memory

    @property
    def name(self) -> str:
        """What a request calls it."""
        return f"{MARK}{self.key}"

    @property
    def image_size(self) -> int:
        return self.prepared.size[0]

    @property
    def path(self) -> Path:
        return folder(self.key) / GRAPH

    def preprocessing(self, size: int = 0) -> Preprocessing:
        """What was said of its pictures when it was taken; it has no other size."""
        return self.prepared

    def weights_name(self) -> str:
        """What tells it from others."""
        return self.key


def is_imported(name: object) -> bool:
    """Whether a request's backbone is one of these.

    >>> is_imported("onnx:0123456789abcdef"), is_imported("efficientnet_lite0")
    (True, False)
    """
    return isinstance(name, str) and name.startswith(MARK)


def folder(key: str) -> Path:
    """Where one is kept."""
    return data_dir() / "backbones" / key


def put(key: str, graph: bytes, facts: Mapping[str, Any]) -> str:
    """Keep one, whole or not at all; what a request calls it. The oldest of more than `MOST` goes. Raises
    PlaygroundError where there is no room for it."""
    place = folder(key)
    if not (place / GRAPH).is_file():
        demand_room(len(graph))
    try:
        place.mkdir(parents=True, exist_ok=True)
        with whole(place / GRAPH) as incoming:
            incoming.write_bytes(graph)
        with whole(place / FACTS) as incoming:
            incoming.write_text(json.dumps(dict(facts), ensure_ascii=False, indent=2), encoding="utf-8")
        os.utime(place)
        for old in sorted(place.parent.iterdir(), key=lambda one: one.stat().st_mtime, reverse=True)[MOST:]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise PlaygroundError(f"The backbone cannot be kept on this server: {error.strerror}.") from error
    return f"{MARK}{key}"


def find(name: str) -> Imported:
    """The one that a request names. Raises PlaygroundError when it is not there (any more)."""
    key = name.removeprefix(MARK)
    try:
        if not _KEY.fullmatch(key):
            raise ValueError(key)
        said = read_json(folder(key) / FACTS)
        found = Imported(key, str(said["title"]), Preprocessing.from_dict(said["preprocessing"]),
                         int(said["features"]), int(said["parameters"]))
        if not found.path.is_file():
            raise ValueError(key)
        return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise PlaygroundError(f"The backbone {name} is not here (any more): open its file in the ONNX lab "
                              "again.") from None
