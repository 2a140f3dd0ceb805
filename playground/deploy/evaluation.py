"""How good an exported file is on photographs that were kept aside: its answers to all of them, and what follows."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from playground.datasets import photos
from playground.deploy.session import Classifier
from playground.home import whole

FILE, FEATURES = "predictions.json", "features.npy"
AT_ONCE = 16
GONE = "a deleted photo"
BINS = 10


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a file said of N labelled pictures: labels (K names), truth int64 (N,), probabilities float64 (N, K)."""

    labels: tuple[str, ...]
    paths: tuple[Path, ...]
    truth: np.ndarray
    probabilities: np.ndarray

    @property
    def said(self) -> np.ndarray:
        """The likeliest class of every picture, (N,)."""
        return np.asarray(self.probabilities.argmax(1))

    @property
    def sure(self) -> np.ndarray:
        """Its probability, (N,)."""
        return np.asarray(self.probabilities.max(1))

    @property
    def right(self) -> np.ndarray:
        """Whether it is the true one, (N,)."""
        return np.asarray(self.said == self.truth)

    def confusion(self) -> np.ndarray:
        """counts[true][said], (K, K)."""
        k = len(self.labels)
        return np.bincount(self.truth * k + self.said, minlength=k * k).reshape(k, k)

    def cell(self, true: int, said: int) -> np.ndarray:
        """The pictures of one cell of it, the surest first."""
        found = np.flatnonzero((self.truth == true) & (self.said == said))
        return found[np.argsort(-self.sure[found], kind="stable")]

    def mistakes(self) -> np.ndarray:
        """The pictures taken for something else, the surest mistake first."""
        found = np.flatnonzero(~self.right)
        return found[np.argsort(-self.sure[found], kind="stable")]


@dataclass(frozen=True)
class ClassScore:
    """One class: of `support` pictures of it `right` were found, and `said` pictures were taken for it."""

    name: str
    support: int
    said: int
    right: int

    @property
    def precision(self) -> float | None:
        """Of the pictures taken for this class, the share that is; None where none was."""
        return self.right / self.said if self.said else None

    @property
    def recall(self) -> float | None:
        """Of the pictures of this class, the share found; None where there is none."""
        return self.right / self.support if self.support else None

    @property
    def f1(self) -> float | None:
        """2PR / (P + R), the harmonic mean of both: 2·right / (support + said)."""
        return 2 * self.right / (self.support + self.said) if self.support + self.said else None


@dataclass(frozen=True)
class Bin:
    """The pictures whose likeliest class had a probability from `low` to `high`."""

    low: float
    high: float
    count: int
    sure: float
    right: float


def class_scores(confusion: np.ndarray, labels: Sequence[str]) -> list[ClassScore]:
    """Precision, recall and F1 of every class.

    >>> [(s.precision, s.recall) for s in class_scores(np.array([[9, 1], [3, 7]]), ("cat", "dog"))]
    [(0.75, 0.9), (0.875, 0.7)]
    """
    return [ClassScore(name, int(confusion[k].sum()), int(confusion[:, k].sum()), int(confusion[k, k]))
            for k, name in enumerate(labels)]


def calibration(sure: np.ndarray, right: np.ndarray) -> tuple[list[Bin], float]:
    """Bins of equal width over the probability of the likeliest class, and the expected calibration error.

        ECE = sum over bins of count / N * |mean probability - share right|

    A model that says 80 % should be right 8 times out of 10. (Guo et al. 2017, arXiv 1706.04599.)

    >>> bins, error = calibration(np.array([0.95, 0.95]), np.array([True, False]))
    >>> bins[0].right, round(error, 2)
    (0.5, 0.45)
    """
    places = np.minimum((sure * BINS).astype(int), BINS - 1)
    bins = []
    for k in np.unique(places):
        here = places == k
        bins.append(Bin(k / BINS, (k + 1) / BINS, int(here.sum()), float(sure[here].mean()), float(right[here].mean())))
    return bins, sum(b.count * abs(b.sure - b.right) for b in bins) / max(1, len(sure))


