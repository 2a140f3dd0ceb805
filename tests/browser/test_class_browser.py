"""A class in two browsers: a name, an answer counted and revealed, a tour followed and left, and everything deleted."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from bench.served import served
from tests.browser.conftest import HOPE, settled


@pytest.fixture(scope="module")
def the_class(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """The address of a server for a class, the teacher's link on it, and its home."""
    place = tmp_path_factory.mktemp("class")
    with served(place, ("--class",)) as url:
        link = re.search(r"/teach/[0-9a-f]+", (place / "server.log").read_text())
        assert link is not None
        yield str(url), f"{url}{link[0]}", place


def news(page: Page) -> None:
    """Have the page ask for news at once, as it does when its tab is looked at again.

    A page that has heard by itself may be on its way to another address: the event waits for it.
    """
    page.locator("html").dispatch_event("visibilitychange")


def at_the_foot(page: Page, said: Locator) -> bool:
    """Whether something is painted at the foot of the window: what it is in may neither hold nor clip it."""
    box, size = said.bounding_box(), page.viewport_size
    assert box is not None
    assert size is not None
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    on_top = page.evaluate("""([x, y]) => {
        let found = document.elementFromPoint(x, y);
        while (found?.shadowRoot) found = found.shadowRoot.elementFromPoint(x, y);
        return found?.textContent;
    }""", middle)
    return size["height"] - 40 < box["y"] + box["height"] <= size["height"] and on_top == said.text_content()


def test_a_name_an_answer_a_tour_and_a_goodbye(browser: Browser, the_class: tuple[str, str, Path]) -> None:
    url, teachers_link, place = the_class
    contexts = [browser.new_context(viewport={"width": 1280, "height": 1000}) for _ in range(2)]
    for context in contexts:
        context.set_default_timeout(HOPE)
    teacher, student = (context.new_page() for context in contexts)
    problems: list[str] = []
    for page in (teacher, student):
        page.on("pageerror", lambda error: problems.append(str(error)))

    student.goto(f"{url}/class")
    student.get_by_role("textbox", name="What do you want to be called?").fill("Ada")
    student.keyboard.press("Enter")
    settled(student)
    expect(student.get_by_text("Who is here", exact=True)).to_have_count(0)
    teacher.goto(teachers_link)
    teacher.get_by_role("button", name="Yes, open it").click()
    teacher.wait_for_url("**/class**")
    teacher.get_by_role("heading", name="Who is here").wait_for()
    teacher.get_by_text("Readers", exact=True).click()
    teacher.get_by_text(re.compile(r"^Ada: ")).wait_for()

    student.goto(f"{url}/pooling")
    question = student.locator(".st-key-predict")
    question.locator("label").nth(1).click()
    question.get_by_text(re.compile("^(Yes|Not)")).wait_for()
    teacher.get_by_text("Answers", exact=True).click()
    teacher.get_by_role("button", name="Reveal to the class").click()
    teacher.get_by_text("the class sees this").wait_for()
    news(student)
    question.get_by_text("The class: 1 answer").wait_for()

    teacher.goto(f"{url}/loss")
    teacher.get_by_role("button", name="Bring the class here").click()
    teacher.get_by_text("The class follows you").wait_for()
    news(student)
    student.wait_for_url("**/loss**")
    student.get_by_role("button", name="Leave the tour").click()
    student.get_by_text("You left it").wait_for()
    teacher.goto(f"{url}/pooling?stride=3")
    settled(teacher)
    teacher.get_by_role("button", name="Bring the class here").click()
    teacher.get_by_text("it is at “Max pooling”").wait_for()
    news(student)
    student.get_by_text("at “Max pooling”. You left it").wait_for()
    assert "/loss" in student.url
    student.get_by_role("button", name="Rejoin").click()
    student.wait_for_url("**/pooling?stride=3**")
    expect(student.locator(".st-key-stride input")).to_have_value("3")
    teacher.goto(url)
    settled(teacher)
    teacher.get_by_role("button", name="Bring the class here").click()
    teacher.get_by_text("it is at “CNN Playground”").wait_for()
    news(student)
    student.get_by_text("Your teacher leads: this is where the class is").wait_for()
    student.wait_for_url(f"{url}/")
    settled(student)
    expect(student.get_by_role("dialog")).to_have_count(0)
    teacher.get_by_role("button", name="End the tour").click()
    news(student)
    expect(student.get_by_text("Your teacher leads")).to_have_count(0)

    away = student.get_by_text("The server is away")
    student.route("**/api/class", lambda route: route.abort())
    news(student)
    news(student)
    expect(away).to_be_visible()
    assert at_the_foot(student, away)
    student.unroute("**/api/class")
    news(student)
    expect(away).to_be_hidden()

    refused = {"at": 1, "sentence": "Your pages hold as many files as they may."}
    student.route("**/api/class", lambda route: route.fulfill(json={"tour": None, "changed": {}, "refused": refused}))
    news(student)
    alert = student.get_by_role("alert").filter(has_text="hold as many files")
    expect(alert).to_be_visible()
    assert at_the_foot(student, alert)
    student.unroute("**/api/class")

    student.goto(f"{url}/class")
    student.get_by_role("button", name="Delete everything of mine…").click()
    student.get_by_role("button", name="Yes, delete everything").click()
    student.get_by_text("Everything of yours was deleted").wait_for()
    expect(student.get_by_role("textbox", name="What do you want to be called?")).to_have_value("")
    assert not [path for path in (place / ".class").rglob("*.json") if '"Ada"' in path.read_text()]
    assert list((place / ".class").rglob("answers.json")) == []
    assert problems == []
    log = (place / "server.log").read_text()
    assert "part failed" not in log
    assert "Traceback" not in log
    for context in contexts:
        context.close()
