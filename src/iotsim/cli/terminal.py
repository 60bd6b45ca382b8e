"""The terminal: the one way out for what the command line prints, where text is made safe to show.

Within `safe_output`, whatever anybody prints to ``sys.stdout`` and ``sys.stderr`` (a command, the parser
of the command line, a traceback, a warning, the code of a behavior) has no control characters but
newlines, so no caller has to remember it. Colors are the exception, being control characters
themselves: whoever wants them prints by an `iotsim.cli.console.SafeConsole`, which makes the texts safe
before it adds its own.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from iotsim.safetext import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class SafeStream:
    """`stream`, but for what is written to it: that is made safe."""

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream
        """Where rich's consoles write to instead, with their colors: a name that rich asks for."""

    def write(self, text: str) -> int:
        self.rich_proxied_file.write(safe_text(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)


@contextmanager
def safe_output() -> Iterator[None]:
    """Make what is printed inside safe."""
    before = sys.stdout, sys.stderr
    # None: Python was started with that file descriptor closed.
    sys.stdout, sys.stderr = (stream and SafeStream(stream) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
