"""What is told of sequences, latencies and deliveries, as short transcripts."""

from __future__ import annotations

import tracemalloc
from collections import deque
from typing import Any

from tests.expect.transcript import COMMAND, READ, FakeDevice, Transcript, expectation

from iotsim.expect.join import Join
from iotsim.expect.northbound import fleet_of
from iotsim.expect.pairing import echo_key
from iotsim.expect.spec import (
    DeliveredExpectation,
    DeviceSelection,
    ExpectSpec,
    LatencyExpectation,
    Look,
    Part,
)
from iotsim.match import Names, compile_match
from iotsim.northbound.fields import SCHEMAS
from iotsim.units import DurationRange, Tolerance

FLEET = (DeviceSelection("meter", range(3)),)
ONE = (DeviceSelection("meter", range(1)),)
SENT = Look(compile_match({"kind": "REPORT"}), "sends")
NAMES = Names((), None, None, SCHEMAS["http"])


def look(match: dict[str, Any], direction: Any = "receives", service: str = "") -> Look:
    return Look(compile_match(match), direction, service=service)


def backs_off(**fields: Any) -> ExpectSpec:
    parts = (
        Part(look(READ)),
        Part(look(READ), Tolerance(2.0, 0.1, 0.02)),
        Part(look(READ), DurationRange(3.0, 4.0)),
    )
    fields = {"devices": ONE, "parts": parts, "matcher": parts[0].look.matcher, **fields}
    return ExpectSpec(name="backs off", kind="sequence", **fields)


def test_a_sequence_that_fails_shows_the_gaps_seen_beside_those_asked() -> None:
    for times, told in (
        ((1.0, 3.0, 5.5), "part 3 of 3 (receives kind READ) came 500 ms too early"),
        ((1.0, 3.1, 8.1), "part 3 of 3 (receives kind READ) came 1 s too late"),
        ((1.0, 2.0), "part 2 of 3 (receives kind READ) came 800 ms too early"),
    ):
        run = Transcript(backs_off())
        for t in times:
            run.hear(0, t)
        assert run.judge.verdicts() == [False]
        detail = run.end().details[0]
        assert detail.startswith(told)
        assert detail.endswith(f"(t={times[-1]:.3f} s)")
    run = Transcript(backs_off())
    for t in (1.0, 3.0, 5.5):
        run.hear(0, t)
    assert "gaps seen: 2 s, 2.5 s; asked: 1.8 s to 2.2 s, 3 s to 4 s" in run.end().details[0]


def test_a_part_that_does_not_come_breaks_a_sequence_when_its_time_is_over() -> None:
    run = Transcript(backs_off())
    run.hear(0, 1.0)
    assert run.judge.alarms
    due = run.judge.next_deadline()
    assert due is not None
    assert 3.2 < due < 3.21
    run.judge.advance(3.2)
    assert run.judge.verdicts() == [None]  # what comes at the very deadline is in time
    run.judge.advance(due)
    assert run.judge.verdicts() == [False]
    told = run.end().details[0]
    assert told.startswith("part 2 of 3 (receives kind READ) did not come within 2.2 s")
    assert "gaps seen: none; asked: 1.8 s to 2.2 s" in told


def test_a_sequence_whose_first_part_never_came_tells_what_was_heard_instead() -> None:
    run = Transcript(backs_off())
    run.hear(0, 1.0, COMMAND)
    assert "nearest: kind was COMMAND instead of READ" in run.end().details[0]


def test_tolerance_widens_what_a_sequence_asks() -> None:
    run = Transcript(backs_off(), tolerance=2.0)
    for t in (0.0, 1.6, 9.6):
        run.hear(0, t)
    assert run.end().passed


def quick(bounds: dict[str, float], **fields: Any) -> ExpectSpec:
    keys = {"meter": echo_key(["seq"])}
    latency = LatencyExpectation(look(READ), look({"kind": "ACK"}), bounds, keys)  # type: ignore[arg-type]
    fields = {"devices": FLEET, "latency": latency, "matcher": latency.start.matcher, **fields}
    return ExpectSpec(name="quick", kind="latency", **fields)


def test_a_latency_tells_the_percentile_that_was_too_long_and_by_how_much_a_maximum_was() -> None:
    run = Transcript(quick({"p90": 0.1, "mean": 0.2}, quantifier="all"))
    for number in range(20):
        run.hear(0, number)
        run.hear(0, number + (0.05 if number else 0.5), {"kind": "ACK"})
        run.hear(1, number + 0.5)
        run.hear(1, number + (0.55 if number else 0.9), {"kind": "ACK"})
    assert run.end(30.0).passed  # two of 40 were late
    run = Transcript(quick({"p90": 0.1}, devices=ONE))
    for number, took in enumerate((0.05, 0.3)):
        run.hear(0, number)
        run.hear(0, number + took, {"kind": "ACK"})
    detail = run.end().details[0]
    assert detail == "p90 was about 300 ms instead of at most 100 ms (of 2 pairs, max 300 ms)"
    run = Transcript(quick({"max": 0.25}, devices=ONE))
    run.hear(0, 1.0)
    run.hear(0, 1.5, {"kind": "ACK"})
    assert run.judge.verdicts() == [False]
    assert run.end().details[0] == "one took 500 ms: 250 ms too late (t=1.500 s)"


