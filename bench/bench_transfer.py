"""Our transfer trainer against the loop of the tutorials, on the same photographs, in one run.

    python -m bench.bench_transfer [--data DIR] [--photos N] [--size S] [--epochs N]

The tutorials' loop decodes and resizes every photograph anew in every epoch (a DataLoader with as many workers as there
are cores) and trains in float32 with torch.optim.AdamW. Ours is the app's own trainer with an empty PLAYGROUND_HOME, so
that its first epoch pays for everything that is kept for the later ones. Both take the same backbone, split, batch size
and learning rate, on a GPU where there is one. An epoch is the training pictures learnt from and the validation
pictures looked at. Augmented, the tutorials crop and mirror each decoded photograph (Pillow), ours the kept ones on the
device; our first epoch then also holds a pass over the photographs as they are, from which the head starts. Images a
second, and seconds until validation accuracy first reaches the lower of the two's best. Written to bench/results/.
"""

import argparse
import datetime
import os
import platform
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

from bench.report import save
from playground.training.runs.events import Epoch, Finished
from playground.training.runs.runs import RunSpec
from playground.training.transfer import backbones
from playground.training.transfer import fit as torch_fit
from playground.training.transfer.backbone_facts import MEAN, STD

ROOT = Path(__file__).resolve().parents[1]
BATCH, RATE = 32, {"frozen": 1e-3, "fine-tune": 2e-4}
GOALS = {"first": 2.0, "later": 5.0}
AUGMENT = {"mirror": 0.5, "crop": 0.3}
MODES: tuple[tuple[str, dict[str, float]], ...] = (("frozen", {}), ("fine-tune", {}), ("fine-tune", AUGMENT))


class Folder(Dataset[tuple[torch.Tensor, int]]):
    """Photographs decoded whenever they are asked for, as torchvision's ImageFolder does."""

    def __init__(self, top: Path, size: int, *, augment: bool = False):
        self.augment = augment
        classes = sorted(path.name for path in top.iterdir())
        self.files = [(file, k) for k, name in enumerate(classes) for file in sorted((top / name).iterdir())]
        self.size = size
        self.mean, self.std = (torch.tensor(v)[:, None, None] for v in (MEAN, STD))

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, k: int) -> tuple[torch.Tensor, int]:
        path, label = self.files[k]
        picture, box = Image.open(path).convert("RGB"), None
        if self.augment:
            keep, down, across = 1 - AUGMENT["crop"] * random.random(), random.random(), random.random()
            left, top = (1 - keep) * across * picture.width, (1 - keep) * down * picture.height
            box = (left, top, left + keep * picture.width, top + keep * picture.height)
            if random.random() < AUGMENT["mirror"]:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        picture = picture.resize((self.size, self.size), Image.Resampling.BILINEAR, box)
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
        return (pixels - self.mean) / self.std, label


