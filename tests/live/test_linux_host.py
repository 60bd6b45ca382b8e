"""A simulated host answers as Linux does: the same packets to both, compared row by row.

The program in ``linux_host/`` does it; this holds its findings to what docs/linux-host.md says.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can set this test up")

PROGRAM = Path(__file__).with_name("linux_host")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "linux-host.md"
LEAST_ROWS = 60
MOST_DIFFERENCES = 5


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def show(row: dict[str, Any]) -> str:
    return (
        f"{row['section']}: {row['name']} ({row['clause']})\n"
        f"    Linux:     {row['linux'] or 'nothing'}\n    simulated: {row['iotsim'] or 'nothing'}"
    )


def test_both_hosts_answer_the_same(found: dict[str, Any]) -> None:
    differing = [row for row in found["rows"] if not row["same"]]
    unexpected = [show(row) for row in differing if not row["allowed"]]
    assert not unexpected, "\n".join(unexpected)
    assert len(differing) <= MOST_DIFFERENCES


def test_what_may_differ_does(found: dict[str, Any]) -> None:
    assert [show(row) for row in found["rows"] if row["same"] and row["allowed"]] == []


def test_there_are_packets_of_all_kinds(found: dict[str, Any]) -> None:
    rows = found["rows"]
    assert len(rows) >= LEAST_ROWS
    places = [(row["section"], row["name"]) for row in rows]
    assert len(set(places)) == len(places)
    answered = [row for row in rows if row["linux"]]
    assert len(rows) / 4 < len(answered) < len(rows) * 3 / 4
    texts = " ".join(text for row in rows for text in row["linux"])
    for kind in (
        "UDP", "TCP RST", "echo reply", "port unreachable", "protocol unreachable",
        "parameter problem", "erroneous header field", "unrecognized next header",
        "unrecognized option", "incomplete header chain", "reassembly time exceeded",
        "timestamp reply", "ARP reply", "ICMP type 136", "IGMPv3 report", "MLDv2 report",
    ):  # fmt: skip
        assert kind in texts
    assert "broken" not in texts


def test_the_page_is_current(found: dict[str, Any]) -> None:
    written = PAGE.read_text()
    release = ".".join(platform.release().split(".")[:2])
    if f"Linux {release} host" not in written:
        pytest.skip(f"the page was made with another Linux than {release}")
    assert written == found["page"], f"out of date: {sys.executable} {PROGRAM} --write"
