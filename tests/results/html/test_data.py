"""What a report's document tells is what the events tell: held against slow and obvious computations."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.results.html import generated
from tests.results.html.generated import failed_outcome, read, report, run_ended, run_started
from tests.results.html.reading import cells, document_of, messages

from iotsim.events import (
    Event,
    ExpectationDecided,
    FaultChanged,
    GatewayExited,
    GatewayOutput,
    GatewayPaused,
    GatewayReady,
    GatewayResumed,
    GatewayStarted,
    Impaired,
    Northbound,
    NoRule,
    NotSent,
    Received,
    Sent,
    SimulatorLag,
    StepDone,
    Undecodable,
    Unmatched,
)

DEVICES = 4
kinds = st.sampled_from(["READ", "WRITE", "PING"])
gaps = st.integers(0, 3_000_000).map(lambda us: us / 1e6)


@st.composite
def runs(draw: st.DrawFn) -> list[Event]:
    """The events of a run: requests, of which some are answered, later, once or several times."""
    events: list[Event] = [run_started(DEVICES)]
    t = 0.0
    open_requests: list[tuple[int, int]] = []
    for number in range(1, draw(st.integers(1, 40))):
        t = round(t + draw(gaps), 6)
        device = draw(st.integers(0, DEVICES - 1))
        what = draw(st.sampled_from(["read", "read", "answer", "tell", "undecodable", "not sent"]))
        name = f"meter[{device}]"
        if what == "answer" and open_requests:
            device, asked = draw(st.sampled_from(open_requests))
            events.append(report(number, t, device, asked))
        elif what == "tell":
            events.append(Sent(t, number, name, "10.77.0.1:9", "x", {"kind": draw(kinds)}))
        elif what == "undecodable":
            events.append(Undecodable(t, number, name, "10.77.0.1:9", "x", "bad", "crc", 7, "0aff"))
        elif what == "not sent":
            events.append(NotSent(t, name, "no route", impaired="lossy", message={"seq": number}))
        else:
            message = {"kind": draw(kinds), "seq": number, "deep": {"list": [1, {"x": None}]}}
            befell = draw(st.sampled_from([("", ""), ("lossy", "lost"), ("slow", "delayed")]))
            events.append(Received(t, number, name, "10.77.0.1:9", "x", message, "", *befell, 0.25))
            open_requests.append((device, number))
    events.append(run_ended(t + 0.5))
    return events


def of(events: list[Event], *kinds: type[Event]) -> list[Any]:
    return [event for event in events if isinstance(event, kinds)]


@settings(deadline=None)
@given(runs())
def test_every_message_is_there_as_its_event_tells_of_it(events: list[Event]) -> None:
    document = document_of(events)
    rows = messages(document)
    told = of(events, Received, Sent, Undecodable, NotSent)
    assert document["messages"]["whole"]
    assert document["messages"]["total"] == len(rows) == len(told)
    place_of = {event.id: place for place, event in enumerate(told) if hasattr(event, "id")}
    for row, event in zip(rows, told, strict=True):
        assert row["t"] == round(event.t * 1e6)
        assert row["device"] == event.device
        assert row["id"] == getattr(event, "id", 0)
        assert row["peer"] == getattr(event, "peer", "")
        assert row["message"] == getattr(event, "message", None)
        assert row["impaired"] == getattr(event, "impaired", "")
        assert row["fate"] == getattr(event, "fate", "")
        assert row["delay"] == getattr(event, "delay_s", 0)
        asked = getattr(event, "in_reply_to", 0)
        assert row["reply"] == (place_of[asked] if asked else -1)
    texts = {row["what"]: row["text"] for row in rows if row["text"]}
    assert texts.items() <= {"undecodable": "bad (at crc)", "not sent": "no route"}.items()


@settings(deadline=None)
@given(runs())
def test_rates_are_the_messages_that_came_and_went_in_each_span(events: list[Event]) -> None:
    document = document_of(events)
    bins, width = document["axis"]["bins"], document["axis"]["width"]
    assert bins <= 300
    assert (bins - 1) * width <= document["axis"]["end"] < bins * width
    expected: Counter[tuple[str, str, int]] = Counter()
    for event in of(events, Received, Sent, Undecodable):
        name = {Received: "received", Sent: "sent"}.get(type(event), "undecodable")
        kind = event.message["kind"] if name != "undecodable" else "x"
        (place,) = [i for i in range(bins) if i * width <= event.t < (i + 1) * width]
        expected[name, kind, place] += 1
    told: Counter[tuple[str, str, int]] = Counter()
    for rate in document["rates"]:
        kind = document["strings"][rate["kind"]]
        assert rate["total"] == sum(rate["over_time"])
        assert len(rate["over_time"]) == bins
        if rate["direction"] != "not-sent":
            told.update(
                {(rate["direction"], kind, i): n for i, n in enumerate(rate["over_time"]) if n}
            )
    assert told == expected


def slow_percentile(values: list[float], percent: int) -> float | None:
    """The smallest value that is no smaller than `percent` of them."""
    enough = [v for v in values if sum(w <= v for w in values) * 100 >= percent * len(values)]
    return min(enough, default=None)


@settings(deadline=None)
@given(runs())
def test_latency_is_from_a_request_to_its_first_answer(events: list[Event]) -> None:
    document = document_of(events)
    pairs = {}
    for answer in of(events, Sent):
        for asked in of(events, Received):
            if asked.id == answer.in_reply_to and asked.id not in pairs:
                pairs[asked.id] = (asked, answer.t - asked.t)
    found = [one for one in document["latency"] if one["asker"] == "gateway"]
    if not pairs:
        assert not found
        return
    (latency,) = found
    took = [seconds for _, seconds in pairs.values()]
    answered_kinds = {asked.message["kind"] for asked, _ in pairs.values()}
    asked_kinds = Counter(asked.message["kind"] for asked in of(events, Received))
    assert latency["answered"] == len(pairs)
    assert latency["requests"] == sum(asked_kinds[kind] for kind in answered_kinds)
    width = document["axis"]["width"]
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99), ("max", 100)):
        assert latency[name] == pytest.approx(slow_percentile(took, percent), abs=1e-6)
        for place, value in enumerate(latency["over_time"][name]):
            here = [
                seconds
                for asked, seconds in pairs.values()
                if place * width <= asked.t < (place + 1) * width
            ]
            assert latency["over_time"]["count"][place] == len(here)
            slow = slow_percentile(here, percent)
            assert value == (None if slow is None else pytest.approx(slow, abs=1e-6))
    for one in latency["kinds"]:
        kind = document["strings"][one["kind"]]
        here = [seconds for asked, seconds in pairs.values() if asked.message["kind"] == kind]
        assert (one["answered"], one["requests"]) == (len(here), asked_kinds[kind])
        assert one["p90"] == pytest.approx(slow_percentile(here, 90), abs=1e-6)
    rows = messages(document)
    slowest = [rows[row]["id"] for row in latency["slowest"]]
    assert sorted(slowest) == sorted(pairs)
    assert [pairs[number][1] for number in slowest] == sorted(took, reverse=True)


@settings(deadline=None)
@given(runs())
def test_the_fleet_map_counts_what_each_device_received_and_sent(events: list[Event]) -> None:
    document = document_of(events)
    told = cells(document)
    assert len(told) == document["devices"]["total"] == DEVICES
    states = document["devices"]["states"]
    answered = {event.in_reply_to for event in of(events, Sent)}
    for device, cell in enumerate(told):
        own = [e for e in events if getattr(e, "device", "") == f"meter[{device}]"]
        received, sent = of(own, Received), of(own, Sent)
        trouble = of(own, Undecodable, NotSent)
        assert cell["received"] == len(received)
        assert cell["sent"] == len(sent)
        assert cell["undecodable"] + cell["not_sent"] == len(trouble)
        assert cell["unanswered"] == len([one for one in received if one.id not in answered])
        assert cell["last"] == (round(own[-1].t, 6) if own else None)
        state = "troubled" if trouble else "spoke" if sent else "heard" if received else "silent"
        assert states[cell["state"]] == state
        assert cell["silent"] == (state == "silent")
    assert document["devices"]["counts"] == Counter(states[cell["state"]] for cell in told)


def test_answers_of_the_gateway_are_inferred_from_what_they_repeat() -> None:
    asks = {"kind": "PING", "seq": 5, "token": "hex:"}
    events = [
        run_started(),
        Sent(1.0, 1, "meter[0]", "10.77.0.1:9", "x", asks),
        Sent(1.1, 2, "meter[1]", "10.77.0.1:9", "x", asks),
        Received(
            1.2, 3, "meter[1]", "10.77.0.1:8", "x", {"kind": "PONG", "seq": 5}
        ),  # another peer
        Received(1.3, 4, "meter[1]", "10.77.0.1:9", "x", {"kind": "PONG", "seq": 6}),
        Received(1.5, 5, "meter[0]", "10.77.0.1:9", "x", {"kind": "PONG", "seq": 5}),
        # Not an answer, since the device answers it.
        Received(1.6, 6, "meter[1]", "10.77.0.1:9", "x", {"kind": "READ", "seq": 5}),
        Sent(1.7, 7, "meter[1]", "10.77.0.1:9", "x", {"kind": "REPORT", "seq": 5}, in_reply_to=6),
        run_ended(2.0),
    ]
    document = document_of(events)
    assert document["messages"]["inferred"] == [[4, 0]]
    by_asker = {one["asker"]: one for one in document["latency"]}
    device = by_asker["device"]
    assert (device["inferred"], device["requests"], device["answered"]) == ("seq", 2, 1)
    assert device["p50"] == 0.5
    assert by_asker["gateway"]["answered"] == 1


def test_expectations_come_with_the_messages_around_the_failure() -> None:
    failed = failed_outcome(3.0, "meter[1]", "meter[2]", number=1, total=30)
    passed = failed_outcome(2.0, number=0, passed=True, name="all is well")
    doubtful = failed_outcome(2.0, number=2, inconclusive="lag", devices=("meter[3]",))
    events = [
        run_started(),
        GatewayOutput(0.1, "ready"),
        *[read(n, n / 10, n % 2) for n in range(1, 60)],
        *(ExpectationDecided(3.0, outcome) for outcome in (failed, passed, doubtful)),
        run_ended(6.0),
    ]
    document = document_of(events)
    assert [one["state"] for one in document["expectations"]] == [
        "passed",
        "failed",
        "inconclusive",
    ]
    failed_told = document["expectations"][1]
    assert failed_told["total"] == 30
    (group,) = failed_told["groups"]
    assert group["devices"] == ["meter[1]", "meter[2]"]
    rows = messages(document)
    around = [rows[row] for row in group["rows"]]
    assert {row["device"] for row in around} == {"meter[1]"}
    assert [row["t"] for row in around if row["t"] > 3e6]
    assert [row["t"] for row in around if row["t"] <= 3e6]
    assert {rows[row]["device"] for row in failed_told["rows"]} == {"meter[0]", "meter[1]"}
    assert document["output"]["line"][failed_told["output"][0]] == "ready"
    states = document["devices"]["states"]
    found = [states[cell["state"]] for cell in cells(document)[:4]]
    assert found == ["heard", "failed", "failed", "in doubt"]


def test_what_made_a_device_fail_is_shown_and_not_when_that_was_decided() -> None:
    texts = "1 of 9 lost: seq=2 (t=0.500 s)", "1 of 9 changed: seq=5: value was 1 (t=1.000 s)"
    failed = failed_outcome(
        90.0, "meter[0]", "meter[1]", kind="delivered", details=texts, times=(0.5, 1.0)
    )
    polled = [read(n, n / 10, n % 2) for n in range(1, 1000)]
    document = document_of(
        [run_started(), *polled, ExpectationDecided(90.0, failed), run_ended(99.0)]
    )
    rows = messages(document)
    (told,) = document["expectations"]
    assert [group["t"] for group in told["groups"]] == [0.5, 1.0]
    for group, lost in zip(told["groups"], (0.5, 1.0), strict=True):
        times = [rows[row]["t"] for row in group["rows"]]
        assert min(times) <= lost * 1e6 <= max(times) <= 10e6
    assert max(rows[row]["t"] for row in told["rows"]) <= 10e6
    assert told["t"] == 90.0


def test_the_time_axis_has_what_happened() -> None:
    nearest = Unmatched(
        fleet="meter",
        protocol="x",
        kind="kind=WRITE",
        count=1,
        t=1.0,
        device="meter[0]",
        nearest="r",
    )
    events = [
        run_started(),
        GatewayStarted(0.1, 7, ["gw"]),
        GatewayReady(0.2, "started"),
        StepDone(0.5, "first"),
        GatewayPaused(0.6),
        GatewayResumed(0.8),
        FaultChanged(1.0, "deaf", "freeze", "meter[0]", begun=True),
        NoRule(1.0, nearest),
        Impaired(1.1, "meter[0]", "lossy", "lost", 0.1, 3),
        SimulatorLag(1.2, 0.25, "the event loop"),
        FaultChanged(2.0, "deaf", "freeze", "meter[0]", begun=False),
        FaultChanged(2.1, "dead", "sleep", "meter[1]", begun=True),
        ExpectationDecided(2.2, failed_outcome(2.2, number=0)),
        ExpectationDecided(3.0, failed_outcome(2.2, number=0, actual="more is known")),
        GatewayExited(3.0, None, "SIGSEGV", crashed=True),
        Northbound(3.0, 1, "cloud", {"path": "/v1"}),
        run_ended(3.5),
    ]
    document = document_of(events)
    marks = [(mark["what"], mark["t"], mark.get("until", "")) for mark in document["marks"]]
    assert marks == [
        ("gateway-started", 0.1, 3.0),
        ("gateway-ready", 0.2, ""),
        ("step", 0.5, ""),
        ("gateway-paused", 0.6, 0.8),
        ("fault", 1.0, 2.0),
        ("lag", 1.2, ""),
        ("fault", 2.1, None),
        ("expectation", 2.2, ""),
        ("gateway-exited", 3.0, ""),
        ("run-ended", 3.5, ""),
    ]
    assert [mark["what"] for mark in document["marks"] if mark.get("bad")] == [
        "expectation",
        "gateway-exited",
        "run-ended",
    ]
    assert "more is known" in document["marks"][7]["text"]
    assert document["impairments"][0]["name"] == "lossy"
    assert [row["text"] for row in messages(document)] == ["kind=WRITE: r", ""]
    assert document["northbound"]["fields"] == [{"path": "/v1"}]


def test_the_same_events_make_the_same_document() -> None:
    events = list(generated.events(3000, 50))
    assert document_of(events) == document_of(events)


def test_bins_are_of_a_round_width() -> None:
    for end in (0.0, 1e-9, 0.3, 1.0, 59.99, 3600.0, 1e9):
        document = document_of([run_started(), StepDone(end, "x")])
        width = document["axis"]["width"]
        digits = width / 10 ** math.floor(math.log10(width) + 1e-9)
        assert min(abs(digits - round_one) for round_one in (1, 2, 5)) < 1e-6
        assert document["axis"]["bins"] <= 300
