"""A report is made of whatever stands in the events: cut off, foreign, absurd, huge, or meant to do harm."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.results.html import generated
from tests.results.html.generated import failed_outcome, read, report, run_ended, run_started
from tests.results.html.reading import cells, document_of, document_of_lines, messages

from iotsim.events import (
    DeviceFailed,
    Event,
    ExpectationDecided,
    GatewayOutput,
    Note,
    Received,
    StepDone,
)
from iotsim.results.fold import fold
from iotsim.results.html.data import encode_data, report_data
from iotsim.results.html.page import render_page
from iotsim.results.jsonl import EventEncoder, decode_events

PEER = "10.77.0.1:9"
LINES = [EventEncoder().encode([event]) for event in generated.events(40, 5)]
HARM = "</script><img src=x onerror=alert(1)>\x1b[2J\u202e\u2028\x00'\"&amp;"


def line(**fields: Any) -> bytes:
    return json.dumps(fields).encode() + b"\n"


def received(**fields: Any) -> bytes:
    usual = {"event": "received", "t": 1.0, "id": 1, "device": "meter[0]", "peer": PEER}
    return line(**(usual | {"protocol": "x", "message": {"kind": "READ"}} | fields))


@st.composite
def spoiled(draw: st.DrawFn) -> list[bytes]:
    """Lines of which some are cut, garbled, repeated, out of order or something else."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(1, len(lines) - 1))
        what = draw(st.integers(0, 5))
        one = lines[place]
        if what == 0:
            lines[place] = one[: draw(st.integers(0, len(one)))]
        elif what == 1:
            at = draw(st.integers(0, len(one) - 1)) if one else 0
            lines[place] = one[:at] + draw(st.binary(max_size=4)) + one[at + 1 :]
        elif what == 2:
            lines.append(one)
        elif what == 3:
            lines[place] = draw(st.sampled_from(lines))
        elif what == 4:
            text = draw(
                st.sampled_from(["1e308", "-1e308", "null", "-5", "1e9", "0", "1e400", "9"])
            )
            head, t, rest = one.partition(b'"t":')
            lines[place] = head + t + text.encode() + rest[rest.find(b",") :]
        else:
            lines[place] = draw(
                st.sampled_from([b"", b"\n", b"[" * 5000, b"{}", b"\xff\xfe", b"1"])
            )
    return lines


@settings(deadline=None)
@given(spoiled())
def test_spoiled_lines_spoil_nothing_else(lines: list[bytes]) -> None:
    document = document_of_lines(lines)
    readable = len(list(decode_events(lines)))
    assert document["run"]["lines"] - document["run"]["unreadable"] == readable
    assert len(messages(document)) == document["messages"]["total"]
    cells(document)


@settings(deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
    st.text(),
)
def test_messages_may_hold_anything(value: Any, name: str) -> None:
    events = [run_started(), Received(1.0, 1, "meter[0]", PEER, "x", {name: value, "kind": value})]
    (row,) = messages(document_of(events))
    assert len(row["message"]) == len({name, "kind"})


def test_a_run_that_was_killed_has_what_it_has_left() -> None:
    lines = [one for one in LINES if b"run-ended" not in one]
    document = document_of_lines([*lines, LINES[8][:40]])
    assert document["run"]["verdict"] == "running"
    assert document["run"]["ended"] is False
    assert document["run"]["unreadable"] == 1
    assert [one["state"] for one in document["expectations"]] == ["failed"]
    assert len(messages(document)) > 20


def test_events_without_their_begin_need_another_result() -> None:
    lines = LINES[5:]
    result = fold(decode_events(LINES))
    document = report_data(lambda: lines, result)
    assert document["run"]["scenario"] == "Polled"
    assert document["run"]["wall_time"] is None


def test_times_that_cannot_be_are_told_and_change_no_scale() -> None:
    lines = [
        EventEncoder().encode([run_started()]),
        received(t=1.0),
        received(t=1e300, id=2),
        received(t=-1e300, id=3),
        received(t=2.0, id=4),
    ]
    document = document_of_lines(lines)
    assert document["run"]["absurd_times"] == 2
    assert document["axis"]["end"] == 2.0
    assert [row["t"] for row in messages(document)] == [1_000_000, 1_000_000, 1_000_000, 2_000_000]


def test_times_of_output_that_cannot_be_are_those_of_what_was_before() -> None:
    lines = [
        EventEncoder().encode([run_started(1)]),
        line(event="gateway-output", t=2.0, line="a"),
        line(event="gateway-output", t=1e308, line="b"),
        line(event="northbound", t=-1e308, id=1, service="cloud", fields={}),
    ]
    document = document_of_lines(lines)
    assert document["output"]["t"] == [2.0, 2.0]
    assert document["northbound"]["t"] == [2.0]


def test_forged_numbers_and_lists_are_shown_as_they_may_be() -> None:
    about = {"count": 1, "protocols": 1.5, "addresses": [1, "10.77.1.1"]}
    started = run_started(wall_time=1e300, fleets={"meter": about})
    result = fold([started, run_ended(1e400)])
    result.counters["link.received"] = 10**30
    data = report_data(lambda: [EventEncoder().encode([started]), received()], result)
    (fleet,) = data["devices"]["fleets"]
    assert (fleet["protocols"], fleet["addresses"]) == ([], ["10.77.1.1"])
    assert str(10**30).encode() in render_page(data)


