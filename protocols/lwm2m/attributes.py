"""Attributes of notifications (TS Core, sections 5.1.2 and 6.4.2): when an observer is told of what.

``pmin`` and ``pmax`` are seconds between two notifications, at least and at most; ``epmin`` and ``epmax``
between two evaluations of the others. ``gt`` and ``lt`` are limits: a value that crosses one is news. ``st``
is a step: so large a change is. They are set for an object, an instance or a resource, and hold below, unless
what is there has its own.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias

from iotsim.protocols.coap.representation import is_number

from .message import Path, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable

Attributes: TypeAlias = dict[str, float]
PERIODS = ("pmin", "pmax", "epmin", "epmax")
LIMITS = ("gt", "lt", "st")
"""Of numeric resources alone."""
LONGEST = 24
"""In characters: no number of these is longer."""


def read(query: Iterable[str]) -> dict[str, float | None]:
    """What ``pmin=5``, ``gt=2.5`` and so on set; a name by itself takes the attribute away. BAD_REQUEST if
    it is none."""
    found: dict[str, float | None] = {}
    for part in query:
        name, equals, text = part.partition("=")
        if name not in (*PERIODS, *LIMITS) or name in found:
            raise RefusedError("BAD_REQUEST")
        found[name] = _number(name, text) if equals else None
    return found


def _number(name: str, text: str) -> float:
    if len(text) > LONGEST or not is_number(text):
        raise RefusedError("BAD_REQUEST")
    try:
        value = int(text) if name in PERIODS else float(text)
    except ValueError:
        raise RefusedError("BAD_REQUEST") from None
    if not math.isfinite(value) or (value < 0 and name not in ("gt", "lt")):
        raise RefusedError("BAD_REQUEST")
    return value


def changed(before: Attributes, change: dict[str, float | None]) -> Attributes:
    """`before`, with a change. BAD_REQUEST if limits and step do not go together (section 5.1.2: lt + 2 st
    is below gt)."""
    after = {name: value for name, value in {**before, **change}.items() if value is not None}
    if "gt" in after and "lt" in after and after["lt"] + 2 * after.get("st", 0) >= after["gt"]:
        raise RefusedError("BAD_REQUEST")
    return after


def text_of(attributes: Attributes) -> str:
    """Them, as in a link."""
    return "".join(f";{name}={_digits(value)}" for name, value in attributes.items())


def _digits(value: float) -> str:
    """A number as links have it: with no exponent."""
    if value == int(value):
        return str(int(value))
    text = repr(value)
    return f"{value:.15f}".rstrip("0") if "e" in text else text


class Notes:
    """The attributes that servers have set, by path."""

    __slots__ = ("_at",)

    def __init__(self) -> None:
        self._at: dict[Path, Attributes] = {}

    def at(self, path: Path) -> Attributes:
        """Those of the very path."""
        return self._at.get(path, {})

    def change(self, path: Path, change: dict[str, float | None]) -> None:
        after = changed(self.at(path), change)
        if after:
            self._at[path] = after
        else:
            self._at.pop(path, None)

    def over(self, path: Path) -> Attributes:
        """Those that hold at a path: its own, and those of what it is in."""
        found: Attributes = {}
        for depth in range(1, len(path) + 1):
            found |= self._at.get(path[:depth], {})
        return found

    def forget(self, path: Path) -> None:
        """What is at a path, and below, is there no more."""
        self._at = {one: a for one, a in self._at.items() if one[: len(path)] != path}


def is_news(before: Any, value: Any, attributes: Attributes) -> bool:
    """Whether a change is one that an observer is to be told of."""
    if value == before:
        return False
    limits = [name for name in LIMITS if name in attributes]
    if not limits or not (_is_number(before) and _is_number(value)):
        return True
    return any(_says(name, attributes[name], before, value) for name in limits)


def _says(name: str, limit: float, before: float, value: float) -> bool:
    if name == "st":
        return abs(value - before) >= limit
    if name == "gt":
        return (before > limit) != (value > limit)
    return (before < limit) != (value < limit)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
