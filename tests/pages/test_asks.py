"""What can be asked of a network, as a reader sees it: opened, for designs and files, for every kind of choice."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from playground.datasets import named
from playground.datasets.named import ImageSet
from playground.training.runs.runs import RunSpec
from playground.training.scratch import history_files, numpy_fit
from playground.ui.network.asks import checking, editing, moving
from playground.ui.network.asks.asked import key_of
from playground.ui.parts.image_input import Picture
from playground.view.asks import Chosen
from playground.view.sources import Design, File
from tests.pages.on_a_page import texts
from tests.playground.test_numpy_fit import blobs, never
from tests.playground.view.small_networks import a_set, as_file, design
from tests.waiting import HOPE_SECONDS

QUESTIONS = ("ask-windows", "ask-why", "ask-edit", "ask-off", "ask-check")
DIGIT = Picture("a digit", np.tile(np.arange(0, 256, 32, dtype=np.uint8)[:, None, None], (1, 8, 3)), drawing=True)
Ask = Callable[..., AppTest]


def script(*asked) -> None:  # type: ignore[no-untyped-def]  # the app sees this text alone
    from playground.ui.network import asks

    asks.draw(*asked)


@pytest.fixture
def ask(playground_home: Path) -> Ask:
    """ask(source, chosen, "ask-why") is the page with these questions open."""

    def asked(source: Design | File, chosen: Chosen, *opened: str, data: ImageSet | None = None,
              run: Path | None = None) -> AppTest:
        app = AppTest.from_function(script, default_timeout=HOPE_SECONDS, args=(source, DIGIT, chosen, data, run))
        for key in opened:
            app.query_params[key] = "true"
        app.run()
        assert not app.exception
        return app

    return asked


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(named, "load", lambda data: (blobs(), blobs(21)))
        for _ in numpy_fit.fit(RunSpec("digits", {"data": "digits", "network": "c3-b-r-[c3]-f-d3", "epochs": 2,
                                                  "batch_size": 8, "optimizer": "adamw", "weight_decay": 0.1,
                                                  "clip_norm": 0.2}, 3, "mine"), folder, never):
            pass
    return folder


def test_nothing_is_computed_or_said_before_a_question_is_opened(ask: Ask) -> None:
    app = ask(design("c4-r-f-d3"), Chosen(0, (1, 2, 2)), data=a_set())
    assert app.expander[0].label == "What does this filter look for in your data?"
    assert len(app.expander) == len(QUESTIONS)
    assert texts(app) == ""


def test_without_a_choice_a_set_or_a_run_each_question_says_what_it_needs(ask: Ask) -> None:
    app = ask(design("c4-r-f-d3"), Chosen(), *QUESTIONS)
    said = [str(info.value) for info in app.info]
    assert len(said) == len(QUESTIONS)
    assert "This model was not trained here, so its steps are not known." in said
    assert sum(text.startswith("Choose") for text in said) == 4
    without = ask(design("c4-r-f-d3"), Chosen(0, (1, 2, 2)), "ask-windows", "ask-off")
    assert len(without.info) == 2
    others = a_set(classes=("a", "d", "e"))
    other = ask(design("c4-r-f-d3"), Chosen(0, (1, 2, 2)), "ask-windows", "ask-off", data=others)
    assert all("These pictures show a, d, e" in str(error.value).replace("\\", "") for error in other.error)
    assert len(other.error) == 2


@pytest.mark.parametrize("kind", ["design", "file"])
def test_every_part_can_be_asked_everything(ask: Ask, kind: str) -> None:
    made = design("c3-b-r-[c3]-p2-f-o0.2-d3")
    source = made if kind == "design" else as_file(made)
    trace = source.run(np.zeros((1, 1, 8, 8), np.float32))
    data = a_set()
    for part in trace.parts:
        weight = next(iter(part.weights.items()), None)
        chosen = Chosen(part.index, tuple(n - 1 for n in part.shape), None if weight is None else
                        (weight[0], tuple(n - 1 for n in weight[1].shape)))
        app = ask(source, chosen, *QUESTIONS, data=data)
        assert not app.error, [str(error.value) for error in app.error]
        assert "Measured on 30 labelled pictures" in texts(app)
    assert all(weight.grad is None for weight in source.weights().values())


def test_a_choice_that_another_network_had_does_no_harm(ask: Ask) -> None:
    app = ask(design("c4-r-f-d3"), Chosen(40, (9, 9, 9), ("77.weight", (1, 2))), *QUESTIONS, data=a_set())
    assert not any("went wrong" in str(error.value) for error in app.error)
    app = ask(design("c4-r-f-d3"), Chosen(1, (9, 9, 9), ("0.weight", (9, 9, 9, 9))), *QUESTIONS, data=a_set())
    assert not any("went wrong" in str(error.value) for error in app.error)


def test_an_edit_is_measured_and_undone(ask: Ask) -> None:
    source = design("c4-r-f-d3")
    chosen = Chosen(0, (1, 2, 2), ("0.weight", (1, 0, 0, 0)))
    app = ask(source, chosen, "ask-edit", data=a_set())
    before = source.weights()["0.weight"].data.copy()
    assert "Nothing is edited yet" in texts(app)
    app.button(key="ask-stroke-Times 2").click().run()
    app.button(key="ask-stroke-Zero").click().run()
    assert "2 edits, the last: zero" in texts(app)
    assert "Measured on 30 labelled pictures" in texts(app)
    kept = app.session_state[f"ask-edits-{key_of(source)}"]
    assert (kept.weights(source)["0.weight"][1, 0] == 0).all()
    app.button(key="ask-undo").click().run()
    kept = app.session_state[f"ask-edits-{key_of(source)}"]
    np.testing.assert_array_equal(kept.weights(source)["0.weight"][1, 0], 2 * before[1, 0])
    app.button(key="ask-undo").click().run()
    assert "Nothing is edited yet" in texts(app)
    app.button(key="ask-redo").click().run()
    assert "1 edit, the last: times" in texts(app)
    app.button(key="ask-reset").click().run()
    np.testing.assert_array_equal(source.weights()["0.weight"].data, before)
    assert not app.error


def test_what_a_browser_sends_as_a_kernel_is_read_with_care(monkeypatch: pytest.MonkeyPatch) -> None:
    state: dict[str, Any] = {}
    monkeypatch.setattr(editing.st, "session_state", state)
    monkeypatch.setattr(editing.links, "locked", lambda: False)
    where = {(0, 0): (0, 0, 0, 0), (0, 1): (0, 0, 0, 1)}
    for said in ("", "1", "1 2 3", "x 2", "1/0 2", "0.5 0.25", "0.5 0.25;", "1 " * 5000, "0.5 −1/4"):
        assert state == {}
        editing.take(7, said, "w", ["0.5", "0.25"], where)
    (edit,) = state["ask-edits-7"].done
    assert edit.values == (("w", (0, 0, 0, 1), -0.25),)  # what was not touched keeps all its digits


def test_a_sum_offers_its_shortcut_and_its_way(ask: Ask) -> None:
    source = design("c4-[c4-r]-f-d3")
    trace = source.run(np.zeros((1, 1, 8, 8), np.float32))
    part = next(part for part in trace.parts if part.sort.key == "sum")
    app = ask(source, Chosen(part.index, (0, 0, 0)), "ask-off", data=a_set())
    choice = app.segmented_control[0]
    assert choice.options[-2:] == ["the shortcut", "the way round it"]
    for word in ("the shortcut", "the way round it", "the whole layer", "several maps"):
        app.segmented_control[0].set_value(word).run()
        assert not app.error
        assert not app.exception
        assert "Without" in texts(app)
    assert "Which map matters most" in texts(app)


def test_steps_that_pytorch_computed_are_not_offered(ask: Ask, run: Path, tmp_path: Path) -> None:
    there = shutil.copytree(run, tmp_path / "run")
    index = there / history_files.FOLDER / history_files.INDEX
    said = json.loads(index.read_text())
    said["asked"]["request"]["engine"] = "torch"
    index.write_text(json.dumps(said))
    app = ask(Design.of_trained(numpy_fit.load_trained(there)), Chosen(), "ask-why", run=there)
    assert any("only our engine takes steps up again" in info.value for info in app.info)
    assert not app.error
    assert not app.number_input


def test_a_step_of_a_run_is_taken_apart(ask: Ask, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))
    source = Design.of_trained(numpy_fit.load_trained(run))
    data = blobs(21)
    for name, weight in source.weights().items():
        app = ask(source, Chosen(0, (0, 0, 0), (name, tuple(0 for _ in weight.shape))), "ask-why", data=data, run=run)
        said = texts(app)
        assert "Which pictures pushed" in said, [str(error.value) for error in app.error]
        assert "Together" in said
    app.number_input(key="ask-step").set_value(7).run()  # the first of the second epoch
    assert "Step 7, in epoch 2" in texts(app)
    assert "clipping multiplied each by" in texts(app)
    assert not app.error


def plain(app: AppTest) -> str:
    """The page's words without the strokes that make Markdown show them as they are."""
    return texts(app).replace("\\", "")


