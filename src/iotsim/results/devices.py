"""``devices.csv``: what each device did, a row for each, from the lines of ``events.jsonl`` in one pass.

Memory is bounded by the number of devices, and of `MOST_ANSWERS` answers; a run may have a million devices
and any number of events. Rows are in the order of the scenario, devices of which nothing was ever heard
among them; of fleets that are together larger than `MOST_DEVICES` there are those that events name.

No cell is a formula: before a text that a spreadsheet would take for one stands an apostrophe.
"""

from __future__ import annotations

import csv
import io
import random
import re
from array import array
from contextlib import suppress
from itertools import repeat
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from iotsim.safetext import safe_line
from iotsim.units import parse_ip
from iotsim.wire.address import format_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from iotsim.events import Outcome
    from iotsim.results.result import RunResult

COLUMNS = {
    "device": "as in the scenario, `meter[3]`",
    "fleet": "the fleet's name",
    "index": "its place in the fleet, from 0",
    "address": "its address; of two, the first",
    "received": "messages that reached it",
    "sent": "messages that it sent",
    "wire_received": "of a protocol with a session: what a datagram brought besides (acknowledgements, "
    "duplicates, parts)",
    "wire_sent": "the same of what it sent",
    "undecodable": "datagrams that were no message, or were none any more",
    "not_sent": "messages that it could not send, or that were lost on their way from it",
    "impaired": "how often an impairment or a fault befell a message of its, the lost ones among them",
    "reboots": "how often it began anew",
    "failures": "how often its rules, behavior or session raised",
    "answers": "messages that it sent in reply to another",
    "first_s": "when it first received or sent something, in seconds of the run",
    "last_s": "when it last did",
    "answer_p50_ms": "from the message to its answer, in ms: the median (nearest rank)",
    "answer_p95_ms": "the same: 95 of 100 are no later",
    "answer_max_ms": "the same: the latest",
    "verdict": "the gravest that expectations name it for: `failed`, `inconclusive`, `warning`; or empty",
    "expectations": "the names of these expectations, with ` | ` between them",
}
"""The columns, and what they are, for the page that tells of them."""

MOST_DEVICES = 1 << 22
MOST_OTHERS = 1 << 20
MOST_ANSWERS = 1 << 22
"""Of more answers, percentiles are those of a sample of so many, in which each is as likely as any other."""
ASKED = 1 << 18
"""At least this many messages are remembered for the answers to them."""
ROWS_AT_ONCE = 10_000
_MICROSECONDS = 40
"""Bits of a time, below which stands whose it is."""
_LONGEST = (1 << _MICROSECONDS) - 1
_NAME = re.compile(r"(.*)\[([0-9]{1,9})\]", re.DOTALL | re.ASCII)
_FORMULA = re.compile("(^|[;|])( *)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])")
_GRAVITY = ("failed", "inconclusive", "warning")


class _Line(msgspec.Struct):
    """What matters here of any event; ``message`` and the like are passed over."""

    event: str
    t: float
    id: int = 0
    device: str = ""
    in_reply_to: int = 0
    impaired: str = ""
    layer: str = ""
    sent: bool = False


class _Fleet(NamedTuple):
    name: str
    size: int
    offset: int
    """Where its devices begin among all."""
    first: int | None
    """The address of its first device."""


