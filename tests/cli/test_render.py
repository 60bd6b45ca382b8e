from __future__ import annotations

import io
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from iotsim.cli import render
from iotsim.cli.console import SafeConsole
from iotsim.events import Note, Outcome, Received
from iotsim.results.jsonl import EventEncoder
from iotsim.results.result import GatewayResult, RunResult

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import CommandLine

SPEAKS = """
[scenario]
duration = "3s"
[gateway]
port = 5600
[devices.meter]
count = 2
address = "10.77.1.1"
protocol = "sensornet"
[[devices.meter.rules]]
every = "1s"
send = { kind = "REPORT", value = 1, device = 1, seq = 1 }
[[expect]]
name = "they speak"
each = "meter"
sends = { kind = "REPORT" }
within = "2s"
"""


def test_a_reader_that_goes_away_does_not_end_the_run(iotsim: CommandLine) -> None:
    scenario = iotsim.write("speaks.toml", SPEAKS)
    process = iotsim.start("run", scenario, "--link", "memory", "--out", iotsim.out)
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(30) == 0
    result = json.loads((iotsim.out / "result.json").read_text())
    assert result["verdict"] == "passed"


def test_virtual_time_is_not_served(iotsim: CommandLine) -> None:
    scenario = iotsim.write("speaks.toml", SPEAKS)
    done = iotsim("run", scenario, "--link", "memory", "--serve")
    assert done.status == 2
    assert "--serve: a memory link is in virtual time" in done.text


# --- what a terminal shows --------------------------------------------------------------------

POLLED = Outcome(
    name="every meter is polled",
    kind="within",
    passed=False,
    severity="error",
    expected="each of meter (14 devices) receives kind READ within 5 s",
    actual="2 of 14 did not: meter[3], meter[4]",
    nearest="meter[3]: heard 1 message; nearest: kind was COMMAND instead of READ (t=1.000 s)",
    devices=("meter[3]", "meter[4]"),
    details=(
        "heard 1 message; nearest: kind was COMMAND instead of READ (t=1.000 s)",
        "heard nothing in that time",
    ),
    total=2,
    place="polls.toml:20",
    t=5.0,
)
IN_TIME = "all 14 did, the last (meter[13]) 4.2 s before the deadline"


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``shown(result, columns)``: the lines that a terminal of so many columns shows."""

    def show(result: RunResult, columns: int = 80, *, terminal: bool = True) -> list[str]:
        message = {"kind": "COMMAND", "code": "IDENTIFY", "sequence": 71, "payload": "x" * 20}
        events = [
            Note(0.0, "a note"),
            Received(
                t=1.0,
                id=1,
                device="meter[3]",
                peer="10.77.0.1:40000",
                protocol="p",
                message=message,
            ),
        ]
        (tmp_path / "events.jsonl").write_bytes(EventEncoder().encode(events))
        file = io.StringIO()
        console = SafeConsole(
            file=file, width=columns, highlight=False, soft_wrap=True, force_terminal=terminal,
            color_system=None,
        )  # fmt: skip
        monkeypatch.setattr(render, "make_console", lambda: console)
        monkeypatch.delenv("COLUMNS", raising=False)
        report: Any = SimpleNamespace(result=result, folder=tmp_path)
        render.show_report(report, quiet=False)
        return file.getvalue().splitlines()

    return show


def failed_run() -> RunResult:
    held = Outcome(
        name="in time", kind="within", passed=True, severity="error", expected="", actual=IN_TIME
    )
    return RunResult(
        scenario="polls",
        path="polls.toml",
        seed=7,
        verdict="failed",
        reason="every meter is polled: 2 of 14 did not",
        duration_s=5.0,
        expectations=[POLLED, held],
        notes=["15 datagrams of the gateway could not be decoded: payload"],
        repeat="iotsim run polls.toml --seed 7",
    )


def test_a_failure_at_80_columns(shown: Any) -> None:
    assert shown(failed_run(), 80)[:-2] == [
        "",
        "  15 datagrams of the gateway could not be decoded: payload",
        "  failed   every meter is polled",
        "           expected   each of meter (14 devices) receives kind READ within 5 s",
        "           actual     2 of 14 did not: meter[3], meter[4]",
        "           nearest    meter[3]: heard 1 message; nearest: kind was COMMAND",
        "                      instead of READ (t=1.000 s)",
        "           also       meter[4]: heard nothing in that time",
        "           stands in  polls.toml:20",
        "           around meter[3]",
        "             t=1.000 s  received    kind=COMMAND code=IDENTIFY sequence=71",
        "                                    payload=xxxxxxxxxxxxxxxxxxxx  from",
        "                                    10.77.0.1:40000",
        "  passed   in time: all 14 did, the last (meter[13]) 4.2 s before the deadline",
        "",
        "FAILED  polls (seed 7, 5.0 s)",
    ]


def test_a_failure_at_60_columns(shown: Any) -> None:
    lines = shown(failed_run(), 60)
    assert lines[2:9] == [
        "  failed   every meter is polled",
        "    expected   each of meter (14 devices) receives kind READ",
        "               within 5 s",
        "    actual     2 of 14 did not: meter[3], meter[4]",
        "    nearest    meter[3]: heard 1 message; nearest: kind was",
        "               COMMAND instead of READ (t=1.000 s)",
        "    also       meter[4]: heard nothing in that time",
    ]
    assert lines[-6:-4] == [
        "  passed   in time: all 14 did, the last (meter[13]) 4.2 s",
        "           before the deadline",
    ]


@pytest.mark.parametrize("columns", [20, 30, 40, 60, 80, 120, 300])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(shown: Any, columns: int) -> None:
    result = failed_run()
    result.expectations *= 2  # the messages around the device are shown once all the same
    whole = shown(result, terminal=False)
    lines = shown(result, columns)
    if columns < 60:  # where words are broken, too
        assert "".join("".join(lines).split()) == "".join("".join(whole).split())
    else:
        assert " ".join(lines).split() == " ".join(whole).split()
    assert sum("around" in line for line in lines) == 1
    assert all(line == line.rstrip() for line in lines)
    copied = ("  results: ", "  repeat:  ")
    assert all(len(line) <= columns for line in lines if not line.startswith(copied))


def test_a_failure_at_40_columns(shown: Any) -> None:
    lines = shown(failed_run(), 40)
    at = lines.index("    around meter[3]")
    assert lines[at + 1 : at + 4] == [
        "      t=1.000 s  received",
        "        kind=COMMAND code=IDENTIFY",
        "        sequence=71",
    ]


def test_a_terminal_too_narrow_for_any_text_breaks_words(shown: Any) -> None:
    assert max(map(len, shown(failed_run(), 10)[:-2])) < 60


def test_a_file_has_its_lines_whole(shown: Any) -> None:
    lines = shown(failed_run(), 40, terminal=False)
    assert f"  passed   in time: {IN_TIME}" in lines
    assert f"           nearest    {POLLED.nearest}" in lines


def test_a_crash_is_shown_with_what_the_gateway_said_last(shown: Any) -> None:
    result = failed_run()
    result.reason = "the gateway was ended by SIGSEGV"
    result.gateway = GatewayResult(command=["gw"], crashed=True, last_lines=["bye", "y" * 50])
    lines = shown(result, 40)
    at = lines.index("  the gateway's last lines:")
    assert lines[at + 1 : at + 4] == ["    | bye", "    | " + "y" * 34, "    | " + "y" * 16]
    assert "  the gateway was ended by SIGSEGV" in lines
