"""Modules: parts of a model that own numbers, may be nested, and can be named, summed up, saved and loaded."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.core import Array, ShapeError, Tensor, TensorLike, no_grad


@dataclass(frozen=True)
class Flow:
    """What is known, before anything runs, of the numbers between two layers.

    channels: the length of axis 1, or of the features once `flat`; pixels: how many a channel has; multiple: what the
    number of flat features is a multiple of, where the number itself is not known; source: the layer that made them.
    """

    channels: int | None = None
    pixels: int | None = None
    flat: bool = False
    multiple: int = 1
    source: str = ""

    def must_be(self, wanted: int, what: str, layer: str) -> None:
        """Refuse a layer that wants another number of channels or features, naming both layers."""
        if self.channels is not None and self.channels != wanted:
            raise ShapeError(f"{self.source} gives {self.channels} {what}, but {layer} takes {wanted}")
        if self.channels is None and wanted % self.multiple:
            raise ShapeError(
                f"{self.source} gives a multiple of {self.multiple} {what}, but {layer} takes {wanted}"
            )


class Module:
    """A part of a model. Set Tensors, arrays and other Modules as attributes, and write `forward`.

    A Tensor attribute is a parameter, an array a buffer, a Module a child, unless its name begins with an underscore;
    paths of attribute names are the state-dict names, as in torch.nn.

    >>> class Scale(Module):
    ...     def __init__(self):
    ...         self.factor = Tensor([2.0], requires_grad=True)
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> model = Scale()
    >>> model(Tensor([3.0])).data, list(model.state_dict())
    (array([6.], dtype=float32), ['factor'])
    """

    training: bool = True

    def forward(self, *inputs: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *inputs: Any) -> Any:
        out = self.forward(*inputs)
        if _watch.calls is not None:
            _watch.calls.append((self, out))
        return out

    # --- what it is made of ---
    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        for name, value in vars(self).items():
            if isinstance(value, Module) and not name.startswith("_"):
                yield name, value

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, "Module"]]:
        """This module ("") and all below it, each with its path."""
        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)

    def _own(self, kind: type) -> Iterator[tuple[str, Any]]:
        for name, value in vars(self).items():
            if isinstance(value, kind) and not name.startswith("_"):
                yield name, value

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Every parameter once, with its path."""
        seen: set[int] = set()
        for path, module in self.named_modules():
            for name, tensor in module._own(Tensor):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield f"{path}.{name}" if path else name, tensor

    def parameters(self) -> Iterator[Tensor]:
        for _, tensor in self.named_parameters():
            yield tensor

    def named_buffers(self) -> Iterator[tuple[str, Array]]:
        """Every buffer (an array that is not learned, such as a running mean) with its path."""
        for path, module in self.named_modules():
            for name, array in module._own(np.ndarray):
                yield f"{path}.{name}" if path else name, array

    def named_arrays(self) -> Iterator[tuple[str, Array]]:
        """Parameters and buffers alike, in torch's state-dict order: a module's own, then its children's."""
        for path, module in self.named_modules():
            for kind in (Tensor, np.ndarray):
                for name, value in module._own(kind):
                    yield f"{path}.{name}" if path else name, value.data if isinstance(value, Tensor) else value

    def state_dict(self) -> dict[str, Array]:
        """Every parameter and buffer by its path ("0.weight", "1.running_mean"): the arrays themselves, not copies."""
        return dict(self.named_arrays())

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> tuple[list[str], list[str]]:
        """Copy numbers in by name, keeping the model's own dtype; returns (missing, unexpected) names.

        Values are arrays or torch tensors. Nothing is changed unless everything fits: raises KeyError when names are
        missing or unexpected (not with strict=False), ShapeError when an array has another shape.
        """
        own = self.state_dict()
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        if strict and (missing or unexpected):
            said = [f"{kind} {', '.join(names)}" for kind, names in (("missing", missing), ("unexpected", unexpected))
                    if names]
            raise KeyError(f"the state does not fit this {type(self).__name__}: {'; '.join(said)}")
        values = {name: np.asarray(state_dict[name]) for name in own if name in state_dict}
        for name, value in values.items():
            if value.shape != own[name].shape:
                raise ShapeError(f"{name} has shape {own[name].shape} in the model and {value.shape} in the state")
        for name, value in values.items():
            own[name][...] = value
        return missing, unexpected

    # --- modes ---
    def train(self, mode: bool = True) -> "Module":
        """Training mode, here and in all below: dropout drops, batch norm uses and keeps the batch's statistics."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """Inference mode, here and in all below."""
        return self.train(False)

    def zero_grad(self) -> None:
        for tensor in self.parameters():
            tensor.grad = None

    def requires_grad_(self, requires_grad: bool = True) -> "Module":
        """Freeze (False) or thaw (True) every parameter."""
        for tensor in self.parameters():
            tensor.requires_grad = requires_grad
        return self

    # --- how it shows ---
    def extra_repr(self) -> str:
        return ""

    def __repr__(self) -> str:
        children = [f"  ({name}): {child!r}".replace("\n", "\n  ") for name, child in self.named_children()]
        inside = "\n" + "\n".join(children) + "\n" if children else self.extra_repr()
        return f"{type(self).__name__}({inside})"

    def flow(self, before: Flow, name: str) -> Flow:
        """What is known after this module of what was known before; nothing, when a module does not say."""
        return Flow()


class _Watch(threading.local):
    calls: list[tuple[Module, Any]] | None = None


_watch = _Watch()


@contextmanager
def watched() -> Iterator[list[tuple[Module, Any]]]:
    """Inside it, every call of a module in this thread is listed with its result, in the order in which they end.

    >>> from engine.layers import Flatten
    >>> with watched() as calls:
    ...     y = Flatten()(Tensor(np.zeros((1, 2, 2))))
    >>> [(type(module).__name__, result is y) for module, result in calls]
    [('Flatten', True)]
    """
    before, _watch.calls = _watch.calls, []
    try:
        yield _watch.calls
    finally:
        _watch.calls = before


class Sequential(Module):
    """Modules one after the other; indexing and slicing give them back.

    Whether each takes what the one before gives is checked here, when the chain is made: raises ShapeError naming both
    layers where the number of channels or features does not fit.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]):
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            self._layers: dict[str, Module] = dict(modules[0])
        else:
            self._layers = {str(k): m for k, m in enumerate(modules) if isinstance(m, Module)}
            if len(self._layers) < len(modules):
                raise TypeError("Sequential takes modules, or one mapping of names to modules")
        self.flow(Flow(), "")

    def forward(self, *inputs: Any) -> Any:
        (x,) = inputs
        for layer in self._layers.values():
            x = layer(x)
        return x

    def named_children(self) -> Iterator[tuple[str, Module]]:
        yield from self._layers.items()

    def __iter__(self) -> Iterator[Module]:
        return iter(self._layers.values())

    def __len__(self) -> int:
        return len(self._layers)

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Sequential(dict(list(self._layers.items())[index]))
        return list(self._layers.values())[index]

    def flow(self, before: Flow, name: str) -> Flow:
        for key, layer in self._layers.items():
            path = f"{name}.{key}" if name else key
            shown = path if isinstance(layer, Sequential) else f"layer {path}, {_short(layer)},"
            after = layer.flow(before, path if isinstance(layer, Sequential) else shown)
            known = (after.channels, after.multiple, after.flat)
            if not isinstance(layer, Sequential) and known != (before.channels, before.multiple, before.flat):
                after = replace(after, source=shown)
            before = after
        return before


