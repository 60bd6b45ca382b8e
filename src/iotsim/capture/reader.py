"""Frames out of a capture, whichever of the formats it has."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from iotsim.capture import pcap, pcapng
from iotsim.capture.source import CaptureError, Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from iotsim.capture.source import Readable

GZIP = b"\x1f\x8b"
MAGIC_LENGTH = 4


class Frame(NamedTuple):
    """What went over a link at one time.

    ``number`` counts the frames of a capture from 1, as other programs number them. ``time_ns`` is
    in nanoseconds since 1970. ``data`` is as much of it as was captured, of ``length`` bytes.
    ``linktype`` says with what header it begins, by the registry of link-layer header types.
    ``trusted`` tells that its checksums are not there yet, and need not be.
    """

    number: int
    time_ns: int
    linktype: int
    data: bytes
    length: int
    trusted: bool = False


def is_capture(head: bytes) -> bool:
    """Whether a file that begins with the bytes `head`, four of them at least, may be a capture."""
    return head[:4] in (*pcap.MAGICS, pcapng.MAGIC) or head[:2] == GZIP


def read_frames(stream: Readable, head: bytes = b"") -> Iterator[Frame]:
    """The frames of a capture, as they are read; of what is wrong, a CaptureError after those before it.

    `head` is what was read of it already.
    """
    source = Source(stream, head)
    magic = source.read(MAGIC_LENGTH)
    if magic[:2] == GZIP:
        packed = cast("Any", Source(source, magic))  # of a file, gzip needs what a Source has
        source = Source(gzip.GzipFile(fileobj=packed))
        magic = source.read(MAGIC_LENGTH)
    if magic in pcap.MAGICS:
        records = pcap.read(source, magic)
    elif magic == pcapng.MAGIC:
        records = pcapng.read(source)
    else:
        raise CaptureError("this is no capture, neither pcap nor pcapng", 0)
    for number, record in enumerate(records, 1):
        yield Frame(number, *record)
