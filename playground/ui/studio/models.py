"""The parts of the models page: choose one, try it, read its card, check it again, take it along."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from playground import model_names, numbers
from playground.deploy import evaluation, interval, package, registry, report, session
from playground.deploy.registry import Entry
from playground.figures import bars, maps, style
from playground.training.runs import runs
from playground.training.runs.runs import RunView
from playground.ui import frame, links
from playground.ui.parts import camera, image_input
from playground.ui.studio import heat, in_browser, verified

TASKS = {"digits": "trained from scratch", "transfer": "transfer learning"}
CHECKS = {
    "checksum": "The same file",
    "contract": "Pixels in, scores out",
    "probabilities": "Probabilities",
    "labels": "Labels",
    "references": "The trainer's answers",
}

SNIPPET = """\
import json, sys, onnxruntime as ort
from pathlib import Path
from picture import for_model     # picture.py is in "Download with card and program"

session = ort.InferenceSession("{file}")
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
image = for_model(Path(sys.argv[1]), labels)     # raw pixels, turned as the camera was held
logits, probabilities = session.run(["logits", "probabilities"], {{"image": image[None]}})
print(labels[probabilities[0].argmax()], probabilities[0].max())
"""


def size(count: int) -> str:
    """Bytes as a person says them.

    >>> size(18_700_000), size(52_000)
    ('18.7 MB', '52 kB')
    """
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"


def ago(created: str, now: datetime | None = None) -> str:
    """How long since a moment written as ISO 8601.

    >>> ago("2026-01-01T10:00:00+00:00", datetime(2026, 1, 1, 12, 30, tzinfo=UTC))
    '2 h ago'
    """
    moment = datetime.fromisoformat(created)
    seconds = ((now or datetime.now(UTC)) - moment.astimezone(UTC)).total_seconds()
    for name, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or (name == "min" and seconds >= length):
            return f"{seconds // length:.0f} {name} ago"
    return "just now"


@frame.guarded("Damaged models")
def warnings() -> None:
    """Names the models that cannot be read, instead of leaving them out silently."""
    for sentence in registry.damaged().values():
        st.warning(frame.literal(sentence), icon=":material/broken_image:")


@frame.guarded("No models yet")
def empty() -> None:
    """What to do when there are no models yet."""
    with st.container(border=True):
        st.markdown(
            "**There are no models yet.** Every training run that finishes puts its model here. Two ways to get one:"
        )
        frame.link("train", "Train a CNN on handwritten digits")
        frame.link("transfer", "Retrain a pretrained network on photos")


def chosen() -> Entry | None:
    """The model picked on the page (or named in its address), the newest when none is."""
    with frame.guard("The list of models"):
        found = {entry.name: entry for entry in registry.entries()}
        if found:
            # Not bind="query-params": it leaves the default out of the address, and the newest is another tomorrow.
            wanted = st.query_params.get("model")
            name = st.selectbox(
                "Model",
                list(found),
                index=list(found).index(wanted) if wanted in found else 0,
                key="chosen-model",
                help="Newest first. The page's address names the chosen model, so a link leads to it.",
            )
            if wanted is not None and wanted not in found:
                st.info(f"There is no model called {frame.literal(wanted)} here (any more); this is another.")
            st.query_params["model"] = name
            return found[name]
    return None


def accuracy_of(entry: Entry) -> tuple[float, int, str] | None:
    """(share, count, split) as measured at the end of training, where there was something to measure on."""
    said = entry.card.get("accuracy")
    return (float(said["value"]), int(said["count"]), str(said.get("split", "test"))) if said else None


def free_name(wish: str) -> str:
    """`wish`, or `wish-2`, `wish-3` ...: a name that neither a model has nor a training that is not over."""
    return runs.free_name(wish)


def tidy(text: str) -> str:
    """A file's name as a model's: lower case, digits and dashes.

    >>> tidy("My Cats & Dogs.zip")
    'my-cats-dogs'
    """
    stem = text.rsplit("/", 1)[-1].removesuffix(".zip").lower()
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in stem).split()
    return "-".join(words)[:40].strip("-") or "photos"


def of_run(view: RunView) -> Entry | None:
    """The model a run put into the registry, if it did and it is still there."""
    if view.exported is None:
        return None
    return next((entry for entry in registry.entries() if entry.name == view.exported.name), None)


def of_run_or_why_not(view: RunView) -> Entry | None:
    """The same, and a sentence on the page when the model was there once."""
    found = of_run(view)
    if found is None and view.exported is not None:
        st.info("This run's model was removed; train again to have it back.")
    return found


def accuracy_metric(label: str, share: float | None, count: int) -> None:
    """A measured accuracy with its interval below it, wherever one is shown."""
    if share is None or count == 0:
        return
    low, high = interval.wilson(round(share * count), count)
    st.metric(
        label,
        numbers.percent(share),
        delta=interval.between(low, high),
        delta_color="off",
        delta_arrow="off",
        width="content",
        help=f"{numbers.count(round(share * count))} of {numbers.count(count)} images that were never trained on. "
             f"Below it, Wilson's 95 % "
        "interval: what the true share could be, given that only so many were counted.",
    )


@frame.guarded("Key figures")
def headline(entry: Entry) -> None:
    """Accuracy with its interval, what it tells apart, size, age, download."""
    with st.container(horizontal=True):
        if (measured := accuracy_of(entry)) is not None:
            accuracy_metric(f"{measured[2]} accuracy", *measured[:2])
        st.metric("classes", numbers.count(len(entry.card["labels"])), width="content")
        st.metric("file", size(entry.card.get("size_bytes", 0)), width="content")
        st.metric("made", ago(entry.card["created"]), width="content", help=entry.card["created"])
    with st.container(horizontal=True):
        download(entry, type="primary")
        take_home(entry)


@st.cache_resource(max_entries=4, show_spinner=False)
def _content(path: Path, *version: int) -> bytes:
    return path.read_bytes()


def download(entry: Entry, **options: Any) -> None:
    """A button that hands over the file."""
    found = entry.onnx.stat()
    st.download_button(
        "Download .onnx",
        _content(entry.onnx, found.st_mtime_ns, found.st_size),
        file_name=f"{entry.name}.onnx",
        mime="application/octet-stream",
        icon=":material/download:",
        on_click="ignore",
        key=f"download-{entry.name}",
        **options,
    )


def take_home(entry: Entry, predictions: evaluation.Predictions | None = None) -> None:
    """A button that hands over the file with its card, its labels and a program that runs it."""
    found = entry.onnx.stat()
    st.download_button(
        "Download with card and program",
        _packed(entry.onnx, found.st_mtime_ns, predictions is None, entry, predictions),
        file_name=f"{entry.name}.zip",
        mime="application/zip",
        icon=":material/folder_zip:",
        on_click="ignore",
        key=f"package-{entry.name}",
        help="model.onnx, network.onnx (the network alone, of one fixed size), MODEL_CARD.md, card.json, report.json, "
        "labels.txt, run.py, which runs it on pictures, picture.py, by which this app and that program read them, "
        "index.html, which runs it in any browser, a notebook, and snippets in Python, JavaScript and C#.",
    )


@st.cache_resource(max_entries=4, show_spinner=False)
def _packed(path: Path, version: int, bare: bool, _entry: Entry, _predictions: evaluation.Predictions | None) -> bytes:
    return package.package(_entry, _predictions)


def first_picture(entry: Entry) -> str:
    """What a model is tried on unless the reader chooses something else, as the list of pictures spells it."""
    return image_input.DIGIT if entry.card.get("task") == "digits" else "Cat"


def asked(entry: Entry, live: camera.Live) -> tuple[image_input.Picture, np.ndarray]:
    """Choose a picture and see it: what it is, and the pixels the model is asked about."""
    suggested = first_picture(entry)
    chosen = image_input.choose_picture(suggested, live=live, least=1)
    picture = image_input.asked(chosen, entry.card["labels"])
    pixels, written = picture.pixels, picture is not chosen
    if written or not picture.live:
        height, width = pixels.shape[:2]
        st.image(
            maps.enlarged(pixels),
            caption=f"{frame.literal(picture.name)}, {width} × {height} pixels",
            alt=picture.name,
            width=192 if written else "stretch" if min(height, width) > 64 else "content",
        )
    return picture, pixels


@st.fragment
@frame.guarded("Try it")
def trial(entry: Entry) -> None:
    """A picture of the reader's or ours, and what onnxruntime says of it from the exported file."""
    with camera.Live() as live:
        left, right = st.columns(2, gap="large")
        with left:
            picture, pixels = asked(entry, live)
        with right:
            classifier = session.open_classifier(entry.onnx)
            start = time.perf_counter()
            said = classifier.predict([pixels])[0]
            seconds = time.perf_counter() - start
            best, chance = said.top(1)[0]
            st.markdown(f"## {frame.literal(best)}, {numbers.percent(chance)}")
            st.plotly_chart(
                bars.probability_bars(
                    said.labels, said.probabilities.tolist(), most=10 if picture.live else 8, sort=not picture.live),
                key="trial-bars",
                config=style.CONFIG,
                alt="Probabilities of the classes",
            )
            st.caption(
                f"Answered in {1000 * seconds:.0f} ms by onnxruntime from {entry.name}.onnx, from the raw pixels. The "
                f"percentages share 100 among {len(said.labels)} classes: the model cannot say “none of these”."
            )
        if not picture.live and st.toggle(
            "Where does it look?", key="heat", bind="query-params", disabled=links.locked()
        ):
            heat.show(entry, pixels, "trial")
        if not picture.live and st.toggle(
            "In this browser, too", key="in-browser-too", bind="query-params", disabled=links.locked(),
            help="Your own browser runs the very file, on this picture, or on a photo or camera that stays with you.",
        ):
            in_browser.of_model(entry, picture.name, pixels, said, seconds)


