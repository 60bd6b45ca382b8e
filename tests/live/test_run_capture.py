"""What a run records, held against independent programs: tshark, tcpdump, ping, JUnit's readers."""

from __future__ import annotations

import re
import struct
import subprocess
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import junitparser
import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine, Done

pytestmark = pytest.mark.needs("tun", "ping", "tcpdump", "tshark")
background = pytest.mark.background

METERS = 14
ROUNDS = 2
PINGS = ("10.77.1.1", "10.77.1.14", "10.77.1.15")
TCPDUMP_HEADER = 24
RECORD = struct.Struct("<IIII")


@dataclass
class Quickstart:
    """The quickstart, watched: by pings before the gateway starts, and by tcpdump."""

    run: Done
    pings: dict[str, Done]
    tcpdump: bytes


def quickstart(iotsim: CommandLine) -> Quickstart:
    folder = iotsim.folder
    script = (
        f"touch {folder}/up; until [ -e {folder}/go ]; do sleep 0.02; done; "
        "exec python3 -IS $0 --devices 10.77.1.1-10.77.1.14 "
        f"--rounds {ROUNDS} --interval 0.1"
    )
    gateway = ["sh", "-c", script, "examples/polling_gateway.py"]
    options = ["--tolerance", "10", "--out", iotsim.out]  # for the pings before the first poll
    run = iotsim.start("run", "quickstart", *options, "--", *gateway)
    iotsim.wait_for((folder / "up").exists, "the gateway", run)
    pings = {
        address: iotsim("exec", iotsim.out, "--", "ping", "-n", "-c1", "-W2", address)
        for address in PINGS
    }
    with (folder / "tcpdump.log").open("w") as log:
        words = ["tcpdump", "-i", "iotsim0", "-U", "--immediate-mode", "-s2048", "-w", "-"]
        tcpdump = iotsim.start("exec", iotsim.out, "--", *words, stderr=log, text=False)
        listening = folder / "tcpdump.log"
        iotsim.wait_for(lambda: "listening on" in listening.read_text(), "tcpdump", run)
        (folder / "go").touch()
        ended = iotsim.finish(run)
        captured, _ = tcpdump.communicate(timeout=30)
    return Quickstart(ended, pings, captured)


@background(job=quickstart)
def test_it_passes_and_leaves_everything(done: Quickstart) -> None:
    run = done.run
    assert run.status == 0, run.text
    assert "PASSED" in run.text
    names = {
        "result.json",
        "events.jsonl",
        "capture.pcapng",
        "junit.xml",
        "report.html",
        "gateway.log",
    }
    assert names <= {path.name for path in run.out.iterdir()}
    assert {"result.json", *run.result["files"]} == {*names, "work/"}
    assert not [path.name for path in run.out.iterdir() if path.name.startswith(".")]


@background(job=quickstart)
def test_the_books_balance(done: Quickstart) -> None:
    result = done.run.result
    counters = result["counters"]
    assert result["verdict"] == "passed"
    assert result["seed"] > 0
    # Each round polls every meter once; two pings were answered, and one got an ICMP error.
    asked = METERS * ROUNDS + len(PINGS)
    assert counters["packets.received"] == counters["interface.to_devices"] == asked
    outcomes = {name: n for name, n in counters.items() if name.startswith("outcome.")}
    assert sum(outcomes.values()) == asked
    assert outcomes["outcome.answered"] == asked - 1
    assert counters["interface.from_devices"] == counters["link.sent"] == asked
    assert counters["packets.recorded"] == 2 * asked
    events = Counter(event["event"] for event in done.run.events)
    assert events["received"] == events["sent"] == METERS * ROUNDS
    assert events["gateway-exited"] == events["run-ended"] == 1
    assert sum(events.values()) == counters["events"] + 1  # all but the last, which tells it


