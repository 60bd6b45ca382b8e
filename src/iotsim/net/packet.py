"""IP packets on their way up, read by the book: validated, of either family, each in one piece yet.

The readers here know a packet's bytes alone, and raise `HeaderError` for what an ICMP error should
be sent about. What depends on addresses, time and other packets is for `iotsim.net.ip`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from iotsim.wire import ipv4, ipv6
from iotsim.wire.errors import PacketError


class Trouble(Enum):
    """What an ICMP error can be about: its type and code, for IPv4 and for IPv6."""

    HOST_UNREACHABLE = ((3, 1), (1, 3))
    PORT_UNREACHABLE = ((3, 3), (1, 4))
    PROTOCOL_UNREACHABLE = ((3, 2), (4, 1))
    PACKET_TOO_BIG = ((3, 4), (2, 0))
    HOPS_EXCEEDED = ((11, 0), (3, 0))
    REASSEMBLY_TIMEOUT = ((11, 1), (3, 1))
    FIELD = ((12, 0), (4, 0))
    OPTION = ((12, 0), (4, 2))
    HEADER_CHAIN = ((12, 0), (4, 3))


class HeaderError(PacketError):
    """A packet that is dropped, and about which its sender is told: `trouble` at byte `pointer`."""

    def __init__(
        self, reason: str, trouble: Trouble, pointer: int, *, even_to_group: bool = False
    ) -> None:
        super().__init__(reason, pointer)
        self.trouble = trouble
        self.pointer = pointer
        self.even_to_group = even_to_group


class Fragment(NamedTuple):
    """Where a packet's payload stands in its datagram."""

    identification: int
    offset: int
    more: bool


@dataclass(slots=True)
class Packet:
    """`data` is the whole packet, from the IP header to the end of `payload`.

    `protocol_at` is the offset of the field that names the protocol or, in an IPv6 fragment, the
    fragment header. `trusted` says that the kernel vouches for the UDP or TCP checksum.
    """

    source: int
    destination: int
    protocol: int
    payload: bytes
    data: bytes
    hop_limit: int
    traffic_class: int
    trusted: bool = False
    fragment: Fragment | None = None
    dont_fragment: bool = True
    protocol_at: int = 9


def read_ipv4(data: bytes, *, trusted: bool) -> Packet:
    """The IPv4 packet at the beginning of `data`."""
    header = ipv4.parse_ipv4(data)
    data = data[: header.total_length]
    payload = data[header.header_length :]
    fragment = None
    if header.is_fragment:
        fragment = Fragment(header.identification, header.fragment_offset, header.more_fragments)
        if fragment.more:
            # As Linux: what goes beyond whole words must come again in the next fragment.
            payload = payload[: len(payload) & ~7]
        _check_fragment(fragment, payload, 65535 - header.header_length)
    if header.options:
        try:
            ipv4.check_options(header.options)
        except PacketError as error:
            if error.offset is None:
                raise
            raise HeaderError(error.reason, Trouble.FIELD, error.offset) from None
    return Packet(
        header.source,
        header.destination,
        header.protocol,
        payload,
        data,
        header.ttl,
        header.tos,
        trusted,
        fragment,
        header.dont_fragment,
    )


def read_ipv6(data: bytes, *, trusted: bool) -> Packet:
    """The IPv6 packet at the beginning of `data`, as far as a router looks into it: to the
    hop-by-hop options. `read_extensions` goes on from there."""
    header = ipv6.parse_ipv6(data)
    end = ipv6.HEADER_LENGTH + header.payload_length
    if not header.payload_length and header.next_header == ipv6.HOP_BY_HOP:
        raise PacketError("ipv6-jumbogram")
    return Packet(
        header.source,
        header.destination,
        header.next_header,
        data[ipv6.HEADER_LENGTH : end],
        data[:end],
        header.hop_limit,
        header.traffic_class,
        trusted,
        protocol_at=6,
    )


