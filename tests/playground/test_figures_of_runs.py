"""The figures of a training run say what the numbers say: smallest and largest case, and names nobody should trust."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import plotly.graph_objects as go
import pytest

from playground.figures import bars, blocks, challenge, comparison, confusion, counts, curves, maps
from playground.numbers import percent
from playground.training.transfer import parameters
from playground.training.transfer.recipe import Request


def batch(epoch: int, number: int, of: int, loss: float = 1.0, accuracy: float = 0.5) -> SimpleNamespace:
    return SimpleNamespace(epoch=epoch, batch=number, batches=of, loss=loss, accuracy=accuracy)


def epoch(number: int, train: float = 0.5, validation: float = 0.4) -> SimpleNamespace:
    return SimpleNamespace(
        epoch=number, train_loss=1 - train, train_accuracy=train, validation_loss=1 - validation,
        validation_accuracy=validation,
    )  # fmt: skip


def test_an_epochs_mean_stands_where_the_epoch_ends_and_accuracy_is_in_per_cent() -> None:
    figure = curves.accuracy_curves([batch(1, 5, 10), batch(2, 10, 10)], [epoch(1), epoch(2)], 3, "test")
    faint, training, held_out = figure.data
    assert list(faint.x) == [0.5, 2.0]
    assert list(faint.y) == [50, 50]
    assert (list(training.x), list(training.y)) == ([1, 2], [50, 50])
    assert held_out.name == "test"
    assert list(held_out.y) == [40, 40]
    assert figure.layout.xaxis.range[1] >= 3


@pytest.mark.parametrize("count", [0, 1, curves.MOST_POINTS, 10_001])
def test_few_or_many_batches_keep_their_mean_and_never_more_points_than_can_be_seen(count: int) -> None:
    values = np.random.default_rng(count).random(count).tolist()
    x, y = curves.thin(list(range(count)), values)
    assert len(x) == len(y) == min(count, curves.MOST_POINTS)
    if count:
        assert abs(y.mean() - np.mean(values)) < 0.01
    curves.loss_curves([batch(1, k + 1, count, loss) for k, loss in enumerate(values)], [], 1)


def test_a_line_is_not_drawn_through_batches_that_were_not_written_down() -> None:
    sparse = curves.loss_curves([batch(1, 1, 5), batch(9, 1, 5)], [epoch(k) for k in range(1, 10)], 9)
    dense = curves.loss_curves([batch(1, k, 40) for k in range(1, 41)], [epoch(1)], 9)
    assert sparse.data[0].mode == "markers"
    assert dense.data[0].mode == "lines"


def test_bars_are_in_order_and_the_truth_is_shown_even_when_it_is_last() -> None:
    labels = [f"class {k}" for k in range(1000)]
    probabilities = np.linspace(1, 0, 1000) / np.linspace(1, 0, 1000).sum()
    figure = bars.probability_bars(labels, probabilities.tolist(), most=5, truth="class 999")
    shown = list(figure.data[0].customdata)[::-1]
    assert shown == ["class 0", "class 1", "class 2", "class 3", "class 999"]
    assert len(set(figure.data[0].marker.color)) == 2


def test_bars_that_follow_a_camera_keep_their_places_while_there_is_room() -> None:
    figure = bars.probability_bars(["cat", "dog", "cup"], [0.1, 0.2, 0.7], sort=False)
    assert list(figure.data[0].customdata)[::-1] == ["cat", "dog", "cup"]
    figure = bars.probability_bars(["cat", "dog", "cup"], [0.1, 0.2, 0.7], most=2, sort=False)
    assert list(figure.data[0].customdata)[::-1] == ["cup", "dog"]


def test_classes_with_one_name_keep_their_own_bars() -> None:
    figure = bars.probability_bars(["same", "same"], [0.75, 0.25])
    assert list(figure.data[0].text)[::-1] == [percent(0.75), percent(0.25)]
    assert len(set(figure.data[0].y)) == 2


def test_names_are_never_markup_in_a_figure() -> None:
    evil = '<a href="http://elsewhere">x</a>'
    figures = (
        bars.probability_bars([evil, "fine"], [0.5, 0.5]),
        confusion.confusion_matrix([[1, 0], [2, 3]], [evil, "fine"]),
        curves.loss_curves([], [epoch(1)], 1, evil),
    )
    for figure in figures:
        assert "<a href" not in str(figure.to_dict())


def test_a_confusion_cell_carries_its_count_and_a_row_its_share() -> None:
    figure = confusion.confusion_matrix([[8, 2], [0, 0]], ["cat", "dog"])
    assert [(note.x, note.y, note.text) for note in figure.layout.annotations] == [(0, 0, "8"), (1, 0, "2")]
    assert np.allclose(np.asarray(figure.data[0].z) ** 2, [[0.8, 0.2], [0, 0]])
    assert figure.data[0].text[0][1] == "cat taken for dog: 2 (20.0\u202f% of its row)"


def test_every_cell_of_a_clickable_matrix_says_which_it_is() -> None:
    figure = confusion.confusion_matrix([[8, 2], [0, 0]], ["cat", "dog"], clickable=True, chosen=(0, 1))
    cells = figure.data[1]
    assert [tuple(map(int, point[:2])) for point in cells.customdata] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [(int(x), int(y)) for x, y in zip(cells.x, cells.y, strict=True)] == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert cells.text[1] == "cat taken for dog: 2 (20.0\u202f% of its row)"
    (outline,) = figure.layout.shapes
    assert (outline.x0 + outline.x1, outline.y0 + outline.y1) == (2, 0)
    many = confusion.confusion_matrix(np.eye(200, dtype=int), [str(k) for k in range(200)], clickable=True)
    assert len(many.data[1].x) == 200, "empty cells of so many classes are left out"


@pytest.mark.parametrize("classes", [1, 2, 21, 1000])
def test_a_confusion_matrix_of_any_size_is_made(classes: int) -> None:
    figure = confusion.confusion_matrix(np.eye(classes, dtype=int).tolist(), [str(k) for k in range(classes)])
    assert len(figure.layout.annotations) == (classes if classes <= confusion.MOST_NUMBERED else 0)


def test_the_trained_part_is_seen_however_small_and_its_count_is_the_true_one() -> None:
    figure = blocks.frozen_and_trained(3_350_008, 2_562)
    frozen, trained = figure.data
    assert trained.x[0] > 0.01 * (frozen.x[0] + trained.x[0])
    assert "2\u202f562" in trained.name
    assert "3\u202f350\u202f008" in frozen.name


def test_a_diagram_has_a_box_for_every_block_and_tells_frozen_from_trained_without_colour() -> None:
    network = parameters.blocks(Request.of({"data": "x", "mode": "fine-tune", "blocks": 3}), 2)
    assert network is not None
    figure = blocks.diagram(network)
    frozen, trained = figure.data
    assert (len(frozen.x), len(trained.x)) == (15, 4)
    assert frozen.marker.pattern.shape == "/"
    assert not trained.marker.pattern.shape
    assert trained.name == f"trained: {412_160 + 605_440 + 476_160 + 2_562:,}".replace(",", "\u202f")
    rows = list(figure.layout.yaxis.ticktext)
    assert rows == ["stem", *(f"stage {k}" for k in range(7)), "last conv", "new head"]
    ends = sorted((y, base, base + length) for trace in figure.data
                  for y, base, length in zip(trace.y, trace.base, trace.x, strict=True))
    assert all(a[0] != b[0] or abs(a[2] - b[1]) < 1e-9 for a, b in pairwise(ends)), "boxes of a row lie side by side"
    assert len(blocks.diagram(parameters.blocks(Request.of({"data": "x", "mode": "scratch"}), 2) or ()).data) == 1


def test_a_feature_map_is_centred_on_zero_and_cut_at_its_limit() -> None:
    picture = maps.signed_map(np.array([[-9.0, 0.0, 1.0, 9.0]]), limit=1.0)
    assert picture[0, 2].tolist() == picture[0, 3].tolist()
    assert picture[0, 0, 2] > picture[0, 0, 0], "blue below zero"
    assert picture[0, 3, 0] > picture[0, 3, 2], "orange above"
    assert np.ptp(picture[0, 1].astype(int)) < 5, "near white at zero"
    maps.signed_map(np.zeros((2, 2)))


def test_a_contact_sheet_holds_every_image_once() -> None:
    images = np.arange(7, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 3), np.uint8)
    sheet = maps.contact_sheet(images, columns=3, gap=1)
    assert sheet.shape == (3 * 3 - 1, 3 * 4 - 1, 3)
    for k in range(7):
        top, left = k // 3 * 3, k % 3 * 4
        assert (sheet[top : top + 2, left : left + 3] == k).all()


@pytest.mark.parametrize("count", [1, 2, 10_001])
def test_the_learning_rate_is_drawn_where_its_batches_stand(count: int) -> None:
    told = [SimpleNamespace(**vars(batch(1, k + 1, count)), learning_rate=0.1 * (1 - k / count)) for k in range(count)]
    figure = curves.learning_rate_curve(told, 3)
    (line,) = figure.data
    assert len(line.x) == min(count, curves.MOST_POINTS)
    assert line.y[0] == pytest.approx(0.1, rel=0.01)
    assert line.x[-1] == pytest.approx(1.0, rel=0.01)
    assert figure.layout.xaxis.range[1] >= 3


NAMES = ["an exceedingly long name", "cat"]


@pytest.mark.parametrize(("figure", "axes"), [
    (bars.probability_bars(NAMES, [0.5, 0.5]), "y"),
    (confusion.confusion_matrix([[8, 2], [0, 0]], NAMES), "xy"),
    (counts.counts_per_class(NAMES, [8, 4], [2, 1]), "y"),
    (challenge.winners([(2012, "AlexNet", 16.4)], 5.1), "x"),
], ids=["bars", "confusion", "counts", "challenge"])
def test_names_at_the_marks_of_an_axis_have_the_room_they_need(figure: go.Figure, axes: str) -> None:
    for axis in axes:
        marks = figure.layout[f"{axis}axis"]
        assert marks.ticktext
        assert marks.automargin, "a fixed margin cuts names off, or lays the axis' title over them"


def test_a_comparison_names_its_lines_in_the_legend_and_its_numbers_above_the_whiskers() -> None:
    results = [comparison.Result("small <b>", 77.46, 62.5, 87.7), comparison.Result("not yet", None, 0, 0)]
    figure = comparison.comparison(results, [("tutorial", 96.0), ("winner", 98.9)], 100 / 3)
    dots, numbers = figure.data
    assert list(dots.x) == list(numbers.x) == ["small &lt;b&gt;"]
    assert (list(numbers.text), list(numbers.y)) == (["77.5\u202f%"], [87.7])
    lines = figure.layout.shapes
    assert [line.name for line in lines] == ["tutorial: 96\u202f%", "winner: 98.9\u202f%", "guessing: 33.3\u202f%"]
    assert all(line.showlegend for line in lines)
    assert len({line.line.dash for line in lines}) == 3, "told apart without colour"
    assert not figure.layout.annotations
    assert list(figure.layout.xaxis.categoryarray) == ["small &lt;b&gt;", "not yet"], "a place for what is to come"
    assert figure.layout.yaxis.range[0] <= 100 / 3 - 5
