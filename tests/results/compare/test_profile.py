"""A run as figures, held against what is counted plainly."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.results.compare.made import lines_of, outcome, profile, received, result, sent

from iotsim.events import GatewayFigures, GatewayLife, GatewayResult
from iotsim.results.compare.profile import Profile, expectation_states, profile_of
from iotsim.results.compare.spread import Spread

DEVICES = ["meter[0]", "meter[1]"]


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Events of two devices and a gateway, in the order of time."""
    events: list[dict[str, Any]] = []
    t, requests = 0.0, []
    for number in range(1, draw(st.integers(0, 40)) + 1):
        t += draw(st.integers(1, 2000)) / 1000
        device = draw(st.sampled_from(DEVICES))
        layer = draw(st.sampled_from(["", "", "wire", "application"]))
        if draw(st.booleans()):
            events.append(received(t, device, number, kind="READ", layer=layer))
            requests.append((device, number))
        else:
            asked = draw(st.sampled_from([(device, 0), *requests]))
            events.append(sent(t, asked[0], number, asked[1], kind="REPORT", layer=layer))
    return events


@given(conversations())
def test_figures_are_those_of_the_events(events: list[dict[str, Any]]) -> None:
    told = profile(events)
    passing = [one for one in events if one["layer"] != "application"]
    counts = Counter((one["event"], one["device"]) for one in passing)
    assert told.received == sum(one["event"] == "received" for one in passing)
    assert told.sent == sum(one["event"] == "sent" for one in passing)
    for device, one in told.devices.items():
        assert (one.received, one.sent) == (counts["received", device], counts["sent", device])
    plain = [one for one in events if one["layer"] != "wire"]
    answers, intervals, latencies = [], [], []
    for place, one in enumerate(plain):
        earlier = [other for other in plain[:place] if other["device"] == one["device"]]
        if one["event"] == "sent":
            asked = [other for other in plain[:place] if other["id"] == one["in_reply_to"]]
            first = all(other.get("in_reply_to") != one["in_reply_to"] for other in plain[:place])
            if one["in_reply_to"] and asked and first:
                answers.append(one["t"] - asked[0]["t"])
            continue
        heard = [place for place, other in enumerate(earlier) if other["event"] == "received"]
        if heard:
            intervals.append(one["t"] - earlier[heard[-1]]["t"])
        since = earlier[heard[-1] + 1 :] if heard else earlier
        said = [other["t"] for other in since if not other["in_reply_to"]]
        if said:
            latencies.append(one["t"] - said[0])
    for name, times in (("answer", answers), ("interval", intervals), ("latency", latencies)):
        spread = getattr(told, name)
        assert spread.count == len(times)
        assert spread.percentiles == Spread(times).percentiles()


def test_whom_an_answer_comes_from_counts() -> None:
    events = [sent(1.0), received(1.5, peer="10.77.0.2:1"), received(2.0)]
    assert profile(events).latency.percentiles["p50"].value == pytest.approx(1.0, rel=0.01)


def test_lines_that_are_no_events_are_passed_over() -> None:
    good = lines_of([received(1.0, kind="READ")])
    bad = [
        b"",
        b"\n",
        b"null\n",
        b"[1]\n",
        b'{"event":"received"}\n',
        b'{"event":"received","t":"now","device":"meter[0]"}\n',
        b'{"event":"received","t":1.0,"device":7}\n',
        b'{"event":"received","t":1.0,"message":[1]}\n',
        b'{"event":"northbound","t":1.0,"service":null}\n',
        b"[" * 100_000 + b"\n",
        b"\xff\xfe\n",
        b'{"event":"sent","t":1.0,"device":"meter[0]","mess',
    ]
    told = profile_of(result(), [*bad, *good, *bad])
    assert (told.received, told.sent) == (1, 0)


def test_times_that_run_backwards_do_no_harm() -> None:
    told = profile([received(5.0, number=1), sent(1.0, to=1), received(2.0, number=2)])
    assert told.answer.count == told.interval.count == 1


def test_a_run_without_messages_says_so() -> None:
    assert not profile([], counters={"link.received": 5}).messages
    assert not profile([], counters={"link.sent": 5}).messages
    assert profile([], counters={}).messages  # it was as quiet as that
    garbage = {"event": "undecodable", "t": 1.0, "device": "meter[0]"}
    assert profile([garbage], counters={"link.received": 5}).messages


def test_what_the_gateway_used() -> None:
    gateway = GatewayResult(
        command=["gw"],
        lives=[GatewayLife(pid=1, started=0.0, crashed=True), GatewayLife(pid=2, started=1.0)],
        figures=GatewayFigures(samples=3, memory=1000, cpu=0.25),
    )
    told = profile(gateway=gateway).gateway
    assert told == {"starts": 2, "crashes": 1, "memory": 1000, "cpu": 0.25}
    assert profile().gateway == {}


def test_expectations_of_one_name_are_told_apart() -> None:
    states = expectation_states([outcome("a"), outcome("a", "failed"), outcome("a", "warning")])
    assert states == {"a": "passed", "a (2)": "failed", "a (3)": "warning"}


def test_hostile_fleets_do_no_harm() -> None:
    fleets = {"a": {"count": "many"}, "b": {}, "c": {"count": True}, "d": {"count": 2}}
    assert profile(fleets=fleets).fleets == {"d": 2}


@given(conversations())
def test_a_profile_is_the_same_when_it_is_read_back(events: list[dict[str, Any]]) -> None:
    told = profile(events)
    assert msgspec.json.decode(msgspec.json.encode(told), type=Profile) == told
