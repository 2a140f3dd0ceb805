"""A network in Keras: the text that builds it, and a state dict's numbers in Keras' order of axes.

Keras lays pictures out as (H, W, C). What it lacks is refused with a sentence.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from playground.errors import PlaygroundError
from playground.network.kind import Shape
from playground.network.kinds import padding_of, pool_stride
from playground.network.parts import Network, Part, Path, everything
from playground.network.shapes import Row, Walk, walk

Array = np.ndarray


@dataclass(frozen=True)
class Written:
    """A part in Keras: expressions of layers, one after the other, and the arrays of the one that has weights."""

    layers: tuple[str, ...]
    kind: str = ""  # the class of the layer with weights
    arrays: tuple[Array, ...] = ()


def code(network: Network, takes: Shape) -> str:
    """The lines that make `model`: a Sequential where parts follow each other, else with the functional interface."""
    writer = _Writer(walk(network, takes))
    parts = [one for _, one in everything(network.parts)]
    if any(one.kind in ("residual", "parallel") or _padded_max(one) for one in parts):
        return writer.functional(network)
    lines = [f"    layers.Input({_hwc(takes)}),\n"]
    for path, one in everything(network.parts):
        if not one.of.container:
            lines += [f"    {layer},\n" for layer in writer.written(path, one).layers]
    return f"import keras\nfrom keras import layers\n\nmodel = keras.Sequential([\n{''.join(lines)}])"


def weights(network: Network, takes: Shape, state: Mapping[str, Any]) -> list[tuple[str, list[Any]]]:
    """The class of every layer with weights and its arrays, in the order `code` makes them."""
    writer = _Writer(walk(network, takes), {name: np.asarray(value) for name, value in state.items()})
    writer.functional(network)
    return [(one.kind, list(one.arrays)) for one in writer.made if one.kind]


def _hwc(shape: Shape) -> tuple[int, ...]:
    return (*shape[1:], shape[0]) if len(shape) == 3 else shape


def _padded_max(one: Part) -> bool:
    return one.kind == "max_pool" and one["padding"] > 0 and not _same_pool(one)


def _same_pool(one: Part) -> bool:
    """Whether Keras' own "same" is the same padding: windows of odd size, one pixel at a time."""
    return bool(pool_stride(one.numbers) == 1 and one["kernel_size"] % 2 and one["padding"] == one["kernel_size"] // 2)


@dataclass
class _Writer:
    walked: Walk
    state: Mapping[str, Array] | None = None
    made: list[Written] = field(default_factory=list)
    order: Array | None = None  # torch's place of each number that Keras' Flatten laid in a row; None: the same
    count: int = 0

    def written(self, path: Path, one: Part) -> Written:
        row = self.walked.by_path[path]
        found = _WRITING[one.kind](self, row, one)
        self.made.append(found)
        return found

    def array(self, row: Row, name: str) -> Array:
        if self.state is None:
            return np.zeros(0)
        path = ".".join(_module_path(row.path, self.walked))
        return self.state[f"{path}.{name}"]

    def arrays(self, row: Row, one: Part, *turned: Callable[[], Array]) -> tuple[Array, ...]:
        if self.state is None:
            return ()
        bias = (self.array(row, "bias"),) if one["bias"] else ()
        return (*(turn() for turn in turned), *bias)

    def functional(self, network: Network) -> str:
        lines: list[str] = []
        end = self._through(network.parts, (), "inputs", lines)
        takes = _hwc(self.walked.takes)
        return (f"import keras\nfrom keras import layers\n\ninputs = keras.Input({takes})\n" + "\n".join(lines)
                + f"\nmodel = keras.Model(inputs, {end})")

    def _through(self, parts: tuple[Part, ...], before: Path, x: str, lines: list[str]) -> str:
        """Write the parts as calls on the variable `x`; the name of the variable that holds the end."""
        for index, one in enumerate(parts):
            path = (*before, index)
            if one.of.container:
                x = self._container(one, path, x, lines)
                continue
            if _padded_max(one):
                p = one["padding"]
                lines.append(f'x = keras.ops.pad({x}, [[0, 0], [{p}, {p}], [{p}, {p}], [0, 0]], '
                             'constant_values=float("-inf"))')
                x = "x"
            for layer in self.written(path, one).layers:
                lines.append(f"x = {layer}({x})")
                x = "x"
        return x

    def _container(self, one: Part, path: Path, x: str, lines: list[str]) -> str:
        if one.kind == "block":
            return self._through(one.branches[0], (*path, 0), x, lines)
        self.count += 1
        number, start, ends = self.count, f"start_{self.count}", []
        lines.append(f"{start} = {x}")
        for branch, inside in enumerate(one.branches):
            end = self._through(inside, (*path, branch), start, lines)
            ends.append(f"branch_{number}_{branch + 1}")
            lines.append(f"{ends[-1]} = {end}")
        if one.kind == "residual" and len(ends) == 1:
            ends.append(start)
        joined = "Add" if one.kind == "residual" else "Concatenate"
        lines.append(f"x = layers.{joined}()([{', '.join(ends)}])")
        return "x"


def _module_path(path: Path, walked: Walk) -> list[str]:
    """A part's place as the modules of `build` name it."""
    names = [str(path[0])]
    for depth in range(1, len(path), 2):
        holder = walked.by_path[path[:depth]].part
        if holder.kind == "residual":
            names.append("shortcut" if path[depth] else "way")
        elif holder.kind == "parallel":
            names += ["branches", str(path[depth])]
        names.append(str(path[depth + 1]))
    return names


def _options(*given: tuple[str, Any, Any]) -> str:
    """Keyword arguments that differ from Keras' defaults."""
    return "".join(f", {name}={value!r}" for name, value, usual in given if value != usual)


def _window_padding(one: Part) -> tuple[tuple[str, ...], str]:
    """Layers that pad before a convolution, and the convolution's own padding."""
    padding, size = padding_of(one.numbers), one["dilation"] * (one["kernel_size"] - 1)
    if one["dilation"] > 1 and one["stride"] > 1:
        raise PlaygroundError("Keras has no convolution with both a stride and a dilation above 1.")
    if padding == 0:
        return (), "valid"
    if one["stride"] == 1 and 2 * padding == size:
        return (), "same"
    return (f"layers.ZeroPadding2D({padding})",), "valid"


def _conv(writer: _Writer, row: Row, one: Part) -> Written:
    before, padding = _window_padding(one)
    options = _options(("strides", one["stride"], 1), ("padding", padding, "valid"),
                       ("dilation_rate", one["dilation"], 1), ("groups", one["groups"], 1),
                       ("use_bias", bool(one["bias"]), True))
    arrays = writer.arrays(row, one, lambda: writer.array(row, "weight").transpose(2, 3, 1, 0))
    return Written((*before, f"layers.Conv2D({one['filters']}, {one['kernel_size']}{options})"), "Conv2D", arrays)


def _depthwise(writer: _Writer, row: Row, one: Part) -> Written:
    before, padding = _window_padding(one)
    options = _options(("strides", one["stride"], 1), ("padding", padding, "valid"),
                       ("depth_multiplier", one["multiplier"], 1), ("dilation_rate", one["dilation"], 1),
                       ("use_bias", bool(one["bias"]), True))
    size, channels = one["kernel_size"], row.takes[0]
    arrays = writer.arrays(row, one, lambda: writer.array(row, "weight").reshape(
        channels, one["multiplier"], size, size).transpose(2, 3, 0, 1))
    return Written((*before, f"layers.DepthwiseConv2D({size}{options})"), "DepthwiseConv2D", arrays)


def _transposed(writer: _Writer, row: Row, one: Part) -> Written:
    options = _options(("strides", one["stride"], 1), ("use_bias", bool(one["bias"]), True))
    layers = [f"layers.Conv2DTranspose({one['filters']}, {one['kernel_size']}{options})"]
    if one["stride"] > one["kernel_size"]:
        raise PlaygroundError("Keras makes a transposed convolution larger where its stride is above its kernel size.")
    if one["padding"]:
        layers.append(f"layers.Cropping2D({one['padding']})")
    arrays = writer.arrays(row, one, lambda: writer.array(row, "weight").transpose(2, 3, 1, 0))
    return Written(tuple(layers), "Conv2DTranspose", arrays)


def _pool(name: str) -> Callable[[_Writer, Row, Part], Written]:
    def write(writer: _Writer, row: Row, one: Part) -> Written:
        size, stride, padding = one["kernel_size"], pool_stride(one.numbers), one["padding"]
        same = name == "MaxPooling2D" and padding > 0 and _same_pool(one)
        options = _options(("strides", stride, size), ("padding", "same" if same else "valid", "valid"))
        before = (f"layers.ZeroPadding2D({padding})",) if padding and name == "AveragePooling2D" else ()
        return Written((*before, f"layers.{name}({size}{options})"))
    return write


def _dense(writer: _Writer, row: Row, one: Part) -> Written:
    options = _options(("use_bias", bool(one["bias"]), True))
    order = writer.order
    arrays = writer.arrays(row, one, lambda: (
        writer.array(row, "weight") if order is None else writer.array(row, "weight")[:, order]).T)
    writer.order = None
    return Written((f"layers.Dense({one['units']}{options})",), "Dense", arrays)


def _flatten(writer: _Writer, row: Row, one: Part) -> Written:
    if len(row.takes) != 3 or row.takes[0] == 1 or row.takes[1:] == (1, 1):
        return Written(("layers.Flatten()",))
    inside = len(row.path) > 1
    later = [r for r in writer.walked.rows if r.path > row.path]
    until = next((k for k, r in enumerate(later) if r.part.kind == "dense"), len(later))
    if inside or any(r.part.of.container for r in later[:until]) or until == len(later):
        return Written(("layers.Permute((3, 1, 2))", "layers.Flatten()"))  # as PyTorch lays maps in a row
    channels, height, width = row.takes
    writer.order = np.arange(channels * height * width).reshape(row.takes).transpose(1, 2, 0).ravel()
    return Written(("layers.Flatten()",))


def _norm(writer: _Writer, row: Row, names: tuple[str, ...]) -> tuple[Array, ...]:
    if writer.state is None:
        return ()
    found = [writer.array(row, name) for name in names]
    if writer.order is not None:
        found = [array[writer.order] for array in found]
    return tuple(array.transpose(1, 2, 0) if array.ndim == 3 else array for array in found)


def _batch_norm(writer: _Writer, row: Row, one: Part) -> Written:
    options = _options(("momentum", round(1 - one["momentum"], 12), 0.99), ("epsilon", one["eps"], 1e-3))
    arrays = _norm(writer, row, ("weight", "bias", "running_mean", "running_var"))
    return Written((f"layers.BatchNormalization({options.removeprefix(', ')})",), "BatchNormalization", arrays)


def _group_norm(writer: _Writer, row: Row, one: Part) -> Written:
    return Written((f"layers.GroupNormalization({one['num_groups']}, epsilon=1e-05)",), "GroupNormalization",
                   _norm(writer, row, ("weight", "bias")))


def _layer_norm(writer: _Writer, row: Row, one: Part) -> Written:
    axes = "axis=[1, 2, 3], " if len(row.takes) == 3 else ""
    return Written((f"layers.LayerNormalization({axes}epsilon=1e-05)",), "LayerNormalization",
                   _norm(writer, row, ("weight", "bias")))


def _fixed(text: str, *names: str) -> Callable[[_Writer, Row, Part], Written]:
    return lambda writer, row, one: Written((text.format(*(one[name] for name in names)),))


_WRITING: dict[str, Callable[[_Writer, Row, Part], Written]] = {
    "conv": _conv, "depthwise": _depthwise, "transposed": _transposed, "dense": _dense, "flatten": _flatten,
    "max_pool": _pool("MaxPooling2D"), "avg_pool": _pool("AveragePooling2D"),
    "global_pool": _fixed("layers.GlobalAveragePooling2D()"),
    "upsample": lambda writer, row, one: Written((f"layers.UpSampling2D({one['scale_factor']}"
                                                  f"{_options(('interpolation', _upsampling(one), 'nearest'))})",)),
    "batch_norm": _batch_norm, "group_norm": _group_norm, "layer_norm": _layer_norm,
    "relu": _fixed('layers.Activation("relu")'), "leaky_relu": _fixed("layers.LeakyReLU({})", "negative_slope"),
    "elu": _fixed("layers.ELU({})", "alpha"), "gelu": _fixed('layers.Activation("gelu")'),
    "silu": _fixed('layers.Activation("silu")'), "hardswish": _fixed('layers.Activation("hard_silu")'),
    "sigmoid": _fixed('layers.Activation("sigmoid")'), "tanh": _fixed('layers.Activation("tanh")'),
    "softmax": lambda writer, row, one: Written((
        "layers.Softmax()" if len(row.takes) == 1 else "layers.Softmax(axis=-1)",)),
    "dropout": _fixed("layers.Dropout({})", "p"), "dropout2d": _fixed("layers.SpatialDropout2D({})", "p"),
}


def _upsampling(one: Part) -> str:
    return "bilinear" if one["bilinear"] else "nearest"


