"""A run of a suite whose process runs, and what comes from it: its result, its news, what it prints."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from iotsim.run.suitejobs import Turn

HELD_BYTES = 1 << 18
"""This much of the beginning of what a run prints is kept, and as much of its end."""


class Running:
    """A turn whose process runs, with our ends of what it writes to."""

    def __init__(self, turn: Turn, folder: Path) -> None:
        self.turn = turn
        self.folder = folder
        self.result = os.memfd_create("iotsim-result", os.MFD_CLOEXEC)
        self.news, self.their_news = os.pipe2(os.O_CLOEXEC)
        self.output, self.their_output = os.pipe2(os.O_CLOEXEC)
        for fd in (self.news, self.output):
            os.set_blocking(fd, False)
        self.began = time.monotonic()
        self.doing = ""
        self.beside = 0
        self.retried = False
        self.kill_at: float | None = None
        self.asked_for_stack = False
        self.killed_for = ""
        self._said = b""
        self._head = b""
        self._tail = b""
        self._left_out = 0

    @property
    def fds(self) -> tuple[int, int, int]:
        """The child's ends."""
        return self.result, self.their_news, self.their_output

    def close_theirs(self) -> None:
        os.close(self.their_news)
        os.close(self.their_output)

    def close(self) -> None:
        for fd in (self.result, self.news, self.output):
            os.close(fd)

    def read_output(self) -> bool:
        """Take what is there; False at its end."""
        data = read(self.output)
        if len(self._head) < HELD_BYTES:
            self._head += data
        else:
            self._tail += data
            if len(self._tail) > 2 * HELD_BYTES:
                self._left_out += len(self._tail) - HELD_BYTES
                self._tail = self._tail[-HELD_BYTES:]
        return bool(data)

    def read_news(self) -> bool:
        data = read(self.news)
        self._said += data
        *lines, self._said = self._said.split(b"\n")
        if lines:
            self.doing = lines[-1].decode(errors="replace")
        self._said = self._said[-4096:]
        return bool(data)

    def printed(self) -> str:
        """What it has printed, without the middle of very much. What it has left running may go on, and is
        not waited for."""
        while self.read_output():
            pass
        gap = f"\n... ({self._left_out} bytes are left out)\n".encode() if self._left_out else b""
        return (self._head + gap + self._tail).decode(errors="replace")

    def handed_over(self) -> bytes:
        return os.pread(self.result, os.fstat(self.result).st_size, 0)


def read(fd: int) -> bytes:
    """What `fd` has now; empty at its end, and where nothing is there."""
    try:
        return os.read(fd, 65536)
    except BlockingIOError:
        return b""