def test_any_weight_of_the_chosen_map_can_be_asked_for(ask: Ask, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))
    source = Design.of_trained(numpy_fit.load_trained(run))
    for one in range(3):
        app = ask(source, Chosen(0, (one, 4, 4)), "ask-why", data=blobs(21), run=run)
        assert "moved most for the chosen map" in plain(app)
        assert f"weight[{one}, 0, " in plain(app) or f"bias[{one}]" in plain(app)
    app.segmented_control(key="ask-why-which").set_value(moving.OWN).run()
    assert "0.weight[2, 0, 0, 0]" in plain(app)
    axes = {box.label: box for box in app.number_input if not box.label.startswith("Step")}
    assert list(axes) == ["Filter", "Row", "Column"]  # there is one input map
    axes["Row"].set_value(1).run()
    next(box for box in app.number_input if box.label == "Column").set_value(2).run()
    assert "0.weight[2, 0, 1, 2]" in plain(app)
    app.number_input(key="ask-step").set_value(3).run()
    assert "0.weight[2, 0, 1, 2]" in plain(app)  # of another step, too
    assert not app.error
    assert not app.exception


@pytest.mark.parametrize("kind", ["design", "file"])
def test_a_weight_and_a_pixel_are_checked_where_no_number_is_chosen(ask: Ask, kind: str) -> None:
    made = design("c3-r-f-d3")
    source = made if kind == "design" else as_file(made)
    for chosen, dense in ((Chosen(), False), (Chosen(0), False), (Chosen(3), True), (Chosen(3, (1,)), True)):
        app = ask(source, chosen, "ask-check")
        app.segmented_control[0].set_value(checking.WEIGHT).run()
        boxes = [box.label for box in app.number_input]
        assert boxes == (["Unit", "Input"] if dense else ["Filter", "Row", "Column"]), boxes
        app.number_input[1].set_value(2).run()
        at = f"[{chosen.map or 0}, 2]" if dense else "[0, 0, 2, 0]"
        assert at in plain(app)
        assert "within what is to be expected" in plain(app) or "There is a kink" in plain(app)
    app.segmented_control[0].set_value(checking.PIXEL).run()
    assert [box.label for box in app.number_input] == ["Row", "Column"]
    app.number_input[0].set_value(7).run()
    assert "pixel [0, 7, 4]" in plain(app)
    assert not app.error
    assert not app.exception