class ModuleList(Module):
    """Modules in a list, named by their places; it has no forward of its own."""

    def __init__(self, modules: Sequence[Module] = ()):
        self._items = list(modules)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        for k, module in enumerate(self._items):
            yield str(k), module

    def append(self, module: Module) -> "ModuleList":
        self._items.append(module)
        return self

    def __iter__(self) -> Iterator[Module]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> Module:
        return self._items[index]


def _short(layer: Module) -> str:
    return f"{type(layer).__name__}({layer.extra_repr()})"


# --- the summary ---


@dataclass(frozen=True)
class Row:
    """One layer of a summary: its path, its kind, the shape of its result without the batch, its own parameters."""

    name: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class Summary:
    """A model layer by layer, as Keras's `summary` prints it: str() is the table."""

    title: str
    rows: tuple[Row, ...]
    trainable: int
    frozen: int
    buffers: int

    @property
    def parameters(self) -> int:
        return self.trainable + self.frozen

    def __str__(self) -> str:
        cells = [("Layer (type)", "Output Shape", "Param #")]
        cells += [(f"{r.name} ({r.layer})", f"({', '.join(map(str, ('None', *r.output_shape)))})", f"{r.parameters:,}")
                  for r in self.rows]
        wide = [max(len(row[k]) for row in cells) for k in range(3)]
        lines = [f"{a:<{wide[0]}}   {b:<{wide[1]}}   {c:>{wide[2]}}" for a, b, c in cells]
        rule = len(lines[0])
        return "\n".join([
            f'Model: "{self.title}"', "_" * rule, lines[0], "=" * rule, *lines[1:], "=" * rule,
            f"Total params: {self.parameters:,}", f"Trainable params: {self.trainable:,}",
            f"Non-trainable params: {self.frozen:,}", f"Buffers: {self.buffers:,}",
        ])


def summary(model: Module, input_shape: Sequence[int]) -> Summary:
    """Every layer that is called when the model runs on one input of input_shape (the batch not counted), in order.

    A layer used twice shows twice, its parameters counted once. Raises ShapeError, naming the shapes, when the input
    does not fit.

    >>> from engine.layers import Flatten, Linear
    >>> print(summary(Sequential(Flatten(), Linear(4, 2)), (1, 2, 2)))
    Model: "Sequential"
    _____________________________________
    Layer (type)   Output Shape   Param #
    =====================================
    0 (Flatten)    (None, 4)            0
    1 (Linear)     (None, 2)           10
    =====================================
    Total params: 10
    Trainable params: 10
    Non-trainable params: 0
    Buffers: 0
    """
    names = {id(module): name for name, module in model.named_modules()}
    modes = [(module, module.training) for _, module in model.named_modules()]
    model.eval()
    try:
        with no_grad(), watched() as calls:
            first = next(model.parameters(), None)
            model(Tensor(np.zeros((1, *input_shape), np.float32 if first is None else first.dtype)))
    finally:
        for module, mode in modes:
            module.training = mode
    counted: set[int] = set()
    rows = []
    for module, result in calls:
        own = [t for _, t in module._own(Tensor) if id(t) not in counted]
        if own or not any(True for _ in module.named_children()):
            counted.update(map(id, own))
            rows.append(Row(names[id(module)] or "model", type(module).__name__, tuple(result.shape[1:]),
                            sum(t.size for t in own)))
    sizes = [(t.size, t.requires_grad) for t in model.parameters()]
    return Summary(
        type(model).__name__, tuple(rows), sum(n for n, learned in sizes if learned),
        sum(n for n, learned in sizes if not learned), sum(a.size for _, a in model.named_buffers()),
    )


__all__ = ["Flow", "Module", "ModuleList", "Row", "Sequential", "Summary", "TensorLike", "summary", "watched"]
