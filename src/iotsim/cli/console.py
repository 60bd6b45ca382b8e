"""Consoles: what prints with colors, or redraws lines, prints by one of these."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.segment import Segment

from iotsim.safetext import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import ConsoleOptions, RenderableType


class SafeConsole(Console):
    """A console that makes texts safe to show, before it adds its own colors."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            # What controls the terminal is the console's own.
            yield segment if segment.control else Segment(safe_text(segment.text), segment.style)


def make_console() -> SafeConsole:
    return SafeConsole(highlight=False, soft_wrap=True)
