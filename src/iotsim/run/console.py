"""What the gateway prints, over all of its lives: a log of bytes, lines for whoever listens, events."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import trio

from iotsim.clock import real_s
from iotsim.events import GatewayOutput, Note
from iotsim.expect.sanitizer import worth_showing
from iotsim.run.output import OutputText

if TYPE_CHECKING:
    from collections.abc import Callable

    from iotsim.events import Event

MOST_LINES = 1000
"""At most this many lines a second become events: endless printing must not drown the rest."""
LAST_LINES = 10
LINES_KEPT = 200
"""A sanitizer prints a legend of about fifty lines after those that tell where the program was."""
PROMPT_S = 0.05
"""Text that has waited this long for the end of its line is taken for a prompt, and for a line of its own."""


class Console:
    """Takes the output of one process after the other. `last_lines` are the last lines of all."""

    def __init__(
        self,
        emit: Callable[[Event], None],
        clock: Callable[[], float],
        log: Callable[[bytes], object],
        on_line: Callable[[str, float], None],
    ) -> None:
        self._last: deque[str] = deque(maxlen=LINES_KEPT)
        self._emit = emit
        self._clock = clock
        self._log = log
        self._on_line = on_line
        self._prompt = ""
        """What of the unfinished line has been told already."""
        self._second = 0.0
        self._lines = 0
        """How many lines there have been since `_second`."""

    @property
    def last_lines(self) -> list[str]:
        """Of a program that a sanitizer has ended, the begin of its report, too."""
        return worth_showing([*self._last], LAST_LINES)

    async def read(
        self, output: trio.MemoryReceiveChannel[bytes], scope: trio.CancelScope, ended: trio.Event
    ) -> None:
        """Take all output, within `scope`, and close it; `ended` is set when there will be no more."""
        text = OutputText()
        patience_s = PROMPT_S
        with output, scope:
            while True:
                waiting = text.unfinished not in ("", self._prompt)
                with trio.move_on_after(real_s(patience_s) if waiting else math.inf):
                    try:
                        chunk = await output.receive()
                    except trio.EndOfChannel:
                        break
                    self._log(chunk)
                    for line in text.feed(chunk):
                        self.take(line)
                        self._prompt, patience_s = "", PROMPT_S
                    continue
                self.take(text.unfinished)
                self._prompt = text.unfinished
                patience_s *= 2  # a line of dots that grows for ever is not told dot by dot
        for line in text.end():
            self.take(line)
        self._prompt = ""
        ended.set()

    def take(self, line: str) -> None:
        """It printed `line`, which may go on where the prompt has ended."""
        if line and line == self._prompt:
            return
        now = self._clock()
        self._report(line, now)
        if self._prompt and self._last:
            self._last.pop()
        self._last.append(line)
        self._on_line(line, now)

    def _report(self, text: str, now: float) -> None:
        """Make an event of a line, unless there have been very many in this second."""
        if now >= self._second + 1.0:
            if self._lines > MOST_LINES:
                left_out = self._lines - MOST_LINES
                self._emit(Note(now, f"{left_out} lines of the gateway are in gateway.log alone"))
            self._second, self._lines = now, 0
        self._lines += 1
        if self._lines <= MOST_LINES:
            self._emit(GatewayOutput(now, text))
