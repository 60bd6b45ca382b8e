"""ICMPv6 (RFC 4443). The checksum covers a pseudo-header, and is always complete."""

from __future__ import annotations

from struct import Struct

from iotsim.wire.checksum import checksum, is_correct, pseudo_header_sum
from iotsim.wire.errors import PacketError
from iotsim.wire.icmpv4 import HEADER_LENGTH, IcmpMessage

PROTOCOL = 58

DESTINATION_UNREACHABLE = 1
PACKET_TOO_BIG = 2
TIME_EXCEEDED = 3
PARAMETER_PROBLEM = 4
ECHO_REQUEST = 128
ECHO_REPLY = 129
MLD_QUERY = 130
MLD_REPORT = 131
MLD_DONE = 132
ROUTER_SOLICITATION = 133
ROUTER_ADVERTISEMENT = 134
NEIGHBOR_SOLICITATION = 135
NEIGHBOR_ADVERTISEMENT = 136
REDIRECT = 137
MLDV2_REPORT = 143

ADDRESS_UNREACHABLE = 3
PORT_UNREACHABLE = 4
HOP_LIMIT_EXCEEDED = 0
REASSEMBLY_TIME_EXCEEDED = 1
ERRONEOUS_FIELD = 0
UNRECOGNIZED_NEXT_HEADER = 1
UNRECOGNIZED_OPTION = 2
INCOMPLETE_HEADER_CHAIN = 3

MAXIMUM_ERROR_LENGTH = 1280
"""RFC 4443, section 2.4(c): an error quotes as much as fits in the minimum MTU."""

_HEADER = Struct(">BBHI")


def parse_icmpv6(source: int, destination: int, message: bytes) -> IcmpMessage:
    """The message that `source` sent to `destination`, its checksum verified."""
    if len(message) < HEADER_LENGTH:
        raise PacketError("icmpv6-truncated")
    if not is_correct(message, pseudo_header_sum(source, destination, PROTOCOL, len(message))):
        raise PacketError("icmpv6-checksum")
    kind, code, _, rest = _HEADER.unpack_from(message)
    return IcmpMessage(kind, code, rest, message[HEADER_LENGTH:])


def build_icmpv6(
    source: int, destination: int, kind: int, code: int = 0, rest: int = 0, data: bytes = b""
) -> bytes:
    blank = _HEADER.pack(kind, code, 0, rest) + data
    pseudo = pseudo_header_sum(source, destination, PROTOCOL, len(blank))
    return _HEADER.pack(kind, code, checksum(blank, pseudo), rest) + data


def is_error(message: bytes) -> bool:
    """Whether `message`, the payload of a packet, has to be taken for an error message."""
    return not message or message[0] < 128
