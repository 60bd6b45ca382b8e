"""Floods through a real interface: other devices answer meanwhile, and memory stays bounded."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import CommandLine

pytestmark = pytest.mark.needs("tun", "ping")

SCENARIO = """
[scenario]
duration = "60s"
until = "duration"

[link]
kind = "tap"

[gateway]
command = ["sh", "-c", "touch up; sleep 60"]
cwd = "."

[devices.meter]
count = 5
address = ["10.77.1.1", "fd77::1:1"]
mac = "02:1a:00:00:00:01"
protocol = "sensornet"
"""
# Everything at the first device, from ever other sources: first fragments of both families, neighbor
# solicitations, ARP requests; 300 frames at a time, as many as the interface's queue holds.
FLOOD = """
import socket, struct, sys, time
from iotsim.wire import arp, ethernet, icmpv6, ipv4, ipv6, ndp
FIRST, FIRST6, MAC = 0x0A4D0101, 0xFD77 << 112 | 0x10001, 0x021A00000001
GROUP = ipv6.solicited_node(FIRST6)

def frames(number):
    mac, source6 = 0x021A01000000 + number, (0xFD77 << 112) + (1 << 32) + number
    def frame(to, kind, data):
        return ethernet.build_ethernet(ethernet.EthernetHeader(to, mac, kind)) + data
    yield frame(MAC, 0x800, ipv4.build_ipv4(
        0x0A4D8000 + number % 9000, FIRST, 17, bytes(1400), identification=number & 0xFFFF,
        more_fragments=True))
    fragment = ipv6.build_fragment(ipv6.FragmentHeader(17, 0, True, number))
    yield frame(MAC, 0x86DD, ipv6.build_ipv6(source6, FIRST6, 44, fragment + bytes(1400)))
    data = ndp.neighbor_data(FIRST6, 1, mac)
    message = icmpv6.build_icmpv6(source6, GROUP, 135, 0, 0, data)
    yield frame(ethernet.group_mac(GROUP), 0x86DD,
                ipv6.build_ipv6(source6, GROUP, 58, message, hop_limit=255))
    request = arp.ArpMessage(1, mac, 0x0A4D8000 + number % 9000, 0, FIRST)
    yield frame(0xFFFFFFFFFFFF, 0x806, arp.build_arp(request))

sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
sock.bind(("iotsim0", 0))
sent = number = 0
while sent < 8000:
    number += 1
    for one in frames(number):
        try:
            sock.send(one)
            sent += 1
        except OSError:
            time.sleep(0.001)
    if number % 75 == 0:
        time.sleep(0.01)
print("sent", sent)
"""
LOSS = re.compile(r"(\d+) packets transmitted, (\d+) received")
MOST_KIBIBYTES = 40 * 1024


def resident_kibibytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


def test_a_flood_at_one_device_leaves_the_others_answering(iotsim: CommandLine) -> None:
    run = iotsim.start("run", iotsim.write("flood.toml", SCENARIO), "--out", iotsim.out)
    iotsim.wait_for((iotsim.folder / "up").exists, "the run", run)
    flood = iotsim.write("flood.py", FLOOD)
    before = resident_kibibytes(run.pid)
    script = (
        f"{sys.executable} {flood} > flood.text & "
        "ping -n -c 10 -i 0.1 -W 2 10.77.1.4 > four; wait; "
        "ping -n -c 3 -i 0.1 10.77.1.5 > after; ping -6 -n -c 3 -i 0.1 fd77::1:5 > after6"
    )
    asked = iotsim("exec", iotsim.out, "--", "sh", "-c", script)
    after = resident_kibibytes(run.pid)
    run.terminate()
    done = iotsim.finish(run)
    assert asked.status == 0, asked.text
    assert (iotsim.folder / "flood.text").read_text() == "sent 8000\n"
    during = LOSS.search((iotsim.folder / "four").read_text())
    assert during
    assert int(during[2]) >= 7  # the interface's queue may have been full
    for name in ("after", "after6"):
        assert "3 received" in (iotsim.folder / name).read_text()
    assert after - before < MOST_KIBIBYTES
    counters = done.result["counters"]
    assert counters["outcome.consumed.fragment"] > 2000
    assert counters["outcome.answered"] > 2000
    outcomes = sum(n for name, n in counters.items() if name.startswith("outcome."))
    assert outcomes == counters["packets.received"]
