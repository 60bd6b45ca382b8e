"""Options and payload, which is all of a message but its first bytes (RFC 7252, sections 3.1 and 3.2).

Options are fields by their names, and what is absent on the wire is absent here. An option that the standard
wants treated like one that is not known goes, as such ones do, into ``options``: a second one of a kind that
stands once (section 5.4.5), one of a wrong length (5.4.3), and a text that is no UTF-8.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from iotsim import DecodeError, EncodeError, Payload

from .codes import FORMAT_NAMES, FORMATS, RESPONSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGEST_BLOCK = 1024
MARKER = b"\xff"
"""It stands before a payload."""

# -- the values of options (section 3.2): readers raise ValueError for what they cannot be ------------


def read_text(value: bytes) -> str:
    return value.decode()


def write_text(value: Any) -> bytes:
    if not isinstance(value, str):
        raise EncodeError(f"a text, not {type(value).__name__}")
    return value.encode()


def read_uint(value: bytes) -> int:
    return int.from_bytes(value, "big")


def write_uint(value: Any) -> bytes:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise EncodeError(f"an integer that is not negative, not {value!r}")
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def write_byte(value: Any) -> bytes:
    return write_uint(value) or b"\0"


def read_format(value: bytes) -> str | int:
    number = int.from_bytes(value, "big")
    return FORMAT_NAMES.get(number, number)


FORMAT_BYTES: dict[Any, bytes] = {name: write_uint(number) for name, number in FORMATS.items()}


def write_format(value: Any) -> bytes:
    known = FORMAT_BYTES.get(value)
    if known is None and isinstance(value, str):
        raise EncodeError(f"no content format is known by the name {value!r}; give its number")
    return write_uint(value) if known is None else known


def read_block(value: bytes) -> dict[str, Any]:
    """RFC 7959, section 2.2. The size 2048 stands for the reserved exponent 7."""
    number = int.from_bytes(value, "big")
    return {"number": number >> 4, "more": bool(number & 8), "size": 16 << (number & 7)}


def write_block(value: Any) -> bytes:
    if not isinstance(value, dict) or value.keys() - {"number", "more", "size"}:
        raise EncodeError("a table of number, more and size")
    size = value.get("size", LARGEST_BLOCK)
    exponent = size.bit_length() - 5 if isinstance(size, int) else -1
    if not 0 <= exponent <= 7 or size != 16 << exponent:
        raise EncodeError(f"a size of 16, 32, 64 and so on to 1024, not {size!r}")
    number = int.from_bytes(write_uint(value.get("number", 0)), "big")
    return write_uint(number << 4 | bool(value.get("more")) << 3 | exponent)


def read_empty(value: bytes) -> bool:
    return True


def write_empty(value: Any) -> bytes:
    return b""


def read_opaque(value: bytes) -> bytes:
    return value


def write_opaque(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray):
        raise EncodeError(f"bytes, not {type(value).__name__}")
    return bytes(value)


class Option(NamedTuple):
    """A kind of option: its field, the lengths that it may have, and whether it may be there repeatedly,
    which makes the field a list."""

    field: str
    shortest: int
    longest: int
    many: bool
    read: Callable[[bytes], Any]
    write: Callable[[Any], bytes]


TEXT = read_text, write_text
UINT = read_uint, write_uint
OPAQUE = read_opaque, write_opaque
KIND = read_format, write_format
BLOCK = read_block, write_block
EMPTY = read_empty, write_empty
URI_PATH = 11
OPTIONS = {
    1: Option("if_match", 0, 8, True, *OPAQUE),
    3: Option("uri_host", 1, 255, False, *TEXT),
    4: Option("etag", 1, 8, True, *OPAQUE),
    5: Option("if_none_match", 0, 0, False, *EMPTY),
    6: Option("observe", 0, 3, False, *UINT),
    7: Option("uri_port", 0, 2, False, *UINT),
    8: Option("location_path", 0, 255, True, *TEXT),
    12: Option("content_format", 0, 2, False, *KIND),
    14: Option("max_age", 0, 4, False, *UINT),
    15: Option("query", 0, 255, True, *TEXT),
    16: Option("hop_limit", 1, 1, False, read_uint, write_byte),
    17: Option("accept", 0, 2, False, *KIND),
    20: Option("location_query", 0, 255, True, *TEXT),
    23: Option("block2", 0, 3, False, *BLOCK),
    27: Option("block1", 0, 3, False, *BLOCK),
    28: Option("size2", 0, 4, False, *UINT),
    35: Option("proxy_uri", 1, 1034, False, *TEXT),
    39: Option("proxy_scheme", 1, 255, False, *TEXT),
    60: Option("size1", 0, 4, False, *UINT),
    252: Option("echo", 1, 40, False, *OPAQUE),
    258: Option("no_response", 0, 1, False, *UINT),
    292: Option("request_tag", 0, 8, True, *OPAQUE),
}
"""RFC 7252 (section 5.10), 7641, 7959, 7967, 8768 and 9175. Uri-Path, 11, is apart."""
NUMBERS = {option.field: (number, option) for number, option in OPTIONS.items()}
PAYLOAD = Payload()
Options: TypeAlias = list[tuple[int, bytes]]
"""Numbers and values."""

# -- all of them, and the payload (section 3.1) --------------------------------------------------------


def read_rest(data: bytes, at: int) -> tuple[dict[str, Any], int]:
    """Options and payload, which go from `at` to the end."""
    end = len(data)
    code = data[1]
    if not code and (at != 4 or at != end):  # an empty message ends with its id (section 4.1)
        raise DecodeError("an empty message that is not empty")
    options: Options = []
    payload = b""
    number = 0
    while at < end:
        head = data[at]
        at += 1
        if head == 0xFF:
            if at == end:
                raise DecodeError("a payload marker, and no payload")
            payload = data[at:]
            break
        delta, length = head >> 4, head & 15
        if delta > 12:
            delta, at = _extended(delta, data, at)
        if length > 12:
            length, at = _extended(length, data, at)
        number += delta
        options.append((number, data[at : at + length]))
        at += length
        if at > end:
            raise DecodeError("an option is longer than the message")
    return fields_of(code, options, payload), end


def fields_of(code: int, options: Options, payload: bytes) -> dict[str, Any]:
    """What a message of the code `code` shows of its options, which are in order, and its payload."""
    if not code:
        return {}
    fields: dict[str, Any] = {}
    path = ""
    for number, value in options:
        option = OPTIONS.get(number)
        try:
            if number == URI_PATH and len(value) < 256:
                path += "/" + escaped(value.decode())
                continue
            if option is not None and option.shortest <= len(value) <= option.longest:
                field, _, _, many, read, _ = option
                if many:
                    if field in fields:
                        fields[field].append(read(value))
                    else:
                        fields[field] = [read(value)]
                    continue
                if field not in fields:
                    fields[field] = read(value)
                    continue
        except UnicodeDecodeError:
            pass
        if number > 0xFFFF:
            raise DecodeError("an option's number is beyond 65535")
        fields.setdefault("options", []).append({"number": number, "value": value})
    if code < 32:
        fields["path"] = path or "/"
    elif path:
        fields["path"] = path
    fields["payload"] = PAYLOAD.decode(payload) if payload else ""
    return fields


def parts_of_rest(data: bytes, at: int) -> Iterator[tuple[str, int, int, Any]]:
    """Where each option is, of a path each segment, and the payload."""
    counts: Counter[str] = Counter()
    number = 0
    while at < len(data):
        start, delta, length = at, data[at] >> 4, data[at] & 15
        at += 1
        if data[start] == 0xFF:
            yield "payload", start, len(data), PAYLOAD.decode(data[at:])
            return
        if delta > 12:
            delta, at = _extended(delta, data, at)
        if length > 12:
            length, at = _extended(length, data, at)
        number += delta
        raw, at = data[at : at + length], at + length
        if at > len(data):
            return
        field, value = next(iter(fields_of(RESPONSES["CONTENT"], [(number, raw)], b"").items()))
        if counts[field] and not isinstance(value, list) and field != "path":  # once too often
            field, value = "options", [{"number": number, "value": raw}]
        counts[field] += 1
        if isinstance(value, list):
            field, value = f"{field}.{counts[field] - 1}", value[0]
        yield field, start, at, value


def _extended(nibble: int, data: bytes, at: int) -> tuple[int, int]:
    if nibble == 13 and at < len(data):
        return data[at] + 13, at + 1
    if nibble == 14 and at + 1 < len(data):
        return (data[at] << 8 | data[at + 1]) + 269, at + 2
    raise DecodeError(
        "an option's head of 15" if nibble == 15 else "an option is longer than the message"
    )


def escaped(segment: str) -> str:
    """A segment of a path in which a slash is none of the path's."""
    if "/" in segment or "%" in segment:
        return segment.replace("%", "%25").replace("/", "%2F")
    return segment


