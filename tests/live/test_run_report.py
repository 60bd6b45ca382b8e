"""The page of a real run, in a browser: what its gateway said, with the bytes that went over the link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.results.html.browser import Browser, chromium

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import CommandLine

pytestmark = pytest.mark.needs("tun", "chromium", "chromedriver")

POLL_TWO = """
command = ["python3", "poller.py", "10.77.1.1", "10.77.1.2"]
cwd = "."
"""


def test_the_page_of_a_run_that_failed(iotsim: CommandLine, tmp_path: Path) -> None:
    done = iotsim("run", iotsim.meters(gateway=POLL_TWO), "--out", iotsim.out)
    assert done.status == 1, done.text
    with chromium(tmp_path / "profile") as driver:
        browser = Browser(driver, tmp_path)
        browser.open_file(iotsim.out / "report.html")
        assert "Failed" in browser.one(".verdict").text
        assert "meter[2]" in browser.one(".expectation .nearest").text
        assert browser.texts("#failures .failure h3 .who") == ["meter[2]"]

        rows = browser.all("#messages .sequence .list-row")
        asked = next(row for row in rows if "READ" in row.text)
        asked.click()
        detail = browser.one("#messages .detail")
        assert "received by meter[0] from 10.77.0.1:" in detail.text
        assert "15 bytes, from the capture" in detail.text
        fields = detail.find_elements("css selector", ".field")
        next(field for field in fields if field.text.startswith("kind")).click()
        assert browser.texts("#messages .dump-bytes .lit") == ["01"]
        assert "answer 10.77.1.2 kind 2" in browser.texts("#output .of-gateway .text")
        assert browser.complaints() == []
