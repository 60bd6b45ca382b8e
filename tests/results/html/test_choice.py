"""Which messages are kept whole where there is no room for all: what a reader looks for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests.results.html import generated
from tests.results.html.generated import failed_outcome, read, report, run_ended, run_started
from tests.results.html.reading import cells, document_of, messages

from iotsim.events import ExpectationDecided, NotSent, Undecodable
from iotsim.results.html import choice, fleet, second

if TYPE_CHECKING:
    from iotsim.events import Event

DEVICES = 40
ROOM = 1500


@pytest.fixture(autouse=True)
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MOST_ROWS", ROOM)
    monkeypatch.setattr(choice, "ENDS_SHOWN", 50)


@pytest.fixture(scope="module")
def events() -> list[Event]:
    """Of a run with ten times as many messages, in whose middle something happens."""
    made = list(generated.events(10 * ROOM, DEVICES))
    middle = len(made) // 2
    t = made[middle].t
    odd = [
        Undecodable(t, 90_001, "meter[3]", "10.77.0.1:9", "sensornet", "bad", "", None, "0a"),
        NotSent(t, "meter[4]", "no route"),
        read(90_002, t, 5),
        report(90_003, t + 0.4, 5, 90_002),
        ExpectationDecided(t, failed_outcome(t, "meter[7]", "meter[8]", number=1)),
    ]
    return sorted([*made, *odd], key=lambda event: event.t)


def test_what_a_reader_looks_for_is_kept(events: list[Event]) -> None:
    document = document_of(events)
    told, rows = document["messages"], messages(document)
    assert not told["whole"]
    assert f"{told['count']} of {told['total']}" in told["left_out"]
    assert len(rows) <= ROOM * 5 // 4
    assert len(rows) > ROOM // 2
    assert {row["what"] for row in rows} == {"received", "sent", "undecodable", "not sent"}
    failed = document["expectations"][1]
    (group,) = failed["groups"]
    t = failed["t"] * 1e6
    everything = [e for e in events if getattr(e, "device", "") == "meter[7]"]
    expected = [
        *[e.id for e in everything if e.t * 1e6 <= t][-choice.BEFORE :],  # type: ignore[attr-defined]
        *[e.id for e in everything if e.t * 1e6 > t][: choice.AFTER],  # type: ignore[attr-defined]
    ]
    assert [rows[row]["id"] for row in group["rows"]] == expected
    (slowest,) = (latency["slowest"] for latency in document["latency"])
    assert rows[slowest[0]]["id"] == 90_002
    assert [row["id"] for row in rows if row["reply"] == slowest[0]] == [90_003]


def test_what_is_said_to_be_whole_is_whole(events: list[Event]) -> None:
    document = document_of(events)
    told, rows = document["messages"], messages(document)
    count = Counter(row["device"] for row in rows)
    names = [document["strings"][number] for number in told["whole_devices"]]
    assert names
    by_device = {
        f"meter[{place}]": sum(
            cell[name] for name in ("received", "sent", "undecodable", "not_sent")
        )
        for place, cell in enumerate(cells(document))
    }
    assert all(count[name] == by_device[name] for name in names)
    assert told["spans"]
    ids = {row["id"] for row in rows}
    for begin, end in told["spans"]:
        within = [e for e in events if hasattr(e, "id") and hasattr(e, "device")]
        inside = [e for e in within if begin + 1e-6 < e.t < end - 1e-6]
        assert inside
        assert {e.id for e in inside} <= ids


def test_requests_and_answers_stay_together(events: list[Event]) -> None:
    rows = messages(document_of(events))
    ids = {row["id"] for row in rows}
    answered = {e.in_reply_to: e.id for e in events if getattr(e, "in_reply_to", 0)}
    alone = [number for asked, number in answered.items() if (asked in ids) != (number in ids)]
    assert not alone


def test_large_messages_leave_room_for_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "MOST_ROW_BYTES", 50_000)
    large = [run_started()]
    for number in range(1, 400):
        one = read(number, number / 100, number % 14)
        one.message = {"kind": "READ", "text": "x" * 1000}
        large.append(one)
    document = document_of([*large, run_ended(5.0)])
    assert 10 < document["messages"]["count"] < 65
    assert document["messages"]["total"] == 399


def test_messages_that_do_not_become_small_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    from iotsim.results.html import data

    monkeypatch.setattr(data, "MOST_MESSAGE_BYTES", 20_000)
    document = document_of(list(generated.events(3000, 10)))
    assert 50 < document["messages"]["count"] < 1000


def test_many_devices_share_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "MOST_CELLS", 11)
    document = document_of([run_started(1003), read(1, 1.0, 0), read(2, 1.1, 1002), run_ended(2.0)])
    (meter,) = document["devices"]["fleets"]
    assert (meter["per_cell"], meter["cells"], meter["count"]) == (101, 10, 1003)
    told = cells(document)
    assert [cell["received"] for cell in told] == [1, *[0] * 8, 1]
    assert [cell["silent"] for cell in told] == [100, *[101] * 8, 1003 - 9 * 101 - 1]
    assert sum(document["devices"]["counts"].values()) == 1003


def test_more_devices_than_can_be_told_apart_are_still_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet, "MOST_CELLS", 11)
    monkeypatch.setattr(fleet, "MOST_DEVICES", 1000)
    document = document_of([run_started(1 << 80), read(1, 1.0, 5), run_ended(2.0)])
    told = cells(document)
    assert len(told) <= 11
    assert [cell["received"] for cell in told] == [1, *[0] * (len(told) - 1)]
    assert {cell["silent"] for cell in told} == {None}


def test_output_is_kept_around_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    from iotsim.events import GatewayOutput

    monkeypatch.setattr(second, "MOST_OUTPUT", 100)
    lines = [GatewayOutput(n / 100, f"line {n}") for n in range(3000)]
    failed = ExpectationDecided(15.0, failed_outcome(15.0, "meter[0]", number=0))
    document = document_of(
        sorted([run_started(), *lines, failed, run_ended(31.0)], key=lambda event: event.t)
    )
    output = document["output"]
    assert (output["total"], output["count"]) == (3000, 100)
    assert {"line 0", "line 1500", "line 1510", "line 2999"} <= set(output["line"])
    near = [output["line"][place] for place in document["expectations"][0]["output"]]
    assert near == [f"line {n}" for n in range(1491, 1511)]
