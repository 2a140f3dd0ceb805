"""The ImageNet page: without a network it offers one, with one it answers, judges, and its code agrees."""

from pathlib import Path

import pytest
from PIL import Image

from playground.datasets import samples
from playground.steps.imagenet import GROUPS, group_of, members, rank
from playground.training import runs
from playground.training.runs import RunSpec
from playground.ui import imagenet, pretrained
from playground.ui.pretrained import on_the_shelf
from tests.pages.on_a_page import OpenPage, errors, printed, put_model, texts

LABELS = tuple((Path(imagenet.__file__).parents[1] / "training" / "imagenet_classes.txt").read_text().splitlines())


def test_the_groups_are_all_thousand_classes_once() -> None:
    everything = [int(k) for name in GROUPS for k in members(name)]
    assert sorted(everything) == list(range(1000))
    assert {LABELS[k]: group_of(k) for k in (0, 207, 285, 950, 999)} == {
        "tench": "fish", "golden retriever": "dogs", "Egyptian cat": "cats, tame and wild", "orange": "food and fruit",
        LABELS[999]: "things"}


def test_equal_answers_are_ranked_in_class_order() -> None:
    assert [rank([0.5, 0.5, 0.0], k) for k in range(3)] == [1, 2, 3]


def test_without_a_network_the_page_offers_to_get_one_ready(open_page: OpenPage) -> None:
    app = open_page("imagenet")
    assert not app.exception
    assert not app.error
    assert app.button(key="go-imagenet").label == "Get the network ready"
    assert not runs.run_ids(), "nothing is started where it is not to be"
    assert "Published results, not measured here" in texts(app)


@pytest.mark.parametrize("query", [{}, {"turn": "180", "part": "10", "blur": "10.0", "gray": "true"},
                                   {"picture": "Handwritten digit"}], ids=["default", "hardest", "a digit"])
def test_with_one_it_answers_and_the_reader_can_judge(open_page: OpenPage, query: dict[str, str]) -> None:
    put_model("imagenet", LABELS, task="pretrained")
    app = open_page("imagenet", **query)
    assert not app.exception
    assert not app.error
    entry = on_the_shelf()
    assert entry is not None
    app.selectbox(key="truth").set_value(f"999: {LABELS[999]}").run()
    assert any("answer number" in element.value for element in (*app.success, *app.info))
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value(guess.options[0]).run()
    assert not app.exception
    assert any("Upside down it says" in element.value for element in (*app.success, *app.info))


def test_onnxruntime_and_the_engine_print_the_same_five(
    playground_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = put_model("imagenet", LABELS, task="pretrained")
    (tmp_path / "imagenet.onnx").write_bytes(entry.onnx.read_bytes())
    Image.fromarray(samples.photo("cat")).save(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    assert printed(imagenet.CODE["onnxruntime"]) == printed(imagenet.CODE["Our engine"])
    assert printed(imagenet.CODE["PyTorch"]).strip() == "4652008 (1, 1000)"
    compile(imagenet.CODE["Keras"], "keras", "exec")


@pytest.mark.parametrize("url", ["imagenet", "feature-maps", "transfer"])
def test_the_network_gets_ready_by_itself_once_for_everybody(url: str, open_page: OpenPage,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "BY_ITSELF", True)
    begun: list[RunSpec] = []

    def begin(spec: RunSpec) -> str:
        begun.append(spec)
        folder = runs.new_folder()
        runs.write_spec(folder, spec, "cpu")
        return folder.name

    monkeypatch.setattr(runs, "start_once", begin)
    monkeypatch.setattr(runs, "is_alive", lambda folder: True)
    for _ in range(3):
        app = open_page(url)
        assert errors(app) == []
        assert app.get("progress")
    assert [spec.kind for spec in begun] == ["pretrained"]
    monkeypatch.setattr(runs, "is_alive", lambda folder: False)
    app = open_page(url)
    assert len(begun) == 1, "what failed is not begun again and again"
    assert [button.label for button in app.button if "resume" in str(button.key)] == ["Go on"]
