"""Results of others: of whatever a results folder holds each document is made, and is what it claims to be.

An input is what stands in ``events.jsonl``; its first line may be what stands in ``result.json`` instead.
"""

from __future__ import annotations

import json
import random
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from driver import fuzz, instrumented

with instrumented():
    import csv
    import xml.etree.ElementTree as ET
    from html.parser import HTMLParser
    from io import StringIO

    from iotsim import events
    from iotsim.results.cases import suite_of
    from iotsim.results.compare.comparison import compare_runs
    from iotsim.results.compare.profile import profile_of
    from iotsim.results.devices import COLUMNS, DeviceTable
    from iotsim.results.fold import fold
    from iotsim.results.github import Entry, annotations_of, step_summary
    from iotsim.results.html.data import report_data
    from iotsim.results.html.page import render_page
    from iotsim.results.jsonl import EventEncoder, decode_events
    from iotsim.results.junit import encode_junit
    from iotsim.results.result import RunResult, decode_result, encode_result
    from iotsim.results.summary import summarize
    from iotsim.results.tap import encode_tap
    from iotsim.results.view import Choice, Teller, choose

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_DEVICES = 100_000
"""Tables of more take longer than a fuzzer waits."""


def target(data: bytes) -> None:
    lines = data.splitlines(keepends=True)
    try:
        result = decode_result(lines[0])
    except (ValueError, IndexError):
        try:
            result = fold(decode_events(lines))
        except ValueError:
            return
    suite = suite_of(result, folder="out")
    for strict in (False, True):
        ET.fromstring(encode_junit([suite], strict=strict))
    check_tap(encode_tap([suite]).decode())
    encode_result(result)
    page = Page()
    page.feed(render_page(report_data(lambda: lines, result)).decode())
    assert page.scripts == 2, "the data and the program"
    assert not page.foreign, page.foreign
    if sum(size for size in map(fleet_size, result.fleets.values()) if size > 0) < MOST_DEVICES:
        check_table(result, lines)
    check_github(result)
    summarize(result)
    teller = Teller(10)
    for seen in choose(lines, Choice()):
        assert "\n" not in teller.line(seen)
    profile = profile_of(result, lines)
    compare_runs(profile, profile)


def fleet_size(about: dict[str, Any]) -> int:
    count = about.get("count")
    return count if isinstance(count, int) else 0


def check_tap(text: str) -> None:
    """Each line is one of TAP: a test point, or of the YAML below it."""
    begins = ("TAP version 14", "1..", "ok ", "not ok ", "  ")
    assert all(line.startswith(begins) for line in text.removesuffix("\n").split("\n"))


def check_table(result: RunResult, lines: list[bytes]) -> None:
    table = DeviceTable(result)
    table.read(lines)
    for row in csv.reader(StringIO(b"".join(table.csv()).decode(), newline="")):
        assert len(row) == len(COLUMNS)
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)


def check_github(result: RunResult) -> None:
    for annotation in annotations_of([Entry(result)], lambda path: path):
        assert len(str(annotation).splitlines()) == 1
        assert str(annotation).startswith(f"::{annotation.level} ")
    assert "<script" not in step_summary([Entry(result, "out")])


