"""The files of a run as they grow: with bounds, each part of a capture names and tells by itself."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from tests.run.flood import DEVICES, Flood

from iotsim.run import record

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.needs("tshark")
LOSSY = """
[[impair]]
name = "lossy"
devices = "meter[0]"
loss = "100%"
direction = "to_device"
"""
BOUNDS = """
[results]
events = "1MB"
capture = "1MB"
"""


def shown(capture: Path) -> list[list[str]]:
    """Of each packet, what tshark calls its source and destination, and the comments."""
    command = ["tshark", "-N", "n", "-r", str(capture), "-T", "fields", "-E", "separator=;"]
    for name in ("ip.src_host", "ip.dst_host", "frame.comment"):
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [line.split(";") for line in done.stdout.splitlines()]


def test_each_part_of_a_bounded_capture_has_names_and_comments(tmp_path: Path) -> None:
    t = 0.0
    run = Flood(tmp_path, lambda: t, more=BOUNDS + LOSSY)
    for turn in range(150):
        t = turn / 100
        run.ask(40)
    parts = sorted(tmp_path.glob("capture*.pcapng"))
    assert len(parts) > 4, "the oldest were dropped, and several are left"
    names = {"gateway", *(f"meter[{index}]" for index in range(DEVICES))}
    for part in (parts[0], parts[1], parts[-1]):
        rows = shown(part)
        assert {name for row in rows for name in row[:2]} == names, part.name
        lost = [row for row in rows if row[1] == "meter[0]"]
        assert all(row[2] == "meter[0]: lost (lossy)" for row in lost)
    run.close()
    assert [path.name for path in tmp_path.glob("capture*.pcapng")] == ["capture.pcapng"]
    whole = shown(tmp_path / "capture.pcapng")
    assert {name for row in whole for name in row[:2]} <= names
    assert (tmp_path / "capture.pcapng").stat().st_size <= 1_000_000


def test_devices_are_named_as_they_come(tmp_path: Path) -> None:
    run = Flood(tmp_path, lambda: 0.0)
    run.ask(3)
    run.simulation.journal.flush()
    capture = tmp_path / "capture.pcapng"
    assert {row[1] for row in shown(capture)} >= {"meter[0]", "meter[1]", "meter[2]"}
    assert b"meter[3]" not in capture.read_bytes()
    run.ask(3)
    run.simulation.journal.flush()
    assert shown(capture)[-1] == ["meter[5]", "gateway", ""]
    run.close()


SLOW = """
[[impair]]
name = "slow"
devices = "meter[1]"
delay = "30ms"
direction = "from_device"
"""


@pytest.mark.parametrize("scribe", [False, True], ids=["by itself", "by a scribe"])
def test_a_packet_has_its_comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scribe: bool
) -> None:
    monkeypatch.setattr(record, "may_have_scribe", lambda: True)
    t = 0.0
    run = Flood(tmp_path, lambda: t, scribe=scribe, more=LOSSY + SLOW)
    if scribe:
        run.record.have_scribe()
        assert run.record.scribe is not None
    run.ask(3)
    t = 1.0
    run.ask(0)
    assert run.close() == []
    rows = shown(tmp_path / "capture.pcapng")
    assert rows[0] == ["gateway", "meter[0]", "meter[0]: lost (lossy)"]
    assert ["gateway", "meter[2]", ""] in rows
    assert rows[-1] == ["meter[1]", "gateway", "meter[1]: delayed 30 ms (slow)"]
