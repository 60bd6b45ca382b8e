"""What the code of conditions calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iotsim.match.usual import between, number_in, same, usual_text


def namespace() -> dict[str, Any]:
    """The names that the code of conditions has, and nothing besides."""
    return {
        "__builtins__": {},
        "dig": dig,
        "as_text": as_text,
        "dict": dict,
        "isinstance": isinstance,
        "len": len,
        "lists": (list, tuple),
        "some": any,
        "every": all,
        "same": same,
        "between": between,
        "number_in": number_in,
        "numbers": (int, float),
        "scalars": (int, float, str, bytes),
    }


def dig(msg: Any, steps: tuple[str | int, ...]) -> Any:
    """The value at a path that leads through arrays, or None."""
    for step in steps:
        if isinstance(msg, Mapping):
            msg = msg.get(step if isinstance(step, str) else str(step))
        elif isinstance(msg, (list, tuple)) and isinstance(step, int) and step < len(msg):
            msg = msg[step]
        else:
            return None
    return msg


def as_text(value: Any) -> str | None:
    """What a regex is held against: a text itself, bytes as hexadecimal digits, or a usual text."""
    if isinstance(value, str):
        return value
    return value.hex() if isinstance(value, bytes) else usual_text(value)
