"""Photographs as small pictures for a network from scratch: taken as an exported model takes a photograph."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from playground import jobs
from playground.datasets import named
from playground.datasets.folders import write_faces
from playground.datasets.small_photos import named_photos, photos_named
from playground.deploy import registry
from playground.deploy.session import Classifier
from playground.errors import PlaygroundError
from playground.home import data_dir, runs_dir
from playground.training.runs import runs
from playground.training.runs.events import Finished
from playground.training.runs.runs import RunSpec


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """Red and blue photographs of different shapes, three of each to train on and two kept aside."""
    rng = np.random.default_rng(0)
    for half, count in (("train", 3), ("validation", 2)):
        for label, colour in (("blue", (20, 30, 220)), ("red", (220, 30, 20))):
            folder = tmp_path / "colours" / half / label
            folder.mkdir(parents=True)
            for k in range(count):
                noise = rng.integers(-15, 16, (40 + 10 * k, 70, 3))
                Image.fromarray(np.clip(noise + colour, 0, 255).astype(np.uint8)).save(folder / f"{k}.png")
    return tmp_path / "colours"


def test_the_middle_square_is_scaled_as_pillow_scales_it(colours: Path) -> None:
    train, test = named.load(named_photos(colours, 32))
    assert train.images.shape == (6, 32, 32, 3)
    assert len(test) == 4
    assert train.classes == ("blue", "red")
    photo = Image.open(colours / "train" / "red" / "0.png")
    middle = photo.crop((15, 0, 55, 40)).resize((32, 32), Image.Resampling.BILINEAR)
    apart = np.abs(np.asarray(middle, int) - train.images[list(train.labels).index(1)].astype(int))
    assert apart.max() <= 1


@pytest.mark.parametrize("data", ["photos:", "photos:33:/x", "photos:-32:/x", "photos:٣٢:/x", "photos:32:",
                                  "photos:32:/no/such/place"])
def test_what_names_no_photographs_is_a_sentence(data: str) -> None:
    with pytest.raises(PlaygroundError):
        named.load(data)


def test_a_folder_with_a_colon_is_a_folder() -> None:
    assert photos_named("photos:64:/a:b/c") == (Path("/a:b/c"), 64)


@pytest.mark.slow
def test_a_network_from_scratch_learns_photographs_and_its_file_answers_to_them(playground_home: Path) -> None:
    folder = write_faces(data_dir() / "faces")
    request = {"data": named_photos(folder, 32), "network": "c8n-b-r-p2-c16n-b-r-g-d2", "epochs": 8, "batch_size": 16,
               "learning_rate": 0.01}
    spec = RunSpec("digits", request, 0, "small-faces")
    run_dir = runs_dir() / "20260101-000000-000000-abcd"
    run_dir.mkdir(parents=True)
    runs.write_spec(run_dir, spec, "cpu")
    events = list(jobs.events(spec, run_dir, lambda: False))
    finished = next(event for event in events if isinstance(event, Finished))
    assert finished.test_accuracy is not None
    assert finished.test_accuracy > 0.8
    entry = registry.get("small-faces")
    photos = sorted((folder / "faces").glob("*.png"))[:20]
    said = Classifier(entry.onnx).predict([np.asarray(Image.open(path).convert("RGB")) for path in photos])
    assert np.mean([one.labels[int(one.probabilities.argmax())] == "faces" for one in said]) > 0.8
