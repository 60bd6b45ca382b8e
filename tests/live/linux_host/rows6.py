"""IPv6 packets: UDP, ICMPv6, TCP, extension headers, fragments."""

from __future__ import annotations

import setting
from crafting import (
    datagram,
    extended,
    fragment6,
    fragments,
    icmp6,
    patch,
    row,
    tcp6,
    udp6,
    v6,
    with_udp_length,
)
from setting import ALL_NODES, CLOSED, DEVICE6, GROUP6, NOBODY6, OTHER_GROUP6, PEER6

from iotsim.wire import icmpv6, ipv6, ndp, tcp
from iotsim.wire.address import parse_address

LONG = bytes(range(256)) * 5
NARROW, NARROWER = parse_address("fd77::21"), parse_address("fd77::22")
LATE = [PEER6 + 0x100 + number for number in range(4)]
ECHO = icmpv6.ECHO_REQUEST
HOP, ROUTING, DESTINATION = ipv6.HOP_BY_HOP, ipv6.ROUTING, ipv6.DESTINATION_OPTIONS
SKIP, DISCARD, REPORT, REPORT_UNLESS_GROUP = (
    bytes([kind, 2, 0, 0]) for kind in (0x1E, 0x5E, 0x9E, 0xDE)
)


def quoted(destination: int = PEER6, size: int = 1400) -> bytes:
    """What an ICMPv6 error quotes of a datagram that the service has sent."""
    return udp6(
        bytes(size - 48),
        source=DEVICE6,
        destination=destination,
        port=40000,
        source_port=setting.SERVICE,
    )


