"""From events to what a browser shows of them: whatever a run left, its page is drawn without complaint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.results.html.generated import failed_outcome, run_ended, run_started
from tests.results.html.reading import document_of

from iotsim import events as e

if TYPE_CHECKING:
    from tests.results.html.browser import Browser

pytestmark = pytest.mark.needs("chromium", "chromedriver")

PEER = "10.77.0.1:9"
READ = {"kind": "READ", "seq": 1}
REPORT = {"kind": "REPORT", "seq": 1, "value": 20.399999618530273, "status": {"alarm": False}}
ONE = {"device": "meter[0]", "peer": PEER, "protocol": "sensornet"}

UNMATCHED = e.Unmatched(
    fleet="meter", protocol="sensornet", kind="kind=SET", count=1, t=0.5, device="meter[0]"
)
OF_EACH_KIND: list[e.Event] = [
    run_started(),
    e.LinkUp(0.0, "tun", "iotsim0", ["10.77.0.1/16"], 1500),
    e.GatewayStarted(0.1, 42, ["./gateway", "--poll"]),
    e.GatewayReady(0.2, "started"),
    e.GatewayOutput(0.2, "ready"),
    e.Received(0.3, id=1, message=READ, **ONE),
    e.Sent(0.31, id=2, message=REPORT, in_reply_to=1, **ONE),
    e.Received(0.4, id=3, message=READ, impaired="radio", fate="lost", **ONE),
    e.Impaired(0.41, "meter[0]", "radio", "lost", 0.01, 3),
    e.Undecodable(0.5, id=4, reason="magic: not SN", path="magic", offset=0, data="5858", **ONE),
    e.Undecodable(0.5, id=5, reason="cut", path="", offset=None, data="53", sent=True, **ONE),
    e.NoRule(0.5, UNMATCHED),
    e.NotSent(0.6, "meter[0]", "no peer", 3, "radio", REPORT),
    e.PacketDropped(0.6, "no such host", "4500"),
    e.DeviceFailed(0.7, "meter[1]", "ZeroDivisionError", "Traceback …"),
    e.SessionFailed(0.7, "meter[2]", "sensornet", "KeyError", "Traceback …", "534e"),
    e.DeviceRebooted(0.8, "meter[3]"),
    e.FaultChanged(0.8, "flood", "offline", "meter[3:6]", True),
    e.GatewayPaused(0.9),
    e.GatewayResumed(1.0),
    e.StepDone(1.0, "the cloud goes down"),
    e.CommandDone(1.0, {"do": "note"}),
    e.Northbound(1.1, 6, "cloud", {"method": "POST", "path": "/v1", "status": 200, "json": {"value": 1}}),
    e.Northbound(1.1, 7, "cloud", {"topic": "a/b", "payload": "1", "qos": 1}),
    e.SimulatorLag(1.2, 0.012, "the link"),
    e.Note(1.2, "a note"),
    e.ExpectationDecided(1.3, failed_outcome(1.3, "meter[0]", "meter[1]")),
    e.GatewayExited(1.4, None, "SIGSEGV", True),
    run_ended(1.5),
]  # fmt: skip


def test_one_event_of_each_kind_is_drawn(browser: Browser) -> None:
    kinds = {type(event) for event in OF_EACH_KIND}
    assert kinds == set(e.Event.__subclasses__())
    from selenium.webdriver import ActionChains, Keys

    browser.open(document_of(OF_EACH_KIND))
    browser.all("#messages input[type=checkbox]")[-1].click()
    shown = " ".join(browser.texts("#messages .list-row"))
    for words in (
        "READ",
        "lost",
        "magic: not SN",
        "not sent",
        "device failed",
        "session failed",
        "flood",
    ):
        assert words in shown
    browser.until(lambda: "ready" in browser.texts("#messages .output .note"))
    browser.run("document.querySelector('#messages .list').focus()")
    titles = set()
    for _ in range(len(OF_EACH_KIND)):
        ActionChains(browser.driver).send_keys(Keys.ARROW_DOWN).perform()
        titles.update(browser.texts("#messages .detail h4"))
    assert {"READ", "REPORT", "Gateway output", "Northbound: cloud", "gateway exited"} <= titles


@pytest.mark.parametrize("left", range(1, len(OF_EACH_KIND)))
def test_a_run_that_was_cut_off_anywhere_is_drawn(browser: Browser, left: int) -> None:
    browser.open(document_of(OF_EACH_KIND[:left]))
    assert "Did not end" in browser.one(".verdict").text
    assert "could not be drawn" not in browser.one("main").text


@pytest.mark.parametrize(
    "fleets",
    [
        {},
        {"meter": {"count": 0}},
        {"a": {"count": 1}, "b": {"count": 25_000}},
        {f"f{at}": {"count": 2} for at in range(2000)},
    ],
)
def test_fleets_of_any_size_have_a_map(browser: Browser, fleets: dict[str, dict[str, int]]) -> None:
    browser.open(document_of([run_started(fleets=fleets), run_ended(1.5)]))
    assert browser.one("#devices h2").is_displayed()
    assert "could not be drawn" not in browser.one("main").text
