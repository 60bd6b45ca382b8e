"""Multicast listener discovery (RFC 3810 for version 2, RFC 2710 for version 1).

The messages are ICMPv6; what is here is what follows their first eight bytes.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from iotsim.wire.errors import PacketError
from iotsim.wire.igmp import decode_float

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iotsim.wire.icmpv4 import IcmpMessage

MODE_IS_EXCLUDE = 2
CHANGE_TO_INCLUDE = 3
CHANGE_TO_EXCLUDE = 4

ROUTER_ALERT = b"\x05\x02\x00\x00"
"""The option that a hop-by-hop header of each message has to carry (RFC 2711)."""

_RECORD = Struct(">BBH16s")
_GROUP_LENGTH = 16


class ListenerQuery(NamedTuple):
    """`group` is 0 in a general query; `response_s` the longest a listener may take to report."""

    group: int
    response_s: float


def parse_query(message: IcmpMessage) -> ListenerQuery:
    if len(message.data) < _GROUP_LENGTH:
        raise PacketError("mld-truncated")
    group = int.from_bytes(message.data[:_GROUP_LENGTH], "big")
    code = message.rest >> 16
    if len(message.data) > _GROUP_LENGTH:
        code = decode_float(code, 3, 12)
    return ListenerQuery(group, code / 1000)


def report_fields(kind: int, groups: Sequence[int]) -> tuple[int, bytes]:
    """The second word and the data of a version 2 report, any source wanted of each group."""
    records = (_RECORD.pack(kind, 0, 0, group.to_bytes(16, "big")) for group in groups)
    return len(groups), b"".join(records)
