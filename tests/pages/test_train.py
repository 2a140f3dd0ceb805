"""Training on a page: settings become a run of its own process, and what it leaves is shown."""

import struct
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from playground import jobs
from playground.deploy import export, registry
from playground.deploy.session import Classifier
from playground.errors import PlaygroundError
from playground.home import runs_dir
from playground.numbers import percent
from playground.training.runs import queue, runs, worker
from playground.training.runs.events import (
    Batch,
    Epoch,
    Exported,
    Failed,
    Finished,
    Measures,
    PartMeasures,
    Queued,
    Resumed,
    Saved,
    Stage,
    Started,
)
from playground.training.runs.log import EventLog
from playground.training.runs.runs import RunSpec
from playground.training.scratch import numpy_fit
from playground.ui.parts import drawing
from playground.ui.studio import runs_view, train
from tests.pages.on_a_page import OpenPage, errors, put_model, texts
from tests.waiting import ended, until

REQUEST = {"data": "digits", "epochs": 2, "batch_size": 32, "learning_rate": 0.003}


def made_up(name: str = "digits", *events: object) -> str:
    """A run that nobody works on: its spec and its log, as a worker that died left them."""
    run_id = "20260101-120000-000000-" + f"{abs(hash((name, len(events)))) % 65536:04x}"
    folder = runs_dir() / run_id
    folder.mkdir()
    runs.write_spec(folder, RunSpec("digits", REQUEST, 0, name), "cpu")
    log = EventLog(folder / "events.jsonl")
    for event in events:
        log.append(event)  # type: ignore[arg-type]
    log.close()
    return run_id


def started() -> Started:
    classes = tuple(str(k) for k in range(10))
    return Started("digits", 2, 45, 53_098, classes, {"training": 1200, "test": 355}, "cpu", time.time())


def click_start(app: AppTest) -> str:
    app.button(key="start").click().run()
    assert errors(app) == []
    asked = app.query_params["run"]
    return asked if isinstance(asked, str) else asked[0]


def test_the_network_is_shown_before_it_is_trained(open_page: OpenPage) -> None:
    app = open_page("train", library="PyTorch", code="true")
    assert errors(app) == []
    written = app.code[0].value
    assert "nn.Conv2d(1, 32" in written
    assert "nn.Linear(128, 10)" in written


@pytest.mark.slow
def test_digits_are_trained_for_one_epoch_and_everything_the_run_left_is_shown(open_page: OpenPage) -> None:
    app = open_page("train", epochs="1")
    assert app.number_input(key="epochs").value == 1
    run_id = click_start(app)
    view = ended(run_id)
    assert view.state == "completed", view.failed
    app.run()
    assert errors(app) == []
    assert view.finished is not None
    assert view.finished.test_accuracy is not None
    accuracy = next(metric for metric in app.metric if metric.label == "test accuracy")
    assert accuracy.value == percent(view.finished.test_accuracy)
    assert f"{view.finished.test_count:,} images" in accuracy.help

    entry = registry.get(view.spec.name)
    _, test = train.loaded("digits")
    said = Classifier(entry.onnx).predict([train.raw(image) for image in test.images])
    wrong = sum(int(one.probabilities.argmax()) != label for one, label in zip(said, test.labels, strict=True))
    assert abs(1 - wrong / len(test) - view.finished.test_accuracy) < 0.005
    if wrong:
        assert f"**{wrong:,} of {len(test):,} test images are named wrongly**" in texts(app)
    assert "Download .onnx" in [b.proto.label for b in app.get("download_button")]
    assert app.text_input[0].value != view.spec.name, "a name that is free now is proposed for the next run"


@pytest.mark.slow
def test_a_run_is_stopped_from_the_page_and_the_page_survives_a_reload(open_page: OpenPage) -> None:
    run_id = runs.start(RunSpec("digits", {"data": "digits", "epochs": 9999}, 0, "mine"))  # ends on no machine
    again = open_page("train", run=run_id)
    again.button(key=f"stop-{run_id}").click().run()
    view = ended(run_id)
    assert view.state in ("stopped", "failed"), "stopped before the first step there is nothing to keep, which fails"
    after = open_page("train", run=run_id)
    assert not after.exception
    assert ("Stopped after" in texts(after)) == (view.state == "stopped" and view.started is not None)
    assert ("stopped before it began" in texts(after)) == (view.state == "stopped" and view.started is None)


