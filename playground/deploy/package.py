"""What a person takes home: the model, a card to read, its labels, and a program that runs it, in one zip."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np

from playground.datasets import picture
from playground.datasets.preprocessing import Preprocessing
from playground.deploy import report
from playground.deploy.card import Entry
from playground.deploy.companions import companions
from playground.deploy.evaluation import Predictions, class_scores
from playground.deploy.interval import sentence
from playground.deploy.network_file import network_of
from playground.errors import PlaygroundError
from playground.numbers import count, counted, number, percent

RUN = '''"""What is in a picture: python run.py [--as-it-is] photo.jpg ...  (pip install onnxruntime pillow numpy)

Pictures are read by picture.py, as the app reads them. A model of handwritten digits is shown the dark ink on a light
picture as the light strokes on black it has learnt from; with --as-it-is it is shown the picture itself.
"""

import json
import sys
import warnings
from pathlib import Path

AS_IT_IS = "--as-it-is"


def main(arguments):
    names = [name for name in arguments if name != AS_IT_IS]
    if not names or names[0] in ("-h", "--help"):
        print(__doc__, file=sys.stdout if names else sys.stderr)
        return 0 if names else 2
    sys.stdout.reconfigure(errors="backslashreplace")  # a name may hold what the terminal's encoding does not
    sys.stderr.reconfigure(errors="backslashreplace")
    warnings.simplefilter("ignore")  # of a damaged picture, one sentence is enough
    try:
        import onnxruntime

        import picture
    except ImportError as error:
        print(f"{error}: pip install onnxruntime pillow numpy", file=sys.stderr)
        return 2
    try:
        session = onnxruntime.InferenceSession(str(Path(__file__).with_name("model.onnx")))
        labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
    except Exception:
        print("model.onnx, which should lie beside this program, is not there or is damaged.", file=sys.stderr)
        return 2
    status = 0
    for name in names:
        try:
            image = picture.for_model(Path(name), () if AS_IT_IS in arguments else labels)
        except picture.PictureError as error:
            print(error, file=sys.stderr)
            status = 1
            continue
        probabilities = session.run(["probabilities"], {"image": image[None]})[0][0]
        best = int(probabilities.argmax())
        if not 0 <= probabilities[best] <= 1.001:
            print(f"{name}: the model's answer is no number", file=sys.stderr)
            status = 1
            continue
        print(f"{name}: {labels[best]} {percent(probabilities[best])}")
    return status


def percent(share):
    written = f"{100 * share:.1f} %"
    if written == "100.0 %":
        return "100 %" if share >= 1 else ">99.9 %"
    return written


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
'''
A_DAY = (1980, 1, 1, 0, 0, 0)  # of every file in a zip, so that the same model gives the same bytes
MODES = {
    "frozen": "a new head on the features of a frozen, pretrained {backbone}",
    "fine-tune": "a pretrained {backbone}, its head and last blocks trained further",
    "scratch": "a small convolutional network from random weights",
}


def model_card(entry: Entry, predictions: Predictions | None = None, network: str | None = None) -> str:
    """MODEL_CARD.md: what the model is for, what it was trained on, how good it is and where it ends (Markdown).

    network: what is to be said of network.onnx, where a zip was made.

    Every number is from the card or from the file's answers to the photographs kept aside. (Mitchell et al. 2019,
    arXiv 1810.03993.)
    """
    said = entry.card
    data, training = said.get("data", {}), said.get("training", {})
    request, samples = training.get("request", {}), data.get("samples", {})
    measured = said.get("accuracy")
    labels = [plain(label) for label in said["labels"]]
    lines = [
        f"# {entry.name}", "",
        f"An image classifier that tells {counted(len(labels), 'class', 'classes')} apart: {listed(labels)}.", "",
        "## What it is", "",
        f"- network: {how(entry)}",
        f"- made by: {plain(said['source'])}, {said['created']}",
        f"- file: model.onnx, {counted(said.get('size_bytes', 0), 'byte')}, SHA-256 {said['sha256']}",
        f"- input: `image` uint8 (N, H, W, 3), raw RGB pixels of any size; outputs: `logits` and `probabilities` "
        f"float32 (N, {len(labels)})",
        f"- preprocessing, inside the file: {said.get('preprocessing', {}).get('sentence', 'not stated')}",
        *([network] if network else []), "",
        "## Data", "",
        f"- source: {plain(str(data.get('source', 'not stated')))} ({plain(str(data.get('name', '')))})",
        f"- licence: {plain(str(data.get('licence', 'not stated')))}",
        *(f"- {plain(name)} pictures: {count(many)}" for name, many in samples.items()), "",
        "## Recipe", "",
        *(f"- {name.replace('_', ' ')}: {plain(json.dumps(value) if isinstance(value, dict) else str(value))}"
          for name, value in request.items() if name != "data"),
        *(["- loss: cross-entropy"] if said.get("task") == "digits" and "loss" not in request else []),
        f"- seed {training.get('seed', 'not stated')}, {_epochs(training.get('epochs'))}, "
        f"{counted(training.get('parameters', 0), 'parameter')} trained, {training.get('seconds', 0):.0f} s on "
        f"{plain(str(training.get('device', '?')))}", "",
        "## How good it is", "",
    ]
    if predictions is not None:
        right = int(predictions.right.sum())
        lines += [f"- accuracy of this file, through onnxruntime, on "
                  f"{counted(len(predictions.truth), 'picture')} kept aside: "
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
        lines += ["", *(f"- {count(many)} × {labels[i]} taken for {labels[j]}" for many, i, j in worst)]
    lines += [
        "", "## Limits", "",
        f"- It knows {listed(labels)} and nothing else: of any other picture it names one of these, and may be sure.",
        "- It was measured on pictures of the same source as those it learnt from; other cameras, places and times may "
        "give other results.",
        *(["- It learnt scores that lie apart (hinge loss), no probabilities: what it names counts, how sure it looks "
           "does not."] if request.get("loss") == "hinge" else []),
        "- It must not decide about people." if said.get("task") == "transfer" else
        "- It looks at the middle square of a picture.",
    ]
    parity = said.get("parity", {})
    if parity:
        lines += ["", "## Checked", "",
                  f"- onnxruntime gave the trainer's answers on {counted(parity['samples'], 'picture')} to "
                  f"{number(parity['max_difference'], 3)} ({number(parity['allowed'], 3)} allowed); the same "
                  f"first answer on {count(parity['same_top'])}", *report.lines(entry)]
    versions = ", ".join(f"{name} {version}" for name, version in said.get("versions", {}).items())
    return "\n".join([*lines, f"- versions: {versions}", ""])


def _epochs(known: int | None) -> str:
    return "an unknown number of epochs" if known is None else counted(known, "epoch")


def how(entry: Entry) -> str:
    """What kind of network it is, in words."""
    said = entry.card
    request = said.get("training", {}).get("request", {})
    mode = request.get("mode", "frozen" if said.get("task") == "transfer" else "")
    return MODES.get(mode, "a convolutional network").format(backbone=request.get("backbone", "EfficientNet-Lite0"))


def package(entry: Entry, predictions: Predictions | None = None) -> bytes:
    """A zip of model.onnx, network.onnx, MODEL_CARD.md, card.json, labels.txt, run.py, picture.py, report.json where
    one was made, and what `companions` says of them and adds, in a folder of its name; the same bytes for the same
    model.

    run.py needs onnxruntime, Pillow and NumPy; picture.py is the module by which this app reads pictures, as it is.
    Where the network alone does not give the file's answers, it is left out, and the card says why.
    """
    files = {"model.onnx": entry.onnx.read_bytes()}
    try:
        files["network.onnx"] = network_of(entry)
        network = about_network(entry)
    except PlaygroundError as error:
        network = f"- network.onnx, the network without its preprocessing, is not in this zip: {plain(str(error))}"
    files |= {
        "MODEL_CARD.md": model_card(entry, predictions, network).encode(),
        "card.json": json.dumps(entry.card, ensure_ascii=False, indent=2).encode(),
        "labels.txt": "".join(f"{' '.join(label.split())}\n" for label in entry.card["labels"]).encode(),
        "run.py": RUN.encode(),
        "picture.py": Path(picture.__file__).read_bytes(),
        **report.take_home(entry),
        **companions(entry, plain(entry.name), f"An image classifier: {how(entry)}", "network.onnx" in files),
    }
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            member = zipfile.ZipInfo(f"{Path(entry.name).name}/{name}", A_DAY)
            member.external_attr = 0o644 << 16
            archive.writestr(member, data, zipfile.ZIP_DEFLATED)
    return content.getvalue()


def about_network(entry: Entry) -> str:
    """What the card says of network.onnx: its input, and what has to be done to a picture first (Markdown)."""
    prepared = Preprocessing.from_dict(entry.card["preprocessing"])
    channels, order = (1, "gray") if prepared.gray else (3, "in the order red, green, blue")
    height, width = prepared.size
    return (f"- network.onnx: the same network alone, for tools that take fixed sizes only (OpenCV's cv2.dnn, int8 "
            f"quantisation, converters): `pixels` float32 (1, {channels}, {height}, {width}), channels {order}, NCHW. "
            f"Prepare the picture yourself: {prepared.sentence()} The same is in its metadata, as a sentence and as "
            "JSON. Weights are initialisers, or Constant nodes; a batch norm may be folded into the convolution before "
            "it.")


def plain(text: str) -> str:
    """Text that somebody typed, as Markdown that shows it and nothing else."""
    return "".join(f"\\{c}" if c in r"\`*_{}[]()#+!|<>~&$:/" else c for c in " ".join(text.split()))


def listed(labels: list[str], most: int = 20) -> str:
    """Names in a row, the first ones where there are many."""
    more = len(labels) - most
    return ", ".join(labels[:most]) + (f" and {more} more" if more > 0 else "")


def share(value: float | None) -> str:
    """A share in per cent; a dash where there is none."""
    return "–" if value is None else percent(value)
