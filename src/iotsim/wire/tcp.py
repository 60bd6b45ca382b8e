"""TCP segments (RFC 9293), as far as a host needs them that refuses all connections (3.10.7.1)."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from iotsim.wire.checksum import checksum, is_correct, pseudo_header_sum
from iotsim.wire.errors import PacketError

PROTOCOL = 6
HEADER_LENGTH = 20

FIN = 0x01
SYN = 0x02
RST = 0x04
ACK = 0x10

_HEADER = Struct(">HHIIBBHHH")


class TcpHeader(NamedTuple):
    """`length` is the sequence space that the segment occupies: its data, and SYN and FIN."""

    source_port: int
    destination_port: int
    sequence: int
    acknowledgment: int
    flags: int
    length: int


def parse_tcp(segment: bytes) -> TcpHeader:
    if len(segment) < HEADER_LENGTH:
        raise PacketError("tcp-truncated")
    source_port, port, sequence, acknowledgment, offset, flags, _, _, _ = _HEADER.unpack_from(
        segment
    )
    header_length = (offset >> 4) * 4
    if not HEADER_LENGTH <= header_length <= len(segment):
        raise PacketError("tcp-header-length")
    length = len(segment) - header_length + bool(flags & SYN) + bool(flags & FIN)
    return TcpHeader(source_port, port, sequence, acknowledgment, flags, length)


def verify_tcp(source: int, destination: int, segment: bytes) -> None:
    """PacketError unless the checksum of `segment` is right."""
    if not is_correct(segment, pseudo_header_sum(source, destination, PROTOCOL, len(segment))):
        raise PacketError("tcp-checksum")


def build_tcp(
    source: int,
    destination: int,
    source_port: int,
    destination_port: int,
    flags: int,
    sequence: int = 0,
    acknowledgment: int = 0,
    data: bytes = b"",
) -> bytes:
    """A segment without options and with a window of 0, its checksum complete."""
    fields = [source_port, destination_port, sequence, acknowledgment, 5 << 4, flags, 0, 0, 0]
    blank = _HEADER.pack(*fields) + data
    pseudo = pseudo_header_sum(source, destination, PROTOCOL, len(blank))
    fields[7] = checksum(blank, pseudo)
    return _HEADER.pack(*fields) + data


def build_reset(source: int, destination: int, segment: TcpHeader) -> bytes:
    """The reset with which `source` refuses the `segment` that `destination` sent."""
    ports = segment.destination_port, segment.source_port
    if segment.flags & ACK:
        return build_tcp(source, destination, *ports, RST, segment.acknowledgment)
    acknowledgment = (segment.sequence + segment.length) & 0xFFFFFFFF
    return build_tcp(source, destination, *ports, RST | ACK, 0, acknowledgment)
