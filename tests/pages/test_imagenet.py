"""The ImageNet page: without a network it offers one, with one it answers and judges."""


import pytest
import torch

from playground.datasets import samples
from playground.deploy.session import Classifier
from playground.numbers import count
from playground.steps.imagenet import GROUPS, group_of, members, rank
from playground.training.runs import runs
from playground.training.runs.events import Exported, Finished
from playground.training.runs.runs import RunSpec
from playground.training.transfer import backbones
from playground.training.transfer.backbone_facts import BACKBONES
from playground.ui.studio import pretrained
from playground.ui.studio.pretrained import exported_entry
from tests.pages.on_a_page import OpenPage, errors, put_model, texts

LABELS = backbones.imagenet_labels()


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
    put_model("imagenet", LABELS, BACKBONES[pretrained.BACKBONE].preprocessing(), task="pretrained")
    app = open_page("imagenet", **query)
    assert not app.exception
    assert not app.error
    entry = exported_entry()
    assert entry is not None
    app.selectbox(key="truth").set_value(f"999: {LABELS[999]}").run()
    assert any("answer number" in element.value for element in (*app.success, *app.info))
    guess = next(radio for radio in app.radio if radio.key.startswith("guess"))
    guess.set_value(guess.options[0]).run()
    assert not app.exception
    assert any("Upside down it says" in element.value for element in (*app.success, *app.info))


def test_every_photo_of_the_app_has_the_networks_five_guesses(open_page: OpenPage) -> None:
    entry = put_model("imagenet", LABELS, BACKBONES[pretrained.BACKBONE].preprocessing(), task="pretrained")
    app = open_page("imagenet")
    told = [str(element.value) for element in app.markdown if str(element.value).count("  \n") == 4]
    assert len(told) == len(samples.photo_names())
    network = Classifier(entry.onnx)
    for name, lines in zip(samples.photo_names(), told, strict=True):
        expected = [label for label, _ in network.predict([samples.photo(name)])[0].top(5)]
        assert [line.strip("*").rsplit(", ", 1)[0].replace("\\", "") for line in lines.split("  \n")] == expected


def test_what_is_said_of_the_last_layer_is_so(open_page: OpenPage) -> None:
    said = texts(open_page("imagenet"))
    last = backbones.EfficientNetLite().classifier
    known, new = (count(sum(p.numel() for p in layer.parameters()))
                  for layer in (last, torch.nn.Linear(last.in_features, 2)))
    assert f"the last layer has {known} parameters" in said
    assert f"for two classes {new} new ones" in said
    assert "transferring the knowledge" in said


@pytest.mark.parametrize("url", ["imagenet", "network", "transfer"])
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


def test_a_network_that_is_ready_as_soon_as_it_is_begun_is_shown(
        open_page: OpenPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "BY_ITSELF", True)

    def begin(spec: RunSpec) -> str:
        folder = runs.new_folder()
        runs.write_spec(folder, spec, "cpu")
        put_model("imagenet", LABELS, BACKBONES[pretrained.BACKBONE].preprocessing(), task="pretrained")
        for event in (Finished("completed", 0, None, 0, 1.0, (), 1.0), Exported("imagenet", "model.onnx", 0.0, 1, 1.0)):
            runs._append(folder, event)
        return folder.name

    monkeypatch.setattr(runs, "start_once", begin)
    app = open_page("imagenet")
    assert errors(app) == []
    assert "Five guesses each" in [header.value for header in app.header]
    assert "has to be exported" not in texts(app)