def read_extensions(packet: Packet) -> None:
    """Walk the extension headers of an IPv6 packet, up to the upper layer or to a fragment header,
    and set `packet`'s protocol, payload and fragment accordingly (RFC 8200, section 4)."""
    data = packet.data
    offset = ipv6.HEADER_LENGTH
    kind = data[6]
    field = 6
    while True:
        if kind in (ipv6.HOP_BY_HOP, ipv6.DESTINATION_OPTIONS):
            if kind == ipv6.HOP_BY_HOP and offset > ipv6.HEADER_LENGTH:
                trouble = Trouble.PROTOCOL_UNREACHABLE
                raise HeaderError("ipv6-header-order", trouble, field)
            extension = ipv6.parse_extension(data, offset)
            _check_options(data, offset, extension.length)
        elif kind == ipv6.ROUTING:
            extension = ipv6.parse_extension(data, offset)
            if data[offset + 3]:
                # Segments are left, and no type of routing is known here.
                raise HeaderError("ipv6-routing-type", Trouble.FIELD, offset + 2)
        elif kind == ipv6.FRAGMENT:
            if offset + ipv6.FRAGMENT_HEADER_LENGTH > len(data):
                raise HeaderError("ipv6-header-chain", Trouble.FIELD, offset)
            header = ipv6.parse_fragment(data, offset)
            if not header.offset and not header.more:
                # Atomic: in no relation to other fragments (RFC 6946), and so nothing special.
                field, kind = offset, header.next_header
                offset += ipv6.FRAGMENT_HEADER_LENGTH
                continue
            packet.fragment = Fragment(header.identification, header.offset, header.more)
            packet.protocol = header.next_header
            packet.protocol_at = field
            packet.payload = data[offset + ipv6.FRAGMENT_HEADER_LENGTH :]
            _check_fragment6(packet.fragment, packet.payload, offset, header.next_header)
            return
        else:
            packet.protocol = kind
            packet.protocol_at = field
            packet.payload = data[offset:]
            return
        field = offset
        offset += extension.length
        kind = extension.next_header


def unfragmented_ipv4(first: bytes, payload: bytes) -> bytes:
    """The IPv4 packet that was sent in fragments: the header of the `first` and all `payload`."""
    header = ipv4.parse_ipv4(first)
    if header.header_length + len(payload) > ipv4.MAXIMUM_LENGTH:
        raise PacketError("fragment-length")
    return ipv4.build_ipv4(
        header.source,
        header.destination,
        header.protocol,
        payload,
        tos=header.tos,
        identification=header.identification,
        ttl=header.ttl,
        options=header.options,
    )


def unfragmented_ipv6(first: bytes, payload: bytes) -> bytes:
    """The IPv6 packet that was sent in fragments: the headers of the `first` and all `payload`."""
    opening = Packet(0, 0, 0, b"", first, 0, 0)
    read_extensions(opening)
    headers_end = len(first) - len(opening.payload) - ipv6.FRAGMENT_HEADER_LENGTH
    headers = bytearray(first[:headers_end])
    headers[opening.protocol_at] = opening.protocol
    length = len(headers) - ipv6.HEADER_LENGTH + len(payload)
    if length > 65535:
        raise PacketError("fragment-length")
    headers[4:6] = length.to_bytes(2, "big")
    return bytes(headers) + payload


def _check_fragment(fragment: Fragment, payload: bytes, limit: int) -> None:
    if not payload or fragment.offset + len(payload) > limit:
        raise PacketError("fragment-length")


def _check_fragment6(fragment: Fragment, payload: bytes, offset: int, next_header: int) -> None:
    if fragment.more and len(payload) % 8:
        raise HeaderError("fragment-length", Trouble.FIELD, 4)
    if offset - ipv6.HEADER_LENGTH + fragment.offset + len(payload) > 65535:
        raise HeaderError("fragment-length", Trouble.FIELD, offset + 2)
    if fragment.offset == 0 and fragment.more and not _holds_upper_header(payload, next_header):
        raise HeaderError("ipv6-header-chain", Trouble.HEADER_CHAIN, 0)
    if not payload:
        raise PacketError("fragment-length")


_UPPER_HEADER_LENGTHS = {ipv6.UDP: 8, ipv6.TCP: 20, ipv6.ICMPV6: 8}


def _holds_upper_header(payload: bytes, kind: int) -> bool:
    """Whether a first fragment has all headers, the upper layer's included (RFC 7112)."""
    position = 0
    while kind in (ipv6.HOP_BY_HOP, ipv6.ROUTING, ipv6.DESTINATION_OPTIONS):
        try:
            kind, length = ipv6.parse_extension(payload, position)
        except PacketError:
            return False
        position += length
    return len(payload) - position >= _UPPER_HEADER_LENGTHS.get(kind, 0)


def _check_options(data: bytes, offset: int, length: int) -> None:
    """What to do about an unknown option is in its two upper bits (RFC 8200, section 4.2)."""
    for option in ipv6.parse_options(data, offset, length):
        if option.kind == ipv6.JUMBO_PAYLOAD:
            # RFC 2675, section 3: too short for a jumbogram, or in a packet that is none.
            too_short = int.from_bytes(option.value, "big") <= 65535
            pointer = option.offset + 2 if too_short else option.offset
            raise HeaderError("ipv6-jumbogram", Trouble.FIELD, pointer)
        action = option.kind >> 6
        if option.kind in _KNOWN_OPTIONS or action == 0:
            continue
        if action == 1:
            raise PacketError("ipv6-option")
        raise HeaderError("ipv6-option", Trouble.OPTION, option.offset, even_to_group=action == 2)


_KNOWN_OPTIONS = (1, ipv6.ROUTER_ALERT)
