"""Hosts that move, one by one: to another address, or to other ports."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from iotsim.net.ethernet import EthernetStack
from iotsim.net.stack import Stack
from iotsim.wire import arp, ethernet, icmpv4, icmpv6, ipv4, ipv6, ndp, udp, virtio
from iotsim.wire.address import parse_address
from iotsim.wire.arp import ArpMessage
from iotsim.wire.ethernet import EthernetHeader

if TYPE_CHECKING:
    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram

ROUTER, ROUTER6 = parse_address("10.77.255.254"), parse_address("fd77::ffff")
GATEWAY, GATEWAY6 = parse_address("10.77.0.1"), parse_address("fd77::1")
FIRST, FIRST6 = parse_address("10.77.1.1"), parse_address("fd77::1:1")
NEW, NEW6 = parse_address("10.77.9.9"), parse_address("fd77::9:9")
MAC, GATEWAY_MAC = 0x020000000100, 0x0200000000FE
PORT, OTHER_PORT = 5600, 5700
MOVED = 1


class Fleet:
    def __init__(self) -> None:
        self.heard: list[tuple[int, int, int]] = []
        self.ports: dict[int, PortHandler] = {PORT: self.hear}
        self.missed: dict[int, PortHandler] = {}

    def hear(self, datagram: Datagram, _payload: bytes) -> str:
        self.heard.append((datagram.index, datagram.local, datagram.local_port))
        return "answered"


class Bench:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.stack = Stack(self.transmit, router=ROUTER, router6=ROUTER6)
        self.fleet = Fleet()
        for first in (FIRST, FIRST6):
            self.stack.attach(first, 3, self.fleet)

    def transmit(self, frame: bytes) -> None:
        self.sent.append(frame)

    def ask(self, destination: int, port: int = PORT) -> str:
        packet = datagram_to(destination, port)
        # Twice, so that a flow would be known.
        self.stack.receive(virtio.PLAIN + packet, 0.0)
        return self.stack.receive(virtio.PLAIN + packet, 0.0)


def datagram_to(destination: int, port: int = PORT) -> bytes:
    source = GATEWAY if destination < 1 << 32 else GATEWAY6
    segment = udp.build_udp(source, destination, 40000, port, b"hello")
    if destination < 1 << 32:
        return ipv4.build_ipv4(source, destination, 17, segment)
    return ipv6.build_ipv6(source, destination, 17, segment)


@pytest.mark.parametrize(("first", "new"), [(FIRST, NEW), (FIRST6, NEW6)])
def test_a_host_is_at_its_new_address_alone_until_it_moves_back(first: int, new: int) -> None:
    bench = Bench()
    others = (first, first + 2)
    assert bench.ask(first + MOVED) == "answered"
    bench.stack.move(bench.fleet, MOVED, first + MOVED, new, bench.fleet.ports)
    bench.fleet.heard.clear()
    assert bench.ask(first + MOVED) == "dropped.no-host"
    assert bench.fleet.heard == []
    assert bench.ask(new) == "answered"
    assert set(bench.fleet.heard) == {(MOVED, new, PORT)}
    for other in others:
        assert bench.ask(other) == "answered"
    bench.stack.move_back(first + MOVED, new)
    assert bench.ask(new) == "dropped.no-host"
    assert bench.ask(first + MOVED) == "answered"
    assert bench.fleet.heard[-1] == (MOVED, first + MOVED, PORT)


@pytest.mark.parametrize("moved", [0, MOVED])
def test_a_host_has_other_ports_at_the_same_address(moved: int) -> None:
    bench = Bench()
    address = FIRST + moved
    bench.stack.move(bench.fleet, moved, address, address, {OTHER_PORT: bench.fleet.hear})
    assert bench.ask(address, OTHER_PORT) == "answered"
    assert bench.fleet.heard[-1] == (moved, address, OTHER_PORT)
    bench.sent.clear()
    assert bench.ask(address) == "dropped.no-service"
    message = icmpv4.parse_icmpv4(bench.sent[0][virtio.HEADER_LENGTH :][20:])
    assert (message.type, message.code) == (3, 3)  # the port is closed
    assert bench.ask(FIRST + 2) == "answered"
    assert bench.ask(FIRST + 2, OTHER_PORT) == "dropped.no-service"
    bench.stack.move_back(address, address)
    assert bench.ask(address) == "answered"
    assert bench.ask(address, OTHER_PORT) == "dropped.no-service"


def test_a_moved_host_can_be_absent() -> None:
    bench = Bench()
    bench.stack.set_absence(bench.fleet, lambda index, now: index == MOVED)
    bench.stack.move(bench.fleet, MOVED, FIRST + MOVED, NEW, bench.fleet.ports)
    assert bench.ask(NEW) == "dropped.host-absent"
    bench.stack.set_absence(bench.fleet, None)
    assert bench.ask(NEW) == "answered"


def test_the_short_cut_is_taken_again_when_all_are_back() -> None:
    bench = Bench()
    by_the_book: list[bytes] = []
    book = bench.stack.receive_by_the_book

    def noted(frame: bytes, now: float) -> str:
        by_the_book.append(frame)
        return book(frame, now)

    bench.stack.receive_by_the_book = noted  # type: ignore[method-assign]
    bench.ask(FIRST)
    assert by_the_book == []
    bench.stack.move(bench.fleet, MOVED, FIRST + MOVED, NEW, bench.fleet.ports)
    bench.ask(FIRST)
    assert len(by_the_book) == 2
    bench.stack.move_back(FIRST + MOVED, NEW)
    bench.ask(FIRST)
    assert len(by_the_book) == 2


def test_what_cannot_be_is_refused() -> None:
    bench = Bench()
    ports, fleet = bench.fleet.ports, bench.fleet
    with pytest.raises(ValueError, match=r"10\.77\.1\.3 is taken"):
        bench.stack.move(fleet, MOVED, FIRST + MOVED, FIRST + 2, ports)
    with pytest.raises(ValueError, match="is not the host's"):
        bench.stack.move(fleet, MOVED, FIRST, NEW, ports)
    with pytest.raises(ValueError, match="other family"):
        bench.stack.move(fleet, MOVED, FIRST + MOVED, NEW6, ports)
    bench.stack.move(fleet, MOVED, FIRST + MOVED, NEW, ports)
    with pytest.raises(ValueError, match="is not the host's"):
        bench.stack.move(fleet, MOVED, FIRST + MOVED, NEW + 1, ports)
    with pytest.raises(ValueError, match="has moved"):
        bench.stack.attach(NEW, 1, Fleet())
    assert bench.ask(NEW) == "answered"


def test_on_an_ethernet_it_keeps_its_mac_and_tells_everybody() -> None:
    sent: list[bytes] = []

    def transmit(frame: bytes) -> None:
        sent.append(frame)

    stack = EthernetStack(
        transmit, seed=1, networks=[(GATEWAY, 16), (GATEWAY6, 64)], default_router=GATEWAY
    )
    fleet = Fleet()
    stack.attach(FIRST, 3, fleet, mac=MAC)
    stack.attach(FIRST6, 3, fleet)
    for old, new in ((FIRST + MOVED, NEW), (FIRST6 + MOVED, NEW6)):
        sent.clear()
        stack.move(fleet, MOVED, old, new, fleet.ports)
        told = ethernet.parse_ethernet(sent[0], virtio.HEADER_LENGTH)
        assert told.source == MAC + MOVED
        assert (stack.mac_of(old), stack.mac_of(new)) == (0, MAC + MOVED)

    def asked(address: int) -> str:
        question = arp.build_arp(ArpMessage(arp.REQUEST, GATEWAY_MAC, GATEWAY, 0, address))
        header = EthernetHeader(ethernet.BROADCAST, GATEWAY_MAC, ethernet.ARP)
        frame = virtio.PLAIN + ethernet.build_ethernet(header) + question
        return stack.receive(frame, 1.0)

    assert asked(FIRST + MOVED) == "consumed.arp-for-others"
    assert asked(NEW) == "answered"
    assert asked(FIRST) == "answered"
    stack.move_back(FIRST + MOVED, NEW)
    assert asked(FIRST + MOVED) == "answered"
    assert asked(NEW) == "consumed.arp-for-others"
    target = FIRST6 + MOVED
    group = ipv6.solicited_node(target)
    data = ndp.neighbor_data(target, ndp.SOURCE_LINK_ADDRESS, GATEWAY_MAC)
    message = icmpv6.build_icmpv6(GATEWAY6, group, icmpv6.NEIGHBOR_SOLICITATION, 0, 0, data)
    packet = ipv6.build_ipv6(GATEWAY6, group, 58, message, hop_limit=255)
    header = EthernetHeader(ethernet.group_mac(group), GATEWAY_MAC, ethernet.IPV6)
    frame = virtio.PLAIN + ethernet.build_ethernet(header) + packet
    assert stack.receive(frame, 1.0) == "consumed.neighbor-solicitation"
    stack.move_back(target, NEW6)
    assert stack.receive(frame, 1.0) == "answered"
