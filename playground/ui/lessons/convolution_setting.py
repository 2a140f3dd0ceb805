"""What the reader of the Convolution page has chosen."""

from dataclasses import dataclass

import numpy as np

from engine import functional as F
from playground.steps.conv import does_not_fit
from playground.ui.parts.image_input import Patch, Picture
from playground.ui.parts.kernel_editor import Kernel

PASSES = ("Forward", "Backward", "As a matrix product")


@dataclass(frozen=True)
class Setting:
    """Everything the reader chose; all parts of the page show the same one."""

    picture: Picture
    patch: Patch
    kernel: Kernel
    stride: int
    padding: int
    dilation: int
    bias: float
    shown: str = PASSES[0]

    @property
    def refusal(self) -> str | None:
        """Why the kernel does not fit the patch, or None."""
        side, k = len(self.patch.values), self.kernel.size
        return does_not_fit((side, side), (k, k), padding=self.padding, dilation=self.dilation)

    @property
    def options(self) -> dict[str, int]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    @property
    def averages(self) -> bool:
        """Whether every output is a mean of pixels, so that the response never leaves 0..255."""
        return self.pictures and min(weight for row in self.kernel.rows for weight in row) >= 0

    @property
    def pictures(self) -> bool:
        """Whether the brightness of what is flat stays, so that the response is again a picture, cut off at 0 and 255.
        """
        return self.kernel.total == 1 and self.bias == 0

    def respond(self, gray: np.ndarray) -> np.ndarray:
        """The engine's answer for a whole gray picture (H, W) -> (OH, OW), in float64."""
        w = self.kernel.weights[None, None]
        b = np.array([self.bias])
        return np.asarray(F.conv2d(gray.astype(np.float64)[None, None], w, b, **self.options).numpy()[0, 0])
