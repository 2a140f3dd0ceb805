"""A pretrained network as a bar: how much of it stays as it is, how much is trained."""

import plotly.graph_objects as go

from playground.figures import style


def frozen_and_trained(frozen: int, trained: int) -> go.Figure:
    """Two parts of one bar, as long as they have parameters; the trained one never thinner than the eye can see."""
    total = frozen + trained
    sliver = max(trained, 0.012 * total)
    figure = go.Figure()
    for name, length, count, colour in (
        ("frozen", total - sliver, frozen, style.REFERENCE),
        ("trained", sliver, trained, style.VALIDATION),
    ):
        figure.add_bar(
            orientation="h",
            y=[""],
            x=[length],
            name=f"{name}: {count:,}".replace(",", " "),
            marker={"color": colour},
            hovertemplate=f"{name}: {count:,} parameters ({100 * count / total:.2g} %)<extra></extra>".replace(
                ",", " "
            ),
        )
    style.layout(figure, height=110)
    figure.update_layout(barmode="stack", legend={"x": 0, "xanchor": "left"})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False)
    return figure
