"""Functions that generated code calls: construct for the nodes that are left to it, and odd numbers."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from construct import ConstructError, Container

from iotsim.protocol.values import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Mismatch(Exception):  # noqa: N818  # never leaves generated code
    """The bytes, or the values, are not those of a message."""


class Unusual(BaseException):  # likewise
    """Perhaps fine, but not what generated code is made for: construct decides.

    Not an Exception, so that no part of the generated code takes it for a failed alternative.
    """


def guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of the user's gives, where a failure of it must not be taken for another's."""
    try:
        return function(*arguments)
    except ConstructError:
        raise
    except Exception:
        raise Unusual from None


def read_native(function: Callable[..., Any], data: bytes, position: int) -> tuple[Any, int]:
    """What the function of a native node reads, where its failure must not be taken for another's."""
    found = guarded(function, data, position)
    if found.__class__ is tuple and len(found) == 2 and found[1].__class__ is int:
        value, end = found
        if position <= end <= len(data):
            return value, end
    raise Unusual


def scalar(value: Any) -> Any:
    """``value``, if it is one that construct has as messages show it."""
    if value.__class__ not in PLAIN:
        raise Unusual
    return value


def sized(value: Any) -> Any:
    """``value``, if it is of the same length for construct, as all are but those of a FlagsEnum."""
    if value.__class__ is dict:
        raise Unusual
    return value


def not_bytes(value: Any, integers: bool) -> BaseException:
    """What to raise for a value that should be bytes: construct takes some others for such."""
    accepted = (bytes, bytearray, int) if integers else (bytes, bytearray)
    return Unusual() if isinstance(value, accepted) else Mismatch()


def _context(parsing: bool) -> Any:
    """construct's context around a message, for a node that does not look at it."""
    context: Any = Container(_parsing=parsing, _building=not parsing, _sizing=False)
    context._params = context
    return context


def parse(native: Any, data: bytes, position: int) -> tuple[Any, int]:
    """The value of a node that construct parses, and the position after it."""
    stream = io.BytesIO(data)
    stream.seek(position)
    value = native.construct._parsereport(stream, _context(True), "(parsing)")
    return value, stream.tell()


def build(native: Any, value: Any) -> tuple[Any, bytes]:
    """What construct makes of a node: the built value, and its bytes."""
    stream = io.BytesIO()
    built = native.construct._build(native.restore(value), stream, _context(False), "(building)")
    return built, stream.getvalue()


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """A VarInt and the position after it."""
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def read_zigzag(data: bytes, position: int) -> tuple[int, int]:
    """A ZigZag integer and the position after it."""
    value, position = read_varint(data, position)
    return (-(value // 2 + 1) if value & 1 else value // 2), position


def varint_bytes(value: int) -> bytes:
    """``value`` as a VarInt."""
    if not isinstance(value, int) or value < 0:
        raise Mismatch
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(0x80 | value & 0x7F)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def zigzag_bytes(value: int) -> bytes:
    """``value`` as a ZigZag integer."""
    if not isinstance(value, int):
        raise Mismatch
    return varint_bytes(2 * value if value >= 0 else 2 * abs(value) - 1)


def flags_value(flags: Mapping[str, int], value: Any) -> int:
    """The integer of a FlagsEnum: of an int, of names joined by ``|``, or of a dict."""
    if isinstance(value, int):
        return value
    total = 0
    if isinstance(value, str):
        for name in value.split("|"):
            if name.strip():
                total |= flags[name.strip()]
        return total
    if isinstance(value, dict):
        for name, on in value.items():
            if on and not name.startswith("_"):
                total |= flags[name]
        return total
    raise Mismatch
