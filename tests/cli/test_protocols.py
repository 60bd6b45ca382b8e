"""``iotsim protocols``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotsim.cli.app import run_command_line

if TYPE_CHECKING:
    from pathlib import Path

MINE = """
from construct import Int8ub, Struct
from iotsim import Protocol

PROTOCOL = Protocol(name="{name}", message=Struct("a" / Int8ub, "b" / Int8ub), port=7000)
VECTORS = [("0102", {{"a": 1, "b": {b}}})]
"""


TWO_SIDED = """
from construct import Bytes, Int8ub, Struct
from iotsim import Protocol, this_device

PROTOCOL = Protocol(
    name="two_sided",
    message=Struct("asked" / Int8ub),
    answer=Struct("told" / Bytes(this_device.state.size), "rest" / Int8ub),
    port=7000,
)
VECTORS = [
    ("01", {"asked": 1}),
    ("6162 07", {"told": b"ab", "rest": 7}, {"answer": True, "device": {"state": {"size": 2}}}),
]
"""


@pytest.fixture(autouse=True)
def in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_list_has_the_bundled_ones_and_those_at_hand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "cli_listed.py").write_text(MINE.format(name="cli_listed", b=2))
    assert run_command_line(["protocols", "list"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["sensornet"] == "bundled"
    assert rows["cli_listed"].endswith("protocols/cli_listed.py")


def test_wireshark_writes_a_dissector_and_says_what_it_leaves_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["protocols", "wireshark", "bacnet"]) == 0
    printed = capsys.readouterr()
    assert "Proto" in printed.out
    assert "parameters: " in printed.err
    assert run_command_line(["protocols", "wireshark", "bacnet", "-o", "bacnet.lua"]) == 0
    assert (tmp_path / "bacnet.lua").read_text() == printed.out
    assert capsys.readouterr().out == ""
    assert run_command_line(["protocols", "wireshark", "bacnet", "-o", "none/bacnet.lua"]) == 2
    assert "none/bacnet.lua: No such file" in capsys.readouterr().err


def test_show_tells_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["protocols", "show", "sensornet"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("sensornet: UDP port 5600\n")
    rows = {line.split()[1]: line for line in text.splitlines() if line[:1].isdigit()}
    assert rows["device"].split() == [
        "6", "device", "int", "uint32", "big-endian", "the", "device's", "own", "number",
    ]  # fmt: skip
    assert "READ=1, REPORT=2" in rows["kind"]
    assert all(line == line.rstrip() for line in text.splitlines())


def test_show_codec_tells_how_it_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["protocols", "show", "sensornet", "--codec"]) == 0
    assert "def decode(" in capsys.readouterr().out


def test_check_of_a_good_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["protocols", "check", "sensornet"]) == 0
    assert capsys.readouterr().out == "sensornet: ok, 6 golden vectors\n"


def test_check_of_a_bad_one_says_what_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cli_wrong.py").write_text(MINE.format(name="cli_wrong", b=3))
    (tmp_path / "cli_broken.py").write_text("PROTOCOL = 7 / 0\n")
    assert run_command_line(["protocols", "check", "cli_wrong", "cli_broken", "sensornet"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("cli_wrong: ") and "b" in line for line in lines)
    assert any(line.startswith("cli_broken: ") and "division by zero" in line for line in lines)
    assert lines[-1] == "sensornet: ok, 6 golden vectors"


def test_what_a_device_sends_is_shown_and_decoded_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "protocols").mkdir()
    (tmp_path / "protocols" / "two_sided.py").write_text(TWO_SIDED)
    assert run_command_line(["protocols", "check", "two_sided"]) == 0
    assert run_command_line(["protocols", "show", "two_sided"]) == 0
    asked, told = capsys.readouterr().out.split("what a device sends:")
    assert "asked" in asked
    assert "told" in told
    assert run_command_line(["protocols", "show", "two_sided", "--codec"]) == 0
    assert "# what a device sends:" in capsys.readouterr().out
    assert run_command_line(["decode", "two_sided", "07"]) == 0
    assert "asked  7" in capsys.readouterr().out
    words = ["decode", "two_sided", "616207", "--answer", "--state", "size=2"]
    assert run_command_line(words) == 0
    assert "told  hex:6162" in capsys.readouterr().out
    assert run_command_line(words[:4]) == 2
    assert "device[0] has no 'size' in its state" in capsys.readouterr().out


LAYERED = """
from construct import Int8ub, Struct
from iotsim import Protocol, Session

PROTOCOL = Protocol(
    name="cli_layered",
    message=Struct("wired" / Int8ub),
    application=Struct("meant" / Int8ub * "what it is about"),
    session=Session,
    port=7000,
    description="what it is for, " * 20,
)
"""


def test_what_rules_see_is_shown_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cli_layered.py").write_text(LAYERED)
    assert run_command_line(["protocols", "show", "cli_layered"]) == 0
    wire, above = capsys.readouterr().out.split("\nwhat rules and behaviors see:\n")
    assert "wired  int   uint8" in wire
    assert "meant" not in wire
    assert "meant  int   uint8        what it is about" in above
