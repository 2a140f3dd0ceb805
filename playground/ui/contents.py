"""The table of contents: every page once, in reading order.

A new page is one file below `pages/` and one row here. The navigation, the heading, the claim, the footer's "next" and
the tests that open every page all read this table.
"""

from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import streamlit as st

from playground import home

ROOT = Path(__file__).resolve().parents[2]


ALONE = "No outside service is asked."
ON_REQUEST = "Only where you press Download does the server fetch something, from the address named beside the button."
IN_BROWSER = ("Where your own browser runs a model, it computes itself, and it asks an outside service only where you "
              "press a button that names one.")


@dataclass(frozen=True)
class Chapter:
    """One page: the group it is listed under, its file below `pages/`, its address, and what it claims."""

    group: str
    file: str
    url: str
    title: str
    icon: str
    claim: str
    asks: str = ALONE
    """What the page may ask of other servers; said at its end."""

    @property
    def path(self) -> Path:
        return ROOT / "pages" / self.file


CHAPTERS: tuple[Chapter, ...] = (
    Chapter(
        "Start",
        "00_home.py",
        "home",
        "CNN Playground",
        ":material/home:",
        "See how a convolutional network computes, train one, and take it with you as a file that gives the same "
        "answers elsewhere.",
    ),
    Chapter(
        "Learn",
        "01_images.py",
        "images",
        "Images as arrays",
        ":material/grid_on:",
        "A gray picture is a matrix of numbers from 0 to 255, a colour picture three of them stacked: "
        "(H,\u00a0W,\u00a03).",
    ),
    Chapter(
        "Learn",
        "02_mlp.py",
        "mlp",
        "How an MLP sees an image",
        ":material/view_week:",
        "To a dense layer a picture is one long row of numbers: it pays for every pixel and is never told which ones "
        "are neighbours.",
    ),
    Chapter(
        "Learn",
        "03_convolution.py",
        "convolution",
        "Convolution",
        ":material/filter_center_focus:",
        "A convolution is one small sum of products, repeated at every place of the image.",
    ),
    Chapter(
        "Learn",
        "04_kernels.py",
        "kernels",
        "Kernels that detect features",
        ":material/grain:",
        "The same sum of products blurs, sharpens or finds edges: what it detects is in the nine numbers of "
        "its kernel.",
    ),
    Chapter(
        "Learn",
        "05_channels.py",
        "channels",
        "Many channels",
        ":material/layers:",
        "A filter has one kernel for each channel; their maps are added up, so one filter gives one feature map.",
    ),
    Chapter(
        "Learn",
        "06_network.py",
        "network",
        "Feature maps and the whole network",
        ":material/stacks:",
        "Every filter answers with a map of where it found what it looks for; the next layer looks at those maps, up "
        "to the loss and all the way back.",
    ),
    Chapter(
        "Learn",
        "07_pooling.py",
        "pooling",
        "Max pooling",
        ":material/filter_alt:",
        "Of each window only the largest number goes on: fewer numbers, and small shifts matter less.",
    ),
    Chapter(
        "Learn",
        "08_augmentation.py",
        "augmentation",
        "Data augmentation",
        ":material/auto_awesome_motion:",
        "A mirrored cat is a cat: pictures changed in ways that must not matter teach a network what does.",
    ),
    Chapter(
        "Learn",
        "09_normalization.py",
        "normalization",
        "Normalization",
        ":material/balance:",
        "Inputs with mean 0 and variance 1 turn a long narrow valley into a rounder bowl, and gradient descent gets "
        "down in fewer steps.",
    ),
    Chapter(
        "Learn",
        "10_batch_norm.py",
        "batch-norm",
        "Batch norm",
        ":material/align_vertical_center:",
        "What was done to the input is done before every activation, too, with the mean and variance of the "
        "mini-batch.",
    ),
    Chapter(
        "Learn",
        "11_dropout.py",
        "dropout",
        "Dropout",
        ":material/blur_on:",
        "While training each unit is present with probability p only, so no unit can rely on another; in eval mode all "
        "are there.",
    ),
    Chapter(
        "Learn",
        "12_autograd.py",
        "autograd",
        "Autograd",
        ":material/account_tree:",
        "Every gradient is the chain rule, one operation at a time, walked from the result back to the "
        "variables.",
    ),
    Chapter(
        "Learn",
        "13_loss.py",
        "loss",
        "The loss",
        ":material/target:",
        "Softmax makes probabilities of a network's scores, cross-entropy asks how little the label was expected; the "
        "gradient is p\u00a0−\u00a0y.",
    ),
    Chapter(
        "Learn",
        "14_whole_cnn.py",
        "whole-cnn",
        "A whole CNN",
        ":material/route:",
        "One digit goes through a whole network to a loss, the loss goes back to every weight, and one small step "
        "makes the network a little less wrong.",
    ),
    Chapter(
        "Learn",
        "15_depth.py",
        "depth",
        "Depth",
        ":material/stacked_line_chart:",
        "Every layer multiplies what goes through it, forward and backward: many factors below 1 vanish, many above 1 "
        "explode, and a shortcut adds instead.",
    ),
    Chapter(
        "Learn",
        "16_imagenet.py",
        "imagenet",
        "The ImageNet challenge",
        ":material/trophy:",
        "Five guesses among a thousand classes: from 2012 to 2017 convolutional networks won, and one of them looks at "
        "your photo here.",
    ),
    Chapter(
        "Learn",
        "17_lab.py",
        "lab",
        "Lab: cats vs dogs",
        ":material/science:",
        "A small CNN from scratch, then with more tricks, then a pretrained one: all steps on your photos, measured "
        "on one chart.",
        ON_REQUEST,
    ),
    Chapter(
        "Build",
        "50_train.py",
        "train",
        "Build and train",
        ":material/model_training:",
        "Design a network part by part, see at once what each part costs and what would go wrong, and watch it learn "
        "by gradient descent, in NumPy you can read or in PyTorch.",
        ON_REQUEST,
    ),
    Chapter(
        "Build",
        "60_transfer.py",
        "transfer",
        "Transfer learning",
        ":material/swap_horiz:",
        "A network that has seen a million photos needs only a few of yours: keep what it sees, retrain what it says.",
        ON_REQUEST,
    ),
    Chapter(
        "Build",
        "70_models.py",
        "models",
        "Models",
        ":material/inventory_2:",
        "Every trained model is one ONNX file that gives this app's own answer to the same pixels in anybody's "
        "onnxruntime.",
        IN_BROWSER,
    ),
    Chapter(
        "Build",
        "80_onnx_lab.py",
        "onnx-lab",
        "ONNX lab",
        ":material/science:",
        "An ONNX file is a graph of operators and the numbers they use: open any one, look into it, run it, and see "
        "how fast it is.",
        IN_BROWSER,
    ),
)