def test_a_taken_name_is_refused_before_anything_starts(open_page: OpenPage) -> None:
    app = open_page("train")
    put_model("mine")
    app.text_input[0].set_value("mine").run()
    app.button(key="start").click().run()
    assert "already a model called mine" in app.error[0].value
    assert runs.run_ids() == []


@pytest.mark.slow
def test_four_tabs_that_show_the_same_name_train_four_models(open_page: OpenPage) -> None:
    tabs = [open_page("train", epochs="1", seed=str(k)) for k in range(4)]
    assert {tab.text_input[0].value for tab in tabs} == {"digits"}
    ids = [click_start(tab) for tab in tabs]  # processes do it in the same moment: test_model_names
    views = [ended(run_id) for run_id in ids]
    assert [view.state for view in views] == ["completed"] * 4
    own = [entry.name for entry in registry.entries() if not entry.shipped]
    assert sorted(own) == ["digits", "digits-2", "digits-3", "digits-4"]
    assert sorted(view.spec.name for view in views) == sorted(own)


def test_a_name_somebody_typed_stays_when_the_suggested_one_is_taken_meanwhile(open_page: OpenPage) -> None:
    app = open_page("train")
    app.text_input[0].set_value("my-own").run()
    put_model("digits")
    app.run()
    assert app.text_input[0].value == "my-own"
    other = open_page("train")
    assert other.text_input[0].value == "digits-2"
    put_model("digits-2")
    other.run()
    assert other.text_input[0].value == "digits-3"


@pytest.mark.parametrize("name", ["", "../up", "UPPER", "with space"])
def test_a_name_that_is_none_is_refused_with_a_sentence(open_page: OpenPage, name: str) -> None:
    app = open_page("train")
    app.text_input[0].set_value(name).run()
    app.button(key="start").click().run()
    assert "cannot be called" in app.error[0].value
    assert runs.run_ids() == []


def test_a_lost_run_is_told_in_one_sentence_and_keeps_its_curves(open_page: OpenPage) -> None:
    batch = Batch(1, 1, 45, 2.3, 0.1, 0.003, time.time())
    epoch = Epoch(1, 1.2, 0.6, 0.8, 0.8, 3.0, time.time())
    app = open_page("train", run=made_up("digits", started(), batch, epoch))
    assert not app.exception
    assert "ended without a last word" in app.error[0].value
    assert len(app.get("plotly_chart")) == 2


def test_a_failed_run_shows_its_sentence_and_never_its_traceback(open_page: OpenPage,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    message = "The loss is no longer a number after 3 steps."
    run_id = made_up("digits", started(), Failed(message, "Traceback: secret", time.time()))
    app = open_page("train", run=run_id)
    assert frame_text(app.error[0].value) == message
    assert "secret" not in texts(app)
    asked: list[str] = []
    monkeypatch.setattr(runs, "resume", asked.append)
    app.button(key=f"resume-{run_id}").click().run()
    assert asked == [run_id]


def frame_text(shown: str) -> str:
    return shown.replace("\\", "")


def test_a_run_that_does_not_exist_is_said_and_leaves_the_page_usable(open_page: OpenPage) -> None:
    app = open_page("train", run="20260101-000000-000000-dead")
    assert "not on this server" in app.info[0].value
    assert app.button(key="start")


def test_a_damaged_run_does_not_hide_the_others(open_page: OpenPage) -> None:
    whole = made_up("whole", started())
    broken = made_up("broken", started(), started())
    (runs.run_dir(broken) / "spec.json").write_text("{")
    app = open_page("train", run=whole)
    assert not app.error or "ended without" in app.error[0].value
    assert any("damaged" in warning.value for warning in app.warning)


def write_idx(folder: Path, images: np.ndarray, labels: np.ndarray, prefix: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, *images.shape) + images.tobytes())
    (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, len(labels)) + labels.tobytes())


def test_a_folder_of_idx_files_below_data_can_be_chosen(open_page: OpenPage, playground_home: Path) -> None:
    rng = np.random.default_rng(0)
    for prefix, images in (("train", 40), ("t10k", 10)):
        write_idx(
            playground_home / "data" / "mini",
            rng.integers(0, 256, (images, 12, 12), np.uint8),
            (np.arange(images) % 2).astype(np.uint8),
            prefix,
        )
    (playground_home / "data" / "linked").symlink_to(playground_home / "data" / "mini")
    app = open_page("train", data="mini", code="true")
    assert list(app.selectbox(key="data").options) == ["digits", "linked", "mini", "faces (photos)"]
    assert errors(app) == []
    assert app.selectbox(key="data").value == "mini"
    assert "Linear(128, 2)" in app.code[0].value
    assert "40 pictures to learn from" in texts(app)


