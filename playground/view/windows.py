"""The windows of a convolution or pooling, one by one: which numbers of the input meet which weights for which result.

Exact, however the engine computes the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine import Tensor
from engine.geometry import place

Index = tuple[int, ...]


@dataclass(frozen=True)
class Product:
    """A product of a convolution: `x` and `w` say where its factors stand, `y` the sum it belongs to."""

    x: Index
    w: Index
    y: Index


class Windows:
    """Those of a recorded conv2d or of a pooling."""

    def __init__(self, result: Tensor):
        node = result.node
        assert node is not None
        x, options = node.inputs[0], node.options
        assert x is not None
        w = node.inputs[1] if len(node.inputs) > 1 else None
        size = options.get("kernel_size", 2) if w is None else w.shape[2:]
        stride = options.get("stride") or (size if w is None else 1)
        self.where = place(x.shape[2:], size, stride, options.get("padding", 0), options.get("dilation", 1),
                           options.get("ceil_mode", False))
        self.x, self.w, self.y = x.shape, () if w is None else w.shape, result.shape
        self.groups = int(options.get("groups", 1))

    def _seen(self, axis: int, at: int, step: int) -> int:
        """The row (axis 0) or column of the input at step `step` of window `at`."""
        where = self.where
        return at * where.stride[axis] + step * where.dilation[axis] - where.pads[axis][0]

    def places(self, p: int, q: int) -> Iterator[tuple[int, int, int, int]]:
        """Steps (i, j) of window (p, q) with the rows and columns seen there; padding is left out."""
        for i in range(self.where.size[0]):
            for j in range(self.where.size[1]):
                r, s = self._seen(0, p, i), self._seen(1, q, j)
                if 0 <= r < self.x[2] and 0 <= s < self.x[3]:
                    yield i, j, r, s

    def around(self, r: int, s: int) -> Iterator[tuple[int, int, int, int]]:
        """Windows (p, q) that see row r and column s, with the steps (i, j) at which they do."""
        where = self.where
        for i in range(where.size[0]):
            for j in range(where.size[1]):
                (p, above), (q, left) = (
                    divmod(at + pads[0] - step * gap, stride) for at, pads, step, gap, stride in
                    zip((r, s), where.pads, (i, j), where.dilation, where.stride, strict=True))
                if above == left == 0 and 0 <= p < self.y[2] and 0 <= q < self.y[3]:
                    yield i, j, p, q

    @property
    def _filters(self) -> int:
        """How many filters see the same channels."""
        return int(self.w[0]) // self.groups

    def of_output(self, y: Index) -> Iterator[Product]:
        """The products that a number of a convolution's output is the sum of."""
        n, f, p, q = y
        first = f // self._filters * self.w[1]
        for i, j, r, s in self.places(p, q):
            for c in range(self.w[1]):
                yield Product((n, first + c, r, s), (f, c, i, j), y)

    def of_input(self, x: Index) -> Iterator[Product]:
        """The products that a number of a convolution's input is in."""
        n, channel, r, s = x
        group, c = divmod(channel, self.w[1])
        for i, j, p, q in self.around(r, s):
            for f in range(group * self._filters, (group + 1) * self._filters):
                yield Product(x, (f, c, i, j), (n, f, p, q))

    def of_weight(self, w: Index) -> Iterator[Product]:
        """The products that a weight of a convolution is in."""
        f, c, i, j = w
        channel = f // self._filters * self.w[1] + c
        for p in range(self.y[2]):
            for q in range(self.y[3]):
                r, s = self._seen(0, p, i), self._seen(1, q, j)
                if 0 <= r < self.x[2] and 0 <= s < self.x[3]:
                    for n in range(self.x[0]):
                        yield Product((n, channel, r, s), w, (n, f, p, q))
