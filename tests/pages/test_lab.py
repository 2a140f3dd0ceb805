"""The lab: it opens with all steps open, knows what was really done, and comes to a model that can be taken along."""

import pytest
from streamlit.testing.v1 import AppTest

from playground.deploy import interval
from playground.training.runs import runs
from playground.training.scratch.experiments import RECIPES
from playground.ui.studio import lab
from tests.pages.on_a_page import OpenPage, texts
from tests.waiting import ended


def badges(app: AppTest) -> list[bool]:
    """Which of the eight steps the page says are done."""
    found = [element.value for element in app.markdown if "-badge[" in element.value]
    assert len(found) == len(lab.STEPS)
    return [value.startswith(":green") for value in found]


def test_it_opens_with_everything_still_to_do(open_page: OpenPage) -> None:
    app = open_page("lab")
    assert not app.exception
    assert not app.error
    assert badges(app) == [False] * 8
    assert not runs.run_ids()


@pytest.mark.slow
def test_all_steps_are_done_one_after_the_other(open_page: OpenPage) -> None:
    app = open_page("lab", epochs="3")
    next(radio for radio in app.radio if radio.key.startswith("lab-look")).set_value("50 %").run()
    assert badges(app)[0]
    assert "of that class" in app.success[0].value
    for k in range(len(RECIPES)):
        app.button(key=f"go-lab-{k}").click().run()
        assert not app.exception
    app.button(key="go-lab-faces").click().run()
    for run_id in runs.run_ids():
        ended(run_id)
    app.run()
    assert not app.exception
    assert [runs.view(run_id).state for run_id in runs.run_ids()] == ["completed"] * 4
    assert badges(app) == [True] * 7 + [False], "only a photo of one's own is missing"
    said = texts(app)
    assert "published results on **other photos**" in said
    assert "onnxruntime gives PyTorch's answers from this file" in said
    again = open_page("lab", epochs="3")
    assert badges(again)[1:7] == [True] * 6, "what was trained is there for the next reader"


@pytest.mark.parametrize(("few", "many"), [
    ((0.8, 200), (0.88, 200)), ((0.8, 20), (0.88, 20)), ((0.9, 200), (0.7, 200)),
])
def test_one_measure_says_what_may_be_chance(few: tuple[float, int], many: tuple[float, int]) -> None:
    said = interval.compared(*many, *few)
    assert lab.story({"small CNN": few, lab.TRANSFER: many}, 0.5)[-1] == f"transfer learning against small CNN: {said}."
    learnt = lab.learnt(many, few)
    assert said in learnt
    assert ("by heart" in learnt) == said.endswith("more than chance") * (many > few)


@pytest.mark.parametrize("photos", ["Your zip"])
def test_without_photos_every_step_says_what_is_missing(open_page: OpenPage, photos: str) -> None:
    app = open_page("lab", photos=photos)
    assert not app.exception
    assert not app.error
    assert badges(app) == [False] * 8
    assert sum("First choose photos above" in info.value for info in app.info) == 4
