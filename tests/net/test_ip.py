"""The way by the book: what a Linux host and the routers before it would do, packet by packet."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from iotsim.net.datagram import Datagram
from iotsim.net.stack import Stack
from iotsim.wire import icmpv4, icmpv6, ipv4, ipv6, tcp, udp, virtio
from iotsim.wire.address import parse_address

if TYPE_CHECKING:
    from iotsim.net.address_table import PortHandler

GATEWAY, GATEWAY6 = parse_address("10.77.0.1"), parse_address("fd77::1")
ROUTER, ROUTER6 = parse_address("10.77.255.254"), parse_address("fd77::ffff:ffff:ffff:ffff")
FIRST, FIRST6 = parse_address("10.77.1.1"), parse_address("fd77::1:1")
FAR, FAR6 = parse_address("10.88.0.1"), parse_address("fd88::1")
HOPS = [parse_address(f"10.99.0.{number}") for number in (1, 2, 3)]
HOPS6 = [parse_address(f"fd99::{number}") for number in (1, 2, 3)]
QUIET = parse_address("10.66.0.1")
GROUP, GROUP6 = parse_address("239.1.2.3"), parse_address("ff05::fd")
BROADCAST = parse_address("10.77.255.255")
PORT = 5600


def sent_by(source: int, source_port: int, destination: int, destination_port: int) -> Datagram:
    """What a host sends by itself: a datagram that nothing brought."""
    return Datagram(0, source, source_port, destination, destination_port, 0.0)


class RecordingFleet:
    """Echoes, and notes (index, payload, local address, group asked)."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.heard: list[tuple[int, bytes, int, int]] = []
        self.ports: dict[int, PortHandler] = {PORT: self.answer}
        self.missed: dict[int, PortHandler] = {}

    def answer(self, datagram: Datagram, payload: bytes) -> str:
        self.heard.append((datagram.index, payload, datagram.local, datagram.group))
        self.network.stack.send_udp(datagram, payload)
        return "answered"


class Network:
    """A dual-stack fleet of ten, a far one behind three routers, and a silent host."""

    def __init__(self, **options: float) -> None:
        self.sent: list[bytes] = []
        self.stack = Stack(
            self.sent.append,
            router=ROUTER,
            router6=ROUTER6,
            broadcasts=[BROADCAST],
            group_limit=6,
            **options,  # type: ignore[arg-type]
        )
        self.near = RecordingFleet(self)
        self.far = RecordingFleet(self)
        self.quiet = RecordingFleet(self)
        self.stack.attach(FIRST, 10, self.near)
        self.stack.attach(FIRST6, 10, self.near)
        self.stack.attach(FAR, 10, self.far, hops=HOPS, path_mtu=1300)
        self.stack.attach(FAR6, 10, self.far, hops=HOPS6, path_mtu=1300)
        self.stack.attach(QUIET, 1, self.quiet, silent=True)

    def receive(self, packet: bytes, now: float = 0.0) -> str:
        return self.stack.receive(virtio.PLAIN + packet, now)

    def packets(self) -> list[bytes]:
        """What was sent since the last call, checksums completed."""
        packets = [virtio.complete_checksum(frame) for frame in self.sent]
        self.sent.clear()
        return packets

    def sent_icmp(self) -> tuple[ipv4.IPv4Header, icmpv4.IcmpMessage]:
        (packet,) = self.packets()
        header = ipv4.parse_ipv4(packet)
        assert header.protocol == ipv4.ICMP
        return header, icmpv4.parse_icmpv4(packet[20:])

    def sent_icmp6(self) -> tuple[ipv6.IPv6Header, icmpv4.IcmpMessage]:
        (packet,) = self.packets()
        header = ipv6.parse_ipv6(packet)
        assert header.next_header == ipv6.ICMPV6
        return header, icmpv6.parse_icmpv6(header.source, header.destination, packet[40:])


def datagram(
    destination: int = FIRST, payload: bytes = b"hello", port: int = PORT, source: int = 0
) -> bytes:
    """A UDP segment from the gateway."""
    source = source or (GATEWAY if destination < 1 << 32 else GATEWAY6)
    return udp.build_udp(source, destination, 40000, port, payload)


def packet4(destination: int, protocol: int, payload: bytes, **options: object) -> bytes:
    return ipv4.build_ipv4(GATEWAY, destination, protocol, payload, **options)  # type: ignore[arg-type]


def packet6(destination: int, next_header: int, payload: bytes, **options: int) -> bytes:
    return ipv6.build_ipv6(GATEWAY6, destination, next_header, payload, **options)


def echo6(destination: int, data: bytes = b"ping") -> bytes:
    return icmpv6.build_icmpv6(GATEWAY6, destination, icmpv6.ECHO_REQUEST, 0, 0x00070001, data)


# IPv6, the twin.


