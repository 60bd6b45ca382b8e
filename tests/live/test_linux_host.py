"""A simulated host answers as Linux does: the same packets to both, compared row by row.

The program in ``linux_host/`` does it; this holds its findings to what docs/linux-host.md says.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine

pytestmark = pytest.mark.needs("root", "tun", "ip")

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


@pytest.mark.may_skip
def test_the_page_is_current(found: dict[str, Any]) -> None:
    written = PAGE.read_text()
    release = ".".join(platform.release().split(".")[:2])
    if f"Linux {release} host" not in written:
        pytest.skip(f"the page was made with another Linux than {release}")
    assert written == found["page"], f"out of date: {sys.executable} {PROGRAM} --write"


ECHO_PROTOCOL = """
from construct import GreedyBytes, Struct
from iotsim import Protocol

PROTOCOL = Protocol(name="raw", message=Struct("data" / GreedyBytes), port=5600)
"""
ECHO = """
[scenario]
duration = "30s"
until = "duration"

[gateway]
command = ["sh", "-c", "touch up; sleep 30"]
cwd = "."

[devices.echo]
count = 1
address = ["10.77.1.1", "fd77::1:1"]
protocol = "raw"
groups = ["239.1.2.3", "ff05::fd"]

[[devices.echo.rules]]
reply = { data = "=msg.data" }
"""
UNREACHABLE4 = "ICMP host unreachable, 10.77.255.254 > peer, quoting 33 bytes, TOS 0xc0"
UNREACHABLE6 = "ICMP address unreachable, fd77::ffff:ffff:ffff:ffff > peer, quoting 53 bytes"
ROUTER = {
    "IPv4 addresses: to nobody's address": UNREACHABLE4,
    "IPv4 addresses: to the subnet's address": UNREACHABLE4,
    "IPv6 addresses: to nobody's address": UNREACHABLE6,
}
"""What in a run the link's router answers, which neither of the two hosts has."""


def test_a_run_answers_the_same_through_its_interface(
    found: dict[str, Any], iotsim: CommandLine
) -> None:
    iotsim.write("protocols/raw.py", ECHO_PROTOCOL)
    scenario = iotsim.write("echo.toml", ECHO)
    run = iotsim.start("run", scenario, "--out", iotsim.out)
    iotsim.wait_for((iotsim.folder / "up").exists, "the run")
    asked = iotsim("exec", iotsim.out, "--", sys.executable, PROGRAM, "--through", "iotsim0")
    run.terminate()
    assert asked.status == 0, asked.text
    answers = json.loads(asked.text)
    expected = {
        f"{row['section']}: {row['name']}": row["iotsim"]
        for row in found["rows"]
        if row["link"] == "tun"
    }
    for place, told in ROUTER.items():
        expected[place] = [told]
    differing = [
        f"{place}\n    alone:    {expected[place]}\n    in a run: {said}"
        for place, said in answers.items()
        if said != expected[place]
    ]
    assert not differing, "\n".join(differing)
    assert len(answers) > 200
