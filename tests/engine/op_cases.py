"""What every op is asked: a row of inputs and options a name. An op without a row fails test_ops.py."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engine.ops.norm import batch_moments


@dataclass(frozen=True)
class Case:
    """arrays: float64 where a gradient is wanted. fixed: inputs without a gradient, smooth: no finite difference."""

    arrays: tuple[Any, ...]
    options: dict[str, Any] = field(default_factory=dict)
    fixed: tuple[int, ...] = ()
    smooth: bool = True


def n(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers: never on a kink."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def u(*shape: int, seed: int = 0) -> np.ndarray:
    """Numbers between 0.1 and 0.9."""
    return np.random.default_rng([seed, *shape]).uniform(0.1, 0.9, shape)


def spread(*shape: int, seed: int = 0) -> np.ndarray:
    """Different numbers at least 0.1 apart: what is the largest stays the largest when moved a little."""
    count = int(np.prod(shape))
    return np.random.default_rng([seed, *shape]).permutation(count).reshape(shape) * 0.1 - count / 20


def c(classes: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, classes, *shape]).integers(0, classes, shape)


def shares(*shape: int) -> np.ndarray:
    """Numbers that sum to 1 along axis 1."""
    e = np.exp(n(*shape, seed=5))
    return e / e.sum(axis=1, keepdims=True)


def case(*arrays: Any, fixed: tuple[int, ...] = (), smooth: bool = True, **options: Any) -> Case:
    return Case(arrays, options, fixed, smooth)


def pairs(*, positive: bool = False) -> list[Case]:
    """Two arrays that meet by broadcasting in every way."""
    draw = u if positive else n
    shapes = [((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (2, 3)), ((2, 1, 4), (3, 1)), ((0, 3), (3,))]
    return [case(draw(*a), draw(*b, seed=1)) for a, b in shapes]


def one(draw: Any = n) -> list[Case]:
    return [case(draw(3, 4)), case(draw()), case(draw(0, 2)), case(draw(2, 3, 4, 5)[::2, :, ::-1])]


REDUCED = [{}, {"axis": 1}, {"axis": (0, -1), "keepdims": True}, {"axis": None, "keepdims": True}]
LOSSES = [{}, {"reduction": "sum"}, {"reduction": "none"}]
COMPARED = [case(n(3, 4), n(4, seed=1)), case(np.round(n(20)), np.round(n(20, seed=1)))]

CASES: dict[str, list[Case]] = {
    # elementwise
    "add": pairs(),
    "sub": pairs(),
    "mul": pairs(),
    "div": pairs(positive=True),
    "neg": one(),
    "pow": [*pairs(positive=True), case(n(3, 4), np.array(2.0), fixed=(1,)), case(n(3, 4), np.array(3.0), fixed=(1,)),
            case(u(3, 4), np.array(-0.5)), case(n(3), np.array(0.0), fixed=(1,))],
    "exp": one(),
    "log": one(u),
    "sqrt": one(u),
    "sin": [*one(), case(9 * n(5, 5))],
    "cos": [*one(), case(9 * n(5, 5))],
    "abs": one(),
    "maximum": pairs(),
    "minimum": pairs(),
    "clip": [case(n(4, 5), min=-0.5), case(n(4, 5), max=0.3), case(n(4, 5), min=-0.5, max=0.3),
             case(n(4, 5), min=1.0, max=0.0)],
    "where": [case(n(3, 4) > 0, n(3, 4, seed=1), n(4, seed=2)), case(n(2, 1, 1) > 0, n(3, 1), n(1, 4, seed=1))],
    "eq": COMPARED, "ne": COMPARED, "gt": COMPARED, "ge": COMPARED, "lt": COMPARED, "le": COMPARED,
    "cast": [case(n(3), dtype=np.float64), case(n(3), dtype="float32", smooth=False)],
    # activations
    "relu": one(),
    "leaky_relu": [*one(), case(n(3, 4), negative_slope=0.3), case(n(3, 4), negative_slope=-0.2)],
    "elu": [*one(), case(n(3, 4), alpha=0.4)],
    "sigmoid": one(),
    "tanh": one(),
    "silu": one(),
    "hardswish": [*one(), case(4 * n(5, 5))],
    "hardsigmoid": [*one(), case(4 * n(5, 5))],
    "softplus": [*one(), case(n(3, 4), beta=2.5), case(4 * n(5, 5), threshold=3.0, smooth=False)],
    "gelu": [*one(), case(3 * n(6, 6)), case(3 * n(6, 6), approximate="tanh")],
    "erf": [*one(), case(3 * n(6, 6))],
    "softmax": [case(n(3, 4)), case(n(3, 4), dim=0), case(n(2, 3, 4), dim=1), case(np.zeros((0, 3)))],
    "log_softmax": [case(n(3, 4)), case(n(3, 4), dim=0), case(n(2, 3, 4), dim=1)],
    # reductions
    "sum": [case(n(3, 4, 2), **o) for o in REDUCED] + [case(n()), case(n(0, 3), axis=0)],
    "mean": [case(n(3, 4, 2), **o) for o in REDUCED] + [case(n())],
    "max": [case(spread(3, 4, 2), **o) for o in REDUCED] + [case(n())],
    "min": [case(spread(3, 4, 2), **o) for o in REDUCED] + [case(n())],
    # shapes
    "reshape": [case(n(2, 6), shape=(3, 4)), case(n(2, 6), shape=(2, -1, 2)), case(n(), shape=(1,)), case(n(4))],
    "contiguous": [case(n(2, 3)), case(n(3, 4, 2, 5).transpose(2, 3, 0, 1))],
    "flatten": [case(n(2, 3, 4)), case(n(2, 3, 4), start_dim=1), case(n(2, 3, 4, 5), start_dim=1, end_dim=2),
                case(n(2, 3, 4), end_dim=1), case(n()), case(n(2, 3, 2, 2, 2), start_dim=1, end_dim=3)],
    "transpose": [case(n(2, 3, 4)), case(n(2, 3, 4), axes=(0, 2, 1)), case(n(2, 3, 4), axes=(2, 0, -2)), case(n())],
    "unsqueeze": [case(n(2, 3)), case(n(2, 3), dim=-1), case(n(2, 3), dim=1)],
    "squeeze": [case(n(1, 3, 1)), case(n(1, 3, 1), dim=0), case(n(1, 3, 1), dim=(0, -1)), case(n(1, 3, 1), dim=1)],
    "concat": [case(n(2, 3), n(4, 3)), case(n(2, 3), n(2, 1), n(2, 2), dim=1), case(n(2, 3), n(2, 3), dim=-1)],
    "stack": [case(n(2, 3), n(2, 3, seed=1)), case(n(2, 3), n(2, 3, seed=1), dim=-1), case(n(2), n(2), dim=1)],
    "broadcast_to": [case(n(2, 1), shape=(4, 2, 3)), case(n(), shape=(2,)), case(n(2, 3), shape=(2, 3))],
    "getitem": [case(n(4, 5), index=i) for i in (
        1, -1, slice(1, 3), (slice(None), 2), (slice(None, None, -2), slice(1, None)), (None, 0), (..., 1),
        (slice(1, 3), None, -1), np.array([3, 0, 3]), (slice(None), [1, 1, 0]), (np.array([0, 1]), np.array([2, 2])),
        n(4, 5) > 0, np.array([[0, 3], [1, 1]]))],
    "pad": [case(n(2, 3, 4), pad=(1, 2)), case(n(2, 3, 4), pad=(1, 0, 2, 1), value=0.7), case(n(3, 4), pad=(-1, 2)),
            case(n(2, 3, 4), pad=(2, 1, 1, 2), mode="reflect"), case(n(2, 3, 4), pad=(2, 5, 0, 2), mode="replicate"),
            case(n(2, 3, 4), pad=(4, 1, 0, 2), mode="circular"), case(n(2))],
    "one_hot": [case(c(4, 3, 2), num_classes=4), case(c(4, 3, 2), num_classes=6), case(np.array([0, 2]))],
    # products
    "matmul": [case(n(*a), n(*b, seed=1)) for a, b in (
        ((3, 4), (4, 2)), ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 2)), ((2, 3, 4), (4, 2)), ((2, 1, 3, 4), (5, 4, 2)),
        ((4,), (2, 4, 3)), ((2, 3, 4), (4,)), ((0, 4), (4, 2)))],
    "linear": [case(n(5, 4), n(3, 4), n(3)), case(n(5, 4), n(3, 4)), case(n(2, 5, 4), n(3, 4), n(3)),
               case(n(4), n(3, 4), n(3))],
    "einsum": [case(n(2, 3), n(3, 4), equation="ij,jk->ik"), case(n(2, 3, 4), equation="abc->ca"),
               case(n(3), n(3), equation="i,i"), case(n(2, 3), n(4), n(3, 4), equation="ij,k,jk->i")],
    # windows
    "conv2d": [
        case(n(2, 3, 6, 7), n(4, 3, 3, 2), n(4)), case(n(2, 4, 6, 7), n(6, 2, 3, 3), stride=2, padding=1, groups=2),
        case(n(1, 2, 7, 7), n(2, 2, 3, 3), dilation=2, padding=(0, 1)),
        case(n(1, 2, 5, 5), n(3, 2, 2, 2), padding="same"),
        case(n(1, 4, 6, 6), n(4, 1, 3, 3), n(4), groups=4),
        case(n(1, 1, 5, 5), n(1, 1, 2, 3), padding=((0, 1), (2, 1))),
    ],
    "conv_transpose2d": [
        case(n(2, 3, 4, 5), n(3, 2, 3, 2), n(2)), case(n(1, 4, 3, 3), n(4, 1, 3, 3), groups=2, stride=2, padding=1),
        case(n(1, 2, 3, 4), n(2, 3, 2, 2), stride=2, output_padding=1), case(n(1, 2, 4, 4), n(2, 2, 2, 2), dilation=2),
    ],
    "max_pool2d": [
        case(spread(2, 3, 6, 7)), case(spread(2, 2, 7, 7), kernel_size=3, stride=2, padding=1),
        case(spread(1, 1, 7, 8), kernel_size=(2, 3), dilation=2), case(spread(1, 2, 5, 5), ceil_mode=True),
    ],
    "avg_pool2d": [
        case(n(2, 3, 6, 7)), case(n(2, 2, 7, 7), kernel_size=3, stride=2, padding=1),
        case(n(2, 2, 7, 7), kernel_size=3, stride=2, padding=1, count_include_pad=False),
        case(n(1, 2, 5, 5), ceil_mode=True), case(n(1, 1, 4, 4), divisor_override=3),
    ],
    "adaptive_avg_pool2d": [case(n(2, 3, 6, 8)), case(n(2, 3, 6, 8), output_size=(3, 4)),
                            case(n(1, 1, 5, 7), output_size=3)],
    "adaptive_max_pool2d": [case(spread(2, 3, 6, 8)), case(spread(2, 3, 6, 8), output_size=(3, 4)),
                            case(spread(1, 1, 5, 7), output_size=3)],
    "interpolate": [
        case(n(1, 2, 3, 4), size=(6, 8)), case(n(1, 2, 3, 4), scale_factor=2.0, mode="bilinear"),
        case(n(1, 2, 3, 4), size=(5, 9), mode="bilinear", align_corners=True),
        case(n(1, 2, 5, 7), scale_factor=0.5, mode="bilinear", recompute_scale_factor=True),
        case(n(1, 2, 3, 4), size=(5, 9), mode="bicubic"), case(n(1, 1, 5, 5), size=(3, 4), mode="nearest-exact"),
    ],
    # normalisation
    "batch_norm_training": [
        case(n(4, 3, 2, 2), n(3), n(3, seed=1)), case(n(5, 3)), case(n(4, 3, 5), n(3), eps=0.3),
        case(n(4, 3, 2, 2), n(3), moments=batch_moments(n(4, 3, 2, 2)), smooth=False),
    ],
    "batch_norm_inference": [
        case(n(4, 3, 2, 2), n(3), u(3), n(3, seed=1), n(3, seed=2)), case(n(5, 3), n(3), u(3)),
        case(n(4, 3, 5), n(3), u(3), n(3, seed=1), eps=0.3),
    ],
    "layer_norm": [case(n(4, 6), n(6), n(6, seed=1), normalized_shape=6), case(n(2, 3, 4), normalized_shape=(3, 4)),
                   case(n(4, 6), n(6), normalized_shape=(6,), eps=0.2)],
    "group_norm": [case(n(2, 6, 3, 3), n(6), n(6, seed=1), num_groups=3), case(n(2, 4, 5)),
                   case(n(2, 4, 5), n(4), num_groups=2, eps=0.2)],
    "instance_norm": [case(n(2, 3, 3, 4), n(3), n(3, seed=1)), case(n(2, 3, 5), eps=0.2)],
    "dropout": [case(n(4, 5), n(4, 5) > 0), case(n(2, 3, 2, 2), n(2, 3, 1, 1) > 0, p=0.25)],
    # losses
    "mse_loss": [case(n(3, 4), n(3, 4, seed=1), **o) for o in LOSSES],
    "l1_loss": [case(n(3, 4), n(3, 4, seed=1), **o) for o in LOSSES],
    "smooth_l1_loss": [case(n(3, 4), n(3, 4, seed=1), **o) for o in (*LOSSES, {"beta": 0.4}, {"beta": 0.0})],
    "huber_loss": [case(n(3, 4), n(3, 4, seed=1), **o) for o in (*LOSSES, {"delta": 0.4})],
    "binary_cross_entropy": [case(u(3, 4), u(3, 4, seed=1), **o) for o in LOSSES]
    + [case(u(3, 4), u(3, 4, seed=1), u(4))],
    "binary_cross_entropy_with_logits": [case(n(3, 4), u(3, 4), **o) for o in LOSSES]
    + [case(n(3, 4), u(3, 4), u(3, 1), u(4)), case(n(3, 4), u(3, 4), None, u(4), reduction="none")],
    "nll_loss": [case(n(4, 3), c(3, 4), **o) for o in LOSSES]
    + [case(n(4, 3), c(3, 4), u(3), fixed=(2,)), case(n(4, 3, 2, 2), c(3, 4, 2, 2), u(3), fixed=(2,), ignore_index=1),
       case(n(3), np.array(2))],
    "cross_entropy": [case(n(4, 3), c(3, 4), **o) for o in LOSSES]
    + [case(n(4, 3), c(3, 4), u(3), fixed=(2,), label_smoothing=0.2), case(n(3), np.array(2)),
       case(n(4, 3, 2, 2), c(3, 4, 2, 2), u(3), fixed=(2,), ignore_index=1, reduction="sum", label_smoothing=0.1),
       case(n(4, 3, 2), c(3, 4, 2), ignore_index=1, label_smoothing=0.1),
       case(n(4, 3), shares(4, 3)), case(n(4, 3, 2), shares(4, 3, 2), u(3), fixed=(2,), label_smoothing=0.1),
       case(n(4, 3), shares(4, 3), reduction="none"), case(n(3), shares(1, 3)[0], reduction="sum")],
}

# Options whose default and whose other values give the same numbers, and why.
SAME_EITHER_WAY = {
    ("batch_norm_training", "moments"): "they only save computing the batch's own moments twice",
}
