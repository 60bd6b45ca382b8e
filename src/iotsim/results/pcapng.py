"""Packets as a pcapng file (draft-ietf-opsawg-pcapng), written block by block.

The file is one section: a Section Header Block, an Interface Description Block with nanosecond
times, then an Enhanced Packet Block for each packet. Every block ends on a boundary of 32 bits and
repeats its length, so that a file that was cut off is readable up to its last whole block.

An Enhanced Packet Block:

======  ============================  =====================================================
offset  field                         here
======  ============================  =====================================================
0       type, total length            6, 44 + the packet padded to 4 bytes
8       interface, time high, low     nanoseconds since 1970
20      captured, original length     equal: packets are whole
28      packet, padding
        option 2 (epb_flags), end     inbound: to the devices; outbound: from them
        total length
======  ============================  =====================================================

Frames come with a virtio_net_hdr; a checksum that was left to the kernel is completed here, as it
would have been on a wire.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, TypeAlias

from iotsim.wire.virtio import HEADER_LENGTH, complete_checksum, needs_checksum

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iotsim.events import PacketRecord

LINKTYPE_ETHERNET = 1
LINKTYPE_RAW = 101
"""IPv4 and IPv6 packets without a link header, as a TUN has them."""

_OPTION = Struct("<HH")
_PACKET_HEAD = Struct("<IIIIIII")
_FLAGS_AND_LENGTH = Struct("<HHIHHI")
_LENGTH = Struct("<I")

_EPB_FIXED_BYTES = 44
_INBOUND, _OUTBOUND = 1, 2
_MAX_SNAPLEN = 262144

# The header of a UDP datagram over IPv4 without IP options whose checksum the kernel would
# complete: nearly every packet of a run. The checksum is at offset 26 of the packet and covers all
# from 20 on.
_PLAIN_UDP = needs_checksum(20, 6)
_UDP_START = HEADER_LENGTH + 20
_UDP_CHECKSUM = HEADER_LENGTH + 26
_UDP_PAYLOAD = HEADER_LENGTH + 28
_UDP_LEAST = 28

Shape: TypeAlias = "tuple[int, bytes, Callable[..., bytes]]"
"""The block's total length, its end behind the packet, and how a plain UDP packet is packed whole."""


class PcapngWriter:
    """Encodes packets for one interface. `epoch` is the Unix time of t = 0."""

    def __init__(self, linktype: int, *, name: str = "iotsim", epoch: float = 0.0) -> None:
        self._linktype = linktype
        self._name = name
        self._epoch_ns = int(epoch * 1e9)
        # Length of a packet -> what its block looks like, one per direction.
        self._shapes: tuple[dict[int, Shape], ...] = ({}, {})

    def header(self) -> bytes:
        """What the file begins with."""
        application = _option(4, b"iotsim")
        section = _block(0x0A0D0D0A, b"\x4d\x3c\x2b\x1a\x01\0\0\0" + b"\xff" * 8 + application)
        fields = self._linktype.to_bytes(4, "little") + _MAX_SNAPLEN.to_bytes(4, "little")
        options = _option(2, self._name.encode()) + _option(9, b"\x09")
        return section + _block(1, fields + options)

    def encode(self, records: Sequence[PacketRecord]) -> bytes:
        """`records` as blocks, each of them whole."""
        parts: list[bytes] = []
        append = parts.append
        epoch, shapes = self._epoch_ns, self._shapes
        from_bytes = int.from_bytes
        for t, direction, frame in records:
            ns = epoch + int(t * 1e9)
            length = len(frame) - HEADER_LENGTH
            try:
                total, tail, pack_udp = shapes[direction][length]
            except KeyError:
                if length < 0:
                    continue  # not even a header: there is no packet in it
                total, tail, pack_udp = self._make_shape(direction, length)
            high, low = ns >> 32, ns & 0xFFFFFFFF
            if frame[:HEADER_LENGTH] == _PLAIN_UDP and length >= _UDP_LEAST:
                # The sum may be taken over words of either byte order (RFC 1071, section 2), and in
                # this one an odd length needs no padding.
                checksum = -from_bytes(frame[_UDP_START:], "little") % 65535 or 65535
                head, payload = frame[HEADER_LENGTH:_UDP_CHECKSUM], frame[_UDP_PAYLOAD:]
                append(
                    pack_udp(6, total, 0, high, low, length, length, head, checksum, payload, tail)
                )
            else:
                append(_PACKET_HEAD.pack(6, total, 0, high, low, length, length))
                append(complete_checksum(frame))
                append(tail)
        return b"".join(parts)

    def _make_shape(self, direction: int, length: int) -> Shape:
        padding = -length % 4
        total = _EPB_FIXED_BYTES + length + padding
        flags = _OUTBOUND if direction else _INBOUND
        tail = bytes(padding) + _FLAGS_AND_LENGTH.pack(2, 4, flags, 0, 0, total)
        payload = max(0, length - _UDP_LEAST)
        pack_udp = Struct(f"{_PACKET_HEAD.format}26sH{payload}s{len(tail)}s").pack
        self._shapes[direction][length] = made = total, tail, pack_udp
        return made


def _option(code: int, value: bytes) -> bytes:
    return _OPTION.pack(code, len(value)) + value + bytes(-len(value) % 4)


def _block(kind: int, body: bytes) -> bytes:
    """A block of `kind` whose body ends with options."""
    body += _OPTION.pack(0, 0)
    total = _LENGTH.pack(12 + len(body))
    return _LENGTH.pack(kind) + total + body + total
