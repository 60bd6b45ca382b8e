from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.errors import EncodeError
from iotsim.net.datagram import Datagram
from iotsim.net.stack import Stack
from iotsim.wire import icmpv4, ipv4, udp, virtio
from iotsim.wire.address import parse_address
from iotsim.wire.checksum import checksum

if TYPE_CHECKING:
    from iotsim.net.address_table import PortHandler

ROUTER = parse_address("10.77.255.254")
GATEWAY = parse_address("10.77.0.1")
FIRST = parse_address("10.77.1.1")
COUNT = 14
NOBODY = FIRST + COUNT
BROADCAST = parse_address("10.77.255.255")
PORT = 5600


def sent_by(source: int, source_port: int, destination: int, destination_port: int) -> Datagram:
    """What a host sends by itself: a datagram that nothing brought."""
    return Datagram(0, source, source_port, destination, destination_port, 0.0)


class EchoFleet:
    """Hosts that send back what they get, and remember it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.heard: list[tuple[int, bytes, int, int]] = []
        self.ports: dict[int, PortHandler] = {PORT: self.answer}
        self.missed: dict[int, PortHandler] = {}

    def answer(self, datagram: Datagram, payload: bytes) -> str:
        assert datagram.local == FIRST + datagram.index
        self.heard.append((datagram.index, payload, datagram.peer, datagram.peer_port))
        self.stack.send_udp(datagram, payload)
        return "answered"


class Bench:
    """A stack with one fleet, and what it sent."""

    def __init__(self, **options: float) -> None:
        self.sent: list[bytes] = []
        self.stack = Stack(
            self.sent.append,
            router=ROUTER,
            broadcasts=[BROADCAST],
            **options,  # type: ignore[arg-type]
        )
        self.fleet = EchoFleet(self.stack)
        self.stack.attach(FIRST, COUNT, self.fleet)

    def receive(self, packet: bytes, now: float = 0.0) -> str:
        return self.stack.receive(virtio.PLAIN + packet, now)

    def sent_ipv4(self) -> tuple[ipv4.IPv4Header, bytes]:
        """The one packet that was sent, all of its checksums verified."""
        assert len(self.sent) == 1
        packet = virtio.complete_checksum(self.sent.pop())
        header = ipv4.parse_ipv4(packet)
        assert header.total_length == len(packet)
        payload = packet[header.header_length :]
        if header.protocol == ipv4.UDP:
            udp.verify_udp(header.source, header.destination, payload)
        return header, payload

    def sent_icmp(self) -> tuple[ipv4.IPv4Header, icmpv4.IcmpMessage]:
        header, payload = self.sent_ipv4()
        assert header.protocol == ipv4.ICMP
        return header, icmpv4.parse_icmpv4(payload)


def udp_packet(
    destination: int = FIRST,
    payload: bytes = b"hello",
    port: int = PORT,
    source: int = GATEWAY,
    **options: object,
) -> bytes:
    segment = udp.build_udp(source, destination, 40000, port, payload)
    return ipv4.build_ipv4(source, destination, 17, segment, **options)  # type: ignore[arg-type]


def partial_frame(payload: bytes = b"hello", destination: int = FIRST) -> bytes:
    """As the kernel hands over a packet of a local socket."""
    segment = udp.build_partial_udp(GATEWAY, destination, 40000, PORT, payload)
    return virtio.needs_checksum(20, 6) + ipv4.build_ipv4(GATEWAY, destination, 17, segment)


# The plain path.


@pytest.mark.parametrize("payload", [b"", b"a", b"ab", bytes(1472)])
@pytest.mark.parametrize("index", [0, 7, COUNT - 1])
def test_a_datagram_is_answered_from_the_address_that_was_asked(payload: bytes, index: int) -> None:
    bench = Bench()
    for frame in (
        partial_frame(payload, FIRST + index),
        virtio.PLAIN + udp_packet(FIRST + index, payload),
        b"\2" + bytes(9) + udp_packet(FIRST + index, payload),
    ):
        assert bench.stack.receive(frame, 1.0) == "answered"
        assert bench.fleet.heard.pop() == (index, payload, GATEWAY, 40000)
        header, segment = bench.sent_ipv4()
        assert (header.source, header.destination) == (FIRST + index, GATEWAY)
        assert udp.parse_udp(segment)[:3] == (PORT, 40000, 8 + len(payload))
        assert segment[8:] == payload


def test_what_comes_again_is_answered_as_at_first() -> None:
    bench = Bench()
    answers = []
    for number in range(5):
        assert bench.stack.receive(partial_frame(b"%d" % number), float(number)) == "answered"
        answers.append(bench.sent.pop())
    assert [index for index, *_ in bench.fleet.heard] == [0] * 5
    for number, answer in enumerate(answers):
        segment = udp.build_udp(FIRST, GATEWAY, PORT, 40000, b"%d" % number)
        packet = ipv4.build_ipv4(FIRST, GATEWAY, 17, segment, dont_fragment=True)
        assert virtio.complete_checksum(answer) == packet


@pytest.mark.parametrize(
    ("at", "value", "outcome"),
    [
        (10, 0x46, "dropped.ipv4-checksum"),
        (13, 0xFF, "dropped.ipv4-truncated"),
        (16, 0x20, "dropped.ipv4-checksum"),
        (19, 0x06, "dropped.ipv4-checksum"),
        (35, 0xFF, "dropped.udp-length"),
        (0, 0x00, "dropped.udp-checksum"),
    ],
)
def test_of_what_comes_again_each_packet_is_looked_at(at: int, value: int, outcome: str) -> None:
    bench = Bench()
    for _ in range(3):
        assert bench.stack.receive(partial_frame(), 0.0) == "answered"
    frame = bytearray(partial_frame())
    frame[at] = value
    fresh = Bench()
    assert bench.stack.receive(bytes(frame), 0.0) == fresh.stack.receive(bytes(frame), 0.0)
    assert bench.stack.receive(bytes(frame), 0.0) == outcome
    assert len(bench.fleet.heard) == 3


def test_what_comes_again_finds_no_host_that_has_gone() -> None:
    bench = Bench()
    for _ in range(3):
        assert bench.stack.receive(partial_frame(), 0.0) == "answered"
    bench.stack.detach(FIRST)
    assert bench.stack.receive(partial_frame(), 0.0) == "dropped.no-host"


def test_an_answer_heeds_a_path_mtu_that_was_learned_meanwhile() -> None:
    bench = Bench()
    for _ in range(3):
        assert bench.stack.receive(partial_frame(bytes(1000)), 0.0) == "answered"
    answer = virtio.complete_checksum(bench.sent[-1])
    bench.sent.clear()
    told = icmpv4.build_icmpv4(icmpv4.DESTINATION_UNREACHABLE, 4, 600, answer[:28])
    assert bench.receive(ipv4.build_ipv4(GATEWAY, FIRST, ipv4.ICMP, told)).startswith("consumed")
    assert bench.stack.receive(partial_frame(bytes(1000)), 1.0) == "answered"
    assert [len(virtio.complete_checksum(frame)) <= 600 for frame in bench.sent] == [True, True]


def test_a_reply_leaves_its_checksum_to_the_kernel() -> None:
    bench = Bench()
    bench.stack.send_udp(sent_by(FIRST, PORT, GATEWAY, 40000), b"odd")
    assert virtio.parse_virtio(bench.sent[0]) == (virtio.NEEDS_CSUM, 0, 0, 0, 20, 6)


@given(
    source=st.integers(0x01000000, 0x7EFFFFFF),
    destination=st.integers(0x80000000, 0xDFFFFFFF),
    ports=st.tuples(st.integers(0, 65535), st.integers(1, 65535)),
    payload=st.binary(max_size=30),
)
def test_sending_agrees_with_the_builders(
    source: int, destination: int, ports: tuple[int, int], payload: bytes
) -> None:
    bench = Bench()
    bench.stack.send_udp(sent_by(source, ports[0], destination, ports[1]), payload)
    segment = udp.build_udp(source, destination, *ports, payload)
    packet = ipv4.build_ipv4(source, destination, 17, segment, dont_fragment=True)
    assert virtio.complete_checksum(bench.sent[0]) == packet


def test_nothing_is_sent_to_port_0() -> None:
    bench = Bench()
    bench.stack.send_udp(sent_by(FIRST, PORT, GATEWAY, 0), b"no answer wanted")
    assert bench.sent == []
    assert bench.stack.counters == {"no-port": 1}


def test_a_datagram_without_checksum_is_taken() -> None:
    bench = Bench()
    packet = udp_packet()
    assert bench.receive(packet[:26] + b"\0\0" + packet[28:]) == "answered"


@pytest.mark.parametrize("payload", [b"hello", b"hell"])
def test_a_wrong_checksum_is_noticed_unless_the_kernel_vouches(payload: bytes) -> None:
    bench = Bench()
    packet = udp_packet(payload=payload)[:-1] + b"!"
    assert bench.receive(packet) == "dropped.udp-checksum"
    assert bench.fleet.heard == []
    assert bench.stack.receive(b"\2" + bytes(9) + packet, 0.0) == "answered"


def test_several_fleets_in_turn() -> None:
    bench = Bench()
    other = parse_address("10.77.9.0")
    heard: list[int] = []

    class Other:
        def __init__(self) -> None:
            self.ports: dict[int, PortHandler] = {PORT: self.hear}
            self.missed: dict[int, PortHandler] = {}

        def hear(self, datagram: Datagram, _payload: bytes) -> str:
            heard.append(datagram.index)
            return "consumed.heard"

    bench.stack.attach(other, 100, Other())
    for destination, outcome in [
        (other + 5, "consumed.heard"),
        (FIRST, "answered"),
        (other + 99, "consumed.heard"),
        (other + 100, "dropped.no-host"),
        (other, "consumed.heard"),
    ]:
        assert bench.receive(udp_packet(destination)) == outcome
    assert heard == [5, 99, 0]


# The way by the book gives the same.


@pytest.mark.parametrize(
    "packet",
    [
        udp_packet() + b"padding of a short Ethernet frame",
        udp_packet(options=b"\x01\x01\x01\x00"),
        udp_packet(tos=0xB8, ttl=1, identification=77, dont_fragment=True),
    ],
    ids=["padding", "options", "unusual fields"],
)
def test_what_is_not_plain_is_answered_too(packet: bytes) -> None:
    bench = Bench()
    assert bench.receive(packet) == "answered"
    assert bench.fleet.heard == [(0, b"hello", GATEWAY, 40000)]


def test_a_datagram_shorter_than_its_packet() -> None:
    bench = Bench()
    segment = udp.build_udp(GATEWAY, FIRST, 40000, PORT, b"hello") + b"trailer"
    assert bench.receive(ipv4.build_ipv4(GATEWAY, FIRST, 17, segment)) == "answered"
    assert bench.fleet.heard[0][1] == b"hello"


def replaced(packet: bytes, offset: int, value: bytes) -> bytes:
    return packet[:offset] + value + packet[offset + len(value) :]


@pytest.mark.parametrize(
    ("frame", "outcome"),
    [
        (b"", "dropped.truncated-frame"),
        (bytes(9), "dropped.truncated-frame"),
        (bytes(10), "dropped.truncated-frame"),
        (bytes(50), "dropped.ip-version"),
        (bytes(10) + udp_packet()[:27], "dropped.ipv4-truncated"),
        (bytes(10) + replaced(udp_packet(), 8, b"\x09"), "dropped.ipv4-checksum"),
        (bytes(10) + udp_packet(source=0xE0000001), "dropped.source-address"),
        (bytes(10) + udp_packet(source=0x7F000001), "dropped.source-address"),
        (bytes(10) + udp_packet(source=0), "dropped.source-address"),
        (bytes(10) + udp_packet(source=BROADCAST), "dropped.source-address"),
        (bytes(10) + udp_packet(0x7F000001), "dropped.destination-address"),
        (
            bytes(10) + ipv4.build_ipv4(GATEWAY, FIRST, 17, b"\0\7\0\7\0\x20\0\0"),
            "dropped.udp-length",
        ),
        (bytes(10) + ipv4.build_ipv4(GATEWAY, FIRST, 17, b"\0\7\0\7"), "dropped.udp-truncated"),
        (bytes(10) + ipv4.build_ipv4(GATEWAY, FIRST, 1, bytes(7)), "dropped.icmp-truncated"),
        (bytes(10) + ipv4.build_ipv4(GATEWAY, FIRST, 1, bytes(9)), "dropped.icmp-checksum"),
    ],
)
def test_malformed_packets_are_dropped_by_name_and_in_silence(frame: bytes, outcome: str) -> None:
    bench = Bench()
    assert bench.stack.receive(frame, 0.0) == outcome
    assert bench.sent == []
    assert bench.fleet.heard == []


# ICMP.


def echo_packet(destination: int, data: bytes = b"ping") -> bytes:
    request = icmpv4.build_icmpv4(icmpv4.ECHO_REQUEST, 0, 0x00070001, data)
    return ipv4.build_ipv4(GATEWAY, destination, 1, request)


@pytest.mark.parametrize("destination", [FIRST, FIRST + COUNT - 1, ROUTER])
def test_ping(destination: int) -> None:
    bench = Bench()
    assert bench.receive(echo_packet(destination)) == "answered"
    header, message = bench.sent_icmp()
    assert (header.source, header.destination) == (destination, GATEWAY)
    assert message == (icmpv4.ECHO_REPLY, 0, 0x00070001, b"ping")


def test_ping_of_nobody() -> None:
    bench = Bench()
    packet = echo_packet(NOBODY)
    assert bench.receive(packet) == "dropped.no-host"
    header, message = bench.sent_icmp()
    assert (header.source, header.destination) == (ROUTER, GATEWAY)
    assert message[:3] == (icmpv4.DESTINATION_UNREACHABLE, icmpv4.HOST_UNREACHABLE, 0)
    assert message.data == packet


def test_a_closed_port_is_reported_by_the_device() -> None:
    bench = Bench()
    segment = udp.build_partial_udp(GATEWAY, FIRST + 3, 40000, 9, b"x" * 900)
    frame = virtio.needs_checksum(20, 6) + ipv4.build_ipv4(GATEWAY, FIRST + 3, 17, segment)
    assert bench.stack.receive(frame, 0.0) == "dropped.no-service"
    header, message = bench.sent_icmp()
    assert header.source == FIRST + 3
    assert header.total_length == 576
    assert message[:2] == (icmpv4.DESTINATION_UNREACHABLE, icmpv4.PORT_UNREACHABLE)
    # What it quotes is the packet as it would be on a wire.
    assert message.data == udp_packet(FIRST + 3, b"x" * 900, port=9)[:548]


def test_an_unknown_protocol_is_reported_by_the_device() -> None:
    bench = Bench()
    packet = ipv4.build_ipv4(GATEWAY, FIRST, 132, b"12345678")
    assert bench.receive(packet) == "dropped.no-protocol"
    header, message = bench.sent_icmp()
    assert header.source == FIRST
    assert message[:2] == (icmpv4.DESTINATION_UNREACHABLE, icmpv4.PROTOCOL_UNREACHABLE)


@pytest.mark.parametrize(
    ("packet", "outcome"),
    [
        (
            ipv4.build_ipv4(GATEWAY, NOBODY, 1, icmpv4.build_icmpv4(3, 3, 0, udp_packet())),
            "dropped.no-host",
        ),
        (ipv4.build_ipv4(GATEWAY, NOBODY, 1, icmpv4.build_icmpv4(99)), "dropped.no-host"),
        (udp_packet(NOBODY, fragment_offset=800), "dropped.no-host"),
        (udp_packet(parse_address("239.1.2.3"), port=9), "dropped.no-member"),
        (udp_packet(BROADCAST, port=9), "dropped.no-member"),
        (udp_packet(0xFFFFFFFF, port=9), "dropped.no-member"),
        (udp_packet(FIRST, port=9, source=BROADCAST), "dropped.source-address"),
        (udp_packet(FIRST, source=FIRST), "dropped.source-address"),
    ],
    ids=[
        "error",
        "unknown type",
        "fragment",
        "multicast",
        "broadcast",
        "limited",
        "from all",
        "own",
    ],
)
def test_no_error_is_sent_about_these(packet: bytes, outcome: str) -> None:
    bench = Bench()
    assert bench.receive(packet) == outcome
    assert bench.sent == []


def test_errors_are_limited_and_the_rest_is_counted() -> None:
    bench = Bench(icmp_rate=10, icmp_burst=3)
    for _ in range(10):
        assert bench.receive(udp_packet(port=9), 1.0) == "dropped.no-service"
    assert len(bench.sent) == 3
    assert bench.receive(udp_packet(port=9), 1.11) == "dropped.no-service"
    assert len(bench.sent) == 4
    assert bench.stack.counters == {"icmp-errors-sent": 4, "icmp-errors-suppressed": 7}


def test_received_errors_are_consumed_by_kind() -> None:
    bench = Bench()
    for kind, outcome in [
        (3, "consumed.icmp-unreachable"),
        (11, "consumed.icmp-time-exceeded"),
        (12, "consumed.icmp-parameter-problem"),
        (5, "consumed.icmp-redirect"),
        (42, "consumed.icmp-other"),
    ]:
        message = icmpv4.build_icmpv4(kind, 0, 0, udp_packet())
        assert bench.receive(ipv4.build_ipv4(GATEWAY, FIRST, 1, message)) == outcome
    assert bench.sent == []


# Configuration.


def test_the_routers_address_is_not_a_hosts() -> None:
    bench = Bench()
    with pytest.raises(ValueError, match="router"):
        bench.stack.attach(ROUTER - 3, 5, bench.fleet)


def test_a_datagram_longer_than_ip_can_carry() -> None:
    with pytest.raises(EncodeError):
        Bench().stack.send_udp(sent_by(FIRST, PORT, GATEWAY, 1), bytes(65508))


# Hostile input.


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 255)), max_size=4), st.integers(0, 99))
def test_a_mutated_packet_has_an_outcome(changes: list[tuple[int, int]], cut: int) -> None:
    bench = Bench()
    for original in (partial_frame(bytes(30)), virtio.PLAIN + echo_packet(FIRST, bytes(30))):
        frame = bytearray(original)
        for offset, value in changes:
            if offset < len(frame):
                frame[offset] = value
        if cut < len(frame):
            del frame[cut:]
        elif len(frame) >= 30:
            # Repair the header's checksum, so that what lies behind it is looked at.
            header = bytes(frame[10:20]) + b"\0\0" + bytes(frame[22:30])
            frame[20:22] = checksum(header).to_bytes(2, "big")
        outcome = bench.stack.receive(bytes(frame), 0.0)
        assert outcome.split(".")[0] in {"answered", "consumed", "dropped"}
    for sent in bench.sent:
        assert ipv4.is_unicast(ipv4.parse_ipv4(sent[10:]).destination)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_have_an_outcome_and_the_count_is_right(frames: list[bytes]) -> None:
    bench = Bench()
    outcomes = Counter(bench.stack.receive(frame, 0.0) for frame in frames)
    assert outcomes.total() == len(frames)
