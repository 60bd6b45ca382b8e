"""What ``-v`` tells of each thing that happens, and what it leaves to the files."""

from __future__ import annotations

import io
import re
from typing import Any

import msgspec
import pytest

from iotsim import events as e
from iotsim.cli.console import SafeConsole
from iotsim.cli.verbose import DESCRIPTIONS, MOST_A_SECOND, Narrator, describe

UNTOLD = {
    # One or more for each message: they are in events.jsonl, and `iotsim show` answers from there.
    *(e.Received, e.Sent, e.Impaired, e.Undecodable, e.NotSent, e.PacketDropped, e.Northbound),
    # What they say is printed before and after.
    *(e.RunStarted, e.RunEnded),
}


def outcome(**changes: Any) -> e.Outcome:
    fields: dict[str, Any] = {
        "name": "polled",
        "kind": "within",
        "passed": True,
        "severity": "error",
        "expected": "each is",
        "actual": "all 3 did",
    }
    return e.Outcome(**{**fields, **changes})


UNMATCHED = e.Unmatched(
    fleet="m", protocol="p", kind="kind=READ", count=1, t=1.0, device="m[3]", nearest="rule 2"
)
TOLD = [
    (e.LinkUp(0.0, "tun", "iotsim0", [], 1500), "link", "tun iotsim0, MTU 1500"),
    (e.GatewayStarted(0.0, 7, ["gw", "a b"]), "gateway", "started, process 7: gw 'a b'"),
    (e.GatewayReady(0.0, "it printed 'ok'"), "gateway", "ready: it printed 'ok'"),
    (e.GatewayOutput(0.0, "a\tb\x1b[2J"), "|", r"a       b\x1b[2J"),
    (e.GatewayPaused(0.0), "gateway", "paused"),
    (e.GatewayResumed(0.0), "gateway", "resumed"),
    (e.GatewayExited(0.0, 3, "", crashed=True), "gateway", "exited with status 3, a crash"),
    (
        e.GatewayExited(0.0, None, "SIGKILL", crashed=False, by="kill"),
        *("gateway", "ended by SIGKILL, killed by a step"),
    ),
    (e.ExpectationDecided(0.0, outcome()), "held", "polled: all 3 did"),
    (e.ExpectationDecided(0.0, outcome(passed=False)), "failed", "polled: all 3 did"),
    (
        e.ExpectationDecided(0.0, outcome(passed=False, inconclusive="it was late")),
        *("in doubt", "polled: it was late"),
    ),
    (e.ExpectationDecided(0.0, outcome(error="no field x")), "error", "polled: no field x"),
    (e.StepDone(0.0, "unplug"), "step", "unplug"),
    (e.CommandDone(0.0, {"do": "reboot", "devices": "m"}), "command", "do=reboot, devices=m"),
    (
        e.FaultChanged(0.0, "away", "offline", "m[0:2]", begun=True),
        *("fault", "away begins: offline, m[0:2]"),
    ),
    (
        e.FaultChanged(0.0, "away", "offline", "m[0:2]", begun=False),
        *("fault", "away is over: offline, m[0:2]"),
    ),
    (e.DeviceRebooted(0.0, "m[1]"), "reboot", "m[1]"),
    (e.DeviceFailed(0.0, "m[1]", "KeyError: 1", ""), "error", "m[1] has stopped: KeyError: 1"),
    (e.SessionFailed(0.0, "m[1]", "p", "bad", ""), "error", "m[1]: its session failed: bad"),
    (e.NoRule(0.0, UNMATCHED), "no rule", "m[3]: kind=READ; rule 2"),
    (e.SimulatorLag(0.0, 0.25, "packets waited"), "late", "250 ms: packets waited"),
    (e.Note(0.0, "one\ntwo"), "note", r"one\ntwo"),
]


@pytest.mark.parametrize(("event", "what", "text"), TOLD, ids=lambda value: type(value).__name__)
def test_what_happened_is_told_in_a_line(event: e.Event, what: str, text: str) -> None:
    assert describe(event) == (what, text)


def test_each_kind_of_event_is_told_or_left_to_the_files() -> None:
    kinds = {
        kind
        for kind in vars(e).values()
        if isinstance(kind, type) and issubclass(kind, e.Event) and kind is not e.Event
    }
    assert kinds == DESCRIPTIONS.keys() | UNTOLD
    assert not DESCRIPTIONS.keys() & UNTOLD
    assert {type(event) for event, *_ in TOLD} == set(DESCRIPTIONS)


def narrated(batches: list[list[e.Event]], columns: int = 0) -> str:
    file = io.StringIO()
    console = SafeConsole(
        file=file,
        width=columns or None,
        soft_wrap=True,
        force_terminal=bool(columns),
        color_system=None,
    )
    narrator = Narrator(console)
    for batch in batches:
        narrator(batch)
    assert file.getvalue() == ""
    narrator.begin()
    narrator.end()
    return file.getvalue()


def test_nothing_is_told_before_the_begin_and_nothing_is_lost_by_that() -> None:
    received = e.Received(1.0, 1, "m[0]", "p", "x", {})
    told = narrated([[e.StepDone(1.5, "a"), received], [e.GatewayOutput(2.25, "b")]])
    assert told == "     1.500 s  step     a\n     2.250 s  |        b\n"


def test_an_expectation_is_told_again_only_if_its_verdict_has_changed() -> None:
    same = msgspec.structs.replace(outcome(), actual="all 3 did, as is known by now")
    other = msgspec.structs.replace(outcome(), passed=False, inconclusive="we were late")
    told = narrated(
        [[e.ExpectationDecided(float(t), o) for t, o in enumerate((outcome(), same, other))]]
    )
    assert [line.split()[2] for line in told.splitlines()] == ["held", "in"]


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    text = " ".join(f"word{number}" for number in range(60))
    told = narrated([[e.GatewayOutput(1.0, text), e.GatewayOutput(1.0, "x" * 500)]], columns)
    assert max(map(len, told.splitlines())) <= columns
    assert [word for word in told.split() if word.startswith("word")] == text.split()
    assert told.count("x") == 500


def test_of_a_gateway_that_prints_without_end_some_lines_are_shown_each_second() -> None:
    lines = [e.GatewayOutput(n / 1000, f"line {n}") for n in range(2500)]
    told = narrated([[*lines, e.StepDone(2.5, "a")]]).splitlines()
    shown = [line for line in told if re.search(r"\| +line \d+$", line)]
    assert len(shown) == 3 * MOST_A_SECOND
    left_out = [line.strip() for line in told if "more line" in line]
    assert left_out == [
        "and 800 more lines: events.jsonl has all",
        "and 800 more lines: events.jsonl has all",
        "and 300 more lines: events.jsonl has all",
    ]
    assert any(line.endswith("step     a") for line in told)


def test_of_a_fleet_that_reboots_some_devices_are_shown() -> None:
    reboots: list[e.Event] = [e.DeviceRebooted(1.0, f"m[{n}]") for n in range(10_000)]
    told = narrated([reboots, [e.FaultChanged(1.0, "f", "reboot", "m", begun=True)]]).splitlines()
    assert len(told) == MOST_A_SECOND + 2
    assert told[-2].endswith("fault    f begins: reboot, m")
    assert told[-1].strip() == "and 9800 more lines: events.jsonl has all"
