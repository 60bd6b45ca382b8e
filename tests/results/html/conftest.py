"""The browser that the tests of the page share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.results.html.browser import Browser, chromium

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def browser(driver: Chrome, tmp_path: Path) -> Iterator[Browser]:
    """The browser. A page that complains or asks for anything but itself fails its test."""
    browser = Browser(driver, tmp_path)
    browser.complaints()
    browser.requests()
    yield browser
    assert browser.complaints() == []
    assert {url.partition(":")[0] for url in browser.requests()} <= {"file", "data"}
