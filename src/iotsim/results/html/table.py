"""Text and columns of the document: tables that make it small, and text that is safe on a page."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from iotsim.results.jsonl import printable
from iotsim.safetext import safe_line

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_CHARACTERS = 2000
MOST_ELEMENTS = 200
DEEPEST = 12
LARGEST_WHOLE = (1 << 53) - 1
"""Beyond it, JavaScript has no whole numbers: they are shown as text."""
NOTHING = -1


def shown(text: str, most: int = MOST_CHARACTERS) -> str:
    """`text` as one line that is safe to show, and of bounded length."""
    if len(text) > most:
        text = f"{text[: most - 1]}…"
    return text if text.isascii() and text.isprintable() else safe_line(text)


def shown_value(value: Any, depth: int = DEEPEST) -> Any:
    """A value of an event, bounded in length and depth, with text that is safe to show."""
    kind = value.__class__
    if kind is str:
        return shown(value)
    if kind is int:
        return value if -LARGEST_WHOLE <= value <= LARGEST_WHOLE else shown(str(value))
    if kind is float or kind is bool or value is None:
        return value
    if depth == 0:
        return "…"
    if kind is dict:
        items = list(value.items())
        kept = {
            shown(str(name)): shown_value(inner, depth - 1) for name, inner in items[:MOST_ELEMENTS]
        }
        if len(items) > MOST_ELEMENTS:
            kept["…"] = f"{len(items) - MOST_ELEMENTS} more"
        return kept
    if kind is list or kind is tuple:
        elements = [shown_value(inner, depth - 1) for inner in value[:MOST_ELEMENTS]]
        if len(value) > MOST_ELEMENTS:
            elements.append(f"… {len(value) - MOST_ELEMENTS} more")
        return elements
    return shown_value(printable(value), depth - 1)


class Strings:
    """A table of strings, each of which has a number."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        self._numbers: dict[str, int] = {}
        self._shown: dict[str, int] = {}

    def __getitem__(self, text: str) -> int:
        """The number of `text`; `NOTHING` of ""."""
        if not text:
            return NOTHING
        number = self._numbers.get(text)
        if number is None:
            # Two that are shown alike are the same for whoever reads them.
            safe = shown(text)
            number = self._numbers[text] = self._shown.setdefault(safe, len(self.rows))
            if number == len(self.rows):
                self.rows.append(safe)
        return number


def column(values: Sequence[Any]) -> Any:
    """`values`, or ``{"all": value}`` where all are the same."""
    if values and all(value == values[0] and type(value) is type(values[0]) for value in values):
        return {"all": values[0]}
    return list(values)


def steps(values: Sequence[int]) -> list[int]:
    """The first of `values`, and for each other one the difference to the one before it."""
    return [value - before for before, value in pairwise([0, *values])]


def seconds(t: float | None) -> float | None:
    """A time, to the microsecond."""
    return None if t is None else round(t, 6)
