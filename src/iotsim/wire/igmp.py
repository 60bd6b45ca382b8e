"""IGMP (RFC 3376 for version 3, RFC 2236 and RFC 1112 for the queries of older routers)."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from iotsim.wire.checksum import checksum, is_correct
from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from collections.abc import Sequence

MEMBERSHIP_QUERY = 0x11
V1_REPORT = 0x12
V2_REPORT = 0x16
V2_LEAVE = 0x17
V3_REPORT = 0x22

ALL_SYSTEMS = 0xE0000001
ALL_V3_ROUTERS = 0xE0000016
ROUTER_ALERT = b"\x94\x04\x00\x00"

MODE_IS_EXCLUDE = 2
CHANGE_TO_INCLUDE = 3
CHANGE_TO_EXCLUDE = 4

_MESSAGE = Struct(">BBHI")
_REPORT = Struct(">BxHHH")
_RECORD = Struct(">BBHI")


class MembershipQuery(NamedTuple):
    """`group` is 0 in a general query; `response_s` the longest a member may take to report."""

    group: int
    response_s: float


def parse_type(message: bytes) -> int:
    """The type of `message`, its checksum verified."""
    if len(message) < _MESSAGE.size:
        raise PacketError("igmp-truncated")
    if not is_correct(message):
        raise PacketError("igmp-checksum")
    return message[0]


def parse_query(message: bytes) -> MembershipQuery:
    """The query in `message`, whose type has been looked at."""
    _, code, _, group = _MESSAGE.unpack_from(message)
    if len(message) > _MESSAGE.size:
        return MembershipQuery(group, decode_float(code, 3, 4) / 10)
    return MembershipQuery(group, code / 10 if code else 10.0)


def build_query(query: MembershipQuery) -> bytes:
    """A version 2 query (RFC 2236), as routers that look for old hosts send it."""
    code = round(query.response_s * 10)
    blank = _MESSAGE.pack(MEMBERSHIP_QUERY, code, 0, query.group)
    return _MESSAGE.pack(MEMBERSHIP_QUERY, code, checksum(blank), query.group)


def build_report(kind: int, groups: Sequence[int]) -> bytes:
    """A version 3 report with one record of `kind` for each group, any source wanted."""
    records = b"".join(_RECORD.pack(kind, 0, 0, group) for group in groups)
    blank = _REPORT.pack(V3_REPORT, 0, 0, len(groups)) + records
    return _REPORT.pack(V3_REPORT, checksum(blank), 0, len(groups)) + records


def decode_float(code: int, exponent_bits: int, mantissa_bits: int) -> int:
    """The value of a response code: itself, or with its top bit set a floating-point number
    (RFC 3376, section 4.1.1; RFC 3810, section 5.1.3)."""
    if not code >> (exponent_bits + mantissa_bits):
        return code
    mantissa = code & ((1 << mantissa_bits) - 1) | 1 << mantissa_bits
    exponent = code >> mantissa_bits & ((1 << exponent_bits) - 1)
    return mantissa << (exponent + 3)
