"""Every kind of part once: its fields with their ranges, its shape rule, its counts, and how libraries spell it.

A new kind is one row of `KINDS` here, its rule and counts, and one function in `keras.py`; pages, spelling, edits,
faults, code and builders read it from there.
"""

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

from playground.errors import PlaygroundError
from playground.network.kind import LARGEST, SAME, Field, Kind, Layer, MisfitError, Shape, Values

# --- fields several kinds have ---

_KERNEL = Field("kernel_size", "k", 3, 1, 64, "kernel size")
_STRIDE = Field("stride", "s", 1, 1, 64, "stride")
_PADDING = Field("padding", "p", SAME, SAME, 64, "padding")
_DILATION = Field("dilation", "d", 1, 1, 64, "dilation")
_BIAS = Field("bias", "n", 1, 0, 1, "bias", flag=True)
_POOL = (Field("kernel_size", "", 2, 1, 64, "window"), Field("stride", "s", 0, 0, 64, "stride"),
         Field("padding", "p", 0, 0, 32, "padding"))
_EPS = Field("eps", "e", 1e-5, 1e-12, 1.0, "epsilon", whole=False)


def padding_of(values: Values) -> int:
    """Pixels added on every side: what is asked for, or what keeps the size at stride 1."""
    asked = int(values["padding"])
    return int(values["dilation"]) * (int(values["kernel_size"]) - 1) // 2 if asked == SAME else asked


# --- shape rules ---