@pytest.mark.parametrize("payload", [b"", b"a", b"ab", bytes(1452)])
@pytest.mark.parametrize("index", [0, 9])
def test_an_ipv6_datagram_is_answered_from_the_address_that_was_asked(
    payload: bytes, index: int
) -> None:
    network = Network()
    destination = FIRST6 + index
    partial = udp.build_partial_udp(GATEWAY6, destination, 40000, PORT, payload)
    for frame in (
        virtio.needs_checksum(40, 6) + packet6(destination, 17, partial),
        virtio.PLAIN + packet6(destination, 17, datagram(destination, payload)),
        virtio.PLAIN + packet6(destination, 17, datagram(destination, payload)) + b"padding",
        virtio.PLAIN
        + packet6(destination, 60, ipv6.build_extension(17, b"") + datagram(destination, payload)),
    ):
        assert network.stack.receive(frame, 0.0) == "answered"
        assert network.near.heard.pop() == (index, payload, destination, 0)
        (reply,) = network.packets()
        segment = udp.build_udp(destination, GATEWAY6, PORT, 40000, payload)
        assert reply == ipv6.build_ipv6(destination, GATEWAY6, 17, segment)


def test_an_ipv6_checksum_is_verified_and_required() -> None:
    network = Network()
    segment = datagram(FIRST6)
    broken = segment[:-1] + b"!"
    assert network.receive(packet6(FIRST6, 17, broken)) == "dropped.udp-checksum"
    without = segment[:6] + b"\0\0" + segment[8:]
    assert network.receive(packet6(FIRST6, 17, without)) == "dropped.udp-no-checksum"
    assert network.near.heard == []
    assert network.sent == []


def test_ipv6_errors_come_from_who_found_the_trouble() -> None:
    network = Network()
    closed = packet6(FIRST6 + 3, 17, datagram(FIRST6 + 3, port=9))
    assert network.receive(closed) == "dropped.no-service"
    header, message = network.sent_icmp6()
    assert (header.source, header.destination) == (FIRST6 + 3, GATEWAY6)
    assert message == (icmpv6.DESTINATION_UNREACHABLE, icmpv6.PORT_UNREACHABLE, 0, closed)

    nobody = packet6(FIRST6 + 10, 17, datagram(FIRST6 + 10, payload=bytes(1400)))
    assert network.receive(nobody) == "dropped.no-host"
    header, message = network.sent_icmp6()
    assert header.source == ROUTER6
    assert message[:2] == (icmpv6.DESTINATION_UNREACHABLE, icmpv6.ADDRESS_UNREACHABLE)
    assert header.payload_length + 40 == 1280
    assert message.data == nobody[:1232]

    unknown = packet6(FIRST6, 200, b"what is this")
    assert network.receive(unknown) == "dropped.no-protocol"
    _, message = network.sent_icmp6()
    assert message[:3] == (icmpv6.PARAMETER_PROBLEM, icmpv6.UNRECOGNIZED_NEXT_HEADER, 6)


@pytest.mark.parametrize("destination", [FIRST6, FIRST6 + 9, ROUTER6, HOPS6[2]])
def test_ping6(destination: int) -> None:
    network = Network()
    packet = packet6(destination, 58, echo6(destination), traffic_class=0xB8)
    assert network.receive(packet) == "answered"
    header, message = network.sent_icmp6()
    assert (header.source, header.traffic_class) == (destination, 0xB8)
    assert message == (icmpv6.ECHO_REPLY, 0, 0x00070001, b"ping")


OPTIONS = {
    "skip": b"\x1e\x00",
    "discard": b"\x5e\x00",
    "discard and tell": b"\x9e\x00",
    "discard and tell unless multicast": b"\xde\x00",
}


@pytest.mark.parametrize(
    ("option", "outcome", "told", "told_to_group"),
    [
        ("skip", "answered", False, False),
        ("discard", "dropped.ipv6-option", False, False),
        ("discard and tell", "dropped.ipv6-option", True, True),
        ("discard and tell unless multicast", "dropped.ipv6-option", True, False),
    ],
)
@pytest.mark.parametrize("kind", [ipv6.HOP_BY_HOP, ipv6.DESTINATION_OPTIONS])
def test_unknown_options_say_themselves_what_to_do(
    option: str, outcome: str, told: bool, told_to_group: bool, kind: int
) -> None:
    network = Network()
    options = ipv6.build_extension(17, OPTIONS[option])
    assert network.receive(packet6(FIRST6, kind, options + datagram(FIRST6))) == outcome
    if told:
        header, message = network.sent_icmp6()
        assert header.source == FIRST6
        assert message[:3] == (icmpv6.PARAMETER_PROBLEM, icmpv6.UNRECOGNIZED_OPTION, 42)
    network.sent.clear()
    network.stack.join(GROUP6, network.near)
    network.receive(packet6(GROUP6, kind, options + datagram(GROUP6)))
    if outcome != "answered":
        assert bool(network.sent) == told_to_group