UDP = [
    row("a datagram", "RFC 768", udp6()),
    row("an empty datagram", "RFC 768", udp6(b"")),
    row("an odd number of bytes", "RFC 768", udp6(b"odd")),
    row("as long as the MTU allows", "RFC 768", udp6(LONG + bytes(1452 - len(LONG)))),
    row("no checksum", "RFC 8200 8.1", patch(udp6(), 46, b"\0\0")),
    row("a wrong checksum", "RFC 8200 8.1", patch(udp6(), 46, b"\x12\x34")),
    row("length 0", "RFC 2675 4", with_udp_length(udp6(), 0)),
    row("length 7", "RFC 768", with_udp_length(udp6(), 7)),
    row("length beyond the packet", "RFC 768", with_udp_length(udp6(), 14)),
    row("length short of the packet", "RFC 768", with_udp_length(udp6(), 11)),
    row("half a UDP header", "RFC 768", v6(17, datagram(PEER6, DEVICE6)[:4])),
    row("source port 0", "RFC 768", udp6(source_port=0)),
    row("to a closed port", "RFC 4443 3.1", udp6(port=CLOSED)),
    row("long, to a closed port", "RFC 4443 2.4(c)", udp6(LONG, port=CLOSED)),
    row(
        "wrong checksum, to a closed port",
        "RFC 8200 8.1",
        patch(udp6(port=CLOSED), 46, b"\x12\x34"),
    ),
]
ADDRESSES = [
    row("to nobody's address", "RFC 4443 3.1", udp6(destination=NOBODY6)),
    row("to a group", "RFC 4291 2.7", udp6(destination=GROUP6)),
    row("to a group that nobody joined", "RFC 4291 2.7", udp6(destination=OTHER_GROUP6)),
    row("to all nodes", "RFC 4291 2.7.1", udp6(destination=ALL_NODES)),
    row("to all routers", "RFC 4291 2.7.1", udp6(destination=ALL_NODES + 1)),
    row("to all nodes of this interface", "RFC 4291 2.7", udp6(destination=0xFF01 << 112 | 1)),
    row("to a group of scope 0", "RFC 4291 2.7", udp6(destination=0xFF00 << 112 | 1)),
    row("to a group, to a closed port", "RFC 4443 2.4(e)", udp6(destination=GROUP6, port=CLOSED)),
    row("to ::1", "RFC 4291 2.5.3", udp6(destination=1)),
    row("to ::", "RFC 4291 2.5.2", udp6(destination=0)),
    row(
        "from ::: a datagram, an echo request, a SYN",
        "RFC 4291 2.5.2",
        udp6(source=0),
        icmp6(ECHO, source=0),
        tcp6(tcp.SYN, source=0),
        allowed="RFC 4291 2.5.2: :: must not be a destination",
    ),
    row("from ::, to a closed port", "RFC 4443 2.4(e)", udp6(source=0, port=CLOSED)),
    row("from ::1", "RFC 4291 2.5.3", udp6(source=1)),
    row("from a group", "RFC 4291 2.7", udp6(source=GROUP6)),
    row("from a group, to a closed port", "RFC 4443 2.4(e)", udp6(source=GROUP6, port=CLOSED)),
    row(
        "from an IPv4-mapped address",
        "RFC 4942 2.2",
        udp6(source=parse_address("::ffff:10.77.0.1")),
    ),
    row(
        "from an IPv4-compatible address",
        "RFC 4291 2.5.5.1",
        udp6(source=parse_address("::10.77.0.1")),
        allowed="RFC 4291 2.5.5.1: implementations need not support such addresses",
    ),
    row("from the host's own address", "RFC 4291 2.1", udp6(source=DEVICE6)),
    row("from another network", "RFC 4291 2.1", udp6(source=parse_address("2001:db8::1"))),
]
ICMP = [
    row("echo request", "RFC 4443 4.1", icmp6(ECHO, data=b"ping")),
    row("echo request without data", "RFC 4443 4.1", icmp6(ECHO)),
    row("echo request with a traffic class", "RFC 4443 4.2", icmp6(ECHO, traffic_class=0x28)),
    row("echo request with code 1", "RFC 4443 4.1", icmp6(ECHO, 1, b"ping")),
    row("echo request, wrong checksum", "RFC 4443 2.3", patch(icmp6(ECHO), 42, b"\0\1")),
    row("half an ICMPv6 header", "RFC 4443 2.1", v6(58, icmp6(ECHO)[40:44])),
    row("echo request to a group", "RFC 4443 4.2", icmp6(ECHO, destination=GROUP6)),
    row("echo request to all nodes", "RFC 4443 4.2", icmp6(ECHO, destination=ALL_NODES)),
    row("echo request to another group", "RFC 4443 4.2", icmp6(ECHO, destination=OTHER_GROUP6)),
    row("unasked echo reply", "RFC 4443 4.2", icmp6(icmpv6.ECHO_REPLY)),
    row("an unknown error", "RFC 4443 2.4(a)", icmp6(100, data=quoted())),
    row("an unknown informational message", "RFC 4443 2.4(b)", icmp6(200)),
    row("node information query", "RFC 4620 5", icmp6(139, data=DEVICE6.to_bytes(16, "big"))),
    row("port unreachable, about what was not sent", "RFC 4443 3.1", icmp6(1, 4, quoted())),
    row("unreachable, quoting nothing", "RFC 4443 3.1", icmp6(1, 0)),
    row("time exceeded", "RFC 4443 3.3", icmp6(3, 0, quoted())),
    row("parameter problem", "RFC 4443 3.4", icmp6(4, 1, quoted(), rest=6)),
    row(
        "redirect through a router",
        "RFC 4861 8.1",
        icmp6(137, data=bytes(32), source=setting.PEER_LOCAL6),
    ),
    row(
        "path MTU 1,300, then 1,400 bytes",
        "RFC 8201 4",
        icmp6(2, 0, quoted(NARROW)[:1232], rest=1300),
        udp6((LONG * 2)[:1400], source=NARROW),
    ),
    row(
        "path MTU 600, then 1,400 bytes",
        "RFC 8201 4",
        icmp6(2, 0, quoted(NARROWER)[:1232], rest=600),
        udp6((LONG * 2)[:1400], source=NARROWER),
    ),
    row("router solicitation", "RFC 4861 6.2.6", icmp6(133, hop_limit=255, rest=0)),
    row(
        "neighbor solicitation through a router",
        "RFC 4861 7.1.1",
        icmp6(135, data=ndp.neighbor_data(DEVICE6, 1, None), hop_limit=64, rest=0),
    ),
    row(
        "multicast listener report of another host",
        "RFC 3810 6.2",
        icmp6(
            143,
            data=b"\4\0\0\0" + GROUP6.to_bytes(16, "big"),
            rest=1,
            hop_limit=1,
            source=setting.PEER_LOCAL6,
            destination=setting.REPORTS6,
        ),
    ),
]
TCP = [
    row("SYN", "RFC 9293 3.10.7.1", tcp6(tcp.SYN)),
    row("ACK", "RFC 9293 3.10.7.1", tcp6(tcp.ACK, acknowledgment=7)),
    row("FIN with data", "RFC 9293 3.10.7.1", tcp6(tcp.FIN, data=b"end")),
    row("RST", "RFC 9293 3.5.2", tcp6(tcp.RST)),
    row("SYN, wrong checksum", "RFC 9293 3.1", patch(tcp6(tcp.SYN), 56, b"\x12\x34")),
    row("SYN to a group", "RFC 9293 3.9.2.3", tcp6(tcp.SYN, destination=GROUP6)),
]
HEADER = [
    row("an unknown next header", "RFC 8200 4", v6(253, b"what?" * 9)),
    row("an unknown next header to a group", "RFC 4443 2.4(e)", v6(253, b"?", destination=GROUP6)),
    row(
        "an unknown next header after options",
        "RFC 8200 4",
        extended(DESTINATION, bytes(6), 253, b"what?"),
    ),
    row("no next header", "RFC 8200 4.7", v6(59, b"whatever")),
    row("version 5", "RFC 8200 3", patch(udp6(), 0, b"\x50")),
    row("payload length beyond the packet", "RFC 8200 3", patch(udp6(), 4, b"\1\0")),
    row("padding after the packet", "RFC 2464 3", udp6() + bytes(20)),
    row("payload length 0", "RFC 8200 3", patch(udp6(), 4, b"\0\0")),
    row("39 bytes in all", "RFC 8200 3", udp6()[:39]),
    row("hop limit 1", "RFC 8200 3", udp6(hop_limit=1)),
    row("hop limit 0", "RFC 8200 3", udp6(hop_limit=0)),
    row("a flow label", "RFC 6437", udp6(flow_label=0x12345)),
]
EXTENSIONS = [
    row("hop-by-hop padding", "RFC 8200 4.2", extended(HOP, bytes(6))),
    row("hop-by-hop router alert", "RFC 2711", extended(HOP, b"\5\2\0\0")),
    row("hop-by-hop option to skip", "RFC 8200 4.2", extended(HOP, SKIP)),
    row("hop-by-hop option to discard", "RFC 8200 4.2", extended(HOP, DISCARD)),
    row("hop-by-hop option to report", "RFC 8200 4.2", extended(HOP, REPORT)),
    row(
        "hop-by-hop option to report unless to a group",
        "RFC 8200 4.2",
        extended(HOP, REPORT_UNLESS_GROUP),
    ),
    row("destination option to skip", "RFC 8200 4.2", extended(DESTINATION, SKIP)),
    row("destination option to discard", "RFC 8200 4.2", extended(DESTINATION, DISCARD)),
    row("destination option to report", "RFC 8200 4.2", extended(DESTINATION, REPORT)),
    row(
        "option to report, to a group",
        "RFC 8200 4.2",
        extended(DESTINATION, REPORT, destination=GROUP6),
    ),
    row(
        "option to report unless to a group, to a group",
        "RFC 8200 4.2",
        extended(DESTINATION, REPORT_UNLESS_GROUP, destination=GROUP6),
    ),
    row("option beyond its header", "RFC 8200 4.2", extended(DESTINATION, b"\x1e\x09\0\0\0\0")),
    row(
        "hop-by-hop options not first",
        "RFC 8200 4.1",
        extended(
            DESTINATION,
            bytes(6),
            HOP,
            ipv6.build_extension(17, bytes(6)) + datagram(PEER6, DEVICE6),
        ),
    ),
    row(
        "destination options twice",
        "RFC 8200 4.1",
        extended(
            DESTINATION,
            bytes(6),
            DESTINATION,
            ipv6.build_extension(17, bytes(6)) + datagram(PEER6, DEVICE6),
        ),
    ),
    row("options beyond the packet", "RFC 8200 4", v6(DESTINATION, b"\x11\x09" + bytes(14))),
    row("hop-by-hop options beyond the packet", "RFC 8200 4", v6(HOP, b"\x11\x09" + bytes(14))),
    row("a chain that ends in the middle", "RFC 8200 4", v6(DESTINATION, b"\x11")),
    row("routing type 0, no segments left", "RFC 8200 4.4", extended(ROUTING, bytes(6))),
    row(
        "routing type 0, one segment left",
        "RFC 5095 3",
        extended(ROUTING, b"\0\1" + bytes(4) + DEVICE6.to_bytes(16, "big")),
    ),
    row(
        "routing of an unknown type, one segment left",
        "RFC 8200 4.4",
        extended(ROUTING, b"\xc8\1" + bytes(4)),
    ),
    row(
        "routing of an unknown type, no segments left",
        "RFC 8200 4.4",
        extended(ROUTING, b"\xc8\0" + bytes(4)),
    ),
    row("a jumbogram", "RFC 2675 3", patch(extended(HOP, b"\xc2\4\0\1\0\0"), 4, b"\0\0")),
    row(
        "a jumbo payload option for a short packet",
        "RFC 2675 3",
        extended(HOP, b"\xc2\4\0\0\0\x15"),
    ),
    row(
        "options, to a closed port",
        "RFC 4443 2.4(c)",
        extended(DESTINATION, SKIP, 17, datagram(PEER6, DEVICE6, port=CLOSED)),
    ),
]


