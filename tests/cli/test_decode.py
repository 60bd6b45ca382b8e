"""``iotsim decode``: hex, captures, and what is said at the end."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from iotsim.cli.app import run_command_line

if TYPE_CHECKING:
    from pathlib import Path

READ = "534e 01 01 0009 00000007 0001 00 ea02"


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "data", [[READ], READ.split(), [READ.replace(" ", "")], ["0x" + READ.replace(" ", "")]]
)
def test_decode_shows_each_field_at_its_place(
    data: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["decode", "sensornet", *data]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["6", "00", "00", "00", "07", "device", "7"] in lines
    assert lines[-1][0] == "READ"


def test_decode_reads_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(READ + "\n"))
    assert run_command_line(["decode", "sensornet", "-"]) == 0
    assert "device" in capsys.readouterr().out


def test_decode_of_what_is_no_message_shows_how_far_it_came(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command_line(["decode", "sensornet", READ[:-1] + "3"]) == 2
    text = capsys.readouterr().out
    assert "device" in text
    assert "error: crc: wrong checksum: the message has 0xea03, its bytes give 0xea02" in text


@pytest.mark.parametrize("data", ["xyz", "123"])
def test_decode_of_what_is_no_hex(data: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["decode", "sensornet", data]) == 2
    assert "that is no hex" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("123", "it has an odd number of digits, 3"),
        ("0g", "it has 'g'"),
        ("\u0661\u0662", "it has '\u0661'"),
        ("00" * 65_528, "65528 bytes are more than UDP carries"),
        ("00" * 600_000, "it has more than 1048576 characters"),
    ],
    ids=["odd", "letter", "digits of another script", "large", "huge"],
)
def test_hostile_hex(
    data: str, why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(data))
    assert run_command_line(["decode", "sensornet", "-"]) == 2
    assert why in capsys.readouterr().err


def test_the_largest_datagram_is_decoded_in_few_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cli_long.py").write_text(
        "from construct import GreedyRange, Int8ub, Struct\nfrom iotsim import Protocol\n"
        "ITEM = Struct('a' / Struct('b' / Int8ub))\n"
        "MESSAGE = Struct('all' / GreedyRange(ITEM))\n"
        "PROTOCOL = Protocol(name='cli_long', message=MESSAGE, port=7000)\n"
    )
    monkeypatch.setattr("sys.stdin", io.StringIO("07" * 65_527))
    assert run_command_line(["decode", "cli_long", "-"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 2100
    assert max(map(len, lines)) < 4200
    assert "and 129055 more" in lines


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("size", "'size': must be NAME=VALUE"),
        ("size=hex:zz", "size: "),
        ("size=1e999", "size: 1e999"),
    ],
)
def test_what_no_device_remembers(
    state: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["decode", "sensornet", "07", "--state", state]) == 2
    assert message in capsys.readouterr().err
