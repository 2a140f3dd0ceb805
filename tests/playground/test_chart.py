"""The light chart: what it passes on is what the figure says, and what it can't draw it refuses by name."""

import base64

import numpy as np
import plotly.graph_objects as go
import pytest

from playground.figures import contest, descent, dropout
from playground.figures.bars import histograms
from playground.figures.lines import lines
from playground.ui.parts.chart import payload


def test_the_numbers_travel_as_they_are_and_what_is_not_finite_is_left_out() -> None:
    figure = lines(np.array([1.0, 10.0, 100.0]), {"a": [1.0, float("nan"), 3.0], "b": np.float32([4, 5, 6])},
                   titles=("x", "y"), now=10.0, log_x=True)
    told = payload(figure, "two lines")
    first, second = told["traces"]
    assert (first["x"], first["y"]) == ([1, 10, 100], [1, None, 3])
    assert second["y"] == [4, 5, 6]
    assert told["alt"] == "two lines"
    assert told["height"] == 340
    assert told["layout"]["xaxis"]["type"] == "log"
    assert [shape["x0"] for shape in told["layout"]["shapes"]] == [10]


def test_a_landscape_is_sent_finer_than_anyone_sees() -> None:
    def above(at: np.ndarray) -> np.ndarray:
        return np.asarray((at**2).sum(axis=-1))

    figure = descent.bowl_figure(above, np.array([[3.0, 1.0], [1.0, 0.5]]), np.zeros(2), names=("w", "b"))
    heights = payload(figure, "a bowl")["traces"][0]["heights"]
    levels = np.frombuffer(base64.b64decode(heights["levels"]), "<u2").reshape(heights["rows"], heights["columns"])
    z = heights["low"] + levels / 65535 * (heights["high"] - heights["low"])
    given = go.Figure(figure).data[0].z  # Plotly takes the dictionaries: it knows all their names
    np.testing.assert_allclose(z, given, atol=1e-4 * np.ptp(given))
    assert payload(figure, "a bowl")["traces"][1:] == payload(go.Figure(figure), "a bowl")["traces"][1:]


@pytest.mark.parametrize("figure", [
    contest.growth([8, 16], [64, 256], [9, 9], 8),
    descent.race_figure([("raw", [1.0, 0.5]), ("normalized", [1.0, 0.0])]),
    dropout.network([2, 1], [np.array([True, False]), np.array([True])]),
    dropout.averages([1.0], [1.1], [0.1], ("train", "eval")),
    histograms({"before": np.arange(5.0), "after": np.ones(3)}, titles=("value", "how many")),
], ids=["growth", "race", "network", "averages", "histograms"])
def test_the_figures_that_move_with_sliders_are_drawn(figure: go.Figure) -> None:
    assert len(payload(figure, "a figure")["traces"]) == len(figure.data)


@pytest.mark.parametrize(("figure", "named"), [
    (go.Figure(go.Pie(values=[1]), {"height": 300}), "type 'pie'"),
    (go.Figure(go.Scatter(x=[1], y=[1], mode="lines", fill="tozeroy"), {"height": 300}), "'fill' of a trace"),
    (go.Figure(go.Scatter(x=[1], y=[1], mode="lines", line={"smoothing": 1}), {"height": 300}), "'smoothing' of 'l"),
    (go.Figure(go.Scatter(x=[1], y=[1], mode="lines"), {"height": 300, "hovermode": "x"}), "'hovermode' of a l"),
], ids=["kind", "option", "inner option", "layout"])
def test_what_is_not_drawn_is_refused_by_name(figure: go.Figure, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        payload(figure, "a figure")