def chain(*kinds: int) -> tuple[int, bytes]:
    """Extension headers before a datagram: (the first kind, their bytes)."""
    data = datagram(FIRST6)
    following = 17
    for kind in reversed(kinds):
        content = bytes(6) if kind == ipv6.ROUTING else b""
        data = ipv6.build_extension(following, content) + data
        following = kind
    return following, data


@pytest.mark.parametrize(
    ("kinds", "outcome"),
    [
        ((0, 60, 43, 60), "answered"),
        ((60, 60, 60, 60, 60), "answered"),
        ((43,), "answered"),
        ((60, 0), "dropped.ipv6-header-order"),
        ((0, 0), "dropped.ipv6-header-order"),
    ],
)
def test_chains_of_extension_headers(kinds: tuple[int, ...], outcome: str) -> None:
    network = Network()
    assert network.receive(packet6(FIRST6, *chain(*kinds))) == outcome
    if outcome != "answered":
        _, message = network.sent_icmp6()
        # It points at the field that names the header out of order.
        assert message[:3] == (icmpv6.PARAMETER_PROBLEM, 1, 40)


@pytest.mark.parametrize(
    ("next_header", "payload", "outcome", "told"),
    [
        (43, b"\x11\x00\x00\x01" + bytes(4), "dropped.ipv6-routing-type", (4, 0, 42)),
        (43, b"\x11\x00\x7e\x02" + bytes(4), "dropped.ipv6-routing-type", (4, 0, 42)),
        (60, b"\x11\x02" + bytes(6), "dropped.ipv6-header-chain", None),
        (60, b"\x11", "dropped.ipv6-header-chain", None),
        (60, b"\x11\x00\x01\x09" + bytes(4), "dropped.ipv6-option-length", None),
        (0, b"\x11\x00\xc2\x04\x00\x01\x00\x00", "dropped.ipv6-jumbogram", (4, 0, 42)),
        (44, b"\x11\x00\x00\x01\x00\x00", "dropped.ipv6-header-chain", (4, 0, 40)),
        (59, b"", "consumed.no-next-header", None),
        (59, b"ignored", "consumed.no-next-header", None),
        (0, b"", "dropped.ipv6-jumbogram", None),
    ],
)
def test_odd_chains(
    next_header: int, payload: bytes, outcome: str, told: tuple[int, int, int] | None
) -> None:
    network = Network()
    assert network.receive(packet6(FIRST6, next_header, payload)) == outcome
    if told:
        _, message = network.sent_icmp6()
        assert message[:3] == told
    else:
        assert network.sent == []


@pytest.mark.parametrize(
    ("source", "destination", "outcome"),
    [
        ("ff02::1", "fd77::1:1", "dropped.source-address"),
        ("::1", "fd77::1:1", "dropped.source-address"),
        ("::", "fd77::1:1", "dropped.source-address"),
        ("::", "ff05::fd", "dropped.source-address"),
        ("fd77::1", "::1", "dropped.destination-address"),
        ("fd77::1", "::", "dropped.destination-address"),
        ("::10.77.0.1", "fd77::1:1", "dropped.source-address"),
        ("fd77::1", "::10.77.1.1", "dropped.destination-address"),
        ("fd77::1", "fe80::1", "dropped.no-host"),
        ("fd77::1", "ff05::99", "dropped.no-member"),
    ],
)
def test_odd_ipv6_addresses_are_dropped_in_silence(
    source: str, destination: str, outcome: str
) -> None:
    network = Network()
    network.stack.join(GROUP6, network.near)
    to = parse_address(destination)
    segment = udp.build_udp(parse_address(source), to, 40000, PORT, b"hello")
    packet = ipv6.build_ipv6(parse_address(source), to, 17, segment)
    assert network.receive(packet) == outcome
    assert network.sent == []


@pytest.mark.parametrize(
    ("kind", "destination", "outcome"),
    [
        (icmpv6.ROUTER_SOLICITATION, "ff02::2", "consumed.router-solicitation"),
        (icmpv6.MLDV2_REPORT, "ff02::16", "consumed.mld-report"),
        (icmpv6.MLD_QUERY, "ff02::1", "consumed.mld-query"),
        (icmpv6.NEIGHBOR_SOLICITATION, "ff02::1:ff01:1", "consumed.neighbor-solicitation"),
        (icmpv6.NEIGHBOR_ADVERTISEMENT, "fd77::1:1", "consumed.neighbor-advertisement"),
        (icmpv6.TIME_EXCEEDED, "fd77::1:1", "consumed.icmp-time-exceeded"),
        (icmpv6.PARAMETER_PROBLEM, "fd77::1:1", "consumed.icmp-parameter-problem"),
        (99, "fd77::1:1", "consumed.icmp-other"),
        (200, "fd77::1:1", "dropped.icmp-type"),
    ],
)
def test_what_the_kernel_says_on_its_own_is_absorbed(
    kind: int, destination: str, outcome: str
) -> None:
    network = Network()
    to = parse_address(destination)
    source = parse_address("fe80::1")
    message = icmpv6.build_icmpv6(source, to, kind, 0, 0, bytes(20))
    assert network.receive(ipv6.build_ipv6(source, to, 58, message, hop_limit=255)) == outcome
    assert network.sent == []


