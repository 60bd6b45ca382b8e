"""The events around a failure, and the summary that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.events import DeviceFailed, NotSent, Outcome, Received, Sent, Undecodable
from iotsim.results.context import device_context
from iotsim.results.jsonl import EventEncoder
from iotsim.results.result import GatewayResult, RunResult
from iotsim.results.summary import moments_wanted, summarize

if TYPE_CHECKING:
    from iotsim.events import Event

PEER = "10.77.0.1:40000"


def received(t: float, device: str = "meter[3]", **message: object) -> Received:
    return Received(t=t, id=1, device=device, peer=PEER, protocol="p", message=message)


def lines_of(*events: Event) -> list[bytes]:
    return EventEncoder({"p": ()}).encode(events).splitlines(keepends=True)


def test_the_messages_around_a_moment() -> None:
    lines = lines_of(*(received(float(t), seq=t) for t in range(20)))
    found = device_context(lines, {"meter[3]": 10.0}, before=3, after=2)
    assert [line.t for line in found["meter[3]"]] == [8.0, 9.0, 10.0, 11.0, 12.0]
    found = device_context(lines, {"meter[3]": None}, before=3, after=2)
    assert [line.t for line in found["meter[3]"]] == [17.0, 18.0, 19.0]


def test_only_the_devices_that_are_asked_for() -> None:
    lines = lines_of(received(1.0), received(2.0, "meter[33]"), received(3.0, "meter[4]"))
    found = device_context(lines, {"meter[3]": None, "meter[5]": None})
    assert [line.t for line in found["meter[3]"]] == [1.0]
    assert found["meter[5]"] == []
    assert device_context(lines, {}) == {}


def test_each_kind_of_event_of_a_device() -> None:
    lines = lines_of(
        received(1.0, kind="READ", seq=1),
        Sent(t=1.5, id=2, device="meter[3]", peer=PEER, protocol="p", message={"kind": "REPORT"}),
        Undecodable(2.0, 3, "meter[3]", PEER, "p", "bad crc", "crc", 12, "534e"),
        NotSent(t=3.0, device="meter[3]", reason="no gateway is known"),
        DeviceFailed(t=4.0, device="meter[3]", error="ValueError: x", traceback="..."),
    )
    found = device_context(lines, {"meter[3]": None})
    assert [str(line) for line in found["meter[3]"]] == [
        "t=1.000 s  received    kind=READ seq=1  from 10.77.0.1:40000",
        "t=1.500 s  sent        kind=REPORT  to 10.77.0.1:40000",
        "t=2.000 s  undecodable bad crc: hex:534e  from 10.77.0.1:40000",
        "t=3.000 s  not-sent    no gateway is known",
        "t=4.000 s  device-failed ValueError: x",
    ]


def test_what_befell_a_message_is_told_with_it() -> None:
    report, radio = {"kind": "REPORT"}, "lossy radio"
    lost = {"impaired": radio, "fate": "lost"}
    held = {"impaired": "lossy radio, slow", "delay_s": 0.7}
    lines = lines_of(
        Received(1.0, 1, "meter[3]", PEER, "p", {"kind": "READ"}, **lost),
        Sent(1.5, 2, "meter[3]", PEER, "p", report, **held),
        NotSent(2.0, "meter[3]", "lost", 1, radio, report),
        Undecodable(2.5, 3, "meter[3]", PEER, "p", "bad crc", "crc", 12, "534e", sent=True),
    )
    found = device_context(lines, {"meter[3]": None})
    assert [str(line) for line in found["meter[3]"]] == [
        "t=1.000 s  received    kind=READ  from 10.77.0.1:40000  [lossy radio: lost]",
        "t=1.500 s  sent        kind=REPORT  to 10.77.0.1:40000  [lossy radio, slow: 700 ms later]",
        "t=2.000 s  not-sent    kind=REPORT: lost  [lossy radio]",
        "t=2.500 s  undecodable bad crc: hex:534e  to 10.77.0.1:40000",
    ]


def test_a_file_that_was_cut_off() -> None:
    data = EventEncoder({"p": ()}).encode([received(1.0, seq=1), received(2.0, seq=2)])
    for end in range(len(data)):
        lines = data[:end].splitlines(keepends=True)
        found = device_context(lines, {"meter[3]": None})["meter[3]"]
        assert len(found) == (end >= len(data) // 2 - 1) + (end >= len(data) - 1)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40)), st.text(max_size=5))
def test_any_bytes_are_read(lines: list[bytes], name: str) -> None:
    wrapped = [b'{"device":"m[0]",' + line for line in lines]
    others = [b'{"device":"m[0]","t":1,"event":"sent","message":' + line + b"}" for line in lines]
    device_context([*lines, *wrapped, *others], {"m[0]": None, name: 1.0})


def failed_run() -> RunResult:
    failed = Outcome(
        name="every meter is polled",
        kind="within",
        passed=False,
        severity="error",
        expected="each of meter (14 devices) receives kind READ within 5 s",
        actual="2 of 14 did not: meter[3], meter[4]",
        nearest="meter[3]: heard 1 message",
        devices=("meter[3]", "meter[4]"),
        details=("heard 1 message", "heard nothing in that time"),
        total=2,
        place="polls.toml:20",
        t=5.0,
    )
    held = Outcome(
        name="nobody reboots",
        kind="never",
        passed=True,
        severity="error",
        expected="",
        actual="none of 14 did",
    )
    return RunResult(
        scenario="polls",
        path="polls.toml",
        seed=7,
        verdict="failed",
        reason="every meter is polled: 2 of 14 did not: meter[3], meter[4]",
        duration_s=5.02,
        expectations=[failed, held],
        repeat="iotsim run polls.toml --seed 7",
    )


def failed(name: str, *details: str, nearest: str = "", **fields: Any) -> Outcome:
    """An expectation that failed for meter[0] and those that follow it, one for each of `details`."""
    devices = tuple(f"meter[{index}]" for index in range(len(details)))
    return Outcome(
        name=name,
        kind="within",
        passed=False,
        severity="error",
        expected="…",
        actual="…",
        devices=devices,
        details=details,
        nearest=nearest,
        total=len(devices),
        **fields,
    )


def run_of(*outcomes: Outcome, **fields: Any) -> RunResult:
    verdict = fields.pop("verdict", "failed")
    return RunResult(
        scenario="polls", path="polls.toml", seed=7, verdict=verdict,
        expectations=list(outcomes), **fields,
    )  # fmt: skip


def test_the_summary_of_a_failed_run() -> None:
    result = failed_run()
    moments = moments_wanted(result.expectations)
    assert moments == {"meter[3]": 5.0, "meter[4]": 5.0}
    context = device_context(lines_of(received(1.0, kind="COMMAND")), moments)
    summary = summarize(result, context)
    broken, held = summary.rows
    assert (broken.name, broken.state) == ("every meter is polled", "failed")
    assert broken.facts == (
        ("expected", "each of meter (14 devices) receives kind READ within 5 s"),
        ("actual", "2 of 14 did not: meter[3], meter[4]"),
        ("nearest", "meter[3]: heard 1 message"),
        ("also", "meter[4]: heard nothing in that time"),
        ("stands in", "polls.toml:20"),
    )
    ((device, lines),) = broken.context
    assert device == "meter[3]"
    assert list(map(str, lines)) == [
        "t=1.000 s  received    kind=COMMAND  from 10.77.0.1:40000",
    ]
    assert (held.name, held.state, held.told) == ("nobody reboots", "passed", "none of 14 did")
    assert summary.title == "polls (seed 7, 5.0 s)"
    assert summary.reason == ""  # its row says that
    assert summary.repeat == "iotsim run polls.toml --seed 7"


def test_devices_that_failed_alike_are_told_of_together() -> None:
    nothing = "heard nothing in that time"
    late = [f"the right one came {n}0 ms too late (t={5 + n}.000 s)" for n in range(1, 4)]
    outcome = failed("polled", nothing, nothing, *late, nothing, nearest=f"meter[2]: {late[0]}")
    facts = dict(summarize(run_of(outcome)).rows[0].facts)
    assert facts["nearest"] == (
        "meter[2:5]: the right one came 10 ms too late (t=6.000..8.000 s); the others alike"
    )
    assert facts["also"] == "meter[0], meter[1], meter[5]: heard nothing in that time"


def test_the_messages_around_a_device_are_shown_once_in_a_run() -> None:
    outcomes = [failed("one", "a", "a", t=1.0), failed("two", "b", "c", t=2.0)]
    moments = moments_wanted(outcomes)
    assert moments == {"meter[0]": 1.0, "meter[1]": 2.0}
    lines = lines_of(*(received(1.0, f"meter[{n}]", seq=n) for n in range(2)))
    one, two = summarize(run_of(*outcomes), device_context(lines, moments)).rows
    assert [device for device, _ in one.context] == ["meter[0]"]
    assert [device for device, _ in two.context] == ["meter[1]"]


def test_each_device_is_shown_around_what_made_it_fail() -> None:
    texts = "1 of 9 lost: seq=2 (t=0.200 s)", "1 of 9 changed: seq=7 (t=0.700 s): value was 1"
    outcome = failed("delivered", *texts, t=30.0, times=(0.2, 0.7))
    moments = moments_wanted([outcome])
    assert moments == {"meter[0]": 0.2, "meter[1]": 0.7}
    lines = lines_of(*(received(n / 10, f"meter[{n % 2}]", seq=n) for n in range(300)))
    (row,) = summarize(run_of(outcome), device_context(lines, moments)).rows
    shown = {device: [line.text for line in told] for device, told in row.context}
    assert shown["meter[0]"] == ["seq=0", "seq=2", "seq=4", "seq=6"]
    assert shown["meter[1]"] == ["seq=1", "seq=3", "seq=5", "seq=7", "seq=9", "seq=11"]


def test_a_time_that_is_not_told_of_a_device_is_that_of_the_decision() -> None:
    outcome = failed("x", "a", "b", "c d", t=3.0, times=(None, 2.0))
    assert moments_wanted([outcome]) == {"meter[0]": 3.0, "meter[1]": 2.0, "meter[2]": 3.0}


def test_a_pool_or_a_gateway_has_no_devices_to_tell_of() -> None:
    outcome = failed("pool", nearest="heard 3 messages; nearest: kind was READ instead of ACK")
    (row,) = summarize(run_of(outcome)).rows
    assert ("nearest", "heard 3 messages; nearest: kind was READ instead of ACK") in row.facts
    assert row.context == ()


def test_an_error_in_an_expectation_and_a_warning() -> None:
    wrong = failed("wrong", error="division by zero, in '=1 / 0'")
    soft = msgspec.structs.replace(failed("soft"), severity="warning")
    first, second = summarize(run_of(wrong, soft, verdict="error", reason="wrong: …")).rows
    assert (first.state, second.state) == ("error", "warning")
    assert ("error", "division by zero, in '=1 / 0'") in first.facts


def test_a_crash_is_told_with_the_last_lines_and_harmlessly() -> None:
    result = failed_run()
    result.reason = "the gateway was ended by SIGSEGV"
    result.gateway = GatewayResult(command=["gw"], crashed=True, last_lines=["\x1b[2Jbye\r\n"])
    summary = summarize(result)
    assert summary.gateway_lines == (r"\x1b[2Jbye\r\n",)
    assert summary.reason == "the gateway was ended by SIGSEGV"


def test_a_passed_run_needs_no_repeating() -> None:
    assert summarize(run_of(verdict="passed", repeat="iotsim ...")).repeat == ""
