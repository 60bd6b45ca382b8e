"""`Source`: the bytes of a capture, counted; `CaptureError`, what is wrong with them."""

from __future__ import annotations

import zlib
from typing import Protocol

from iotsim.errors import IotsimError

SKIPPED_AT_A_TIME = 1 << 16


class CaptureError(IotsimError):
    """A file is no capture, or no whole one: ``reason``, at byte ``offset`` of it (unpacked, if it was
    packed)."""

    def __init__(self, reason: str, offset: int) -> None:
        self.reason = reason
        self.offset = offset
        super().__init__(f"{reason} (at byte {offset})")


class Readable(Protocol):
    """A binary file, of which no more than this is needed. It gives less than asked for only at its end."""

    def read(self, size: int, /) -> bytes: ...


class Source:
    """What `head`, which was read before, and `stream` hold. ``offset`` is that of what comes next."""

    def __init__(self, stream: Readable, head: bytes = b"") -> None:
        self._stream = stream
        self._head = head
        self.offset = 0

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, less only at the end of the file."""
        head = self._head[:size]
        self._head = self._head[len(head) :]
        try:
            data = head + self._stream.read(size - len(head)) if len(head) < size else head
        except (EOFError, OSError, zlib.error) as error:  # of gzip's, too
            raise CaptureError(f"it cannot be read: {error}", self.offset) from None
        self.offset += len(data)
        return data

    def take(self, size: int, what: str) -> bytes:
        """The next `size` bytes. CaptureError if the file ends within `what`, to which they belong."""
        data = self.read(size)
        if len(data) < size:
            start = self.offset - len(data)
            reason = f"the file ends within {what}: of {size} bytes {len(data)} are there"
            raise CaptureError(reason, start)
        return data

    def skip(self, size: int, what: str) -> None:
        """As `take`, of what nobody looks at, in little memory."""
        while size:
            size -= len(self.take(min(size, SKIPPED_AT_A_TIME), what))