def test_no_ipv6_error_about_an_error() -> None:
    network = Network()
    for kind in (1, 99, icmpv6.REDIRECT):
        for next_header, front in ((58, b""), (60, ipv6.build_extension(58, b""))):
            message = icmpv6.build_icmpv6(GATEWAY6, FIRST6 + 10, kind, 0, 0, bytes(48))
            packet = packet6(FIRST6 + 10, next_header, front + message)
            assert network.receive(packet) == "dropped.no-host"
    assert network.sent == []


# IPv4 beyond the plain.


def test_a_timestamp_request_is_answered_with_time_of_our_own() -> None:
    network = Network()
    request = icmpv4.build_icmpv4(13, 0, 0x00070001, b"\0\0\1\2" + bytes(8))
    assert network.receive(packet4(FIRST, 1, request), 2.5) == "answered"
    _, message = network.sent_icmp()
    time = (1 << 31 | 2500).to_bytes(4, "big")
    assert message == (14, 0, 0x00070001, b"\0\0\1\2" + time + time)


def test_broken_options_are_reported_with_a_pointer() -> None:
    network = Network()
    packet = packet4(FIRST, 17, datagram(), options=b"\x01\x07\x09\x00")
    assert network.receive(packet) == "dropped.ipv4-option"
    header, message = network.sent_icmp()
    assert header.source == FIRST
    assert message[:3] == (icmpv4.PARAMETER_PROBLEM, 0, 21 << 24)
    assert message.data == packet
    packet = packet4(FIRST, 17, datagram(), options=b"\x83\x03\x04\x00")
    assert network.receive(packet) == "dropped.ipv4-source-route"
    assert network.sent == []


def test_no_error_about_broken_options_that_were_not_for_a_host() -> None:
    network = Network()
    for destination in (GROUP, BROADCAST, FIRST + 10):
        packet = packet4(destination, 17, datagram(destination), options=b"\x07\x09\x00\x00")
        assert network.receive(packet) == "dropped.ipv4-option"
    assert network.sent == []


# TCP.


@pytest.mark.parametrize("family", [4, 6])
def test_tcp_is_refused(family: int) -> None:
    network = Network()
    source, destination = (GATEWAY, FIRST) if family == 4 else (GATEWAY6, FIRST6)
    wrap = packet4 if family == 4 else packet6
    syn = tcp.build_tcp(source, destination, 40000, 80, tcp.SYN, sequence=7)
    assert network.receive(wrap(destination, 6, syn)) == "dropped.tcp-refused"
    (reset,) = network.packets()
    segment = reset[20:] if family == 4 else reset[40:]
    tcp.verify_tcp(destination, source, segment)
    assert tcp.parse_tcp(segment) == (80, 40000, 0, 8, tcp.RST | tcp.ACK, 0)

    rst = tcp.build_tcp(source, destination, 40000, 80, tcp.RST)
    assert network.receive(wrap(destination, 6, rst)) == "consumed.tcp-reset"
    assert network.receive(wrap(destination, 6, syn[:-1] + b"!")) == "dropped.tcp-checksum"
    assert network.receive(wrap(destination, 6, syn[:12])) == "dropped.tcp-truncated"
    assert network.sent == []


def test_a_silent_host_refuses_nothing_but_answers() -> None:
    network = Network()
    assert network.receive(packet4(QUIET, 17, datagram(QUIET, port=9))) == "dropped.no-service"
    syn = tcp.build_tcp(GATEWAY, QUIET, 40000, 80, tcp.SYN)
    assert network.receive(packet4(QUIET, 6, syn)) == "dropped.tcp-refused"
    assert network.sent == []
    assert network.receive(packet4(QUIET, 17, datagram(QUIET))) == "answered"
    assert len(network.sent) == 1


# Hops.


