"""Where a model looks in a picture: by gradients of its last maps, and by covering parts of it."""

from pathlib import Path

import numpy as np
import streamlit as st
from PIL import Image

from playground.datasets.preprocessing import Preprocessing
from playground.deploy import session
from playground.deploy.engine_heat import grad_cam
from playground.deploy.occlusion import PATCH, occlusion
from playground.deploy.registry import Entry
from playground.errors import PlaygroundError
from playground.figures.heat import overlaid
from playground.figures.style import signed_limit
from playground.ui import frame
from playground.ui.parts import lesson

SIDE = 288


def show(entry: Entry, pixels: np.ndarray, key: str) -> None:
    """Both heat maps of one picture for a class the reader chooses, the likeliest to begin with."""
    said = session.open_classifier(entry.onnx).predict([pixels])[0]
    best = [name for name, _ in said.top(5)]
    name = st.selectbox("What speaks for", best, key=f"{key}-class")
    label = said.labels.index(name)
    version = entry.onnx.stat().st_mtime_ns
    preparation = Preprocessing.from_dict(entry.card["preprocessing"])
    cropped = seen(pixels, preparation)
    through = looked(str(entry.onnx), version, preparation, pixels, label)
    covered = lost(str(entry.onnx), version, cropped, label)
    pictures, captions = [cropped], ["what it sees"]
    if through is not None:
        pictures.append(overlaid(cropped, spread(through, cropped.shape)))
        captions.append(f"after Grad-CAM, {through.shape[0]} × {through.shape[1]} places")
    pictures.append(overlaid(cropped, spread(covered, cropped.shape, PATCH / 2), max(0.05, signed_limit(covered))))
    captions.append(f"covered: up to {100 * covered.max():.0f} points lost")
    lesson.gallery(pictures, captions, f"What speaks for {name}", width=SIDE)
    st.caption(
        f"Orange speaks for {frame.literal(name)}, blue against it. "
        + ("A variant of Grad-CAM (Selvaraju et al., 2017): it walks back from the score less the mean score of the "
           "other classes, where the original takes the score alone, and keeps both signs, where the original keeps "
           "what speaks for the class. Our engine walks back to the last feature maps that have places: it is coarse. "
           if through is not None else "") +
        "Covered: a gray patch hides a quarter of each side, and onnxruntime says how many percentage points of the "
        "probability are lost (orange) or gained (blue).")


def spread(heat: np.ndarray, shape: tuple[int, ...], inset: float = 0.0) -> np.ndarray:
    """Numbers for places as numbers for pixels (H, W), bilinearly; the outer places' centres lie `inset` (a share of
    the side) from the edges, or half a place where it is 0."""
    height, width = shape[:2]
    down, across = (round(inset * side) for side in (height, width))
    inner = np.asarray(Image.fromarray(heat.astype(np.float32)).resize(
        (max(1, width - 2 * across), max(1, height - 2 * down)), Image.Resampling.BILINEAR))
    around = ((down, height - down - inner.shape[0]), (across, width - across - inner.shape[1]))
    return np.pad(inner, around, mode="edge").astype(np.float64)


def seen(pixels: np.ndarray, preparation: Preprocessing) -> np.ndarray:
    """The part of a picture that the model looks at, at most SIDE pixels a side, at least as many as it sees."""
    top, left, height, width = preparation.crop(*pixels.shape[:2])
    part = pixels[top : top + height, left : left + width]
    rows, columns = preparation.size
    factor = max(SIDE / max(rows, columns), 1)
    return np.asarray(Image.fromarray(part).resize((round(columns * factor), round(rows * factor))))


@st.cache_data(max_entries=64, show_spinner="The engine walks back …")
def looked(path: str, version: int, _preparation: Preprocessing, pixels: np.ndarray, label: int) -> np.ndarray | None:
    """Grad-CAM, kept for the next redraw; None for a model without feature maps."""
    try:
        return grad_cam(Path(path), _preparation, pixels, label)
    except PlaygroundError:
        return None


@st.cache_data(max_entries=64, show_spinner="onnxruntime looks at the covered pictures …")
def lost(path: str, version: int, pixels: np.ndarray, label: int) -> np.ndarray:
    """Occlusion, kept for the next redraw."""
    return occlusion(session.open_classifier(Path(path)), pixels, label)
