"""Everybody can use every page: the pages between those of test_everyone_browser, for another process of the suite."""

import pytest
from playwright.sync_api import BrowserContext

from playground.ui import contents
from tests.browser.test_everyone_browser import shuts_nobody_out, tall

__all__ = ["tall"]


@pytest.mark.parametrize("chapter", contents.CHAPTERS[1::2], ids=lambda c: c.url)
def test_no_page_shuts_anybody_out(chapter: contents.Chapter, tall: BrowserContext, app_url: str) -> None:
    shuts_nobody_out(chapter, tall, app_url)
