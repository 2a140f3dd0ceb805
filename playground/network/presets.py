"""Networks to start from: the classics at a size that trains in a minute, and sick ones to find out what ails them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import log2
from typing import Any

from playground.errors import PlaygroundError
from playground.network.kind import Shape
from playground.network.parts import Network
from playground.network.spelling import network_of

SMALLEST = 4
"""Pixels a side of a picture: two poolings have to leave something."""
_NAME_LIKE = re.compile(r"[\w -]*[A-Za-z]{4}[\w -]*")
"""What may have been meant as a name: a word without brackets, longer than any code."""
KERAS_NORM = "bm0.01e0.001"
"""Batch norm with Keras' defaults: momentum .99 counted its way is .01 counted torch's way, epsilon 1e-3."""


@dataclass(frozen=True)
class Preset:
    """A network to start from. `text` spells it for a shape (C, H, W) and a number of classes; `settings` is what of a
    training differs from the usual; `sick` says that something is wrong on purpose.
    """

    name: str
    title: str
    about: str
    text: Callable[[Shape, int], str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    sick: bool = False

    def network(self, takes: Shape, classes: int) -> Network:
        """The network for pictures of a shape. Raises PlaygroundError when they are smaller than 4 x 4."""
        if min(takes[1:]) < SMALLEST:
            raise PlaygroundError(f"The pictures are {takes[1]} x {takes[2]} pixels; the network needs {SMALLEST} x "
                                  f"{SMALLEST}.")
        return network_of(self.text(takes, classes))


def preset(name: str) -> Preset:
    """Raises PlaygroundError when there is none of that name."""
    if name not in PRESETS:
        raise PlaygroundError(f"There is no preset {name!r}: choose {', '.join(PRESETS)}.")
    return PRESETS[name]


def network_named(text: str, takes: Shape, classes: int) -> Network:
    """A preset by its name, or else the network of a spelling. Raises PlaygroundError where it is neither.

    >>> len(network_named("linear", (1, 28, 28), 10)), len(network_named("c8-r-g-d10", (1, 28, 28), 10))
    (2, 4)
    """
    if text in PRESETS:
        return PRESETS[text].network(takes, classes)
    try:
        return network_of(text)
    except PlaygroundError as error:
        if not _NAME_LIKE.fullmatch(text.strip()):
            raise
        raise PlaygroundError(f"{str(error).rstrip('.')}; nor is it a preset, which are {', '.join(PRESETS)}."
                              ) from error


def _small(takes: Shape) -> bool:
    """Whether a 5 x 5 kernel without padding would leave nothing after a pooling."""
    return min(takes[1:]) < 20


def _halvings(takes: Shape, most: int) -> int:
    """How often the picture's sides may be halved so that 4 pixels are left, at least once and at most `most` times."""
    return max(1, min(most, int(log2(min(takes[1:]) / SMALLEST))))


def _usual(takes: Shape, classes: int) -> str:
    widths = (32, 64)
    blocks = max(2, int(log2(min(takes[1:]) / 4)))
    return "-".join([f"c{widths[min(block, 1)]}n-b-r-p2" for block in range(blocks)]) + f"-f-d128-r-o0.5-d{classes}"


def _lenet(takes: Shape, classes: int) -> str:
    first, second = ("c6k5", "c16k5") if _small(takes) else ("c6k5p2", "c16k5p0")
    return f"{first}-th-a2-{second}-th-a2-f-d120-th-d84-th-d{classes}"


def _slides(takes: Shape, classes: int) -> str:
    end = "d1-sg" if classes == 2 else f"d{classes}"
    return f"c64p0-{KERAS_NORM}-r-f-d64-{KERAS_NORM}-r-{end}"


def _all_convolution(takes: Shape, classes: int) -> str:
    down = "".join(f"c{width}s2n-b-r-c{width}n-b-r-" for width in (32, 64)[:_halvings(takes, 2)])
    return f"c16n-b-r-{down}c{classes}k1-g"


def _resnet(takes: Shape, classes: int) -> str:
    down = "".join(f"[c{w}s2n-b-r-c{w}n-b:c{w}k1s2n-b]-r-" for w in (32, 64)[:_halvings(takes, 2)])
    return f"c16n-b-r-[c16n-b-r-c16n-b]-r-{down}g-d{classes}"


