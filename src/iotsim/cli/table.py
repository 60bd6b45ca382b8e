"""Tables that fit the terminal.

In a terminal that is too narrow for a table, what is prose goes on below itself, indented; in a narrower one
still it stands below its row. What is not printed to a terminal is for other programs: there a row is a line.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TYPE_CHECKING

from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GAP = "  "
LEAST_PROSE = 30
"""Columns: where there are fewer for it, prose stands below its row."""


def terminal_columns() -> int:
    """How wide the terminal is; 0 if standard output is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def print_text(text: str) -> None:
    """Print a line, or several, if the terminal asks for it."""
    columns = terminal_columns()
    for line in _wrapped(text, columns) if columns else [text]:
        print(line)


def print_table(
    rows: Sequence[Sequence[str]], *, cells: int, narrow: Sequence[Sequence[str]] = ()
) -> None:
    """Print `rows`, the first of which is the header, or `narrow` ones where they do not fit.

    Of each row the first `cells` stand in columns in any case; the rest is prose.
    """
    columns = terminal_columns()
    for line in table_lines(_safe(rows), cells, columns, narrow=_safe(narrow)):
        print(line)


def table_lines(
    rows: Sequence[Sequence[str]],
    cells: int,
    columns: int,
    *,
    narrow: Sequence[Sequence[str]] = (),
) -> Iterator[str]:
    """The lines of a table, none longer than `columns`, unless that is 0."""
    widths = _widths(rows)
    if not columns or sum(widths) + len(GAP) * (len(widths) - 1) <= columns:
        yield from (_aligned(row, widths) for row in rows)
        return
    rows = narrow or rows
    widths = _widths(rows)[:cells]
    margin = sum(widths) + len(GAP) * cells
    beside = columns - margin >= LEAST_PROSE
    if not beside:
        margin = widths[0] + len(GAP) if cells > 1 else 2 * len(GAP)
    room = max(columns - margin, 1)
    for row in rows:
        lines = _prose(row[cells:], room)
        head = _aligned(row[:cells], widths)
        if beside and lines:
            head = head.ljust(margin) + lines.pop(0)
        yield from _wrapped(head, columns)
        yield from (" " * margin + line for line in lines)


def _safe(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[safe_line(text) for text in row] for row in rows]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
    return GAP.join(cells).rstrip()


def _prose(texts: Sequence[str], columns: int) -> list[str]:
    """`texts` in one line, if they fit, else each in lines of its own."""
    together = "; ".join(filter(None, texts))
    if len(together) <= columns:
        return [together] if together else []
    return [line for text in texts for line in _wrapped(text, columns)]


def _wrapped(text: str, columns: int) -> list[str]:
    """`text` in lines of at most so many `columns`, broken where there is space, if there is."""
    if len(text) <= columns:
        return [text] if text else []
    return textwrap.wrap(text, columns, break_on_hyphens=False, replace_whitespace=False)
