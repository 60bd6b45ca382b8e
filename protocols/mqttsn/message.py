"""The messages of MQTT-SN (section 5) in bytes: one table of layouts, and what reads and writes by it.

A message is a length, a type, fields of fixed size, and perhaps a last one that takes the rest. The length
counts all bytes. It is one byte, or the byte 0x01 and two more (section 5.2.1); what is written has the
shorter form where that will do.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from iotsim import DecodeError, EncodeError, Payload

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Message = dict[str, Any]

TYPES = {
    "ADVERTISE": 0x00,
    "SEARCHGW": 0x01,
    "GWINFO": 0x02,
    "CONNECT": 0x04,
    "CONNACK": 0x05,
    "WILLTOPICREQ": 0x06,
    "WILLTOPIC": 0x07,
    "WILLMSGREQ": 0x08,
    "WILLMSG": 0x09,
    "REGISTER": 0x0A,
    "REGACK": 0x0B,
    "PUBLISH": 0x0C,
    "PUBACK": 0x0D,
    "PUBCOMP": 0x0E,
    "PUBREC": 0x0F,
    "PUBREL": 0x10,
    "SUBSCRIBE": 0x12,
    "SUBACK": 0x13,
    "UNSUBSCRIBE": 0x14,
    "UNSUBACK": 0x15,
    "PINGREQ": 0x16,
    "PINGRESP": 0x17,
    "DISCONNECT": 0x18,
    "WILLTOPICUPD": 0x1A,
    "WILLTOPICRESP": 0x1B,
    "WILLMSGUPD": 0x1C,
    "WILLMSGRESP": 0x1D,
    "ENCAPSULATED": 0xFE,
}
"""The message types (section 5.2.2, table 3)."""
RETURN_CODES = {"ACCEPTED": 0, "CONGESTION": 1, "INVALID_TOPIC_ID": 2, "NOT_SUPPORTED": 3}
"""Section 5.3.10, table 5."""
TOPIC_ID_TYPES = {"NORMAL": 0, "PREDEFINED": 1, "SHORT": 2}
"""Section 5.3.4: the lowest two bits of the flags."""
PROTOCOL_ID = 1
LONGEST = 0xFFFF
PAYLOAD = Payload()

_TYPE_NAMES = {number: name for name, number in TYPES.items()}
_CODE_NAMES = {number: name for name, number in RETURN_CODES.items()}
_TOPIC_TYPE_NAMES = {number: name for name, number in TOPIC_ID_TYPES.items()}


# -- fields ----------------------------------------------------------------------------------------------


class FlagBits(NamedTuple):
    """A field in the byte of flags (section 5.3.4)."""

    shift: int
    mask: int
    default: Any
    read: Callable[[int], Any]
    write: Callable[[Any], int]


def _read_topic_type(bits: int) -> str:
    if bits not in _TOPIC_TYPE_NAMES:
        raise DecodeError("3 is reserved", "topic_id_type")
    return _TOPIC_TYPE_NAMES[bits]


def _write_qos(qos: int) -> int:
    if qos not in (-1, 0, 1, 2):
        raise EncodeError("must be -1, 0, 1 or 2", "qos")
    return qos & 3


FLAGS = {
    "dup": FlagBits(7, 1, False, bool, int),
    "qos": FlagBits(5, 3, 0, lambda bits: -1 if bits == 3 else bits, _write_qos),
    "retain": FlagBits(4, 1, False, bool, int),
    "will": FlagBits(3, 1, False, bool, int),
    "clean_session": FlagBits(2, 1, False, bool, int),
    "topic_id_type": FlagBits(
        0, 3, "NORMAL", _read_topic_type, lambda name: _number(name, TOPIC_ID_TYPES)
    ),
}
ABSENT = object()
NUMBERS: dict[str, tuple[str, Any]] = {
    "gateway_id": ("B", ABSENT),
    "radius": ("B", 0),
    "duration": ("H", ABSENT),
    "protocol_id": ("B", PROTOCOL_ID),
    "topic_id": ("H", 0),
    "message_id": ("H", 0),
    "return_code": ("B", "ACCEPTED"),
}
"""The fields of fixed size: how `struct` writes each, and its default."""


class Layout(NamedTuple):
    """What follows the type of a message: ``fixed`` names fields of fixed size, after the flags if it has
    any, ``rest`` the one that takes what is left."""

    flags: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    rest: str = ""
    optional: bool = False
    """Whether flags, fixed and rest may be missing, all of them (sections 5.4.7, 5.4.21, 5.4.22)."""

    @property
    def head(self) -> struct.Struct:
        codes = "".join(NUMBERS[name][0] for name in self.fixed)
        return struct.Struct(">" + "B" * bool(self.flags) + codes)


TOPIC = ("topic_id_type",)
LAYOUTS = {
    "ADVERTISE": Layout(fixed=("gateway_id", "duration")),
    "SEARCHGW": Layout(fixed=("radius",)),
    "GWINFO": Layout(fixed=("gateway_id",), rest="gateway_address"),
    "CONNECT": Layout(("will", "clean_session"), ("protocol_id", "duration"), "client_id"),
    "CONNACK": Layout(fixed=("return_code",)),
    "WILLTOPICREQ": Layout(),
    "WILLTOPIC": Layout(("qos", "retain"), rest="will_topic", optional=True),
    "WILLMSGREQ": Layout(),
    "WILLMSG": Layout(rest="will_message"),
    "REGISTER": Layout(fixed=("topic_id", "message_id"), rest="topic"),
    "REGACK": Layout(fixed=("topic_id", "message_id", "return_code")),
    "PUBLISH": Layout(("dup", "qos", "retain", *TOPIC), ("topic_id", "message_id"), "data"),
    "PUBACK": Layout(fixed=("topic_id", "message_id", "return_code")),
    "PUBCOMP": Layout(fixed=("message_id",)),
    "PUBREC": Layout(fixed=("message_id",)),
    "PUBREL": Layout(fixed=("message_id",)),
    "SUBSCRIBE": Layout(("dup", "qos", *TOPIC), ("message_id",), "topic"),
    "SUBACK": Layout(("qos",), ("topic_id", "message_id", "return_code")),
    "UNSUBSCRIBE": Layout(TOPIC, ("message_id",), "topic"),
    "UNSUBACK": Layout(fixed=("message_id",)),
    "PINGREQ": Layout(rest="client_id"),
    "PINGRESP": Layout(),
    "DISCONNECT": Layout(fixed=("duration",), optional=True),
    "WILLTOPICUPD": Layout(("qos", "retain"), rest="will_topic", optional=True),
    "WILLTOPICRESP": Layout(fixed=("return_code",)),
    "WILLMSGUPD": Layout(rest="will_message"),
    "WILLMSGRESP": Layout(fixed=("return_code",)),
}
"""Sections 5.4.1 to 5.4.26, in the order of the types. Flags that a type has no use for are read over."""
HEADS = {kind: layout.head for kind, layout in LAYOUTS.items()}
LONGEST_CLIENT_ID = 23
"""In characters (section 5.3.1)."""
TEXTS = frozenset({"client_id", "topic", "will_topic"})
OPTIONAL = frozenset({"PINGREQ"})


# -- reading ---------------------------------------------------------------------------------------------


def read(data: bytes, at: int = 0) -> tuple[Message, int]:
    """The message that begins at `at`, and where it ends."""
    body, end = _frame(data, at)
    if body >= end:
        raise DecodeError("a message has a type", "kind", body)
    kind = _TYPE_NAMES.get(data[body])
    if kind is None:
        raise DecodeError(f"no message has the type 0x{data[body]:02x}", "kind", body)
    body += 1
    if kind == "ENCAPSULATED":
        return _read_encapsulated(data, body, end)
    if end != len(data):
        raise DecodeError(f"the length is {end - at}, and {len(data) - at} bytes are there", "", at)
    return _read_body(kind, data, body, end), end


def _frame(data: bytes, at: int) -> tuple[int, int]:
    """Where the type of the message is, and where it ends by its length."""
    if at >= len(data):
        raise DecodeError("no message is empty", "", at)
    length, body = data[at], at + 1
    if length == 1:
        if at + 3 > len(data):
            raise DecodeError("ends within the length", "", at)
        length, body = data[at + 1] << 8 | data[at + 2], at + 3
    if at + length > len(data) or length < body - at:
        raise DecodeError(f"the length is {length}, and {len(data) - at} bytes are there", "", at)
    return body, at + length


def _read_encapsulated(data: bytes, body: int, end: int) -> tuple[Message, int]:
    """Section 5.4.27: the length is that of the frame around the message, which follows."""
    if body == end:
        raise DecodeError("ends within the message", "radius", body)
    return {
        "kind": "ENCAPSULATED",
        "radius": data[body] & 3,
        "node": data[body + 1 : end],
        "message": data[end:],
    }, len(data)


def _read_body(kind: str, data: bytes, body: int, end: int) -> Message:
    layout, head = LAYOUTS[kind], HEADS[kind]
    message: Message = {"kind": kind}
    if body == end and layout.optional:
        return message
    if end - body < head.size:
        raise DecodeError("ends within the message", _next_field(layout), body)
    values = list(head.unpack_from(data, body))
    if layout.flags:
        byte = values.pop(0)
        for name in layout.flags:
            bits = FLAGS[name]
            message[name] = bits.read(byte >> bits.shift & bits.mask)
    for name, value in zip(layout.fixed, values, strict=True):
        message[name] = _CODE_NAMES.get(value, value) if name == "return_code" else value
    rest = data[body + head.size : end]
    if layout.rest:
        _read_rest(message, layout.rest, rest)
    elif rest:
        raise DecodeError(f"{len(rest)} bytes are left over", "", end - len(rest))
    return message


def _next_field(layout: Layout) -> str:
    return next(iter(layout.flags + layout.fixed), "")


def _read_rest(message: Message, name: str, rest: bytes) -> None:
    kind = message["kind"]
    if kind == "PUBLISH" and message["topic_id_type"] == "SHORT":
        message["topic"] = _text(message.pop("topic_id").to_bytes(2, "big"), "topic")
    elif name == "topic" and message.get("topic_id_type", "NORMAL") != "NORMAL":
        if len(rest) != 2:
            raise DecodeError(f"2 bytes, not {len(rest)}", "topic")
        if message["topic_id_type"] == "PREDEFINED":
            message["topic_id"] = rest[0] << 8 | rest[1]
            return
    if name in TEXTS:
        if rest or kind not in OPTIONAL:
            message[name] = _text(rest, name)
    elif name == "gateway_address":
        if rest:
            message[name] = rest
    else:
        message[name] = PAYLOAD.decode(rest)


def _text(data: bytes, path: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise DecodeError("no text in UTF-8", path) from None


# -- writing ---------------------------------------------------------------------------------------------


def write(message: Mapping[str, Any]) -> bytes:
    """The bytes of a message."""
    kind = message.get("kind")
    if kind == "ENCAPSULATED":
        node = bytes(message["node"])
        _known(message, ("radius", "node", "message"))
        inner = bytes(message["message"])
        return _framed(b"\xfe" + bytes([message.get("radius", 0) & 3]) + node, 0xFF) + inner
    layout = LAYOUTS.get(kind) if isinstance(kind, str) else None
    if layout is None or not isinstance(kind, str):
        raise EncodeError(f"no message is a {kind!r}", "kind")
    fields = layout.flags + layout.fixed + (layout.rest,)
    _known(message, (*fields, "topic_id", "topic") if "topic_id_type" in fields else fields)
    body = b"" if layout.optional and len(message) == 1 else _body(kind, layout, message)
    return _framed(bytes([TYPES[kind]]) + body, LONGEST)


def _known(message: Mapping[str, Any], fields: tuple[str, ...]) -> None:
    for name in message:
        if name != "kind" and name not in fields:
            raise EncodeError("the message has no such field here", name)


def _body(kind: str, layout: Layout, message: Mapping[str, Any]) -> bytes:
    values = []
    if layout.flags:
        byte = 0
        for name in layout.flags:
            bits = FLAGS[name]
            byte |= bits.write(message.get(name, bits.default)) << bits.shift
        values.append(byte)
    reference = b""
    if "topic_id_type" in layout.flags:
        reference = _reference(message)
    for name in layout.fixed:
        value = message.get(name, NUMBERS[name][1])
        if value is ABSENT:
            raise EncodeError("the message needs this field", name)
        if name == "return_code":
            value = _number(value, RETURN_CODES)
        elif name == "topic_id" and reference:
            value = int.from_bytes(reference, "big")
        most = 0xFF if NUMBERS[name][0] == "B" else 0xFFFF
        if not isinstance(value, int) or not 0 <= value <= most:
            raise EncodeError(f"must be 0 to {most}, not {value!r:.50}", name)
        values.append(value)
    packed = HEADS[kind].pack(*values)
    if layout.rest == "topic":
        return packed + (reference or _written("topic", message))
    return packed + (_written(layout.rest, message) if layout.rest else b"")


def _reference(message: Mapping[str, Any]) -> bytes:
    """The two bytes of a short topic, or of a topic id; b"" for a topic by its name."""
    kind = message.get("topic_id_type", "NORMAL")
    if kind == "SHORT":
        short = _written("topic", message)
        if len(short) != 2:
            raise EncodeError("a short topic has two bytes", "topic")
        return short
    if kind == "PREDEFINED" or message["kind"] == "PUBLISH":
        number = message.get("topic_id", 0)
        if not isinstance(number, int) or not 0 <= number <= 0xFFFF:
            raise EncodeError(f"must be 0 to 65535, not {number!r:.50}", "topic_id")
        return number.to_bytes(2, "big")
    return b""


def _written(name: str, message: Mapping[str, Any]) -> bytes:
    value = message.get(name, "")
    return value.encode() if isinstance(value, str) else PAYLOAD.encode(value)


def _number(name: Any, names: dict[str, int]) -> int:
    value = names.get(name, name)
    if not isinstance(value, int):
        raise EncodeError(f"there is no {name!r}")
    return value


def _framed(rest: bytes, longest: int) -> bytes:
    length = len(rest) + 1
    if length < 0x100:
        return bytes([length]) + rest
    length += 2
    if length > longest:
        raise EncodeError(f"at most {longest} bytes, not {length}")
    return b"\x01" + length.to_bytes(2, "big") + rest
