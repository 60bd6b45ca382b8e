"""Tags and primitive values (clause 20.2): all numbers big-endian, in the fewest octets.

A value is what people write: a text for character strings, dates (``2026-11-26``, of which ``*`` is any part,
``/4`` the day of the week where it is not that of the date), times (``13:45:07.25``), object identifiers
(``analog-input,1``) and bit strings (``0100``, the first bit first). A character string in a set that is not
known here is bytes, with the number of that set first.
"""

from __future__ import annotations

import datetime as dt
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim import DecodeError, EncodeError

from .enumerations import OBJECT_TYPES, Names

if TYPE_CHECKING:
    from collections.abc import Callable

DEEPEST = 8
"""So many constructed values may stand in one another. The standard's own have four."""
MOST_ELEMENTS = 4096
"""Of a value, with all that it contains."""
INSTANCES = 1 << 22
ANY_INSTANCE = INSTANCES - 1


class MalformedError(DecodeError):
    """Parameters that are none; ``reject`` is the reason by which they are rejected (clause 18.8)."""

    def __init__(
        self, reason: str, path: str = "", offset: int | None = None, reject: str = ""
    ) -> None:
        super().__init__(reason, path, offset)
        self.reject = reject or "INVALID_TAG"


class Tag(NamedTuple):
    """A tag; what it contains is ``data[start:end]``, of an opening or closing one nothing."""

    number: int
    context: bool
    form: str
    """"primitive", "opening" or "closing"."""
    start: int
    end: int
    boolean: int = 0
    """The value of an application-tagged BOOLEAN, which has no content (clause 20.2.3)."""

    def opens(self, number: int) -> bool:
        return self.form == "opening" and self.number == number

    def closes(self, number: int) -> bool:
        return self.form == "closing" and self.number == number


def read_tag(data: bytes, at: int, path: str = "") -> Tag:
    """The tag at `at` (clause 20.2.1). MalformedError if there is none, or its content is cut off."""
    size = len(data)
    if at >= size:
        raise MalformedError("there is nothing more", path, at, "MISSING_REQUIRED_PARAMETER")
    first = data[at]
    number, context, length = first >> 4, bool(first & 8), first & 7
    start = at + 1
    if number == 15:
        if start >= size or data[start] == 255:
            raise MalformedError("no tag number", path, start)
        number, start = data[start], start + 1
    if length > 5:
        if not context:
            raise MalformedError("an application tag neither opens nor closes", path, at)
        return Tag(number, True, "opening" if length == 6 else "closing", start, start)
    if number == 1 and not context:
        if length > 1:
            raise MalformedError("a BOOLEAN is 0 or 1", path, at)
        return Tag(1, False, "primitive", start, start, length)
    if length == 5:
        length, start = _long_length(data, start, path)
    if start + length > size:
        raise MalformedError(
            f"the value has {length} octets, and {size - start} are left", path, at
        )
    return Tag(number, context, "primitive", start, start + length)


def _long_length(data: bytes, at: int, path: str) -> tuple[int, int]:
    first = data[at] if at < len(data) else 0
    width = {254: 2, 255: 4}.get(first, 0)
    octets = data[at + 1 : at + 1 + width]
    if at >= len(data) or len(octets) < width:
        raise MalformedError("the length is cut off", path, at)
    return (int.from_bytes(octets, "big") if width else first), at + 1 + width


def head(number: int, *, context: bool, length: int) -> bytes:
    """The octets of a tag of `length` octets of content; 6 opens, 7 closes where `length` is -6 or -7."""
    first = (8 if context else 0) | (min(number, 15) << 4)
    extended = bytes([number]) if number > 14 else b""
    if length < 0:
        return bytes([first | -length]) + extended
    if length < 5:
        return bytes([first | length]) + extended
    if length < 254:
        return bytes([first | 5]) + extended + bytes([length])
    if length < 1 << 16:
        return bytes([first | 5]) + extended + b"\xfe" + length.to_bytes(2, "big")
    return bytes([first | 5]) + extended + b"\xff" + length.to_bytes(4, "big")


def enclosed(number: int, content: bytes) -> bytes:
    """`content` between an opening and a closing tag."""
    return head(number, context=True, length=-6) + content + head(number, context=True, length=-7)


