"""IPv6 and its extension headers (RFC 8200).

A packet is the fixed header of 40 bytes, then a chain of extension headers, each of which names the
kind of the next, then the upper layer. All lengths and offsets here are in bytes and count from the
beginning of the packet, as the pointers of ICMPv6 do.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from collections.abc import Iterator

HOP_BY_HOP = 0
TCP = 6
UDP = 17
ROUTING = 43
FRAGMENT = 44
ICMPV6 = 58
NO_NEXT_HEADER = 59
DESTINATION_OPTIONS = 60

HEADER_LENGTH = 40
FRAGMENT_HEADER_LENGTH = 8
MINIMUM_MTU = 1280

PAD1 = 0
ROUTER_ALERT = 5
JUMBO_PAYLOAD = 0xC2

ALL_NODES = 0xFF02 << 112 | 1
ALL_ROUTERS = 0xFF02 << 112 | 2
ALL_MLDV2_ROUTERS = 0xFF02 << 112 | 0x16
SOLICITED_NODE = 0xFF02 << 112 | 0x1FF << 24
LINK_LOCAL = 0xFE80 << 112
LOOPBACK = 1

_HEADER = Struct(">IHBB16s16s")
_EXTENSION = Struct(">BB")
_FRAGMENT = Struct(">BxHI")


class IPv6Header(NamedTuple):
    """`payload_length` counts all that follows the fixed header."""

    source: int
    destination: int
    next_header: int
    payload_length: int
    hop_limit: int = 64
    traffic_class: int = 0
    flow_label: int = 0


class Extension(NamedTuple):
    """`length` is that of the whole header."""

    next_header: int
    length: int


class Option(NamedTuple):
    """An option of a hop-by-hop or destination options header."""

    kind: int
    offset: int
    value: bytes


class FragmentHeader(NamedTuple):
    next_header: int
    offset: int
    more: bool
    identification: int


def parse_ipv6(packet: bytes) -> IPv6Header:
    """The fixed header of `packet`, which may be longer than the packet but not shorter."""
    if len(packet) < HEADER_LENGTH:
        raise PacketError("ipv6-truncated")
    first, payload_length, next_header, hop_limit, source, destination = _HEADER.unpack_from(packet)
    if first >> 28 != 6:
        raise PacketError("ip-version")
    if HEADER_LENGTH + payload_length > len(packet):
        raise PacketError("ipv6-truncated")
    return IPv6Header(
        int.from_bytes(source, "big"),
        int.from_bytes(destination, "big"),
        next_header,
        payload_length,
        hop_limit,
        first >> 20 & 0xFF,
        first & 0xFFFFF,
    )


def build_ipv6(
    source: int,
    destination: int,
    next_header: int,
    payload: bytes,
    *,
    hop_limit: int = 64,
    traffic_class: int = 0,
    flow_label: int = 0,
) -> bytes:
    """A packet; `payload` begins with the header of kind `next_header`."""
    if len(payload) > 65535:
        raise ValueError(f"a payload of {len(payload)} bytes")
    return (
        _HEADER.pack(
            6 << 28 | traffic_class << 20 | flow_label,
            len(payload),
            next_header,
            hop_limit,
            source.to_bytes(16, "big"),
            destination.to_bytes(16, "big"),
        )
        + payload
    )


def parse_extension(packet: bytes, offset: int) -> Extension:
    """The hop-by-hop, routing or destination options header at `offset`."""
    if offset + 8 > len(packet):
        raise PacketError("ipv6-header-chain")
    next_header, words = _EXTENSION.unpack_from(packet, offset)
    length = 8 + words * 8
    if offset + length > len(packet):
        raise PacketError("ipv6-header-chain")
    return Extension(next_header, length)


def build_extension(next_header: int, content: bytes) -> bytes:
    """An extension header, `content` padded by a PadN or Pad1 option to whole words."""
    padding = -(len(content) + 2) % 8
    if padding == 1:
        content += b"\0"
    elif padding:
        content += bytes([1, padding - 2]) + bytes(padding - 2)
    return _EXTENSION.pack(next_header, (len(content) + 2) // 8 - 1) + content


def parse_options(packet: bytes, offset: int, length: int) -> Iterator[Option]:
    """The options, but for Pad1, of the header of `length` bytes at `offset`."""
    position = offset + 2
    end = offset + length
    while position < end:
        kind = packet[position]
        if kind == PAD1:
            position += 1
            continue
        if position + 2 > end or position + 2 + packet[position + 1] > end:
            raise PacketError("ipv6-option-length", position)
        value_end = position + 2 + packet[position + 1]
        yield Option(kind, position, packet[position + 2 : value_end])
        position = value_end


def parse_fragment(packet: bytes, offset: int) -> FragmentHeader:
    """The fragment header at `offset`."""
    if offset + FRAGMENT_HEADER_LENGTH > len(packet):
        raise PacketError("ipv6-header-chain")
    next_header, place, identification = _FRAGMENT.unpack_from(packet, offset)
    return FragmentHeader(next_header, place & 0xFFF8, bool(place & 1), identification)


def build_fragment(header: FragmentHeader) -> bytes:
    if header.offset % 8 or not 0 <= header.offset <= 0xFFF8:
        raise ValueError(f"a fragment at {header.offset}")
    return _FRAGMENT.pack(header.next_header, header.offset | header.more, header.identification)


def is_multicast(address: int) -> bool:
    """Whether `address` is in ff00::/8."""
    return address >> 120 == 0xFF


def is_mapped(address: int) -> bool:
    """Whether `address` is in ::ffff:0:0/96, IPv4 in disguise."""
    return address >> 32 == 0xFFFF


def is_link_local(address: int) -> bool:
    """Whether `address` is in fe80::/10."""
    return address >> 118 == 0x3FA


def solicited_node(address: int) -> int:
    """The group in which neighbor solicitations for `address` are sent (RFC 4291, 2.7.1)."""
    return SOLICITED_NODE | address & 0xFFFFFF
