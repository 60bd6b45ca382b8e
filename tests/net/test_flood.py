"""Floods: whatever one sender does, memory stays bounded and the other hosts answer."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import pytest

from iotsim.net.ethernet import EthernetStack
from iotsim.net.fragmentation import fragment_ipv4, fragment_ipv6
from iotsim.net.stack import Stack
from iotsim.wire import arp, ethernet, icmpv6, ipv4, ipv6, ndp, udp, virtio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram

FIRST, FIRST6 = 0x0A4D0101, 0xFD77 << 112 | 0x10001
PEER, PEER6 = 0x0A4D0001, 0xFD77 << 112 | 1
MAC, PEER_MAC = 0x021A00000001, 0x021A000000FE
MEBIBYTE = 1 << 20
MOST_BYTES = 20 * MEBIBYTE
"""Two reassemblies of 8 MiB each, and what Python adds to that."""


class Hosts:
    def __init__(self, kind: str) -> None:
        self.sent = 0
        self.ports: dict[int, PortHandler] = {5600: self.answer}
        self.missed: dict[int, PortHandler] = {}
        self.host: Stack | EthernetStack
        if kind == "tun":
            self.host = Stack(self.count, router=0x0A4DFFFE)
        else:
            networks = [(FIRST, 16), (FIRST6, 64)]
            self.host = EthernetStack(self.count, seed=1, networks=networks)
        for first in (FIRST, FIRST6):
            if isinstance(self.host, EthernetStack):
                self.host.attach(first, 10, self, mac=MAC)
            else:
                self.host.attach(first, 10, self)

    def count(self, frame: bytes) -> bool:
        self.sent += 1
        return True

    def answer(self, datagram: Datagram, payload: bytes) -> str:
        self.host.send_udp(datagram, payload)
        return "answered"

    def still_answer(self, now: float) -> bool:
        """Whether another host than the first answers a datagram, and one in fragments."""
        for ends in ((PEER, FIRST + 5), (PEER6, FIRST6 + 5)):
            short = udp.build_udp(*ends, 40000, 5600, b"hello")
            long = udp.build_udp(*ends, 40000, 5600, bytes(2000))
            if ends[0] == PEER:
                packets = [ipv4.build_ipv4(*ends, 17, short)]
                packets += fragment_ipv4(*ends, 17, long, 1280, 9)
            else:
                packets = [ipv6.build_ipv6(*ends, 17, short)]
                packets += fragment_ipv6(*ends, 17, long, 1280, 9)
            outcomes = [self.receive(packet, ends[1], now) for packet in packets]
            if outcomes != ["answered", "consumed.fragment", "answered"]:
                return False
        return True

    def receive(self, packet: bytes, destination: int, now: float) -> str:
        if isinstance(self.host, EthernetStack):
            kind = ethernet.IPV4 if packet[0] >> 4 == 4 else ethernet.IPV6
            mac = self.host.mac_of(destination)
            if destination >> 120 == 0xFF:
                mac = ethernet.group_mac(destination)
            header = ethernet.EthernetHeader(mac, PEER_MAC, kind)
            packet = ethernet.build_ethernet(header) + packet
        return self.host.receive(virtio.PLAIN + packet, now)


def first_fragments4(number: int) -> tuple[bytes, int]:
    source = 0x0B000000 + number % 5000
    packet = ipv4.build_ipv4(
        source, FIRST, 17, bytes(1480), identification=number & 0xFFFF, more_fragments=True
    )
    return packet, FIRST


def tiny_fragments4(number: int) -> tuple[bytes, int]:
    packet = ipv4.build_ipv4(
        0x0B000000 + number // 4000,
        FIRST,
        17,
        bytes(8),
        identification=7,
        more_fragments=True,
        fragment_offset=(number % 4000) * 16,
    )
    return packet, FIRST


def fragments6(number: int) -> tuple[bytes, int]:
    header = ipv6.FragmentHeader(17, 0, True, number)
    payload = ipv6.build_fragment(header) + bytes(1400)
    source = (0xFD99 << 112) + number % 5000
    return ipv6.build_ipv6(source, FIRST6, 44, payload), FIRST6


def overlapping_fragments6(number: int) -> tuple[bytes, int]:
    header = ipv6.FragmentHeader(17, number % 3 * 8, True, number // 3)
    payload = ipv6.build_fragment(header) + bytes(1400)
    return ipv6.build_ipv6((0xFD99 << 112) + number // 3, FIRST6, 44, payload), FIRST6


def solicitations(number: int) -> tuple[bytes, int]:
    source, mac = (0xFD77 << 112) + (1 << 32) + number, 0x021A01000000 + number
    group = ipv6.solicited_node(FIRST6)
    data = ndp.neighbor_data(FIRST6, ndp.SOURCE_LINK_ADDRESS, mac)
    message = icmpv6.build_icmpv6(source, group, icmpv6.NEIGHBOR_SOLICITATION, 0, 0, data)
    return ipv6.build_ipv6(source, group, 58, message, hop_limit=255), group


def requests_from_unknown_neighbors(number: int) -> tuple[bytes, int]:
    source = 0x0A4D2000 + number % 50000
    segment = udp.build_udp(source, FIRST, 40000, 5600, bytes(1400))
    return ipv4.build_ipv4(source, FIRST, 17, segment), FIRST


def errors(number: int) -> tuple[bytes, int]:
    quoted = ipv4.build_ipv4(FIRST, 0x0B000000 + number, 17, bytes(1200))
    message = b"\3\4\0\0" + (600).to_bytes(4, "big") + quoted[:28]
    value = -(int.from_bytes(message, "big")) % 65535
    message = message[:2] + value.to_bytes(2, "big") + message[4:]
    return ipv4.build_ipv4(PEER, FIRST, 1, message), FIRST


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start(1)
    yield
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "flood", "frames"),
    [
        ("tun", first_fragments4, 6000),
        ("tun", tiny_fragments4, 8000),
        ("tun", fragments6, 6000),
        ("tun", overlapping_fragments6, 6000),
        ("tun", errors, 5000),
        ("tap", solicitations, 2000),
        ("tap", requests_from_unknown_neighbors, 5000),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_flood_is_survived(
    kind: str, flood: Callable[[int], tuple[bytes, int]], frames: int, traced: None
) -> None:
    hosts = Hosts(kind)
    before, _ = tracemalloc.get_traced_memory()
    for number in range(frames):
        packet, destination = flood(number)
        outcome = hosts.receive(packet, destination, number / frames)
        assert outcome.split(".")[0] in ("answered", "consumed", "dropped")
    after, _ = tracemalloc.get_traced_memory()
    assert after - before < MOST_BYTES
    assert hosts.still_answer(1.1)
    # And all of it passes.
    for _ in range(10_000):
        due = hosts.host.next_due()
        if due is None or due > 2000.0:
            break
        hosts.host.pop_due(due)
    stack = hosts.host.ip if isinstance(hosts.host, EthernetStack) else hosts.host
    assert stack.next_due() is None


def test_arp_requests_by_the_thousand_leave_few_neighbors() -> None:
    hosts = Hosts("tap")
    for number in range(5000):
        message = arp.ArpMessage(arp.REQUEST, PEER_MAC + number, PEER + 0x2000 + number, 0, FIRST)
        header = ethernet.EthernetHeader(ethernet.BROADCAST, PEER_MAC, ethernet.ARP)
        frame = ethernet.build_ethernet(header) + arp.build_arp(message)
        assert hosts.host.receive(virtio.PLAIN + frame, 0.0) == "answered"
    assert isinstance(hosts.host, EthernetStack)
    known = sum(hosts.host.neighbors.mac(PEER + 0x2000 + number) != 0 for number in range(5000))
    assert 0 < known <= 1024
    assert hosts.still_answer(1.0)
