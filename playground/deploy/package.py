"""What a person takes home: the model, a card to read, its labels, and a program that runs it, in one zip."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from playground.deploy.card import Entry
from playground.deploy.evaluation import Predictions, class_scores
from playground.deploy.interval import sentence

RUN = '''"""What is in a picture: python run.py photo.jpg ...  (pip install onnxruntime pillow numpy)"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(str(Path(__file__).with_name("model.onnx")))
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
for name in sys.argv[1:]:
    picture = ImageOps.exif_transpose(Image.open(name)).convert("RGB")  # any size: the file resizes by itself
    probabilities = session.run(["probabilities"], {"image": np.asarray(picture)[None]})[0][0]
    best = int(probabilities.argmax())
    print(f"{name}: {labels[best]} {100 * probabilities[best]:.1f} %")
'''
MODES = {
    "frozen": "a new head on the features of a frozen, pretrained {backbone}",
    "fine-tune": "a pretrained {backbone}, its head and last blocks trained further",
    "scratch": "a small convolutional network from random weights",
}


def model_card(entry: Entry, predictions: Predictions | None = None) -> str:
    """MODEL_CARD.md: what the model is for, what it was trained on, how good it is and where it ends (Markdown).

    Every number is from the card or from the file's answers to the photographs kept aside. (Mitchell et al. 2019,
    arXiv 1810.03993.)
    """
    said = entry.card
    data, training = said.get("data", {}), said.get("training", {})
    request, samples = training.get("request", {}), data.get("samples", {})
    measured = said.get("accuracy")
    labels = [plain(label) for label in said["labels"]]
    how = MODES.get(request.get("mode", "frozen" if said.get("task") == "transfer" else ""), "a convolutional network")
    lines = [
        f"# {entry.name}", "",
        f"An image classifier that tells {len(labels)} classes apart: {listed(labels)}.", "",
        "## What it is", "",
        f"- network: {how.format(backbone=request.get('backbone', 'EfficientNet-Lite0'))}",
        f"- made by: {plain(said['source'])}, {said['created']}",
        f"- file: model.onnx, {said.get('size_bytes', 0):,} bytes, SHA-256 {said['sha256']}",
        f"- input: `image` uint8 (N, H, W, 3), raw RGB pixels of any size; outputs: `logits` and `probabilities` "
        f"float32 (N, {len(labels)})",
        f"- preprocessing, inside the file: {said.get('preprocessing', {}).get('sentence', 'not stated')}", "",
        "## Data", "",
        f"- source: {plain(str(data.get('source', 'not stated')))} ({plain(str(data.get('name', '')))})",
        f"- licence: {plain(str(data.get('licence', 'not stated')))}",
        *(f"- {plain(name)} pictures: {count:,}" for name, count in samples.items()), "",
        "## Recipe", "",
        *(f"- {name.replace('_', ' ')}: {plain(json.dumps(value) if isinstance(value, dict) else str(value))}"
          for name, value in request.items() if name != "data"),
        f"- seed {training.get('seed', 'not stated')}, {training.get('epochs', '?')} epochs, "
        f"{training.get('parameters', 0):,} parameters trained, {training.get('seconds', 0):.0f} s on "
        f"{plain(str(training.get('device', '?')))}", "",
        "## How good it is", "",
    ]
    if predictions is not None:
        right = int(predictions.right.sum())
        lines += [f"- accuracy of this file, through onnxruntime, on {len(predictions.truth):,} pictures kept aside: "
                  f"{sentence(right / len(predictions.truth), len(predictions.truth))}, with Wilson's 95 % interval"]
    elif measured:
        lines += [f"- {measured.get('split', 'test')} accuracy: {sentence(measured['value'], measured['count'])}, with "
                  "Wilson's 95 % interval"]
    else:
        lines += ["- it was not measured on pictures of its own"]
    if best := training.get("best_epoch"):
        lines += [f"- the weights are those of epoch {best}, chosen by the loss on the same pictures: the figure is "
                  "flattered a little"]
    confusion = predictions.confusion() if predictions else (measured or {}).get("confusion")
    if confusion is not None and len(confusion) == len(labels):
        table = np.asarray(confusion)
        lines += ["", "| class | pictures | precision | recall | F1 |", "|---|---|---|---|---|"]
        lines += [f"| {plain(score.name)} | {score.support} | {share(score.precision)} | {share(score.recall)} | "
                  f"{share(score.f1)} |" for score in class_scores(table, said["labels"])]
        worst = sorted(((int(table[i, j]), i, j) for i in range(len(table)) for j in range(len(table))
                        if i != j and table[i, j]), reverse=True)[:5]
        lines += ["", *(f"- {count} × {labels[i]} taken for {labels[j]}" for count, i, j in worst)]
    lines += [
        "", "## Limits", "",
        f"- It knows {listed(labels)} and nothing else: of any other picture it names one of these, and may be sure.",
        "- It was measured on pictures of the same source as those it learnt from; other cameras, places and times may "
        "give other results.",
        "- It must not decide about people." if said.get("task") == "transfer" else
        "- It looks at the middle square of a picture.",
    ]
    parity = said.get("parity", {})
    if parity:
        lines += ["", "## Checked", "",
                  f"- onnxruntime gave the trainer's answers on {parity['samples']} pictures to "
                  f"{parity['max_difference']:.1e} ({parity['allowed']:.1e} allowed); the same first answer on "
                  f"{parity['same_top']}"]
    versions = ", ".join(f"{name} {version}" for name, version in said.get("versions", {}).items())
    return "\n".join([*lines, f"- versions: {versions}", ""])


def package(entry: Entry, predictions: Predictions | None = None) -> bytes:
    """A zip of model.onnx, MODEL_CARD.md, card.json, labels.txt and run.py, in a folder of the model's name."""
    files = {
        "model.onnx": entry.onnx.read_bytes(),
        "MODEL_CARD.md": model_card(entry, predictions).encode(),
        "card.json": json.dumps(entry.card, ensure_ascii=False, indent=2).encode(),
        "labels.txt": "".join(f"{' '.join(label.split())}\n" for label in entry.card["labels"]).encode(),
        "run.py": RUN.encode(),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"{Path(entry.name).name}/{name}", data)
    return content.getvalue()


def plain(text: str) -> str:
    """Text that somebody typed, as Markdown that shows it and nothing else."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+!|<>~&" else c for c in " ".join(text.split()))


def listed(labels: list[str], most: int = 20) -> str:
    """Names in a row, the first ones where there are many."""
    more = len(labels) - most
    return ", ".join(labels[:most]) + (f" and {more} more" if more > 0 else "")


def share(value: float | None) -> str:
    """A share in per cent; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.1f} %"
