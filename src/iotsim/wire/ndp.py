"""Neighbor discovery for IPv6 (RFC 4861): what follows the first eight bytes of the ICMPv6."""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from iotsim.wire.address import IPV4_END
from iotsim.wire.errors import PacketError

if TYPE_CHECKING:
    from iotsim.wire.icmpv4 import IcmpMessage

SOURCE_LINK_ADDRESS = 1
TARGET_LINK_ADDRESS = 2

ROUTER = 1 << 31
SOLICITED = 1 << 30
OVERRIDE = 1 << 29

HOP_LIMIT = 255
"""Messages with another hop limit came through a router, and are not genuine (section 7.1)."""

_OPTION = Struct(">BB6s")


class NeighborMessage(NamedTuple):
    """A solicitation or advertisement; `link_address` is the one in its option, or None."""

    target: int
    router: bool
    solicited: bool
    override: bool
    link_address: int | None


class RouterAdvertisement(NamedTuple):
    """`lifetime_s` is 0 for a router that is no default router."""

    lifetime_s: int
    link_address: int | None


def parse_options(data: bytes) -> dict[int, bytes]:
    """The first option of each kind: kind -> what follows kind and length."""
    options: dict[int, bytes] = {}
    position = 0
    while position < len(data):
        if position + 2 > len(data):
            raise PacketError("ndp-option-length")
        length = data[position + 1] * 8
        if not length or position + length > len(data):
            raise PacketError("ndp-option-length")
        options.setdefault(data[position], data[position + 2 : position + length])
        position += length
    return options


def parse_neighbor(message: IcmpMessage, option: int) -> NeighborMessage:
    """The solicitation or advertisement in `message`, with the link address in `option`."""
    if len(message.data) < 16:
        raise PacketError("ndp-truncated")
    target = int.from_bytes(message.data[:16], "big")
    if target >> 120 == 0xFF or target < IPV4_END:
        raise PacketError("ndp-target")
    return NeighborMessage(
        target,
        bool(message.rest & ROUTER),
        bool(message.rest & SOLICITED),
        bool(message.rest & OVERRIDE),
        _link_address(parse_options(message.data[16:]), option),
    )


def parse_router_advertisement(message: IcmpMessage) -> RouterAdvertisement:
    if len(message.data) < 8:
        raise PacketError("ndp-truncated")
    options = parse_options(message.data[8:])
    return RouterAdvertisement(message.rest & 0xFFFF, _link_address(options, SOURCE_LINK_ADDRESS))


def neighbor_data(target: int, option: int, link_address: int | None) -> bytes:
    """The data of a solicitation or advertisement."""
    data = target.to_bytes(16, "big")
    if link_address is None:
        return data
    return data + _OPTION.pack(option, 1, link_address.to_bytes(6, "big"))


def _link_address(options: dict[int, bytes], kind: int) -> int | None:
    value = options.get(kind)
    if value is None:
        return None
    if len(value) < 6:
        raise PacketError("ndp-option-length")
    return int.from_bytes(value[:6], "big")
