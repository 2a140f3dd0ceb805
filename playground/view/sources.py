"""What can be watched at work: a design with its weights, and any file whose graph the engine can run.

A source is immutable but for the moment of a run: it is run under its lock, so threads may share it.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path as FilePath
from typing import Protocol

import numpy as np
import onnx

from engine import Tensor, layers, no_grad
from engine.module import watched
from playground.datasets.preprocessing import Preprocessing
from playground.deploy.core import core_of, opened
from playground.deploy.engine_backend import EngineModel
from playground.errors import PlaygroundError
from playground.network.build import placed
from playground.network.parts import Network, Path, everything, place
from playground.numbers import number
from playground.training.scratch.losses import CROSS_ENTROPY
from playground.training.scratch.numpy_fit import TrainedNumpy
from playground.view.trace import Array, Mark, Trace, read
from playground.view.words import ACTIVATION, CONCAT, DROPOUT, KINDS, ONNX, OPS, SUM, Sort

JOINS = {"residual": Sort(SUM, "sum of both ways"), "parallel": Sort(CONCAT, "side by side")}


class Source(Protocol):
    """A network that can be run on prepared pictures (N, C, H, W)."""

    labels: tuple[str, ...]
    preprocessing: Preprocessing
    has_modes: bool
    """Whether it has a training mode that differs: a batch norm or dropout of a design."""
    loss: str
    """What it learnt from: one of training.scratch.losses.LOSSES."""

    def run(self, x: Array, train: bool = False) -> Trace:
        """Its trace for a batch, picture 0 being looked at. In training mode batch norm takes the batch's statistics
        and dropout leaves numbers out, always the same ones; nothing of the network is changed. Raises
        PlaygroundError."""

    def scores(self, x: Array) -> Array:
        """What it says of a batch in evaluation mode, (N, K), without a tape."""

    def weights(self) -> Mapping[str, Tensor]:
        """Its learnt numbers by name: its own, so that who changes them puts them back (`changed`)."""


class Design:
    """A network of our own description, built."""

    def __init__(self, network: Network, model: layers.Sequential, preprocessing: Preprocessing,
                 labels: tuple[str, ...], loss: str = CROSS_ENTROPY):
        self.network, self.model, self.preprocessing, self.labels = network, model, preprocessing, labels
        self.loss = loss
        self.lock = threading.RLock()
        modules = placed(network, model)
        self._path = {id(modules[path]): (path, one) for path, one in everything(network.parts)
                      if one.kind in JOINS or not one.of.container}
        self._dropouts = [one for one in modules.values() if isinstance(one, layers.Dropout)]
        self.has_modes = any(one.kind in ("batch_norm", "dropout", "dropout2d") for _, one in everything(network.parts))

    @staticmethod
    def of_trained(trained: TrainedNumpy) -> "Design":
        """A trained network. Raises ValueError when it does not say what it was built from."""
        if trained.network is None:
            raise ValueError("the trained network has no description")
        return Design(trained.network, trained.model, trained.preprocessing, trained.classes, trained.loss)

    def names(self) -> dict[Path, str]:
        """What each part is called in the state of the built network."""
        called = {id(module): name for name, module in self.model.named_modules()}
        return {path: called[id(module)] for path, module in placed(self.network, self.model).items()}

    def run(self, x: Array, train: bool = False) -> Trace:
        picture = Tensor(x, requires_grad=True)
        with self.lock:
            before = {name: array.copy() for name, array in self.model.named_buffers()} if train else {}
            drawing = [one.rng for one in self._dropouts]
            for seed, one in enumerate(self._dropouts):  # the same numbers are left out whenever it is looked at
                one.rng = np.random.default_rng(seed)
            (self.model.train if train else self.model.eval)()
            try:
                with watched() as calls:
                    logits = self.model(picture)
            finally:
                for one, rng in zip(self._dropouts, drawing, strict=True):
                    one.rng = rng
                for name, array in self.model.named_buffers() if train else ():
                    array[...] = before[name]
                self.model.eval()
            marks = [self._mark(module, result, train) for module, result in calls if id(module) in self._path]
            names = {id(weight): name for name, weight in self.model.named_parameters()}
        return read(picture, logits, marks, names, train, self.loss)

    def _mark(self, module: layers.Module, result: Tensor, train: bool) -> Mark:
        path, one = self._path[id(module)]
        more = one.title.split(", ", 1)[1] if ", " in one.title else ""
        sort = JOINS.get(one.kind) or KINDS.get(one.kind)
        if sort is not None and sort.key == DROPOUT and not train:
            more = f"p = {number(one['p'])}, all present"
        return Mark(place(path), result, sort, more)

    def scores(self, x: Array) -> Array:
        with self.lock, no_grad():
            self.model.eval()
            return np.asarray(self.model(Tensor(x)).data)

    def weights(self) -> Mapping[str, Tensor]:
        return dict(self.model.named_parameters())


class File:
    """An ONNX graph from prepared pictures (N, C, H, W) to scores (N, K)."""

    has_modes = False

    def __init__(self, core: onnx.ModelProto, preprocessing: Preprocessing, labels: tuple[str, ...],
                 loss: str = CROSS_ENTROPY):
        self.core, self.preprocessing, self.labels, self.loss = core, preprocessing, labels, loss
        self.model = EngineModel(core)
        self.nodes = [node for node, _ in self.model.nodes]
        self.lock = threading.RLock()

    @staticmethod
    def of_export(path: FilePath, preprocessing: Preprocessing, labels: tuple[str, ...],
                  loss: str = CROSS_ENTROPY) -> "File":
        """A file that the playground exported. Raises PlaygroundError when it cannot be read or run."""
        return File(core_of(opened(path), len(preprocessing.mean), preprocessing.size), preprocessing, labels, loss)

    def run(self, x: Array, train: bool = False) -> Trace:
        picture = Tensor(x, requires_grad=True)
        with self.lock:
            marks = []
            wanted = self.model.outputs[0]
            logits = picture if wanted in self.model.inputs else self.model.values.get(wanted, picture)
            for step in self.model.steps(picture):
                node = self.nodes[step.index]
                made = [(name, result) for name, result in zip(node.output, step.outputs, strict=False) if name]
                logits = dict(made).get(wanted, logits)
                for name, result in made:
                    called = step.name or name
                    marks.append(Mark(called if result is made[0][1] else f"{called} ({name})", result,
                                      _sort(step.op_type, result)))
            names = {id(weight): name for name, weight in self.model.named_parameters()}
            if logits.ndim != 2 or len(logits) != len(x):  # scores in another form than (N, K)
                logits = logits.reshape((len(x), -1))
        if not logits.requires_grad and any(_quantises(node.op_type) for node in self.nodes):
            raise PlaygroundError("This file's scores have no gradient: its numbers are rounded on the way, as those "
                                  "of quantised files are.")
        return read(picture, logits, marks, names, loss=self.loss)

    def scores(self, x: Array) -> Array:
        with self.lock, no_grad():
            result = self.model(x)
            return np.asarray((result[0] if isinstance(result, tuple) else result).data)

    def weights(self) -> Mapping[str, Tensor]:
        return dict(self.model.named_parameters())


def _quantises(op_type: str) -> bool:
    """Whether an operator computes in whole numbers that stand for others: no tape goes through it.

    >>> [name for name in ("Conv", "DequantizeLinear", "QLinearConv", "MatMulInteger") if _quantises(name)]
    ['DequantizeLinear', 'QLinearConv', 'MatMulInteger']
    """
    return "uantize" in op_type or op_type.startswith("QLinear") or op_type.endswith("Integer")


def _sort(op_type: str, result: Tensor) -> Sort | None:
    """None where the op on the tape tells."""
    if op_type == "ReduceMean" and not (result.ndim == 2 or result.shape[2:] == (1, 1)):
        return Sort("other", "mean")
    if op_type == "Clip":
        bounds = result.node.options if result.node is not None and result.node.op.name == "clip" else {}
        if (bounds.get("min"), bounds.get("max")) != (0, 6):
            return Sort(ACTIVATION, "clip", True)
    if op_type in ONNX:
        return ONNX[op_type]
    known = result.node is not None and (result.node.op.name in OPS or result.node.op.name == "add")
    return None if known else Sort("other", op_type)


def edited(source: "Design | File", new: Mapping[str, Array]) -> "Design | File":
    """A copy of a source with some of its weights others, by name."""
    copy: Design | File
    if isinstance(source, Design):
        with source.lock:
            copy = Design(source.network, deepcopy(source.model), source.preprocessing, source.labels, source.loss)
    else:
        copy = File(source.core, source.preprocessing, source.labels, source.loss)
    weights = copy.weights()
    for name, array in new.items():
        weights[name].data = np.array(array, weights[name].dtype).reshape(weights[name].shape)
    return copy


@contextmanager
def changed(source: Design | File, new: Mapping[str, Array]) -> Iterator[None]:
    """Inside, some of a source's weights are others, by name; afterwards they are as before, to the bit. Nobody else
    runs it in the meantime."""
    with source.lock:
        weights = source.weights()
        before = {name: weights[name].data for name in new}
        try:
            for name, array in new.items():
                weights[name].data = np.asarray(array, before[name].dtype).reshape(before[name].shape)
            yield
        finally:
            for name, array in before.items():
                weights[name].data = array
