"""IPv4 packets: UDP, ICMP, TCP, other protocols, headers, options, fragments."""

from __future__ import annotations

import setting
from crafting import (
    datagram,
    fragment4,
    fragments,
    icmp4,
    ip,
    patch,
    patch_header,
    row,
    tcp4,
    udp4,
    with_udp_length,
)
from setting import BROADCAST, CLOSED, DEVICE, GROUP, LIMITED, NETWORK, NOBODY, OTHER_GROUP, PEER

from iotsim.wire import icmpv4, tcp
from iotsim.wire.address import parse_address

LONG = bytes(range(256)) * 5
LOOPBACK = parse_address("127.0.0.1")
NARROW, NARROWER = parse_address("10.77.0.21"), parse_address("10.77.0.22")
LATE = [PEER + 100 + number for number in range(4)]
ECHO = icmpv4.ECHO_REQUEST


def quoted(source: int = DEVICE, destination: int = PEER, size: int = 1028) -> bytes:
    """What an ICMP error quotes of a datagram that the service has sent."""
    return udp4(
        bytes(size - 28),
        source=source,
        destination=destination,
        port=40000,
        source_port=setting.SERVICE,
    )[:28]


UDP = [
    row("a datagram", "RFC 768", udp4()),
    row("an empty datagram", "RFC 768", udp4(b"")),
    row("an odd number of bytes", "RFC 768", udp4(b"odd")),
    row("as long as the MTU allows", "RFC 768", udp4(LONG + bytes(1472 - len(LONG)))),
    row("no checksum", "RFC 768", patch(udp4(), 26, b"\0\0")),
    row("a wrong checksum", "RFC 1122 4.1.3.4", patch(udp4(), 26, b"\x12\x34")),
    row("length 0", "RFC 768", with_udp_length(udp4(), 0)),
    row("length 7", "RFC 768", with_udp_length(udp4(), 7)),
    row("length beyond the packet", "RFC 768", with_udp_length(udp4(), 14)),
    row("length short of the packet", "RFC 768", with_udp_length(udp4(), 11)),
    row("half a UDP header", "RFC 768", ip(17, datagram()[:4])),
    row("source port 0", "RFC 768", udp4(source_port=0)),
    row("to port 0", "RFC 1122 4.1.3.1", udp4(port=0)),
    row("to a closed port", "RFC 1122 4.1.3.1", udp4(port=CLOSED)),
    row("long, to a closed port", "RFC 1812 4.3.2.3", udp4(LONG, port=CLOSED)),
    row(
        "wrong checksum, to a closed port",
        "RFC 1122 4.1.3.4",
        patch(udp4(port=CLOSED), 26, b"\x12\x34"),
    ),
    row("low delay, to a closed port", "RFC 1812 4.3.2.5", udp4(port=CLOSED, tos=0x10)),
]
ADDRESSES = [
    row("to nobody's address", "RFC 1122 3.2.1.3", udp4(destination=NOBODY)),
    row("to the subnet's broadcast address", "RFC 1122 3.3.6", udp4(destination=BROADCAST)),
    row("to 255.255.255.255", "RFC 1122 3.3.6", udp4(destination=LIMITED)),
    row("to the subnet's address", "RFC 1122 3.3.6", udp4(destination=NETWORK)),
    row("broadcast, to a closed port", "RFC 1122 3.2.2", udp4(destination=BROADCAST, port=CLOSED)),
    row("to a group", "RFC 1112 7", udp4(destination=GROUP)),
    row("to a group that nobody joined", "RFC 1112 7", udp4(destination=OTHER_GROUP)),
    row("to all systems", "RFC 1112 4", udp4(destination=setting.ALL_SYSTEMS)),
    row("to a group, to a closed port", "RFC 1122 3.2.2", udp4(destination=GROUP, port=CLOSED)),
    row("to 127.0.0.1", "RFC 1122 3.2.1.3", udp4(destination=LOOPBACK)),
    row("to 0.0.0.0", "RFC 1122 3.2.1.3", udp4(destination=0)),
    row("from 0.0.0.0", "RFC 1122 3.2.1.3", udp4(source=0)),
    row("from 0.0.0.0, broadcast", "RFC 1122 3.2.1.3", udp4(source=0, destination=LIMITED)),
    row("from 127.0.0.1", "RFC 1122 3.2.1.3", udp4(source=LOOPBACK)),
    row("from the subnet's broadcast address", "RFC 1122 3.2.1.3", udp4(source=BROADCAST)),
    row("from 255.255.255.255", "RFC 1122 3.2.1.3", udp4(source=LIMITED)),
    row("from a group", "RFC 1122 3.2.1.3", udp4(source=GROUP)),
    row("from class E", "RFC 1112 4", udp4(source=parse_address("240.0.0.1"))),
    row("from the host's own address", "RFC 1812 5.3.7", udp4(source=DEVICE)),
    row("from another network", "RFC 1122 3.3.1", udp4(source=parse_address("192.0.2.1"))),
    row(
        "from a broadcast address, to a closed port",
        "RFC 1122 3.2.2",
        udp4(source=BROADCAST, port=CLOSED),
    ),
]
ICMP = [
    row("echo request", "RFC 792", icmp4(ECHO, data=b"ping")),
    row("echo request without data", "RFC 792", icmp4(ECHO)),
    row("echo request of 1,472 bytes", "RFC 1122 3.2.2.6", icmp4(ECHO, data=bytes(1472))),
    row("echo request with a TOS", "RFC 1122 3.2.2.6", icmp4(ECHO, data=b"x", tos=0x28)),
    row("echo request with code 1", "RFC 792", icmp4(ECHO, 1, b"ping")),
    row("echo request, wrong checksum", "RFC 792", patch(icmp4(ECHO), 22, b"\0\1")),
    row("half an ICMP header", "RFC 792", ip(1, icmpv4.build_icmpv4(ECHO)[:4])),
    row("broadcast echo request", "RFC 1122 3.2.2.6", icmp4(ECHO, destination=BROADCAST)),
    row("echo request to a group", "RFC 1122 3.2.2.6", icmp4(ECHO, destination=GROUP)),
    row("echo request from a broadcast address", "RFC 1122 3.2.1.3", icmp4(ECHO, source=BROADCAST)),
    row("unasked echo reply", "RFC 1122 3.2.2.6", icmp4(icmpv4.ECHO_REPLY)),
    row("timestamp request", "RFC 1122 3.2.2.8", icmp4(13, data=b"\0\0\1\2" + bytes(8))),
    row("half a timestamp request", "RFC 792", icmp4(13, data=b"\0\0\1\2")),
    row("timestamp request without a time", "RFC 792", icmp4(13)),
    row("address mask request", "RFC 1122 3.2.2.9", icmp4(17, data=bytes(4))),
    row("information request", "RFC 1122 3.2.2.7", icmp4(15)),
    row("router solicitation", "RFC 1256", icmp4(10)),
    row("extended echo request", "RFC 8335 8", icmp4(42)),
    row("an unknown type", "RFC 1122 3.2.2", icmp4(99)),
    row("port unreachable, about what was not sent", "RFC 1122 3.2.2.1", icmp4(3, 3, quoted())),
    row("unreachable, quoting nothing", "RFC 1122 3.2.2.1", icmp4(3, 1)),
    row("source quench", "RFC 6633 3", icmp4(4, data=quoted())),
    row("redirect", "RFC 1122 3.2.2.2", icmp4(5, 1, quoted(), rest=NOBODY)),
    row("time exceeded", "RFC 1122 3.2.2.4", icmp4(11, data=quoted())),
    row(
        "an error about an error",
        "RFC 1122 3.2.2",
        icmp4(3, 2, icmp4(3, 3, quoted(), source=DEVICE, destination=PEER)),
    ),
    row(
        "path MTU 600, then 1,000 bytes",
        "RFC 1191 3",
        icmp4(3, 4, quoted(destination=NARROW), rest=600),
        udp4(LONG[:1000], source=NARROW),
    ),
    row(
        "path MTU 68, then 1,000 bytes",
        "RFC 1191 3",
        icmp4(3, 4, quoted(destination=NARROWER), rest=68),
        udp4(LONG[:1000], source=NARROWER),
    ),
]
TCP = [
    row("SYN", "RFC 9293 3.10.7.1", tcp4(tcp.SYN)),
    row("SYN with data", "RFC 9293 3.10.7.1", tcp4(tcp.SYN, data=b"early")),
    row("SYN ACK", "RFC 9293 3.10.7.1", tcp4(tcp.SYN | tcp.ACK, acknowledgment=77)),
    row("ACK", "RFC 9293 3.10.7.1", tcp4(tcp.ACK, acknowledgment=0xFFFFFFFF)),
    row("FIN", "RFC 9293 3.10.7.1", tcp4(tcp.FIN, sequence=0xFFFFFFFF)),
    row("no flags at all", "RFC 9293 3.10.7.1", tcp4(0, data=b"null")),
    row("RST", "RFC 9293 3.5.2", tcp4(tcp.RST)),
    row("RST ACK", "RFC 9293 3.5.2", tcp4(tcp.RST | tcp.ACK, acknowledgment=5)),
    row("SYN, wrong checksum", "RFC 9293 3.1", patch(tcp4(tcp.SYN), 36, b"\x12\x34")),
    row("half a TCP header", "RFC 9293 3.1", ip(6, tcp4(tcp.SYN)[20:30])),
    row("data offset beyond the segment", "RFC 9293 3.1", patch(tcp4(tcp.SYN), 32, b"\xf0")),
    row("broadcast SYN", "RFC 9293 3.9.2.3", tcp4(tcp.SYN, destination=BROADCAST)),
    row("SYN to a group", "RFC 9293 3.9.2.3", tcp4(tcp.SYN, destination=GROUP)),
]
HEADER = [
    row("an unknown protocol", "RFC 1122 3.2.2.1", ip(253, b"what?" * 9)),
    row("broadcast unknown protocol", "RFC 1122 3.2.2", ip(253, b"?", destination=BROADCAST)),
    row("unknown protocol to a group", "RFC 1122 3.2.2", ip(253, b"?", destination=GROUP)),
    row("unknown protocol, no payload", "RFC 1122 3.2.2.1", ip(253, b"")),
    row("IPv6's no next header", "RFC 1122 3.2.2.1", ip(59, b"")),
    row("wrong header checksum", "RFC 1122 3.2.1.2", patch(udp4(), 10, b"\x12\x34")),
    row("version 5", "RFC 1122 3.2.1.1", patch_header(udp4(), 0, b"\x55")),
    row("header length of 4 words", "RFC 791 3.1", patch_header(udp4(), 0, b"\x44")),
    row("header longer than the packet", "RFC 791 3.1", patch_header(udp4(), 0, b"\x4f", 33)),
    row("total length short of the header", "RFC 791 3.1", patch_header(udp4(), 2, b"\0\x13")),
    row("total length beyond the packet", "RFC 791 3.1", patch_header(udp4(), 2, b"\1\0")),
    row("padding after the packet", "RFC 894", udp4() + bytes(20)),
    row("19 bytes in all", "RFC 791 3.1", udp4()[:19]),
    row("TTL 1", "RFC 1122 3.2.1.7", udp4(ttl=1)),
    row("TTL 0", "RFC 1122 3.2.1.7", udp4(ttl=0)),
    row("TTL 1, to a closed port", "RFC 1122 3.2.1.7", udp4(ttl=1, port=CLOSED)),
    row("the reserved flag", "RFC 3514", patch_header(udp4(), 6, b"\x80\0")),
]
OPTIONS = [
    row("no operation, end of list", "RFC 791 3.1", udp4(options=b"\1\1\0\0")),
    row("router alert", "RFC 2113", udp4(options=b"\x94\4\0\0")),
    row("an unknown option", "RFC 1122 3.2.1.8", udp4(options=b"\x1e\4\0\0")),
    row("an option of length 0", "RFC 1122 3.2.1.8", udp4(options=b"\1\x1e\0\0")),
    row("an option beyond the header", "RFC 1122 3.2.1.8", udp4(options=b"\x1e\7\0\0")),
    row("an option cut off", "RFC 1122 3.2.1.8", udp4(options=b"\1\1\1\x1e")),
    row(
        "broken option, from a broadcast address",
        "RFC 1122 3.2.2",
        udp4(options=b"\x1e\0\0\0", source=BROADCAST),
    ),
    row(
        "broken option, broadcast",
        "RFC 1122 3.2.2",
        udp4(options=b"\x1e\0\0\0", destination=BROADCAST),
    ),
    row("loose source route, used up", "RFC 7126 4.3", udp4(options=b"\x83\7\x08\x0a\x4d\0\7\0")),
    row("loose source route, not used up", "RFC 7126 4.3", udp4(options=b"\x83\7\4\x0a\x4d\0\7\0")),
    row("strict source route", "RFC 7126 4.4", udp4(options=b"\x89\7\4\x0a\x4d\0\7\0")),
    row(
        "echo request that records its route",
        "RFC 1122 3.2.2.6",
        icmp4(ECHO, options=b"\7\x0b\4" + bytes(8) + b"\0"),
        allowed="RFC 1122 3.2.2.6: the reply SHOULD have the option, but need not; RFC 7126 4.5 "
        "tells why many ignore it",
    ),
    row(
        "datagram that records its route",
        "RFC 1122 4.1.3.2",
        udp4(options=b"\7\x0b\4" + bytes(8) + b"\0"),
    ),
    row(
        "record route with a bad pointer", "RFC 791 3.1", udp4(options=b"\7\7\3" + bytes(4) + b"\0")
    ),
    row("timestamp with a bad pointer", "RFC 791 3.1", udp4(options=b"\x44\x08\4\0" + bytes(4))),
    row("record route of two bytes", "RFC 791 3.1", udp4(options=b"\7\2\0\0")),
    row("record route that is full", "RFC 791 3.1", udp4(options=b"\7\7\x08" + bytes(4) + b"\0")),
    row("option, to a closed port", "RFC 1122 3.2.2", udp4(options=b"\1\1\1\0", port=CLOSED)),
]


