"""Hosts that are absent, one by one: their machine is off, as far as anybody can see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotsim.net.ethernet import EthernetStack
from iotsim.net.stack import Stack
from iotsim.wire import arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndp, tcp, udp, virtio
from iotsim.wire.address import parse_address
from iotsim.wire.arp import ArpMessage
from iotsim.wire.ethernet import EthernetHeader

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram

ROUTER, ROUTER6 = parse_address("10.77.255.254"), parse_address("fd77::ffff")
GATEWAY, GATEWAY6 = parse_address("10.77.0.1"), parse_address("fd77::1")
FIRST, FIRST6 = parse_address("10.77.1.1"), parse_address("fd77::1:1")
GROUP = parse_address("239.1.2.3")
MAC, GATEWAY_MAC = 0x020000000100, 0x0200000000FE
PORT = 5600
BACK_AT = 10.0
ABSENT = 1


def is_absent(index: int, now: float) -> bool:
    """Host 1 boots ten seconds into the run."""
    return index == ABSENT and now < BACK_AT


class Fleet:
    def __init__(self) -> None:
        self.heard: list[int] = []
        self.ports: dict[int, PortHandler] = {PORT: self.hear}
        self.missed: dict[int, PortHandler] = {}

    def hear(self, datagram: Datagram, _payload: bytes) -> str:
        self.heard.append(datagram.index)
        return "answered"


class Bench:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.stack = Stack(self.transmit, router=ROUTER, router6=ROUTER6)
        self.fleet = Fleet()
        for first in (FIRST, FIRST6):
            self.stack.attach(first, 3, self.fleet)
        self.stack.join(GROUP, self.fleet)

    def transmit(self, frame: bytes) -> None:
        self.sent.append(frame)

    def receive(self, packet: bytes, now: float) -> str:
        return self.stack.receive(virtio.PLAIN + packet, now)


def datagram_to(destination: int) -> bytes:
    source = GATEWAY if destination < 1 << 32 else GATEWAY6
    segment = udp.build_udp(source, destination, 40000, PORT, b"hello")
    if destination < 1 << 32:
        return ipv4.build_ipv4(source, destination, 17, segment)
    return ipv6.build_ipv6(source, destination, 17, segment)


def ping(destination: int) -> bytes:
    if destination < 1 << 32:
        message = icmpv4.build_icmpv4(icmpv4.ECHO_REQUEST, 0, 1, b"data")
        return ipv4.build_ipv4(GATEWAY, destination, 1, message)
    message = icmpv6.build_icmpv6(GATEWAY6, destination, icmpv6.ECHO_REQUEST, 0, 1, b"data")
    return ipv6.build_ipv6(GATEWAY6, destination, 58, message)


def connect(destination: int) -> bytes:
    source = GATEWAY if destination < 1 << 32 else GATEWAY6
    segment = tcp.build_tcp(source, destination, 40000, 80, tcp.SYN)
    if destination < 1 << 32:
        return ipv4.build_ipv4(source, destination, 6, segment)
    return ipv6.build_ipv6(source, destination, 6, segment)


@pytest.mark.parametrize("packet_to", [datagram_to, ping, connect])
@pytest.mark.parametrize("first", [FIRST, FIRST6])
def test_an_absent_host_is_as_unreachable_as_an_address_without_one(
    packet_to: Callable[[int], bytes], first: int
) -> None:
    bench = Bench()
    there = bench.receive(packet_to(first), 0.0)
    bench.stack.set_absence(bench.fleet, is_absent)
    bench.sent.clear()
    packet = packet_to(first + ABSENT)
    assert bench.receive(packet, 5.0) == "dropped.host-absent"
    assert bench.receive(packet_to(first), 5.0) == there
    # The link's router tells so, and it alone.
    error = bench.sent[0][virtio.HEADER_LENGTH :]
    if first < 1 << 32:
        message = icmpv4.parse_icmpv4(error[20:])
        assert (ipv4.parse_ipv4(error).source, message.type, message.code) == (ROUTER, 3, 1)
    else:
        assert (ipv6.parse_ipv6(error).source, error[40], error[41]) == (ROUTER6, 1, 3)
    assert bench.receive(packet, BACK_AT) == there
    bench.stack.set_absence(bench.fleet, None)
    assert bench.receive(packet, 5.0) == there


@pytest.mark.parametrize("first", [FIRST, FIRST6])
def test_who_wants_to_know_is_told_what_comes_for_an_absent_host(first: int) -> None:
    bench = Bench()
    bench.stack.set_absence(bench.fleet, is_absent)
    missed: list[tuple[int, int, bytes]] = []

    def note(datagram: Datagram, payload: bytes, /) -> str:
        missed.append((datagram.index, datagram.local, payload))
        return "dropped.host-absent"

    bench.fleet.missed[PORT] = note
    for packet_to in (datagram_to, ping, connect):
        bench.receive(packet_to(first), 5.0)
        assert bench.receive(packet_to(first + ABSENT), 5.0) == "dropped.host-absent"
    ((index, local, payload),) = missed
    assert (index, local) == (ABSENT, first + ABSENT)
    assert payload == b"hello"
    bench.receive(datagram_to(first + ABSENT), BACK_AT)
    assert len(missed) == 1, "it is there again"


def test_an_absent_host_hears_no_group() -> None:
    bench = Bench()
    bench.stack.set_absence(bench.fleet, is_absent)
    for now, heard in ((5.0, [0, 2]), (BACK_AT, [0, 1, 2])):
        for group in (GROUP, ipv4.LIMITED_BROADCAST):
            bench.fleet.heard.clear()
            assert bench.receive(datagram_to(group), now) == "answered"
            assert bench.fleet.heard == heard
    bench.sent.clear()
    assert bench.receive(ping(ipv6.ALL_NODES), 5.0) == "answered"
    assert len(bench.sent) == 2


def test_the_short_cut_is_taken_again_when_all_are_there() -> None:
    bench = Bench()
    by_the_book: list[bytes] = []
    book = bench.stack.receive_by_the_book

    def noted(frame: bytes, now: float) -> str:
        by_the_book.append(frame)
        return book(frame, now)

    bench.stack.receive_by_the_book = noted  # type: ignore[method-assign]
    for absence, looked_up in ((None, 0), (is_absent, 1), (None, 1)):
        bench.stack.set_absence(bench.fleet, absence)
        assert bench.receive(datagram_to(FIRST), 0.0) == "answered"
        assert len(by_the_book) == looked_up


def test_addresses_that_come_later_are_absent_too() -> None:
    bench = Bench()
    bench.stack.set_absence(bench.fleet, is_absent)
    bench.stack.attach(FIRST + 0x100, 1, bench.fleet, start=ABSENT)
    assert bench.receive(datagram_to(FIRST + 0x100), 5.0) == "dropped.host-absent"
    assert bench.receive(datagram_to(FIRST + 0x100), BACK_AT) == "answered"


def test_fragments_for_a_host_that_went_are_given_up_without_a_word() -> None:
    bench = Bench()
    whole = datagram_to(FIRST + ABSENT)[20:]
    first = ipv4.build_ipv4(GATEWAY, FIRST + ABSENT, 17, whole[:8], more_fragments=True)
    assert bench.receive(first, BACK_AT) == "consumed.fragment"
    bench.stack.set_absence(bench.fleet, lambda index, _: index == ABSENT)
    bench.stack.pop_due(BACK_AT + 31)
    assert bench.stack.counters["reassembly-timeouts"] == 1
    assert bench.sent == []


class Segment:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.stack = EthernetStack(
            self.transmit, seed=1, networks=[(GATEWAY, 16), (GATEWAY6, 64)], default_router=GATEWAY
        )
        self.fleet = Fleet()
        self.stack.attach(FIRST, 3, self.fleet, mac=MAC)
        self.stack.attach(FIRST6, 3, self.fleet)
        self.stack.join(GROUP, self.fleet)
        self.stack.set_absence(self.fleet, is_absent)

    def transmit(self, frame: bytes) -> None:
        self.sent.append(frame)

    def receive(self, destination: int, ethertype: int, payload: bytes, now: float) -> str:
        header = EthernetHeader(destination, GATEWAY_MAC, ethertype)
        return self.stack.receive(virtio.PLAIN + ethernet.build_ethernet(header) + payload, now)


def test_an_absent_host_answers_neither_arp_nor_neighbor_discovery() -> None:
    segment = Segment()
    question = arp.build_arp(ArpMessage(arp.REQUEST, GATEWAY_MAC, GATEWAY, 0, FIRST + ABSENT))
    target = FIRST6 + ABSENT
    group = ipv6.solicited_node(target)
    data = ndp.neighbor_data(target, ndp.SOURCE_LINK_ADDRESS, GATEWAY_MAC)
    message = icmpv6.build_icmpv6(GATEWAY6, group, icmpv6.NEIGHBOR_SOLICITATION, 0, 0, data)
    solicitation = ipv6.build_ipv6(GATEWAY6, group, 58, message, hop_limit=255)
    for now, arp_outcome, ndp_outcome in (
        (5.0, "consumed.arp-for-others", "consumed.neighbor-solicitation"),
        (BACK_AT, "answered", "answered"),
    ):
        assert segment.receive(ethernet.BROADCAST, ethernet.ARP, question, now) == arp_outcome
        mac = ethernet.group_mac(group)
        assert segment.receive(mac, ethernet.IPV6, solicitation, now) == ndp_outcome
        assert bool(segment.sent) == (now == BACK_AT)


def test_an_absent_host_takes_no_frame_and_claims_no_address() -> None:
    segment = Segment()
    packet = datagram_to(FIRST + ABSENT)
    assert segment.receive(MAC + ABSENT, ethernet.IPV4, packet, 5.0) == "dropped.no-host"
    claim = arp.build_arp(ArpMessage(arp.REQUEST, GATEWAY_MAC, FIRST + ABSENT, 0, FIRST + ABSENT))
    segment.receive(ethernet.BROADCAST, ethernet.ARP, claim, 5.0)
    assert segment.stack.counters["address-conflicts"] == 0
    assert segment.sent == []
    assert segment.receive(MAC + ABSENT, ethernet.IPV4, packet, BACK_AT) == "answered"


def test_an_absent_host_announces_nothing() -> None:
    segment = Segment()
    segment.stack.announce(0.0)
    while (due := segment.stack.next_due()) is not None and due < BACK_AT:
        segment.stack.pop_due(due)
    sources = {
        ethernet.parse_ethernet(frame, virtio.HEADER_LENGTH).source for frame in segment.sent
    }
    assert sources == {MAC, MAC + 2}


def test_a_dhcp_client_asks_when_it_is_there() -> None:
    segment = Segment()
    leasing = Fleet()
    segment.stack.set_absence(leasing, is_absent)
    segment.stack.lease(2, leasing, 0.0, mac=MAC + 0x100)
    seen: dict[int, float] = {}
    while (due := segment.stack.next_due()) is not None and due < 20.0:
        segment.stack.pop_due(due)
        for frame in segment.sent:
            seen.setdefault(ethernet.parse_ethernet(frame, virtio.HEADER_LENGTH).source, due)
        segment.sent.clear()
    assert seen[MAC + 0x100] == 0.0
    assert BACK_AT <= seen[MAC + 0x101] <= BACK_AT + 1.0
