"""Channel by channel, a convolution is what the engine computes at once."""

import numpy as np
import pytest

from engine import functional as F
from playground.errors import PlaygroundError
from playground.steps.channels import FILTERS, channel_maps


@pytest.mark.parametrize("name", list(FILTERS))
def test_the_sum_of_the_channels_maps_plus_bias_is_the_engines_convolution(name: str) -> None:
    x = np.random.default_rng(0).random((3, 7, 9))
    whole = F.conv2d(x, FILTERS[name][None], np.array([0.5])).numpy()[0]
    np.testing.assert_allclose(channel_maps(x, FILTERS[name]).sum(axis=0) + 0.5, whole, atol=1e-12)


def test_a_filter_without_a_kernel_for_each_channel_is_refused() -> None:
    with pytest.raises(PlaygroundError, match="one for each channel"):
        channel_maps(np.ones((2, 4, 4)), np.ones((3, 3, 3)))
