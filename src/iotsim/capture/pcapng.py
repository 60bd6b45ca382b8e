"""pcapng (draft-ietf-opsawg-pcapng), as far as it is about packets.

A file is blocks: type, length, body, the length again. A Section Header Block says in which byte order they
are from there on, and forgets the interfaces that were described before; an Interface Description Block
says which header the packets of an interface have, and what the unit of their times is. Packets are in
Enhanced Packet Blocks, in Simple ones, which have no time, or in Packet Blocks, which are obsolete. Blocks
of other types are passed over.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, NamedTuple

from iotsim.capture.pcap import MOST_FRAME
from iotsim.capture.source import CaptureError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.capture.source import Source

MAGIC = b"\x0a\x0d\x0d\x0a"
"""The type of a Section Header Block, which reads the same in both byte orders."""
ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
SECTION, INTERFACE, OBSOLETE, SIMPLE, ENHANCED = 0x0A0D0D0A, 1, 2, 3, 6
END_OF_OPTIONS, RESOLUTION, OFFSET = 0, 9, 14
OVERHEAD = 12
"""Bytes of a block that are not its body."""
MOST_BLOCK = 1 << 24
MOST_INTERFACES = 1 << 16
MOST_EXPONENT = 63
"""Of the unit of time: 2 ** -63 and 10 ** -63 seconds are finer than any clock."""
SECOND_NS = 1_000_000_000


class Interface(NamedTuple):
    """``limit`` is how much of a packet was captured at most, 0 if all was. A time is so many units, each
    ``multiple`` / ``divisor`` nanoseconds, after ``offset_ns``."""

    linktype: int
    limit: int
    multiple: int
    divisor: int
    offset_ns: int

    def time_ns(self, units: int) -> int:
        return units * self.multiple // self.divisor + self.offset_ns


class _Formats:
    """How numbers are laid out in a section."""

    def __init__(self, order: str) -> None:
        self.head = Struct(f"{order}II")
        self.length = Struct(f"{order}I")
        self.version = Struct(f"{order}HH")
        self.interface = Struct(f"{order}HHI")
        self.option = Struct(f"{order}HH")
        self.offset = Struct(f"{order}q")
        self.enhanced = Struct(f"{order}IIIII")
        self.obsolete = Struct(f"{order}HHIIII")


class _Section:
    """What is known from one Section Header Block to the next."""

    def __init__(self, order: str) -> None:
        self.formats = _Formats(order)
        self.interfaces: list[Interface] = []
        self.last_ns = 0

    def interface(self, number: int, start: int) -> Interface:
        if number >= len(self.interfaces):
            raise CaptureError(f"the interface {number} of a packet is not described", start)
        return self.interfaces[number]

    def describe(self, body: bytes, start: int) -> None:
        """An Interface Description Block."""
        if len(body) < 8:
            raise CaptureError("an interface's description is too short", start)
        if len(self.interfaces) == MOST_INTERFACES:
            raise CaptureError(f"more than {MOST_INTERFACES} interfaces", start)
        linktype, _, limit = self.formats.interface.unpack_from(body)
        multiple, divisor, offset_ns = 1000, 1, 0
        for code, value in self._options(body, 8, start):
            if code == RESOLUTION and len(value) == 1:
                exponent, binary = value[0] & 0x7F, value[0] & 0x80
                if exponent > MOST_EXPONENT:
                    raise CaptureError(f"a unit of time with the exponent -{exponent}", start)
                multiple, divisor = SECOND_NS, (2 if binary else 10) ** exponent
            elif code == OFFSET and len(value) == 8:
                offset_ns = self.formats.offset.unpack(value)[0] * SECOND_NS
        self.interfaces.append(Interface(linktype, limit, multiple, divisor, offset_ns))

    def _options(self, body: bytes, at: int, start: int) -> Iterator[tuple[int, bytes]]:
        while at + 4 <= len(body):
            code, size = self.formats.option.unpack_from(body, at)
            if code == END_OF_OPTIONS:
                return
            if at + 4 + size > len(body):
                raise CaptureError(f"an option of {size} bytes is longer than its block", start)
            yield code, body[at + 4 : at + 4 + size]
            at += 4 + size + -size % 4

    def packet(self, kind: int, body: bytes, start: int) -> tuple[int, int, bytes, int]:
        """(time, link type, data, length) of a packet's block."""
        if kind == SIMPLE:
            return self._simple(body, start)
        layout = self.formats.enhanced if kind == ENHANCED else self.formats.obsolete
        if len(body) < layout.size:
            raise CaptureError("a packet's block is too short", start)
        if kind == ENHANCED:
            number, high, low, captured, length = layout.unpack_from(body)
        else:
            number, _, high, low, captured, length = layout.unpack_from(body)
        if captured > len(body) - layout.size or captured > MOST_FRAME:
            raise CaptureError(f"a packet of {captured} bytes is longer than may be", start)
        interface = self.interface(number, start)
        self.last_ns = interface.time_ns(high << 32 | low)
        data = body[layout.size : layout.size + captured]
        return self.last_ns, interface.linktype, data, length

    def _simple(self, body: bytes, start: int) -> tuple[int, int, bytes, int]:
        """A Simple Packet Block: of the first interface, and as if at the time of the packet before it."""
        if len(body) < 4:
            raise CaptureError("a packet's block is too short", start)
        (length,) = self.formats.length.unpack_from(body)
        interface = self.interface(0, start)
        captured = min(length, interface.limit or length)
        if captured > len(body) - 4 or captured > MOST_FRAME:
            raise CaptureError(f"a packet of {captured} bytes is longer than may be", start)
        return self.last_ns, interface.linktype, body[4 : 4 + captured], length


