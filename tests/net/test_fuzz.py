"""The hosts as a whole against whatever a link may carry: an outcome for each frame, no exception,
no packet to where none may go, and no state beyond its bounds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from iotsim.net.stack import Stack
from iotsim.wire import icmpv4, icmpv6, ipv4, ipv6, tcp, udp, virtio
from iotsim.wire.checksum import checksum, pseudo_header_sum

if TYPE_CHECKING:
    from iotsim.net.address_table import PortHandler
    from iotsim.net.datagram import Datagram

GATEWAY, FIRST, FAR, ROUTER = 0x0A4D0001, 0x0A4D0101, 0x0A580001, 0x0A4DFFFE
V6 = 0xFD77 << 112
GATEWAY6, FIRST6, FAR6, ROUTER6 = V6 | 1, V6 | 0x10001, V6 | 0x20001, V6 | 0xFFFF
GROUP, GROUP6 = 0xEF010203, 0xFF05 << 112 | 0xFD


class Target:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.stack = Stack(
            self.sent.append, router=ROUTER, router6=ROUTER6, broadcasts=[0x0A4DFFFF]
        )
        self.ports: dict[int, PortHandler] = {5600: self.answer}
        self.missed: dict[int, PortHandler] = {}
        for first in (FIRST, FIRST6):
            self.stack.attach(first, 4, self)
        self.stack.attach(FAR, 4, self, hops=[0x0A630001], path_mtu=600)
        self.stack.attach(FAR6, 4, self, hops=[V6 | 0x30001], path_mtu=1300)
        self.stack.join(GROUP, self)
        self.stack.join(GROUP6, self)

    def answer(self, datagram: Datagram, payload: bytes) -> str:
        self.stack.send_udp(datagram, payload)
        return "answered"


def inner(source: int, destination: int, protocol: int, data: bytes) -> bytes:
    """An upper layer with its checksum right, so that what lies behind it is looked at."""
    if protocol == udp.PROTOCOL:
        port = 5600 if len(data) % 3 else 9
        return udp.build_udp(source, destination, 40000, port, data)
    if protocol == tcp.PROTOCOL:
        flags = data[0] if data else tcp.SYN
        return tcp.build_tcp(source, destination, 40000, 80, flags, 1, 2, data)
    if protocol in (ipv4.ICMP, ipv4.IGMP):
        data = data.ljust(8, b"\0")
        return data[:2] + checksum(data[:2] + b"\0\0" + data[4:]).to_bytes(2, "big") + data[4:]
    if protocol == ipv6.ICMPV6:
        data = data.ljust(8, b"\0")
        pseudo = pseudo_header_sum(source, destination, protocol, len(data))
        total = checksum(data[:2] + b"\0\0" + data[4:], pseudo)
        return data[:2] + total.to_bytes(2, "big") + data[4:]
    return data


DATA = st.binary(max_size=60) | st.builds(
    lambda kind, code, quoted: bytes([kind, code]) + bytes(6) + quoted,
    st.sampled_from([0, 1, 2, 3, 4, 5, 8, 11, 12, 13, 128, 130, 133, 135, 136, 143]),
    st.integers(0, 4),
    st.sampled_from(
        [
            ipv4.build_ipv4(FIRST, GATEWAY, 17, bytes(20)),
            ipv6.build_ipv6(FIRST6, GATEWAY6, 17, bytes(20)),
            bytes(20),
        ]
    ),
)


@st.composite
def packets4(draw: st.DrawFn) -> bytes:
    sources = [GATEWAY] * 9 + [FIRST, 0, 0x7F000001, GROUP, 0xFFFFFFFF]
    source = draw(st.sampled_from(sources))
    destinations = [FIRST, FIRST + 4, FAR, ROUTER, 0x0A630001, GROUP, 0x0A4DFFFF, 0xE0000001]
    destination = draw(st.sampled_from(destinations))
    protocol = draw(st.sampled_from([1, 2, 6, 17, 132]))
    payload = inner(source, destination, protocol, draw(DATA))
    return ipv4.build_ipv4(
        source,
        destination,
        protocol,
        payload,
        identification=draw(st.integers(0, 2)),
        more_fragments=draw(st.sampled_from([False, False, False, len(payload) % 8 == 0])),
        fragment_offset=draw(st.sampled_from([0, 0, 0, 0, 0, 8, 16, 65000])),
        ttl=draw(st.sampled_from([64, 64, 1, 0])),
        options=draw(
            st.sampled_from([b""] * 5 + [b"\x94\x04\0\0", b"\x07\x09\0\0", b"\x83\3\4\0"])
        ),
    )


@st.composite
def packets6(draw: st.DrawFn) -> bytes:
    sources = [GATEWAY6] * 9 + [FIRST6, 0, 1, GROUP6, 0xFE80 << 112 | 1, FIRST]
    source = draw(st.sampled_from(sources))
    destinations = [FIRST6, FIRST6 + 4, FAR6, ROUTER6, V6 | 0x30001, GROUP6, ipv6.ALL_NODES, FIRST]
    destination = draw(st.sampled_from(destinations))
    protocol = draw(st.sampled_from([6, 17, 58, 59, 132]))
    payload = inner(source, destination, protocol, draw(DATA))
    for kind in draw(st.lists(st.sampled_from([0, 43, 44, 60]), max_size=3)):
        if kind == ipv6.FRAGMENT:
            offset = draw(st.sampled_from([0, 0, 8, 16, 65000]))
            number = draw(st.integers(0, 2))
            header = ipv6.FragmentHeader(protocol, offset, draw(st.booleans()), number)
            payload = ipv6.build_fragment(header) + payload
        else:
            contents = [bytes(6)] * 5 + [b"", b"\x9e\0", b"\xde\0", b"\x05\x02\0\0"]
            content = draw(st.sampled_from(contents))
            payload = ipv6.build_extension(protocol, content) + payload
        protocol = kind
    limit = draw(st.sampled_from([64, 64, 1, 0]))
    return ipv6.build_ipv6(source, destination, protocol, payload, hop_limit=limit)


HEADERS = st.sampled_from(
    [
        *[virtio.PLAIN] * 9,
        virtio.needs_checksum(20, 6),
        virtio.needs_checksum(40, 6),
        virtio.needs_checksum(60000, 60000),
        virtio.build_virtio(virtio.VirtioHeader(1, virtio.GSO_UDP_L4, 0, 9, 20, 6)),
        virtio.build_virtio(virtio.VirtioHeader(1, virtio.GSO_UDP, 0, 9, 20, 6)),
    ]
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    packet = bytearray(draw(packets4() | packets6()))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        packet[draw(st.integers(0, len(packet) - 1))] = draw(st.integers(0, 255))
    if packet[0] == 0x45 and draw(st.booleans()):
        packet[10:12] = checksum(bytes(packet[:10]) + bytes(2) + bytes(packet[12:20])).to_bytes(
            2, "big"
        )
    end = draw(st.sampled_from([None] * 9 + [-1, 10, 30]))
    return draw(HEADERS) + bytes(packet[:end])


@settings(max_examples=250)
@given(st.lists(frames(), max_size=8))
def test_crafted_packets(received: list[bytes]) -> None:
    target = Target()
    outcomes: Counter[str] = Counter()
    now = 0.0
    for frame in received:
        outcomes[target.stack.receive(frame, now)] += 1
        now += 0.1
    due = target.stack.next_due()
    assert due is None or due > now
    target.stack.pop_due(now + 1000.0)
    assert target.stack.next_due() is None
    assert outcomes.total() == len(received)
    assert {outcome.split(".")[0] for outcome in outcomes} <= {"answered", "consumed", "dropped"}
    for frame in target.sent:
        check_sent(virtio.complete_checksum(frame))


def check_sent(packet: bytes) -> None:
    """What leaves is well-formed, from a host or router of ours, and to a single host."""
    if packet[0] >> 4 == 4:
        header = ipv4.parse_ipv4(packet)
        assert ipv4.is_unicast(header.destination)
        owners = (range(FIRST, FIRST + 4), range(FAR, FAR + 4), (ROUTER, 0x0A630001))
        assert any(header.source in owner for owner in owners)
        assert header.total_length == len(packet) <= 1500
        if header.protocol == ipv4.ICMP and not header.is_fragment:
            icmpv4.parse_icmpv4(packet[20:])
        return
    header6 = ipv6.parse_ipv6(packet)
    assert header6.destination
    assert not ipv6.is_multicast(header6.destination)
    owners6 = (range(FIRST6, FIRST6 + 4), range(FAR6, FAR6 + 4), (ROUTER6, V6 | 0x30001))
    assert any(header6.source in owner for owner in owners6)
    assert 40 + header6.payload_length == len(packet) <= 1500
    if header6.next_header == ipv6.ICMPV6:
        icmpv6.parse_icmpv6(header6.source, header6.destination, packet[40:])


def test_a_flood_of_fragments_leaves_the_others_answering() -> None:
    target = Target()
    for number in range(3000):
        source = GATEWAY + 1 + number % 50
        packet = ipv4.build_ipv4(
            source, FIRST, 17, bytes(1400), identification=number, more_fragments=True
        )
        outcome = target.stack.receive(virtio.PLAIN + packet, number / 1000)
        assert outcome in ("consumed.fragment", "dropped.fragment-source-limit")
    segment = udp.build_udp(GATEWAY, FIRST + 1, 40000, 5600, bytes(2000))
    for offset in (0, 1480):
        packet = ipv4.build_ipv4(
            GATEWAY,
            FIRST + 1,
            17,
            segment[offset : offset + 1480],
            more_fragments=offset == 0,
            fragment_offset=offset,
        )
        outcome = target.stack.receive(virtio.PLAIN + packet, 3.0)
    assert outcome == "answered"
    target.stack.pop_due(100.0)
    assert target.stack.next_due() is None
