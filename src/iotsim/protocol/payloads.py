"""Payloads: bodies that are JSON, CBOR or text, as constructs.

`Json`     a free-form value in JSON
`Cbor`     a free-form value in CBOR
`Payload`  text where it is such, else bytes
`Text`     text of any encoding in a field of fixed size

What a free-form value has in it is no matter of the schema: all of it shows in messages, whatever it is
called, and scenarios reach everything below it.

Bytes that are none of these, and values that cannot be written so, are a PayloadError, which lets an Optional
or a Select go on.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from construct import Adapter, Bytes, Construct, ConstructError, GreedyBytes

if TYPE_CHECKING:
    from collections.abc import Callable

    AnyAdapter = Adapter[Any, Any, Any, Any]
else:
    AnyAdapter = Adapter

DEEPEST = 64
"""Lists and tables may be nested this deep."""
MOST_DIGITS = 4300
"""No integer in JSON has more: Python converts none that has."""


class PayloadError(ConstructError):
    """The bytes, or the value, are no such payload. ``trail`` leads to the value inside."""

    def __init__(self, reason: str, trail: list[str] | None = None) -> None:
        super().__init__(reason)
        if trail:
            self.iotsim_path = trail
            self.iotsim_offset = None


class Coded(AnyAdapter):
    """A construct whose bytes are a plain value, by functions that look at nothing else.

    ``decode``  bytes -> value; raises PayloadError
    ``encode``  value -> bytes; raises PayloadError
    ``kind``    that of its field (`iotsim.protocol.field.Field`)
    ``wire``    how it travels, for people
    ``odd``     whether its values may be what JSON has no form for
    """

    kind: ClassVar[str] = "any"
    odd: ClassVar[bool] = True
    wire: str

    def __init__(self, subcon: Construct[Any, Any] = GreedyBytes) -> None:
        super().__init__(subcon)

    def decode(self, data: bytes) -> Any:
        raise NotImplementedError

    def encode(self, value: Any) -> bytes:
        raise NotImplementedError

    def _decode(self, obj: bytes, context: Any, path: str) -> Any:
        return self.decode(obj)

    def _encode(self, obj: Any, context: Any, path: str) -> bytes:
        return self.encode(obj)


# -- JSON -------------------------------------------------------------------------------------------

_SCALARS = frozenset({str, int, bool, type(None)})


@cache
def _msgspec() -> tuple[Callable[[bytes], Any], Callable[[Any], bytes], type[Exception]]:
    """What reads JSON, what writes it, and the errors of both. Imported late: not each protocol has JSON."""
    import msgspec

    return msgspec.json.Decoder().decode, msgspec.json.Encoder().encode, msgspec.MsgspecError


class Json(Coded):
    """A free-form value in JSON (RFC 8259), which takes all bytes that are left (inside a Prefixed or
    FixedSized, those of that).

    It is written without spaces, in UTF-8, its names in the order that they have. Of a name that stands
    twice the last counts. Integers are exact up to 4300 digits.

    Refused both ways are NaN, the infinities and numbers beyond all floats, texts that UTF-8 cannot carry,
    and more than 64 lists and tables within each other; on build also bytes, names that are no text, and
    whatever else JSON has not.
    """

    wire = "JSON"
    odd = False

    def decode(self, data: bytes) -> Any:
        read, _, error_type = _msgspec()
        try:
            value = read(data)
        except RecursionError:
            raise PayloadError("nested too deeply") from None
        except UnicodeDecodeError:
            raise PayloadError("a text in it is no UTF-8") from None
        except error_type as error:
            raise PayloadError(_json_reason(data, str(error))) from None
        if data.count(b"{") + data.count(b"[") > DEEPEST:
            _check_depth(value)
        return value

    def encode(self, value: Any) -> bytes:
        if not _is_json(value, DEEPEST):
            value = _as_json(value, [])
        _, write, _ = _msgspec()
        try:
            return write(value)
        except ValueError:  # a text or an integer; which, is found by looking at all of them
            return write(_as_json(value, []))


def _json_reason(data: bytes, reason: str) -> str:
    if not data.strip():
        return "no bytes, where JSON is expected"
    if "truncated" in reason:
        half = ", or has half of a surrogate pair" if b"\\u" in data else ""
        return f"the JSON ends too early{half}"
    return reason[:1].lower() + reason[1:] if reason.startswith(("Int", "Num")) else reason


def _check_depth(value: Any) -> None:
    layer = [value]
    for _ in range(DEEPEST):
        layer = [
            inner
            for outer in layer
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
    if any(isinstance(value, dict | list) for value in layer):
        raise PayloadError("nested too deeply")


def _is_json(value: Any, depth: int) -> bool:
    """Whether a value is certainly of those types that JSON has, and no deeper than ``depth``."""
    kind = value.__class__
    if kind is dict and depth:
        for name, inner in value.items():
            if name.__class__ is not str:
                return False
            if inner.__class__ not in _SCALARS and not _is_json(inner, depth - 1):
                return False
        return True
    if kind is list and depth:
        for inner in value:
            if inner.__class__ not in _SCALARS and not _is_json(inner, depth - 1):
                return False
        return True
    return math.isfinite(value) if kind is float else kind in _SCALARS


def _as_json(value: Any, trail: list[str]) -> Any:
    """``value`` in the types that JSON has; PayloadError with the trail to what has no form in it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise PayloadError("a text that UTF-8 cannot carry", trail) from None
        return str.__str__(value)
    if isinstance(value, int):
        try:
            int.__repr__(value)
        except ValueError:
            raise PayloadError(f"an integer of more than {MOST_DIGITS} digits", trail) from None
        return int.__int__(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise PayloadError(f"JSON has no {value}", trail)
        return float.__float__(value)
    if not isinstance(value, dict | list | tuple):
        hint = ": write them as a text" if isinstance(value, bytes) else ""
        raise PayloadError(f"JSON has no {type(value).__name__}{hint}", trail)
    if len(trail) >= DEEPEST:
        raise PayloadError("nested too deeply", trail)
    if not isinstance(value, dict):
        return [_as_json(inner, [*trail, str(number)]) for number, inner in enumerate(value)]
    for name in value:
        if not isinstance(name, str):
            raise PayloadError(f"a name in JSON is a text, not {name!r}"[:100], trail)
    return {_as_json(name, trail): _as_json(inner, [*trail, name]) for name, inner in value.items()}


# -- CBOR -------------------------------------------------------------------------------------------


@cache
def _cbor() -> Any:
    """What reads and writes CBOR. Imported late: few protocols have it."""
    from iotsim.protocol import cbor

    return cbor


class Cbor(Coded):
    """A free-form value in CBOR (RFC 8949), which takes all bytes that are left (inside a Prefixed or
    FixedSized, those of that).

    Integer keys are texts of digits; tags are ``{"tag(1)": …}``; see `iotsim.protocol.cbor`. It is written
    in the shortest form, maps in the order that they have.
    """

    wire = "CBOR"

    def decode(self, data: bytes) -> Any:
        cbor = _cbor()
        try:
            return cbor.decode(data)
        except cbor.CborError as error:
            raise PayloadError(f"no CBOR: {error}") from None

    def encode(self, value: Any) -> bytes:
        cbor = _cbor()
        try:
            data: bytes = cbor.encode(value)
        except cbor.CborError as error:
            raise PayloadError(str(error), error.path) from None
        return data


# -- text -------------------------------------------------------------------------------------------

_CONTROL = "[\0-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""What no text has: all control characters but tab, line feed and carriage return."""


class Payload(Coded):
    """All bytes that are left, which mostly are a text: they are one where they are UTF-8 without control
    characters, else bytes.

    On build, a number is written as its text: 21.5, true.
    """

    kind = "payload"
    wire = "text or bytes"

    def decode(self, data: bytes) -> str | bytes:
        try:
            text = data.decode()
        except UnicodeDecodeError:
            return data
        # Most texts can be printed, which is found sooner.
        return text if text.isprintable() or not re.search(_CONTROL, text) else data

    def encode(self, value: Any) -> bytes:
        if value.__class__ is float or value.__class__ is int:
            return str(value).encode()
        if isinstance(value, bytes | bytearray | memoryview):
            return bytes(value)
        if isinstance(value, bool):
            return b"true" if value else b"false"
        if isinstance(value, int | float):
            value = str(value)
        if not isinstance(value, str):
            raise PayloadError(f"a text, a number or bytes, not {type(value).__name__}")
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise PayloadError("a text that UTF-8 cannot carry") from None


def carried(value: Any) -> Any:
    """What a `Payload` that is given ``value`` comes back as; what it cannot carry, as it is."""
    try:
        return _PAYLOAD.decode(_PAYLOAD.encode(value))
    except PayloadError:
        return value


_PAYLOAD = Payload()


class Text(Coded):
    """A text of any encoding that Python knows, in ``size`` bytes, filled up with zeros.

    "utf-16" and "utf-32" are to be named with their byte order, as "utf-16-le". A text that takes more than
    ``size`` bytes, or that the encoding has not, is an error. Zeros at its end are not part of a text.
    """

    kind = "string"
    odd = False

    def __init__(self, size: int, encoding: str) -> None:
        try:
            zero = "\0".encode(encoding)
        except (LookupError, UnicodeError, TypeError) as error:
            raise ValueError(f"{encoding!r} is no encoding of texts: {error}") from None
        if zero.strip(b"\0"):
            raise ValueError(f"{encoding} begins with a mark: name its byte order, as utf-16-le")
        if not isinstance(size, int) or size < 1 or size % len(zero):
            raise ValueError(
                f"the size of a text in {encoding} is no multiple of {len(zero)}: {size!r}"
            )
        super().__init__(Bytes(size))
        self.size = size
        self.encoding = encoding
        self.wire = f"{encoding} text, {size} byte" + ("" if size == 1 else "s")

    def decode(self, data: bytes) -> str:
        try:
            return data.decode(self.encoding).rstrip("\0")
        except UnicodeError:
            raise PayloadError(f"its bytes are no {self.encoding} text") from None

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, str):
            raise PayloadError(f"a text, not {type(value).__name__}")
        try:
            data = value.encode(self.encoding)
        except UnicodeError:
            raise PayloadError(f"{value[:40]!r} has no form in {self.encoding}") from None
        if len(data) > self.size:
            raise PayloadError(f"{value[:40]!r} takes {len(data)} bytes, of {self.size}")
        return data.ljust(self.size, b"\0")
