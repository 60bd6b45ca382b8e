"""Building packets that are right, and breaking them in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from setting import (
    CLOSED,
    DEVICE,
    DEVICE6,
    MAC,
    PEER,
    PEER6,
    PEER_MAC,
    PEER_PORT,
    SERVICE,
)

from iotsim.net.fragmentation import fragment_ipv4, fragment_ipv6
from iotsim.wire import ethernet, icmpv4, icmpv6, ipv4, ipv6, tcp, udp
from iotsim.wire.address import IPV4_END
from iotsim.wire.checksum import checksum, pseudo_header_sum

HELLO = b"hello"


@dataclass(frozen=True)
class Row:
    """One line of the table: packets that are sent one after the other, and what they are about.

    `clause` is what the standards say of them. `allowed` is the clause that allows the two hosts to
    differ. The answers to a `late` row come later, and are known by whom they are sent to.
    """

    name: str
    clause: str
    packets: tuple[bytes, ...]
    allowed: str = ""
    late: int = 0


def row(name: str, clause: str, *packets: bytes, allowed: str = "", late: int = 0) -> Row:
    return Row(name, clause, packets, allowed, late)


# IP


def ip(
    protocol: int, payload: bytes, source: int = PEER, destination: int = DEVICE, **fields: Any
) -> bytes:
    is_ipv4 = max(source, destination) < IPV4_END
    build = ipv4.build_ipv4 if is_ipv4 else ipv6.build_ipv6
    return build(source, destination, protocol, payload, **fields)


def patch(packet: bytes, offset: int, value: bytes) -> bytes:
    """`packet` with other bytes at `offset`, all else left as it was."""
    return packet[:offset] + value + packet[offset + len(value) :]


def patch_header(packet: bytes, offset: int, value: bytes, length: int = 20) -> bytes:
    """The same for an IPv4 header, whose checksum is made right again."""
    packet = patch(patch(packet, offset, value), 10, b"\0\0")
    return patch(packet, 10, checksum(packet[:length]).to_bytes(2, "big"))


def fragments(packet: bytes, size: int, identification: int) -> list[bytes]:
    """`packet` in fragments of at most `size` bytes of payload."""
    if packet[0] >> 4 == 4:
        header = ipv4.parse_ipv4(packet)
        ends = header.source, header.destination, header.protocol
        return fragment_ipv4(*ends, packet[20:], 20 + size, identification)
    header6 = ipv6.parse_ipv6(packet)
    ends = header6.source, header6.destination, header6.next_header
    return fragment_ipv6(*ends, packet[40:], 48 + size, identification)


def fragment4(
    payload: bytes,
    offset: int,
    identification: int,
    *,
    more: bool = True,
    protocol: int = udp.PROTOCOL,
    **fields: Any,
) -> bytes:
    where = {"more_fragments": more, "fragment_offset": offset, "identification": identification}
    return ip(protocol, payload, **where, **fields)


def fragment6(
    payload: bytes,
    offset: int,
    identification: int,
    *,
    more: bool = True,
    protocol: int = udp.PROTOCOL,
    **ends: int,
) -> bytes:
    header = ipv6.FragmentHeader(protocol, offset, more, identification)
    return v6(ipv6.FRAGMENT, ipv6.build_fragment(header) + payload, **ends)


def v6(protocol: int, payload: bytes, **fields: Any) -> bytes:
    return ip(protocol, payload, **{"source": PEER6, "destination": DEVICE6, **fields})


def extended(
    kind: int, content: bytes, protocol: int = udp.PROTOCOL, payload: bytes = b"", **ends: Any
) -> bytes:
    """An IPv6 packet with an extension header of `kind`, by default before a UDP datagram."""
    payload = payload or datagram(PEER6, ends.get("destination", DEVICE6))
    return v6(kind, ipv6.build_extension(protocol, content) + payload, **ends)


# UDP


def datagram(
    source: int = PEER,
    destination: int = DEVICE,
    data: bytes = HELLO,
    *,
    port: int = SERVICE,
    source_port: int = PEER_PORT,
) -> bytes:
    return udp.build_udp(source, destination, source_port, port, data)


def udp4(
    data: bytes = HELLO,
    *,
    source: int = PEER,
    destination: int = DEVICE,
    port: int = SERVICE,
    source_port: int = PEER_PORT,
    **fields: Any,
) -> bytes:
    segment = datagram(source, destination, data, port=port, source_port=source_port)
    return ip(udp.PROTOCOL, segment, source, destination, **fields)


def udp6(data: bytes = HELLO, **fields: Any) -> bytes:
    return udp4(data, **{"source": PEER6, "destination": DEVICE6, **fields})


def with_udp_length(packet: bytes, length: int) -> bytes:
    """The datagram's length field is `length`, and its checksum right for as many bytes."""
    at = 20 if packet[0] >> 4 == 4 else 40
    if at == 20:
        header = ipv4.parse_ipv4(packet)
        addresses = header.source, header.destination
    else:
        header6 = ipv6.parse_ipv6(packet)
        addresses = header6.source, header6.destination
    packet = patch(packet, at + 4, length.to_bytes(2, "big") + b"\0\0")
    covered = packet[at : at + length] if length >= 8 else packet[at:]
    total = checksum(covered, pseudo_header_sum(*addresses, udp.PROTOCOL, len(covered)))
    return patch(packet, at + 6, total.to_bytes(2, "big"))


# ICMP and TCP


def icmp4(
    kind: int,
    code: int = 0,
    data: bytes = b"",
    *,
    rest: int = 0x00070001,
    source: int = PEER,
    destination: int = DEVICE,
    **fields: Any,
) -> bytes:
    message = icmpv4.build_icmpv4(kind, code, rest, data)
    return ip(ipv4.ICMP, message, source, destination, **fields)


def icmp6(
    kind: int,
    code: int = 0,
    data: bytes = b"",
    *,
    rest: int = 0x00070001,
    source: int = PEER6,
    destination: int = DEVICE6,
    **fields: Any,
) -> bytes:
    message = icmpv6.build_icmpv6(source, destination, kind, code, rest, data)
    return ip(ipv6.ICMPV6, message, source, destination, **fields)


def tcp4(
    flags: int,
    *,
    sequence: int = 1000,
    acknowledgment: int = 0,
    data: bytes = b"",
    source: int = PEER,
    destination: int = DEVICE,
    port: int = CLOSED,
    **fields: Any,
) -> bytes:
    segment = tcp.build_tcp(
        source, destination, PEER_PORT, port, flags, sequence, acknowledgment, data
    )
    return ip(tcp.PROTOCOL, segment, source, destination, **fields)


def tcp6(flags: int, **fields: Any) -> bytes:
    return tcp4(flags, **{"source": PEER6, "destination": DEVICE6, **fields})


# Ethernet


def frame(
    packet: bytes,
    destination: int = MAC,
    *,
    source: int = PEER_MAC,
    ethertype: int = 0,
    tag: int | None = None,
) -> bytes:
    kind = ethertype or (ethernet.IPV4 if packet[0] >> 4 == 4 else ethernet.IPV6)
    return ethernet.build_ethernet(ethernet.EthernetHeader(destination, source, kind, tag)) + packet
