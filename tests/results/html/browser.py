"""A browser that opens pages from files, and what is asked of it."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from iotsim.results.html.page import render_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

WIDTH, HEIGHT = 1320, 900
SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # which does not run as root
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--disable-lcd-text",  # whose colors make pictures large
    "--force-device-scale-factor=1",
)
SHIFTED = """
const done = arguments[arguments.length - 1];
let sum = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) sum += entry.value;
}).observe({ type: "layout-shift", buffered: true });
requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(() => done(sum))));
"""


class Browser:
    """Chromium, with one page at a time."""

    def __init__(self, driver: Chrome, folder: Path) -> None:
        self.driver = driver
        self.folder = folder

    def open(self, document: dict[str, Any], *, theme: str = "light", width: int = WIDTH) -> None:
        path = self.folder / "report.html"
        path.write_bytes(render_page(document))
        self.open_file(path, theme=theme, width=width)

    def open_file(
        self, path: Path, *, theme: str = "light", width: int = WIDTH, height: int = HEIGHT
    ) -> None:
        self.emulate("", theme)
        self.resize(width, height)
        self.driver.get(path.as_uri())

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def emulate(self, media: str, theme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": media, "features": features}
        )

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements("css selector", selector)

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element("css selector", selector)

    def texts(self, selector: str) -> list[str]:
        """The texts of what is there, also where it is not in sight."""
        texts: list[str] = self.run(
            "return [...document.querySelectorAll(arguments[0])].map((node) => node.textContent.trim())",
            selector,
        )
        return texts

    def until(self, condition: Callable[[], Any]) -> Any:
        """What `condition` gives once it gives something; AssertionError after a long while."""
        from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(
            self.driver, 20, 0.02, ignored_exceptions=[StaleElementReferenceException]
        )
        try:
            return wait.until(lambda _: condition())
        except TimeoutException:
            raise AssertionError("what the test waits for did not come") from None

    def shifted(self) -> float:
        """How much what is in sight has moved by itself since the page was opened."""
        return float(self.driver.execute_async_script(SHIFTED))

    def complaints(self) -> list[str]:
        """What the page wrote to its console since this was last asked."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        """The addresses that the page asked for since this was last asked."""
        messages = [json.loads(e["message"])["message"] for e in self.driver.get_log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]


@contextmanager
def chromium(profile: Path) -> Iterator[Chrome]:
    """Chromium without a window, which keeps what it keeps in `profile`."""
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for switch in (*SWITCHES, f"--user-data-dir={profile}"):
        options.add_argument(switch)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with Chrome(options, ChromeService(shutil.which("chromedriver"))) as driver:
        driver.set_script_timeout(60)
        driver.get("about:blank")
        yield driver
