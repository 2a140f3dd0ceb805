"""The built-in photographs."""

import numpy as np
import pytest

from playground.datasets.samples import photo, photo_names
from playground.errors import PlaygroundError


@pytest.mark.parametrize("name", photo_names())
def test_a_sample_is_rgb_and_the_callers_own(name: str) -> None:
    pixels = photo(name)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.std() > 10
    pixels[:] = 0
    assert photo(name).any()


def test_another_name_is_refused_with_the_ones_there_are() -> None:
    with pytest.raises(PlaygroundError, match="astronaut, cat"):
        photo("lena")


def test_samples_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    def dialled(*_: object, **__: object) -> None:
        raise AssertionError("a sample was about to be downloaded")

    monkeypatch.setattr(pooch.core, "stream_download", dialled)
    from playground.datasets import samples
    samples._read.cache_clear()
    assert all(photo(name).size for name in photo_names())
