"""DHCP clients against a server that is a few lines of this file."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from iotsim.net.dhcp import State
from iotsim.net.ethernet import EthernetStack
from iotsim.net.mac import derived_mac
from iotsim.wire import arp, dhcp, ethernet, ipv4, udp, virtio
from iotsim.wire.address import parse_address
from iotsim.wire.dhcp import DhcpMessage
from iotsim.wire.ethernet import EthernetHeader

if TYPE_CHECKING:
    from iotsim.net.address_table import HostPool, PortHandler
    from iotsim.net.datagram import Datagram

SERVER = parse_address("10.77.0.1")
SERVER_MAC = 0x020000000001
POOL = parse_address("10.77.2.1")
FIRST_MAC = derived_mac(3, 0)


class LeasingFleet:
    def __init__(self) -> None:
        self.heard: list[tuple[int, int]] = []
        self.ports: dict[int, PortHandler] = {5600: self.hear}
        self.missed: dict[int, PortHandler] = {}

    def hear(self, datagram: Datagram, payload: bytes) -> str:
        self.heard.append((datagram.index, datagram.local))
        return "consumed.heard"


class Network:
    """A fleet of devices that begin to look for addresses at 0 s, 1 s, ..."""

    def __init__(self, count: int = 2) -> None:
        self.sent: list[bytes] = []
        self.leases: list[tuple[int, int]] = []
        self.host = EthernetStack(
            self.sent.append, seed=3, networks=[], on_lease=self.on_lease, announce_rate=1
        )
        self.fleet = LeasingFleet()
        self.host.lease(count, self.fleet, 0.0)

    def on_lease(self, pool: HostPool, index: int, address: int) -> None:
        assert pool is self.fleet
        self.leases.append((index, address))

    def asked(self) -> list[tuple[EthernetHeader, ipv4.IPv4Header, DhcpMessage]]:
        """The DHCP messages that were sent since the last call."""
        messages = []
        for frame in self.sent:
            data = virtio.complete_checksum(frame)
            header = ethernet.parse_ethernet(data)
            if header.ethertype == ethernet.IPV4:
                packet = ipv4.parse_ipv4(data[14:])
                segment = data[34:]
                udp.verify_udp(packet.source, packet.destination, segment)
                assert udp.parse_udp(segment)[:2] == (68, 67)
                messages.append((header, packet, dhcp.parse_dhcp(segment[8:])))
        self.sent.clear()
        return messages

    def ask(self) -> DhcpMessage:
        ((_, _, message),) = self.asked()
        return message

    def reply(self, request: DhcpMessage, kind: int, now: float, **changes: object) -> str:
        """The server's answer to `request`."""
        options = {
            dhcp.MESSAGE_TYPE: bytes([kind]),
            dhcp.SERVER_IDENTIFIER: SERVER.to_bytes(4, "big"),
            dhcp.LEASE_TIME: (1000).to_bytes(4, "big"),
            dhcp.SUBNET_MASK: bytes([255, 255, 0, 0]),
            dhcp.ROUTER: SERVER.to_bytes(4, "big"),
        }
        message = DhcpMessage(
            dhcp.REPLY, request.transaction, request.mac, options, yours=POOL + request.mac % 256
        )._replace(**changes)  # type: ignore[arg-type]
        segment = udp.build_udp(SERVER, 0xFFFFFFFF, 67, 68, dhcp.build_dhcp(message))
        packet = ipv4.build_ipv4(SERVER, 0xFFFFFFFF, 17, segment)
        return self.receive(ethernet.BROADCAST, packet, now)

    def receive(self, destination: int, packet: bytes, now: float) -> str:
        header = EthernetHeader(destination, SERVER_MAC, ethernet.IPV4)
        return self.host.receive(virtio.PLAIN + ethernet.build_ethernet(header) + packet, now)

    def bind(self, now: float = 0.0) -> int:
        """Bring the first device to BOUND; its address."""
        self.host.pop_due(now)
        assert self.reply(self.ask(), dhcp.OFFER, now) == "answered"
        assert self.reply(self.ask(), dhcp.ACK, now) == "consumed.dhcp-ack"
        assert self.host.dhcp.state(FIRST_MAC) is State.BOUND
        return POOL + FIRST_MAC % 256


def test_devices_get_an_address_each_and_answer_there() -> None:
    network = Network()
    for index in (0, 1):
        network.host.pop_due(float(index))
        ((header, packet, discover),) = network.asked()
        mac = FIRST_MAC + index
        assert header[:2] == (ethernet.BROADCAST, mac)
        assert (packet.source, packet.destination) == (0, 0xFFFFFFFF)
        assert (discover.type, discover.mac, discover.flags) == (dhcp.DISCOVER, mac, 0x8000)
        assert network.reply(discover, dhcp.OFFER, float(index)) == "answered"
        request = network.ask()
        address = POOL + mac % 256
        assert request.type == dhcp.ASK
        assert request.number(dhcp.REQUESTED_ADDRESS) == address
        assert request.number(dhcp.SERVER_IDENTIFIER) == SERVER
        assert network.reply(request, dhcp.ACK, float(index)) == "consumed.dhcp-ack"
        assert network.leases[index] == (index, address)
        (frame,) = network.sent
        announcement = arp.parse_arp(frame[24:])
        assert announcement[1:] == (mac, address, 0, address)
        network.sent.clear()
        segment = udp.build_udp(SERVER, address, 40000, 5600, b"hello")
        packet_to = ipv4.build_ipv4(SERVER, address, 17, segment)
        assert network.receive(mac, packet_to, 2.0) == "consumed.heard"
        assert network.fleet.heard[index] == (index, address)