# -- primitive values --------------------------------------------------------------------------------


def read_unsigned(octets: bytes) -> int:
    if not 1 <= len(octets) <= 8:
        raise ValueError("an unsigned integer has 1 to 8 octets")
    return int.from_bytes(octets, "big")


def write_unsigned(value: Any) -> bytes:
    number = _integer(value)
    if not 0 <= number < 1 << 64:
        raise ValueError(f"{number} is no unsigned integer")
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")


def _integer(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int):
        raise ValueError(f"{value!r:.60} is no integer")
    return int(value)


def _read_signed(octets: bytes) -> int:
    if not 1 <= len(octets) <= 8:
        raise ValueError("an integer has 1 to 8 octets")
    return int.from_bytes(octets, "big", signed=True)


def _write_signed(value: Any) -> bytes:
    number = _integer(value)
    size = ((number if number >= 0 else ~number).bit_length() + 8) // 8
    if size > 8:
        raise ValueError(f"{number} has more than 64 bits")
    return number.to_bytes(size, "big", signed=True)


def _read_real(octets: bytes) -> float:
    return float(struct.unpack(">f", _sized(octets, 4))[0])


def _write_real(value: Any) -> bytes:
    if not isinstance(value, int | float):
        raise ValueError(f"{value!r:.60} is no number")
    try:
        return struct.pack(">f", value)
    except OverflowError:
        raise ValueError(f"{value} is beyond a REAL") from None


def _read_double(octets: bytes) -> float:
    return float(struct.unpack(">d", _sized(octets, 8))[0])


def _write_double(value: Any) -> bytes:
    if not isinstance(value, int | float):
        raise ValueError(f"{value!r:.60} is no number")
    return struct.pack(">d", value)


def _sized(octets: bytes, size: int) -> bytes:
    if len(octets) != size:
        raise ValueError(f"it has {size} octets, not {len(octets)}")
    return octets


CHARACTER_SETS = {0: "utf-8", 3: "utf-32-be", 4: "utf-16-be", 5: "latin-1"}
"""Those of clause 20.2.9 that are read; only UTF-8 is written."""


def _read_text(octets: bytes) -> str | bytes:
    if not octets:
        raise ValueError("a text begins with its character set")
    known = CHARACTER_SETS.get(octets[0])
    return octets if known is None else octets[1:].decode(known)


def _write_text(value: Any) -> bytes:
    if isinstance(value, bytes) and value and value[0] not in CHARACTER_SETS:
        return value
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.60} is no text")
    return b"\x00" + value.encode()


def _write_octets(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray):
        raise ValueError(f"{value!r:.60} is not bytes")
    return bytes(value)


def _read_bits(octets: bytes) -> str:
    if not octets or octets[0] > 7 or (octets[0] and len(octets) == 1):
        raise ValueError("the count of unused bits is no such one")
    bits = "".join(f"{octet:08b}" for octet in octets[1:])
    return bits[: len(bits) - octets[0]]


def _write_bits(value: Any) -> bytes:
    if not isinstance(value, str) or value.strip("01"):
        raise ValueError(f"{value!r:.60} are no bits")
    unused = -len(value) % 8
    padded = value + "0" * unused
    return bytes([unused, *(int(padded[at : at + 8], 2) for at in range(0, len(padded), 8))])


def _part(octet: int, width: int) -> str:
    return "*" if octet == 255 else f"{octet:0{width}}"


def _octet(text: str, base: int = 0) -> int:
    number = 255 + base if text == "*" else int(text) if text.isdecimal() else -1
    if not 0 <= number - base <= 255:
        raise ValueError(f"{text[:20]!r} is no part of a date or time")
    return number - base


def _weekday(year: int, month: int, day: int) -> int:
    try:
        return dt.date(1900 + year, month, day).isoweekday()
    except ValueError:
        return 255


def _read_date(octets: bytes) -> str:
    year, month, day, weekday = _sized(octets, 4)
    text = f"{'*' if year == 255 else 1900 + year}-{_part(month, 2)}-{_part(day, 2)}"
    natural = 255 if year == 255 else _weekday(year, month, day)
    return text if weekday == natural else f"{text}/{_part(weekday, 1)}"