def _udp_fragments(
    identification: int, data: bytes = b"0123456789abcdefghij", **where: int
) -> list[bytes]:
    return fragments(udp4(data, **where), 16, identification)


_ONE, _TWO, _THREE, _FOUR, _FIVE = (_udp_fragments(number) for number in range(101, 106))
_DATA = datagram(data=b"0123456789abcdefghijklmn")
FRAGMENTS = [
    row("two fragments", "RFC 791 3.2", *_ONE),
    row("two fragments, the last first", "RFC 791 3.2", *reversed(_TWO)),
    row("a fragment twice", "RFC 791 3.2", _THREE[0], *_THREE),
    row("a last fragment alone", "RFC 791 3.2", _FOUR[1]),
    row(
        "fragments with DF set",
        "RFC 6864 4",
        *(patch_header(one, 6, bytes([one[6] | 0x40])) for one in _udp_fragments(106)),
    ),
    row(
        "fragments of the same identification from two peers",
        "RFC 791 3.2",
        _FIVE[0],
        _udp_fragments(105, source=PEER + 7)[1],
    ),
    row(
        "a fragment that overlaps, the same bytes",
        "RFC 1858 4",
        fragment4(_DATA[:16], 0, 110),
        fragment4(_DATA[8:], 8, 110, more=False),
    ),
    row(
        "a fragment that overlaps, other bytes",
        "RFC 1858 4",
        fragment4(_DATA[:16], 0, 125),
        fragment4(b"X" * 16, 8, 125),
        fragment4(_DATA[16:], 16, 125, more=False),
    ),
    row(
        "a fragment inside of another, other bytes",
        "RFC 1858 4",
        fragment4(_DATA[:16], 0, 111),
        fragment4(b"X" * 8, 8, 111),
        fragment4(_DATA[16:], 16, 111, more=False),
        allowed="RFC 791 3.2: the procedure there is an example, and keeps the other copy than "
        "Linux does; RFC 1858 4 tells what such fragments are made for",
    ),
    row(
        "a fragment inside another (teardrop)",
        "RFC 1858 4",
        fragment4(_DATA[:24], 0, 112),
        fragment4(_DATA[8:16], 8, 112, more=False),
    ),
    row(
        "two different ends",
        "RFC 1858 4",
        fragment4(_DATA[24:], 24, 113, more=False),
        fragment4(_DATA[16:24], 16, 113, more=False),
        fragment4(_DATA[:16], 0, 113),
    ),
    row(
        "a first fragment of 20 bytes, not of whole words",
        "RFC 791 3.2",
        fragment4(_DATA[:20], 0, 114),
        fragment4(_DATA[16:], 16, 114, more=False),
    ),
    row("an empty fragment", "RFC 791 3.2", fragment4(b"", 0, 115), *_udp_fragments(115)),
    row(
        "beyond 65,535 bytes (ping of death)",
        "RFC 791 3.2",
        patch_header(fragment4(bytes(100), 0, 116, more=False, protocol=1), 6, b"\x1f\xff"),
    ),
    row(
        "8,000 bytes in fragments",
        "RFC 1122 3.3.2",
        *fragments(udp4(LONG * 6 + bytes(320)), 1480, 117),
    ),
    row(
        "echo request of 65,507 bytes",
        "RFC 1122 3.2.2.6",
        *fragments(icmp4(ECHO, data=LONG * 51 + bytes(227)), 1480, 118),
    ),
    row("fragments, to a closed port", "RFC 1122 3.2.2", *_udp_fragments(119, port=CLOSED)),
    row("fragments of an unknown protocol", "RFC 1122 3.2.2", *fragments(ip(253, LONG), 1024, 120)),
    row(
        "a later fragment of an unknown protocol",
        "RFC 1122 3.2.2",
        fragment4(b"12345678", 8, 121, more=False, protocol=253),
    ),
    row("fragments, broadcast", "RFC 1122 3.3.2", *_udp_fragments(122, destination=BROADCAST)),
    row(
        "fragments of a datagram with a wrong checksum",
        "RFC 1122 4.1.3.4",
        *fragments(patch(udp4(LONG), 26, b"\x12\x34"), 1024, 123),
    ),
    row(
        "fragments, the first with options",
        "RFC 791 3.2",
        patch_header(fragment4(_DATA[:16], 0, 124, options=b"\x94\4\0\0"), 8, b"\x40", 24),
        fragment4(_DATA[16:], 16, 124, more=False),
    ),
    row(
        "only the first fragment, ever",
        "RFC 1122 3.3.2",
        fragment4(datagram(source=LATE[0])[:8], 0, 130, source=LATE[0]),
        late=LATE[0],
    ),
    row(
        "only the last fragment, ever",
        "RFC 1122 3.3.2",
        fragment4(_DATA[16:], 16, 131, more=False, source=LATE[1]),
        late=LATE[1],
    ),
    row(
        "overlapping fragments, and time passes",
        "RFC 1122 3.3.2",
        fragment4(_DATA[:16], 0, 132, source=LATE[2]),
        fragment4(b"X" * 16, 8, 132, source=LATE[2]),
        late=LATE[2],
    ),
]
SECTIONS = {
    "UDP over IPv4": UDP,
    "IPv4 addresses": ADDRESSES,
    "ICMP": ICMP,
    "TCP": TCP,
    "IPv4 headers and other protocols": HEADER,
    "IPv4 options": OPTIONS,
    "IPv4 fragments": FRAGMENTS,
}
