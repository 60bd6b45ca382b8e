"""A way to the terminal that never waits, for what is printed while a run goes on.

A terminal that was stopped (Ctrl-S), a pager that shows its first page, a connection that stalls: none of
them reads, and whoever writes to them waits. A simulator that waits is late, and its run inconclusive. So
what cannot be written at once is kept, up to a bound, and written as soon as it can be.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import Any

MOST_KEPT = 1 << 20
"""At most this many bytes are kept; what comes after them is left out, and that is told."""
CHUNK_BYTES = select.PIPE_BUF
"""A pipe that has any room takes so much at once."""


class PatientFile:
    """Writes to the text stream `stream` what that takes without waiting. A file for consoles; `close` it.

    Where nobody can tell whether it takes anything (it has no descriptor), it is written to at once.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._lines_left_out = 0
        self._fd = _descriptor(stream)
        self._terminal: int | None = None
        """The terminal, opened once more: of that description alone a write shall not wait."""
        if self._fd is not None and os.isatty(self._fd):
            with suppress(OSError):
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                self._terminal = os.open(os.ttyname(self._fd), flags)

    @property
    def is_behind(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._kept)

    @property
    def encoding(self) -> str:
        return str(getattr(self._stream, "encoding", None) or "utf-8")

    def isatty(self) -> bool:
        return bool(self._stream.isatty())

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def write(self, text: str) -> int:
        if self._fd is None:
            self._stream.write(text)
        elif self._lines_left_out or len(self._kept) > MOST_KEPT:
            # All that comes until it is told: what is printed has one gap, in its place.
            self._lines_left_out += text.count("\n")
        else:
            self._kept += text.encode(self.encoding, "backslashreplace")
        return len(text)

    def flush(self) -> None:
        """Write what can be written now."""
        if self._fd is None:
            self._stream.flush()
            return
        while self._kept:
            written = self._write_some()
            if not written:
                return
            del self._kept[:written]
        if self._lines_left_out:
            told = f"({self._lines_left_out} lines were left out, as nobody read them)\n"
            self._lines_left_out = 0
            self.write(told)
            self.flush()

    def close(self) -> None:
        """Write all that is left, however long that takes."""
        if self._kept:
            self._stream.buffer.write(bytes(self._kept))
            self._kept.clear()
        self._stream.flush()
        if self._terminal is not None:
            os.close(self._terminal)
            self._terminal = None

    def _write_some(self) -> int:
        """Write the begin of what is kept; how many bytes, 0 where it would have to wait."""
        if self._terminal is not None:
            try:
                return os.write(self._terminal, self._kept)
            except BlockingIOError:
                return 0
            except OSError:  # it has gone: the stream finds that out, and goes on without
                os.close(self._terminal)
                self._terminal = None
        assert self._fd is not None
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        if not poll.poll(0):
            return 0
        chunk = bytes(self._kept[:CHUNK_BYTES])
        self._stream.buffer.write(chunk)
        self._stream.flush()
        return len(chunk)


def _descriptor(stream: Any) -> int | None:
    try:
        fd = stream.fileno()
        stream.buffer.write(b"")
    except (OSError, ValueError, AttributeError):  # a stream of a test, or none
        return None
    return int(fd)
