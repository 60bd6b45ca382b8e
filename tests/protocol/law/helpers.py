"""What the authors of the random schemas have written: adapters and functions."""

from __future__ import annotations

import enum
import typing
import zlib
from typing import Any

import construct as c


class Mode(enum.IntEnum):
    OFF = 0
    ON = 1
    AUTO = 2


class ModeAdapter(c.Adapter):
    """An IntEnum; a number that it does not have is a ValueError, the author's mistake."""

    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return Mode(obj)

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return int(obj)


class Tenths(c.Adapter):
    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return obj / 10

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return round(obj * 10)


class Pair(c.Adapter):
    """Two halves of a byte, as a tuple."""

    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return obj >> 4, obj & 15

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        high, low = obj
        return high << 4 | low


class Place(typing.NamedTuple):
    x: int
    y: int


class Point(c.Adapter):
    """Two bytes, as a named tuple."""

    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return Place(*obj)

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return bytes(obj[:2])


class Offset(c.Adapter):
    """Adds where it stands in its list, or how deep: it looks at the context."""

    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return obj + (context.get("_index") or 0)

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        return obj - (context.get("_index") or 0)


class Remember(c.Adapter):
    """Writes what it sees into the context."""

    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        context.remembered = obj
        return obj

    def _encode(self, obj: Any, context: Any, path: str) -> Any:
        context.remembered = obj
        return obj


class Even(c.Validator):
    def _validate(self, obj: Any, context: Any, path: str) -> bool:
        return obj % 2 == 0


class Upper(c.SymmetricAdapter):
    def _decode(self, obj: Any, context: Any, path: str) -> Any:
        return obj.upper()


class Triplet(c.Construct):
    """A construct of the author's own: three bytes, as a tuple."""

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        return tuple(c.core.stream_read(stream, 3, path))

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        c.core.stream_write(stream, bytes(obj), 3, path)
        return obj

    def _sizeof(self, context: Any, path: str) -> int:
        return 3


class Shifted(c.Subconstruct):
    """Another, around a field: it adds how many fields come before it."""

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        return self.subcon._parsereport(stream, context, path) + len(context)

    def _build(self, obj: Any, stream: Any, context: Any, path: str) -> Any:
        self.subcon._build(obj - len(context), stream, context, path)
        return obj


def hook(value: Any, context: Any) -> None:
    """Is called with what was parsed, and leaves a note."""
    context.hooked = type(value).__name__


def small(value: Any) -> int:
    """A small number of any value."""
    if isinstance(value, int):
        return value % 4
    if isinstance(value, bytes | str | list | dict | tuple):
        return len(value) % 4
    return 0


def describe(value: Any) -> str:
    """What a function sees of a value: its kind, and its members."""
    if isinstance(value, c.core.EnumIntegerString):
        return f"name {value!s} of {value.intvalue}"
    kind = type(value).__name__
    if isinstance(value, c.core.LazyContainer | c.core.LazyListContainer) or callable(value):
        return kind
    if isinstance(value, dict):
        members = [f"{k}={describe(v)}" for k, v in value.items() if not str(k).startswith("_")]
        return f"{kind}({', '.join(members)})"
    if isinstance(value, list | tuple):
        return f"{kind}[{', '.join(map(describe, value))}]"
    if type(value).__module__.startswith("construct."):
        kind = type(value).__bases__[0].__name__
        value = type(value).__bases__[0](value)
    return f"{kind} {value!r}"


def digest(value: Any) -> int:
    return zlib.crc32(describe(value).encode()) & 0xFF


def padding(context: Any) -> int:
    """To the next multiple of four of the stream."""
    return -context._io.tell() % 4


def written(context: Any) -> int:
    """The sum of all bytes of the stream before this."""
    stream = context._io
    end = stream.tell()
    stream.seek(0)
    total = sum(stream.read(max(end, 0)))
    stream.seek(end)
    return total % 256


def before(context: Any, end: int) -> bytes:
    """All bytes before `end`, which is where it leaves the stream."""
    context._io.seek(0)
    data = context._io.read(end)
    context._io.seek(end)
    return bytes(data)


def following(context: Any) -> bytes:
    """Two bytes from here, without taking them."""
    stream = context._io
    here = stream.tell()
    data = stream.read(2)
    stream.seek(here)
    return data


def total(data: Any) -> int:
    return sum(data) % 256


def mistaken(context: Any) -> int:
    return nonsuch  # noqa: F821  # the mistake


def picky(context: Any) -> int:
    """Cannot be computed at odd places."""
    if context._io.tell() % 2:
        raise ValueError("odd")
    return 1


def declines(context: Any) -> int:
    """Says as construct does that this does not match."""
    if context._io.tell() % 2:
        raise c.ValidationError("odd")
    return 1
