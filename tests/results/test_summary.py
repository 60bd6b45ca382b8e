"""The events around a failure, and the summary that shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.events import DeviceFailed, NotSent, Outcome, Received, Sent, Undecodable
from iotsim.results.context import device_context
from iotsim.results.jsonl import EventEncoder
from iotsim.results.result import GatewayResult, RunResult
from iotsim.results.summary import moments_wanted, render, summarize

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
        nearest="meter[3]: heard 1 message, nearest: kind was COMMAND instead of READ (t=1.000 s)",
        devices=("meter[3]", "meter[4]"),
        details=("heard 1 message", "heard nothing in that time"),
        total=2,
        place="polls.toml:20",
        t=5.0,
    )
    held = Outcome(
        name="nobody reboots", kind="never", passed=True, severity="error", expected="", actual=""
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


def test_the_summary_of_a_failed_run() -> None:
    result = failed_run()
    moments = moments_wanted(result.expectations)
    assert moments == {"meter[3]": 5.0, "meter[4]": 5.0}
    context = device_context(lines_of(received(1.0, kind="COMMAND")), moments)
    assert render(summarize(result, context)) == (
        "  failed   every meter is polled\n"
        "             expected   each of meter (14 devices) receives kind READ within 5 s\n"
        "             actual     2 of 14 did not: meter[3], meter[4]\n"
        "             nearest    meter[3]: heard 1 message, nearest: kind was COMMAND"
        " instead of READ (t=1.000 s)\n"
        "             also       meter[4]: heard nothing in that time\n"
        "             stands in  polls.toml:20\n"
        "             around meter[3]\n"
        "               t=1.000 s  received    kind=COMMAND  from 10.77.0.1:40000\n"
        "  passed   nobody reboots\n"
        "FAILED: polls (seed 7, 5.0 s)\n"
        "  repeat: iotsim run polls.toml --seed 7\n"
    )


def test_a_crash_is_told_with_the_last_lines_and_harmlessly() -> None:
    result = failed_run()
    result.reason = "the gateway was ended by SIGSEGV"
    result.gateway = GatewayResult(command=["gw"], crashed=True, last_lines=["\x1b[2Jbye\t!\r"])
    text = render(summarize(result))
    assert "    | \\x1b[2Jbye !\\r\n" in text
    assert "  the gateway was ended by SIGSEGV\n" in text


def test_a_passed_run_needs_no_repeating() -> None:
    result = RunResult(scenario="x", path="x.toml", seed=1, verdict="passed", repeat="iotsim ...")
    assert render(summarize(result)) == "PASSED: x (seed 1, 0.0 s)\n"
