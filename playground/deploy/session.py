"""An exported file at work: onnxruntime on the file, and nothing of this project before or after it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from playground.deploy import contract
from playground.errors import PlaygroundError

Array = np.ndarray[Any, np.dtype[Any]]

PIXELS_AT_ONCE = 2**22  # how much of a batch of equal pictures goes through together: bounds memory, not speed


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a model says of one picture: `logits` and `probabilities`, float32 (K,), one number a label."""

    labels: tuple[str, ...]
    probabilities: Array
    logits: Array

    def top(self, k: int = 5) -> list[tuple[str, float]]:
        """The k likeliest labels with their probabilities, likeliest first (all of them when k is larger)."""
        order = np.argsort(-self.probabilities, kind="stable")[:max(k, 0)]
        return [(self.labels[i], float(self.probabilities[i])) for i in order]


class Classifier:
    """A file that keeps the contract of exported files, opened for pictures. Safe for many threads at once.

    path: a file, or its bytes. The file's preprocessing is inside it, so pictures go in as they are. Raises
    PlaygroundError with a sentence when the file is missing, damaged, or promises something else.
    """

    def __init__(self, path: Path | str | bytes, threads: int | None = None):
        data = path if isinstance(path, bytes) else _read(Path(path))
        model = contract.parse(data)
        promise = contract.check(model)
        self.labels = promise.labels
        self.preprocessing = promise.preprocessing
        self.source = promise.source
        self.created = promise.created
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or max(1, min(4, (os.cpu_count() or 1) // 2))
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is said by an exception
        options.enable_mem_pattern = False  # pictures differ in size: a plan for one does not fit the next
        options.enable_cpu_mem_arena = False  # else the largest photograph's memory is never given back
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no class of their own
            raise PlaygroundError(f"onnxruntime cannot run this model: {contract.first_line(error)}") from error
        self._options, self._core, self._given = options, data, _given_to_the_last(model)
        self._inner: onnxruntime.InferenceSession | None = None

    @property
    def has_features(self) -> bool:
        """Whether the network ends in a dense layer, so that it can be said what that is given."""
        return self._given is not None

    def features(self, images: Sequence[Array]) -> Array:
        """What the last dense layer is given of each picture: float32 (N, D). Only where `has_features`."""
        if self._given is None:
            raise PlaygroundError("This model does not end in a dense layer, so it has no features to show.")
        if self._inner is None:
            model = contract.parse(self._core)
            model.graph.output.append(helper.make_tensor_value_info(self._given, TensorProto.FLOAT, None))
            self._inner = onnxruntime.InferenceSession(model.SerializeToString(), self._options,
                                                       providers=["CPUExecutionProvider"])
        found = [self._inner.run([self._given], {"image": batch})[0] for batch in _batches(images)]
        return np.concatenate([part.reshape(len(part), -1) for part in found])

    def predict(self, images: Sequence[Array]) -> list[Prediction]:
        """What the model says of each picture, in order. images: uint8 (H, W, 3) RGB, sizes may differ.

        Raises PlaygroundError for what is no such picture, and where the model fails or answers what is no number.
        """
        for image in images:
            if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 \
                    or image.shape[2] != 3 or image.size == 0:
                shown = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
                raise PlaygroundError(f"A picture has to be uint8 (H, W, 3) and not empty, this one is {shown}.")
        predictions = []
        for batch in _batches(images):
            logits, probabilities = self._run(batch)
            predictions += [Prediction(self.labels, p, z) for p, z in zip(probabilities, logits, strict=True)]
        return predictions

    def _run(self, batch: Array) -> tuple[Array, Array]:
        try:
            logits, probabilities = self._session.run(["logits", "probabilities"], {"image": batch})
        except Exception as error:  # as above
            why = contract.first_line(error)
            raise PlaygroundError(f"The model failed on pictures {batch.shape}: {why}") from error
        expected = (len(batch), len(self.labels))
        if logits.shape != expected or probabilities.shape != expected:
            raise PlaygroundError(f"The model answered {logits.shape} and {probabilities.shape} for {len(batch)} "
                                  f"picture(s) and {len(self.labels)} labels.")
        if np.isnan(logits).any() or not np.isfinite(probabilities).all():
            raise PlaygroundError("The model's answer is no number: its weights, or what it computes from this "
                                  "picture, hold NaN or infinity.")
        return logits, probabilities


def _given_to_the_last(model: onnx.ModelProto) -> str | None:
    """The name of what goes into the last dense layer."""
    dense = [node for node in model.graph.node if node.op_type in ("Gemm", "MatMul")]
    weights = {tensor.name for tensor in model.graph.initializer}
    return dense[-1].input[0] if dense and dense[-1].input[0] not in weights else None


def open_classifier(path: Path | str) -> Classifier:
    """The classifier of a file, opened once and shared until the file changes."""
    path = Path(path)
    try:
        found = path.stat()
    except OSError as error:
        raise PlaygroundError(f"There is no file {path}.") from error
    return _opened(str(path.resolve()), found.st_mtime_ns, found.st_size, found.st_ino)


def clear_cache() -> None:
    """What is kept open of files."""
    _opened.cache_clear()


@lru_cache(maxsize=8)
def _opened(path: str, *_version: int) -> Classifier:
    return Classifier(path)


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise PlaygroundError(f"{path} is a folder, not an ONNX file.")
    try:
        if path.stat().st_size > contract.SIZE_LIMIT_BYTES:
            raise PlaygroundError(f"{path.name} is larger than {contract.SIZE_LIMIT_BYTES // 2**20} MiB.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PlaygroundError(f"There is no file {path}.") from error
    except OSError as error:
        raise PlaygroundError(f"{path} cannot be read: {error.strerror}.") from error


def _batches(images: Sequence[Array]) -> Iterator[Array]:
    """Neighbours of one size stacked together, as many as memory should hold at once."""
    start = 0
    while start < len(images):
        height, width, _ = images[start].shape
        most = max(1, PIXELS_AT_ONCE // (height * width))
        end = start + 1
        while end < len(images) and end - start < most and images[end].shape == images[start].shape:
            end += 1
        yield np.stack(images[start:end])
        start = end