def evaluate(onnx: Path, pictures: Sequence[tuple[Path, int]], into: Path) -> Iterator[int]:
    """Ask the file about (path, class) pictures and write what it says to `into`, whole or not at all.

    What its last layer was given of each picture, float16 (N, D), goes to FEATURES beside it, where the file ends in a
    dense layer. Yields how many were asked. A picture that cannot be opened any more is passed over.
    """
    classifier = Classifier(onnx)
    rows, features = [], []
    for start in range(0, len(pictures), AT_ONCE):
        found = [(path, label, photos.opened(path)) for path, label in pictures[start:start + AT_ONCE]]
        opened = [(path, label, image) for path, label, image in found if image is not None]
        said = classifier.predict([image for _, _, image in opened])
        rows += [{"path": str(path), "label": label, "probabilities": [round(float(p), 7) for p in one.probabilities]}
                 for (path, label, _), one in zip(opened, said, strict=True)]
        if opened and classifier.has_features:
            features.append(classifier.features([image for _, _, image in opened]))
        yield min(start + AT_ONCE, len(pictures))
    if features:
        with whole(into.with_name(FEATURES)) as incoming, open(incoming, "wb") as file:
            np.save(file, np.concatenate(features).astype(np.float16))
    with whole(into) as incoming:
        incoming.write_text(json.dumps({"labels": list(classifier.labels), "pictures": rows}, ensure_ascii=False),
                            encoding="utf-8")


def forget(into: Path) -> None:
    """Take the names and features of pictures that are not there any more out of what `evaluate` wrote.

    The answers to them stay, so that what was measured still is what it was.
    """
    try:
        said = json.loads(into.read_text(encoding="utf-8"))
        gone = np.array([not Path(row["path"]).exists() for row in said["pictures"]], bool)
    except (OSError, ValueError, KeyError, TypeError):
        return
    for k in np.flatnonzero(gone):
        said["pictures"][k]["path"] = GONE
    with whole(into) as incoming:
        incoming.write_text(json.dumps(said, ensure_ascii=False), encoding="utf-8")
    features = read_features(into)
    if features is not None and len(features) == len(gone):
        features[gone] = np.nan
        with whole(into.with_name(FEATURES)) as incoming, open(incoming, "wb") as file:
            np.save(file, features.astype(np.float16))


def flat_map(features: np.ndarray, method: str, seed: int = 0) -> np.ndarray:
    """Features (N, D) as places in the plane (N, 2), by "PCA" or "t-SNE" (seeded).

    PCA: the two directions in which they vary most. t-SNE: who is near in D dimensions is near here; distances between
    groups mean nothing. (van der Maaten and Hinton 2008.)
    """
    x = features.astype(np.float64)
    x = x - x.mean(0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    principal = u * s
    if method == "PCA" or len(x) < 6:
        return np.pad(principal[:, :2], ((0, 0), (0, max(0, 2 - principal.shape[1]))))
    from sklearn.manifold import TSNE  # a second of imports that only this needs

    made = TSNE(perplexity=min(30, (len(x) - 1) / 3), init="pca", random_state=seed).fit_transform(principal[:, :50])
    return np.asarray(made, np.float64)


def read_features(path: Path) -> np.ndarray | None:
    """The features beside the answers; None when there are none, or the file is damaged."""
    try:
        found: np.ndarray = np.load(path.with_name(FEATURES), allow_pickle=False)
    except (OSError, ValueError):
        return None
    return found.astype(np.float32) if found.ndim == 2 else None


def read(path: Path) -> Predictions | None:
    """The answers that were written; None when there are none, or the file is damaged."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        labels, rows = tuple(map(str, data["labels"])), data["pictures"]
        found = Predictions(labels, tuple(Path(row["path"]) for row in rows),
                            np.array([int(row["label"]) for row in rows], np.int64),
                            np.array([row["probabilities"] for row in rows], np.float64).reshape(-1, len(labels)))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    fits = len(rows) > 0 and bool(((found.truth >= 0) & (found.truth < len(labels))).all())
    return found if fits else None
