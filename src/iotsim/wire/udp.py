"""UDP (RFC 768), over either family."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from iotsim.wire.address import IPV4_END
from iotsim.wire.checksum import checksum, is_correct, pseudo_header_sum
from iotsim.wire.errors import PacketError

PROTOCOL = 17
HEADER_LENGTH = 8
CHECKSUM_OFFSET = 6

MAXIMUM_PAYLOAD_IPV4 = 65535 - 20 - HEADER_LENGTH
MAXIMUM_PAYLOAD_IPV6 = 65535 - HEADER_LENGTH

HEADER = Struct(">HHHH")


class UdpHeader(NamedTuple):
    """`length` counts the header's eight bytes."""

    source_port: int
    destination_port: int
    length: int
    checksum: int


def parse_udp(segment: bytes, *, jumbo: bool = False) -> UdpHeader:
    """The header of `segment`, which may be longer than its length field says but not shorter.

    With `jumbo`, as over IPv6, a length of 0 stands for all of the segment (RFC 2675, section 4).
    """
    if len(segment) < HEADER_LENGTH:
        raise PacketError("udp-truncated")
    header = UdpHeader._make(HEADER.unpack_from(segment))
    if jumbo and not header.length:
        header = header._replace(length=len(segment))
    if not HEADER_LENGTH <= header.length <= len(segment):
        raise PacketError("udp-length")
    return header


def verify_udp(source: int, destination: int, segment: bytes) -> None:
    """PacketError unless the checksum of `segment` (cut to its length) is right.

    Zero means that the sender made none, which only IPv4 allows (RFC 8200, section 8.1).
    """
    if segment[6:8] == b"\0\0":
        if destination < IPV4_END:
            return
        raise PacketError("udp-no-checksum")
    pseudo = pseudo_header_sum(source, destination, PROTOCOL, len(segment))
    if not is_correct(segment, pseudo):
        raise PacketError("udp-checksum")


def build_udp(
    source: int, destination: int, source_port: int, destination_port: int, payload: bytes
) -> bytes:
    """A datagram with its checksum; ValueError if `payload` is longer than 65,527 bytes."""
    length = HEADER_LENGTH + len(payload)
    if length > 65535:
        raise ValueError(f"a datagram of {length} bytes")
    blank = HEADER.pack(source_port, destination_port, length, 0) + payload
    total = checksum(blank, pseudo_header_sum(source, destination, PROTOCOL, length)) or 65535
    return HEADER.pack(source_port, destination_port, length, total) + payload


def build_partial_udp(
    source: int, destination: int, source_port: int, destination_port: int, payload: bytes
) -> bytes:
    """A datagram with only the pseudo-header's sum in its checksum field, for NEEDS_CSUM."""
    length = HEADER_LENGTH + len(payload)
    pseudo = pseudo_header_sum(source, destination, PROTOCOL, length) % 65535
    return HEADER.pack(source_port, destination_port, length, pseudo) + payload


def corrupt(segment: bytes, bit: int) -> bytes:
    """A datagram with a wrong bit, number `bit` modulo their number, and so with a wrong checksum.

    One bit never makes the checksum right; it can make it 0, which means none (RFC 768): then the next
    bit is taken.
    """
    value = int.from_bytes(segment, "big")
    bits = 8 * len(segment)
    spoiled = (value ^ 1 << bit % bits).to_bytes(len(segment), "big")
    if spoiled[6:8] == b"\0\0":
        spoiled = (value ^ 1 << (bit + 1) % bits).to_bytes(len(segment), "big")
    return spoiled
