"""The Augmentation page: it opens, draws what the pipeline says, answers by counting, compares, and its code runs."""

import pytest

from playground.training.runs import runs
from playground.ui.lessons import augmentation
from tests.pages.on_a_page import OpenPage, printed, texts
from tests.waiting import ended


@pytest.mark.parametrize("query", [
    {}, {"steps": "noise", "noise": "0"}, {"mix": "mixup", "picture": "Handwritten digit"},
    {"mix": "cutmix", "alpha": "0.1"}, {"steps": ",".join(augmentation.KNOBS), "rotate": "180", "erase": "0.9"},
], ids=["default", "nothing", "mixup of digits", "cutmix", "everything"])
def test_it_opens_with_any_pipeline(open_page: OpenPage, query: dict[str, str]) -> None:
    app = open_page("augmentation", **query)
    assert not app.exception
    assert not app.error
    said = texts(app)
    assert ("Two pictures, one label" in said) == ("mix" in query)
    if query.get("steps") == "noise":
        assert "0 gray levels away" in said


@pytest.mark.parametrize("reach", [0, 8])
def test_the_question_is_answered_by_counting(open_page: OpenPage, reach: int) -> None:
    app = open_page("augmentation", reach=str(reach))
    app.radio(key=f"guess-{reach}").set_value(2 * (2 * reach + 1) ** 2).run()
    assert app.success[0].value.startswith("Yes")


@pytest.mark.slow
def test_both_networks_are_trained_once_with_the_pipeline_of_the_page(open_page: OpenPage) -> None:
    query = {"epochs": "10", "samples": "60", "trial": augmentation.OWN, "steps": "rotate", "rotate": "20"}
    app = open_page("augmentation", **query)
    app.button(key="go-augmentation").click().run()
    assert not app.exception
    (run_id,) = runs.run_ids()
    assert runs.view(run_id).spec.request["augment"] == {"rotate": 20.0}
    ended(run_id)
    app.run()
    assert not app.exception
    assert "95\u202f% interval" in app.success[0].value


@pytest.mark.parametrize(("plain", "augmented", "learnt", "ends"), [
    (320, 345, 0.9, "This pipeline helped."), (345, 320, 1.0, "did harm: it changes what matters, or too much."),
    (324, 300, 0.86, "give it more epochs, or a pipeline that changes less."), (345, 347, 1.0, "it can be chance."),
    (355, 355, 1.0, "no difference (95\u202f% interval: −1.1 to 1.1)."),
])
def test_what_is_said_follows_from_what_was_measured(plain: int, augmented: int, learnt: float, ends: str) -> None:
    assert augmentation.told({"as they are": (plain, 355), "augmented": (augmented, 355)}, learnt).endswith(ends)


def test_why_more_data_and_over_what_the_mean_is_taken(open_page: OpenPage) -> None:
    app = open_page("augmentation", mix="cutmix")
    assert "Classification is hard" in texts(app)
    formulas = " ".join(latex.value for latex in app.latex)
    assert r"\mathbb{E}" in formulas, "the expectation over T"
    assert r"\tilde y" in formulas, "cutmix mixes labels, too"
    assert "the loss asks for both names, each with its share of the pixels" in texts(app)


def test_the_code_on_the_page_runs_in_all_three_and_agrees(keras_on_torch: None) -> None:
    (said,) = {printed(code) for code in augmentation.CODE.values()}
    assert said.startswith("[[3.0, 2.0, 1.0, 0.0], ")
    for arguments in ("mirror=0.5, rotate=15", ""):
        assert printed(augmentation.PIPELINE.format(arguments=arguments)).strip() == "(300, 451, 3) uint8"