def tutorial(data: Path, mode: str, size: int, epochs: int, blocks: int, *, augment: bool) -> list[tuple[float, float]]:
    """(seconds, validation accuracy) of every epoch of the tutorials' loop."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    train, held_out = Folder(data / "train", size, augment=augment), Folder(data / "validation", size)
    workers = os.cpu_count() or 1
    loaders = [DataLoader(part, BATCH, shuffle=part is train, num_workers=workers) for part in (train, held_out)]
    network = backbones.pretrained("efficientnet_lite0")
    network.requires_grad_(False)
    network.classifier = nn.Linear(1280, 2)
    if mode == "fine-tune":
        for part in (*network.blocks[len(network.blocks) - blocks:], network.head):
            part.requires_grad_(True)
    network.to(device)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=RATE[mode])
    told = []
    for _ in range(epochs):
        began = time.perf_counter()
        network.train()
        for x, y in loaders[0]:
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x.to(device)), y.to(device)).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            right = sum(int((network(x.to(device)).argmax(1).cpu() == y).sum()) for x, y in loaders[1])
        told.append((time.perf_counter() - began, right / len(held_out)))
    return told


def ours(data: Path, mode: str, size: int, epochs: int, blocks: int, augment: dict[str, float]) -> tuple[
        list[tuple[float, float]], float]:
    """The same of our trainer, the first epoch with all that comes before it; and the seconds of a second run."""
    request: dict[str, Any] = {"data": str(data), "mode": mode, "epochs": epochs, "batch_size": BATCH,
                               "image_size": size, "learning_rate": RATE[mode]}
    if mode == "fine-tune":
        request |= {"blocks": blocks, "augment": augment}
    spec, told = RunSpec("transfer", request, 0, "bench"), []
    home = tempfile.mkdtemp()
    os.environ["PLAYGROUND_HOME"] = home
    try:
        began = time.perf_counter()
        for event in torch_fit.fit(spec, Path(tempfile.mkdtemp(dir=home)), lambda: False):
            if isinstance(event, Epoch):
                told.append((time.perf_counter() - began if not told else event.seconds, event.validation_accuracy))
        began = time.perf_counter()
        again = torch_fit.fit(spec, Path(tempfile.mkdtemp(dir=home)), lambda: False)
        for event in again if mode == "frozen" else ():
            if isinstance(event, Finished):
                break
        return told, time.perf_counter() - began
    finally:
        shutil.rmtree(home, ignore_errors=True)


def until(told: list[tuple[float, float]], accuracy: float) -> float:
    """Seconds until the accuracy was first reached."""
    total = 0.0
    for seconds, reached in told:
        total += seconds
        if reached >= accuracy:
            return total
    return float("inf")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "cats_vs_dogs")
    parser.add_argument("--photos", type=int, default=0, help="training photos a class; 0: all")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=3)
    options = parser.parse_args()
    data = options.data
    with tempfile.TemporaryDirectory() as few:
        if options.photos:
            for half in ("train", "validation"):
                for folder in sorted((data / half).iterdir()):
                    (Path(few) / half / folder.name).mkdir(parents=True)
                    for file in sorted(folder.iterdir())[: options.photos]:
                        shutil.copy(file, Path(few) / half / folder.name)
            data = Path(few)
        photos = sum(len(Folder(data / half, 1)) for half in ("train", "validation"))  # an epoch sees both
        device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"CPU, {os.cpu_count()} cores"
        lines = ["| mode | | tutorial, images/s | ours, images/s | ours / tutorial | goal |",
                 "|---|---|---|---|---|---|"]
        rows = []
        for mode, augment in MODES:
            plain = tutorial(data, mode, options.size, options.epochs, options.blocks, augment=bool(augment))
            made, again = ours(data, mode, options.size, options.epochs, options.blocks, augment)
            mode += ", augmented" * bool(augment)
            target = min(max(a for _, a in plain), max(a for _, a in made))
            first = photos / plain[0][0], photos / made[0][0]
            later = (photos / statistics.median(s for s, _ in plain[1:]),
                     photos / statistics.median(s for s, _ in made[1:]))
            for name, (theirs, own) in (("first", first), ("later", later)):
                lines.append(f"| {mode} | {name} epoch{'s' if name == 'later' else ''} | {theirs:,.1f} | {own:,.1f} | "
                             f"{own / theirs:,.1f}× | ≥ {GOALS[name]:g}× |")
            lines.append(f"| {mode} | seconds to {100 * target:.1f} % | {until(plain, target):.1f} | "
                         f"{until(made, target):.1f} | | |")
            if mode == "frozen":
                lines.append(f"| {mode} | a second run, seconds | | {again:.2f} | | < 2 s |")
            rows.append({"mode": mode, "tutorial": plain, "ours": made, "second_run_seconds": again})
        peak = ""
        if torch.cuda.is_available():
            peak = f", peak device memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB"
    about = (f"{datetime.date.today()}, {device}{peak}, PyTorch {torch.__version__}, "
             f"Python {platform.python_version()}, {photos} photos "
             f"of {options.size} × {options.size}, batch {BATCH}, {options.epochs} epochs, EfficientNet-Lite0, last "
             f"{options.blocks} blocks fine-tuned")
    shown = "\n".join(lines)
    print(f"{about}\n\n{shown}\n")
    save("transfer", about, shown, rows=rows)


if __name__ == "__main__":
    main()
