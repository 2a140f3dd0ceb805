"""Copies among photographs: what counts as one, what does not, and that a division never parts them in silence."""

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps
from skimage.data import lfw_subset

from playground.datasets import photos
from playground.datasets.duplicates import NEAR, Seen, alike, copies_to_leave_out, differing_signs, examine, fingerprint
from playground.datasets.halves import Candidate, halves
from playground.datasets.samples import photo, photo_names


def packed(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


def rgb(image: Image.Image) -> np.ndarray:
    return np.array(image.convert("RGB"))


@pytest.mark.parametrize("copy", [
    lambda image: image.resize((image.width // 2, image.height // 2)),
    lambda image: packed(image, 30),
    lambda image: ImageEnhance.Brightness(image).enhance(1.15),
    lambda image: ImageEnhance.Contrast(image).enhance(1.2),
    lambda image: image.convert("L"),
    lambda image: image.crop((4, 4, image.width - 4, image.height - 4)),
    ImageOps.mirror,
    lambda image: packed(ImageOps.mirror(image).resize((image.width // 2, image.height // 2)), 50),
], ids=["half the size", "packed worse", "brighter", "more contrast", "gray", "edges cut", "mirrored",
        "mirrored, smaller, packed worse"])
@pytest.mark.parametrize("name", photo_names())
def test_a_copy_is_found(name: str, copy: Callable[[Image.Image], Image.Image]) -> None:
    image = Image.fromarray(photo(name))
    assert alike([fingerprint(rgb(image)), fingerprint(rgb(copy(image)))], [0, 0]) == ((0, 1),)


def test_different_photographs_are_not_copies() -> None:
    prints = [fingerprint(photo(name)) for name in photo_names()]
    assert alike(prints, [0] * len(prints)) == ()
    faces = [fingerprint(np.repeat(np.uint8(face * 255)[..., None], 3, axis=2)) for face in lfw_subset()[:100]]
    assert alike(faces, [0] * 100) == ()


def test_pictures_of_nothing_are_told_apart_by_colour() -> None:
    walls = [fingerprint(np.full((40, 40, 3), colour, np.uint8)) for colour in ((255, 0, 0), (0, 0, 255), (250, 0, 5))]
    assert alike(walls, [0, 0, 0]) == ((0, 2),)


def test_only_one_kind_is_compared_and_chains_are_one_group() -> None:
    def signs(count: int) -> bytes:
        return ((1 << count) - 1).to_bytes(16) + bytes(48)

    chain = [signs(0), signs(NEAR), signs(2 * NEAR), signs(100)]
    assert differing_signs(chain[0], chain[2]) == 2 * NEAR
    assert alike(chain, [0] * 4) == ((0, 1, 2),)
    assert alike(chain, [0, 1, 0, 1]) == ()
    assert alike([], []) == ()


def test_blocks_find_what_all_pairs_find() -> None:
    rng = np.random.default_rng(0)
    originals = rng.integers(0, 256, (150, 16), np.uint8)
    prints = [row.tobytes() + bytes(48) for row in (*originals, *originals[::-1])]
    assert alike(prints, [0] * 300) == tuple((k, 299 - k) for k in range(150))


def test_copies_on_both_sides_and_in_two_classes_are_named() -> None:
    def seen(label: str, half: str, which: int) -> Seen:
        return Seen(label, half, str(which), fingerprint(photo(photo_names()[which])))

    found = examine([seen("a", "train", 0), seen("a", "validation", 0), seen("a", "train", 1), seen("b", "train", 1),
                     seen("b", "validation", 2)])
    assert found.exact == ((0, 1), (2, 3))
    assert found.near == ((0, 1),)
    assert found.leaking == ((0, 1),)
    assert found.conflicting == ((2, 3),)


def test_what_is_left_out_never_empties_a_group() -> None:
    photos = [Seen("a", half, "", b"") for half in ("validation", "train", "validation", "validation")]
    assert copies_to_leave_out(photos, [(0, 1)], across=True) == [0]
    assert copies_to_leave_out(photos, [(2, 3)], across=True) == []
    assert copies_to_leave_out(photos, [(0, 1), (2, 3)], across=False) == [0, 3]


def candidates(counts: dict[str, int]) -> list[Candidate]:
    rng = np.random.default_rng(1)
    return [Candidate(label, f"{label}{k}", rng.bytes(64)) for label, count in counts.items() for k in range(count)]


def test_a_fifth_of_each_class_is_kept_aside_by_the_seed() -> None:
    given = candidates({"a": 50, "b": 10, "c": 2, "d": 1})
    divided = halves(given, seed=0, share=0.2)
    aside = Counter(each.label for each, half in zip(given, divided, strict=True) if half == "validation")
    assert aside == {"a": 10, "b": 2, "c": 1}
    assert halves(given, seed=0, share=0.2) == divided
    assert halves(given, seed=1, share=0.2) != divided
    more = [*given, *candidates({"e": 10})]
    assert halves(more, seed=0, share=0.2)[: len(given)] == divided  # a class more moves nothing


def test_near_duplicates_stay_together_and_go_where_a_fixed_one_is() -> None:
    given = candidates({"a": 20})
    twins = [*given, *(Candidate("a", f"twin{k}", each.fingerprint) for k, each in enumerate(given))]
    divided = halves(twins, seed=3, share=0.25)
    assert divided[:20] == divided[20:]
    assert divided.count("validation") == 10
    fixed = [Candidate("a", "x", given[0].fingerprint, "validation"), *given]
    assert halves(fixed, seed=0, share=0.2)[1] == "validation"


def test_a_single_burst_is_divided_in_order_and_found_out() -> None:
    burst = [Candidate("a", str(k), bytes(64)) for k in range(20)]
    divided = halves(burst, seed=0, share=0.2)
    assert divided == ["train"] * 16 + ["validation"] * 4
    seen = [Seen(each.label, half, each.digest, each.fingerprint) for each, half in zip(burst, divided, strict=True)]
    assert len(examine(seen).leaking) == 1
    two = [*burst, *(Candidate("a", f"other{k}", b"\xff" * 64) for k in range(7))]
    assert halves(two, seed=0, share=0.2) == ["train"] * 20 + ["validation"] * 7  # a whole burst


def test_a_small_picture_is_the_picture(tmp_path: Path) -> None:
    image = Image.fromarray(photo("astronaut"))
    image.save(tmp_path / "a.jpg", quality=95)
    small = photos.open_small(tmp_path / "a.jpg", 96)
    assert max(small.shape[:2]) == 96
    assert alike([fingerprint(small), fingerprint(photo("astronaut"))], [0, 0]) == ((0, 1),)


def test_the_shared_photos_have_one_pair_of_copies_and_none_across(shared_photos: Path) -> None:
    """The two known copies both lie in training; reading a few files beside them is enough to see them found."""
    names = ["train/dogs/dog.180.jpg", "train/dogs/dog.74.jpg", "train/dogs/dog.420.jpg", "train/dogs/dog.1064.jpg",
             "train/dogs/dog.397.jpg"]
    prints = [fingerprint(photos.open_small(shared_photos / name, 256)) for name in names]
    assert alike(prints, [0] * len(names)) == ((0, 1),)