def read(source: Source) -> Iterator[tuple[int, int, bytes, int]]:
    """(time, link type, data, length) of each packet; `source` stands behind the type of the first block."""
    section = _begin_section(source)
    while head := source.read(8):
        start = source.offset - len(head)
        if len(head) < 8:
            raise CaptureError("the file ends within the head of a block", start)
        if head[:4] == MAGIC:
            section = _begin_section(source, head[4:])
            continue
        kind, length = section.formats.head.unpack(head)
        if length < OVERHEAD or length % 4:
            raise CaptureError(f"a block of {length} bytes", start)
        if kind in (INTERFACE, ENHANCED, SIMPLE, OBSOLETE):
            if length > MOST_BLOCK:
                raise CaptureError(f"a block of {length} bytes", start)
            body = source.take(length - OVERHEAD, "a block")
        else:
            source.skip(length - OVERHEAD, "a block")
        _end_block(source, section, length)
        if kind == INTERFACE:
            section.describe(body, start)
        elif kind in (ENHANCED, SIMPLE, OBSOLETE):
            yield section.packet(kind, body, start)


def _begin_section(source: Source, length_bytes: bytes = b"") -> _Section:
    """The section whose header's type was read, and maybe its length."""
    what = "the header of a section"
    length_bytes = length_bytes or source.take(4, what)
    start = source.offset - 8
    magic = source.take(4, what)
    if magic not in ORDERS:
        raise CaptureError(f"a section with the byte-order magic {magic.hex(' ')}", start)
    section = _Section(ORDERS[magic])
    (length,) = section.formats.length.unpack(length_bytes)
    if length < OVERHEAD + 16 or length % 4:
        raise CaptureError(f"a block of {length} bytes", start)
    major, _ = section.formats.version.unpack(source.take(4, what))
    if major != 1:
        raise CaptureError(f"pcapng of version {major} is not known", start)
    source.skip(length - OVERHEAD - 8, what)
    _end_block(source, section, length)
    return section


def _end_block(source: Source, section: _Section, length: int) -> None:
    """The length of a block stands at its end, too."""
    (again,) = section.formats.length.unpack(source.take(4, "a block"))
    if again != length:
        reason = f"a block of {length} bytes says at its end that it has {again}"
        raise CaptureError(reason, source.offset - 4)
