"""CBOR (RFC 8949) to plain values and back, without loss: what `decode` gives, `encode` takes.

Most of CBOR is a plain value already. What is not has a notation, that of the RFC's own examples as far as
the values of messages go:

    a map's key that is an integer     its digits: ``{"-2": "urn:dev:1"}``
    a map's key that is bytes          ``"hex:0aff"``
    a text key that looks like these   in double quotes: ``{'"1"': …}``
    a tagged value                     ``{"tag(1)": 1363896240}``; but bignums (tags 2 and 3) are integers
    undefined, and other simple values ``{"simple(23)": True}``

Keys of other types are refused, as are maps that have a key twice. Tags mean nothing here: what a datagram
says makes no objects, no regular expressions and no cycles.

Encoded is the preferred serialization (section 4.1): lengths and numbers in their shortest forms, lists and
maps of definite length. Maps keep their order.

It is written here and not taken from a library: those that there are turn tags into objects that do not
give the same bytes again, put integers of the sender's choice into hash tables, and have shortest floats
only together with maps that are sorted.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import Any, NoReturn

DEEPEST = 64
"""Arrays, maps and tags may be nested this deep."""
MOST_BITS = 4096
"""No integer has more bits than this."""

_NOTATION = re.compile(
    r'("*)(?:(0|-?[1-9][0-9]*)|hex:((?:[0-9a-fA-F]{2})*)|tag\(([0-9]+)\)|simple\(([0-9]+)\))\1\Z'
)
"""A key that stands for something else, or would without its quotes; groups: what stands for what."""
_BEGINNINGS = frozenset('0123456789-hts"')
"""Those of `_NOTATION`."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _OTHER = range(8)
_INDEFINITE = 31
_BREAK = 0xFF
_FALSE, _TRUE, _NULL = 20, 21, 22
_SHORT_TEXT = _TEXT << 5
_ALONE: dict[int, Any] = {
    **{number: number for number in range(24)},
    **{_NEGATIVE << 5 | number: -1 - number for number in range(24)},
    _OTHER << 5 | _FALSE: False,
    _OTHER << 5 | _TRUE: True,
    _OTHER << 5 | _NULL: None,
}
"""Initial bytes that are a whole data item, and its value."""
_HEADS = [bytes((initial,)) for initial in range(256)]
_FLOATS = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}