def _write_date(value: Any) -> bytes:
    text, _, weekday = str(value).partition("/")
    parts = text.split("-")
    if len(parts) != 3:
        raise ValueError(f"{value!r:.60} is no date")
    year, month, day = _octet(parts[0], 1900), _octet(parts[1]), _octet(parts[2])
    natural = 255 if year == 255 else _weekday(year, month, day)
    return bytes([year, month, day, _octet(weekday) if weekday else natural])


def _read_time(octets: bytes) -> str:
    hour, minute, second, hundredth = (_part(octet, 2) for octet in _sized(octets, 4))
    return f"{hour}:{minute}:{second}.{hundredth}"


def _write_time(value: Any) -> bytes:
    text, _, hundredth = str(value).partition(".")
    parts = text.split(":")
    if len(parts) != 3:
        raise ValueError(f"{value!r:.60} is no time")
    return bytes([*map(_octet, parts), _octet(hundredth or "0")])


def object_text(number: int) -> str:
    return f"{OBJECT_TYPES.name(number >> 22)},{number & ANY_INSTANCE}"


def object_number(text: Any) -> int:
    """The 32 bits of an object identifier (clause 20.2.14). ValueError if `text` is none."""
    name, _, instance = str(text).partition(",")
    if not instance.isascii() or not instance.isdecimal() or len(instance) > 7:
        raise ValueError(f"{text!r:.60} is no object identifier, such as 'analog-input,1'")
    number = int(instance)
    kind = OBJECT_TYPES.number(name)
    if number >= INSTANCES or kind > 1023:
        raise ValueError(f"{text!r:.60} is beyond the object identifiers")
    return kind << 22 | number


def _read_null(octets: bytes) -> None:
    _sized(octets, 0)


class Primitive(NamedTuple):
    tag: int
    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]


PRIMITIVES = {
    "NULL": Primitive(0, _read_null, lambda _: b""),
    "BOOLEAN": Primitive(
        1, lambda octets: bool(_sized(octets, 1)[0]), lambda value: bytes([bool(value)])
    ),
    "UNSIGNED": Primitive(2, read_unsigned, write_unsigned),
    "INTEGER": Primitive(3, _read_signed, _write_signed),
    "REAL": Primitive(4, _read_real, _write_real),
    "DOUBLE": Primitive(5, _read_double, _write_double),
    "OCTET_STRING": Primitive(6, bytes, _write_octets),
    "CHARACTER_STRING": Primitive(7, _read_text, _write_text),
    "BIT_STRING": Primitive(8, _read_bits, _write_bits),
    "ENUMERATED": Primitive(9, read_unsigned, write_unsigned),
    "DATE": Primitive(10, _read_date, _write_date),
    "TIME": Primitive(11, _read_time, _write_time),
    "OBJECT_IDENTIFIER": Primitive(
        12,
        lambda octets: object_text(int.from_bytes(_sized(octets, 4), "big")),
        lambda value: object_number(value).to_bytes(4, "big"),
    ),
}
TYPE_NAMES = {primitive.tag: name for name, primitive in PRIMITIVES.items()}


def read_content(kind: str, data: bytes, tag: Tag, path: str, names: Names | None = None) -> Any:
    """The value of a primitive of type `kind`, by its name if it is an enumeration's."""
    try:
        if kind == "BOOLEAN" and not tag.context:
            return bool(tag.boolean)
        value = PRIMITIVES[kind].read(data[tag.start : tag.end])
    except (ValueError, struct.error) as error:
        raise MalformedError(str(error), path, tag.start, "INVALID_PARAMETER_DATATYPE") from None
    return value if names is None else names.name(value)


def write_content(kind: str, value: Any, path: str, names: Names | None = None) -> bytes:
    try:
        if names is not None and isinstance(value, str):
            value = names.number(value)
        return PRIMITIVES[kind].write(value)
    except ValueError as error:
        raise EncodeError(str(error), path) from None


def write_primitive(kind: str, value: Any, path: str, names: Names | None = None) -> bytes:
    """A value with its application tag."""
    if kind == "BOOLEAN":
        return head(1, context=False, length=1 if value else 0)
    content = write_content(kind, value, path, names)
    return head(PRIMITIVES[kind].tag, context=False, length=len(content)) + content
