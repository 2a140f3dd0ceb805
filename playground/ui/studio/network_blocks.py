"""Which blocks of a network learn, and how many numbers that is, drawn block by block."""

from collections.abc import Mapping
from typing import Any

import streamlit as st

from playground.errors import PlaygroundError
from playground.figures import blocks as figures_blocks
from playground.figures import style
from playground.numbers import count, percent
from playground.training.transfer import parameters
from playground.training.transfer.parameters import Block
from playground.training.transfer.recipe import Request


def of(request: Mapping[str, Any], classes: int) -> tuple[Block, ...] | None:
    """The blocks of what a request trains; None where nobody knows them without torch."""
    try:
        return parameters.blocks(Request.of(request), classes)
    except PlaygroundError:
        return None


def draw(blocks: tuple[Block, ...], key: str, were: str) -> None:
    """The diagram, and what is trained in one line; `were` is "are" or "were"."""
    total, trained = sum(b.parameters for b in blocks), sum(b.parameters for b in blocks if b.trained)
    st.markdown(f"**{count(trained)} of {count(total)} numbers {were} trained** ({percent(trained / total, 2)})")
    learning = [block.name for block in blocks if block.trained]
    st.plotly_chart(figures_blocks.diagram(blocks), key=key, config=style.CONFIG,
                    alt=f"{len(learning)} of {len(blocks)} blocks trained, from {learning[0]} to {learning[-1]}; the "
                    "rest frozen")