def test_ids_that_cannot_be_pair_nothing() -> None:
    lines = [
        EventEncoder().encode([run_started()]),
        received(id=2**80),
        received(id=-5),
        received(id=0),
        line(
            event="sent",
            t=1.5,
            id=7,
            device="meter[0]",
            peer=PEER,
            protocol="x",
            message={"seq": 1},
            in_reply_to=7,
        ),
    ]
    rows = messages(document_of_lines(lines))
    assert [row["reply"] for row in rows] == [-1, -1, -1, -1]


def test_what_no_number_of_javascript_can_hold_is_text() -> None:
    message = {"kind": "READ", "big": 2**64 - 1, "small": -(2**60), "fits": 2**53 - 1}
    events = [run_started(), Received(1.0, 1, "meter[0]", PEER, "x", message)]
    (row,) = messages(document_of(events))
    assert row["message"]["big"] == str(2**64 - 1)
    assert row["message"]["small"] == str(-(2**60))
    assert row["message"]["fits"] == 2**53 - 1


def test_gigantic_messages_are_cut() -> None:
    message = {
        "kind": "K" * 1_000_000,
        "text": "x" * 1_000_000,
        "list": list(range(100_000)),
        "deep": [],
    }
    inner = message["deep"]
    for _ in range(200):
        inner.append([])  # type: ignore[attr-defined]
        inner = inner[0]
    wide = {f"field{n}": n for n in range(5000)}
    events = [
        run_started(),
        *(Received(n / 10, n, "meter[0]", PEER, "x", message) for n in range(1, 60)),
        *(Received(10.0, 100 + n, "meter[0]", PEER, "x", wide | {str(n): n}) for n in range(30)),
        GatewayOutput(11.0, "y" * 3_000_000),
        Note(12.0, "z" * 3_000_000),
        DeviceFailed(12.0, "meter[0]", "e" * 1_000_000, "t" * 1_000_000),
    ]
    lines = [EventEncoder().encode([event]) for event in events]
    text = encode_data(report_data(lambda: lines, fold(decode_events(lines))))
    assert len(text) < 1_500_000


def test_names_of_anything_are_strays_and_not_too_many() -> None:
    names = [
        "",
        "meter",
        "meter[-1]",
        "meter[99]",
        "meter[00]",
        "meter[١]",
        HARM,
        "meter[0]x",
        "[0]",
    ]
    names += [f"x{n}[{n}]" for n in range(3000)]
    events = [run_started(), *(read(n + 1, 1.0, 0) for n in range(len(names)))]
    for event, name in zip(events[1:], names, strict=True):
        event.device = name  # type: ignore[attr-defined]
    document = document_of(events)
    strays = [fleet for fleet in document["devices"]["fleets"] if fleet.get("stray")]
    assert len(strays) == 1000
    assert sum(cell["received"] for cell in cells(document)) == 1000
    assert len(messages(document)) == len(names)


def test_nothing_that_is_shown_can_do_harm() -> None:
    outcome = failed_outcome(
        1.0, HARM, number=0, name=HARM, expected=HARM, actual=HARM, nearest=HARM, details=(HARM,)
    )
    events: list[Event] = [
        run_started(scenario=HARM, path=HARM, repeat=HARM, versions={HARM: HARM}),
        Received(0.5, 1, HARM, HARM, HARM, {HARM: HARM, "kind": HARM}, HARM, HARM, HARM),
        GatewayOutput(0.6, HARM),
        StepDone(0.7, HARM),
        ExpectationDecided(1.0, outcome),
        run_ended(2.0),
    ]
    lines = [EventEncoder().encode([event]) for event in events]
    document = report_data(lambda: lines, fold(decode_events(lines)))
    text = msgspec.json.encode(document).decode()
    for character in "\x1b\x00\u202e\u2028":
        assert character not in text
        assert f"\\u{ord(character):04x}" not in text.replace("\\\\", "")
    assert "<" not in encode_data(document)


def test_lone_surrogates_are_shown_escaped() -> None:
    raw = b'{"event":"gateway-output","t":1.0,"line":"a\\ud800b"}\n'
    told = EventEncoder().encode([run_started(), GatewayOutput(1.0, "a\ud800b")])
    document = document_of_lines([*told.splitlines(keepends=True), raw])
    assert document["output"]["line"][0] == "a\\ud800b"


def test_details_that_do_not_go_together_are_told_apart() -> None:
    outcome = failed_outcome(
        1.0, "meter[0]", "meter[1]", details=("came at t=1.000 s", "came at t=1 s"), number=0
    )
    document = document_of([run_started(), ExpectationDecided(1.0, outcome)])
    assert [group["devices"] for group in document["expectations"][0]["groups"]] == [
        ["meter[0]"],
        ["meter[1]"],
    ]


@pytest.mark.parametrize("count", [5000])
def test_many_expectations_marks_and_notes_are_bounded(count: int) -> None:
    events: list[Event] = [run_started()]
    for n in range(count):
        outcome = failed_outcome(n / 100, *[f"meter[{d}]" for d in range(20)], number=n)
        events += [ExpectationDecided(n / 100, outcome), Note(n / 100, f"note {n}")]
        events.append(StepDone(n / 100, f"step {n}"))
    lines = [EventEncoder().encode([event]) for event in events]
    document = report_data(lambda: lines, fold(decode_events(lines)))
    assert len(document["marks"]) <= 2000
    assert document["marks_left_out"]["note"] == count - 400
    assert document["marks_left_out"]["step"] == count - 400
    assert len(encode_data(document)) < 3_000_000


def test_an_answer_comes_long_after_its_request() -> None:
    events: list[Event] = [run_started(), read(1, 1.0, 0), report(2, 1e6, 0, 1), run_ended(1e6)]
    (latency,) = document_of(events)["latency"]
    assert latency["max"] == 1e6 - 1
