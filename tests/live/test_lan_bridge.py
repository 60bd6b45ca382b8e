"""Devices on an Ethernet: a TAP that joins a bridge with other hosts, judged by their tools."""

from __future__ import annotations

import re
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from tests.live.conftest import CLIENT_PORTS_AS_DATA

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.live.conftest import NetHost, Simulated

    MakeHost = Callable[[], NetHost]
    Serve = Callable[..., Simulated]

pytestmark = pytest.mark.needs("root", "tun", "ip", "sysctl")

METERS = """
[scenario]
seed = 7

[link]
kind = "tap"
{link}

[devices.meter]
count = 5
address = ["10.77.1.1", "fd77::1:1"]
protocol = "sensornet"
{meter}

[[devices.meter.rules]]
when = {{ kind = "READ" }}
reply = {{ kind = "REPORT", value = 20.5 }}
"""


@pytest.fixture
def segment(net_hosts: MakeHost) -> tuple[NetHost, NetHost, NetHost]:
    """(the machine of iotsim, with the bridge br0; two other hosts on that bridge)."""
    machine, one, other = net_hosts(), net_hosts(), net_hosts()
    machine("ip link add br0 type bridge && ip link set br0 up")
    for number, host in enumerate((one, other), start=1):
        machine.plug(f"port{number}", host, "eth0")
        machine(f"ip link set port{number} master br0")
        host("sysctl -qw net.ipv6.conf.eth0.accept_dad=0")
        host(
            f"ip addr add 10.77.0.{number}/16 dev eth0; ip addr add fd77::{number}/64 dev eth0 nodad"
        )
    return machine, one, other


@pytest.mark.needs("ping", "nmap")
def test_two_hosts_on_a_bridge_reach_the_devices(
    segment: tuple[NetHost, NetHost, NetHost], serve: Serve
) -> None:
    machine, one, other = segment
    run = serve(machine, METERS.format(link='bridge = "br0"', meter='mac = "02:00:00:00:00:11"'))
    assert "master br0" in machine("ip link show iotsim0")
    assert "inet" not in machine("ip addr show iotsim0")
    for host in (one, other):
        assert " 0% packet loss" in host("ping -c 3 -i 0.1 10.77.1.2")
        assert " 0% packet loss" in host("ping -c 3 -i 0.1 fd77::1:2")
        assert " 0% packet loss" in host("ping -c 1 -s 8000 10.77.1.3")
        assert " 0% packet loss" in host("ping -c 1 -s 8000 fd77::1:3")
    assert "02:00:00:00:00:12" in one("ip neigh show 10.77.1.2")
    assert "02:00:00:00:00:12" in one("ip neigh show fd77::1:2")
    found = re.findall(r"(10\.77\.1\.\d+)", one("nmap -sn -n 10.77.1.0-9"))
    assert found == [f"10.77.1.{number}" for number in range(1, 6)]
    answers = one("ping -c 2 -i 0.5 ff02::1%eth0")
    for last in range(0x11, 0x16):
        assert f"fe80::ff:fe00:{last:x}%eth0" in answers
    counters = run.end()["counters"]
    received = {name: n for name, n in counters.items() if name.startswith("outcome.")}
    assert sum(received.values()) == counters["packets.received"]
    assert "net.address-conflicts" not in counters


@pytest.mark.needs("arping", "ndisc6")
def test_arping_and_ndisc6_find_each_device(
    segment: tuple[NetHost, NetHost, NetHost], serve: Serve
) -> None:
    machine, one, _ = segment
    run = serve(machine, METERS.format(link='bridge = "br0"', meter='mac = "02:00:00:00:00:11"'))
    answers = one("arping -c 2 -i eth0 10.77.1.4")
    assert "02:00:00:00:00:14" in answers
    assert " 0% unanswered" in answers
    one("arping -c 1 -w 300000 -i eth0 10.77.1.99", fails=True)
    assert "02:00:00:00:00:15" in one("ndisc6 fd77::1:5 eth0").lower()
    one("ndisc6 -r 1 -w 300 fd77::1:99 eth0", fails=True)
    run.end()


def test_a_device_whose_address_another_host_has_is_reported(
    segment: tuple[NetHost, NetHost, NetHost], serve: Serve
) -> None:
    machine, one, _ = segment
    one("ip addr add 10.77.1.3/16 dev eth0")
    run = serve(machine, METERS.format(link='bridge = "br0"', meter=""))
    wait_for(lambda: run.events("note"))
    notes = [event["text"] for event in run.events("note")]
    mac = one("ip -o link show eth0").partition("link/ether ")[2].split()[0]
    assert f"used by the host with the MAC address {mac}" in notes[0]
    assert run.end()["counters"]["net.address-conflicts"] >= 1