def segments(path: str) -> list[str]:
    """The segments of a path that is written with slashes."""
    found = path.removeprefix("/").split("/") if path not in ("", "/") else []
    if "%" in path:
        return [one.replace("%2F", "/").replace("%25", "%") for one in found]
    return found


def write_rest(message: dict[str, Any]) -> bytes:
    return _joined(*_options_of(message))


def tell_rest(before: bytes, message: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """What `write_rest` does, and what `read_rest` makes of that."""
    options, payload = _options_of(message)
    code = before[1]
    if not code and (options or payload or len(before) != 4):
        raise EncodeError("an empty message that is not empty")
    return _joined(options, payload), fields_of(code, options, payload)


def _options_of(message: dict[str, Any]) -> tuple[Options, bytes]:
    """The options of a message, in order, and its payload."""
    options: Options = []
    payload = b""
    for field, value in message.items():
        if value is None:
            continue
        known = NUMBERS.get(field)
        if known is not None:
            number, option = known
            if option.many and isinstance(value, list | tuple):
                options += [(number, _written(option, one)) for one in value]
            else:
                options.append((number, _written(option, value)))
        elif field == "payload":
            payload = value.encode() if value.__class__ is str else PAYLOAD.encode(value)
        elif field == "path":
            if not isinstance(value, str):
                raise EncodeError(f"a text, not {type(value).__name__}", "path")
            options += [(URI_PATH, segment.encode()) for segment in segments(value)]
        elif field == "options":
            options += [(one["number"], one["value"]) for one in value]
    if len(options) > 1:
        options.sort(key=_number)  # stable: those of a kind stay as they are
    return options, payload


def _joined(options: Options, payload: bytes) -> bytes:
    parts = []
    last = 0
    for number, raw in options:
        delta, length = number - last, len(raw)
        parts.append(
            HEADS[delta << 4 | length] if delta < 13 and length < 13 else _head(delta, length)
        )
        parts.append(raw)
        last = number
    if payload:
        parts += (MARKER, payload)
    return b"".join(parts)


def _written(option: Option, value: Any) -> bytes:
    field, shortest, longest, _, _, write = option
    try:
        raw = write(value)
    except EncodeError as error:
        raise EncodeError(error.reason, field) from None
    if not shortest <= len(raw) <= longest:
        raise EncodeError(f"{shortest} to {longest} bytes, not {len(raw)}", field)
    return raw


def _number(option: tuple[int, bytes]) -> int:
    return option[0]


HEADS = [bytes([value]) for value in range(256)]


def _head(delta: int, length: int) -> bytes:
    if not 0 <= delta <= 0xFFFF or length > 0xFFFF + 269:
        raise EncodeError(f"an option {delta} after another, of {length} bytes", "options")
    delta, more = _nibble(delta)
    length, rest = _nibble(length)
    return bytes([delta << 4 | length]) + more + rest


def _nibble(value: int) -> tuple[int, bytes]:
    if value < 13:
        return value, b""
    if value < 269:
        return 13, bytes([value - 13])
    return 14, (value - 269).to_bytes(2, "big")