class Page(HTMLParser):
    """Counts scripts, and finds elements and attributes that the page has not."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts = 0
        self.foreign: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        if tag in ("img", "iframe", "object", "embed", "base", "form"):
            self.foreign.append(tag)
        self.foreign += [name for name, _ in attrs if name.startswith("on")]


STARTED = events.RunStarted(
    0.0, "s", "s.toml", 7, 1.7e9, "tun", 1.0, "iotsim run s.toml", {"iotsim": "1"},
    {"meter": {"count": 3, "addresses": ["10.77.1.1-10.77.1.3"], "protocols": ["p"]}},
    {"n": "1"}, format=1,
)  # fmt: skip
FAILED = events.Outcome(
    name="each is read", kind="within", passed=False, severity="error", expected="a", actual="b",
    nearest="meter[1]: c", devices=("meter[1]",), details=("heard nothing",), total=1,
    place="s.toml:4", t=1.5,
)  # fmt: skip
UNMATCHED = events.Unmatched(
    fleet="meter", protocol="p", kind="READ", count=2, t=0.4, device="meter[0]", nearest="rule 1"
)
SAMPLE: list[events.Event] = [
    STARTED,
    events.LinkUp(0.0, "tun", "iotsim0", ["10.77.0.1/16"], 1500),
    events.GatewayStarted(0.1, 12, ["gw"]),
    events.GatewayReady(0.1, "started"),
    events.GatewayOutput(0.2, "hello"),
    events.Received(0.3, 1, "meter[0]", "10.77.0.1:4", "p", {"kind": "READ", "n": [1, {"m": 2}]}),
    events.Sent(0.4, 2, "meter[0]", "10.77.0.1:4", "p", {"kind": "REPORT", "v": 1.5}, 1),
    events.Received(0.45, 3, "meter[1]", "10.77.0.1:4", "p", {"kind": "READ"}, "", "loss", "lost"),
    events.Undecodable(0.5, 4, "meter[1]", "10.77.0.1:4", "p", "magic", "a.b", 3, "00ff"),
    events.NoRule(0.5, UNMATCHED),
    events.NotSent(0.6, "meter[2]", "no route", 3),
    events.Impaired(0.6, "meter[2]", "loss", "delayed", 0.3),
    events.PacketDropped(0.7, "checksum", "00"),
    events.DeviceFailed(0.8, "meter[2]", "ValueError", "trace"),
    events.SessionFailed(0.8, "meter[2]", "p", "ValueError", "trace"),
    events.DeviceRebooted(0.9, "meter[2]"),
    events.Northbound(1.0, 5, "cloud", {"topic": "a", "payload": "b"}),
    events.FaultChanged(1.1, "f", "slow", "meter", begun=True),
    events.StepDone(1.2, "first"),
    events.ExpectationDecided(1.5, FAILED),
    events.GatewayExited(1.9, 3, "", crashed=True),
    events.RunEnded(
        2.0, "failed", "each is read: b", 2.0, ["a note"], [],
        events.GatewayResult(
            command=["gw"], status=3, crashed=True, last_lines=["bye"]
        ),
        {"link.received": 4}, {"lag": 0.1}, ["events.jsonl"], [UNMATCHED],
    ),
]  # fmt: skip
TEXTS = [
    "</script><script>alert(1)</script>", "]]>", "\n::error::x", "%0A::warning::", "\x1b[2J\r\x00",
    "\u202e\u2066", "=HYPERLINK(1)", "@SUM(1);=1", "\ud800", '"\'`|**x**|<img src=x onerror=alert(1)>',
    "[[ATTACHMENT|/etc/passwd]]", "# TODO", "ok 9 - x\nok", "meter[99999999999]", "x" * 5000, "", "../..",
]  # fmt: skip
NUMBERS = [0, -1, 1e308, -1e308, 1 << 63, 1 << 64, 10**400, -(10**400), 5e-324, 1e18, -1e9]
OTHERS: list[Any] = [None, True, [], {}, [[[]]], {"a": [1]}, ["x"] * 300]


def seeds() -> Iterator[bytes]:
    """Results of a run, and 300 forgeries of them."""
    lines = EventEncoder().encode(SAMPLE)
    yield lines
    yield encode_line(json.loads(encode_result(fold(SAMPLE)))) + lines
    for number in range(300):
        chosen = random.Random(number)
        forged = [json.loads(line) for line in lines.splitlines()]
        if number % 3 == 0:
            forged.insert(0, json.loads(encode_result(fold(SAMPLE))))
        for _ in range(chosen.choice((1, 2, 5, 40))):
            forge(chosen.choice((forged[0], chosen.choice(forged), forged[-1])), chosen)
        yield b"".join(map(encode_line, forged))


def encode_line(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"))
    return text.replace('"deep"', "[" * 2000 + "]" * 2000).encode() + b"\n"


def forge(value: Any, chosen: random.Random) -> None:
    """Put something else in the place of one of the values that `value` holds."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = chosen.choice(keys)
        old = value[key]
        if not (isinstance(old, dict | list) and old and chosen.random() < 0.8):
            break
        value = old
    alike: list[Any] = TEXTS if isinstance(old, str) else NUMBERS
    kind = chosen.random()
    if kind < 0.05:
        del value[key]
    elif kind < 0.1 and isinstance(value, dict):
        value[chosen.choice(TEXTS)] = value.pop(key)
    elif kind < 0.8:
        value[key] = chosen.choice(alike)
    else:
        value[key] = deepcopy(chosen.choice([*TEXTS, *NUMBERS, *OTHERS, "deep"]))


if __name__ == "__main__":
    fuzz(target)
