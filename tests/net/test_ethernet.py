"""Hosts on a segment, as transcripts: a frame goes in, frames come out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.net.datagram import Datagram
from iotsim.net.ethernet import EthernetStack
from iotsim.net.mac import derived_mac, link_local
from iotsim.net.neighbor_cache import State
from iotsim.wire import arp, ethernet, icmpv4, icmpv6, igmp, ipv4, ipv6, ndp, udp, virtio
from iotsim.wire.address import parse_address
from iotsim.wire.arp import ArpMessage
from iotsim.wire.ethernet import EthernetHeader

if TYPE_CHECKING:
    from iotsim.net.address_table import PortHandler

SEED = 7
GATEWAY, GATEWAY6 = parse_address("10.77.0.1"), parse_address("fd77::1")
GATEWAY_LOCAL = parse_address("fe80::1")
GATEWAY_MAC = 0x020000000001
STRANGER_MAC = 0x020000000099
FIRST, FIRST6 = parse_address("10.77.1.1"), parse_address("fd77::1:1")
FIRST_MAC = derived_mac(SEED, 0)
LOCAL = link_local(FIRST_MAC)
BROADCAST = parse_address("10.77.255.255")
GROUP, GROUP6 = parse_address("239.1.2.3"), parse_address("ff05::fd")
PORT = 5600


def sent_by(source: int, source_port: int, destination: int, destination_port: int) -> Datagram:
    """What a host sends by itself: a datagram that nothing brought."""
    return Datagram(0, source, source_port, destination, destination_port, 0.0)


class SegmentFleet:
    def __init__(self, segment: Segment) -> None:
        self.segment = segment
        self.ports: dict[int, PortHandler] = {PORT: self.answer}
        self.missed: dict[int, PortHandler] = {}

    def answer(self, datagram: Datagram, payload: bytes) -> str:
        self.segment.host.send_udp(datagram, payload)
        return "answered"


class Segment:
    """A dual-stack fleet of five on an Ethernet, with the gateway as default router."""

    def __init__(self, vlan: int = 0, **options: float) -> None:
        self.sent: list[bytes] = []
        self.conflicts: list[tuple[int, int]] = []
        self.vlan = vlan
        self.host = EthernetStack(
            self.sent.append,
            seed=SEED,
            networks=[(GATEWAY, 16), (GATEWAY6, 64)],
            default_router=GATEWAY,
            vlan=vlan,
            broadcasts=[BROADCAST],
            on_conflict=lambda *conflict: self.conflicts.append(conflict),
            **options,  # type: ignore[arg-type]
        )
        self.fleet = SegmentFleet(self)
        self.host.attach(FIRST, 5, self.fleet)
        self.host.attach(FIRST6, 5, self.fleet)

    def receive(
        self,
        destination: int,
        ethertype: int,
        payload: bytes,
        now: float = 0.0,
        source: int = GATEWAY_MAC,
        tag: int | None = None,
    ) -> str:
        header = EthernetHeader(destination, source, ethertype, tag)
        return self.host.receive(virtio.PLAIN + ethernet.build_ethernet(header) + payload, now)

    def frames(self) -> list[tuple[EthernetHeader, bytes]]:
        """What was sent since the last call."""
        frames = []
        for frame in self.sent:
            data = virtio.complete_checksum(frame)
            header = ethernet.parse_ethernet(data)
            frames.append((header, data[header.length :]))
        self.sent.clear()
        return frames

    def frame(self) -> tuple[EthernetHeader, bytes]:
        (frame,) = self.frames()
        return frame

    def learn_gateway(self) -> None:
        """The gateway asks for a device, as it does before it sends anything."""
        for sender, target in ((GATEWAY, FIRST), (GATEWAY + 9, FIRST)):
            question = ArpMessage(arp.REQUEST, GATEWAY_MAC, sender, 0, target)
            assert self.receive_arp(question) == "answered"
        assert self.receive_ndp(solicitation(FIRST6)) == "answered"
        self.sent.clear()

    def receive_arp(self, message: ArpMessage, now: float = 0.0) -> str:
        data = arp.build_arp(message) + bytes(18)
        return self.receive(ethernet.BROADCAST, ethernet.ARP, data, now)

    def receive_ndp(self, packet: bytes, now: float = 0.0) -> str:
        destination = ipv6.parse_ipv6(packet).destination
        mac = self.host.mac_of(destination) or ethernet.group_mac(destination)
        return self.receive(mac, ethernet.IPV6, packet, now)


def solicitation(
    target: int,
    *,
    source: int = GATEWAY6,
    destination: int = 0,
    mac: int | None = GATEWAY_MAC,
    hop_limit: int = 255,
    code: int = 0,
) -> bytes:
    destination = destination or ipv6.solicited_node(target)
    data = ndp.neighbor_data(target, ndp.SOURCE_LINK_ADDRESS, mac)
    message = icmpv6.build_icmpv6(source, destination, 135, code, 0, data)
    return ipv6.build_ipv6(source, destination, 58, message, hop_limit=hop_limit)


def advertisement(
    target: int, destination: int, flags: int, mac: int | None = GATEWAY_MAC
) -> bytes:
    data = ndp.neighbor_data(target, ndp.TARGET_LINK_ADDRESS, mac)
    message = icmpv6.build_icmpv6(target, destination, 136, 0, flags, data)
    return ipv6.build_ipv6(target, destination, 58, message, hop_limit=255)


def request(destination: int, source: int = GATEWAY) -> bytes:
    segment = udp.build_udp(source, destination, 40000, PORT, b"hello")
    if destination < 1 << 32:
        return ipv4.build_ipv4(source, destination, 17, segment)
    return ipv6.build_ipv6(source, destination, 17, segment)


# ARP.


def test_each_device_answers_arp_with_its_own_mac() -> None:
    segment = Segment()
    for index in (0, 4):
        question = ArpMessage(arp.REQUEST, GATEWAY_MAC, GATEWAY, 0, FIRST + index)
        assert segment.receive_arp(question) == "answered"
        header, payload = segment.frame()
        assert header[:3] == (GATEWAY_MAC, FIRST_MAC + index, ethernet.ARP)
        assert arp.parse_arp(payload) == (
            arp.REPLY,
            FIRST_MAC + index,
            FIRST + index,
            GATEWAY_MAC,
            GATEWAY,
        )


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        (ArpMessage(1, GATEWAY_MAC, GATEWAY, 0, FIRST + 5), "consumed.arp-for-others"),
        (ArpMessage(2, GATEWAY_MAC, GATEWAY, FIRST_MAC, FIRST), "consumed.arp-reply"),
        (ArpMessage(1, GATEWAY_MAC, 0xE0000001, 0, FIRST), "dropped.arp-sender"),
        (ArpMessage(1, ethernet.BROADCAST, GATEWAY, 0, FIRST), "dropped.arp-sender"),
        (ArpMessage(1, FIRST_MAC, FIRST, 0, FIRST), "consumed.arp-own"),
    ],
)
def test_other_arp_is_not_answered(message: ArpMessage, outcome: str) -> None:
    segment = Segment()
    assert segment.receive_arp(message) == outcome
    assert segment.sent == []


def test_a_request_tells_where_its_sender_is() -> None:
    segment = Segment()
    segment.learn_gateway()
    packet = request(FIRST + 2)
    assert segment.receive(FIRST_MAC + 2, ethernet.IPV4, packet) == "answered"
    header, payload = segment.frame()
    assert header[:3] == (GATEWAY_MAC, FIRST_MAC + 2, ethernet.IPV4)
    assert ipv4.parse_ipv4(payload).source == FIRST + 2
    udp.verify_udp(FIRST + 2, GATEWAY, payload[20:])


def test_an_unknown_peer_is_asked_for_and_the_reply_waits() -> None:
    segment = Segment()
    peer = GATEWAY + 5
    assert segment.receive(FIRST_MAC, ethernet.IPV4, request(FIRST, peer)) == "answered"
    header, payload = segment.frame()
    assert header.destination == ethernet.BROADCAST
    assert arp.parse_arp(payload) == (arp.REQUEST, FIRST_MAC, FIRST, 0, peer)
    answer = arp.build_arp(ArpMessage(arp.REPLY, STRANGER_MAC, peer, FIRST_MAC, FIRST))
    assert segment.receive(FIRST_MAC, ethernet.ARP, answer, 0.5) == "consumed.arp-reply"
    header, payload = segment.frame()
    assert header[:2] == (STRANGER_MAC, FIRST_MAC)
    assert ipv4.parse_ipv4(payload).destination == peer
    assert segment.host.neighbors.state(peer) is State.REACHABLE


def test_who_is_beyond_the_network_is_reached_by_the_gateway() -> None:
    segment = Segment()
    segment.learn_gateway()
    far = parse_address("192.0.2.1")
    assert segment.receive(FIRST_MAC, ethernet.IPV4, request(FIRST, far)) == "answered"
    header, payload = segment.frame()
    assert header.destination == GATEWAY_MAC
    assert ipv4.parse_ipv4(payload).destination == far
    # There is no IPv6 router so far.
    far6 = parse_address("2001:db8::1")
    assert segment.receive(FIRST_MAC, ethernet.IPV6, request(FIRST6, far6)) == "answered"
    assert segment.sent == []
    assert segment.host.counters["no-route"] == 1
    lifetime = icmpv6.build_icmpv6(
        GATEWAY_LOCAL,
        ipv6.ALL_NODES,
        icmpv6.ROUTER_ADVERTISEMENT,
        0,
        1800,
        bytes(8) + b"\1\1" + GATEWAY_MAC.to_bytes(6, "big"),
    )
    packet = ipv6.build_ipv6(GATEWAY_LOCAL, ipv6.ALL_NODES, 58, lifetime, hop_limit=255)
    assert segment.receive_ndp(packet) == "consumed.router-advertisement"
    assert segment.receive(FIRST_MAC, ethernet.IPV6, request(FIRST6, far6)) == "answered"
    assert segment.frame()[0].destination == GATEWAY_MAC


def test_conflicts_are_reported_and_defended_now_and_then() -> None:
    segment = Segment()
    claim = ArpMessage(arp.REQUEST, STRANGER_MAC, FIRST + 1, 0, FIRST + 1)
    for now, defended in ((0.0, 1), (1.0, 0), (9.0, 0), (11.0, 1)):
        assert segment.receive_arp(claim, now) == "consumed.address-conflict"
        assert len(segment.frames()) == defended
    assert segment.conflicts == [(FIRST + 1, STRANGER_MAC)] * 2
    assert segment.host.counters["address-conflicts"] == 4


def test_a_probe_for_an_address_of_ours_is_answered() -> None:
    segment = Segment()
    probe = ArpMessage(arp.REQUEST, STRANGER_MAC, 0, 0, FIRST)
    assert segment.receive_arp(probe) == "answered"
    header, payload = segment.frame()
    assert header.destination == STRANGER_MAC
    assert arp.parse_arp(payload)[:3] == (arp.REPLY, FIRST_MAC, FIRST)


# Neighbor discovery.


@pytest.mark.parametrize("target", [FIRST6 + 3, LOCAL + 3])
def test_each_device_answers_solicitations(target: int) -> None:
    segment = Segment()
    segment.learn_gateway()
    assert segment.receive_ndp(solicitation(target)) == "answered"
    header, payload = segment.frame()
    assert header[:2] == (GATEWAY_MAC, FIRST_MAC + 3)
    packet = ipv6.parse_ipv6(payload)
    assert (packet.source, packet.destination, packet.hop_limit) == (target, GATEWAY6, 255)
    message = icmpv6.parse_icmpv6(target, GATEWAY6, payload[40:])
    assert ndp.parse_neighbor(message, ndp.TARGET_LINK_ADDRESS) == (
        target,
        False,
        True,
        True,
        FIRST_MAC + 3,
    )


def test_who_tries_an_address_of_ours_hears_that_it_is_taken() -> None:
    segment = Segment()
    assert segment.receive_ndp(solicitation(FIRST6, source=0, mac=None)) == "answered"
    header, payload = segment.frame()
    assert header.destination == ethernet.group_mac(ipv6.ALL_NODES)
    assert ipv6.parse_ipv6(payload).destination == ipv6.ALL_NODES
    message = icmpv6.parse_icmpv6(FIRST6, ipv6.ALL_NODES, payload[40:])
    assert (message.type, message.rest) == (icmpv6.NEIGHBOR_ADVERTISEMENT, ndp.OVERRIDE)


@pytest.mark.parametrize(
    ("packet", "outcome"),
    [
        (solicitation(FIRST6, hop_limit=64), "dropped.ndp-not-genuine"),
        (solicitation(FIRST6, code=1), "dropped.ndp-not-genuine"),
        (solicitation(FIRST6, source=0), "dropped.ndp-not-genuine"),
        (
            solicitation(FIRST6, source=0, mac=None, destination=ipv6.ALL_NODES),
            "dropped.ndp-not-genuine",
        ),
        (solicitation(FIRST6 + 5), "consumed.neighbor-solicitation"),
        (
            advertisement(GATEWAY6, ipv6.ALL_NODES, ndp.SOLICITED),
            "dropped.ndp-not-genuine",
        ),
        (advertisement(GATEWAY6, FIRST6, ndp.SOLICITED), "consumed.neighbor-advertisement"),
        (
            advertisement(FIRST6, ipv6.ALL_NODES, ndp.OVERRIDE, FIRST_MAC),
            "consumed.neighbor-advertisement",
        ),
    ],
)
def test_other_discovery_is_not_answered(packet: bytes, outcome: str) -> None:
    segment = Segment()
    assert segment.receive_ndp(packet) == outcome
    assert segment.sent == []
    assert segment.conflicts == []


def test_an_unknown_ipv6_peer_is_asked_for_and_probed_later() -> None:
    segment = Segment()
    peer = GATEWAY6 + 5
    assert segment.receive(FIRST_MAC, ethernet.IPV6, request(FIRST6, peer)) == "answered"
    header, payload = segment.frame()
    assert header[:2] == (ethernet.group_mac(ipv6.solicited_node(peer)), FIRST_MAC)
    assert ipv6.parse_ipv6(payload).destination == ipv6.solicited_node(peer)
    answer = advertisement(peer, FIRST6, ndp.SOLICITED | ndp.OVERRIDE, STRANGER_MAC)
    assert segment.receive_ndp(answer, 0.5) == "consumed.neighbor-advertisement"
    assert segment.frame()[0].destination == STRANGER_MAC
    segment.host.pop_due(31.0)
    assert segment.receive(FIRST_MAC, ethernet.IPV6, request(FIRST6, peer), 40.0) == "answered"
    assert segment.frame()[0].destination == STRANGER_MAC
    assert segment.host.next_due() == 45.0
    segment.host.pop_due(45.0)
    header, payload = segment.frame()
    assert header.destination == STRANGER_MAC
    assert ipv6.parse_ipv6(payload).destination == peer
    # An answer to a unicast question need not repeat the MAC.
    answer = advertisement(peer, FIRST6, ndp.SOLICITED, None)
    assert segment.receive_ndp(answer, 45.1) == "consumed.neighbor-advertisement"
    assert segment.host.neighbors.state(peer) is State.REACHABLE


def test_an_ipv6_conflict_is_reported() -> None:
    segment = Segment()
    claim = advertisement(FIRST6 + 2, ipv6.ALL_NODES, ndp.OVERRIDE, STRANGER_MAC)
    assert segment.receive_ndp(claim) == "consumed.address-conflict"
    assert segment.conflicts == [(FIRST6 + 2, STRANGER_MAC)]


# What reaches a host.


@pytest.mark.parametrize(
    ("destination", "ethertype", "packet", "outcome"),
    [
        (FIRST_MAC, ethernet.IPV4, request(FIRST), "answered"),
        (FIRST_MAC, ethernet.IPV6, request(FIRST6, GATEWAY6), "answered"),
        (FIRST_MAC, ethernet.IPV6, request(LOCAL, GATEWAY_LOCAL), "answered"),
        (FIRST_MAC + 1, ethernet.IPV4, request(FIRST), "dropped.no-host"),
        (FIRST_MAC, ethernet.IPV4, request(FIRST + 9), "dropped.no-host"),
        (FIRST_MAC + 5, ethernet.IPV4, request(FIRST), "dropped.other-mac"),
        (STRANGER_MAC, ethernet.IPV4, request(FIRST), "dropped.other-mac"),
        (ethernet.BROADCAST, ethernet.IPV4, request(FIRST), "dropped.link-broadcast"),
        (ethernet.BROADCAST, ethernet.IPV4, request(BROADCAST), "answered"),
        (FIRST_MAC, 0x88CC, b"LLDP", "dropped.ethertype"),
        (FIRST_MAC, ethernet.IPV4, b"", "dropped.ethernet-truncated"),
        (FIRST_MAC, ethernet.IPV4, request(FIRST6, GATEWAY6), "dropped.ip-version"),
        (FIRST_MAC, ethernet.ARP, bytes(28), "dropped.arp-format"),
        (FIRST_MAC, ethernet.IPV4, b"\x45\x00", "dropped.no-host"),
    ],
)
def test_frames_find_their_host(
    destination: int, ethertype: int, packet: bytes, outcome: str
) -> None:
    assert Segment().receive(destination, ethertype, packet) == outcome


def test_frames_that_are_none() -> None:
    segment = Segment()
    assert segment.host.receive(b"", 0.0) == "dropped.ethernet-truncated"
    assert segment.host.receive(bytes(23), 0.0) == "dropped.ethernet-truncated"
    arp_frame = arp.build_arp(ArpMessage(1, GATEWAY_MAC, GATEWAY, 0, FIRST))
    outcome = segment.receive(FIRST_MAC, ethernet.ARP, arp_frame, source=ethernet.BROADCAST)
    assert outcome == "dropped.ethernet-source"


def test_a_packet_of_a_local_socket_has_its_checksum_completed_in_both_directions() -> None:
    segment = Segment()
    segment.learn_gateway()
    header = ethernet.build_ethernet(EthernetHeader(FIRST_MAC, GATEWAY_MAC, ethernet.IPV4))
    partial = udp.build_partial_udp(GATEWAY, FIRST, 40000, 9, b"x" * 33)
    packet = ipv4.build_ipv4(GATEWAY, FIRST, 17, partial)
    frame = virtio.needs_checksum(34, 6) + header + packet
    assert segment.host.receive(frame, 0.0) == "dropped.no-service"
    _, payload = segment.frame()
    message = icmpv4.parse_icmpv4(payload[20:])
    assert message.data == ipv4.build_ipv4(
        GATEWAY, FIRST, 17, udp.build_udp(GATEWAY, FIRST, 40000, 9, b"x" * 33)
    )
    segment.host.send_udp(sent_by(FIRST, PORT, GATEWAY, 40000), b"hello")
    assert virtio.parse_virtio(segment.sent[0]) == (virtio.NEEDS_CSUM, 0, 0, 0, 34, 6)


def test_a_vlan_is_a_segment_of_its_own() -> None:
    segment = Segment(vlan=100)
    question = arp.build_arp(ArpMessage(arp.REQUEST, GATEWAY_MAC, GATEWAY, 0, FIRST))
    assert segment.receive(ethernet.BROADCAST, ethernet.ARP, question) == "dropped.vlan"
    assert segment.receive(ethernet.BROADCAST, ethernet.ARP, question, tag=99) == "dropped.vlan"
    tag = 0x6064
    assert segment.receive(ethernet.BROADCAST, ethernet.ARP, question, tag=tag) == "answered"
    assert segment.frame()[0].vlan == 100
    assert segment.receive(FIRST_MAC, ethernet.IPV4, request(FIRST), tag=tag) == "answered"
    frame = segment.sent[0]
    assert virtio.parse_virtio(frame).csum_start == 38
    header, payload = segment.frame()
    assert header.vlan == 100
    udp.verify_udp(FIRST, GATEWAY, payload[20:])
    # A tag with a priority alone is no VLAN.
    untagged = Segment()
    assert untagged.receive(ethernet.BROADCAST, ethernet.ARP, question, tag=0xE000) == "answered"


# Groups.


def test_a_request_to_a_group_on_the_segment() -> None:
    segment = Segment()
    segment.learn_gateway()
    segment.host.join(GROUP6, segment.fleet)
    packet = request(GROUP6, GATEWAY6)
    assert segment.receive(ethernet.group_mac(GROUP6), ethernet.IPV6, packet) == "answered"
    # One answer of each device, though each has two addresses: the one of the asker's scope.
    sources = [ipv6.parse_ipv6(payload).source for _, payload in segment.frames()]
    assert sources == [FIRST6 + index for index in range(5)]
    packet = request(GROUP6, GATEWAY_LOCAL)
    segment.receive_ndp(solicitation(LOCAL, source=GATEWAY_LOCAL))
    segment.sent.clear()
    assert segment.receive(ethernet.group_mac(GROUP6), ethernet.IPV6, packet) == "answered"
    sources = [ipv6.parse_ipv6(payload).source for _, payload in segment.frames()]
    assert sources == [LOCAL + index for index in range(5)]


def test_addresses_are_probed_and_announced_and_memberships_reported() -> None:
    segment = Segment(announce_rate=10)
    segment.host.join(GROUP, segment.fleet)
    segment.host.join(GROUP6, segment.fleet)
    segment.host.announce(100.0)
    said: dict[str, list[float]] = {}
    while (due := segment.host.next_due()) is not None:
        segment.host.pop_due(due)
        for header, payload in segment.frames():
            said.setdefault(describe(header, payload), []).append(round(due - 100, 1))
    spread = [0.0, 0.1, 0.2, 0.3, 0.4]
    assert said == {
        "arp probe": spread + [1.0 + t for t in spread] + [2.0 + t for t in spread],
        "arp announcement": [4.0 + t for t in spread] + [6.0 + t for t in spread],
        "solicitation": [t for t in spread for _ in range(2)],
        "advertisement": [1.0 + t for t in spread for _ in range(2)],
        "igmp report": spread + [1.0 + t for t in spread],
        "mld report": spread + [1.0 + t for t in spread],
    }


def describe(header: EthernetHeader, payload: bytes) -> str:
    """What one of our own announcements is, all of it verified."""
    assert FIRST_MAC <= header.source < FIRST_MAC + 5
    if header.ethertype == ethernet.ARP:
        message = arp.parse_arp(payload)
        assert header.destination == ethernet.BROADCAST
        assert message.sender in (0, message.target)
        return "arp announcement" if message.sender else "arp probe"
    if header.ethertype == ethernet.IPV4:
        packet4 = ipv4.parse_ipv4(payload)
        assert (packet4.ttl, packet4.options) == (1, igmp.ROUTER_ALERT)
        assert packet4.destination == igmp.ALL_V3_ROUTERS
        assert igmp.parse_type(payload[24:]) == igmp.V3_REPORT
        assert payload[-4:] == GROUP.to_bytes(4, "big")
        return "igmp report"
    packet = ipv6.parse_ipv6(payload)
    assert header.destination == ethernet.group_mac(packet.destination)
    start = 48 if packet.next_header == 0 else 40
    message6 = icmpv6.parse_icmpv6(packet.source, packet.destination, payload[start:])
    if message6.type == icmpv6.MLDV2_REPORT:
        assert (packet.hop_limit, packet.destination) == (1, ipv6.ALL_MLDV2_ROUTERS)
        assert ipv6.is_link_local(packet.source)
        records = [message6.data[at : at + 20] for at in range(0, len(message6.data), 20)]
        groups = [int.from_bytes(record[4:], "big") for record in records]
        number = header.source - FIRST_MAC
        assert groups[0] == GROUP6
        assert set(groups[1:]) == {
            ipv6.solicited_node(address) for address in (packet.source, FIRST6 + number)
        }
        return "mld report"
    assert packet.hop_limit == 255
    if message6.type == icmpv6.NEIGHBOR_SOLICITATION:
        assert packet.source == 0
        return "solicitation"
    return "advertisement"


def test_queries_are_answered_within_their_time() -> None:
    segment = Segment()
    segment.host.join(GROUP, segment.fleet)
    segment.host.join(GROUP6, segment.fleet)
    query = igmp.build_query(igmp.MembershipQuery(0, 2.0))
    packet = ipv4.build_ipv4(GATEWAY, igmp.ALL_SYSTEMS, 2, query, ttl=1)
    mac = ethernet.group_mac(igmp.ALL_SYSTEMS)
    for _ in range(3):
        assert segment.receive(mac, ethernet.IPV4, packet, 50.0) == "consumed.igmp-query"
    assert segment.sent == []
    segment.host.pop_due(52.0)
    kinds = [describe(*frame) for frame in segment.frames()]
    assert kinds == ["igmp report"] * 5
    message = icmpv6.build_icmpv6(
        GATEWAY_LOCAL, GROUP6, icmpv6.MLD_QUERY, 0, 2000 << 16, GROUP6.to_bytes(16, "big")
    )
    packet = ipv6.build_ipv6(GATEWAY_LOCAL, GROUP6, 58, message, hop_limit=1)
    mac = ethernet.group_mac(GROUP6)
    assert segment.receive(mac, ethernet.IPV6, packet, 60.0) == "consumed.mld-query"
    segment.host.pop_due(62.0)
    assert [describe(*frame) for frame in segment.frames()] == ["mld report"] * 5


def test_a_query_for_the_solicitations_of_an_address_is_answered_by_its_device() -> None:
    segment = Segment()
    segment.host.join(GROUP6, segment.fleet)
    group = ipv6.solicited_node(FIRST6 + 3)
    message = icmpv6.build_icmpv6(
        GATEWAY_LOCAL, group, icmpv6.MLD_QUERY, 0, 2000 << 16, group.to_bytes(16, "big")
    )
    packet = ipv6.build_ipv6(GATEWAY_LOCAL, group, 58, message, hop_limit=1)
    mac = ethernet.group_mac(group)
    assert segment.receive(mac, ethernet.IPV6, packet, 60.0) == "consumed.mld-query"
    segment.host.pop_due(62.0)
    ((header, report),) = segment.frames()
    assert header.source == FIRST_MAC + 3
    assert describe(header, report) == "mld report"


def test_queries_that_concern_nobody() -> None:
    segment = Segment()
    segment.host.join(GROUP, segment.fleet)
    query = igmp.build_query(igmp.MembershipQuery(GROUP + 1, 2.0))
    packet = ipv4.build_ipv4(GATEWAY, GROUP + 1, 2, query, ttl=1)
    mac = ethernet.group_mac(GROUP + 1)
    assert segment.receive(mac, ethernet.IPV4, packet) == "consumed.igmp-query"
    assert segment.host.next_due() is None
    report = ipv4.build_ipv4(GATEWAY, GROUP, 2, igmp.build_report(4, [GROUP]), ttl=1)
    mac = ethernet.group_mac(GROUP)
    assert segment.receive(mac, ethernet.IPV4, report) == "consumed.igmp-report"


# MACs.


def test_a_fleet_can_be_given_its_macs() -> None:
    segment = Segment()
    fleet = SegmentFleet(segment)
    segment.host.attach(FIRST + 100, 3, fleet, mac=0x0250C2000001)
    segment.host.attach(FIRST6 + 100, 3, fleet)
    assert segment.host.mac_of(FIRST + 102) == 0x0250C2000003
    assert segment.host.mac_of(FIRST6 + 102) == 0x0250C2000003
    assert segment.host.is_ours(0x0250C2000003)
    assert not segment.host.is_ours(0x0250C2000004)
    with pytest.raises(ValueError, match="share"):
        segment.host.attach(FIRST + 200, 4, fleet)
    with pytest.raises(ValueError, match="taken"):
        segment.host.attach(FIRST + 200, 4, SegmentFleet(segment), mac=0x0250C2000003)


def test_fleets_have_macs_that_follow_each_other() -> None:
    segment = Segment()
    segment.host.attach(FIRST + 100, 3, SegmentFleet(segment))
    assert segment.host.mac_of(FIRST + 100) == FIRST_MAC + 5


# Hostile input.


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 110), st.integers(0, 255)), max_size=4),
    st.integers(0, 120),
    st.sampled_from([0, 1, 2]),
)
def test_a_mutated_frame_has_an_outcome(
    changes: list[tuple[int, int]], cut: int, flags: int
) -> None:
    segment = Segment()
    originals = [
        (FIRST_MAC, ethernet.IPV4, request(FIRST)),
        (FIRST_MAC, ethernet.IPV6, request(FIRST6, GATEWAY6)),
        (ethernet.BROADCAST, ethernet.ARP, arp.build_arp(ArpMessage(1, 2, GATEWAY, 0, FIRST))),
        (ethernet.group_mac(ipv6.solicited_node(FIRST6)), ethernet.IPV6, solicitation(FIRST6)),
        (FIRST_MAC, ethernet.IPV6, advertisement(GATEWAY6, FIRST6, ndp.SOLICITED)),
    ]
    for destination, ethertype, packet in originals:
        header = ethernet.build_ethernet(EthernetHeader(destination, GATEWAY_MAC, ethertype))
        frame = bytearray(bytes([flags]) + bytes(9) + header + packet)
        for offset, value in changes:
            if offset < len(frame):
                frame[offset] = value
        outcome = segment.host.receive(bytes(frame[:cut] if cut < 110 else frame), 0.0)
        assert outcome.split(".")[0] in {"answered", "consumed", "dropped"}
    segment.host.pop_due(1000.0)