@pytest.mark.needs("ping", "traceroute", "nmap", "tshark")
def test_the_capture_is_ethernet_and_flawless(
    segment: tuple[NetHost, NetHost, NetHost], serve: Serve
) -> None:
    machine, one, _ = segment
    groups = 'groups = ["224.0.23.12", "ff05::fd"]'
    run = serve(machine, METERS.format(link='bridge = "br0"', meter=groups))
    one("ping -c 1 -s 4000 10.77.1.1; ping -c 1 -s 4000 fd77::1:1; ping -c 1 10.77.1.77 || true")
    one("traceroute -n -q 1 -w 0.3 -U -p 7 10.77.1.2 || true; nmap -n -sT -p 80 10.77.1.2")
    time.sleep(1.2)  # the second announcement
    run.end()
    capture = str(run.out / "capture.pcapng")
    words = [
        "tshark",
        *CLIENT_PORTS_AS_DATA,
        "-o",
        "ip.check_checksum:TRUE",
        "-o",
        "udp.check_checksum:TRUE",
        "-r",
        capture,
    ]
    flawed = '_ws.malformed or _ws.expert.group == "Checksum" or _ws.expert.group == "Malformed"'
    assert tshark(*words, "-Y", flawed) == []
    assert tshark(*words, "-Y", "arp.isgratuitous == 1")
    assert tshark(*words, "-Y", "igmp.type == 0x22")
    assert tshark(*words, "-Y", "icmpv6.type == 143")
    assert tshark(*words, "-Y", "icmpv6.type == 136")


def leased(run: Simulated) -> list[str]:
    return [event["text"] for event in run.events("note") if "by DHCP" in event["text"]]


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def tshark(*words: str) -> list[str]:
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.splitlines()


DNSMASQ = (
    "dnsmasq --no-daemon --port=0 --conf-file=/dev/null --interface=eth0 --bind-interfaces "
    "--dhcp-range=10.77.5.10,10.77.5.200,255.255.0.0,{lease} --dhcp-authoritative "
    "--dhcp-leasefile={folder}/leases --log-dhcp --no-ping --user=root"
)


@pytest.mark.needs("dnsmasq", "ping")
def test_devices_get_their_addresses_from_dnsmasq(
    segment: tuple[NetHost, NetHost, NetHost], serve: Serve, tmp_path: Path
) -> None:
    machine, one, other = segment
    log = (tmp_path / "dnsmasq.log").open("w")
    with log:
        one.start(*DNSMASQ.format(lease="2m", folder=tmp_path).split(), stdout=log, stderr=log)
        wait_for(lambda: "DHCP, IP range" in (tmp_path / "dnsmasq.log").read_text())
        text = METERS.replace('address = ["10.77.1.1", "fd77::1:1"]', "dhcp = true")
        run = serve(machine, text.format(link='bridge = "br0"', meter='mac = "02:00:00:00:00:11"'))
        wait_for(lambda: len(leased(run)) == 5)
        # dnsmasq may write a lease down after it has granted it.
        wait_for(lambda: len((tmp_path / "leases").read_text().splitlines()) >= 5)
    notes = leased(run)
    leases = [line.split() for line in (tmp_path / "leases").read_text().splitlines()]
    by_mac = {mac: address for _, mac, address, *_ in leases}
    assert sorted(by_mac) == [f"02:00:00:00:00:1{number}" for number in range(1, 6)]
    for number, (_, address) in enumerate(sorted(by_mac.items())):
        assert f"meter[{number}] got the address {address} by DHCP" in notes
        assert " 0% packet loss" in other(f"ping -c 2 -i 0.1 {address}")
    assert run.end()["counters"]["net.dhcp-leases"] == 5


def test_a_bridge_that_is_none_is_named(
    segment: tuple[NetHost, NetHost, NetHost], serve: Serve
) -> None:
    machine, _, _ = segment
    with pytest.raises(AssertionError, match=r"there is no bridge called br7(.|\n)*type bridge"):
        serve(machine, METERS.format(link='bridge = "br7"', meter=""))
    with pytest.raises(AssertionError, match="port1 is an interface, but no bridge"):
        serve(machine, METERS.format(link='bridge = "port1"', meter=""), out="again")
    assert "iotsim" not in machine("ip link")