def test_a_filter_is_looked_at_after_any_epoch(ask: Ask, run: Path) -> None:
    source = Design.of_trained(numpy_fit.load_trained(run))
    app = ask(source, Chosen(0, (1, 0, 0)), "ask-windows", data=blobs(21), run=run)
    assert "as it is now" in texts(app)
    app.select_slider(key="ask-epoch").set_value(0).run()
    assert "with its first weights" in texts(app)
    assert not app.error
    assert not app.exception


def test_pytorch_is_asked_once_for_a_question(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(module: str, text: str, **patience: Any) -> Any:
        import json

        import torch

        from playground.view.asks.torch_number import answers

        asked.append(module)
        out = {str(dtype).split(".")[1]: answers(json.loads(text), dtype) for dtype in (torch.float32, torch.float64)}
        return type("Done", (), {"returncode": 0, "stdout": json.dumps(out)})()

    monkeypatch.setattr(checking, "asked_torch", answer)
    app = ask(design("c4-r-f-d3", seed=77), Chosen(0, (1, 2, 2)), "ask-check")
    assert asked == []
    app.button(key="ask-torch-button").click().run()
    app.run()
    assert asked == ["playground.view.asks.torch_number"]
    table = next(str(text.value) for text in app.markdown if str(text.value).startswith("| by"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    assert [row[0] for row in rows] == ["our engine, float32", "onnxruntime, float32", "PyTorch, float32",
                                        "PyTorch, float64"]
    assert len({row[1][:7] for row in rows}) == 1
    assert not app.error


def test_what_was_set_for_another_run_is_forgotten(ask: Ask, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named, "load", lambda data: (blobs(), blobs(21)))
    source = Design.of_trained(numpy_fit.load_trained(run))
    app = AppTest.from_function(script, default_timeout=HOPE_SECONDS,
                                args=(source, DIGIT, Chosen(0, (1, 0, 0)), blobs(21), run))
    app.session_state["ask-step"], app.session_state["ask-epoch"] = 10**6, 77
    for key in ("ask-why", "ask-windows"):
        app.query_params[key] = "true"
    app.run()
    assert not app.error
    assert not app.exception
    assert "Step 2, in epoch 1" in texts(app)
    again = AppTest.from_function(script, default_timeout=HOPE_SECONDS,
                                  args=(source, DIGIT, Chosen(0, (1, 0, 0)), blobs(21), run))
    for key, value in (("ask-why", "true"), ("ask-step", "999999"), ("ask-epoch", "88"), ("ask-windows", "true")):
        again.query_params[key] = value
    again.run()
    assert not again.error
    assert not again.exception
