"""devices.csv: what each device did, by the lines of events.jsonl."""

from __future__ import annotations

import csv
import io
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim import events
from iotsim.results import devices
from iotsim.results.devices import COLUMNS, DeviceTable, cell
from iotsim.results.jsonl import EventEncoder
from iotsim.results.result import RunResult

FLEETS = {"meter": {"count": 3, "addresses": ["10.77.1.1-10.77.1.3", "fd77::1-fd77::3"]}}
ENCODER = EventEncoder()


def received(number: int, device: str, t: float, **fields: Any) -> events.Event:
    return events.Received(t, number, device, "10.77.0.1:5600", "p", {"a": 1}, **fields)


def sent(number: int, device: str, t: float, in_reply_to: int = 0, **fields: Any) -> events.Event:
    peer = "10.77.0.1:5600"
    return events.Sent(t, number, device, peer, "p", {"a": 1}, in_reply_to, **fields)


def outcome(name: str, *named: str, **fields: Any) -> events.Outcome:
    fields = {"passed": False, "severity": "error", "expected": "", "actual": "", **fields}
    return events.Outcome(name=name, kind="within", devices=named, **fields)


def table(*happened: events.Event, extra: bytes = b"", **fields: Any) -> list[dict[str, str]]:
    result = RunResult(**{"scenario": "a", "path": "", "seed": 1, "fleets": FLEETS, **fields})
    made = DeviceTable(result)
    made.read(ENCODER.encode(happened).splitlines(keepends=True) + extra.splitlines(keepends=True))
    text = b"".join(made.csv()).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    assert all(row.keys() == COLUMNS.keys() for row in rows)
    return rows


def test_each_device_has_a_row_also_if_nobody_spoke_to_it() -> None:
    rows = table(received(1, "meter[1]", 0.5), sent(2, "meter[1]", 0.75, 1))
    assert [row["device"] for row in rows] == ["meter[0]", "meter[1]", "meter[2]"]
    assert [row["address"] for row in rows] == ["10.77.1.1", "10.77.1.2", "10.77.1.3"]
    silent, spoken, _ = rows
    assert (silent["received"], silent["first_s"], silent["answer_max_ms"]) == ("0", "", "")
    assert (spoken["received"], spoken["sent"], spoken["answers"]) == ("1", "1", "1")
    assert (spoken["first_s"], spoken["last_s"]) == ("0.500000", "0.750000")
    assert (spoken["answer_p50_ms"], spoken["answer_max_ms"]) == ("250.000", "250.000")


def test_percentiles_are_those_of_the_nearest_rank() -> None:
    happened: list[events.Event] = []
    for number in range(1, 101):
        happened.append(received(2 * number, "meter[0]", 10.0 * number))
        late = number / 1000
        happened.append(sent(2 * number + 1, "meter[0]", 10.0 * number + late, 2 * number))
    (row, *_) = table(*happened)
    assert float(row["answer_p50_ms"]) == pytest.approx(50, abs=0.002)
    assert float(row["answer_p95_ms"]) == pytest.approx(95, abs=0.002)
    assert float(row["answer_max_ms"]) == pytest.approx(100, abs=0.002)


def test_everything_that_befell_a_device_is_counted() -> None:
    device = "meter[2]"
    *_, row = table(
        received(1, device, 0.0, layer="wire"),
        received(2, device, 0.0, layer="application", impaired="lossy", fate="lost"),
        sent(3, device, 0.0, layer="wire"),
        sent(4, device, 0.0, impaired="slow", delay_s=0.5),
        events.Impaired(1.0, device, "slow", "lost"),
        events.Undecodable(1.0, 5, device, "a:1", "p", "short", "x", 3, "00"),
        events.NotSent(1.0, device, "no route"),
        events.DeviceRebooted(1.0, device),
        events.DeviceFailed(1.0, device, "e", "t"),
        events.SessionFailed(1.0, device, "p", "e", "t"),
        events.Note(2.0, "about nobody"),
    )
    names = ("received", "sent", "wire_received", "wire_sent", "undecodable", "not_sent")
    assert [row[name] for name in names] == ["1", "1", "1", "1", "1", "1"]
    assert (row["impaired"], row["reboots"], row["failures"]) == ("3", "1", "2")
    assert row["last_s"] == "1.000000"


