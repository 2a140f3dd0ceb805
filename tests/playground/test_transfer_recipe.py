"""What may be asked of a transfer run, and what is refused; decoded photographs are kept and found again."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from playground.errors import PlaygroundError
from playground.training.transfer import photo_list, pixels
from playground.training.transfer.backbone_facts import BACKBONES
from playground.training.transfer.feature_store import content_digest
from playground.training.transfer.pixels import PixelStore, squared
from playground.training.transfer.recipe import RECIPES, Request, rate


@pytest.mark.parametrize("mode", RECIPES)
def test_each_mode_knows_its_own_defaults(mode: str) -> None:
    request = Request.of({"data": "faces", "mode": mode})
    assert {name: getattr(request, name) for name in RECIPES[mode]} == RECIPES[mode]


def test_a_request_without_a_mode_is_frozen_and_as_it_was() -> None:
    request = Request.of({"data": "faces", "backbone": "efficientnet_lite0", "epochs": 20})
    assert (request.mode, request.head, request.batch_size, request.learning_rate) == ("frozen", "linear", 32, 1e-3)


@pytest.mark.parametrize(("asked", "sentence"), [
    ({"mode": "warm"}, "There is no mode 'warm': choose frozen, fine-tune, scratch"),
    ({"augment": {"mirror": 0.5}}, "goes through the network only once"),
    ({"blocks": 3}, "Training in frozen mode has no 'blocks'"),
    ({"mode": "scratch", "backbone": "efficientnet_lite0"}, "Training in scratch mode has no 'backbone'"),
    ({"mode": "fine-tune", "blocks": 0}, "Blocks cannot be 0"),
    ({"mode": "fine-tune", "blocks": True}, "Blocks cannot be True"),
    ({"mode": "fine-tune", "ema": 1.0}, "Ema cannot be 1.0"),
    ({"mode": "fine-tune", "augment": {"twist": 1}}, "there is no step 'twist'"),
    ({"mode": "fine-tune", "batch_norm": "gone"}, "choose from kept, batch"),
    ({"mode": "fine-tune", "image_size": 20}, "32 to 512 pixels a side"),
    ({"head": "round"}, "choose from linear, hidden, sigmoid"),
    ({"dropout": 1.0}, "Dropout cannot be 1.0"),
])
def test_what_cannot_be_done_is_refused_with_one_sentence(asked: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PlaygroundError, match=sentence):
        Request.of({"data": "faces", **asked})


def test_the_rate_rises_evenly_and_falls_to_nothing() -> None:
    rates = [rate(k, 100, 0.1) for k in range(100)]
    assert rates[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3
    assert [rate(k, 1, 0.9) for k in range(1)] == [1.0]


def test_every_backbone_says_whether_its_weights_are_here() -> None:
    assert BACKBONES["efficientnet_lite0"].installed
    assert BACKBONES["efficientnet_lite0"].preprocessing(160).size == (160, 160)


@pytest.fixture
def pictures(playground_home: Path) -> list[tuple[bytes, Path]]:
    found = []
    for k in range(5):
        path = playground_home / f"{k}.png"
        Image.fromarray(np.random.default_rng(k).integers(0, 255, (30, 40, 3), np.uint8)).save(path)
        found.append((content_digest(path), path))
    return found


def never() -> bool:
    return False


def test_photographs_are_decoded_once(pictures: list[tuple[bytes, Path]], monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(PixelStore(16).fill(pictures, 2, never)) == [5]
    monkeypatch.setattr(photo_list, "still", lambda path: pytest.fail("decoded again"))
    store = PixelStore(16)
    assert list(store.fill(pictures, 2, never)) == []
    taken = store.take([digest for digest, _ in reversed(pictures)])
    assert taken[np.array([4])].shape == (1, 16, 16, 3)
    whole = np.asarray(Image.open(pictures[0][1]))
    assert np.array_equal(taken[np.array([4])][0], squared(whole, 16))


def test_large_collections_stay_on_the_disk(pictures: list[tuple[bytes, Path]],
                                            monkeypatch: pytest.MonkeyPatch) -> None:
    store = PixelStore(16)
    list(store.fill(pictures, 1, never))
    in_memory = store.take([digest for digest, _ in pictures])
    monkeypatch.setattr(pixels, "IN_MEMORY_BYTES", 0)
    mapped = store.take([digest for digest, _ in pictures])
    assert mapped.all is None
    rows = np.array([3, 0])
    assert np.array_equal(mapped[rows], in_memory[rows])


def test_the_oldest_of_another_size_go_first_and_too_much_is_refused(pictures: list[tuple[bytes, Path]],
                                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    list(PixelStore(16).fill(pictures, 1, never))
    (old,) = PixelStore(16).folder.glob("*.npy")
    os.utime(old, (0, 0))
    monkeypatch.setattr(pixels, "MOST_BYTES", 5 * (3 * 20 * 20 + 32) + 100)
    list(PixelStore(20).fill(pictures, 1, never))
    assert not old.exists()
    with pytest.raises(PlaygroundError, match="a smaller image size or fewer photographs would help"):
        list(PixelStore(64).fill(pictures, 1, never))


def test_a_damaged_file_is_removed_and_its_pictures_are_decoded_again(pictures: list[tuple[bytes, Path]]) -> None:
    list(PixelStore(16).fill(pictures, 1, never))
    (path,) = PixelStore(16).folder.glob("*.npy")
    path.write_bytes(path.read_bytes()[:300])
    assert list(PixelStore(16).fill(pictures, 1, never)) == [5]
