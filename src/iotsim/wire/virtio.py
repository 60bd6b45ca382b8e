"""The ``virtio_net_hdr`` before each frame (virtio 1.2, section 5.1.6; Linux ``IFF_VNET_HDR``).

======  ===========  ==============================================================
offset  field        meaning
======  ===========  ==============================================================
0       flags        1: NEEDS_CSUM, 2: DATA_VALID, 0: verify in software
1       gso_type     0: one packet; others: a large packet that the kernel left whole
2       hdr_len      bytes of headers before the payload of a large packet
4       gso_size     payload bytes of each segment of a large packet
6       csum_start   where the checksummed bytes begin, counted from the end of this header
8       csum_offset  where the checksum field is, counted from csum_start
======  ===========  ==============================================================

The 16-bit fields have the byte order of the machine. With NEEDS_CSUM the checksum field of the
packet holds only the sum of the pseudo-header: whoever sends the packet over a real wire, or writes
it to a capture, completes it first.
"""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

from iotsim.wire.errors import PacketError

NEEDS_CSUM = 1
DATA_VALID = 2

GSO_NONE = 0
GSO_TCPV4 = 1
GSO_UDP = 3
GSO_TCPV6 = 4
GSO_UDP_L4 = 5
GSO_ECN = 0x80

HEADER_LENGTH = 10
PLAIN = bytes(HEADER_LENGTH)
"""The header of a packet with nothing left to do."""

_HEADER = Struct("=BBHHHH")


class VirtioHeader(NamedTuple):
    flags: int
    gso_type: int
    header_length: int
    gso_size: int
    csum_start: int
    csum_offset: int


def parse_virtio(frame: bytes) -> VirtioHeader:
    if len(frame) < HEADER_LENGTH:
        raise PacketError("truncated-frame")
    return VirtioHeader._make(_HEADER.unpack_from(frame))


def build_virtio(header: VirtioHeader) -> bytes:
    return _HEADER.pack(*header)


def needs_checksum(start: int, offset: int) -> bytes:
    """The header of a packet whose checksum at `start` + `offset` the link is to complete."""
    return _HEADER.pack(NEEDS_CSUM, GSO_NONE, 0, 0, start, offset)


def complete_checksum(frame: bytes) -> bytes:
    """The packet of `frame`, without the virtio header and with its checksum complete.

    A header that points outside the packet is ignored, for such a packet has no checksum to
    complete. A frame shorter than its header gives no bytes at all.
    """
    if not frame or not frame[0] & NEEDS_CSUM or len(frame) < HEADER_LENGTH:
        return frame[HEADER_LENGTH:]
    _, _, _, _, start, offset = _HEADER.unpack_from(frame)
    field = HEADER_LENGTH + start + offset
    size = len(frame)
    if field + 2 > size:
        return frame[HEADER_LENGTH:]
    value = int.from_bytes(frame[HEADER_LENGTH + start :], "big")
    if (size - start) & 1:
        value <<= 8
    # As the kernel does, a sum of 0 is sent as 0xffff: for UDP, 0 would mean "no checksum".
    total = -value % 65535 or 65535
    return b"%b%b%b" % (frame[HEADER_LENGTH:field], total.to_bytes(2, "big"), frame[field + 2 :])