def test_expectations_that_name_a_device_are_told_with_the_gravest_verdict() -> None:
    rows = table(
        expectations=[
            outcome("a", "meter[0]", "meter[1]", severity="warning"),
            outcome("b", "meter[0]"),
            outcome("c", "meter[1]", inconclusive="late"),
            outcome("d", "meter[2]", passed=True),
        ]
    )
    told = [(row["verdict"], row["expectations"]) for row in rows]
    assert told == [("failed", "a | b"), ("inconclusive", "a | c"), ("", "")]


def test_devices_of_no_known_fleet_come_last() -> None:
    happened = [received(1, name, 1.0) for name in ("lamp[7]", "meter[3]", "meter[01]", "odd")]
    rows = table(*happened)[3:]
    assert [(row["device"], row["fleet"], row["index"]) for row in rows] == [
        ("lamp[7]", "lamp", "7"),
        ("meter[3]", "meter", "3"),
        ("meter[01]", "meter", "1"),
        ("odd", "", ""),
    ]


def test_what_is_no_event_is_passed_over() -> None:
    foreign = (
        b'{"event":"received"\n[]\nnull\n\xff\n{"event":"received","t":"x","device":"meter[0]"}\n'
    )
    foreign += b'{"event":"sent","t":1e308,"id":1,"device":"meter[0]","in_reply_to":9}\n'
    assert table(received(9, "meter[0]", -1e308), extra=foreign)[0]["sent"] == "1"


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "\t=", "\r=", "\n=", " =", "\uff1d", "x;=", "x; @", "a | -"]
)
def test_no_cell_is_a_formula(start: str) -> None:
    name = f'{start}HYPERLINK("http://x";"y")'
    assert cell(name).lstrip()[0] not in "=+-@\t\r\n\uff1d"
    rows = table(received(1, name, 1.0), expectations=[outcome(name, "meter[0]")])
    for text in (rows[-1]["device"], rows[0]["expectations"]):
        for part in text.replace("|", ";").split(";"):
            assert not part.strip().startswith(("=", "+", "-", "@", "\uff1d", "\t", "\r", "\n"))


def test_a_time_of_minus_nothing_is_no_formula_either() -> None:
    (row, *_) = table(received(1, "meter[0]", -0.0), sent(2, "meter[0]", -0.0, 1))
    assert (row["first_s"], row["last_s"]) == ("0.000000", "0.000000")
    assert row["answer_max_ms"] == "0.000"


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="utf-8")), st.floats(allow_nan=False, allow_infinity=False))
def test_any_name_stays_in_its_cell(text: str, t: float) -> None:
    named = f"{text}[1]"
    rows = table(
        received(1, text, t),
        sent(2, text, t, 1),
        received(3, named, t),
        fleets={text: {"count": 2, "addresses": [text]}},
        expectations=[outcome(text, text)],
    )
    assert len(rows) == 2 + bool(text)
    assert rows[1]["received"] == "1"
    assert rows[1]["device"] == cell(text) + "[1]"


def test_a_fleet_too_large_for_the_table_has_the_devices_that_events_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "MOST_DEVICES", 4)
    fleets = {"meter": FLEETS["meter"], "lamp": {"count": 2, "addresses": []}}
    rows = table(received(1, "lamp[1]", 1.0), fleets=fleets)
    assert [row["device"] for row in rows] == ["meter[0]", "meter[1]", "meter[2]", "lamp[1]"]
    monkeypatch.setattr(devices, "MOST_OTHERS", 1)
    with pytest.raises(ValueError, match="more than 1 devices"):
        table(received(1, "lamp[0]", 1.0), received(2, "lamp[1]", 1.0), fleets=fleets)


def test_of_very_many_answers_the_percentiles_are_those_of_a_sample(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(devices, "MOST_ANSWERS", 400)
    happened: list[events.Event] = []
    for number in range(1, 4001):
        happened.append(received(2 * number, "meter[0]", float(number)))
        t = number + number / 10_000
        happened.append(sent(2 * number + 1, "meter[0]", t, 2 * number))
    (row, *_) = table(*happened)
    assert row["answers"] == "4000"
    assert float(row["answer_p50_ms"]) == pytest.approx(200, abs=40)
    assert float(row["answer_max_ms"]) == pytest.approx(400, abs=0.01)


def test_memory_does_not_grow_with_the_run() -> None:
    made = DeviceTable(RunResult(scenario="a", path="", seed=1, fleets=FLEETS))

    def lines(count: int, first: int) -> Any:
        for number in range(first, first + count):
            yield from ENCODER.encode([received(number, "meter[0]", float(number))]).splitlines()

    made.read(lines(2 * devices.ASKED, 1))
    tracemalloc.start()
    try:
        made.read(lines(20_000, 2 * devices.ASKED + 1))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000