def test_damaged_data_is_a_sentence_and_other_data_can_still_be_chosen(
    open_page: OpenPage, playground_home: Path
) -> None:
    folder = playground_home / "data" / "broken"
    folder.mkdir(parents=True)
    (folder / "train-images-idx3-ubyte").write_bytes(b"\x00" * 20)
    app = open_page("train", data="broken")
    assert not app.exception
    assert len(app.error) == 1
    app.selectbox(key="data").select("digits").run()
    assert errors(app) == []


def test_a_drawing_is_cut_to_its_ink_and_a_damaged_one_is_refused() -> None:
    import base64

    ink = np.zeros((drawing.SIDE, drawing.SIDE), np.uint8)
    assert drawing.decoded(base64.b64encode(ink.tobytes()).decode()) is None
    ink[10:30, 40:45] = 200
    found = drawing.decoded(base64.b64encode(ink.tobytes()).decode())
    assert found is not None
    assert np.array_equal(found, ink)
    picture = drawing.filled(found)
    assert picture.shape == (20, 20, 3)
    assert picture.sum() == 3 * ink.sum(dtype=int)
    for damaged in ("abc", "!!!!", base64.b64encode(b"short").decode()):
        with pytest.raises(PlaygroundError):
            drawing.decoded(damaged)


@pytest.mark.parametrize(("view_state", "expected"), [("starting", "starting"), ("stopping", "stopping")])
def test_what_goes_on_is_said_in_one_line(view_state: str, expected: str) -> None:
    view = runs.RunView("id", RunSpec("digits", REQUEST, 0, "x"), view_state, started=started())
    assert expected in runs_view.telling(view)