def test_silence_is_asked_again_more_and_more_seldom() -> None:
    network = Network(count=1)
    times: list[float] = []
    while len(times) < 7:
        due = network.host.next_due()
        assert due is not None
        network.host.pop_due(due)
        times.extend([due] * len(network.asked()))
    waits = [after - before for before, after in pairwise(times)]
    for wait, expected in zip(waits, (4, 8, 16, 32, 64, 64), strict=True):
        assert expected - 1 <= wait <= expected + 1


def test_a_server_that_forgets_its_offer() -> None:
    network = Network(count=1)
    network.host.pop_due(0.0)
    discover = network.ask()
    assert network.reply(discover, dhcp.OFFER, 0.0) == "answered"
    kinds = []
    for _ in range(5):
        due = network.host.next_due()
        assert due is not None
        network.host.pop_due(due)
        kinds += [message.type for _, _, message in network.asked()]
    assert kinds == [dhcp.ASK] * 4 + [dhcp.DISCOVER]
    assert network.host.dhcp.state(FIRST_MAC) is State.SELECTING


def test_a_lease_is_renewed_then_rebound_then_lost() -> None:
    network = Network(count=1)
    address = network.bind()
    question = arp.build_arp(arp.ArpMessage(arp.REQUEST, SERVER_MAC, SERVER, 0, address))
    header = EthernetHeader(ethernet.BROADCAST, SERVER_MAC, ethernet.ARP)
    frame = virtio.PLAIN + ethernet.build_ethernet(header) + question
    assert network.host.receive(frame, 400.0) == "answered"
    network.sent.clear()
    # Half of it is over: the server is asked directly, and agrees.
    network.host.pop_due(500.0)
    ((header, packet, renewal),) = network.asked()
    assert (header.destination, packet.source, packet.destination) == (SERVER_MAC, address, SERVER)
    assert (renewal.type, renewal.client, renewal.flags) == (dhcp.ASK, address, 0)
    assert network.reply(renewal, dhcp.ACK, 500.0) == "consumed.dhcp-ack"
    assert network.leases == [(0, address)]
    # The next time it is silent: everybody is asked, and in the end the address is gone.
    states = []
    while network.host.dhcp.state(FIRST_MAC) is not State.SELECTING:
        due = network.host.next_due()
        assert due is not None
        network.host.pop_due(due)
        states.append((due, network.host.dhcp.state(FIRST_MAC)))
    assert (1000.0, State.RENEWING) in states
    assert (1375.0, State.REBINDING) in states
    assert states[-1] == (1500.0, State.SELECTING)
    assert network.leases == [(0, address), (0, 0)]
    assert network.host.mac_of(address) == 0


def test_a_refusal_begins_anew() -> None:
    network = Network(count=1)
    address = network.bind()
    network.host.pop_due(500.0)
    network.sent.clear()
    network.host.pop_due(875.0)
    renewal = network.asked()[-1][2]
    assert network.reply(renewal, dhcp.NAK, 880.0) == "consumed.dhcp-nak"
    assert network.leases == [(0, address), (0, 0)]
    network.host.pop_due(880.0)
    assert network.ask().type == dhcp.DISCOVER


def test_an_address_that_another_device_has_is_declined() -> None:
    network = Network(count=1)
    address = POOL + FIRST_MAC % 256
    network.host.attach(address, 1, LeasingFleet())
    network.host.pop_due(0.0)
    assert network.reply(network.ask(), dhcp.OFFER, 0.0) == "answered"
    assert network.reply(network.ask(), dhcp.ACK, 0.0) == "dropped.dhcp-address"
    assert network.ask().type == dhcp.DECLINE
    network.host.pop_due(9.9)
    assert network.asked() == []
    network.host.pop_due(10.0)
    assert network.ask().type == dhcp.DISCOVER


@pytest.mark.parametrize(
    ("kind", "changes", "outcome"),
    [
        (dhcp.OFFER, {"transaction": 1}, "dropped.dhcp-unexpected"),
        (dhcp.OFFER, {"operation": dhcp.REQUEST}, "dropped.dhcp-unexpected"),
        (dhcp.OFFER, {"mac": SERVER_MAC}, "consumed.dhcp-for-others"),
        (dhcp.OFFER, {"yours": 0}, "dropped.dhcp-address"),
        (dhcp.OFFER, {"options": {53: b"\2"}}, "dropped.dhcp-address"),
        (dhcp.ACK, {}, "dropped.dhcp-unexpected"),
        (dhcp.NAK, {}, "dropped.dhcp-unexpected"),
        (99, {}, "dropped.dhcp-unexpected"),
    ],
)
def test_what_was_not_asked_for(kind: int, changes: dict[str, object], outcome: str) -> None:
    network = Network(count=1)
    network.host.pop_due(0.0)
    assert network.reply(network.ask(), kind, 0.0, **changes) == outcome
    assert network.sent == []


def test_malformed_replies_are_dropped_by_name() -> None:
    network = Network(count=1)
    for payload, outcome in (
        (bytes(3), "dropped.dhcp-truncated"),
        (bytes(300), "dropped.dhcp-format"),
    ):
        segment = udp.build_udp(SERVER, 0xFFFFFFFF, 67, 68, payload)
        packet = ipv4.build_ipv4(SERVER, 0xFFFFFFFF, 17, segment)
        assert network.receive(ethernet.BROADCAST, packet, 0.0) == outcome
        broken = packet[:-1] + b"!"
        assert network.receive(ethernet.BROADCAST, broken, 0.0) == "dropped.udp-checksum"
