"""A file's network alone: what is in front of it goes, what cannot be read or told apart is a sentence."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from playground.datasets.preprocessing import Preprocessing
from playground.deploy import registry
from playground.deploy.core import core_of, opened
from playground.deploy.engine_backend import EngineModel
from playground.deploy.session import open_classifier
from playground.errors import PlaygroundError


def test_the_network_alone_says_of_prepared_pixels_what_the_file_says_of_a_picture() -> None:
    entry = registry.get("digits-example")
    assert isinstance(entry, registry.Entry)
    preparation = Preprocessing.from_dict(entry.card["preprocessing"])
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    alone = EngineModel(core_of(opened(entry.onnx), 1, preparation.size))
    said = open_classifier(entry.onnx).predict([picture])[0].logits
    np.testing.assert_allclose(alone(preparation.apply(picture)[None]).data[0], said, rtol=1e-4, atol=1e-4)


def test_a_broken_file_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"nothing of the kind")
    with pytest.raises(PlaygroundError, match="cannot be read"):
        opened(tmp_path / "broken.onnx")


def test_a_network_without_a_preparation_cannot_be_told_apart_from_one() -> None:
    text = '<ir_version: 9, opset_import: ["": 20]> g (float[N, 2] x) => (float[N, 2] logits) { logits = Relu (x) }'
    with pytest.raises(PlaygroundError, match="told apart"):
        core_of(onnx.parser.parse_model(text), 1, (8, 8))
