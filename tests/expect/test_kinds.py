"""Each kind of expectation with each quantifier that changes it, as short transcripts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.expect.transcript import COMMAND, READ, FakeDevice, Transcript, expectation

from iotsim.expect.judge import Judge
from iotsim.expect.slots import FleetView
from iotsim.expect.spec import DeviceSelection, ExpectSpec, GatewayExpectation
from iotsim.match import compile_match
from iotsim.match.pattern import Pattern


def test_within_is_settled_when_the_last_device_has_heard() -> None:
    run = Transcript(expectation("within", within_s=5.0))
    assert run.judge.next_deadline() == pytest.approx(5.0)
    run.hear(0, 0.1)
    run.hear(1, 0.2)
    assert not run.judge.settled
    run.hear(2, 0.3)
    assert run.judge.settled
    assert run.judge.observers("meter", "receives") == []
    assert run.judge.next_deadline() is None
    assert run.end().passed


def test_within_names_who_is_missing_and_what_it_heard_instead() -> None:
    run = Transcript(expectation("within", within_s=5.0))
    run.hear(0, 0.1)
    run.hear(1, 0.5, COMMAND)
    run.hear(1, 0.6, COMMAND)
    run.judge.advance(5.0)
    assert not run.judge.settled  # what comes at 5.0 would be in time
    due = run.judge.next_deadline()
    assert due is not None
    run.judge.advance(due)
    assert run.judge.settled
    (decision,) = run.judge.take_decisions(5.01)
    told = decision.outcome
    assert (decision.t, told.t, told.passed) == (5.01, 5.0, False)
    assert told.devices == ("meter[1]", "meter[2]")
    assert run.judge.take_decisions(5.02) == []
    outcome = run.end()
    assert not outcome.passed
    assert outcome.devices == ("meter[1]", "meter[2]")
    assert outcome.total == 2
    assert outcome.details[0].startswith("heard 2 messages; nearest: kind was COMMAND instead of")
    assert outcome.details[1] == "heard nothing in that time"
    assert outcome.nearest.startswith("meter[1]: heard 2 messages")
    assert outcome.expected.startswith("each of meter (3 devices) receives kind")
    assert outcome.expected.endswith("within 5 s")
    assert outcome.actual == "2 of 3 did not: meter[1], meter[2]"
    assert outcome.t == 5.0


def test_a_silent_gateway_is_reported_once() -> None:
    run = Transcript(expectation("within", within_s=5.0))
    run.judge.advance(5.001)
    outcome = run.end(gateway_heard=False)
    assert run.notes == [
        "Nothing was heard from the gateway at all: no message reached any device."
    ]
    assert outcome.nearest == ""
    assert outcome.details == ()


def test_the_caller_may_know_better_whether_the_gateway_was_heard() -> None:
    for kind, fields, heard, notes in (
        ("within", {"within_s": 5.0}, True, 0),
        ("never", {}, False, 1),
        ("never", {"direction": "sends"}, False, 0),
        ("never", {}, None, 0),
    ):
        judge = Transcript(expectation(kind, **fields)).judge
        assert len(judge.finish(9.0, gateway_heard=heard).notes) == notes


def test_progress_counts_what_is_decided() -> None:
    run = Transcript(expectation("within", within_s=5.0, quantifier="any"), expectation("never"))
    assert run.judge.verdicts() == [None, None]
    run.hear(0, 1.0)
    assert None not in run.judge.verdicts()
    run.judge.advance(1.0)
    first, second = (decision.outcome for decision in run.judge.take_decisions(1.1))
    assert (first.passed, first.t, second.passed, second.t) == (True, 1.0, False, 1.0)


def test_a_message_that_nobody_watches_for_is_still_one() -> None:
    run = Transcript(expectation("within", within_s=5.0))
    run.judge.undecodable(FakeDevice(1), 1.0, "the checksum is wrong")
    outcome = run.end()
    assert run.notes == ["1 datagram of the gateway could not be decoded: the checksum is wrong"]
    heard = "heard 1 datagram that could not be decoded (the checksum is wrong)"
    assert heard in outcome.details


def test_within_counts_from_the_boot_of_a_device() -> None:
    spec = expectation("within", within_s=1.0)
    run = Transcript(spec, boot_time=lambda index: index * 2.0, booted_by=lambda: 4.0)
    assert run.judge.next_deadline() == pytest.approx(5.0)
    run.hear(0, 1.5)  # too late
    run.hear(1, 2.9)
    run.hear(2, 4.9)
    run.judge.advance(5.001)
    outcome = run.end()
    assert outcome.devices == ("meter[0]",)
    assert "the right one came 500 ms too late (t=1.500 s)" in outcome.nearest


def test_within_before_the_gateway_is_ready() -> None:
    judge = Judge([expectation("within", within_s=1.0)], {"meter": FleetView("meter", 3)})
    assert judge.next_deadline() is None
    for index in range(3):
        for observe in judge.observers("meter", "receives"):
            observe(FakeDevice(index), READ, 0.5)
    assert judge.settled
    judge = Judge([expectation("within", within_s=1.0)], {"meter": FleetView("meter", 3)})
    (outcome,) = judge.finish(3).outcomes
    assert "the gateway was never ready" in outcome.actual


def test_a_run_that_ends_early_says_so() -> None:
    run = Transcript(expectation("within", within_s=5.0))
    assert "before the 5 s were over" in run.end(2.0).actual


def test_tolerance_scales_windows() -> None:
    assert Transcript(
        expectation("within", within_s=5.0), tolerance=2
    ).judge.next_deadline() == pytest.approx(10)


@pytest.mark.parametrize(
    ("quantifier", "heard", "passed"),
    [
        ("any", [], False),
        ("any", [2], True),
        ("none", [], True),
        ("none", [1], False),
        ("all", [], False),
        ("all", [0], True),
        ("each", [0, 1], False),
    ],
)
def test_quantifiers_of_within(quantifier: str, heard: list[int], passed: bool) -> None:
    run = Transcript(expectation("within", within_s=5.0, quantifier=quantifier))
    for index in heard:
        run.hear(index, 1.0)
    assert run.judge.settled == (bool(heard) and quantifier != "each")
    run.judge.advance(5.001)
    assert run.judge.settled
    assert run.end().passed == passed


def test_any_shows_the_nearest_of_all() -> None:
    run = Transcript(expectation("within", within_s=5.0, quantifier="any"), count=100)
    spec = expectation(
        "within",
        within_s=5.0,
        quantifier="any",
        match={"kind": "READ", "seq": 4},
        devices=(DeviceSelection("meter", range(100)),),
    )
    run = Transcript(spec, count=100)
    run.hear(3, 1.0, {"kind": "COMMAND", "seq": 1})
    run.hear(70, 1.0, {"kind": "READ", "seq": 3})
    outcome = run.end()
    assert outcome.nearest.startswith("meter[70]: heard 1 message; nearest: seq was 3")
    assert outcome.total == 100
    assert len(outcome.devices) == 20
    assert outcome.actual.startswith("none of the 100 did")


def test_never_fails_at_once_and_names_all_that_follow() -> None:
    run = Transcript(expectation("never"))
    run.hear(0, 1.0, COMMAND)
    assert not run.judge.settled
    run.hear(1, 2.0)
    assert run.judge.settled
    run.hear(1, 2.1)
    run.hear(2, 3.0)
    outcome = run.end()
    assert not outcome.passed
    assert outcome.t == 2.0
    assert outcome.devices == ("meter[1]", "meter[2]")
    assert outcome.actual == "2 of 3 did: meter[1], meter[2]"
    assert outcome.nearest == "meter[1]: kind=READ (t=2.000 s)"


def test_never_holds_only_at_the_end() -> None:
    run = Transcript(expectation("never"))
    run.judge.advance(100.0)
    assert not run.judge.settled
    assert run.end().passed
    assert run.judge.settled


def test_never_over_the_pool_names_the_device() -> None:
    run = Transcript(expectation("never", quantifier="all"))
    run.hear(2, 3.0)
    outcome = run.end()
    assert not outcome.passed
    assert outcome.actual == "meter[2]: kind=READ (t=3.000 s)"


def test_always_shows_the_field_that_broke_it() -> None:
    run = Transcript(expectation("always", always=compile_match({"version": 1})))
    run.hear(0, 1.0, {"kind": "READ", "version": 1})
    run.hear(0, 1.1, {"kind": "COMMAND", "version": 9})
    assert not run.judge.settled
    run.hear(1, 1.2, {"kind": "READ", "version": 2})
    assert run.judge.settled
    outcome = run.end()
    assert outcome.devices == ("meter[1]",)
    assert "version was 2 instead of" in outcome.nearest


def test_always_without_a_message_holds() -> None:
    assert Transcript(expectation("always", always=compile_match({"version": 1}))).end().passed


def test_a_minimum_is_settled_when_it_is_reached() -> None:
    run = Transcript(expectation("count", count_min=2))
    for t in (1.0, 2.0):
        for index in range(3):
            assert not run.judge.settled
            run.hear(index, t)
    assert run.judge.settled
    assert run.end().passed


def test_a_minimum_that_is_missed() -> None:
    run = Transcript(expectation("count", count_min=2))
    run.hear(0, 1.0)
    run.hear(0, 2.0)
    run.hear(1, 1.0)
    run.hear(1, 2.0, COMMAND)
    outcome = run.end()
    assert outcome.devices == ("meter[1]", "meter[2]")
    came, nothing = outcome.details
    assert came == (
        "1 came: kind=READ (t=1.000 s); heard 2 messages in all; nearest: kind was COMMAND "
        "instead of READ (t=2.000 s)"
    )
    assert nothing == "heard nothing in that time"


def test_a_maximum_breaks_at_once() -> None:
    run = Transcript(expectation("count", count_min=1, count_max=2))
    for t in (1.0, 2.0):
        run.hear(0, t)
        run.hear(1, t)
    assert not run.judge.settled
    run.hear(0, 3.0)
    assert run.judge.settled
    outcome = run.end()
    assert outcome.devices == ("meter[0]", "meter[2]")
    assert outcome.details[0] == "3 came: t=1.000 s, t=2.000 s, and last kind=READ (t=3.000 s)"


def test_a_pooled_count_adds_up_all_devices() -> None:
    for messages, passed in ((2, False), (3, True), (5, True), (6, False)):
        run = Transcript(expectation("count", count_min=3, count_max=5, quantifier="all"))
        for number in range(messages):
            run.hear(number % 3, number)
        assert run.end().passed == passed


def test_a_maximum_rate_is_a_sliding_window() -> None:
    run = Transcript(expectation("count", count_max=2, per_s=1.0))
    for t in (0.0, 0.9, 1.0, 1.9, 2.0):
        run.hear(0, t)
        assert not run.judge.settled
    run.hear(0, 2.8)
    assert run.judge.settled
    outcome = run.end()
    assert outcome.devices == ("meter[0]",)
    assert "3 within 900 ms" in outcome.nearest


def test_once_a_second_may_be_exactly_a_second_apart() -> None:
    run = Transcript(expectation("count", count_max=1, per_s=1.0))
    for number in range(100):
        run.hear(0, 0.3 + number)
    assert run.end(200.0).passed


def test_a_minimum_rate_asks_every_complete_window() -> None:
    run = Transcript(expectation("count", count_min=1, per_s=2.0))
    for t in (0.5, 2.5, 4.5):
        for index in range(3):
            run.hear(index, t)
    assert run.judge.next_deadline() == 6.0
    run.judge.advance(6.0)
    assert not run.judge.settled
    run.hear(0, 6.5)
    run.hear(2, 7.5)
    run.judge.advance(8.0)
    assert run.judge.settled
    outcome = run.end(9.0)
    assert outcome.devices == ("meter[1]",)
    assert "0 came from t=6.000 s to t=8.000 s" in outcome.nearest


def test_an_incomplete_window_breaks_nothing_unless_there_was_no_other() -> None:
    run = Transcript(expectation("count", count_min=1, per_s=2.0))
    for index in range(3):
        run.hear(index, 0.5)
    assert run.end(3.9).passed
    outcome = Transcript(expectation("count", count_min=1, per_s=2.0)).end(1.0)
    assert not outcome.passed
    assert "the run ended before 2 s were over" in outcome.nearest


def test_windows_before_the_boot_of_a_device_do_not_count_for_it() -> None:
    spec = expectation("count", count_min=1, per_s=1.0)
    run = Transcript(spec, boot_time=lambda index: 1.5 * index, booted_by=lambda: 3.0)
    for window in range(5):
        for index in range(3):
            if window + 0.5 >= 1.5 * index:
                run.hear(index, window + 0.5)
    assert run.end(5.0).passed


def test_a_rate_of_both_kinds() -> None:
    run = Transcript(expectation("count", count_min=1, count_max=2, per_s=1.0))
    for t in (0.1, 0.2, 0.3, 1.5):
        run.hear(0, t)
    run.hear(1, 0.5)
    run.hear(2, 0.5)
    run.hear(2, 1.5)
    outcome = run.end(2.0)
    assert outcome.devices == ("meter[0]", "meter[1]")


@pytest.mark.parametrize("direction", ["receives", "sends"])
def test_the_direction_is_the_devices(direction: Any) -> None:
    spec = replace(expectation("within", within_s=1.0), direction=direction)
    run = Transcript(spec)
    other = {"receives": "sends", "sends": "receives"}[direction]
    assert len(run.judge.observers("meter", direction)) == 1
    assert run.judge.observers("meter", other) == []
    if direction == "sends":
        assert "nothing in that time" in run.end().details[0]
        assert run.notes == []


def test_undecodable_datagrams_can_be_expected() -> None:
    spec = expectation("within", within_s=1.0, match={"undecodable": True}, quantifier="any")
    run = Transcript(spec)
    run.hear(0, 0.5)
    run.judge.undecodable(FakeDevice(1), 0.6, "bad crc")
    assert run.judge.settled
    assert run.end().passed
    never = Transcript(expectation("never", match={"undecodable": True}))
    never.judge.undecodable(FakeDevice(1), 0.6, "bad crc")
    assert never.end().devices == ("meter[1]",)


def test_selections_by_slice_by_list_and_from_two_fleets() -> None:
    devices = (
        DeviceSelection("meter", range(0, 6, 2)),
        DeviceSelection("lamp", range(2)),
        DeviceSelection("meter", (1, 2)),
    )
    spec = expectation("within", within_s=1.0, devices=devices)
    fleets = {"meter": FleetView("meter", 6), "lamp": FleetView("lamp", 2)}
    judge = Judge([spec], fleets)
    judge.gateway_ready(0.0)
    for fleet, index in (("meter", 5), ("meter", 3), ("meter", 4), ("lamp", 1)):
        for observe in judge.observers(fleet, "receives"):
            observe(FakeDevice(index, fleet), READ, 0.5)
    judge.advance(1.0)
    (outcome,) = judge.finish(1.0).outcomes
    assert outcome.devices == ("meter[0]", "meter[2]", "lamp[0]", "meter[1]")
    assert outcome.expected.startswith("each of meter[0:6:2] (3 devices), lamp (2 devices), 2 of")


def test_a_single_device() -> None:
    devices = (DeviceSelection("meter", range(1, 2)),)
    run = Transcript(expectation("within", within_s=1.0, quantifier="device", devices=devices))
    run.hear(0, 0.5)
    run.judge.advance(1.0)
    outcome = run.end()
    assert outcome.actual == "meter[1] did not"
    assert outcome.expected.startswith("meter[1] receives kind")


def test_an_expression_that_fails_is_told_and_raises_nothing() -> None:
    spec = expectation("never", match={"kind": "=1 // msg.code == 1"})
    run = Transcript(spec)
    run.hear(0, 1.0, {"kind": "READ", "code": 0})
    assert run.end().error


def test_observers_leave_the_list_only_between_messages() -> None:
    specs = [expectation("within", within_s=5.0, quantifier="any") for _ in range(3)]
    run = Transcript(*specs)
    run.hear(0, 0.5)  # all three hear it, although each is satisfied by it
    assert run.judge.settled


def test_no_expectation_is_settled() -> None:
    judge = Judge([], {})
    assert judge.settled
    assert judge.next_deadline() is None
    assert judge.finish(1.0).outcomes == []


def gateway(**asked: Any) -> Judge:
    within_s = asked.pop("within_s", None)
    spec = ExpectSpec(
        name="gateway", kind="gateway", gateway=GatewayExpectation(**asked), within_s=within_s
    )
    judge = Judge([spec], {})
    judge.gateway_ready(1.0)
    return judge


def test_a_gateway_that_stays_up() -> None:
    judge = gateway(running=True, stdout_not=Pattern("Traceback"))
    judge.gateway_output("all is well", 2.0)
    assert not judge.settled
    assert judge.finish(9.0).outcomes[0].passed


def test_a_gateway_that_exits() -> None:
    judge = gateway(running=True)
    judge.gateway_exited(0, "", 2.0)
    assert judge.settled
    (outcome,) = judge.finish(9.0).outcomes
    assert (outcome.actual, outcome.t) == ("it exited with status 0", 2.0)


def test_a_gateway_that_prints_what_it_should_not() -> None:
    judge = gateway(stdout_not=Pattern("Traceback"))
    judge.gateway_output("Traceback (most recent call last):", 2.0)
    assert judge.settled
    assert "it printed" in judge.finish(9.0).outcomes[0].actual


def test_a_gateway_that_should_print_something_in_time() -> None:
    judge = gateway(stdout_contains="ready", within_s=2.0)
    assert judge.next_deadline() == 3.0
    judge.gateway_output("warming up", 2.0)
    judge.advance(3.0)
    assert judge.settled
    assert judge.finish(9.0).outcomes[0].actual == "it did not print ready"
    judge = gateway(stdout_contains="ready", stdout_regex=Pattern(r"poll \d+"), within_s=2.0)
    judge.gateway_output("ready: poll 12", 2.0)
    assert judge.settled
    assert judge.finish(9.0).outcomes[0].passed


def test_the_exit_status_of_a_gateway() -> None:
    judge = gateway(exit=3)
    assert judge.settled is False
    judge.gateway_exited(3, "", 2.0)
    assert judge.settled
    assert judge.finish(9.0).outcomes[0].passed
    judge = gateway(exit=3)
    judge.gateway_exited(None, "SIGSEGV", 2.0)
    assert judge.finish(9.0).outcomes[0].actual == "it was ended by SIGSEGV"
    assert gateway(exit=0).finish(9.0).outcomes[0].actual == "it was still running at the end"
    assert not gateway(running=False).finish(9.0).outcomes[0].passed


def test_none_fails_by_what_came_and_not_by_how_the_run_ended() -> None:
    run = Transcript(expectation("within", quantifier="none", within_s=5.0))
    run.hear(1, 0.2)
    outcome = run.end(1.0)
    assert not outcome.passed
    assert outcome.actual == "1 of 3 did: meter[1]"
    assert outcome.nearest == "meter[1]: kind=READ (t=0.200 s)"


def test_an_invariant_of_any_message_reads_well() -> None:
    spec = expectation("always", match={}, always=compile_match({"version": 1}))
    run = Transcript(spec)
    run.hear(0, 0.1, {"version": 2})
    assert run.end().expected.endswith("every message that it receives has version 1")
