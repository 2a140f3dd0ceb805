"""What the parts of a network are called, whether a design, a file or the tape names them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sort:
    """A sort of part: its key, what a person calls it, and whether every number is made of the one at its place."""

    key: str
    words: str
    pointwise: bool = False


CONV, TRANSPOSED, DENSE = "conv", "transposed", "dense"
NORM, BATCH_NORM, ACTIVATION, DROPOUT = "norm", "batch_norm", "activation", "dropout"
MAX_POOL, AVG_POOL, GLOBAL_POOL, FLATTEN = "max_pool", "avg_pool", "global_pool", "flatten"
SUM, CONCAT, SOFTMAX, UPSAMPLE, LOSS, OTHER = "sum", "concat", "softmax", "upsample", "loss", "other"
WEIGHTED = (CONV, TRANSPOSED, DENSE)

OPS: dict[str, Sort] = {
    "conv2d": Sort(CONV, "convolution"), "conv_transpose2d": Sort(TRANSPOSED, "transposed convolution"),
    "linear": Sort(DENSE, "dense layer"), "matmul": Sort(DENSE, "dense layer"),
    "batch_norm_training": Sort(BATCH_NORM, "batch norm", True),
    "batch_norm_inference": Sort(BATCH_NORM, "batch norm", True),
    "layer_norm": Sort(NORM, "layer norm"), "group_norm": Sort(NORM, "group norm"),
    "instance_norm": Sort(NORM, "instance norm"),
    **{name: Sort(ACTIVATION, words, True) for name, words in (
        ("relu", "ReLU"), ("leaky_relu", "leaky ReLU"), ("elu", "ELU"), ("sigmoid", "sigmoid"), ("tanh", "tanh"),
        ("silu", "SiLU"), ("hardswish", "hardswish"), ("hardsigmoid", "hard sigmoid"), ("softplus", "softplus"),
        ("gelu", "GELU"))},
    "max_pool2d": Sort(MAX_POOL, "max pooling"), "avg_pool2d": Sort(AVG_POOL, "average pooling"),
    "adaptive_avg_pool2d": Sort(GLOBAL_POOL, "mean of each map"),
    "adaptive_max_pool2d": Sort(GLOBAL_POOL, "maximum of each map"),
    "mean": Sort(GLOBAL_POOL, "mean"), "interpolate": Sort(UPSAMPLE, "upsampling"),
    "dropout": Sort(DROPOUT, "dropout", True), "concat": Sort(CONCAT, "side by side"),
    "add": Sort(SUM, "sum"), "softmax": Sort(SOFTMAX, "softmax"), "log_softmax": Sort(SOFTMAX, "log softmax"),
    "cross_entropy": Sort(LOSS, "cross-entropy"),
    "binary_cross_entropy_with_logits": Sort(LOSS, "binary cross-entropy"),
    **{name: Sort(FLATTEN, "flatten") for name in ("flatten", "reshape", "squeeze", "unsqueeze")},
}
"""By the name of the op on the tape."""
POINTWISE_OPS = ("add", "sub", "mul", "div", "neg", "pow", "exp", "log", "sqrt", "abs", "maximum", "minimum", "where",
                 "erf", "sin", "cos", "cast", "fake_quantize")
_RANK = {CONV: 0, TRANSPOSED: 0, DENSE: 1, BATCH_NORM: 2, NORM: 2, MAX_POOL: 3, AVG_POOL: 3, GLOBAL_POOL: 4, CONCAT: 5,
         UPSAMPLE: 5, SOFTMAX: 6, LOSS: 6, ACTIVATION: 7, DROPOUT: 7, SUM: 8, FLATTEN: 9}

ONNX: dict[str, Sort] = {
    "Clip": Sort(ACTIVATION, "ReLU6", True), "HardSwish": Sort(ACTIVATION, "hardswish", True),
    "Gelu": Sort(ACTIVATION, "GELU", True), "Swish": Sort(ACTIVATION, "SiLU", True),
    "PRelu": Sort(ACTIVATION, "PReLU", True), "Softplus": Sort(ACTIVATION, "softplus", True),
    "HardSigmoid": Sort(ACTIVATION, "hard sigmoid", True), "Sigmoid": Sort(ACTIVATION, "sigmoid", True),
    "Mish": Sort(ACTIVATION, "Mish", True), "Selu": Sort(ACTIVATION, "SELU", True),
    "Celu": Sort(ACTIVATION, "CELU", True), "Softsign": Sort(ACTIVATION, "softsign", True),
    "ThresholdedRelu": Sort(ACTIVATION, "thresholded ReLU", True), "LRN": Sort("other", "local response norm"),
    "DepthToSpace": Sort("other", "depth to space"), "SpaceToDepth": Sort("other", "space to depth"),
    "LayerNormalization": Sort(NORM, "layer norm"), "GroupNormalization": Sort(NORM, "group norm"),
    "InstanceNormalization": Sort(NORM, "instance norm"), "ReduceMean": Sort(GLOBAL_POOL, "mean"),
    "Gemm": Sort(DENSE, "dense layer"), "AveragePool": Sort(AVG_POOL, "average pooling"),
    "DequantizeLinear": Sort("other", "rounded to whole numbers", True), "Resize": Sort(UPSAMPLE, "resize"),
    "Upsample": Sort(UPSAMPLE, "upsampling"),
}
"""By an ONNX operator's name, where several ops of the tape compute it or the tape does not tell."""

KINDS: dict[str, Sort] = {
    "depthwise": Sort(CONV, "depthwise convolution"), "global_pool": Sort(GLOBAL_POOL, "mean of each map"),
    "upsample": Sort(UPSAMPLE, "upsampling"), "dropout": Sort(DROPOUT, "dropout", True),
    "dropout2d": Sort(DROPOUT, "dropout of whole maps", True), "group_norm": Sort(NORM, "group norm"),
    "layer_norm": Sort(NORM, "layer norm"), "gelu": Sort(ACTIVATION, "GELU", True), "flatten": Sort(FLATTEN, "flatten"),
    "dense": Sort(DENSE, "dense layer"),
}
"""By the kind of a part in a design, where the tape does not tell."""


def sort_of(ops: list[tuple[str, int]]) -> Sort:
    """What a group of ops is: that of its weightiest op. Each op by its name and the number of inputs that come from
    the picture.

    >>> sort_of([("reshape", 1), ("matmul", 1), ("add", 1)]).words
    'dense layer'
    >>> sort_of([("add", 2)]).words, sort_of([("mul", 2)]).words, sort_of([("transpose", 1)]).words
    ('sum', 'mul', 'transpose')
    """
    found = [OPS[name] for name, moving in ops if name in OPS and not (name == "add" and moving < 2)]
    if found:
        return min(found, key=lambda sort: _RANK[sort.key])
    name = ops[-1][0] if ops else "identity"
    return Sort(OTHER, name.replace("_", " "), name in POINTWISE_OPS)
