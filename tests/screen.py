"""The screen of a terminal: what somebody sees there of a command, at any moment and at the end."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import termios
import time
from typing import TYPE_CHECKING

import pyte
from tests import processes

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

TIMEOUT_S = 60.0


class Screen:
    """`words` run in a terminal of this size.

    ``output`` is all that came from it, as bytes; ``status`` how it ended, once `wait` has returned.
    """

    def __init__(
        self,
        words: list[str],
        columns: int = 80,
        rows: int = 24,
        *,
        environment: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.columns = columns
        self.output = b""
        self.status: int | None = None
        self._screen = pyte.HistoryScreen(columns, rows, history=10_000)
        self._stream = pyte.ByteStream(self._screen)
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        known = {
            name: text for name, text in os.environ.items() if name not in ("COLUMNS", "LINES")
        }
        self.process: subprocess.Popen[bytes] = processes.start(
            words,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=folder,
            env={**known, "TERM": "xterm-256color", **(environment or {})},
        )
        os.close(slave)

    @property
    def lines(self) -> list[str]:
        """What the screen shows now, top down, without the blank end."""
        shown = [line.rstrip() for line in self._screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def everything(self) -> list[str]:
        """The same with what has scrolled away."""
        gone = [
            "".join(row[column].data for column in range(self.columns)).rstrip()
            for row in self._screen.history.top
        ]
        return [*gone, *self.lines]

    def read(self, patience_s: float = 0.1) -> bool:
        """Take what has come, or comes soon; False once the terminal is closed."""
        if not select.select([self._master], [], [], patience_s)[0]:
            return True
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:  # the last who had it open has ended
            return False
        self.output += data
        self._stream.feed(data)
        return bool(data)

    def type(self, keys: bytes) -> None:
        """What somebody types there."""
        os.write(self._master, keys)

    def until(self, condition: Callable[[str], object]) -> str:
        """What the screen shows once `condition` holds for it."""
        deadline = time.monotonic() + TIMEOUT_S
        while not condition(self.text):
            goes_on = self.read()
            assert goes_on or condition(self.text), f"it ended before that:\n{self.text}"
            assert time.monotonic() < deadline, f"waited in vain:\n{self.text}"
        return self.text

    def wait(self) -> int:
        """Read until the command has ended; its exit status."""
        deadline = time.monotonic() + TIMEOUT_S
        while self.read():
            assert time.monotonic() < deadline, f"it does not end:\n{self.text}"
        self.status = self.process.wait(TIMEOUT_S)
        return self.status

    def close(self) -> None:
        processes.end(self.process)
        os.close(self._master)
