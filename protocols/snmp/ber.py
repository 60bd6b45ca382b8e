"""The values of SNMP in BER (X.690), within the bounds of RFC 3417, section 8: definite lengths, simple
types primitive. Lengths and integers may have more octets than they need; written is the shortest form.

`TYPES` are those of RFC 2578, section 7.1, and the exceptions of RFC 3416, section 3, with their tags. The
errors, DecodeError and EncodeError, have the path that the functions are given: that of the field.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from construct import ConstructError

from iotsim import DecodeError, EncodeError, Payload

SEQUENCE = 0x30
TYPES = {
    "INTEGER": 0x02,
    "OCTETS": 0x04,
    "NULL": 0x05,
    "OID": 0x06,
    "IPADDRESS": 0x40,
    "COUNTER32": 0x41,
    "GAUGE32": 0x42,
    "TIMETICKS": 0x43,
    "OPAQUE": 0x44,
    "COUNTER64": 0x46,
    "NO_SUCH_OBJECT": 0x80,
    "NO_SUCH_INSTANCE": 0x81,
    "END_OF_MIB_VIEW": 0x82,
}
TYPE_NAMES = {tag: name for name, tag in TYPES.items()}
EXCEPTIONS = frozenset({"NO_SUCH_OBJECT", "NO_SUCH_INSTANCE", "END_OF_MIB_VIEW"})
ONLY_V2 = EXCEPTIONS | {"COUNTER64"}
RANGES = {
    "INTEGER": (-(1 << 31), (1 << 31) - 1),
    "COUNTER32": (0, (1 << 32) - 1),
    "GAUGE32": (0, (1 << 32) - 1),
    "TIMETICKS": (0, (1 << 32) - 1),
    "COUNTER64": (0, (1 << 64) - 1),
}
LONGEST_INTEGER = 16
"""Octets of an integer: a Counter64 needs nine, and the rest is padding."""
MOST_SUB_IDENTIFIERS = 128
LARGEST_SUB_IDENTIFIER = (1 << 32) - 1
"""RFC 2578, section 3.5."""
TEXT = Payload()
"""Octets are a text where they are one, else bytes."""
LONGEST_SHORT = 0x7F
"""Octets of contents of which the length is one octet."""


def short_headers(tag: int) -> list[bytes]:
    """Tag and length of all that is short, by length."""
    return [bytes((tag, size)) for size in range(LONGEST_SHORT + 1)]


_SHORT = {tag: short_headers(tag) for tag in (SEQUENCE, *TYPE_NAMES)}
SEQUENCES = _SHORT[SEQUENCE]
_NUMBERS = {kind: (*bounds, _SHORT[TYPES[kind]]) for kind, bounds in RANGES.items()}
_SMALL = {kind: [bytes((TYPES[kind], 1, number)) for number in range(0x80)] for kind in RANGES}
"""Numbers of seven bits, as most are."""

# -- in --------------------------------------------------------------------------------------------


def read_header(data: bytes, at: int, limit: int, path: str) -> tuple[int, int, int]:
    """The tag at `at`, and where its contents begin and end, which is not after `limit`."""
    start = at + 2
    if start > limit:
        raise DecodeError("ends within a tag or a length", path, at)
    length = data[at + 1]
    if length > 0x7F:
        count = length & 0x7F
        if count == 0:
            raise DecodeError("a length of the indefinite form", path, at + 1)
        if start + count > limit:
            raise DecodeError("ends within a length", path, at + 1)
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    if length > limit - start:
        said = length if length < 1 << 32 else "very many"
        raise DecodeError(f"{said} octets announced, {limit - start} are there", path, at + 1)
    return data[at], start, start + length


def read_inside(data: bytes, at: int, limit: int, tag: int, path: str) -> tuple[int, int]:
    """Where the contents of what has `tag` begin and end."""
    start = at + 2
    if start <= limit and data[at] == tag:  # as nearly always, and of the short form
        end = start + data[at + 1]
        if end <= limit and end - start <= 0x7F:
            return start, end
    found, start, end = read_header(data, at, limit, path)
    if found != tag:
        raise DecodeError(f"a tag 0x{found:02x} where 0x{tag:02x} must be", path, at)
    return start, end


def read_integer(data: bytes, at: int, limit: int, path: str) -> tuple[int, int]:
    """An INTEGER of 32 bits, and the place after it."""
    start = at + 2
    if start < limit and data[at] == 0x02 and 0 < data[at + 1] <= 4:
        end = start + data[at + 1]
        if end <= limit:
            return int.from_bytes(data[start:end], "big", signed=True), end
    start, end = read_inside(data, at, limit, TYPES["INTEGER"], path)
    return number_in(data[start:end], "INTEGER", path, at), end


def check_end(end: int, limit: int, path: str) -> None:
    """Nothing may be left over between `end` and `limit`, where the field at `path` ends."""
    if end != limit:
        left = limit - end
        raise DecodeError(f"{left} octet{'s are' if left > 1 else ' is'} left over", path, end)


def number_in(octets: bytes, kind: str, path: str, at: int) -> int:
    if not 0 < len(octets) <= LONGEST_INTEGER:
        raise DecodeError(f"a number of {len(octets)} octets", path, at)
    number = int.from_bytes(octets, "big", signed=True)
    low, high = RANGES[kind]
    if not low <= number <= high:
        raise DecodeError(f"{number} is no {kind}", path, at)
    return number


def value_in(octets: bytes, kind: str, path: str, at: int) -> Any:
    """What the contents of a type of `TYPES` say: an int, a str, bytes, or None."""
    if kind == "OCTETS":
        return TEXT.decode(octets)
    if kind in RANGES:
        return number_in(octets, kind, path, at)
    if kind == "OID":
        if not 0 < len(octets) <= 5 * MOST_SUB_IDENTIFIERS:
            raise DecodeError(f"an object identifier of {len(octets)} octets", path, at)
        try:
            return oid_text(octets)
        except ValueError as error:
            raise DecodeError(str(error), path, at) from None
    if kind == "IPADDRESS":
        if len(octets) != 4:
            raise DecodeError(f"an IPADDRESS of {len(octets)} octets", path, at)
        return ".".join(map(str, octets))
    if kind == "OPAQUE":
        return octets
    if octets:
        raise DecodeError(f"a {kind} with a value", path, at)
    return None


# -- out -------------------------------------------------------------------------------------------


def tlv(tag: int, contents: bytes) -> bytes:
    length = len(contents)
    if length < 0x80:
        return _SHORT[tag][length] + contents if tag in _SHORT else bytes((tag, length)) + contents
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + contents


def tlv_size(length: int) -> int:
    """The size of what has `length` octets of contents."""
    return length + (2 if length < 0x80 else 2 + (length.bit_length() + 7) // 8)


def sequence_tlv(contents: bytes) -> bytes:
    length = len(contents)
    if length <= LONGEST_SHORT:
        return SEQUENCES[length] + contents
    return tlv(SEQUENCE, contents)


def number_tlv(value: Any, kind: str, path: str) -> bytes:
    if value.__class__ is int and 0 <= value <= 0x7F:
        return _SMALL[kind][value]
    if not isinstance(value, int):
        raise EncodeError(f"{value!r:.100} is no {kind}, which is an integer", path)
    low, high, headers = _NUMBERS[kind]
    if not low <= value <= high:
        raise EncodeError(f"{value} is no {kind}, which is {low} to {high}", path)
    length = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return headers[length] + value.to_bytes(length, "big", signed=True)


def oid_tlv(value: Any, path: str) -> bytes:
    try:
        return _oid_tlv(value)
    except (TypeError, ValueError) as error:
        raise EncodeError(str(error), path) from None


def address_tlv(value: Any, path: str) -> bytes:
    try:
        octets = bytes(map(int, value.split(".")))
    except (AttributeError, ValueError):
        octets = b""
    if len(octets) != 4:
        raise EncodeError(f"{value!r:.100} is no IPADDRESS, such as 10.0.0.1", path)
    return tlv(TYPES["IPADDRESS"], octets)


def value_tlv(kind: str, value: Any, path: str) -> bytes:
    """A value of a type of `TYPES`; OCTETS may also be a number, as its text."""
    if kind in RANGES:
        return number_tlv(value, kind, path)
    if kind in ("OCTETS", "OPAQUE"):
        try:
            return tlv(TYPES[kind], TEXT.encode(value))
        except ConstructError as error:
            raise EncodeError(str(error), path) from None
    if kind == "OID":
        return oid_tlv(value, path)
    if kind == "IPADDRESS":
        return address_tlv(value, path)
    if value is not None:
        raise EncodeError(f"a {kind} has no value", path)
    return _SHORT[TYPES[kind]][0]


# -- object identifiers ----------------------------------------------------------------------------

_OID = re.compile(r"[0-9]{1,10}(\.[0-9]{1,10})+", re.ASCII)
_REMEMBERED = 4096
"""Of the object identifiers that messages have, most have been there before."""


@lru_cache(_REMEMBERED)
def oid_text(octets: bytes) -> str:
    """The dotted form of an object identifier (X.690, section 8.19); ValueError if it is none."""
    numbers: list[int] = []
    number = 0
    for octet in octets:
        if number == 0 and octet == 0x80:
            raise ValueError("a sub-identifier with leading zeros")
        number = number << 7 | octet & 0x7F
        if octet & 0x80:
            continue
        if not numbers:
            numbers.append(min(number // 40, 2))
            number -= 40 * numbers[0]
        if number > LARGEST_SUB_IDENTIFIER:
            raise ValueError(f"a sub-identifier of {number.bit_length()} bits")
        numbers.append(number)
        number = 0
    if octets[-1] & 0x80:
        raise ValueError("an object identifier that ends within a sub-identifier")
    if len(numbers) > MOST_SUB_IDENTIFIERS:
        raise ValueError(f"an object identifier of more than {MOST_SUB_IDENTIFIERS} numbers")
    return ".".join(map(str, numbers))


@lru_cache(_REMEMBERED)
def _oid_tlv(text: str) -> bytes:
    first, second, *rest = oid_key(text)
    octets = bytearray()
    for number in (40 * first + second, *rest):
        for shift in range((max(number.bit_length(), 1) - 1) // 7 * 7, 0, -7):
            octets.append(0x80 | number >> shift & 0x7F)
        octets.append(number & 0x7F)
    return tlv(TYPES["OID"], bytes(octets))


@lru_cache(_REMEMBERED)
def oid_key(text: str) -> tuple[int, ...]:
    """An object identifier as numbers, by which they are ordered; ValueError if `text` is none."""
    if not isinstance(text, str) or not _OID.fullmatch(text):
        raise ValueError(f"{str(text)[:100]!r} is no object identifier, such as 1.3.6.1.2.1.1.3.0")
    key = tuple(map(int, text.split(".")))
    if key[0] > 2 or (key[0] < 2 and key[1] > 39):
        raise ValueError(f"no object identifier begins with {key[0]}.{key[1]}")
    if max(key) > LARGEST_SUB_IDENTIFIER:
        raise ValueError(f"{max(key)} is more than a number of an object identifier may be")
    if len(key) > MOST_SUB_IDENTIFIERS:
        raise ValueError(f"an object identifier of more than {MOST_SUB_IDENTIFIERS} numbers")
    return key


def normal_oid(text: str) -> str:
    """An object identifier without leading dot and zeros; ValueError if `text` is none."""
    return ".".join(map(str, oid_key(text.removeprefix("."))))


@lru_cache(_REMEMBERED)
def normal_oid_tlv(text: str) -> bytes:
    """An object identifier that is in its normal form; ValueError for any other."""
    if text != normal_oid(text):
        raise ValueError(f"{text[:100]!r} is not in normal form")
    return _oid_tlv(text)
