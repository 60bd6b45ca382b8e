"""How the help of a command is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions


class Help:
    """The parser's own form, but that what is told of a parameter fills its lines: they end in a docstring
    where the source has room, which is no place for them to end in a terminal."""

    # The form is imported when it is asked for, which commands that do something never do.

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        from cyclopts.help import DefaultFormatter
        from rich.text import Text

        for entry in panel.entries:
            told = getattr(entry.description, "primary_renderable", None)
            if isinstance(told, Text):
                entry.description.primary_renderable = Text(" ".join(told.plain.split()))
        DefaultFormatter()(console, options, panel)

    def render_usage(self, console: Console, options: ConsoleOptions, usage: Any) -> None:
        from cyclopts.help import DefaultFormatter

        DefaultFormatter().render_usage(console, options, usage)


def shown_default(value: Any) -> str | None:
    """A parameter's default as its help has it: nothing, of one that is off or left out."""
    return str(value) if value else None
