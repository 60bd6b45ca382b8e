"""ICMP for IPv4 (RFC 792, RFC 1191 for the MTU in Fragmentation Needed).

All messages are eight bytes of header (type, code, checksum, and four bytes that depend on the
type) and then data. The checksum is always complete: no kernel offloads ICMP.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from iotsim.wire.checksum import checksum, is_correct
from iotsim.wire.errors import PacketError

ECHO_REPLY = 0
DESTINATION_UNREACHABLE = 3
SOURCE_QUENCH = 4
REDIRECT = 5
ECHO_REQUEST = 8
TIME_EXCEEDED = 11
PARAMETER_PROBLEM = 12
TIMESTAMP_REQUEST = 13
TIMESTAMP_REPLY = 14

NETWORK_UNREACHABLE = 0
HOST_UNREACHABLE = 1
PROTOCOL_UNREACHABLE = 2
PORT_UNREACHABLE = 3
FRAGMENTATION_NEEDED = 4
SOURCE_ROUTE_FAILED = 5
HOP_LIMIT_EXCEEDED = 0
REASSEMBLY_TIME_EXCEEDED = 1

QUERIES = frozenset({0, 8, 9, 10, 13, 14, 15, 16, 17, 18})
"""The types that are no error messages; no error is sent about any other type."""

HEADER_LENGTH = 8
MAXIMUM_ERROR_LENGTH = 576
"""RFC 1812, section 4.3.2.3: an error quotes as much as fits in this many bytes of IP packet."""

_HEADER = Struct(">BBHI")


class IcmpMessage(NamedTuple):
    """`rest` is the second word of the header: identifier and sequence number, MTU, pointer."""

    type: int
    code: int
    rest: int
    data: bytes


def parse_icmpv4(message: bytes) -> IcmpMessage:
    if len(message) < HEADER_LENGTH:
        raise PacketError("icmp-truncated")
    if not is_correct(message):
        raise PacketError("icmp-checksum")
    kind, code, _, rest = _HEADER.unpack_from(message)
    return IcmpMessage(kind, code, rest, message[HEADER_LENGTH:])


def build_icmpv4(kind: int, code: int = 0, rest: int = 0, data: bytes = b"") -> bytes:
    blank = _HEADER.pack(kind, code, 0, rest) + data
    return _HEADER.pack(kind, code, checksum(blank), rest) + data


def is_error(message: bytes) -> bool:
    """Whether `message`, the payload of an IPv4 packet, has to be taken for an error message."""
    return not message or message[0] not in QUERIES
