"""Reverse-mode automatic differentiation: an op declared once, and the tensors its calls are recorded on.

An op is one function that returns its value *and the way back* (its vector-Jacobian product, a closure):

    @op(onnx=Node("Relu"))
    def relu(x):
        return np.maximum(x, 0), lambda g: (g * (x > 0),)

`relu.rule(array)` is that function, pure. `relu(tensor)` calls it and records the call. `backward` walks the
recorded calls from the last to the first; `backward_steps` is the same walk, one step at a time (engine/tape.py).
"""

import inspect
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias, Union

import numpy as np

from engine.arrays import Array
from engine.errors import RefusedArgument, ShapeError
from engine.onnx_spec import Refused, Situation, Spelled, Spelling
from engine.tape import BackwardStep, backward_steps, walk

Vjp: TypeAlias = Callable[..., tuple[Array | None, ...]]
Rule: TypeAlias = Callable[..., tuple[Array, Vjp]]
TensorLike: TypeAlias = Union["Tensor", Array, float, int, Sequence[Any]]


class Op:
    """One differentiable operation: its rule (value and way back), its ONNX spelling, its meaning (docstring).

    Attributes: `name`, `rule`, `onnx`, `selective` (its vjp takes a second argument `needs`, one bool an input, and
    may return None where False), `__doc__`.
    """

    def __init__(self, rule: Rule, onnx: Spelling, selective: bool):
        self.name = rule.__name__.rstrip("_")
        self.rule = rule
        self.onnx = _with_defaults(onnx, rule) if callable(onnx) else onnx
        self.selective = selective
        self.__doc__ = rule.__doc__
        self.__module__ = rule.__module__
        self.__wrapped__ = rule  # so that inspect.signature and doctest see the rule's own signature and line

    def __call__(self, *inputs: Any, **options: Any) -> "Tensor":
        """Apply the rule to Tensors or arrays (None for an absent one); record it where a gradient is wanted."""
        arrays: list[Array | None] = []
        learned = made = False  # a plain loop: this is what every call of every op waits for
        for x in inputs:
            if isinstance(x, Tensor):
                arrays.append(x.data)
                if x.requires_grad:
                    learned = True
                elif x.node is not None:
                    made = True
            elif x is None:
                arrays.append(None)
            else:
                return self(*(y if y is None else as_tensor(y, inputs) for y in inputs), **options)
        value, vjp = self.rule(*arrays, **options)
        out = Tensor(value)
        if (learned or made) and _mode.recording:
            out.node = Record(self, inputs, options, vjp)
            # bools and whole numbers are recorded too (an exported model compares as well), without a gradient
            out.requires_grad = learned and value.dtype.kind == "f"
        return out

    def __repr__(self) -> str:
        return f"<op {self.name}>"


def _with_defaults(spell: Callable[[Situation], Spelled], rule: Rule) -> Callable[[Situation], Spelled]:
    """A spelling that always sees every option: the rule's signature is the one place where defaults stand."""
    defaults = {p.name: p.default for p in inspect.signature(rule).parameters.values() if p.kind is p.KEYWORD_ONLY}
    return lambda s: spell(replace(s, options={**defaults, **s.options}))


OPS: dict[str, Op] = {}


def op(*, onnx: Spelling, selective: bool = False) -> Callable[[Rule], Op]:
    """Declare an op: register the decorated rule under its own name (a trailing underscore dropped) in `OPS`."""

    def declare(rule: Rule) -> Op:
        declared = Op(rule, onnx, selective)
        if declared.name in OPS:
            raise ValueError(f"there is already an op named {declared.name}")
        OPS[declared.name] = declared
        return declared

    return declare


class Record:
    """One recorded call on the tape: which op, on which inputs, with which options, its way back, and its place.

    Places count up from call to call, so that whatever a result was made from has a smaller one.
    """

    __slots__ = ("op", "inputs", "options", "vjp", "place")

    def __init__(self, op: Op, inputs: "tuple[Tensor | None, ...]", options: Mapping[str, Any], vjp: Vjp):
        self.op = op
        self.inputs = inputs
        self.options = options
        self.vjp = vjp
        self.place = next(_places)


_places = itertools.count()


