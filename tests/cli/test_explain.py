"""``iotsim explain``: what it prints."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from iotsim.cli.app import run_command_line
from iotsim.protocol.registry import load_protocol

if TYPE_CHECKING:
    from pathlib import Path

CODEC = load_protocol("sensornet", []).protocol.codec
READ = CODEC.encode({"kind": "READ", "device": 3, "seq": 1, "point": 0}).hex()
COMMAND = CODEC.encode({"kind": "COMMAND", "device": 3, "seq": 1, "code": "REBOOT"}).hex()


def test_what_answers_and_what_it_is_to_the_expectations(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command_line(["explain", "quickstart", "--to", "meter[3]", "--seed", "1", READ]) == 0
    text = capsys.readouterr().out
    assert text.startswith("meter[3] (10.77.1.4:5600), t=0.000 s: 15 bytes of sensornet from ")
    assert "  3   01           kind     READ\n" in text
    assert "It is decided by rules[0] (" in text
    assert "The device answers after " in text
    assert "  53 4e 01 02 00 0f 00 00 00 03 00 01 00 " in text
    assert "  matches 'every meter is polled' (" in text
    assert "nobody reboots a meter" not in text  # it differs in all fields


def test_why_nothing_answers(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["explain", "quickstart", "--to", "meter[3]", "--from", "10.77.0.9:4000", COMMAND]
    assert run_command_line(words) == 0
    text = capsys.readouterr().out
    assert " from 10.77.0.9:4000\n" in text
    assert "No rule applies. The nearest first:\n  rules[0] (" in text
    assert "): kind is COMMAND instead of READ\n" in text
    assert "Nothing is answered (consumed.no-rule).\n" in text
    assert "  matches 'nobody reboots a meter' (" in text


def test_what_cannot_be_decoded_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["explain", "quickstart", "--to", "meter[3]", "53 4e 01", "7f"]) == 0
    text = capsys.readouterr().out
    assert "  error: " in text
    assert "(at byte " in text
    assert "It is no message, so no rule is asked." in text


FAILING = {
    "rule": (
        'rules = [{ after = "1s", send = { kind = "REPORT", device = 1, seq = 1, value = "=state.kept" } }]',
        r"t=1.000 s: meter\[0\] failed: rules\[0\] \([^ ]+:7\): value: 'x' does not fit",
    ),
    "announcement": (
        'boot.announce = { kind = "REPORT", device = 1, seq = 1, value = "=state.kept" }',
        r"t=0.000 s: meter\[0\] failed: rule 'announcement' \([^ ]+:7\): value: 'x' does not fit",
    ),
    "behavior": (
        'behavior = "meter.py:Meter"',
        r"t=0.000 s: meter\[0\] failed: ValueError: broken from the start",
    ),
}


@pytest.mark.parametrize("what", FAILING)
def test_what_a_device_has_failed_by_before_it_was_asked(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, failed = FAILING[what]
    (tmp_path / "meter.py").write_text(
        "from iotsim import Device\n\n\nclass Meter(Device):\n    async def run(self):\n"
        "        raise ValueError('broken from the start')\n"
    )
    (tmp_path / "s.toml").write_text(
        "[gateway]\nport = 40000\n[devices.meter]\naddress = '10.77.1.1'\nprotocol = 'sensornet'\n"
        f"state.kept = 'x'\n{made}\n"
    )
    words = ["explain", str(tmp_path / "s.toml"), "--to", "meter[0]", "--at", "5s", READ]
    assert run_command_line(words) == 0
    text = capsys.readouterr().out
    assert re.search(failed, text)
    assert "Nothing is answered (dropped.device-failed)." in text


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--to", "meter[3]", "xyz"], "HEX: that is not a datagram in hex: it has 'x'"),
        (["--to", "metre[3]", READ], "--to: there are no devices called 'metre'"),
        (["--to", "meter[3]", "--at", "5", READ], "--at: '5' has no unit"),
        (["--to", "meter[3]", "--from", "somebody", READ], "--from: 'somebody' is no address"),
        (["--to", "meter[3]", "--state", "x", READ], "--state: 'x' is not NAME=VALUE"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["explain", "quickstart", *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"iotsim: {problem}")
    assert said.err.count("\n") == 1


def test_a_wrong_scenario_is_told_as_by_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "it.toml"
    file.write_text("[devices.meter]\ncuont = 3\n")
    assert run_command_line(["explain", str(file), "--to", "meter", READ]) == 2
    assert "it.toml:2:1: devices.meter.cuont: unknown key" in capsys.readouterr().err
