"""What lies between: simulated routers, narrow paths, groups, silence."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.live.conftest import NetHost, Simulated

    MakeHost = Callable[[], NetHost]
    Serve = Callable[..., Simulated]

pytestmark = pytest.mark.needs("root", "tun", "ip")

FAR = """
[devices.near]
count = 2
address = ["10.77.1.1", "fd77::1:1"]

[devices.far]
count = 2
address = ["10.77.2.1", "fd77::2:1"]
hops = ["10.77.250.1", "10.77.251.1", "fd77::fa:1", "fd77::fb:1"]
path_mtu = 1300

[devices.mute]
count = 2
address = "10.77.3.1"
silent = true
"""

ALARM = """
[devices.{name}]
count = {count}
address = ["{first}", "{first6}"]
protocol = "sensornet"
groups = ["224.0.23.12", "ff05::fd"]

[[devices.{name}.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 1 }}
{delay}
"""

ASK = '''
"""Asks a group once: prints who answers, and over what time."""
import binascii, socket, struct, sys, time

SO_RCVBUFFORCE = 33
address, wait = sys.argv[1], float(sys.argv[2])
body = b"SN" + struct.pack("!BBHIHB", 1, 1, 9, 7, 1, 0)
six = ":" in address
sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
if six:
    interface = socket.if_nametoindex("iotsim0")
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, interface)
sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
sock.settimeout(wait)
begun = time.monotonic()
sock.sendto(body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF)), (address, 5600))
heard, spread = set(), 0.0
while time.monotonic() - begun < wait:
    try:
        heard.add(sock.recvfrom(2048)[1][0])
    except TimeoutError:
        break
    spread = time.monotonic() - begun
print(len(heard), *sorted(heard)[:3], round(spread, 1))
'''


def ask(host: NetHost, address: str, wait_s: float) -> list[str]:
    return host(f"{sys.executable} - {address} {wait_s} <<'X'\n{ASK}\nX").split()


@pytest.mark.needs("ping", "traceroute", "tracepath")
def test_traceroute_shows_the_simulated_hops(net_hosts: MakeHost, serve: Serve) -> None:
    machine = net_hosts()
    run = serve(machine, FAR)
    for way in ("-I", "-U -p 33434"):
        for target, expected in (
            ("10.77.1.2", ["10.77.1.2"]),
            ("10.77.2.2", ["10.77.250.1", "10.77.251.1", "10.77.2.2"]),
            ("fd77::2:2", ["fd77::fa:1", "fd77::fb:1", "fd77::2:2"]),
        ):
            lines = machine(f"traceroute -n -q 1 -w 1 {way} {target}").splitlines()[1:]
            assert [line.split()[1] for line in lines] == expected, (way, target)
    path = machine("tracepath -n 10.77.2.2")
    assert "10.77.250.1" in path
    assert "pmtu 1300" in path
    assert "pmtu 1300" in machine("tracepath -n fd77::2:2")
    assert " 0% packet loss" in machine("ping -c 2 -i 0.1 -M dont -s 3000 10.77.2.1")
    run.end()


@pytest.mark.needs("ping", "nmap")
def test_a_silent_device_refuses_nothing(net_hosts: MakeHost, serve: Serve) -> None:
    machine = net_hosts()
    run = serve(machine, FAR)
    ports = "-n -Pn --max-retries 1 -p 9 --reason"
    assert "closed|filtered" not in (told := machine(f"nmap -sU {ports} 10.77.1.1"))
    assert "closed" in told
    assert "port-unreach" in told
    assert "no-response" in machine(f"nmap -sU {ports} 10.77.3.1")
    assert "conn-refused" in machine(f"nmap -sT {ports} 10.77.1.1")
    assert "no-response" in machine(f"nmap -sT {ports} --host-timeout 5s 10.77.3.1")
    assert " 0% packet loss" in machine("ping -c 1 10.77.3.1")  # it is no dead one
    run.end()


def test_a_request_to_a_group_is_answered_by_all_members_over_a_while(
    net_hosts: MakeHost, serve: Serve
) -> None:
    machine = net_hosts()
    slow = ALARM.format(
        name="slow", count=20, first="10.77.1.1", first6="fd77::1:1", delay='delay = "0s..1s"'
    )
    other = '[devices.other]\ncount = 3\naddress = "10.77.9.1"\nprotocol = "sensornet"\n'
    run = serve(machine, slow + other)
    assert "224.0.23.12 dev iotsim0" in machine("ip route")
    for group in ("224.0.23.12", "ff05::fd"):
        count, *_, spread = ask(machine, group, 1.5)
        assert int(count) == 20
        assert 0.5 < float(spread) < 1.3
    counters = run.end()["counters"]
    outcomes = {name: n for name, n in counters.items() if name.startswith("outcome.")}
    assert min(outcomes.values()) >= 0
    assert sum(outcomes.values()) == counters["packets.received"]
    assert outcomes["outcome.answered"] == 2
    assert outcomes.get("outcome.pending", 0) == 0


def test_broadcasts_reach_everybody(net_hosts: MakeHost, serve: Serve) -> None:
    machine = net_hosts()
    run = serve(
        machine, ALARM.format(name="m", count=9, first="10.77.1.1", first6="fd77::1:1", delay="")
    )
    assert ask(machine, "10.77.255.255", 0.5)[0] == "9"
    # In the host's network the limited broadcast goes where the machine says.
    machine("ip route add 255.255.255.255 dev iotsim0")
    assert ask(machine, "255.255.255.255", 0.5)[0] == "9"
    run.end()


def test_one_request_makes_no_storm(net_hosts: MakeHost, serve: Serve) -> None:
    machine = net_hosts()
    crowd = ALARM.format(
        name="crowd", count=5000, first="10.77.16.1", first6="fd77::16:1", delay='delay = "0s..1s"'
    )
    run = serve(machine, crowd)
    assert ask(machine, "224.0.23.12", 3)[0] == "1000"
    assert run.end()["counters"]["net.group-members-left-out"] == 4000


SEGMENTED = '''
"""Sends ten requests by one call, as one large datagram for the kernel to cut; counts answers."""
import binascii, socket, struct, sys

def read(number):
    body = b"SN" + struct.pack("!BBHIHB", 1, 1, 9, 7, number, 0)
    return body + struct.pack("!H", binascii.crc_hqx(body, 0xFFFF))

UDP_SEGMENT = 103
for address in sys.argv[1:]:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(3)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, len(read(0)))
    sock.sendto(b"".join(map(read, range(10))), (address, 5600))
    print(*sorted(sock.recvfrom(2048)[0][11] for _ in range(10)))
'''


@pytest.mark.parametrize("kind", ["tun", "tap"])
def test_datagrams_that_the_kernel_is_to_cut_arrive_one_by_one(
    kind: str, net_hosts: MakeHost, serve: Serve
) -> None:
    machine = net_hosts()
    meters = ALARM.format(name="m", count=3, first="10.77.1.1", first6="fd77::1:1", delay="")
    run = serve(machine, f'[link]\nkind = "{kind}"\n{meters}')
    told = machine(f"{sys.executable} - 10.77.1.1 fd77::1:1 <<'X'\n{SEGMENTED}\nX")
    assert told.splitlines() == ["0 1 2 3 4 5 6 7 8 9"] * 2
    run.end()
