"""Consoles: what prints with colors, or redraws lines, prints by one of these.

Colors are for terminals that have them. ``NO_COLOR`` (https://no-color.org) takes them away, whatever else
is set; else ``FORCE_COLOR`` (https://force-color.org) gives them to a file or a pipe, too, such as the log of
a CI job. Neither makes a terminal of what is none: lines are redrawn in a terminal alone.
"""

from __future__ import annotations

import os
import sys
from typing import IO, TYPE_CHECKING, Any, Literal

from rich.console import Console
from rich.segment import Segment

from iotsim.safetext import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import ConsoleOptions, RenderableType

DUMB = ("", "dumb", "unknown")
"""The terminals that neither move their cursor nor have colors."""
LEAST_COLUMNS = 20
OURS = "·…±µ█░"
IN_ASCII = str.maketrans(
    {"·": "-", "…": "...", "±": "+-", "µ": "u", "μ": "u", "█": "#", "░": ".", "–": "-", "—": "-"}
)


class SafeConsole(Console):
    """A console that makes texts safe to show, before it adds its own colors.

    ``is_live``: lines can be redrawn. ``columns`` is how wide a line may be, 0 where nobody has said so.
    """

    is_live = False

    @property
    def columns(self) -> int:
        told = columns_of(self.file)
        if not told and self._width is not None and self.is_terminal:
            told = self._width
        return max(told, LEAST_COLUMNS) if told else 0

    def shown(self, text: str) -> str:
        """`text`, with what stands for those signs of ours that the encoding lacks."""
        return text if self.has_signs else text.translate(IN_ASCII)

    @property
    def has_signs(self) -> bool:
        """Whether the encoding has the signs that we use besides ASCII."""
        try:
            OURS.encode(self.encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            if segment.control:  # what controls the terminal is the console's own
                yield segment
            else:
                yield Segment(self.shown(safe_text(segment.text)), segment.style)


def make_console(file: IO[str] | None = None) -> SafeConsole:
    """A console that prints to `file`, or to standard output."""
    stream: Any = sys.stdout if file is None else file
    stream = getattr(stream, "rich_proxied_file", stream)
    terminal = _is_terminal(stream)
    moves = terminal and os.environ.get("TERM", "") not in DUMB
    forced = bool(os.environ.get("FORCE_COLOR"))
    colors: Literal["auto", "standard"] | None = None
    if not os.environ.get("NO_COLOR") and (forced or moves):
        colors = "auto" if moves else "standard"
    console = SafeConsole(
        file=file,
        highlight=False,
        soft_wrap=True,
        color_system=colors,
        force_terminal=terminal or colors is not None,
        force_interactive=moves,
        legacy_windows=False,
    )
    console.is_live = moves
    return console


def columns_of(stream: Any) -> int:
    """How wide a line may be there; 0 where nobody has said so."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    if not _is_terminal(stream):
        return 0
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # there is none, or it was closed
        return False
