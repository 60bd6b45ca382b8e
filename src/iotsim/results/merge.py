"""One file of several: events and captures of shards, put in the order of time.

Each part is in order already, or nearly so; what is out of order in a part stays where it is. A part
that was cut off ends with its last whole line or block.
"""

from __future__ import annotations

import heapq
import re
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

TIME = re.compile(rb'"t":(-?[0-9.eE+-]+)')
_BLOCK = Struct("<II")
_PACKET_TIME = Struct("<II")
ENHANCED_PACKET = 6
LARGEST_BLOCK = 1 << 24


def merge_events(parts: Sequence[Iterable[bytes]]) -> Iterator[bytes]:
    """The lines of all `parts` by their time; `parts` are files opened for reading bytes."""
    return (line for _, line in heapq.merge(*map(_timed_lines, parts), key=_time))


def merge_captures(parts: Sequence[BinaryIO]) -> Iterator[bytes]:
    """The packet blocks of all `parts` by their time, without the headers of sections.

    All parts describe the same single interface, so that the header of one is that of all.
    """
    return (block for _, block in heapq.merge(*map(_timed_packets, parts), key=_time))


def _time(timed: tuple[float, bytes]) -> float:
    return timed[0]


def _timed_lines(lines: Iterable[bytes]) -> Iterator[tuple[float, bytes]]:
    latest = 0.0
    for line in lines:
        if not line.endswith(b"\n"):
            return
        found = TIME.search(line)
        if found is not None:
            latest = max(latest, float(found[1]))
        yield latest, line


def _timed_packets(file: BinaryIO) -> Iterator[tuple[float, bytes]]:
    latest = 0
    while len(head := file.read(_BLOCK.size)) == _BLOCK.size:
        kind, length = _BLOCK.unpack(head)
        if not _BLOCK.size <= length <= LARGEST_BLOCK:
            return
        rest = file.read(length - _BLOCK.size)
        if len(rest) < length - _BLOCK.size:
            return
        if kind == ENHANCED_PACKET and len(rest) >= 12:
            high, low = _PACKET_TIME.unpack_from(rest, 4)
            latest = max(latest, high << 32 | low)
            yield latest, head + rest
