"""A model verified anew: its file beside the weights of the run that made it, while those are still here."""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from playground import home
from playground.deploy.card import Entry
from playground.deploy.parity import Reference, pixels_sha256
from playground.deploy.report import KNOWN, OWN
from playground.errors import PlaygroundError

PATIENCE_SECONDS = 600.0
_ONE = threading.BoundedSemaphore(1)  # it may load torch: one at a time


@dataclass(frozen=True)
class Source:
    """Who can still be asked: the trained network of a run, with `images` of its data; else the answers on the card."""

    name: str
    what: str
    images: tuple[np.ndarray, ...]
    trained: Any = None
    logits: np.ndarray | None = None

    def ask(self, image: np.ndarray) -> np.ndarray:
        """The trained network's logits (K,) for a raw picture uint8 (H, W, 3)."""
        from playground.deploy.export import answers

        return np.asarray(answers(self.trained, [image])[0])


def source_of(model: Entry | Path, pictures: int) -> Source:
    """What a model can be compared with, on so many pictures. What is read here is the app's own, not the file."""
    from playground.deploy.verification import reference_picture

    said: dict[str, Any] = dict(model.card) if isinstance(model, Entry) else {}
    name = str(said.get("source", ""))
    if (found := _of_run(said, name, pictures)) is not None:
        return found
    kept: list[tuple[np.ndarray, Sequence[float]]] = []
    for data in said.get("parity", {}).get("references", []):
        try:
            reference = Reference.from_dict(data)
            picture = reference_picture(reference.photo)
        except (PlaygroundError, KeyError, TypeError, ValueError):
            continue
        if pixels_sha256(picture) == reference.pixels_sha256:
            kept.append((picture, reference.logits))
    if kept and len({len(logits) for _, logits in kept}) == 1:
        kept = kept[:pictures]
        return Source(name, KNOWN, tuple(picture for picture, _ in kept),
                      logits=np.array([logits for _, logits in kept]))
    from playground.datasets import samples

    return Source("", KNOWN, tuple(samples.photo(one) for one in samples.photo_names()[:pictures]))


def _of_run(said: dict[str, Any], name: str, pictures: int) -> Source | None:
    from playground import jobs
    from playground.training.runs import runs

    run = said.get("training", {}).get("run")
    try:
        run_dir = runs.run_dir(str(run))
        spec = runs.read_spec(run_dir)
        trained = jobs.trainer_of(spec.kind).load_trained(run_dir)
        return Source(name, OWN, tuple(jobs.own_pictures(spec, run_dir, pictures)), trained=trained)
    except (PlaygroundError, OSError):  # the run was removed, or its photographs were
        return None


def report(model: Entry | Path, source: Source) -> dict[str, Any]:
    """`engine_report.report` of the file as it is now. Raises PlaygroundError when it cannot be read or run."""
    import hashlib

    from playground.deploy.engine_report import report as made

    path = model.onnx if isinstance(model, Entry) else model
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlaygroundError(f"{path.name} cannot be read: {error.strerror}.") from error
    asked = source.ask if source.trained is not None else source.logits
    return made(data, hashlib.sha256(data).hexdigest(), source.images, source.what, asked, source.name)


def ask(entry: Entry) -> dict[str, Any]:
    """Verify a model in a process of its own, as the command line does: its checks and its report.

    Raises PlaygroundError when that came to no end.
    """
    asked = {"command": "verify", "model": entry.name, "path": str(entry.folder.resolve()), "json": True}
    if not _ONE.acquire(timeout=PATIENCE_SECONDS):
        raise PlaygroundError("Others are verifying models just now: try again in a minute.")
    try:
        done = subprocess.run([sys.executable, "-m", "playground.commands.guarded", json.dumps(asked)],
                              env=home.importable(), capture_output=True, timeout=PATIENCE_SECONDS, check=False)
        said: dict[str, Any] = home.strict_json(done.stdout)
        return said
    except subprocess.TimeoutExpired:
        raise PlaygroundError(f"The model {entry.name} did not answer within {PATIENCE_SECONDS:.0f} seconds.") from None
    except (OSError, ValueError) as error:
        raise PlaygroundError(f"The model {entry.name} could not be verified: its process broke.") from error
    finally:
        _ONE.release()