def test_a_run_that_waits_says_its_place_and_can_be_cancelled(
        open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_RUNS", "1")
    taken = queue.take("digits")
    assert taken is not None
    with taken[1]:
        app = open_page("train")
        run_id = click_start(app)
        until(lambda: runs.view(run_id).state == "queued")
        app.run()
        assert "1st in the queue" in app.get("progress")[0].proto.text
        cancel = app.button(key=f"stop-{run_id}")
        assert cancel.label == "Cancel"
        cancel.click().run()
        ended(run_id)
        app.run()
    assert errors(app) == []
    assert "It was stopped before it began" in texts(app)


def test_the_time_shown_is_the_clocks_from_the_runs_turn_to_its_file(playground_home: Path) -> None:
    began = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
    done = Finished("completed", 2, 0.9, 355, 8.0, (), began + 50)
    shown = made_up("digits", Stage("reading", 0, 1, began + 12), started(), done,
                    Exported("digits", "x", 1e-6, 3, began + 59))
    assert runs_view.took(shown) == pytest.approx(59), "not the 8 s that the epochs took"
    waited = made_up("waited", Queued(1, began + 1), Queued(0, began + 40), started(), done)
    assert runs_view.took(waited) == pytest.approx(10), "waiting for its turn is not training"
    resumed = made_up("resumed", started(), Resumed(began + 30), started(), done, Saved("x", 2, 0.0), done)
    assert runs_view.took(resumed) == pytest.approx(20)
    assert runs_view.took(made_up("lost", started())) is None


def test_nothing_is_promised_until_it_was_measured_on_this_machine(open_page: OpenPage) -> None:
    assert "on this machine" not in texts(open_page("batch-norm"))
    began = datetime(2026, 1, 1, 12, tzinfo=UTC).timestamp()
    run_id = made_up("race", started(), Finished("completed", 2, None, 0, 1.0, (), began + 95))
    request = {"experiment": "batch-norm-race", "epochs": 1, "samples": 300, "rates": [0.1]}
    runs.write_spec(runs.run_dir(run_id), RunSpec("experiment", request, 0, "race"), "cpu")
    assert "The last run like it took 1 min 35 s on this machine." in texts(open_page("batch-norm"))


def test_a_validation_loss_below_the_training_loss_is_explained(open_page: OpenPage) -> None:
    epochs = [Epoch(1, 1.4, 0.6, 0.5, 0.9, 3.0, time.time()), Epoch(2, 0.3, 0.9, 0.4, 0.9, 3.0, time.time())]
    said = texts(open_page("train", run=made_up("below", started(), *epochs)))
    assert "After 1 of 2 epochs the validation loss lies below the training loss (epoch 1: 0.5 and 1.4)" in said
    assert "dropout leaves a part of the units out" in said
    assert "lies below" not in texts(open_page("train", run=made_up("above", started(), started(), epochs[1])))


def test_where_something_is_wrong_nothing_is_said_to_be_right(open_page: OpenPage) -> None:
    guessing = [Epoch(k, 2.31, 0.12, 2.29, 0.12, 3.0, time.time()) for k in (1, 2)]
    assert "nothing is wrong" not in texts(open_page("train", run=made_up("chance", started(), *guessing)))
    leaping = Measures(1, 1, 1.0, 2.3, tuple(PartMeasures((k,), kind, 1.0, 1.0, 0.9, 0.0, 0.0) for k, kind in
                                             ((0, "conv"), (9, "dense"), (12, "dense"))), None, time.time())
    epochs = [Epoch(1, 1.4, 0.6, 0.5, 0.9, 3.0, time.time())]
    said = texts(open_page("train", run=made_up("leaping", started(), leaping, *epochs, *epochs)))
    assert "**Step too large.**" in said
    assert "nothing is wrong" not in said


def test_trying_again_does_not_hide_the_curves(open_page: OpenPage) -> None:
    epoch = Epoch(1, 1.2, 0.6, 0.8, 0.8, 3.0, time.time())
    app = open_page("train", run=made_up("again", started(), epoch, Failed("It broke.", "", time.time()),
                                         Resumed(time.time())))
    assert len(app.get("plotly_chart")) == 2


def test_a_trained_model_whose_export_was_refused_is_kept_under_another_name(
        open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    def here(folder: Path, spec: RunSpec, queued: bool = True) -> None:
        runs.write_spec(folder, spec, "cpu")
        worker.work(folder, jobs.events, signals=False)

    def refuse(*_: object) -> None:
        raise PlaygroundError("The exported file does not give the model's own answers.")

    monkeypatch.setattr(runs, "_launch", here)
    monkeypatch.setattr(numpy_fit, "BETWEEN_BATCHES_SECONDS", 0.0)  # however fast it is, its rate is told of
    put_model("taken")
    with monkeypatch.context() as broken:
        broken.setattr(export, "demand", refuse)
        run_id = runs.start(RunSpec("digits", {"data": "digits", "epochs": 1}, 0, "mine"))
    app = open_page("train", run=run_id)
    assert not app.exception
    assert "does not give the model's own answers" in app.error[0].value.replace("\\", "")
    assert len(app.get("plotly_chart")) == 4, "loss, accuracy, learning rate, and the sizes of its parts"
    field = app.text_input(key=f"finish-name-{run_id}")
    assert field.value == "mine-2", "the run holds its own name as long as it can be finished"

    monkeypatch.setattr(numpy_fit, "fit", lambda *_: pytest.fail("trained again"))
    for wish, said in (("Up/", "cannot be called"), ("taken", "already a model called taken"),
                       ("digits-example", "comes with the playground")):
        app.text_input(key=f"finish-name-{run_id}").set_value(wish).run()
        app.button(key=f"finish-{run_id}").click().run()
        assert not app.exception
        assert said in app.toast[0].value.replace("\\", "")
        assert runs.view(run_id).state == "failed"

    app.text_input(key=f"finish-name-{run_id}").set_value("kept").run()
    app.button(key=f"finish-{run_id}").click().run()
    assert errors(app) == []
    assert (runs.view(run_id).state, runs.view(run_id).spec.name) == ("completed", "kept")
    assert sorted(entry.name for entry in registry.entries() if not entry.shipped) == ["kept", "taken"]
    assert f"finish-{run_id}" not in [button.key for button in app.button]
    assert "kept under Models" in [link.proto.label.replace("\\", "") for link in app.get("page_link")]


def test_an_ended_run_says_how_far_it_came_and_shows_its_result_above_its_curves(open_page: OpenPage) -> None:
    epoch = Epoch(2, 0.1, 0.98, 0.1, 0.98, 3.0, time.time())
    app = open_page("train", run=made_up("short", started(), epoch,
                                         Finished("stopped", 2, 0.963, 355, 8.0, (), time.time()),
                                         Exported("short", "x", 1e-6, 3, time.time())))
    assert "epoch 2 of 2" in texts(app)
    assert [metric.value for metric in app.metric if metric.label == "test accuracy"] == [percent(0.963)]
    assert len(app.get("plotly_chart")) == 2, "a single epoch and no batch told of is a curve, too"