class Tensor:
    """An array that remembers how it was made, so that gradients can be walked back to what it was made from.

    `data` is the array (any shape), `grad` the accumulated gradient of a leaf (same shape) or None, `node` the
    recorded call that made it (None for a leaf). A NumPy array is held as it is, not copied; Python numbers and
    lists of floats become float32, as in torch. Raises ValueError when a gradient is asked of integers.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    array([2., 4., 6.], dtype=float32)
    """

    __slots__ = ("data", "grad", "requires_grad", "node", "__weakref__")
    __array_ufunc__ = None  # array + Tensor asks the Tensor; np.exp(tensor) is refused instead of leaving the tape

    data: Array
    grad: Array | None
    requires_grad: bool
    node: Record | None

    def __init__(self, data: Any, requires_grad: bool = False):
        if type(data) is not np.ndarray:
            data = _to_array(data)
        if requires_grad and data.dtype.kind != "f":
            raise ValueError(f"only floating-point tensors can have a gradient, this one holds {data.dtype}")
        self.data = data
        self.grad = None
        self.requires_grad = requires_grad
        self.node = None

    # --- what it holds ---
    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.data.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    @property
    def T(self) -> "Tensor":  # noqa: N802 - NumPy's and torch's name
        return OPS["transpose"](self)

    def __len__(self) -> int:
        return len(self.data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.data, dtype, copy=copy)

    def __repr__(self) -> str:
        body = np.array2string(self.data, prefix="Tensor(", separator=", ", precision=4)
        made = f", made by {self.node.op.name}" if self.node else ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({body}{made})"

    def item(self) -> float:
        """The one number of a tensor that holds one."""
        return float(self.data.item())

    def numpy(self) -> Array:
        """The array itself (not a copy)."""
        return self.data

    def detach(self) -> "Tensor":
        """The same data as a leaf that wants no gradient."""
        return Tensor(self.data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __float__(self) -> float:
        return self.item()

    # --- the way back ---
    def backward(self, gradient: Any = None) -> None:
        """Add d(self)/d(leaf) to `.grad` of every leaf that requires it: `backward_steps`, run to its end."""
        for _ in walk(self, gradient):
            pass

    def zero_grad(self) -> None:
        """Forget the accumulated gradient."""
        self.grad = None

    # --- arithmetic: each is the op of that name ---
    def __add__(self, other: TensorLike) -> "Tensor":
        return OPS["add"](self, other)

    def __radd__(self, other: TensorLike) -> "Tensor":
        return OPS["add"](other, self)

    def __sub__(self, other: TensorLike) -> "Tensor":
        return OPS["sub"](self, other)

    def __rsub__(self, other: TensorLike) -> "Tensor":
        return OPS["sub"](other, self)

    def __mul__(self, other: TensorLike) -> "Tensor":
        return OPS["mul"](self, other)

    def __rmul__(self, other: TensorLike) -> "Tensor":
        return OPS["mul"](other, self)

    def __truediv__(self, other: TensorLike) -> "Tensor":
        return OPS["div"](self, other)

    def __rtruediv__(self, other: TensorLike) -> "Tensor":
        return OPS["div"](other, self)

    def __neg__(self) -> "Tensor":
        return OPS["neg"](self)

    def __pow__(self, other: TensorLike) -> "Tensor":
        return OPS["pow"](self, other)

    def __rpow__(self, other: TensorLike) -> "Tensor":
        return OPS["pow"](other, self)

    def __matmul__(self, other: TensorLike) -> "Tensor":
        return OPS["matmul"](self, other)

    def __rmatmul__(self, other: TensorLike) -> "Tensor":
        return OPS["matmul"](other, self)

    def __getitem__(self, index: Any) -> "Tensor":
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(i, Tensor) for i in parts):
            plain = tuple(i.data if isinstance(i, Tensor) else i for i in parts)
            index = plain if isinstance(index, tuple) else plain[0]
        return OPS["getitem"](self, index=index)

    def __gt__(self, other: TensorLike) -> "Tensor":
        return OPS["gt"](self, other)

    def __ge__(self, other: TensorLike) -> "Tensor":
        return OPS["ge"](self, other)

    def __lt__(self, other: TensorLike) -> "Tensor":
        return OPS["lt"](self, other)

    def __le__(self, other: TensorLike) -> "Tensor":
        return OPS["le"](self, other)

    def __eq__(self, other: Any) -> "Tensor":  # type: ignore[override]
        return OPS["eq"](self, other)

    def __ne__(self, other: Any) -> "Tensor":  # type: ignore[override]
        return OPS["ne"](self, other)

    __hash__ = object.__hash__

    def __abs__(self) -> "Tensor":
        return OPS["abs"](self)

    # --- the methods people reach for ---
    def exp(self) -> "Tensor":
        return OPS["exp"](self)

    def log(self) -> "Tensor":
        return OPS["log"](self)

    def sqrt(self) -> "Tensor":
        return OPS["sqrt"](self)

    def abs(self) -> "Tensor":
        return OPS["abs"](self)

    def clip(self, min: float | None = None, max: float | None = None) -> "Tensor":
        return OPS["clip"](self, min=min, max=max)

    def sum(self, axis: Any = None, keepdims: bool = False) -> "Tensor":
        return OPS["sum"](self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> "Tensor":
        return OPS["mean"](self, axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> "Tensor":
        return OPS["max"](self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> "Tensor":
        return OPS["min"](self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> "Tensor":
        return OPS["reshape"](self, shape=shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)

    def transpose(self, dim0: int, dim1: int) -> "Tensor":
        """Two axes swapped, as torch's transpose; `permute` puts all of them in another order."""
        axes = list(range(self.ndim))
        rank = self.ndim or 1  # of a single number, axis 0 may be swapped with itself, as in torch
        if not (-rank <= dim0 < rank and -rank <= dim1 < rank):
            raise ShapeError(f"an array of shape {self.shape} has no axes {dim0} and {dim1} to be swapped")
        if axes:
            axes[dim0], axes[dim1] = axes[dim1], axes[dim0]
        return OPS["transpose"](self, axes=axes)

    def permute(self, *axes: Any) -> "Tensor":
        return OPS["transpose"](self, axes=axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes)

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> "Tensor":
        return OPS["flatten"](self, start_dim=start_dim, end_dim=end_dim)

    def contiguous(self) -> "Tensor":
        """The same numbers with the last axis innermost in memory, as torch's; itself where they lie so already."""
        return self if self.data.flags.c_contiguous else OPS["contiguous"](self)

    def squeeze(self, dim: Any = None) -> "Tensor":
        return OPS["squeeze"](self, dim=dim)

    def unsqueeze(self, dim: int) -> "Tensor":
        return OPS["unsqueeze"](self, dim=dim)

    def astype(self, dtype: Any) -> "Tensor":
        """The same numbers as another type (np.float32, np.float64, ...), gradients included."""
        return OPS["cast"](self, dtype=dtype)


def _to_array(data: Any) -> Array:
    if isinstance(data, Tensor):
        return data.data
    if isinstance(data, np.generic | np.ndarray):
        return np.asarray(data)
    array = np.asarray(data)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def as_tensor(x: Any, beside: Sequence[Any] = ()) -> Tensor:
    """x as a Tensor; a bare Python number takes the dtype of the first Tensor or array it stands beside."""
    if isinstance(x, Tensor):
        return x
    if type(x) is np.ndarray:  # the usual case; what follows takes longer
        return Tensor(x)
    if isinstance(x, bool | int | float):
        for other in beside:
            dtype = getattr(other, "dtype", None)
            if dtype is not None:
                fits = dtype.kind == "f" or isinstance(x, int)
                return Tensor(np.asarray(x, dtype if fits else np.float32))
    return Tensor(x)


class _Mode(threading.local):  # one flag a thread: visitors of a page must not switch each other's tape off
    recording = True


_mode = _Mode()


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside it nothing is recorded: the same values, no tape.

    >>> w = Tensor([2.0], requires_grad=True)
    >>> with no_grad():
    ...     (w * w).requires_grad
    False
    """
    before, _mode.recording = _mode.recording, False
    try:
        yield
    finally:
        _mode.recording = before


__all__ = [
    "OPS", "Array", "BackwardStep", "Op", "Record", "Refused", "RefusedArgument", "Rule", "ShapeError", "Tensor", "Vjp",
    "as_tensor", "backward_steps", "no_grad", "op",
]