def test_what_waits_for_longer_than_the_maximum_is_not_waited_for() -> None:
    run = Transcript(quick({"max": 0.25}, devices=ONE))
    run.hear(0, 1.0)
    due = run.judge.next_deadline()
    assert due is not None
    run.judge.advance(due)
    assert run.judge.verdicts() == [False]
    assert "after that of t=1.000 s, none came that receives kind ACK" in run.end().details[0]


def test_no_pair_at_all_shows_nothing() -> None:
    outcome = Transcript(quick({"p50": 1.0})).end()
    assert not outcome.passed
    assert outcome.total == 3


def test_a_million_pairs_take_no_more_memory_than_a_thousand() -> None:
    run = Transcript(quick({"p99": 0.1, "max": 5.0}, devices=ONE))
    (observe,) = run.judge.observers("meter", "receives")
    device: Any = FakeDevice(0)

    def pairs(first: int, count: int) -> None:
        for number in range(first, first + count):
            t = number / 100
            observe(device, {"kind": "READ", "seq": number}, t)
            observe(device, {"kind": "ACK", "seq": number}, t + 0.01)
            if number % 1000 == 0:
                run.judge.advance(t)

    pairs(0, 1000)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    pairs(1000, 20_000)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 200_000
    assert run.end(210.02).passed


def no_reading_lost(**fields: Any) -> ExpectSpec:
    written = fields.pop("match", "north.json.seq == msg.seq and north.json.value == msg.value")
    devices = fields.pop("devices", ONE)
    asked = {"minimum": 1, "maximum": 1, "within_s": 1.0, **fields}
    delivered = DeliveredExpectation(SENT, "cloud", Join(written, NAMES), **asked)
    matcher = SENT.matcher
    return ExpectSpec("lost", "delivered", "each", devices, "sends", matcher, delivered=delivered)


class Deliveries(Transcript):
    def send(self, seq: int, value: float, t: float, index: int = 0) -> None:
        self.judge.advance(t)
        for observe in self.judge.observers("meter", "sends"):
            observe(FakeDevice(index), {"kind": "REPORT", "seq": seq, "value": value}, t)

    def up(self, seq: int, value: float, t: float, status: int | None = 200) -> None:
        self.judge.advance(t)
        fields = {"path": "/", "json": {"seq": seq, "value": value}, "status": status}
        for observe in self.judge.northbound("cloud"):
            observe(None, fields, t)  # type: ignore[arg-type]


def test_a_delivery_says_which_readings_were_lost_doubled_changed_and_late() -> None:
    run = Deliveries(no_reading_lost(ordered=True))
    for seq in range(7):
        run.send(seq, 20.5, seq / 10)
    run.up(0, 20.5, 0.7)
    run.up(1, 20.5, 0.8, status=503)  # not answered well, so it did not come up
    run.up(2, 21.5, 0.9)  # changed
    run.up(3, 20.5, 1.0)
    run.up(3, 20.5, 1.1)  # doubled
    run.up(5, 20.5, 1.2)
    run.up(4, 20.5, 1.3)  # out of order
    run.up(6, 20.5, 2.0)  # late
    outcome = run.end(9.0)
    assert not outcome.passed
    told = outcome.details[0]
    assert "1 of 7 lost: kind=REPORT seq=1 value=20.5" in told
    assert "1 of 7 changed: kind=REPORT seq=2" in told
    assert "north.json.value was 21.5 instead of 20.5" in told
    assert "1 of 7 doubled: kind=REPORT seq=3" in told
    assert "1 of 7 late: kind=REPORT seq=6 value=20.5 (t=0.600 s) came 400 ms too late" in told
    assert outcome.times == (
        0.1,
    )  # when the one that was lost was sent, not when its time was over
    assert outcome.services == ("cloud",)


def test_the_end_looks_at_open_readings_once_however_many_devices_there_are() -> None:
    looks = []

    class Counted(deque[Any]):
        def __iter__(self) -> Any:
            looks.append(1)
            return super().__iter__()

    devices = (DeviceSelection("meter", range(100)),)
    run = Deliveries(no_reading_lost(devices=devices), count=100)
    (watcher,) = run.judge._all
    watcher._open = Counted()  # type: ignore[union-attr]
    run.send(0, 20.5, 9.5, 1)
    outcome = run.end()
    assert outcome.total == 100
    assert len(looks) == 1
    assert "before the time of its readings was over" in outcome.details[1]
    assert "before the time of its readings was over" not in outcome.details[0]


