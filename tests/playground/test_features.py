"""Features on disk: found by content, never half-written, thrown away oldest first."""

import os
from pathlib import Path

import numpy as np
import pytest

from playground.training.transfer import feature_store as features
from playground.training.transfer.feature_store import FeatureStore, content_digest

RECIPE = {"backbone": "tiny", "weights": "a.pth"}


def digest(k: int) -> bytes:
    return k.to_bytes(32, "big")


def rows(*values: int) -> np.ndarray:
    return np.array([[v, v + 0.5] for v in values], np.float32)


def test_what_was_added_is_taken_in_the_order_asked(playground_home: Path) -> None:
    store = FeatureStore(RECIPE)
    store.add([digest(1), digest(2)], rows(1, 2))
    store.add([digest(3)], rows(3))
    for same in (store, FeatureStore(RECIPE)):
        assert np.array_equal(same.take([digest(3), digest(1), digest(2), digest(1)]), rows(3, 1, 2, 1))
        assert digest(4) not in same
        with pytest.raises(KeyError):
            same.take([digest(4)])


def test_another_recipe_is_another_store(playground_home: Path) -> None:
    FeatureStore(RECIPE).add([digest(1)], rows(1))
    assert digest(1) not in FeatureStore({**RECIPE, "weights": "b.pth"})
    assert digest(1) in FeatureStore(dict(reversed(RECIPE.items())))


def test_two_writers_lose_nothing(playground_home: Path) -> None:
    one, other = FeatureStore(RECIPE), FeatureStore(RECIPE)
    one.add([digest(1)], rows(1))
    other.add([digest(2)], rows(2))
    assert np.array_equal(FeatureStore(RECIPE).take([digest(1), digest(2)]), rows(1, 2))


def test_a_damaged_file_counts_as_not_there(playground_home: Path) -> None:
    store = FeatureStore(RECIPE)
    store.add([digest(1)], rows(1))
    (damaged,) = store.folder.iterdir()
    damaged.write_bytes(damaged.read_bytes()[:40])
    again = FeatureStore(RECIPE)
    assert digest(1) not in again
    again.add([digest(1)], rows(5))
    assert np.array_equal(FeatureStore(RECIPE).take([digest(1)]), rows(5))


def test_a_write_cut_short_leaves_no_features(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    store = FeatureStore(RECIPE)
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.add([digest(1)], rows(1))
    assert digest(1) not in FeatureStore(RECIPE)


def test_the_oldest_go_when_there_is_no_room(playground_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore(RECIPE)
    for k in range(4):
        store.add([digest(k)], rows(k))
        newest = max(store.folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, (1000 + k, 1000 + k))
    size = newest.stat().st_size
    monkeypatch.setattr(features, "MOST_BYTES", 2 * size)
    left = FeatureStore(RECIPE)
    assert [digest(k) in left for k in range(4)] == [False, False, True, True]
    assert len(list(left.folder.iterdir())) == 2


def test_a_digest_is_of_the_content_alone(tmp_path: Path) -> None:
    for name, data in (("a", b"x"), ("b", b"x"), ("c", b"y")):
        (tmp_path / name).write_bytes(data)
    a, b, c = (content_digest(tmp_path / name) for name in "abc")
    assert a == b != c
    assert len(a) == 32
