"""Takes the pictures of docs/report.md: ``python -m tests.results.html.pictures``.

They are of real runs, which need a TUN, and of a long one that is made up. Chromium has to be installed.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from selenium.webdriver import ActionChains
from tests.results.html.browser import Browser, chromium

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement

REPOSITORY = Path(__file__).parents[3]
PAGE = REPOSITORY / "docs/report.md"
IMAGES = REPOSITORY / "docs/images"
WIDTH, HEIGHT = 1200, 720
A4 = (794, 640)  # its upper part


def iotsim(*words: str, folder: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "iotsim", *words], cwd=folder, check=False, stdout=subprocess.DEVNULL
    )


def run_of_the_page(folder: Path) -> Path:
    """The report of the scenario that stands in the page."""
    found = re.search(
        r'```toml title="scenarios/cellar.toml"\n(.*?)```', PAGE.read_text(), re.DOTALL
    )
    assert found is not None
    (folder / "scenarios").mkdir()
    (folder / "scenarios/cellar.toml").write_text(found[1])
    shutil.copytree(REPOSITORY / "tests/gateways", folder / "tests/gateways")
    iotsim("run", "scenarios/cellar.toml", "--out", "cellar", folder=folder)
    return folder / "cellar/report.html"


def passed_run(folder: Path) -> Path:
    iotsim(
        "run",
        "scenarios/faults/gateway_restart.toml",
        "--seed",
        "7",
        "--out",
        str(folder / "passed"),
        folder=REPOSITORY,
    )
    return folder / "passed/report.html"


def long_run(folder: Path) -> Path:
    (folder / "long").mkdir()
    with (folder / "long/events.jsonl").open("wb") as file:
        words = [sys.executable, "-m", "tests.results.html.generated", "1000000", "10000"]
        subprocess.run(words, cwd=REPOSITORY, check=True, stdout=file)
    iotsim("report", "long", "report", folder=folder)
    return folder / "long/report.html"


def take(browser: Browser, name: str) -> None:
    shot = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    (IMAGES / f"report-{name}.png").write_bytes(base64.b64decode(shot["data"]))


def show(browser: Browser, element: WebElement) -> None:
    browser.run("arguments[0].scrollIntoView()", element)
    browser.run("return new Promise(requestAnimationFrame)")


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, chromium(Path(name) / "profile") as driver:
        folder = Path(name)
        browser = Browser(driver, folder)
        failed, passed, long = run_of_the_page(folder), passed_run(folder), long_run(folder)

        browser.open_file(failed, width=WIDTH, height=HEIGHT)
        take(browser, "failed")

        figure = next(f for f in browser.all(".failure") if "meter[0]" in f.text.splitlines()[1])
        show(browser, figure)
        rows = figure.find_elements("css selector", ".sequence .list-row")
        next(row for row in rows if "REPORT" in row.text).click()
        fields = figure.find_elements("css selector", ".field")
        next(field for field in fields if field.text.startswith("value")).click()
        browser.resize(WIDTH, 590)
        show(browser, figure)
        take(browser, "messages")
        browser.resize(WIDTH, HEIGHT)

        show(browser, browser.one("#timeline"))
        ActionChains(driver).move_to_element_with_offset(browser.one(".surface"), 120, 0).perform()
        take(browser, "timeline")

        browser.open_file(passed, width=WIDTH, height=HEIGHT)
        take(browser, "passed")
        browser.open_file(passed, theme="dark", width=WIDTH, height=HEIGHT)
        show(browser, browser.one("#messages"))
        browser.all("#messages .sequence .list-row")[4].click()
        browser.all("#messages .field")[4].click()
        browser.resize(WIDTH, 640)
        show(browser, browser.one("#messages"))
        take(browser, "dark")

        browser.open_file(long, width=WIDTH, height=HEIGHT)
        show(browser, browser.one("#devices"))
        take(browser, "large")

        browser.open_file(failed, width=A4[0], height=A4[1])
        browser.emulate("print", "light")
        browser.run("document.body.style.margin = '10mm'; scrollTo(0, 0)")
        take(browser, "print")


if __name__ == "__main__":
    main()
