"""Standard input, output and error, made so that no verdict depends on who reads what we print.

A run is for its results, a check for its exit code. So what cannot be written (the reader has gone, the
disk behind a redirection is full, the stream was closed before we started) is left out, which is told on
standard error where that is possible; what the locale's encoding lacks is written as an escape.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

QUIET: Final = (errno.EPIPE, errno.ECONNRESET)
"""The reader has gone, as ``head`` does: it has what it wants."""


class Outlet(io.FileIO):
    """Descriptor 1 or 2. After the first write that failed, what is written goes nowhere.

    ``gone`` tells that there was one; ``error`` says why that failed, "" if the reader has gone.
    """

    def __init__(self, fd: int) -> None:
        super().__init__(fd, "wb", closefd=False)
        self.error = ""
        self.gone = False

    def write(self, data: ReadableBuffer, /) -> int:
        size = memoryview(data).nbytes
        if self.gone:
            return size
        try:
            while (written := super().write(data)) is None:
                # Whoever shares it with us has made it non-blocking, and its buffer is full.
                select.select((), (self,), ())
        except OSError as error:
            self.gone = True
            if error.errno not in QUIET:
                self.error = error.strerror or str(error)
            return size
        return written


def open_streams() -> Outlet:
    """Put streams that never fail in the place of ``sys.stdout`` and ``sys.stderr``; the former's outlet.

    Descriptors 0, 1 and 2 are open afterwards: else the next file to be opened would be one of them.
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != fd:
                os.dup2(null, fd)
                os.close(null)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    outlet = Outlet(1)
    sys.stdout = _text(outlet, sys.stdout)
    sys.stderr = _text(Outlet(2), sys.stderr)
    return outlet


def is_heard() -> bool:
    """Whether what is printed may still arrive somewhere: a command that goes on without end ends if not."""
    outlet = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return not (isinstance(outlet, Outlet) and outlet.gone)


def _text(outlet: Outlet, replaced: TextIO | None) -> io.TextIOWrapper:
    """A stream such as `replaced`, which the interpreter has made, over `outlet`."""
    stream = io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=None if replaced is None else replaced.encoding,
        errors="backslashreplace",
    )
    if isinstance(replaced, io.TextIOWrapper):
        stream.reconfigure(
            line_buffering=replaced.line_buffering, write_through=replaced.write_through
        )
    return stream