@st.fragment
@frame.guarded("Card")
def card(entry: Entry) -> None:
    """What is known of the model, in sentences."""
    said = entry.card
    rows = [
        ("made by", said["source"]),
        ("how", TASKS.get(said.get("task", ""), said.get("task", ""))),
        *((f"data: {key}", value) for key, value in flat(said.get("data", {}))),
        *((f"training: {key}", value) for key, value in flat(said.get("training", {}))),
    ]
    if (measured := accuracy_of(entry)) is not None:
        rows.append((f"{measured[2]} accuracy", interval.sentence(*measured[:2])))
    rows += [
        ("preprocessing, inside the file", said.get("preprocessing", {}).get("sentence", "")),
        ("versions", ", ".join(f"{name} {version}" for name, version in said.get("versions", {}).items())),
        ("labels", ", ".join(said["labels"])),
    ]
    table = "\n".join(f"| {frame.literal(name)} | {frame.literal(text)} |" for name, text in rows if text)
    table += f"\n| SHA\\-256 | `{''.join(c for c in str(said['sha256']) if c.isalnum())}` |"
    with st.container(key="card-table"):
        st.markdown(f"| | |\n|---|---|\n{table}")
    st.download_button(
        "Download card.json",
        json.dumps(said, indent=2, ensure_ascii=False),
        file_name=f"{entry.name}.card.json",
        mime="application/json",
        on_click="ignore",
        key=f"card-{entry.name}",
        icon=":material/description:",
    )


def flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Facts of a card as name and text; a fact that holds facts is taken apart.

    >>> list(flat({"seed": 7, "request": {"batch_size": 32}, "samples": {"test": 1355}, "seconds": 25.913}))
    [('seed', '7'), ('asked for batch size', '32'), ('images test', '1,355'), ('seconds', '25.91')]
    """
    for key, value in facts.items():
        name = {"request": "asked for", "samples": "images"}.get(key, key.replace("_", " "))
        if isinstance(value, Mapping):
            yield from ((f"{name} {part}", text) for part, text in flat(value))
        elif isinstance(value, float):
            yield name, f"{numbers.number(value)}"
        else:
            yield name, f"{numbers.count(value)}" if isinstance(value, int) else str(value)


@st.fragment
@frame.guarded("Same answer?")
def parity(entry: Entry) -> None:
    """The comparison made at export, and a button that makes it again now."""
    said = entry.card.get("parity") or {}
    kept = report.read(entry)
    if kept is not None:
        verified.show(kept)
    elif said:
        st.markdown(
            f"Before this model was kept, **{said['samples']} real images** went through the engine that "
            f"trained it and through onnxruntime on this very file. The scores differed by at most "
            f"**{numbers.number(said['max_difference'], 3)}** ({numbers.number(said['allowed'], 3)} is allowed), and "
            f"**{said['same_top']} of {said['samples']}** got the same first answer."
        )
    st.caption(
        "“Verify again” needs no trainer: it compares the file's checksum, holds it to the contract, and asks it "
        "known pictures again whose answers were kept."
    )
    if st.button("Verify again", icon=":material/verified:", key=f"verify-{entry.name}"):
        found = registry.verify(entry)
        for each in found.checks:
            show = st.success if each.ok else st.error
            show(
                f"**{CHECKS.get(each.name, each.name)}.** {frame.literal(each.sentence)}",
                icon=":material/check:" if each.ok else ":material/close:",
            )
        st.caption(f"The same on a command line: `python -m playground verify {entry.name}`")
    verified.anew(entry)


@frame.guarded("Use it elsewhere")
def elsewhere(entry: Entry) -> None:
    """The lines of somebody else's program."""
    st.markdown(
        "Resizing, cropping and scaling are **inside the file**. Read the picture with `picture.py`, the module by "
        "which this app reads pictures, and it gives this app's own answer. `pip install onnxruntime pillow numpy`, "
        "then:"
    )
    st.code(SNIPPET.format(file=f"{entry.name}.onnx"), language="python", wrap_lines=True)
    st.caption(f"Or, with this project: `python -m playground predict {entry.name} photo.jpg`. “Download with card and "
               "program” holds the same for a browser, a notebook, JavaScript and C#.")


@frame.guarded("Remove")
def removal(entry: Entry) -> None:
    """Removing a model, asked for twice; one that comes with the playground stays."""
    if entry.shipped:
        owner = "comes with the playground" if entry.name in model_names.SHIPPED else "is the class's"
        st.caption(f"{frame.literal(entry.name)} {owner} and cannot be removed.")
        return
    with st.popover("Remove this model…", icon=":material/delete:"):
        st.markdown(
            f"**{entry.name}** and its card will be deleted on this server. This cannot be undone; a downloaded "
            "copy stays yours."
        )
        if st.button("Delete for good", type="primary", key=f"remove-{entry.name}"):
            registry.remove(entry.name)
            st.toast(f"{entry.name} was removed.")
            st.query_params.pop("model", None)
            st.rerun()
