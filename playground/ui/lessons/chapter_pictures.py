"""A small picture for every chapter, made of what it is about: by the engine, from photos and digits at hand."""

from collections.abc import Callable

import numpy as np
import streamlit as st
from PIL import Image

import engine
from engine import functional as F
from playground.datasets import named, samples
from playground.figures import maps
from playground.steps.detectors import edge_direction, edge_strength
from playground.ui.parts.kernel_editor import PRESETS

WIDTH, HEIGHT = 360, 200
FACE = (35, 75, 200, 360)
"""Top, left, height and width of the cat's face in its photo, of a card's shape."""

WEIGHTS = {name: np.array(sizes[3], np.float32) for name, sizes in PRESETS.items() if 3 in sizes}


@st.cache_data(show_spinner=False)
def picture(url: str) -> tuple[np.ndarray, str]:
    """A chapter's picture, uint8 (HEIGHT, WIDTH, 3), and what is seen on it."""
    draw, alt = _PICTURES[url]
    made = draw()
    rgb = made if made.ndim == 3 else np.repeat(made[..., None], 3, axis=2)
    # Few large pixels stay squares; a photo is made smooth.
    few = rgb.shape[1] < WIDTH // 2
    fitted = Image.fromarray(np.ascontiguousarray(rgb)).resize(
        (WIDTH, HEIGHT), Image.Resampling.NEAREST if few else Image.Resampling.LANCZOS)
    return np.asarray(fitted), alt


def _cat() -> np.ndarray:
    top, left, height, width = FACE
    return samples.photo("cat")[top : top + height, left : left + width]