def _maps(shape: Shape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise MisfitError("flat")
    return shape[0], shape[1], shape[2]


def _slid(side: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    span = dilation * (kernel - 1) + 1
    if side + 2 * padding < span:
        raise MisfitError("window", span=span, padding=padding)
    return (side + 2 * padding - span) // stride + 1


def _conv_shape(values: Values, shape: Shape) -> Shape:
    channels, height, width = _maps(shape)
    groups = values["groups"]
    if channels % groups or values["filters"] % groups:
        raise MisfitError("groups", groups=groups, channels=channels, filters=values["filters"])
    numbers = (values["kernel_size"], values["stride"], padding_of(values), values["dilation"])
    return (values["filters"], _slid(height, *numbers), _slid(width, *numbers))


def _depthwise_shape(values: Values, shape: Shape) -> Shape:
    channels, height, width = _maps(shape)
    numbers = (values["kernel_size"], values["stride"], padding_of(values), values["dilation"])
    return (channels * values["multiplier"], _slid(height, *numbers), _slid(width, *numbers))


def _transposed_shape(values: Values, shape: Shape) -> Shape:
    _, height, width = _maps(shape)
    sides = [(side - 1) * values["stride"] - 2 * values["padding"] + values["kernel_size"] for side in (height, width)]
    if min(sides) < 1:
        raise MisfitError("cut", padding=values["padding"])
    return (values["filters"], sides[0], sides[1])


def pool_stride(values: Values) -> int:
    """A pooling's stride: 0 stands for the window's own size."""
    return int(values["stride"]) or int(values["kernel_size"])


def _pool_shape(values: Values, shape: Shape) -> Shape:
    channels, height, width = _maps(shape)
    if 2 * values["padding"] > values["kernel_size"]:
        raise MisfitError("pool padding", kernel_size=values["kernel_size"], padding=values["padding"])
    numbers = (values["kernel_size"], pool_stride(values), values["padding"])
    return (channels, _slid(height, *numbers), _slid(width, *numbers))


def _upsample_shape(values: Values, shape: Shape) -> Shape:
    channels, height, width = _maps(shape)
    return (channels, height * values["scale_factor"], width * values["scale_factor"])


def _group_norm_shape(values: Values, shape: Shape) -> Shape:
    channels, _, _ = _maps(shape)
    if channels % values["num_groups"]:
        raise MisfitError("groups", groups=values["num_groups"], channels=channels, filters=None)
    return shape


def _dense_shape(values: Values, shape: Shape) -> Shape:
    if len(shape) == 3:
        raise MisfitError("maps")
    return (values["units"],)


def _kept(values: Values, shape: Shape) -> Shape:
    return shape


def _kept_maps(values: Values, shape: Shape) -> Shape:
    return _maps(shape)


# --- layers as torch.nn and the engine name them ---


def _given(**arguments: Any) -> dict[str, Any]:
    """The arguments that differ from torch's defaults, required ones first."""
    usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
    return {name: value for name, value in arguments.items() if name not in usual or value != usual[name]}


def _conv_layers(values: Values, shape: Shape) -> list[Layer]:
    return [("Conv2d", _given(
        in_channels=shape[0], out_channels=values["filters"], kernel_size=values["kernel_size"],
        stride=values["stride"], padding=padding_of(values), dilation=values["dilation"], groups=values["groups"],
        bias=bool(values["bias"])))]


def _depthwise_layers(values: Values, shape: Shape) -> list[Layer]:
    return [("Conv2d", _given(
        in_channels=shape[0], out_channels=shape[0] * values["multiplier"], kernel_size=values["kernel_size"],
        stride=values["stride"], padding=padding_of(values), dilation=values["dilation"], groups=shape[0],
        bias=bool(values["bias"])))]


def _transposed_layers(values: Values, shape: Shape) -> list[Layer]:
    return [("ConvTranspose2d", _given(
        in_channels=shape[0], out_channels=values["filters"], kernel_size=values["kernel_size"],
        stride=values["stride"], padding=values["padding"], bias=bool(values["bias"])))]


def _pool_layers(name: str) -> Callable[[Values, Shape], list[Layer]]:
    def layers(values: Values, shape: Shape) -> list[Layer]:
        given: dict[str, Any] = {"kernel_size": values["kernel_size"]}
        if pool_stride(values) != values["kernel_size"]:
            given["stride"] = pool_stride(values)
        if values["padding"]:
            given["padding"] = values["padding"]
        return [(name, given)]
    return layers


def _batch_norm_layers(values: Values, shape: Shape) -> list[Layer]:
    given: dict[str, Any] = {"num_features": shape[0]}
    given |= {name: values[name] for name, usual in (("eps", 1e-5), ("momentum", 0.1)) if values[name] != usual}
    return [("BatchNorm2d" if len(shape) == 3 else "BatchNorm1d", given)]


def _layer(name: str, *arguments: str) -> Callable[[Values, Shape], list[Layer]]:
    return lambda values, shape: [(name, {argument: values[argument] for argument in arguments})]


def _dense_layers(values: Values, shape: Shape) -> list[Layer]:
    return [("Linear", _given(in_features=shape[0], out_features=values["units"], bias=bool(values["bias"])))]


# --- counts ---


def _none(*_: Any) -> int:
    return 0


def _weights(values: Values, filters: int, fan_in: int) -> int:
    return filters * fan_in + (filters if values["bias"] else 0)


def _conv_parameters(values: Values, shape: Shape) -> int:
    return _weights(values, values["filters"], shape[0] // values["groups"] * values["kernel_size"] ** 2)


def _depthwise_parameters(values: Values, shape: Shape) -> int:
    return _weights(values, shape[0] * values["multiplier"], values["kernel_size"] ** 2)


def _transposed_parameters(values: Values, shape: Shape) -> int:
    weights: int = shape[0] * values["filters"] * values["kernel_size"] ** 2
    return weights + (int(values["filters"]) if values["bias"] else 0)


def _conv_window(values: Values) -> tuple[float, float]:
    return values["dilation"] * (values["kernel_size"] - 1), values["stride"]


def _still(values: Values) -> tuple[float, float]:
    return 0, 1


def _activation(name: str, code: str, words: str, article: str, layer: str, *fields: Field) -> Kind:
    return Kind(name, code, words, article, fields, _kept, _layer(layer, *(f.name for f in fields)), _none, _none,
                _still, "activation")


WHOLE = float("inf")
"""As what a part sees more: all of the picture."""


class _Kinds(Mapping[str, Kind]):
    """The kinds by name, and by code."""

    def __init__(self, *kinds: Kind):
        self._by_name = {kind.name: kind for kind in kinds}
        self.by_code = {kind.code: kind for kind in kinds if not kind.container}

    def __getitem__(self, name: str) -> Kind:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def find(self, name: Any) -> Kind:
        """Raises PlaygroundError when there is no such kind."""
        if not isinstance(name, str) or name not in self._by_name:
            raise PlaygroundError(f"There is no kind of layer called {repr(name)[:40]}: choose {', '.join(self)}.")
        return self._by_name[name]


KINDS = _Kinds(
    Kind("conv", "c", "convolution", "a convolution",
         (Field("filters", "", 32, 1, LARGEST, "number of filters"), _KERNEL, _STRIDE, _PADDING, _DILATION,
          Field("groups", "g", 1, 1, LARGEST, "number of groups"), _BIAS),
         _conv_shape, _conv_layers, _conv_parameters,
         lambda v, x, y: prod(y) * (x[0] // v["groups"]) * v["kernel_size"] ** 2, _conv_window, "convolution",
         draws=True),
    Kind("depthwise", "dw", "depthwise convolution", "a depthwise convolution",
         (Field("multiplier", "", 1, 1, 64, "multiplier"), _KERNEL, _STRIDE, _PADDING, _DILATION, _BIAS),
         _depthwise_shape, _depthwise_layers, _depthwise_parameters,
         lambda v, x, y: prod(y) * v["kernel_size"] ** 2, _conv_window, "convolution", draws=True),
    Kind("transposed", "ct", "transposed convolution", "a transposed convolution",
         (Field("filters", "", 32, 1, LARGEST, "number of filters"), Field("kernel_size", "k", 2, 1, 64, "kernel size"),
          Field("stride", "s", 2, 1, 64, "stride"), Field("padding", "p", 0, 0, 64, "padding"), _BIAS),
         _transposed_shape, _transposed_layers, _transposed_parameters,
         lambda v, x, y: prod(x) * v["filters"] * v["kernel_size"] ** 2,
         lambda v: (-(-v["kernel_size"] // v["stride"]) - 1, 1 / v["stride"]), "convolution", draws=True),
    Kind("upsample", "u", "upsampling", "an upsampling",
         (Field("scale_factor", "", 2, 1, 16, "factor"), Field("bilinear", "b", 0, 0, 1, "bilinear", flag=True)),
         _upsample_shape,
         lambda v, x: [("Upsample", {"scale_factor": v["scale_factor"]} | (
             {"mode": "bilinear"} if v["bilinear"] else {}))],
         _none, _none, lambda v: (1 if v["bilinear"] else 0, 1 / v["scale_factor"]), "size"),
    Kind("max_pool", "p", "max pooling", "a max pooling", _POOL, _pool_shape, _pool_layers("MaxPool2d"), _none, _none,
         lambda v: (v["kernel_size"] - 1, pool_stride(v)), "size"),
    Kind("avg_pool", "a", "average pooling", "an average pooling", _POOL, _pool_shape, _pool_layers("AvgPool2d"), _none,
         _none, lambda v: (v["kernel_size"] - 1, pool_stride(v)), "size"),
    Kind("global_pool", "g", "mean of each map", "a mean of each map", (), lambda v, x: _maps(x)[:1],
         lambda v, x: [("AdaptiveAvgPool2d", {"output_size": 1}), ("Flatten", {})], _none, _none,
         lambda v: (WHOLE, 1), "size"),
    Kind("flatten", "f", "flatten", "a flatten", (), lambda v, x: (prod(x),), _layer("Flatten"), _none, _none, _still,
         "size"),
    Kind("dense", "d", "dense layer", "a dense layer",
         (Field("units", "", 10, 1, LARGEST, "number of units"), _BIAS), _dense_shape, _dense_layers,
         lambda v, x: _weights(v, v["units"], x[0]), lambda v, x, y: x[0] * y[0], lambda v: (WHOLE, 1), "dense",
         draws=True),
    Kind("batch_norm", "b", "batch norm", "a batch norm",
         (Field("momentum", "m", 0.1, 0.0, 1.0, "momentum", whole=False), _EPS), _kept, _batch_norm_layers,
         lambda v, x: 2 * x[0], _none, _still, "normalization"),
    Kind("group_norm", "gn", "group norm", "a group norm",
         (Field("num_groups", "", 8, 1, LARGEST, "number of groups"),), _group_norm_shape,
         lambda v, x: [("GroupNorm", {"num_groups": v["num_groups"], "num_channels": x[0]})],
         lambda v, x: 2 * x[0], _none, _still, "normalization"),
    Kind("layer_norm", "ln", "layer norm", "a layer norm", (), _kept,
         lambda v, x: [("LayerNorm", {"normalized_shape": list(x)})], lambda v, x: 2 * prod(x), _none, _still,
         "normalization"),
    _activation("relu", "r", "ReLU", "a ReLU", "ReLU"),
    _activation("leaky_relu", "lr", "leaky ReLU", "a leaky ReLU", "LeakyReLU",
                Field("negative_slope", "", 0.01, 0.0, 1.0, "negative slope", whole=False)),
    _activation("elu", "el", "ELU", "an ELU", "ELU", Field("alpha", "", 1.0, 0.0, 100.0, "alpha", whole=False)),
    _activation("gelu", "ge", "GELU", "a GELU", "GELU"),
    _activation("silu", "si", "SiLU", "a SiLU", "SiLU"),
    _activation("hardswish", "hs", "hardswish", "a hardswish", "Hardswish"),
    _activation("sigmoid", "sg", "sigmoid", "a sigmoid", "Sigmoid"),
    _activation("tanh", "th", "tanh", "a tanh", "Tanh"),
    Kind("softmax", "sm", "softmax", "a softmax", (), _kept, lambda v, x: [("Softmax", {"dim": 1})], _none, _none,
         _still, "activation"),
    Kind("dropout", "o", "dropout", "a dropout",
         (Field("p", "", 0.5, 0.0, 0.99, "probability", whole=False),), _kept, _layer("Dropout", "p"), _none, _none,
         _still, "regularization", draws=True),
    Kind("dropout2d", "oc", "dropout of whole maps", "a dropout of whole maps",
         (Field("p", "", 0.5, 0.0, 0.99, "probability", whole=False),), _kept_maps, _layer("Dropout2d", "p"), _none,
         _none, _still, "regularization", draws=True),
    Kind("residual", "[", "residual", "a residual", (), _kept, lambda v, x: [], _none, _none, _still, "container",
         container=True),
    Kind("parallel", "(", "parallel branches", "a group of parallel branches", (), _kept, lambda v, x: [], _none, _none,
         _still, "container", container=True),
    Kind("block", "{", "block", "a block", (), _kept, lambda v, x: [], _none, _none, _still, "container",
         container=True),
)
ACTIVATIONS = tuple(kind.name for kind in KINDS.values() if kind.group == "activation" and kind.name != "softmax")
NORMS = tuple(kind.name for kind in KINDS.values() if kind.group == "normalization")
WEIGHTED = ("conv", "depthwise", "transposed", "dense")
"""The linear kinds: two of them with nothing between are one."""