class DeviceTable:
    """What devices did in the run of `result`, of whose events `read` takes the lines."""

    def __init__(self, result: RunResult) -> None:
        self._fleets: dict[str, _Fleet] = {}
        size = 0
        for name, about in result.fleets.items():
            count = about.get("count")
            if not isinstance(count, int) or not 0 <= count <= MOST_DEVICES - size:
                continue
            first = _first_address(about.get("addresses"), count)
            self._fleets[name] = _Fleet(name, count, size, first)
            size += count
        self._known = size
        self._others: dict[str, int] = {}
        self._counts = {name: array("I", repeat(0, size)) for name in _COUNTED}
        self._first = array("d", repeat(-1.0, size))
        self._last = array("d", repeat(-1.0, size))
        self._latest = array("d", repeat(-1.0, size))
        self._latencies = array("Q")
        self._answered = 0
        self._draw = random.Random(result.seed).randrange
        self._asked: dict[int, float] = {}
        self._asked_before: dict[int, float] = {}
        self._named = _named(result.expectations)

    def read(self, lines: Iterable[bytes]) -> None:
        """Take the events of the run. Lines that are none are passed over. ValueError if they name more than
        `MOST_OTHERS` devices of which the start of the run did not tell."""
        decode = msgspec.json.Decoder(_Line).decode
        for raw in lines:
            try:
                line = decode(raw)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            if line.device:
                self._take(line)

    def _take(self, line: _Line) -> None:
        what = line.event
        if what == "received":
            self._ask(line.id, line.t)
            column = "wire_received" if line.layer == "wire" else "received"
        elif what == "sent":
            column = "wire_sent" if line.layer == "wire" else "sent"
        elif what in _OF_EVENT:
            column = _OF_EVENT[what]
        else:
            return
        slot = self._slot(line.device)
        counts = self._counts
        counts[column][slot] += 1
        if line.impaired and column != "impaired":
            counts["impaired"][slot] += 1
        if column in _SPOKE:
            if self._first[slot] < 0:
                self._first[slot] = line.t
            self._last[slot] = line.t
        if what == "sent" and line.in_reply_to:
            self._answer(slot, line)

    def _slot(self, device: str) -> int:
        """The place of a device in all arrays; a new one for a device that is not known yet."""
        found = _NAME.fullmatch(device)
        if found is not None:
            fleet = self._fleets.get(found[1])
            index = int(found[2])
            # Only as it is written, so that no other text is taken for this device.
            if fleet is not None and index < fleet.size and found[2] == str(index):
                return fleet.offset + index
        slot = self._others.get(device)
        if slot is None:
            if len(self._others) >= MOST_OTHERS:
                raise ValueError(
                    f"the events name more than {MOST_OTHERS} devices of no known fleet"
                )
            slot = self._others[device] = self._known + len(self._others)
            for counts in self._counts.values():
                counts.append(0)
            for times in (self._first, self._last, self._latest):
                times.append(-1.0)
        return slot

    def _ask(self, number: int, t: float) -> None:
        if len(self._asked) >= ASKED:
            self._asked_before, self._asked = self._asked, {}
        self._asked[number] = t

    def _answer(self, slot: int, line: _Line) -> None:
        self._counts["answers"][slot] += 1
        asked = self._asked.get(line.in_reply_to)
        if asked is None:
            asked = self._asked_before.get(line.in_reply_to)
            if asked is None:
                return
        latency = max(0.0, line.t - asked)
        self._latest[slot] = max(self._latest[slot], latency)
        packed = slot << _MICROSECONDS | round(min(1e6 * latency, _LONGEST))
        self._answered += 1
        if len(self._latencies) < MOST_ANSWERS:
            self._latencies.append(packed)
            return
        # Of all so far each stays with the same chance (Vitter's algorithm R).
        place = self._draw(self._answered)
        if place < MOST_ANSWERS:
            self._latencies[place] = packed

    def csv(self) -> Iterator[bytes]:
        """The table, a part at a time."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        ordered = _Ordered(self._latencies)
        for number, row in enumerate(self._rows(ordered), start=1):
            writer.writerow(row)
            if number % ROWS_AT_ONCE == 0:
                yield text.getvalue().encode()
                text.seek(0)
                text.truncate()
        yield text.getvalue().encode()

    def _rows(self, latencies: _Ordered) -> Iterator[list[object]]:
        for fleet in self._fleets.values():
            name = cell(fleet.name)
            for index in range(fleet.size):
                address = "" if fleet.first is None else format_address(fleet.first + index)
                device = f"{fleet.name}[{index}]"
                shown = f"{name}[{index}]"
                figures = self._figures(device, fleet.offset + index, latencies)
                yield [shown, name, index, address, *figures]
        for device, slot in self._others.items():
            found = _NAME.fullmatch(device)
            of_fleet = [cell(found[1]), int(found[2])] if found else ["", ""]
            yield [cell(device), *of_fleet, "", *self._figures(device, slot, latencies)]

    def _figures(self, device: str, slot: int, latencies: _Ordered) -> list[object]:
        """What stands in the row of a device behind its address."""
        first, last, latest = self._first[slot], self._last[slot], self._latest[slot]
        p50, p95 = latencies.of(slot)
        verdict, names = self._named.get(device, ("", ()))
        # Without the sign that -0.0 has: a cell that begins with it is taken for a formula.
        return [
            *[counts[slot] for counts in self._counts.values()],
            f"{abs(first):.6f}" if first >= 0 else "",
            f"{abs(last):.6f}" if last >= 0 else "",
            p50,
            p95,
            f"{1000 * abs(latest):.3f}" if latest >= 0 else "",
            verdict,
            cell(" | ".join(names)) if names else "",
        ]


_OF_EVENT = {
    "undecodable": "undecodable",
    "not-sent": "not_sent",
    "impaired": "impaired",
    "device-rebooted": "reboots",
    "device-failed": "failures",
    "session-failed": "failures",
}
_SPOKE = frozenset({"received", "sent", "wire_received", "wire_sent", "undecodable"})
_COUNTED = tuple(COLUMNS)[4:14]


class _Ordered:
    """Packed latencies in order, of one device after the other: `of` is asked with slots that only rise."""

    def __init__(self, packed: array[int]) -> None:
        self._sorted = sorted(packed)
        self._at = 0

    def of(self, slot: int) -> tuple[str, str]:
        """The median and the 95th percentile, in ms; "" without any."""
        values, start = self._sorted, self._at
        end = start
        while end < len(values) and values[end] >> _MICROSECONDS == slot:
            end += 1
        self._at = end
        if start == end:
            return "", ""
        return self._share(start, end, 50), self._share(start, end, 95)

    def _share(self, start: int, end: int, percent: int) -> str:
        """The least that `percent` of these are no later than, in ms."""
        rank = -(-percent * (end - start) // 100)
        return f"{(self._sorted[start + rank - 1] & _LONGEST) / 1000:.3f}"


def _named(outcomes: Iterable[Outcome]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Device -> the gravest verdict of the expectations that name it as a failure, and their names."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for outcome in outcomes:
        if outcome.passed and not outcome.error:
            continue
        verdict = "failed"
        if outcome.severity == "warning" and not outcome.error:
            verdict = "warning"
        elif outcome.inconclusive:
            verdict = "inconclusive"
        for device in outcome.devices:
            before, names = found.get(device, (verdict, ()))
            found[device] = (min(before, verdict, key=_GRAVITY.index), (*names, outcome.name))
    return found


def _first_address(blocks: object, count: int) -> int | None:
    """The first address of the first of a fleet's blocks, each of which has all `count` devices."""
    if isinstance(blocks, list) and blocks and isinstance(blocks[0], str):
        with suppress(ValueError):
            first = parse_ip(blocks[0].partition("-")[0])
            return int(first) if int(first) + count <= 1 << first.max_prefixlen else None
    return None


def address_in(fleets: Mapping[str, Mapping[str, object]], device: str) -> str:
    """The address of a device, of fleets as a result has them; "" if that is not known."""
    found = _NAME.fullmatch(device)
    about = fleets.get(found[1], {}) if found else {}
    count = about.get("count")
    if found is None or not isinstance(count, int) or int(found[2]) >= count:
        return ""
    first = _first_address(about.get("addresses"), count)
    return "" if first is None else format_address(first + int(found[2]))


def cell(text: str) -> str:
    """`text` for a spreadsheet: on one line, and no formula, also where semicolons divide cells.

    See https://owasp.org/www-community/attacks/CSV_Injection; tabs and returns are escaped, so that no cell
    begins with one.
    """
    return _FORMULA.sub(r"\1\2'", safe_line(text))