@pytest.mark.parametrize("family", [4, 6])
def test_traceroute_sees_each_router_and_then_the_device(family: int) -> None:
    network = Network()
    destination, hops = (FAR + 4, HOPS) if family == 4 else (FAR6 + 4, HOPS6)
    seen = []
    for limit in range(1, 6):
        if family == 4:
            packet = packet4(destination, 17, datagram(destination, port=33434), ttl=limit)
        else:
            packet = packet6(destination, 17, datagram(destination, port=33434), hop_limit=limit)
        outcome = network.receive(packet)
        if family == 4:
            header, message = network.sent_icmp()
            seen.append((header.source, message.type, header.ttl))
            expected = (11, 3)
        else:
            header6, message = network.sent_icmp6()
            seen.append((header6.source, message.type, header6.hop_limit))
            expected = (3, 1)
        assert outcome == ("dropped.hops-exceeded" if limit < 4 else "dropped.no-service")
    assert seen == [
        (hops[0], expected[0], 64),
        (hops[1], expected[0], 63),
        (hops[2], expected[0], 62),
        (destination, expected[1], 61),
        (destination, expected[1], 61),
    ]


def test_the_routers_themselves_can_be_pinged() -> None:
    network = Network()
    echo = icmpv4.build_icmpv4(8, 0, 1, b"ping")
    for hop, limit, outcome in [
        (HOPS[0], 1, "answered"),
        (HOPS[2], 2, "dropped.hops-exceeded"),
        (HOPS[2], 3, "answered"),
    ]:
        assert network.receive(packet4(hop, 1, echo, ttl=limit)) == outcome
        assert network.sent_icmp()[0].source == (hop if outcome == "answered" else HOPS[1])


def test_a_far_device_answers_at_its_ports() -> None:
    network = Network()
    assert network.receive(packet4(FAR + 2, 17, datagram(FAR + 2))) == "answered"
    assert network.receive(packet6(FAR6 + 2, 17, datagram(FAR6 + 2))) == "answered"
    assert [entry[0] for entry in network.far.heard] == [2, 2]
    assert [frame[18] for frame in network.sent[:1]] == [61]  # three routers have taken one each
    assert [frame[17] for frame in network.sent[1:]] == [61]
    network.sent.clear()
    assert network.receive(packet4(FIRST, 17, datagram(FIRST))) == "answered"
    assert [frame[18] for frame in network.sent] == [64]


@pytest.mark.parametrize(
    ("first", "count", "hops"),
    [
        (HOPS[0], 1, []),
        (ROUTER - 1, 3, []),
        (BROADCAST, 1, []),
        (0x0A000001, 1, [FIRST]),
        (0x0A000001, 1, [HOPS6[0]]),
        (0x0A000001, 3, [0x0A000002]),
    ],
)
def test_addresses_have_one_owner(first: int, count: int, hops: list[int]) -> None:
    network = Network()
    with pytest.raises(ValueError, match=r"router|broadcast"):
        network.stack.attach(first, count, network.near, hops=hops)


# Path MTU and fragments.


def test_an_mtu_has_to_carry_ip() -> None:
    network = Network()
    with pytest.raises(ValueError, match="an MTU of 67 bytes"):
        network.stack.attach(0x0A000001, 1, network.near, path_mtu=67)
    for mtu in (0, 67, 65536):
        with pytest.raises(ValueError, match="an MTU of"):
            Stack(network.sent.append, router=ROUTER, mtu=mtu)


def test_a_narrow_path_is_reported_and_ours_is_kept_to() -> None:
    network = Network()
    long4 = packet4(FAR, 17, datagram(FAR, bytes(1400)), dont_fragment=True)
    assert network.receive(long4) == "dropped.packet-too-big"
    header, message = network.sent_icmp()
    assert header.source == HOPS[0]
    assert message[:3] == (3, 4, 1300)
    long6 = packet6(FAR6, 17, datagram(FAR6, bytes(1400)))
    assert network.receive(long6) == "dropped.packet-too-big"
    header6, message = network.sent_icmp6()
    assert header6.source == HOPS6[0]
    assert message[:3] == (icmpv6.PACKET_TOO_BIG, 0, 1300)
    network.stack.send_udp(sent_by(FAR, PORT, GATEWAY, 40000), bytes(1400))
    assert [len(packet) for packet in network.packets()] == [1300, 148]
    network.stack.send_udp(sent_by(FIRST, PORT, GATEWAY, 40000), bytes(1400))
    assert [len(packet) for packet in network.packets()] == [1428]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("size", [1473, 3000, 20000, 65507])
