"""A page: lines for people, none of them wider than the terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from iotsim.cli.console import SafeConsole

WIDE = 72
"""A terminal of fewer columns has none to spare for an indentation."""
WIDE_INDENT, NARROW_INDENT = 11, 4
UNIT = re.compile(r"(?<=[0-9]) (?=m?s\b)")
UNBROKEN = "\ue000"
"""Stands for the space between a number and its unit, where a line must not break."""
LEAST_COLUMNS = 20
"""At least this many must be left beside a head that is longer than `SHORT_HEAD`."""
SHORT_HEAD = 8
BELOW = 2
"""What stands below a head is indented by so much more."""


class Page:
    """Prints what is too long for a line below itself: "hanging" from where it began.

    Where nobody has said how wide a line is, as in a file, it is as long as it needs to be. Lines go to
    `print_line`, or to `console` at once.
    """

    def __init__(
        self, console: SafeConsole, print_line: Callable[..., object] | None = None
    ) -> None:
        self.console = console
        self.print = print_line or console.print
        """Given a line as a `Text`, or nothing for an empty one."""
        self._columns = console.columns
        wide = not self._columns or self._columns >= WIDE
        self.indent = " " * (WIDE_INDENT if wide else NARROW_INDENT)
        """What stands below an expectation is indented by this."""

    def hang(
        self, head: str | Text, body: str | Text, style: str = "", *, repeat: bool = False
    ) -> None:
        """Print `head`, and `body` beside it; with `repeat`, `head` in each line. Where a long head leaves
        too little of a narrow terminal, `body` is below it."""
        head, body = Text(head) if isinstance(head, str) else head, Text.assemble(body, style=style)
        body.plain = self.console.shown(body.plain) if not body.spans else body.plain
        lines = [body]
        if self._columns:
            columns = self._columns - head.cell_len
            if columns < LEAST_COLUMNS and head.cell_len > SHORT_HEAD:
                head = self._print_above(head)
                columns = self._columns - head.cell_len
            body.plain = UNIT.sub(UNBROKEN, body.plain)
            lines = [*body.wrap(self.console, columns)]
            for line in lines:
                line.plain = line.plain.replace(UNBROKEN, " ").rstrip()
        blank = head if repeat else Text(" " * head.cell_len)
        for number, line in enumerate(lines):
            self.print(Text.assemble(blank if number else head, line))

    def _print_above(self, head: Text) -> Text:
        """Print `head` in lines of its own, and return what stands before the lines below it."""
        indent = " " * min(len(head.plain) - len(head.plain.lstrip()), SHORT_HEAD - BELOW)
        text = head.copy()
        text.rstrip()
        text = text[len(text.plain) - len(text.plain.lstrip()) :]
        for line in text.wrap(self.console, self._columns - len(indent)):
            line.rstrip()
            self.print(Text.assemble(indent, line))
        return Text(indent + " " * BELOW)


def squeeze(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in at most `cells` columns: what is left out is in its middle, as names differ at both ends."""
    if cell_len(text) <= cells:
        return text
    room = max(0, cells - cell_len(ellipsis))
    if not room:
        return set_cell_size(ellipsis, max(0, cells))
    tail = room // 2
    end = text[len(text) - tail :] if tail else ""
    while cell_len(end) > tail:
        end = end[1:]
    begin = text[:room]
    while cell_len(begin) > room - cell_len(end):
        begin = begin[:-1]
    return f"{begin}{ellipsis}{end}"


def clip(text: str, cells: int, ellipsis: str = "…") -> str:
    """`text` in at most `cells` columns: what is left out is at its end."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, max(0, cells - cell_len(ellipsis))).rstrip() + ellipsis


def flow(parts: Sequence[str], columns: int, *, signs: bool = True) -> list[str]:
    """`parts` in as many lines as they need, broken between them; `columns` 0: in one. `signs`: whether there
    may be more than ASCII between them."""
    separator, ellipsis = (" · ", "…") if signs else (" - ", "...")
    lines: list[str] = []
    for part in parts:
        if lines and (
            not columns or cell_len(lines[-1]) + cell_len(separator) + cell_len(part) <= columns
        ):
            lines[-1] += separator + part
        else:
            lines.append("  " + part)
    return [squeeze(line, columns, ellipsis) if columns else line for line in lines]
