"""Our EfficientNet-Lite gives the published implementation's answers with the published weights."""

import contextlib
import io

import pytest
import torch

from playground.datasets.samples import photo
from playground.errors import PlaygroundError
from playground.training.backbones import BACKBONES, pretrained

pytestmark = pytest.mark.slow

reference = pytest.importorskip("efficientnet_lite_pytorch", reason="pip install -r requirements-dev.txt")


@pytest.mark.parametrize("name", BACKBONES)
@pytest.mark.parametrize("picture", ["cat", "coffee"])
def test_the_logits_are_the_references(name: str, picture: str) -> None:
    row = BACKBONES[name]
    try:
        weights = row.weights_file()
    except PlaygroundError as error:
        if name == "efficientnet_lite0":
            raise
        pytest.skip(str(error))
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = reference.EfficientNet.from_pretrained(name.replace("_", "-"), weights_path=str(weights)).eval()
    pixels = torch.from_numpy(row.preprocessing().apply(photo(picture)))[None]
    with torch.inference_mode():
        expected, got = theirs(pixels), pretrained(name)(pixels)
    assert expected.abs().max() > 1
    assert (got - expected).abs().max() < 1e-4