def test_large_datagrams_in_both_directions(family: int, size: int) -> None:
    network = Network()
    destination, header = (FIRST + 1, 20) if family == 4 else (FIRST6 + 1, 40)
    payload = bytes(number & 0xFF for number in range(size))
    network.stack.send_udp(
        sent_by(GATEWAY if family == 4 else GATEWAY6, 40000, destination, PORT), payload
    )
    request = network.packets()
    assert len(request) == -(-(size + 8) // ((1500 - header - (8 if family == 6 else 0)) & ~7))
    outcomes = [network.receive(packet) for packet in reversed(request)]
    assert outcomes == ["consumed.fragment"] * (len(request) - 1) + ["answered"]
    assert network.near.heard == [(1, payload, destination, 0)]
    assert all(len(packet) <= 1500 for packet in network.packets())
    assert network.stack.counters == {"fragmented": 2, "reassembled": 1}


def test_ping_with_8000_bytes() -> None:
    network = Network()
    request = icmpv4.build_icmpv4(8, 0, 7, bytes(8000))
    for offset in range(0, len(request), 1480):
        part = request[offset : offset + 1480]
        more = offset + 1480 < len(request)
        packet = packet4(FIRST, 1, part, more_fragments=more, fragment_offset=offset)
        outcome = network.receive(packet)
    assert outcome == "answered"
    assert len(network.packets()) == 6


def fragment6(payload: bytes, offset: int, *, more: bool, kind: int = 17, number: int = 5) -> bytes:
    header = ipv6.FragmentHeader(kind, offset, more, number)
    return packet6(FIRST6, 44, ipv6.build_fragment(header) + payload)


def test_an_atomic_fragment_is_on_its_own() -> None:
    network = Network()
    segment = datagram(FIRST6, b"x" * 24)
    assert network.receive(fragment6(segment[:16], 0, more=True)) == "consumed.fragment"
    assert network.receive(fragment6(segment, 0, more=False)) == "answered"
    assert network.receive(fragment6(segment[16:], 16, more=False)) == "answered"


def test_options_before_and_after_a_fragment_header() -> None:
    network = Network()
    inner = ipv6.build_extension(17, b"") + datagram(FIRST6, b"x" * 24)
    front = ipv6.build_extension(44, b"")
    for offset, more in ((16, False), (0, True)):
        part = inner[:16] if more else inner[16:]
        header = ipv6.build_fragment(ipv6.FragmentHeader(60, offset, more, 9))
        outcome = network.receive(packet6(FIRST6, 60, front + header + part))
    assert outcome == "answered"
    assert network.near.heard == [(0, b"x" * 24, FIRST6, 0)]
    # A first fragment has to hold the UDP header, too.
    header = ipv6.build_fragment(ipv6.FragmentHeader(60, 0, True, 10))
    outcome = network.receive(packet6(FIRST6, 60, front + header + inner[:8]))
    assert outcome == "dropped.ipv6-header-chain"


NESTED = ipv6.FragmentHeader(17, 8, False, 1)


@pytest.mark.parametrize(
    ("packet", "outcome", "told"),
    [
        (fragment6(b"123456789", 0, more=True), "dropped.fragment-length", (4, 0, 4)),
        (fragment6(bytes(16), 65528, more=False), "dropped.fragment-length", (4, 0, 42)),
        (fragment6(b"", 0, more=True, kind=59), "dropped.fragment-length", None),
        (fragment6(bytes(8), 0, more=True, kind=6), "dropped.ipv6-header-chain", (4, 3, 0)),
        (
            fragment6(ipv6.build_fragment(NESTED) + bytes(8), 0, more=False, kind=44),
            "consumed.fragment",
            None,
        ),
        (packet4(FIRST, 17, b"1234567", more_fragments=True), "dropped.fragment-length", None),
        (packet4(FIRST, 17, bytes(24), fragment_offset=65504), "dropped.fragment-length", None),
        (packet4(FIRST, 17, b"", more_fragments=True), "dropped.fragment-length", None),
    ],
)
def test_odd_fragments(packet: bytes, outcome: str, told: tuple[int, int, int] | None) -> None:
    network = Network()
    assert network.receive(packet) == outcome
    if told:
        _, message = network.sent_icmp6()
        assert message[:3] == told
    else:
        assert network.sent == []


def test_fragments_in_fragments_are_refused() -> None:
    network = Network()
    inner = ipv6.build_fragment(NESTED) + bytes(8)
    assert network.receive(fragment6(inner[:8], 0, more=True, kind=44)) == "consumed.fragment"
    outcome = network.receive(fragment6(inner[8:], 8, more=False, kind=44))
    assert outcome == "dropped.fragment-nested"


def test_a_datagram_that_gets_too_long_by_the_options_of_its_first_fragment() -> None:
    network = Network()
    whole = datagram(FIRST, bytes(65507))
    options = b"\x01" * 40
    first = packet4(FIRST, 17, whole[:800], more_fragments=True, options=options)
    assert network.receive(first) == "consumed.fragment"
    second = packet4(FIRST, 17, whole[800:40000], more_fragments=True, fragment_offset=800)
    assert network.receive(second) == "consumed.fragment"
    last = packet4(FIRST, 17, whole[40000:], fragment_offset=40000)
    assert network.receive(last) == "dropped.fragment-length"


def test_an_incomplete_datagram_is_reported_when_its_time_is_over() -> None:
    network = Network()
    segment = datagram(FIRST, bytes(100))
    first = packet4(FIRST, 17, segment[:64], more_fragments=True)
    assert network.receive(first, 5.0) == "consumed.fragment"
    first6 = fragment6(datagram(FIRST6)[:8], 0, more=True)
    assert network.receive(first6, 6.0) == "consumed.fragment"
    second = packet4(FIRST, 17, segment[64:], fragment_offset=64, identification=1)
    assert network.receive(second, 7.0) == "consumed.fragment"
    assert network.stack.next_due() == 35.0
    network.stack.pop_due(35.0)
    header, message = network.sent_icmp()
    assert header.source == FIRST
    assert message == (11, 1, 0, first)
    network.stack.pop_due(65.9)
    assert network.sent == []  # The one without a first fragment went in silence.
    network.stack.pop_due(66.0)
    header6, message = network.sent_icmp6()
    assert header6.source == FIRST6
    assert message[:3] == (3, 1, 0)
    assert network.stack.next_due() is None


def test_an_incomplete_request_to_a_group_is_forgotten_in_silence() -> None:
    network = Network()
    network.stack.join(GROUP, network.near)
    for destination in (GROUP, BROADCAST):
        first = packet4(destination, 17, bytes(64), more_fragments=True)
        assert network.receive(first, 5.0) == "consumed.fragment"
    network.stack.pop_due(35.0)
    assert network.sent == []
    assert network.stack.counters == {"reassembly-timeouts": 2}


def test_a_path_mtu_is_learned_kept_to_and_forgotten() -> None:
    network = Network()
    network.stack.send_udp(sent_by(FIRST, PORT, GATEWAY, 40000), bytes(1400))
    (ours,) = network.packets()
    needed = icmpv4.build_icmpv4(3, 4, 1000, ours[:28])
    router = parse_address("10.0.0.1")
    report = ipv4.build_ipv4(router, FIRST, 1, needed)
    assert network.receive(report, 1.0) == "consumed.icmp-unreachable"
    network.stack.send_udp(sent_by(FIRST, PORT, GATEWAY, 40000), bytes(1400))
    assert [len(packet) for packet in network.packets()] == [996, 452]
    network.stack.send_udp(sent_by(FIRST, PORT, GATEWAY + 1, 40000), bytes(1400))
    assert [len(packet) for packet in network.packets()] == [1428]
    assert network.stack.next_due() == 601.0
    network.stack.pop_due(601.0)
    network.stack.send_udp(sent_by(FIRST, PORT, GATEWAY, 40000), bytes(1400))
    assert [len(packet) for packet in network.packets()] == [1428]


def test_an_ipv6_path_mtu() -> None:
    network = Network()
    network.stack.send_udp(sent_by(FIRST6, PORT, GATEWAY6, 40000), bytes(1400))
    (ours,) = network.packets()
    for mtu, sizes in ((1279, [1448]), (1400, [1400, 104])):
        too_big = icmpv6.build_icmpv6(GATEWAY6, FIRST6, icmpv6.PACKET_TOO_BIG, 0, mtu, ours[:100])
        assert network.receive(packet6(FIRST6, 58, too_big)) == "consumed.icmp-packet-too-big"
        network.stack.send_udp(sent_by(FIRST6, PORT, GATEWAY6, 40000), bytes(1400))
        assert [len(packet) for packet in network.packets()] == sizes


def test_a_report_about_a_packet_that_was_not_ours_is_not_believed() -> None:
    network = Network()
    forged = ipv4.build_ipv4(parse_address("10.1.1.1"), GATEWAY, 17, bytes(8))
    report = packet4(FIRST, 1, icmpv4.build_icmpv4(3, 4, 600, forged))
    assert network.receive(report) == "consumed.icmp-unreachable"
    assert network.stack.next_due() is None


# Groups.


@pytest.mark.parametrize(
    ("destination", "first"),
    [
        (GROUP, FIRST),
        (BROADCAST, FIRST),
        (0xFFFFFFFF, FIRST),
        (parse_address("224.0.0.1"), FIRST),
        (GROUP6, FIRST6),
        (parse_address("ff02::1"), FIRST6),
    ],
)
def test_a_request_to_a_group_reaches_its_members_up_to_the_bound(
    destination: int, first: int
) -> None:
    network = Network()
    network.quiet.ports.clear()
    network.stack.join(GROUP, network.near)
    network.stack.join(GROUP6, network.near)
    wrap = packet4 if destination < 1 << 32 else packet6
    assert network.receive(wrap(destination, 17, datagram(destination))) == "answered"
    expected = [(index, b"hello", first + index, destination) for index in range(6)]
    assert network.near.heard == expected
    assert network.far.heard == []
    assert network.stack.counters == {"group-members-left-out": 4}
    for packet, index in zip(network.packets(), range(6), strict=True):
        parse = ipv4.parse_ipv4 if first < 1 << 32 else ipv6.parse_ipv6
        assert parse(packet).source == first + index


def test_a_group_without_members_or_without_a_service_is_silent() -> None:
    network = Network()
    assert network.receive(packet4(GROUP, 17, datagram(GROUP))) == "dropped.no-member"
    network.stack.join(GROUP, network.near)
    assert network.receive(packet4(GROUP, 17, datagram(GROUP, port=9))) == "dropped.no-member"
    assert network.receive(packet4(GROUP + 1, 17, datagram(GROUP + 1))) == "dropped.no-member"
    syn = tcp.build_tcp(GATEWAY, GROUP, 40000, 80, tcp.SYN)
    assert network.receive(packet4(GROUP, 6, syn)) == "dropped.no-member"
    echo = icmpv4.build_icmpv4(8, 0, 1, b"ping")
    for destination in (GROUP, BROADCAST):
        assert network.receive(packet4(destination, 1, echo)) == "consumed.icmp-to-group"
    assert network.sent == []


def test_ping6_of_a_group_is_answered_by_members() -> None:
    network = Network()
    network.stack.join(GROUP6, network.near)
    assert network.receive(packet6(GROUP6, 58, echo6(GROUP6))) == "answered"
    sources = [ipv6.parse_ipv6(packet).source for packet in network.packets()]
    assert sources == [FIRST6 + index for index in range(6)]
    assert network.receive(packet6(GROUP6 + 1, 58, echo6(GROUP6 + 1))) == "dropped.no-member"


def test_a_large_request_to_a_group() -> None:
    network = Network()
    network.stack.join(GROUP, network.near)
    segment = datagram(GROUP, bytes(2000))
    first = packet4(GROUP, 17, segment[:1480], more_fragments=True)
    assert network.receive(first) == "consumed.fragment"
    assert network.receive(packet4(GROUP, 17, segment[1480:], fragment_offset=1480)) == "answered"
    assert len(network.near.heard) == 6


def test_what_is_no_group_cannot_be_joined() -> None:
    network = Network()
    for address in (FIRST, FIRST6, BROADCAST):
        with pytest.raises(ValueError, match="not a multicast address"):
            network.stack.join(address, network.near)


# Large packets that the kernel left whole.


@pytest.mark.parametrize("family", [4, 6])
def test_a_large_udp_packet_is_split_into_its_datagrams(family: int) -> None:
    network = Network()
    destination = FIRST if family == 4 else FIRST6
    payload = bytes(number & 0xFF for number in range(1250))
    segment = datagram(destination, payload)
    packet = packet4(destination, 17, segment) if family == 4 else packet6(destination, 17, segment)
    header = virtio.VirtioHeader(1, virtio.GSO_UDP_L4, 28, 500, 20 if family == 4 else 40, 6)
    assert network.stack.receive(virtio.build_virtio(header) + packet, 0.0) == "answered"
    parts = [entry[1] for entry in network.near.heard]
    assert parts == [payload[:500], payload[500:1000], payload[1000:]]
    assert network.stack.counters == {"large-packets-split": 1, "large-packet-datagrams": 3}


@pytest.mark.parametrize(
    ("gso_type", "gso_size", "packet"),
    [
        (virtio.GSO_TCPV4, 500, packet4(FIRST, 17, datagram())),
        (virtio.GSO_UDP_L4, 0, packet4(FIRST, 17, datagram())),
        (virtio.GSO_UDP_L4, 1, packet4(FIRST, 17, datagram(payload=bytes(129)))),
        (virtio.GSO_UDP_L4, 500, packet4(FIRST, 6, bytes(40))),
        (virtio.GSO_UDP_L4, 500, packet4(FIRST, 17, bytes(16), more_fragments=True)),
        (virtio.GSO_UDP_L4, 500, packet6(FIRST6, 17, bytes(7))),
        (77, 500, packet4(FIRST, 17, datagram())),
    ],
)
def test_other_large_packets_are_refused_by_name(
    gso_type: int, gso_size: int, packet: bytes
) -> None:
    network = Network()
    header = virtio.VirtioHeader(1, gso_type, 28, gso_size, 20, 6)
    outcome = network.stack.receive(virtio.build_virtio(header) + packet, 0.0)
    assert outcome == "dropped.large-packet"


def test_outcomes_of_many_hosts_are_one() -> None:
    network = Network()
    answers = iter(["dropped.off", "consumed.no-rule", "pending", "answered", "pending", "x"])
    network.near.ports[PORT] = lambda *_: next(answers)
    network.stack.join(GROUP, network.near)
    outcomes = Counter([network.receive(packet4(GROUP, 17, datagram(GROUP)))])
    assert outcomes == {"answered": 1}
