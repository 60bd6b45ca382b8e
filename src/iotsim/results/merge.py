"""One file of several: events and captures of shards, put in the order of time.

Each part is in order already, or nearly so; what is out of order in a part stays where it is. A part
that was cut off ends with its last whole line or block.

A long run leaves millions of records, so they are merged a chunk of each part at a time: everything
up to the time that all chunks have reached is sorted at once. Records of the same time are in the
order of the parts, as long as they are in the same chunks.
"""

from __future__ import annotations

import re
from itertools import accumulate, islice
from operator import itemgetter
from struct import Struct
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

TIME = re.compile(rb'"t":(-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)')
NAMES, ENHANCED_PACKET = 4, 6
LARGEST_BLOCK = 1 << 24
CHUNK_RECORDS = 4096
CHUNK_BYTES = 1 << 20
_BLOCK = Struct("<II")
_PACKET_TIME = Struct("<II")
_PACKET_TIME_AT = 12
_LEAST_PACKET = 20

Timed: TypeAlias = "list[tuple[float, bytes]]"
"""Records with their times, which never go back."""

_time = itemgetter(0)


def merge_events(parts: Sequence[Iterable[bytes]]) -> Iterator[bytes]:
    """The lines of all `parts` by their time; `parts` are files opened for reading bytes."""
    return _merge(list(map(_chunks_of_lines, parts)))


def merge_captures(parts: Sequence[BinaryIO]) -> Iterator[bytes]:
    """The packets of all `parts` by their time, and the names before them, without the headers of sections.

    All parts describe the same single interface, so that the header of one is that of all.
    """
    return _merge(list(map(_chunks_of_packets, parts)))


def _merge(parts: Sequence[Iterator[Timed]]) -> Iterator[bytes]:
    """The records of `parts`, several in each of the bytes that this gives."""
    waiting: list[Timed] = [[] for _ in parts]
    ended = [False] * len(parts)
    while True:
        for number, part in enumerate(parts):
            if not waiting[number] and not ended[number]:
                waiting[number] = next(part, [])
                ended[number] = not waiting[number]
        reached = min((timed[-1][0] for timed in waiting if timed), default=None)
        if reached is None:
            return
        batch: Timed = []
        for number, timed in enumerate(waiting):
            position = _count_until(timed, reached)
            batch += timed[:position]
            waiting[number] = timed[position:]
        batch.sort(key=_time)
        yield b"".join([record for _, record in batch])


def _count_until(timed: Timed, reached: float) -> int:
    """How many of the records are not later than `reached`."""
    low, high = 0, len(timed)
    while low < high:
        middle = (low + high) // 2
        if timed[middle][0] <= reached:
            low = middle + 1
        else:
            high = middle
    return low


def _chunks_of_lines(lines: Iterable[bytes]) -> Iterator[Timed]:
    lines = iter(lines)
    latest = 0.0
    while chunk := list(islice(lines, CHUNK_RECORDS)):
        if not chunk[-1].endswith(b"\n"):
            chunk.pop()
        found = map(TIME.search, chunk)
        times = accumulate((float(t[1]) if t else 0.0 for t in found), max, initial=latest)
        timed = list(zip(islice(times, 1, None), chunk, strict=True))
        if not timed:
            return
        latest = timed[-1][0]
        yield timed


def _chunks_of_packets(file: BinaryIO) -> Iterator[Timed]:
    latest = 0
    data = b""
    while more := file.read(CHUNK_BYTES):
        data += more
        timed: Timed = []
        at = 0
        while at + _BLOCK.size <= len(data):
            kind, length = _BLOCK.unpack_from(data, at)
            if not _BLOCK.size <= length <= LARGEST_BLOCK:
                yield timed
                return
            if at + length > len(data):
                break
            if kind == ENHANCED_PACKET and length >= _LEAST_PACKET:
                high, low = _PACKET_TIME.unpack_from(data, at + _PACKET_TIME_AT)
                latest = max(latest, high << 32 | low)
                timed.append((latest, data[at : at + length]))
            elif kind == NAMES:  # of those whose packets follow
                timed.append((latest, data[at : at + length]))
            at += length
        data = data[at:]
        if timed:
            yield timed