def _udp_fragments(number: int, data: bytes = b"0123456789abcdefghij", **where: int) -> list[bytes]:
    return fragments(udp6(data, **where), 16, number)


_ONE, _TWO, _THREE, _FOUR = (_udp_fragments(number) for number in range(101, 105))
_DATA = datagram(PEER6, DEVICE6, b"0123456789abcdefghijklmn")
FRAGMENTS = [
    row("two fragments", "RFC 8200 4.5", *_ONE),
    row("two fragments, the last first", "RFC 8200 4.5", *reversed(_TWO)),
    row("a fragment twice", "RFC 8200 4.5", _THREE[0], *_THREE),
    row("a last fragment alone", "RFC 8200 4.5", _FOUR[1]),
    row(
        "an atomic fragment", "RFC 6946 4", fragment6(datagram(PEER6, DEVICE6), 0, 105, more=False)
    ),
    row(
        "an atomic fragment among others",
        "RFC 6946 4",
        fragment6(_DATA[:16], 0, 106),
        fragment6(datagram(PEER6, DEVICE6), 0, 106, more=False),
    ),
    row(
        "a fragment that overlaps, the same bytes",
        "RFC 5722 4",
        fragment6(_DATA[:16], 0, 110),
        fragment6(_DATA[8:], 8, 110, more=False),
    ),
    row(
        "a fragment that overlaps, other bytes",
        "RFC 5722 4",
        fragment6(_DATA[:16], 0, 125),
        fragment6(b"X" * 16, 8, 125),
        fragment6(_DATA[16:], 16, 125, more=False),
    ),
    row(
        "a fragment inside of another, other bytes",
        "RFC 5722 4",
        fragment6(_DATA[:16], 0, 111),
        fragment6(b"X" * 8, 8, 111),
        fragment6(_DATA[16:], 16, 111, more=False),
        allowed="RFC 8200 4.5, RFC 5722 4: all of the packet must be discarded; but for exact "
        "duplicates",
    ),
    row(
        "two different ends",
        "RFC 5722 4",
        fragment6(_DATA[24:], 24, 113, more=False),
        fragment6(_DATA[16:24], 16, 113, more=False),
        fragment6(_DATA[:16], 0, 113),
    ),
    row(
        "a first fragment of 20 bytes, not of whole words",
        "RFC 8200 4.5",
        fragment6(_DATA[:20], 0, 114),
    ),
    row("beyond 65,535 bytes", "RFC 8200 4.5", fragment6(bytes(104), 65528, 116, more=False)),
    row(
        "a first fragment without the UDP header",
        "RFC 8200 4.5",
        fragment6(_DATA[:0], 0, 117),
        fragment6(b"\x11\1" + bytes(6), 0, 118, protocol=DESTINATION),
    ),
    row("half a fragment header", "RFC 8200 4.5", v6(44, b"\x11\0\0\1")),
    row(
        "8,000 bytes in fragments", "RFC 8200 5", *fragments(udp6(LONG * 6 + bytes(320)), 1448, 119)
    ),
    row(
        "echo request of 65,000 bytes",
        "RFC 4443 4.2",
        *fragments(icmp6(ECHO, data=LONG * 50 + bytes(1000)), 1448, 120),
    ),
    row("fragments, to a closed port", "RFC 4443 2.4(c)", *_udp_fragments(121, port=CLOSED)),
    row("fragments of an unknown protocol", "RFC 8200 4", *fragments(v6(253, LONG), 1024, 122)),
    row("fragments, to a group", "RFC 8200 4.5", *_udp_fragments(123, destination=GROUP6)),
    row(
        "a fragment in a fragment",
        "RFC 8200 4.1",
        fragment6(
            ipv6.build_fragment(ipv6.FragmentHeader(17, 0, True, 7)) + bytes(16),
            0,
            124,
            protocol=44,
        ),
    ),
    row(
        "only the first fragment, ever",
        "RFC 8200 4.5",
        fragment6(datagram(LATE[0], DEVICE6, LONG)[:1024], 0, 130, source=LATE[0]),
        late=LATE[0],
    ),
    row(
        "only the last fragment, ever",
        "RFC 8200 4.5",
        fragment6(_DATA[16:], 16, 131, more=False, source=LATE[1]),
        late=LATE[1],
    ),
    row(
        "overlapping fragments, and time passes",
        "RFC 5722 4",
        fragment6(_DATA[:16], 0, 132, source=LATE[2]),
        fragment6(b"X" * 16, 8, 132, source=LATE[2]),
        late=LATE[2],
    ),
]
SECTIONS = {
    "UDP over IPv6": UDP,
    "IPv6 addresses": ADDRESSES,
    "ICMPv6": ICMP,
    "TCP over IPv6": TCP,
    "IPv6 headers and other protocols": HEADER,
    "IPv6 extension headers": EXTENSIONS,
    "IPv6 fragments": FRAGMENTS,
}