def _mobilenet(takes: Shape, classes: int) -> str:
    halved = _halvings(takes, 3)
    blocks = "".join(f"{{dw{'s2' if k < halved else ''}n-b-r-c{width}k1n-b-r}}-"
                     for k, width in enumerate((32, 64, 128)))
    return f"c16n-b-r-{blocks}g-d{classes}"


def _inception(takes: Shape, classes: int) -> str:
    branches = "(c{0}k1n-b-r,c{0}k1n-b-r-c{0}n-b-r,c{0}k1n-b-r-c{0}k5n-b-r,p3s1p1-c{0}k1n-b-r)"
    return f"c16n-b-r-p2-{branches.format(8)}-p2-{branches.format(16)}-g-d{classes}"


def _deep_sigmoid(takes: Shape, classes: int) -> str:
    return "f-" + "d32-sg-" * 10 + f"d{classes}"


def _one_pixel(takes: Shape, classes: int) -> str:
    pools = "".join("c16-r-p2-" for _ in range(int(log2(min(takes[1:])))))
    return f"{pools}c1k1-r-f-d64-r-d{classes}"


_ROWS = (
    Preset("linear", "Linear", "Every pixel has a weight for every class, and that is all.",
           lambda takes, classes: f"f-d{classes}"),
    Preset("mlp", "MLP", "Two hidden layers, which see no neighbours.",
           lambda takes, classes: f"f-d128-r-d64-r-d{classes}"),
    Preset("lenet5", "LeNet-5", "LeCun et al., 1998: tanh and average pooling.", _lenet),
    Preset("usual", "Small CNN", "Convolution, batch norm, ReLU and pooling, twice or more; two dense layers.",
           _usual),
    Preset("slides", "The slides' Keras model",
           "As written there: no padding, a dense layer of 64, one sigmoid for two classes.", _slides),
    Preset("vgg6", "VGG-6", "Pairs of 3 × 3 convolutions: Simonyan and Zisserman, 2014, in small.",
           lambda takes, classes: f"c32-r-c32-r-p2-c64-r-c64-r-p2-f-d128-r-d{classes}"),
    Preset("all-convolution", "All convolution, then the mean",
           "Strides instead of pooling, a map a class: Springenberg et al., 2014.", _all_convolution),
    Preset("resnet8", "ResNet-8", "Three residual blocks: He et al., 2015, in small.", _resnet),
    Preset("mobilenet", "MobileNet-like", "Depthwise and 1 × 1 convolutions: Howard et al., 2017, in small.",
           _mobilenet),
    Preset("inception", "Inception-like", "Kernels of several sizes side by side: Szegedy et al., 2014, in small.",
           _inception),
    Preset("ten-sigmoids", "Ten sigmoid layers", "What ails it: gradients vanish on their way back.", _deep_sigmoid,
           sick=True),
    Preset("weights-x10", "First weights × 10", "What ails it: numbers explode on their way forward.",
           lambda takes, classes: f"c16-r-c16-r-p2-c32-r-c32-r-p2-f-d64-r-d{classes}",
           {"weights_gain": 10.0}, sick=True),
    Preset("dead-relus", "Biases of −5", "What ails it: ReLUs that never answer never learn.",
           lambda takes, classes: f"c16-r-p2-c32-r-p2-f-d64-r-d{classes}", {"first_bias": -5.0}, sick=True),
    Preset("rate-x100", "Learning rate × 100", "What ails it: every step leaps over the valley.", _usual,
           {"learning_rate": 0.3}, sick=True),
    Preset("raw-pixels", "Raw pixels", "What ails it: inputs from 0 to 255 instead of mean 0 and deviation 1.",
           lambda takes, classes: f"c16-r-p2-c32-r-p2-f-d64-r-d{classes}", {"normalize": False}, sick=True),
    Preset("one-pixel", "A bottleneck of one pixel", "What ails it: all that is seen has to pass through one number.",
           _one_pixel, sick=True),
    Preset("memoriser", "A memoriser", "What ails it: many weights, few pictures, so it learns them by heart.",
           lambda takes, classes: f"f-d512-r-d512-r-d{classes}", {"train_pictures": 60}, sick=True),
)
PRESETS: Mapping[str, Preset] = {one.name: one for one in _ROWS}
