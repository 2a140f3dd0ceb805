"""A formula's graph, played in the browser: values appear on the way forward, gradients on the way back."""

from pathlib import Path

import streamlit as st

from playground.figures import style
from playground.steps.autograd import BackStep, Graph
from playground.ui.parts.stepper import COLOURS_JS

_HERE = Path(__file__).parent
_player = st.components.v2.component(
    "graph_player",
    html=(_HERE / "graph.html").read_text(),
    css=(_HERE / "graph.css").read_text(),
    js=COLOURS_JS + (_HERE / "graph.js").read_text(),
)


def payload(graph: Graph, steps: list[BackStep], limit: float) -> dict[str, object]:
    """What travels to the browser: nodes with their places and values, every step's products, and the colours."""
    return {
        "nodes": [{
            "label": node.label, "name": node.name, "value": node.value, "layer": node.layer, "row": node.row,
            "ways": node.ways, "inputs": [graph.index(one) for one in node.inputs], "learns": node.tensor.requires_grad,
        } for node in graph.nodes],
        "steps": [{
            "node": step.node,
            "sent": [{"node": c.node, "local": c.local, "upstream": c.upstream, "factor": c.factor,
                      "gradient": c.gradient, "total": c.total} for c in step.contributions],
        } for step in steps],
        "signed": list(style.SIGNED), "limit": limit,
    }


def graph_player(graph: Graph, steps: list[BackStep], limit: float, *, key: str) -> None:
    """Show the graph's player; gradients have their full colour at ±limit."""
    _player(key=key, data=payload(graph, steps, limit))
