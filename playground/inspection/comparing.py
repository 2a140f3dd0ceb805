"""What several ways to write one file say of the same pictures, and by how much that differs."""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from playground.errors import PlaygroundError
from playground.inspection.report import opened
from playground.inspection.running import (
    batch_of,
    batched,
    first_rows,
    probabilities,
    probability_in,
    run,
    scores_in,
    scores_of,
    session,
    timed,
)

MOST_NUMBERS = 32_000_000
"""How many numbers of the files' outputs are kept to be compared, where they are no scores."""
SECONDS = 40.0
"""How long pictures are asked about: of a file that is asked for longer, fewer are."""
FREE_SIDE, FREE = 224, 8
"""How large a dimension is taken where a file that takes no picture does not say it: of four, and of others."""
KINDS = {"tensor(float)": "float32", "tensor(double)": "float64",
         **{f"tensor({kind})": kind for kind in ("float16", "bool", "int8", "int16", "int32", "int64", "uint8",
                                                 "uint16", "uint32", "uint64")}}
Rows = list[list[np.ndarray]]


def compare(paths: Mapping[str, Path], name: str | None, x: np.ndarray | None, seconds: float = SECONDS
            ) -> dict[str, Any]:
    """What each file says of the same prepared pictures x (N, ...), asked one at a time: its `bytes`, and the
    `milliseconds` of one answer.

    Against the first file, where an output is a row of scores: its first `answers`, how many of them are `changed`, by
    how much a probability at most (`largest`), of how many `pictures`. Else the `largest` difference of any number that
    any output holds, the largest number of all (`size`), and of how many of the `pictures` an output has another shape
    (`reshaped`). All files are asked about a picture before the next one comes, and after so many `seconds` none comes:
    slow files are compared on fewer. A file that takes no picture is asked once about other numbers. One that does not
    run has a sentence.
    """
    found: dict[str, Any] = {}
    asked: dict[str, tuple[onnxruntime.InferenceSession, dict[str, np.ndarray]]] = {}
    for way, path in paths.items():
        try:
            network = session(path)
            asked[way] = network, next(_given(network, name, x))
        except PlaygroundError as error:
            found[way] = {"sentence": str(error)}
    rest = {way: _given(network, name, x) for way, (network, _) in asked.items()}
    rows: dict[str, Rows] = {way: [] for way in asked}
    scores: tuple[int, bool] | None = None
    numbers, until, first = 0, time.monotonic() + seconds, True
    while rows and (first or (time.monotonic() < until and numbers < MOST_NUMBERS)):
        for way in list(rows):
            network, given = asked[way]
            try:
                given = next(rest[way])
                said = first_rows(run(network, given), _pictures(given))
                if first:
                    scores, first = _scores(paths[way], network, said), False
            except StopIteration:
                break
            except PlaygroundError as error:
                found[way] = {"sentence": str(error)}
                del rows[way]
                continue
            if scores is not None:
                rows[way].append([probabilities(scores_of(said[scores[0]], scores[1]))])
            else:
                rows[way].append([one for one in said if isinstance(one, np.ndarray) and one.dtype.kind in "fiub"])
                numbers += sum(one.size for one in rows[way][-1])
        else:
            continue
        break
    base = next(iter(rows.values()), [])
    for way, own in rows.items():
        network, given = asked[way]
        try:
            found[way] = {"bytes": paths[way].stat().st_size, **(_apart(base, own) if scores is None else
                                                                 _changed(base, own)),
                          "milliseconds": statistics.median(timed(lambda n=network, g=given: run(n, g)))}
        except PlaygroundError as error:
            found[way] = {"sentence": str(error)}
    return found


def _given(network: onnxruntime.InferenceSession, name: str | None, x: np.ndarray | None
           ) -> Iterator[dict[str, np.ndarray]]:
    if name is not None and x is not None:
        batch = batch_of(network, name)
        yield from ({name: batched(one[None], batch)} for one in x)
    else:
        yield _stand_ins(network)


def _stand_ins(network: onnxruntime.InferenceSession) -> dict[str, np.ndarray]:
    """Numbers for every input of a file that takes no picture, always the same: from 0 to 1, zeros for whole ones."""
    rng, found = np.random.default_rng(0), {}
    for one in network.get_inputs():
        if one.type not in KINDS:
            raise PlaygroundError(f"Its input {one.name} takes {one.type}, for which nothing is made up here.")
        shape = [n if isinstance(n, int) else 1 if k == 0 else FREE_SIDE if len(one.shape) == 4 else FREE
                 for k, n in enumerate(one.shape)]
        kind = np.dtype(KINDS[one.type])
        found[one.name] = rng.random(shape, np.float32).astype(kind) if kind.kind == "f" else np.zeros(shape, kind)
    return found


def _scores(path: Path, network: onnxruntime.InferenceSession, said: Sequence[Any]) -> tuple[int, bool] | None:
    """Which output is a row of scores, and whether it comes out of a sigmoid."""
    place = scores_in(network, said)
    return None if place is None else (place, probability_in(opened(path), network.get_outputs()[place].name))


def _pictures(given: Mapping[str, np.ndarray]) -> int:
    return next((len(one) for one in given.values() if one.ndim), 1) if len(given) == 1 else 1


def _changed(first: Rows, said: Rows) -> dict[str, Any]:
    was, p = (np.stack([one for (one,) in rows]) for rows in (first, said))
    return {"answers": p.argmax(axis=1).tolist(), "changed": int((p.argmax(axis=1) != was.argmax(axis=1)).sum()),
            "largest": _largest([was], [p]), "pictures": len(first)}


def _apart(first: Rows, said: Rows) -> dict[str, Any]:
    alike = [(was, now) for was, now in zip(first, said, strict=False)
             if [one.shape for one in was] == [one.shape for one in now]]
    pictures = min(len(first), len(said))
    return {"largest": max((_largest(was, now) for was, now in alike), default=0.0), "pictures": pictures,
            "reshaped": pictures - len(alike),
            "size": max((float(np.abs(one[np.isfinite(one)]).max(initial=0.0)) for was in first for one in was),
                        default=0.0)}


def _largest(was: Sequence[np.ndarray], now: Sequence[np.ndarray]) -> float:
    """The largest difference of any two numbers; none between two that are the same infinity, or none at all."""
    gaps = [0.0]
    for one, other in zip(was, now, strict=True):
        a, b = one.astype(np.float64), other.astype(np.float64)
        with np.errstate(invalid="ignore"):
            gaps.append(float(np.where((a == b) | (np.isnan(a) & np.isnan(b)), 0.0, np.abs(a - b)).max(initial=0.0)))
    return float("nan") if any(np.isnan(gaps)) else max(gaps)