def _gray(side: int = 1) -> np.ndarray:
    gray: np.ndarray = _cat().astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    h, w = (n - n % side for n in gray.shape)
    means: np.ndarray = gray[:h, :w].reshape(h // side, side, w // side, side).mean(axis=(1, 3))
    return means


def _response(gray: np.ndarray, *kernels: str) -> np.ndarray:
    """(F, H - 2, W - 2): what each kernel answers to pixels 0..1."""
    with engine.no_grad():
        answers: np.ndarray = F.conv2d(gray[None, None] / 255, np.stack([WEIGHTS[k] for k in kernels])[:, None]).data[0]
        return answers


def _soft(values: np.ndarray) -> np.ndarray:
    return maps.signed_map(values, limit=float(np.percentile(np.abs(values), 99)) or 1.0)


def _beside(*pictures: np.ndarray) -> np.ndarray:
    """Pictures of one height side by side, a white line between them."""
    rgb = [p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures]
    line = np.full((rgb[0].shape[0], max(1, rgb[0].shape[1] // 60), 3), 255, np.uint8)
    return np.concatenate([part for p in rgb for part in (p, line)][:-1], axis=1)


def _whole(values: np.ndarray) -> np.ndarray:
    levels: np.ndarray = np.rint(np.clip(values, 0, 255)).astype(np.uint8)
    return levels


def _digits(number: int) -> np.ndarray:
    return named.load("digits")[0].images[:number].astype(np.uint8)


def _middle(pixels: np.ndarray, share: float) -> np.ndarray:
    """Of a picture the left part that is `share` as wide as a card."""
    width = int(pixels.shape[0] * share * WIDTH / HEIGHT)
    start = max(0, (pixels.shape[1] - width) // 2)
    return pixels[:, start : start + width]


def _photos(*names: str) -> np.ndarray:
    parts = (Image.fromarray(_middle(samples.photo(name), 1 / len(names))) for name in names)
    return _beside(*(np.asarray(part.resize((WIDTH // len(names), HEIGHT))) for part in parts))


def _rows() -> np.ndarray:
    """Digits, and below each the one row of numbers that a dense layer is given."""
    images = _digits(3)
    rows = images.reshape(3, 1, 64).repeat(4, axis=1)
    squares = np.concatenate([np.pad(i.repeat(2, 0).repeat(2, 1), ((2, 2), (3, 2)), constant_values=128)
                              for i in images], axis=1)
    squares = np.pad(squares, ((0, 0), (0, 64 - squares.shape[1])), constant_values=128)
    lines = np.concatenate([np.pad(r, ((2, 0), (0, 0)), constant_values=128) for r in rows])
    return np.concatenate([squares, lines])


def _kernels() -> np.ndarray:
    shown = [maps.signed_map(weights) for weights in WEIGHTS.values()]
    return np.pad(maps.contact_sheet(np.stack(shown[:8]), columns=4, scale=6, gap=4), ((4, 4), (2, 2), (0, 0)),
                  constant_values=128)


def _channels() -> np.ndarray:
    third = _middle(_cat(), 1 / 3)
    return _beside(*(third * np.eye(3, dtype=np.uint8)[c] for c in range(3)))


def _pooled() -> np.ndarray:
    strong = np.abs(_response(_gray(4), "Laplacian"))[0]
    with engine.no_grad():
        small = F.max_pool2d(strong[None, None], 4).data[0, 0]
    large = small.repeat(4, 0).repeat(4, 1)
    half = strong.shape[1] // 2
    joined = np.concatenate([strong[: len(large), :half], large[:, half:]], axis=1)
    return _whole(255 * joined / np.percentile(joined, 99))


def _draws() -> np.ndarray:
    small = Image.fromarray(_middle(_cat(), 0.5))
    return _beside(np.asarray(small), np.asarray(small.transpose(Image.Transpose.FLIP_LEFT_RIGHT).rotate(12)))


def _normalized() -> np.ndarray:
    gray = _gray()
    half = gray.shape[1] // 2
    normal = (gray - gray.mean()) / gray.std()
    dark = np.repeat(_whole(gray[:, :half] * 0.35 + 20)[..., None], 3, axis=2)
    return np.concatenate([dark, maps.signed_map(normal[:, half:], limit=2.5)], axis=1)


def _batch() -> np.ndarray:
    """Channels of a mini-batch, one a row, before and after their own mean and deviation."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(10, 9)) * rng.uniform(0.3, 3, (10, 1)) + rng.normal(size=(10, 1)) * 2
    after = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
    return _beside(maps.signed_map(x, limit=5.0), maps.signed_map(after, limit=2.5))


def _dropped() -> np.ndarray:
    kept = np.random.default_rng(1).random((10, 18)) < 0.6
    gray = _gray(16)[:10, :18]
    return np.where(kept[..., None], maps.signed_map(gray - gray.mean()), np.uint8(128))


def _gradient() -> np.ndarray:
    """How much each pixel would change the sum of squared edges, by walking the tape back."""
    x = engine.Tensor(_gray()[None, None] / 255, requires_grad=True)
    found = F.conv2d(x, WEIGHTS["Sobel x"][None, None])
    (found * found).sum().backward()
    assert x.grad is not None
    return _soft(x.grad[0, 0])


def _directions() -> np.ndarray:
    across, down = _response(_gray(), "Sobel x", "Sobel y")
    strength = edge_strength(across, down)
    return maps.direction_map(edge_direction(across, down), np.clip(np.sqrt(strength / strength.max()), 0, 1))


def _maps() -> np.ndarray:
    found = _response(_gray(2), "Sobel x", "Sobel y", "Laplacian", "Emboss")
    return maps.contact_sheet(np.stack([_soft(m) for m in found]), columns=2, gap=3)


def _softmaxed() -> np.ndarray:
    """Scores of six rows, signed, and the probabilities softmax makes of them, the larger the darker."""
    z = np.random.default_rng(5).normal(0, 2.5, (6, 5))
    p = F.softmax(z, 1).numpy()
    return np.concatenate([maps.signed_map(z, 5.0), np.full((6, 1, 3), 255, np.uint8),
                           maps.signed_map(-p, 1.0)], axis=1)


def _through() -> np.ndarray:
    """A digit, its edges, where they are above 0, and what pooling leaves of that."""
    digit = _digits(3)[2].astype(np.float32)
    with engine.no_grad():
        edges = F.conv2d(digit[None, None] / 255, np.stack([WEIGHTS[k] for k in ("Sobel x", "Sobel y")])[:, None],
                         padding=1)
        risen = F.relu(edges)
        pooled = F.max_pool2d(risen, 2)
    shown = [np.repeat(digit.astype(np.uint8)[..., None], 3, axis=2).repeat(4, 0).repeat(4, 1)]
    for values, times in ((edges, 2), (risen, 2), (pooled, 4)):
        pair = np.concatenate(list(values.data[0]))
        shown.append(maps.signed_map(pair, 3.0).repeat(times, 0).repeat(times, 1))
    return _beside(*shown)


def _vanished() -> np.ndarray:
    """The face's edges, and what is left of them after each of five layers that keep a third."""
    edges = _response(_middle(_cat(), 1 / 6).astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32),
                      "Sobel x")[0]
    limit = float(np.percentile(np.abs(edges), 99))
    return _beside(*(maps.signed_map(edges * 0.4**layer, limit) for layer in range(6)))


def _graph() -> np.ndarray:
    """The marks of a graph: boxes in a row, joined, and a way round two of them."""
    drawn = np.full((20, 36), 247, np.uint8)
    drawn[10, 2:34] = 150
    drawn[5, 11:27] = drawn[5:11, 11] = drawn[5:11, 26] = 150
    for k, level in enumerate((40, 90, 40, 90, 40, 90)):
        left = 2 + 6 * k
        drawn[9:12, left:left + 3] = level
    return drawn


_PICTURES: dict[str, tuple[Callable[[], np.ndarray], str]] = {
    "images": (lambda: _whole(_gray(12)), "A cat's face in a few large gray squares"),
    "mlp": (_rows, "Three digits, and each as one row of its pixels"),
    "convolution": (lambda: _soft(_response(_gray(), "Sobel x")[0]), "A cat's face as its vertical edges"),
    "kernels": (_directions, "A cat's edges, each direction in its colour"),
    "channels": (_channels, "A cat's face in red, in green and in blue"),
    "network": (_maps, "Four feature maps of a cat"),
    "pooling": (_pooled, "A cat's edges, the right half pooled to large squares"),
    "augmentation": (_draws, "A cat's face, and the same mirrored and turned"),
    "normalization": (_normalized, "A dark photo, its right half normalized"),
    "batch-norm": (_batch, "Rows of numbers before and after they have mean 0 and variance 1"),
    "dropout": (_dropped, "A coarse picture of which many squares are left out"),
    "autograd": (_gradient, "A gradient: which pixels of a cat count"),
    "loss": (_softmaxed, "Rows of scores, and beside each its probabilities: one dark square where one score leads"),
    "whole-cnn": (_through, "A digit, two maps of its edges, the same above 0 alone, and pooled"),
    "depth": (_vanished, "A cat's edges six times, each time paler"),
    "imagenet": (lambda: _photos("coffee", "rocket", "cat"), "Photos of a cup of coffee, a rocket and a cat"),
    "lab": (lambda: _photos("cat", "astronaut"), "Photos of a cat and of a woman"),
    "train": (lambda: maps.contact_sheet(_digits(45), columns=9, scale=3, gap=2), "Handwritten digits"),
    "transfer": (lambda: _photos("coffee", "cat"), "Photos of a cup of coffee and of a cat"),
    "models": (_kernels, "The weights of eight kernels, blue below 0 and orange above"),
    "onnx-lab": (_graph, "Six operators in a row, one of them with a way round it"),
}
