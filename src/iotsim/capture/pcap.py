"""pcap, the older of the formats (draft-ietf-opsawg-pcap).

A header of 24 bytes, which begins with a magic number that tells byte order and unit of time, then a record
for each packet: seconds, microseconds or nanoseconds, captured length, original length, the packet.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from iotsim.capture.source import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.capture.source import Source

MAGICS = {
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\x3c\x4d": (">", 1),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
}
"""The byte order, and how many nanoseconds the smaller unit of time has."""
VERSION = 2
MOST_FRAME = 1 << 18
"""Bytes of a packet: what writers of captures take at most, too."""


def read(source: Source, magic: bytes) -> Iterator[tuple[int, int, bytes, int]]:
    """(time, link type, data, length) of each packet; `source` stands behind the `magic` number."""
    order, unit = MAGICS[magic]
    major, _, _, _, _, network = Struct(f"{order}HHIIII").unpack(source.take(20, "the header"))
    if major != VERSION:
        raise CaptureError(f"pcap of version {major} is not known", 4)
    linktype = network & 0xFFFF  # above it stands whether there is a checksum behind each packet
    record = Struct(f"{order}IIII")
    while head := source.read(record.size):
        if len(head) < record.size:
            start = source.offset - len(head)
            raise CaptureError("the file ends within the header of a packet", start)
        seconds, fraction, captured, length = record.unpack(head)
        if captured > MOST_FRAME:
            raise CaptureError(f"a packet of {captured} bytes", source.offset - record.size)
        data = source.take(captured, "a packet")
        yield seconds * 1_000_000_000 + fraction * unit, linktype, data, length