CLASS = Chapter(
    "Start",
    "90_class.py",
    "class",
    "Class",
    ":material/groups:",
    "Who is here, what is trained and what was answered; and all that this server keeps about you.",
)
"""Its page is there for a class alone: without one it says how to start for one, and nothing leads to it."""


MOVED = {"feature-maps": "network", "home": "home"}
"""Where addresses lead that are no page's now: those of earlier versions, and the first page's name."""


def chapter(url: str) -> Chapter:
    """The chapter at an address; a KeyError is a misspelt link in our own code.

    >>> chapter("train").title
    'Build and train'
    """
    return {c.url: c for c in (*CHAPTERS, CLASS)}[url]


def at(url: str) -> Chapter:
    """The chapter at an address, whatever the address is; the first where there is none."""
    return next((c for c in (*CHAPTERS, CLASS) if c.url == url), CHAPTERS[0])


def tab_title(current: Chapter) -> str:
    """What the browser's tab and its history call a page.

    >>> tab_title(chapter("convolution")), tab_title(chapter("home"))
    ('Convolution - CNN Playground', 'CNN Playground')
    """
    app = CHAPTERS[0].title
    return app if current is CHAPTERS[0] else f"{current.title} - {app}"


def following(current: Chapter) -> Chapter:
    """The next chapter in reading order; after the last comes the first.

    >>> following(chapter("onnx-lab")).url
    'home'
    """
    return CHAPTERS[(CHAPTERS.index(current) + 1) % len(CHAPTERS)] if current is not CLASS else CHAPTERS[0]


def navigation() -> dict[str, list[st.Page]]:
    """The chapters as Streamlit pages, under their groups; what stood elsewhere before can still be reached there."""
    found = {
        group: [
            st.Page(
                c.path,
                title=c.title if c is not CHAPTERS[0] else "Home",
                icon=c.icon,
                url_path=c.url if c is not CHAPTERS[0] else "",
                default=c is CHAPTERS[0],
            )
            for c in rows
        ]
        for group, rows in groupby(CHAPTERS, key=lambda c: c.group)
    }
    found[CLASS.group].append(st.Page(CLASS.path, title=CLASS.title, icon=CLASS.icon, url_path=CLASS.url,
                                      visibility="visible" if home.is_class() else "hidden"))
    last = list(found)[-1]
    found[last] += [st.Page(_nothing, title=chapter(now).title, url_path=before,
                            visibility="hidden") for before, now in MOVED.items()]
    return found


def _nothing() -> None:
    """An address that has moved shows nothing of its own."""
