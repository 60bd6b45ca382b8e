"""The data of a run's report: its events, and what was drawn from them, as one document.

``report_data`` makes it, as plain data whose size is bounded; ``encode_data`` makes the text that a page
embeds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from iotsim.results.html.charts import befallen, latencies, rates
from iotsim.results.html.choice import choose
from iotsim.results.html.fleet import fleet_map
from iotsim.results.html.index import LATEST, Index
from iotsim.results.html.marks import marks_of
from iotsim.results.html.over_time import make_axis
from iotsim.results.html.raw import NO_SOURCES, AddressBook, Sources, raw_bytes
from iotsim.results.html.second import Second
from iotsim.results.html.table import Strings
from iotsim.results.html.told import Explained, blamed, explained, rest_told, run_told

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from iotsim.results.html.choice import Choice
    from iotsim.results.result import RunResult

FORMAT = 1
MOST_MESSAGE_BYTES = 5 << 20
"""The most that messages may take in the document; if they take more, fewer are kept."""
LEAST_SHARE = 1 / 64
MOST_OUTPUT, MOST_OUTPUT_BYTES = 5000, 1 << 20
MOST_NORTHBOUND, MOST_NORTHBOUND_BYTES = 2000, 1 << 20
OUTPUT_AROUND = 10
LATEST_WALL_TIME = 1e10
BYTES_OF_FAILURES, BYTES_OF_OTHERS = 1500, 200
MOMENTS = 50
"""Bytes are looked for of at most this many messages around failures, and this many others."""

_NO_LANDMARKS = ("note", "lag", "link-up", "expectation", "run-ended")
_ESCAPES = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


def report_data(
    lines: Callable[[], Iterable[bytes]], result: RunResult, sources: Sources = NO_SOURCES
) -> dict[str, Any]:
    """The document of a run: plain data that JSON has a form for.

    `lines` gives the lines of ``events.jsonl``, from the first, each time it is called; `result` is what the
    run came to. Lines that are no events are counted and left out.
    """
    index = Index(result.fleets)
    index.read(lines())
    end = max(index.end, result.duration_s if 0 <= result.duration_s <= LATEST else 0.0)
    axis = make_axis(end)
    outcomes = result.expectations or [index.outcomes[number] for number in sorted(index.outcomes)]
    expectations = explained(outcomes, index.roster, end)
    marks = marks_of(index)
    answered = latencies(index)
    slowest = [latency.slowest() for latency in answered]
    share = 1.0
    while True:
        strings = Strings()
        choice = choose(
            index.rows,
            [focus for one in expectations for focus in one.focuses],
            [row for rows in slowest for row in rows],
            [mark["t"] for mark in marks["marks"] if mark["what"] not in _NO_LANDMARKS],
            share,
        )
        second = Second(index, choice, strings, _moments(expectations))
        second.read(lines())
        messages, shapes = second.messages.told(), second.messages.shapes.told()
        size = len(msgspec.json.encode([messages, shapes, strings.rows]))
        if size <= MOST_MESSAGE_BYTES or share <= LEAST_SHARE:
            break
        share /= 2
    here = second.messages.number_of
    wall_time = 0.0 if index.started is None else index.started.wall_time
    if not 0 <= wall_time < LATEST_WALL_TIME:
        wall_time = 0.0  # no clock has shown that, and no capture has it
    around = [[here[row] for row in rows if row in here] for rows in choice.around]
    return {
        "format": FORMAT,
        "run": run_told(result, index),
        "expectations": _told_expectations(expectations, around, second),
        "axis": axis._asdict(),
        "latency": [
            {
                **latency.told(index, axis, strings),
                "slowest": [here[row] for row in rows if row in here],
            }
            for latency, rows in zip(answered, slowest, strict=True)
        ],
        "rates": rates(index, axis, strings),
        "impairments": befallen(index, axis),
        **marks,
        "devices": fleet_map(index.roster, index.rows, blamed(expectations)),
        "messages": {**messages, **_told_choice(choice, second, strings)},
        "shapes": shapes,
        **raw_bytes(second.wanted(AddressBook(result.fleets)), sources, wall_time),
        "output": second.output(),
        "northbound": second.northbound(),
        **rest_told(result),
        "strings": strings.rows,
    }


def encode_data(document: dict[str, Any]) -> str:
    """`document` as JSON that may stand between ``<script type="application/json">`` and ``</script>``."""
    text = msgspec.json.encode(document).decode()
    return text.translate(_ESCAPES)


def _moments(expectations: Sequence[Explained]) -> list[float]:
    """When expectations failed, and what made them fail took place."""
    failed = [one for one in expectations if one.state != "passed"]
    return sorted({t for one in failed for t in (one.t, one.around)})[:MOMENTS]


def _told_expectations(
    expectations: Sequence[Explained], around: Sequence[list[int]], second: Second
) -> list[dict[str, Any]]:
    told = []
    focus = 0
    for one in expectations:
        own = around[focus : focus + len(one.focuses)]
        focus += len(one.focuses)
        output = second.output_near(one.around) if one.state != "passed" else []
        told.append(one.told(own, output))
    return told


def _told_choice(choice: Choice, second: Second, strings: Strings) -> dict[str, Any]:
    """What the document says of which messages it has."""
    count, total = len(second.messages), len(second.messages.rows)
    left = ""
    if count < total:
        left = (
            f"{count} of {total} are here: those around failures, the slowest exchanges, the first "
            "and the last, those around steps, faults and the gateway's lives, and all of some devices "
            "and of some spans of time"
        )
    return {
        "whole": count == total,
        "left_out": left,
        "spans": choice.spans,
        "whole_devices": [strings[name] for name in second.names_of(choice.devices)],
    }
