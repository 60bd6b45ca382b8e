"""The page in a browser: what a reader sees first, finds, chooses and prints."""

from __future__ import annotations

import base64
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.results.html import documents

if TYPE_CHECKING:
    from selenium.webdriver.remote.webelement import WebElement
    from tests.results.html.browser import Browser

pytestmark = pytest.mark.needs("chromium", "chromedriver")

MESSAGES = "#messages .sequence .list-row"
INTERACTIVE_S = 2.0
CONTRAST = 4.5  # of WCAG 2.1, 1.4.3 (AA)


def keys(browser: Browser, *pressed: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser.driver).send_keys(*pressed).perform()


def pick(select: WebElement, value: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(select).select_by_value(value)


def found(browser: Browser, words: str) -> None:
    """Waits until the messages' count is as told."""
    browser.until(lambda: browser.one("#messages .found").text == words)


def is_in_sight(browser: Browser, element: WebElement) -> bool:
    script = """
      const box = arguments[0].getBoundingClientRect();
      return box.top >= 0 && box.bottom <= innerHeight && box.height > 0;
    """
    return bool(browser.run(script, element))


# ------------------------------------------------------------------------------- what comes first


def test_the_verdict_and_what_was_expected_and_missed_are_seen_first(browser: Browser) -> None:
    browser.open(documents.failed())
    assert browser.one("h1").text == "A cellar full of meters"
    first = browser.one(".expectation")
    for element in (
        browser.one(".verdict"),
        first,
        first.find_element("css selector", ".expected"),
        first.find_element("css selector", ".nearest"),
    ):
        assert is_in_sight(browser, element)
    assert browser.run("return scrollY") == 0


def test_nothing_moves_while_the_page_is_drawn(browser: Browser) -> None:
    for document in (documents.failed(), documents.passed(), documents.large(10_000, 10_000)):
        browser.open(document)
        assert browser.shifted() < 0.001


def test_it_is_usable_within_two_seconds_with_as_much_as_it_holds(browser: Browser) -> None:
    document = documents.large()
    took = []
    for _ in range(3):  # the machine may be busy with something else
        browser.open(document)
        assert (
            int(browser.run("return document.querySelectorAll(arguments[0]).length", MESSAGES)) > 10
        )
        took.append(
            browser.run("return performance.getEntriesByType('navigation')[0].domInteractive")
        )
    assert min(took) < 1000 * INTERACTIVE_S


def test_a_run_that_left_next_to_nothing_has_a_page(browser: Browser) -> None:
    browser.open(documents.killed())
    assert "Did not end" in browser.one(".verdict").text
    assert not browser.all("#failures")


# ------------------------------------------------------------------------------------- messages


def test_each_failure_has_the_messages_around_it(browser: Browser) -> None:
    browser.open(documents.failed())
    titles = browser.texts("#failures .failure h3")
    assert "lamps are told to identify themselveslamp[2]" in titles
    (figure,) = [f for f in browser.all(".failure") if f.text.splitlines()[1] == "lamp[2]"]
    rows = [row.text for row in figure.find_elements("css selector", ".list-row")]
    assert sum("READ" in row for row in rows) == sum("REPORT" in row for row in rows) + 1
    assert any("8 of 8 did not" in row for row in rows)
    assert any("undecodable" in row and "magic" in row for row in rows)
    assert any("POST /readings" in row for row in rows)


def test_devices_that_failed_in_another_way_are_folded_away(browser: Browser) -> None:
    browser.open(documents.failed())
    (folded,) = browser.all("#failures details")
    assert folded.find_element("css selector", "summary").text.endswith("also lamp[0]")
    assert not folded.find_elements("css selector", ".list-row")
    folded.find_element("css selector", "summary").click()
    browser.until(lambda: folded.find_elements("css selector", ".list-row"))
    assert "lamp[0]" in folded.find_element("css selector", ".lane-names").text


def test_a_message_shows_its_fields_and_each_field_its_bytes(browser: Browser) -> None:
    browser.open(documents.failed())
    (row, *_) = [row for row in browser.all(MESSAGES) if "REPORT" in row.text]
    row.click()
    detail = browser.one("#messages .detail")
    assert detail.find_element("css selector", "h4").text == "REPORT"
    fields = {
        field.find_element("css selector", ".field-name").text: field
        for field in detail.find_elements("css selector", ".field")
    }
    assert list(fields) == [
        "magic", "version", "kind", "device", "seq", "value", "status.quality", "status.alarm", "crc",
    ]  # fmt: skip
    lit = "#messages .dump-bytes .byte.lit"
    fields["magic"].click()
    assert browser.texts(lit) == ["53", "4e"]
    assert "bytes 0 to 1" in browser.one("#messages .field-told").text
    fields["status.alarm"].click()
    assert browser.texts(lit) == ["a0"]
    assert "bit 4 of byte 14" in browser.one("#messages .field-told").text
    browser.all("#messages .dump-bytes .byte")[11].click()
    assert "value = 20.5" in browser.one("#messages .field-told").text
    assert browser.texts(lit) == ["41", "a4", "00", "00"]


def test_request_and_answer_lead_to_each_other(browser: Browser) -> None:
    browser.open(documents.failed())
    (row, *_) = [row for row in browser.all(MESSAGES) if "READ" in row.text]
    row.click()
    pair = browser.one("#messages .pair")
    assert pair.text.startswith("answered by REPORT after ")
    assert "REPORT" in browser.one("#messages .paired").text
    pair.click()
    assert "REPORT" in browser.one(f"{MESSAGES}[aria-selected=true]").text
    assert browser.one("#messages .pair").text.startswith("answers READ, ")


def test_search_and_filters_narrow_what_is_shown(browser: Browser) -> None:
    document = documents.failed()
    total = document["messages"]["count"]
    browser.open(document)
    found(browser, f"{total:,} messages".replace(",", "\u202f"))
    search = browser.one("#search")
    search.send_keys("report seq=3 meter[7]")
    found(browser, f"1 of {total:,} messages".replace(",", "\u202f"))
    search.clear()
    search.send_keys("seq=3x")
    found(browser, f"0 of {total:,} messages".replace(",", "\u202f"))
    assert browser.one("#messages .empty").is_displayed()
    browser.one("#messages button[type=reset]").click()
    found(browser, f"{total:,} messages".replace(",", "\u202f"))
    browser.one("#device").send_keys("lamp[2:4]")
    browser.until(
        lambda: (
            browser.texts("#messages .lane-names span")
            == ["cloud", "gateway", "lamp[2]", "lamp[3]"]
        )
    )
    pick(browser.one("#only"), "wrong")
    found(browser, f"1 of {total:,} messages".replace(",", "\u202f"))
    pick(browser.one("#only"), "all")
    browser.one("#from").send_keys("2")
    browser.one("#to").send_keys("3")
    browser.until(
        lambda: all(
            2 <= float(t.replace("\u202f", "")) <= 3 for t in browser.texts("#messages .moment")
        )
    )
    assert "From 2 s to 3 s" in browser.one(".range-told").text


def test_the_keyboard_is_enough(browser: Browser) -> None:
    from selenium.webdriver import Keys

    browser.open(documents.failed())
    keys(browser, "/")
    assert browser.run("return document.activeElement.id") == "search"
    keys(browser, "kind=read")
    browser.until(lambda: "READ" in browser.texts(MESSAGES)[0])
    browser.run("document.querySelector('#messages .list').focus()")
    keys(browser, Keys.ARROW_DOWN, Keys.ARROW_DOWN)
    chosen = browser.one(f"{MESSAGES}[aria-selected=true]")
    assert browser.one("#messages .list").get_attribute(
        "aria-activedescendant"
    ) == chosen.get_attribute("id")
    assert chosen.get_attribute("aria-posinset") == "2"
    keys(browser, Keys.END)
    last = browser.one(f"{MESSAGES}[aria-selected=true]")
    assert last.get_attribute("aria-posinset") == last.get_attribute("aria-setsize")
    keys(browser, Keys.HOME, Keys.ARROW_DOWN, Keys.ARROW_UP)
    assert browser.one("#messages .detail h4").text == "READ"
    browser.run("document.querySelector('#messages .detail .list').focus()")
    keys(browser, Keys.ARROW_DOWN)
    assert browser.texts("#messages .dump-bytes .lit") == ["53", "4e"]
    browser.run("document.querySelector('.fleet canvas').focus()")
    keys(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ENTER)
    assert browser.one(".map-told").text.startswith("meter[2] · ")
    browser.run("document.querySelector('.surface').focus()")
    keys(browser, Keys.HOME, Keys.ARROW_RIGHT)
    assert "messages" not in browser.one(".surface").get_attribute("aria-valuetext")
    assert "p99" in browser.one(".surface").get_attribute("aria-valuetext")


# ----------------------------------------------------------------------------- times and devices


def test_a_range_of_time_that_is_dragged_holds_for_messages_and_output(browser: Browser) -> None:
    from selenium.webdriver import ActionChains

    browser.open(documents.failed())
    surface = browser.one(".surface")
    browser.run("arguments[0].scrollIntoView({ block: 'center' })", surface)
    width = surface.size["width"]
    drag = ActionChains(browser.driver).move_to_element_with_offset(surface, round(-width / 4), 0)
    drag.click_and_hold().move_by_offset(round(width / 4), 0).release().perform()
    browser.until(lambda: browser.one("#from").get_attribute("value"))
    first, last = (
        float(browser.one(f"#{end}").get_attribute("value") or 0) for end in ("from", "to")
    )
    assert first == pytest.approx(3, abs=0.1)
    assert last == pytest.approx(6, abs=0.1)
    for part in ("#messages", "#output"):
        times = [float(text.replace("\u202f", "")) for text in browser.texts(f"{part} .moment")]
        assert times
        assert first <= min(times)
        assert max(times) <= last
    next(button for button in browser.all("button") if button.text == "Whole run").click()
    assert browser.one("#from").get_attribute("value") == ""


def test_a_cell_of_the_fleet_map_leads_to_its_device(browser: Browser) -> None:
    from selenium.webdriver import ActionChains

    browser.open(documents.large(10_000, 5_000))
    canvas = browser.one(".fleet canvas")
    browser.run("arguments[0].scrollIntoView({ block: 'center' })", canvas)
    size = browser.run(
        "const {width, height} = arguments[0].getBoundingClientRect(); return [width, height]",
        canvas,
    )
    assert size[1] < 400
    ActionChains(browser.driver).move_to_element_with_offset(
        canvas, round(-size[0] / 2 + 6 * 40 + 3), round(-size[1] / 2 + 6 * 2 + 3)
    ).click().perform()
    per_line = int(size[0] // 6)
    name = f"meter[{2 * per_line + 40}]"
    assert browser.one(".map-told").text.startswith(f"{name} · ")
    assert browser.one("#device").get_attribute("value") == name
    browser.until(lambda: " of " in browser.one("#messages .found").text)
    assert {name} >= set(browser.texts("#messages .lane-names span")) - {"gateway", "devices"}


def test_the_map_can_show_one_state_alone_and_figures(browser: Browser) -> None:
    browser.open(documents.failed())
    assert browser.texts(".map-legend button") == ["failed 9", "spoke 39"]
    browser.all(".map-legend button")[0].click()
    assert set(browser.texts(".devices tbody td:nth-child(2)")) == {"failed"}
    pick(browser.one("#coloring"), "slowest")
    assert all(text.startswith("up to ") for text in browser.texts(".map-legend li"))


def test_output_and_northbound_stand_side_by_side_in_time(browser: Browser) -> None:
    browser.open(documents.failed())
    rows = browser.all("#output .list-row")
    times = [float(text.replace("\u202f", "")) for text in browser.texts("#output .moment")]
    assert times == sorted(times)
    assert "ready" in rows[0].text
    (posted, *_) = [row for row in rows if "POST /readings → 200" in row.text]
    left = posted.find_element("css selector", ".text").location["x"]
    printed = rows[0].find_element("css selector", ".text").location["x"]
    assert left > printed
    posted.click()
    assert "json.count = 47" in browser.one("#output .full").text


# --------------------------------------------------------------------------------- looks and paper


def background(browser: Browser) -> str:
    return str(browser.run("return getComputedStyle(document.body).backgroundColor"))


def test_it_is_dark_where_the_system_is_or_the_switch_says_so(browser: Browser) -> None:
    browser.open(documents.failed(), theme="light")
    light = background(browser)
    browser.emulate("screen", "dark")
    dark = background(browser)
    assert light != dark
    pick(browser.one("#theme"), "light")
    assert background(browser) == light
    browser.emulate("screen", "light")
    pick(browser.one("#theme"), "dark")
    assert background(browser) == dark
    pick(browser.one("#theme"), "")
    assert background(browser) == light


UNREADABLE = """
const channels = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => {
  const parts = channels(color).slice(0, 3).map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
};
const behind = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const color = getComputedStyle(at).backgroundColor;
    if (!/, 0\\)$|transparent/.test(color)) return color;
  }
  return "rgb(255, 255, 255)";
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const bad = new Set();
while (walker.nextNode()) {
  const node = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !node.checkVisibility()) continue;
  if (node.closest("script, style, option, :disabled")) continue;
  const [a, b] = [light(getComputedStyle(node).color), light(behind(node))].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < arguments[0]) bad.add(`${node.className || node.tagName}: ${ratio.toFixed(2)}`);
}
return [...bad];
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_is_readable(browser: Browser, theme: str) -> None:
    browser.open(documents.failed(), theme=theme)
    for row in browser.all(f"{MESSAGES}")[3:5]:
        row.click()
    browser.all("#messages .field")[2].click()
    assert browser.run(UNREADABLE, CONTRAST) == []


def test_every_control_has_a_name_and_headings_do_not_skip_levels(browser: Browser) -> None:
    browser.open(documents.failed())
    for control in browser.all("input, select, button, canvas, [role=listbox], [role=slider]"):
        assert control.accessible_name, control.get_attribute("outerHTML")
    levels = browser.run(
        "return [...document.querySelectorAll('h1,h2,h3,h4')].map((h) => Number(h.tagName[1]))"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    ids = browser.run("return [...document.querySelectorAll('[id]')].map((node) => node.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("width", [360, 800, 1320])
@pytest.mark.parametrize("name", ["failed", "hostile"])
def test_it_is_never_wider_than_the_window(browser: Browser, name: str, width: int) -> None:
    browser.open(getattr(documents, name)(), width=width)
    assert browser.run("return document.documentElement.scrollWidth") <= width


def test_on_paper_it_is_light_and_has_the_failures_whole(browser: Browser) -> None:
    browser.open(documents.failed(), theme="dark")
    pick(browser.one("#theme"), "dark")
    rows = len(browser.all("#failures .list-row"))
    browser.emulate("print", "dark")
    assert background(browser) == "rgb(255, 255, 255)"
    assert not browser.one(".sections").is_displayed()
    assert not browser.one("#messages").is_displayed()
    assert sum(row.is_displayed() for row in browser.all("#failures .list-row")) == rows
    assert browser.one(".chart svg").is_displayed()
    printed = base64.b64decode(browser.driver.print_page())
    assert printed.startswith(b"%PDF")
    assert 2 <= printed.count(b"/Type /Page\n") <= 12


def test_hostile_text_does_nothing_wherever_it_is_shown(browser: Browser) -> None:
    browser.open(documents.hostile())
    for box in browser.all("#messages input[type=checkbox]"):
        if not box.is_selected():
            box.click()
    browser.one("#search").send_keys("onerror")
    browser.until(lambda: len(browser.all(MESSAGES)) == 5)
    for selector in (
        MESSAGES,
        "#failures .list-row",
        "#output .list-row",
        "#messages .field",
        ".devices button",
    ):
        for place in range(len(browser.all(selector))):
            browser.run(
                "document.querySelectorAll(arguments[0])[arguments[1]].click()", selector, place
            )
    assert browser.run("return window.hacked") is None
    assert browser.run("return ({}).polluted") is None
    assert browser.run("return document.querySelectorAll('img, iframe, svg[onload]').length") == 0
    assert documents.HOSTILE[1] in browser.one("h1").text
