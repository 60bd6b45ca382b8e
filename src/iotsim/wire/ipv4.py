"""IPv4 (RFC 791)."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from iotsim.wire.checksum import checksum, is_correct
from iotsim.wire.errors import PacketError

ICMP = 1
IGMP = 2
TCP = 6
UDP = 17

MINIMUM_HEADER_LENGTH = 20
MAXIMUM_LENGTH = 65535
MINIMUM_MTU = 68
DONT_FRAGMENT = 0x4000
MORE_FRAGMENTS = 0x2000
OFFSET_MASK = 0x1FFF

LIMITED_BROADCAST = 0xFFFFFFFF

END_OF_OPTIONS = 0
NO_OPERATION = 1
RECORD_ROUTE = 7
TIMESTAMP = 68
SOURCE_ROUTES = frozenset({131, 137})

# For each option in which routers leave something: where its place for that begins, from 1.
_RECORDS = {RECORD_ROUTE: 4, TIMESTAMP: 5}

_HEADER = Struct(">BBHHHBBHII")


class IPv4Header(NamedTuple):
    """Lengths and `fragment_offset` are in bytes; `options` is padded to whole words."""

    source: int
    destination: int
    protocol: int
    total_length: int
    header_length: int = MINIMUM_HEADER_LENGTH
    tos: int = 0
    identification: int = 0
    dont_fragment: bool = False
    more_fragments: bool = False
    fragment_offset: int = 0
    ttl: int = 64
    options: bytes = b""

    @property
    def is_fragment(self) -> bool:
        return self.more_fragments or self.fragment_offset > 0


def parse_ipv4(packet: bytes) -> IPv4Header:
    """The header of `packet`, which may be longer than the packet (padding) but not shorter."""
    if len(packet) < MINIMUM_HEADER_LENGTH:
        raise PacketError("ipv4-truncated")
    (version, tos, total, identification, fragment, ttl, protocol, _, source, destination) = (
        _HEADER.unpack_from(packet)
    )
    header_length = (version & 0x0F) * 4
    if version >> 4 != 4:
        raise PacketError("ip-version")
    if header_length < MINIMUM_HEADER_LENGTH or header_length > total:
        raise PacketError("ipv4-header-length")
    if total > len(packet):
        raise PacketError("ipv4-truncated")
    if not is_correct(packet[:header_length]):
        raise PacketError("ipv4-checksum")
    return IPv4Header(
        source=source,
        destination=destination,
        protocol=protocol,
        total_length=total,
        header_length=header_length,
        tos=tos,
        identification=identification,
        dont_fragment=bool(fragment & DONT_FRAGMENT),
        more_fragments=bool(fragment & MORE_FRAGMENTS),
        fragment_offset=(fragment & OFFSET_MASK) * 8,
        ttl=ttl,
        options=packet[MINIMUM_HEADER_LENGTH:header_length],
    )


def build_ipv4(
    source: int,
    destination: int,
    protocol: int,
    payload: bytes,
    *,
    tos: int = 0,
    identification: int = 0,
    dont_fragment: bool = False,
    more_fragments: bool = False,
    fragment_offset: int = 0,
    ttl: int = 64,
    options: bytes = b"",
) -> bytes:
    """A packet with its header's checksum; ValueError for what no header can hold."""
    header_length = MINIMUM_HEADER_LENGTH + len(options)
    total = header_length + len(payload)
    if header_length > 60 or header_length % 4:
        raise ValueError(f"{len(options)} bytes of options")
    if fragment_offset % 8 or fragment_offset + total > MAXIMUM_LENGTH + header_length:
        raise ValueError(f"a fragment of {len(payload)} bytes at {fragment_offset}")
    if total > MAXIMUM_LENGTH:
        raise ValueError(f"a packet of {total} bytes")
    fragment = (
        (DONT_FRAGMENT if dont_fragment else 0)
        | (MORE_FRAGMENTS if more_fragments else 0)
        | fragment_offset // 8
    )
    fields = [
        0x40 | header_length // 4,
        tos,
        total,
        identification,
        fragment,
        ttl,
        protocol,
        0,
        source,
        destination,
    ]
    fields[7] = checksum(_HEADER.pack(*fields) + options)
    return _HEADER.pack(*fields) + options + payload


def check_options(options: bytes) -> None:
    """PacketError, with the option's offset in the packet, unless the lengths in `options` add up; and for
    source routes, which hosts and routers refuse these days (RFC 7126, section 4.3)."""
    position = 0
    while position < len(options):
        kind = options[position]
        if kind == END_OF_OPTIONS:
            return
        if kind == NO_OPERATION:
            position += 1
            continue
        at = MINIMUM_HEADER_LENGTH + position
        if position + 2 > len(options):
            raise PacketError("ipv4-option", at)
        length = options[position + 1]
        if length < 2 or position + length > len(options):
            raise PacketError("ipv4-option", at)
        if kind in SOURCE_ROUTES:
            raise PacketError("ipv4-source-route")
        least = _RECORDS.get(kind)
        if least is not None:
            if length < least - 1:
                raise PacketError("ipv4-option", at + 1)
            pointer = options[position + 2]
            if pointer < least or pointer <= length < pointer + 3:
                raise PacketError("ipv4-option", at + 2)
        position += length


UNICAST_OCTETS = tuple(octet not in (0, 127, *range(224, 240)) for octet in range(256))
"""For each first octet, whether addresses that begin with it may be a host's on a network."""
LOOPBACK_OCTETS = tuple(octet == 127 or unicast for octet, unicast in enumerate(UNICAST_OCTETS))
"""The same on a loopback interface."""


def is_unicast(address: int) -> bool:
    """Whether a host may have `address`: neither "this network", loopback, multicast nor the limited
    broadcast address. Class E is reserved, and used.

    A subnet's broadcast address is not known by its looks: see `iotsim.net.stack`.
    """
    return UNICAST_OCTETS[address >> 24] and address != LIMITED_BROADCAST


def is_multicast(address: int) -> bool:
    """Whether `address` is in 224.0.0.0/4."""
    return address >> 28 == 0xE