class CborError(ValueError):
    """What is no CBOR, or has no form in it. ``path`` leads to the value that has none."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.path: list[str] = []


# -- decoding ---------------------------------------------------------------------------------------


def decode(data: bytes) -> Any:
    """The value that is encoded in all of ``data``. Raises CborError."""
    try:
        value, end = _item(data, 0, DEEPEST)
    except IndexError:
        raise CborError("it ends too early") from None
    except UnicodeDecodeError:
        raise CborError("a text in it is no UTF-8") from None
    if end != len(data):
        left = len(data) - end
        raise CborError(f"{left} byte{' is' if left == 1 else 's are'} left over after it")
    return value


def _fail(reason: str, at: int) -> NoReturn:
    raise CborError(f"{reason} (at its byte {at})")


def _item(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """The data item at a place, and the place after it.

    Raises IndexError if the data ends before, and UnicodeDecodeError.
    """
    initial = data[at]
    if initial in _ALONE:
        return _ALONE[initial], at + 1
    major, number = initial >> 5, initial & 31
    start, at = at, at + 1
    if number < 24:
        if major == _TEXT and (end := at + number) <= len(data):
            return data[at:end].decode(), end
    else:
        if number < 28:
            size = 1 << (number - 24)
            if at + size > len(data):
                raise IndexError
            if major == _OTHER and number > 24:
                return _FLOATS[number].unpack_from(data, at)[0], at + size
            number = int.from_bytes(data[at : at + size], "big")
            at += size
        elif number < _INDEFINITE or not _BYTES <= major <= _MAP:
            _fail(f"no data item begins with 0x{initial:02x}", start)
        else:
            return _indefinite(data, at, major, depth)
    if major == _UNSIGNED:
        return number, at
    if major == _NEGATIVE:
        return -1 - number, at
    if major <= _TEXT:
        end = at + number
        if end > len(data):
            raise IndexError
        return (data[at:end] if major == _BYTES else data[at:end].decode()), end
    if major == _OTHER:
        return _simple(initial, number, start), at
    if not depth:
        _fail("nested too deeply", start)
    if major == _TAG:
        return _tagged(data, at, number, depth)
    if number > len(data) - at:  # each takes a byte at least
        raise IndexError
    if major == _ARRAY:
        items = []
        for _ in range(number):
            item, at = _item(data, at, depth - 1)
            items.append(item)
        return items, at
    entries: dict[str, Any] = {}
    for _ in range(number):
        at = _entry(entries, data, at, depth)
    return entries, at


def _indefinite(data: bytes, at: int, major: int, depth: int) -> tuple[Any, int]:
    """What is of indefinite length, from the first item inside on."""
    if not depth:
        _fail("nested too deeply", at - 1)
    if major == _MAP:
        entries: dict[str, Any] = {}
        while data[at] != _BREAK:
            at = _entry(entries, data, at, depth)
        return entries, at + 1
    items = []
    while data[at] != _BREAK:
        if major != _ARRAY and (data[at] >> 5 != major or data[at] & 31 == _INDEFINITE):
            _fail("a chunk of another kind than its string", at)
        item, at = _item(data, at, depth - 1)
        items.append(item)
    if major == _ARRAY:
        return items, at + 1
    return (b"" if major == _BYTES else "").join(items), at + 1


def _entry(entries: dict[str, Any], data: bytes, at: int, depth: int) -> int:
    """Add an entry to a map; the place after it."""
    start, initial = at, data[at]
    if _SHORT_TEXT <= initial < _SHORT_TEXT + 24:  # most keys are such
        at += 1 + initial - _SHORT_TEXT
        key: Any = data[start + 1 : at].decode()  # that it is all there is seen by what follows
    else:
        key, at = _item(data, at, depth - 1)
    if key.__class__ is str and key[:1] not in _BEGINNINGS:
        name = key
    elif key.__class__ in (str, int, bytes):
        name = _shown(key)
    else:
        _fail("a key that is neither text, integer nor bytes", start)
    if name in entries:
        _fail(f"a map has the key {name[:40]} twice", start)
    entries[name], at = _item(data, at, depth - 1)
    return at


def _shown(key: str | int | bytes) -> str:
    """The notation of a key."""
    if isinstance(key, str):
        return f'"{key}"' if _NOTATION.match(key) else key
    return str(key) if isinstance(key, int) else f"hex:{key.hex()}"


def _simple(initial: int, number: int, at: int) -> Any:
    if initial & 31 == 24 and number < 32:
        _fail(f"the simple value {number} in two bytes", at)
    return {f"simple({number})": True}


def _tagged(data: bytes, at: int, number: int, depth: int) -> tuple[Any, int]:
    start = at
    value, at = _item(data, at, depth - 1)
    if number in (2, 3) and value.__class__ is bytes:
        big = int.from_bytes(value, "big")
        if big.bit_length() > MOST_BITS:
            _fail(f"an integer of more than {MOST_BITS} bits", start)
        return (big if number == 2 else -1 - big), at
    return {f"tag({number})": value}, at


# -- encoding ---------------------------------------------------------------------------------------


def encode(value: Any) -> bytes:
    """The bytes of ``value``. Raises CborError for what has no form in CBOR."""
    parts: list[bytes] = []
    _write(parts, value, DEEPEST)
    return b"".join(parts)


def _head(major: int, number: int) -> bytes:
    if number < 24:
        return _HEADS[major << 5 | number]
    size = 1 if number < 1 << 8 else 2 if number < 1 << 16 else 4 if number < 1 << 32 else 8
    return _HEADS[major << 5 | (23 + size.bit_length())] + number.to_bytes(size, "big")


def _write(parts: list[bytes], value: Any, depth: int) -> None:
    """Add the bytes of a value that may have ``depth`` more levels in it."""
    kind = value.__class__
    if kind is int and -25 < value < 24:
        parts.append(_HEADS[value if value >= 0 else (_NEGATIVE << 5) - 1 - value])
    elif isinstance(value, str):
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise CborError("a text that UTF-8 cannot carry") from None
        parts += (_head(_TEXT, len(data)), data)
    elif value is None or isinstance(value, bool):
        parts.append(_head(_OTHER, _NULL if value is None else _FALSE + value))
    elif isinstance(value, int):
        major, number = (_UNSIGNED, value) if value >= 0 else (_NEGATIVE, -1 - value)
        if number < 1 << 64:
            parts.append(_head(major, number))
        else:
            _write_bignum(parts, number, 2 if value >= 0 else 3)
    elif isinstance(value, dict):
        if not depth:
            raise CborError("nested too deeply")
        if len(value) != 1 or not _write_notation(parts, *next(iter(value.items())), depth):
            _write_map(parts, value, depth)
    elif isinstance(value, float):
        parts.append(_float(value))
    elif isinstance(value, bytes | bytearray | memoryview):
        data = bytes(value)
        parts += (_head(_BYTES, len(data)), data)
    elif not isinstance(value, list | tuple):
        raise CborError(f"CBOR has no {type(value).__name__}")
    elif not depth:
        raise CborError("nested too deeply")
    else:
        parts.append(_head(_ARRAY, len(value)))
        for number, item in enumerate(value):
            try:
                _write(parts, item, depth - 1)
            except CborError as error:
                error.path.insert(0, str(number))
                raise


def _write_bignum(parts: list[bytes], number: int, tag: int) -> None:
    size = -(-number.bit_length() // 8)
    if number.bit_length() > MOST_BITS:
        raise CborError(f"an integer of more than {MOST_BITS} bits")
    parts += (_head(_TAG, tag), _head(_BYTES, size), number.to_bytes(size, "big"))


def _float(value: float) -> bytes:
    """The shortest float that is the same number."""
    if value != value:
        return b"\xf9\x7e\x00"
    for number in (25, 26):
        try:
            data = _FLOATS[number].pack(value)
        except OverflowError:
            continue
        if _FLOATS[number].unpack(data)[0] == value:
            return _HEADS[_OTHER << 5 | number] + data
    return _HEADS[_OTHER << 5 | 27] + _FLOATS[27].pack(value)


def _write_map(parts: list[bytes], entries: dict[Any, Any], depth: int) -> None:
    parts.append(_head(_MAP, len(entries)))
    for name, item in entries.items():
        try:
            if name.__class__ is str and len(name) < 64:
                parts.append(_key_bytes(name))
            else:
                key = _key(name)
                if not isinstance(name, str) and _shown(key) in entries:
                    raise CborError("the key is there twice")
                parts.append(encode(key))
            _write(parts, item, depth - 1)
        except CborError as error:
            error.path.insert(0, str(name))
            raise


@lru_cache(1024)
def _key_bytes(name: str) -> bytes:
    """The bytes of a key; messages have the same ones again and again."""
    return encode(_key(name))


def _key(name: Any) -> str | int | bytes:
    """The key that ``name`` stands for."""
    if not isinstance(name, str):
        if isinstance(name, int | bytes) and not isinstance(name, bool):
            return name
        raise CborError("a key is a text, an integer or bytes")
    written = _NOTATION.match(name)
    if written is None:
        return name
    quotes, integer, digits, _, _ = written.groups()
    if quotes:
        return name[1:-1]
    if integer:
        return _number(integer)
    if digits is not None:
        return bytes.fromhex(digits)
    raise CborError(f"{name} stands alone in its table, or is a text in double quotes")


def _number(digits: str) -> int:
    if len(digits) > MOST_BITS // 3:
        raise CborError(f"an integer of more than {MOST_BITS} bits")
    return int(digits)


def _write_notation(parts: list[bytes], name: Any, value: Any, depth: int) -> bool:
    """Write ``{"tag(1)": …}`` or ``{"simple(23)": True}``, if it is such."""
    written = _NOTATION.match(name) if isinstance(name, str) else None
    if written is None or written[1] or not (written[4] or written[5]):
        return False
    number = _number(written[4] or written[5])
    if written[5]:
        if value is not True or number > 255 or _FALSE <= number <= _NULL or 24 <= number < 32:
            raise CborError(f"{name} is no simple value, or is not true")
        parts.append(_head(_OTHER, number))
        return True
    if number >= 1 << 64:
        raise CborError("a tag of more than 64 bits")
    parts.append(_head(_TAG, number))
    try:
        _write(parts, value, depth - 1)
    except CborError as error:
        error.path.insert(0, name)
        raise
    return True