def test_more_are_lost_than_are_told_and_all_that_are_told_were_late() -> None:
    run = Deliveries(no_reading_lost())
    for seq in range(9):
        run.send(seq, 20.5, seq / 10)
    run.judge.advance(5.0)
    for seq in range(4):
        run.up(seq, 20.5, 5.0)
    (told,) = run.end(9.0).details
    assert told.startswith("5 of 9 lost; 4 of 9 late: kind=REPORT seq=0")


def test_what_made_each_device_fail_is_told_with_its_own_time() -> None:
    run = Deliveries(no_reading_lost(devices=FLEET))
    for seq in range(4):
        for index in range(3):
            run.send(seq, 20.5 + index, seq + index / 4, index)
            if seq != index:
                run.up(seq, 20.5 + index, seq + index / 4)
    outcome = run.end(9.0)
    assert outcome.devices == ("meter[0]", "meter[1]", "meter[2]")
    assert outcome.times == (0.0, 1.25, 2.5)
    assert outcome.details[1].startswith("1 of 4 lost: kind=REPORT seq=1 value=21.5 (t=1.250 s)")
    assert [outcome.moment(place) for place in range(4)] == [0.0, 1.25, 2.5, outcome.t]


def test_what_came_up_instead_begins_with_what_the_match_asks_for() -> None:
    run = Deliveries(
        no_reading_lost(match="north.json.seq == msg.seq and north.json.value < msg.value")
    )
    run.send(1, 20.5, 0.1)
    fields = {
        "headers": {"x": "y" * 300},
        "json": {"name": "z" * 300, "seq": 1, "value": 99},
        "status": 200,
    }
    for observe in run.judge.northbound("cloud"):
        observe(None, fields, 0.2)  # type: ignore[arg-type]
    assert "does not, in json.seq=1 json.value=99 json={name=zzz" in run.end(9.0).details[0]
    service = expectation(
        "never", devices=(DeviceSelection(fleet_of("cloud"), range(1)),), match={"status": 200}
    )
    run = Deliveries(service)
    run.up(1, 20.5, 0.5)
    assert run.end().nearest.startswith("status=200 json={seq=1 value=20.5} path=/")


def test_a_message_that_broke_it_and_the_end_of_a_window_are_such_times() -> None:
    run = Transcript(expectation("never"))
    run.hear(0, 1.5)
    run.hear(2, 3.5)
    assert run.end().times == (1.5, 3.5)
    run = Transcript(expectation("within", within_s=2.0))
    run.hear(0, 1.0)
    run.hear(2, 2.5)
    assert run.end().times == (2.0, 2.5)
    outcome = Transcript(expectation("count", count_min=2)).end()
    assert outcome.total == 3
    assert outcome.times == ()  # the end alone has shown it


def test_what_comes_up_much_later_again_is_doubled_unless_it_is_another_readings() -> None:
    for again, passed in ((False, False), (True, True)):
        run = Deliveries(no_reading_lost(match="north.json.value == msg.value"))
        run.send(1, 20.5, 0.1)
        run.up(1, 20.5, 0.2)
        if again:
            run.send(2, 20.5, 5.0)
        run.up(1, 20.5, 5.5)
        assert run.end(9.0).passed is passed


def test_where_no_reading_was_due_nothing_was_shown() -> None:
    run = Deliveries(no_reading_lost())
    assert not run.end(9.0).passed
    run = Deliveries(no_reading_lost())
    run.send(1, 20.5, 8.5)
    assert "before the time of its readings was over" in run.end(9.0).details[0]


def test_numbers_of_json_are_doubles() -> None:
    run = Deliveries(no_reading_lost(match="north.json.value == msg.value"))
    run.send(1, (1 << 53) + 1, 0.1)
    run.up(1, 2.0**53, 0.2)
    assert run.end(9.0).passed


def test_an_expectation_of_a_service_is_told_by_its_name() -> None:
    matcher = compile_match({"path": "/a"})
    devices = (DeviceSelection("northbound cloud", range(1)),)
    spec = ExpectSpec("up", "count", "device", devices, "receives", matcher, count_min=2)
    run = Deliveries(spec)
    run.up(1, 2.0, 0.5)
    outcome = run.end(gateway_heard=False)
    assert outcome.expected == "northbound cloud receives path '/a': at least 2"
    assert outcome.actual == "northbound cloud did not"
    assert outcome.devices == ()
    assert "heard 1 message" in outcome.nearest
    assert len(run.judge.northbound("other")) == 0