@background(job=quickstart)
def test_ping_by_exec(done: Quickstart) -> None:
    first, last, nobody = (done.pings[address] for address in PINGS)
    assert "1 received" in first.text
    assert "64 bytes from 10.77.1.1:" in first.text
    assert "64 bytes from 10.77.1.14:" in last.text
    assert (first.status, last.status, nobody.status) == (0, 0, 1)
    # From the router's address: Linux drops errors whose source is its own.
    assert "From 10.77.255.254 icmp_seq=1 Destination Host Unreachable" in nobody.text


FIELDS = (
    "ip.src",
    "ip.dst",
    "udp.srcport",
    "udp.dstport",
    "udp.payload",
    "ip.checksum.status",
    "udp.checksum.status",
    "icmp.checksum.status",
    "_ws.expert.severity",
    "_ws.malformed",
)
GOOD = "1"


@background(job=quickstart)
def test_the_capture_holds_the_same_datagrams_as_tcpdump_and_not_one_bad_packet(
    done: Quickstart,
) -> None:
    words = ["tshark", "-n", "-r", done.run.out / "capture.pcapng", "-T", "fields"]
    for name in ("ip", "udp", "tcp"):
        words += ["-o", f"{name}.check_checksum:TRUE"]
    for name in FIELDS:
        words += ["-e", name]
    read = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    datagrams: Counter[tuple[str, ...]] = Counter()
    rows = [line.split("\t") for line in read.stdout.splitlines()]
    assert len(rows) == 2 * (METERS * ROUNDS + len(PINGS))
    for row in rows:
        *datagram, ip_sum, udp_sum, icmp_sum, severity, malformed = row
        # An ICMP error quotes what it is about, whose status comes second.
        assert ip_sum.split(",")[0] == GOOD
        assert GOOD in (udp_sum, icmp_sum.split(",")[0])
        assert not malformed
        # Of the least severity are comments, as that nobody is at an address. From "note" (an unanswered
        # ping) upwards there are "warning" and "error".
        assert severity in ("", "1048576", "2097152", "4194304"), row
        if udp_sum:
            datagrams[tuple(datagram)] += 1
    assert datagrams == udp_datagrams(done.tcpdump)
    assert sum(datagrams.values()) == 2 * METERS * ROUNDS


def udp_datagrams(capture: bytes) -> Counter[tuple[str, ...]]:
    """The UDP datagrams over IPv4 in a capture of tcpdump's, of a link without headers."""
    found: Counter[tuple[str, ...]] = Counter()
    at = TCPDUMP_HEADER
    while at < len(capture):
        _, _, length, _ = RECORD.unpack_from(capture, at)
        packet = capture[at + RECORD.size : at + RECORD.size + length]
        at += RECORD.size + length
        if packet[0] >> 4 == 4 and packet[9] == 17:
            source, destination = (".".join(map(str, packet[n : n + 4])) for n in (12, 16))
            ports = struct.unpack_from("!HH", packet, 20)
            found[(source, destination, *map(str, ports), packet[28:].hex())] += 1
    return found


@background(job=quickstart)
def test_junit_is_read_by_others(done: Quickstart) -> None:
    xml = junitparser.JUnitXml.fromfile(str(done.run.out / "junit.xml"))
    (suite,) = list(xml)
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (5, 0, 0, 0)
    assert suite.name == "Gateway polls every meter"
    assert [case.name for case in suite][1] == "every meter is polled"
    assert all(case.is_passed for case in suite)


@background(job=quickstart)
def test_events_name_the_way_of_every_poll(done: Quickstart) -> None:
    received = done.run.events_of("received")
    sent = done.run.events_of("sent")
    assert {event["device"] for event in received} == {f"meter[{n}]" for n in range(METERS)}
    times = [event["t"] for event in received]
    assert times == sorted(times)
    answers = {(event["device"], event["message"]["seq"]): event for event in sent}
    for event in received:
        answer = answers[(event["device"], event["message"]["seq"])]
        assert answer["peer"] == event["peer"]
        # The rule's delay is 5 ms at the least.
        assert answer["t"] - event["t"] >= 0.005 - 1e-5
    assert re.fullmatch(r"10\.77\.0\.1:\d+", received[0]["peer"])
