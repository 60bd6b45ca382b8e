"""How times, messages and lists of devices are written in an outcome. All lengths are bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

VALUE_CHARACTERS = 60
MESSAGE_CHARACTERS = 200


def seconds(value: float) -> str:
    """A span of time for people: ``5 s``, ``250 ms``, ``1.5 s``."""
    if 0 < value < 1:
        return f"{value * 1000:.4g} ms"
    return f"{value:.6g} s"


def moment(t: float) -> str:
    """A time of the run, to the millisecond, the unit in which captures are read."""
    return f"t={t:.3f} s"


def clip(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def value_text(value: Any) -> str:
    """One value: names as they are, bytes as ``hex:0aff``, anything odd escaped."""
    if isinstance(value, str):
        text = value if value.isprintable() and value else repr(value)
    elif isinstance(value, bytes | bytearray | memoryview):
        text = "hex:" + bytes(value[:VALUE_CHARACTERS]).hex()
    elif isinstance(value, float):
        text = f"{value:.7g}"
    else:
        text = repr(value)
    return clip(text, VALUE_CHARACTERS)


def message_text(message: Mapping[str, Any] | None) -> str:
    """A message on one line: ``kind=READ seq=3``."""
    if message is None:
        return "what could not be decoded"
    parts: list[str] = []
    length = 0
    for name, value in message.items():
        part = f"{name}={value_text(value)}"
        length += len(part) + 1
        if length > MESSAGE_CHARACTERS:
            parts.append("…")
            break
        parts.append(part)
    return " ".join(parts) or "an empty message"


def names_text(names: Sequence[str], total: int) -> str:
    """``meter[3], meter[7] and 2 more``."""
    more = total - len(names)
    text = ", ".join(names)
    return f"{text} and {more} more" if more > 0 and names else text


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def mismatch_text(mismatches: Iterable[Any]) -> str:
    """``kind was COMMAND instead of READ, seq was 3 instead of 4``: of objects like Mismatch."""
    parts = [
        f"{mismatch.field} was {_plain(mismatch.actual)} instead of {_plain(mismatch.expected)}"
        for mismatch in mismatches
    ]
    return clip(", ".join(parts), MESSAGE_CHARACTERS)


def _plain(value: Any) -> str:
    return value_text(value)
