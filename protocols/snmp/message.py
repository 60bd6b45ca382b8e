"""Messages of SNMP v1 (RFC 1157) and v2c (RFC 1901, RFC 3416), in one vocabulary.

Each is a SEQUENCE of version, community and PDU. In those of v1, what it lacks is refused (RFC 3584,
section 4).
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from construct import (
    Adapter,
    Default,
    Enum,
    GreedyBytes,
    GreedyRange,
    GreedyString,
    Int8ub,
    Int32sb,
    Int32ub,
    Struct,
    Switch,
    this,
)

from iotsim import DecodeError, EncodeError, FlatStruct, Native

from .ber import (
    LONGEST_SHORT,
    ONLY_V2,
    SEQUENCE,
    SEQUENCES,
    TYPE_NAMES,
    TYPES,
    address_tlv,
    check_end,
    normal_oid_tlv,
    number_in,
    number_tlv,
    oid_tlv,
    read_header,
    read_inside,
    read_integer,
    sequence_tlv,
    short_headers,
    tlv,
    tlv_size,
    value_in,
    value_tlv,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

Message = dict[str, Any]
Binding = dict[str, Any]

PDUS = {
    "GET": 0xA0,
    "GETNEXT": 0xA1,
    "RESPONSE": 0xA2,
    "SET": 0xA3,
    "GETBULK": 0xA5,
    "INFORM": 0xA6,
    "TRAP": 0xA7,
    "REPORT": 0xA8,
}
PDU_NAMES = {tag: name for name, tag in PDUS.items()}
TRAP_V1 = 0xA4
"""The Trap-PDU, which is of another form."""
PDUS_V1 = frozenset({0xA0, 0xA1, 0xA2, 0xA3, TRAP_V1})
ERRORS = {
    "NO_ERROR": 0,
    "TOO_BIG": 1,
    "NO_SUCH_NAME": 2,
    "BAD_VALUE": 3,
    "READ_ONLY": 4,
    "GEN_ERR": 5,
    "NO_ACCESS": 6,
    "WRONG_TYPE": 7,
    "WRONG_LENGTH": 8,
    "WRONG_ENCODING": 9,
    "WRONG_VALUE": 10,
    "NO_CREATION": 11,
    "INCONSISTENT_VALUE": 12,
    "RESOURCE_UNAVAILABLE": 13,
    "COMMIT_FAILED": 14,
    "UNDO_FAILED": 15,
    "AUTHORIZATION_ERROR": 16,
    "NOT_WRITABLE": 17,
    "INCONSISTENT_NAME": 18,
}
ERROR_NAMES = {number: name for name, number in ERRORS.items()}
GENERIC_TRAPS = {
    "COLD_START": 0,
    "WARM_START": 1,
    "LINK_DOWN": 2,
    "LINK_UP": 3,
    "AUTHENTICATION_FAILURE": 4,
    "EGP_NEIGHBOR_LOSS": 5,
    "ENTERPRISE_SPECIFIC": 6,
}
GENERIC_TRAP_NAMES = {number: name for name, number in GENERIC_TRAPS.items()}
_VERSIONS = {1: bytes.fromhex("020100"), 2: bytes.fromhex("020101")}
_NO_ERROR = bytes.fromhex("020100 020100")
"""Error and index of nearly all messages."""
OTHER_FORMS = frozenset({TRAP_V1, PDUS["GETBULK"]})
COMMON = 7
"""Fields of a message of any other form: version, community, PDU, request id, error, index, bindings."""
_PDUS = {tag: short_headers(tag) for tag in (*PDU_NAMES, TRAP_V1)}
_LEAST_OCTETS = 13
_REMEMBERED_OCTETS = 512
_ZEROS = [bytes(count) for count in range(5)]

# -- in --------------------------------------------------------------------------------------------


def read_message(data: bytes, at: int) -> tuple[Message, int]:
    """Nearly all messages differ in their request id alone from one that has come before. So what a message
    says is remembered by its octets with the request id 0: they say the same but for that number, which any
    octets are."""
    size = len(data)
    if at == 0 and _LEAST_OCTETS <= size <= _REMEMBERED_OCTETS:
        start = data[6] + 11 if data[1] <= LONGEST_SHORT else _place_in_long(data)
        if start < size and 0 < (length := data[start - 1]) <= 4:
            stop = start + length
            said = _remembered(data[:start] + _ZEROS[length] + data[stop:], start)
            if said is not None:
                message = said.copy()
                message["request_id"] = int.from_bytes(data[start:stop], "big", signed=True)
                message["bindings"] = [one.copy() for one in said["bindings"]]
                return message, size
    message, end, _ = _read_message(data, at)
    return message, end


def _place_in_long(data: bytes) -> int:
    """Where the octets of the request id begin if `data` are a message with a length of several octets."""
    try:
        community = data[1] - 0x7B
        pdu = community + 2 + data[community + 1]
        return pdu + 4 + max(data[pdu + 1] - 0x80, 0)
    except IndexError:
        return len(data)


@lru_cache(2048)
def _remembered(octets: bytes, start: int) -> Message | None:
    """What `octets` say, if they are a message whose request id begins at `start`, and nothing after it."""
    try:
        message, end, place = _read_message(octets, 0)
    except DecodeError:
        return None
    return message if place == start - 2 and end == len(octets) else None


def _read_message(data: bytes, at: int) -> tuple[Message, int, int]:
    """A message, the place after it, and that of its request id; -1 if it has none."""
    at, end = read_inside(data, at, len(data), SEQUENCE, "")
    number, community, at = _read_head(data, at, end)
    head = {"version": number + 1, "community": community}
    tag, start, stop = read_header(data, at, end, "pdu")
    check_end(stop, end, "pdu")
    if number == 0 and tag == TRAP_V1:
        return _read_trap(data, start, end, head), end, -1
    pdu = PDU_NAMES.get(tag)
    if pdu is None or (number == 0 and tag not in PDUS_V1):
        raise DecodeError(f"no PDU of v{number + 1} has the tag 0x{tag:02x}", "pdu", at)
    head["pdu"] = pdu
    head["request_id"], at = read_integer(data, start, end, "request_id")
    if pdu == "GETBULK":
        head["non_repeaters"], at = read_integer(data, at, end, "non_repeaters")
        head["max_repetitions"], at = read_integer(data, at, end, "max_repetitions")
    elif data[at : at + len(_NO_ERROR)] == _NO_ERROR:
        head["error"], head["index"] = "NO_ERROR", 0
        at += len(_NO_ERROR)
    else:
        error, at = read_integer(data, at, end, "error")
        head["error"] = ERROR_NAMES.get(error, error)
        head["index"], at = read_integer(data, at, end, "index")
    head["bindings"] = read_bindings(data, at, end, number + 1)
    return head, end, start


def _read_head(data: bytes, at: int, end: int) -> tuple[int, str, int]:
    number, at = read_integer(data, at, end, "version")
    if number not in (0, 1):
        told = "SNMPv3" if number == 3 else f"the version {number}"
        raise DecodeError(f"{told}, and neither v1 (0) nor v2c (1)", "version", at - 1)
    start, at = read_inside(data, at, end, TYPES["OCTETS"], "community")
    return number, data[start:at].decode("latin-1"), at


def _read_trap(data: bytes, at: int, end: int, head: Message) -> Message:
    """A Trap-PDU (RFC 1157, section 4.1.6)."""
    start, at = read_inside(data, at, end, TYPES["OID"], "enterprise")
    enterprise = value_in(data[start:at], "OID", "enterprise", start)
    start, at = read_inside(data, at, end, TYPES["IPADDRESS"], "agent_addr")
    address = value_in(data[start:at], "IPADDRESS", "agent_addr", start)
    generic, at = read_integer(data, at, end, "generic_trap")
    specific, at = read_integer(data, at, end, "specific_trap")
    start, at = read_inside(data, at, end, TYPES["TIMETICKS"], "time_stamp")
    ticks = number_in(data[start:at], "TIMETICKS", "time_stamp", start)
    return {
        **head,
        "pdu": "TRAP",
        "enterprise": enterprise,
        "agent_addr": address,
        "generic_trap": GENERIC_TRAP_NAMES.get(generic, generic),
        "specific_trap": specific,
        "time_stamp": ticks,
        "bindings": read_bindings(data, at, end, 1),
    }


def read_bindings(data: bytes, at: int, limit: int, version: int) -> list[Binding]:
    """The variable bindings, which are all up to `limit`."""
    at, end = read_inside(data, at, limit, SEQUENCE, "bindings")
    check_end(end, limit, "bindings")
    bindings: list[Binding] = []
    try:
        while at < end:
            begin, stop = read_inside(data, at, end, SEQUENCE, "")
            begin, at = read_inside(data, begin, stop, TYPES["OID"], ".oid")
            oid = value_in(data[begin:at], "OID", ".oid", begin)
            tag, begin, after = read_header(data, at, stop, ".value")
            kind = TYPE_NAMES.get(tag)
            if kind is None or (version == 1 and kind in ONLY_V2):
                raise DecodeError(f"no value of v{version} has the tag 0x{tag:02x}", ".type", at)
            check_end(after, stop, "")
            value = value_in(data[begin:after], kind, ".value", begin)
            bindings.append({"oid": oid, "type": kind, "value": value})
            at = stop
    except DecodeError as error:
        path = f"bindings.{len(bindings)}{error.path}"
        raise DecodeError(error.reason, path, error.offset) from None
    return bindings


def parts_of_message(data: bytes, at: int) -> Iterator[tuple[str, int, int, Any]]:
    """Where each value is, with its tag and length."""
    _, at, _ = read_header(data, at, ANY_LENGTH, "")
    end = len(data)
    number, community, _ = _read_head(data, at, end)
    for name, value in (("version", number + 1), ("community", community)):
        _, _, stop = read_header(data, at, end, name)
        yield name, at, stop, value
        at = stop
    tag, start, _ = read_header(data, at, ANY_LENGTH, "pdu")
    is_trap = number == 0 and tag == TRAP_V1
    yield "pdu", at, start, "TRAP" if is_trap else PDU_NAMES.get(tag, tag)
    names = TRAP_FIELDS if is_trap else BULK_FIELDS if tag == PDUS["GETBULK"] else FIELDS
    at = start
    for name in names:
        tag, start, stop = read_header(data, at, end, name)
        yield name, at, stop, _named(name, value_in(data[start:stop], TYPE_NAMES[tag], name, start))
        at = stop
    _, at, _ = read_header(data, at, ANY_LENGTH, "bindings")
    count = 0
    while at < end:
        _, begin, _ = read_header(data, at, ANY_LENGTH, "bindings")
        _, start, middle = read_header(data, begin, end, "bindings")
        yield f"bindings.{count}.oid", begin, middle, value_in(data[start:middle], "OID", "", start)
        tag, start, stop = read_header(data, middle, end, "bindings")
        kind = TYPE_NAMES[tag]
        yield f"bindings.{count}.type", middle, middle + 1, kind
        yield (
            f"bindings.{count}.value",
            middle + 1,
            stop,
            value_in(data[start:stop], kind, "", start),
        )
        at, count = stop, count + 1


ANY_LENGTH = 1 << 32
"""A limit that is none: what is cut short is shown as far as it goes."""
FIELDS = "request_id", "error", "index"
BULK_FIELDS = "request_id", "non_repeaters", "max_repetitions"
TRAP_FIELDS = "enterprise", "agent_addr", "generic_trap", "specific_trap", "time_stamp"


def _named(field: str, value: Any) -> Any:
    """The value of a field, some of which have names."""
    names = {"error": ERROR_NAMES, "generic_trap": GENERIC_TRAP_NAMES}.get(field, {})
    return names.get(value, value)


# -- out -------------------------------------------------------------------------------------------


def write_message(message: Message) -> bytes:
    version, pdu = message.get("version", 2), message.get("pdu")
    community = message.get("community", "public")
    try:
        tag, head = _remembered_envelope(version, community, pdu)
    except TypeError:  # for what has no hash
        tag, head = _envelope(version, community, pdu)
    bindings = []
    try:
        for one in message.get("bindings", ()):
            bindings.append(write_binding(one, version))  # noqa: PERF401  # an error tells which
    except EncodeError as error:
        raise EncodeError(error.reason, f"bindings.{len(bindings)}.{error.path}") from None
    if tag == TRAP_V1:
        fields = _trap_fields(message)
    else:
        fields = number_tlv(message.get("request_id", 0), "INTEGER", "request_id")
        if pdu == "GETBULK":
            for name in ("non_repeaters", "max_repetitions"):
                fields += number_tlv(message.get(name, 0), "INTEGER", name)
        else:
            fields += _status_tlv(message.get("error", "NO_ERROR"), message.get("index", 0))
    return _message_tlv(tag, head, fields, b"".join(bindings))


def tell_message(_: bytes, message: Message) -> tuple[bytes, Message]:
    """What `write_message` does of a message that is in normal form, as nearly all that are sent, and what
    `read_message` makes of that. ValueError for any other."""
    version, community, pdu = message["version"], message["community"], message["pdu"]
    number, error, index = message["request_id"], message["error"], message["index"]
    tag, head = _remembered_envelope(version, community, pdu)
    if (
        not (version.__class__ is number.__class__ is index.__class__ is int)
        or error.__class__ is not str
        or tag in OTHER_FORMS
        or len(message) != COMMON
    ):
        raise ValueError("in another form")
    bindings: list[Binding] = []
    written = []
    for one in message["bindings"]:
        oid, kind, value = one["oid"], one["type"], one["value"]
        if version == 1 and kind in ONLY_V2:
            raise ValueError("not in v1")
        if value.__class__ is int:
            octets = number_tlv(value, kind, "value")
        elif value is None or (value.__class__ is str and kind == "OCTETS" and value.isprintable()):
            octets = value_tlv(kind, value, "value")
        else:
            raise ValueError("in another form")
        written.append(sequence_tlv(normal_oid_tlv(oid) + octets))
        bindings.append({"oid": oid, "type": kind, "value": value})
    fields = number_tlv(number, "INTEGER", "") + _status_tlv(error, index)
    return _message_tlv(tag, head, fields, b"".join(written)), {
        "version": version,
        "community": community,
        "pdu": pdu,
        "request_id": number,
        "error": error,
        "index": index,
        "bindings": bindings,
    }


def _envelope(version: Any, community: Any, pdu: Any) -> tuple[int, bytes]:
    """The tag of the PDU, and the octets before it."""
    if version not in (1, 2):
        raise EncodeError(f"{version!r:.100} is neither 1 (v1) nor 2 (v2c)", "version")
    tag = _tag_of(pdu, version)
    try:
        octets = community.encode("latin-1")
    except (AttributeError, UnicodeEncodeError):
        raise EncodeError("no text in Latin-1", "community") from None
    return tag, _VERSIONS[version] + tlv(TYPES["OCTETS"], octets)


_remembered_envelope = lru_cache(256)(_envelope)


def _message_tlv(tag: int, head: bytes, fields: bytes, bindings: bytes) -> bytes:
    """A message of what is before its PDU, of that with its `tag`, and of the bindings in that."""
    count = len(bindings)
    inside = len(fields) + 2 + count
    whole = len(head) + 2 + inside
    if whole > LONGEST_SHORT:
        return sequence_tlv(head + tlv(tag, fields + sequence_tlv(bindings)))
    return b"".join(
        (SEQUENCES[whole], head, _PDUS[tag][inside], fields, SEQUENCES[count], bindings)
    )


def _tag_of(pdu: Any, version: int) -> int:
    tag = PDUS.get(pdu)
    if version == 1 and tag == PDUS["TRAP"]:
        return TRAP_V1
    if tag is None or (version == 1 and tag not in PDUS_V1):
        raise EncodeError(f"v{version} has no PDU {pdu!r:.100}", "pdu")
    return tag


def _trap_fields(message: Message) -> bytes:
    return b"".join(
        (
            oid_tlv(message.get("enterprise", "0.0"), "enterprise"),
            address_tlv(message.get("agent_addr", "0.0.0.0"), "agent_addr"),
            _named_tlv(message.get("generic_trap", 6), GENERIC_TRAPS, "generic_trap"),
            number_tlv(message.get("specific_trap", 0), "INTEGER", "specific_trap"),
            number_tlv(message.get("time_stamp", 0), "TIMETICKS", "time_stamp"),
        )
    )


def _status_tlv(error: Any, index: Any) -> bytes:
    if error == "NO_ERROR" and index == 0:
        return _NO_ERROR
    return _named_tlv(error, ERRORS, "error") + number_tlv(index, "INTEGER", "index")


def _named_tlv(value: Any, names: dict[str, int], path: str) -> bytes:
    """An INTEGER of which some values have names."""
    number = names.get(value, value) if isinstance(value, str) else value
    if isinstance(number, str):
        raise EncodeError(f"there is no value named {number[:100]!r}", path)
    return number_tlv(number, "INTEGER", path)


def write_binding(binding: Binding, version: int) -> bytes:
    value, kind = binding.get("value"), binding.get("type")
    if kind is None:
        kind = type_of(value)
    elif kind not in TYPES:
        raise EncodeError(f"there is no type {kind!r:.100}", "type")
    if version == 1 and kind in ONLY_V2:
        raise EncodeError(f"v1 has no {kind}", "type")
    name = oid_tlv(binding.get("oid"), "oid")
    return sequence_tlv(name + value_tlv(kind, value, "value"))


def type_of(value: Any) -> str:
    """The type of a value of which none is said."""
    if value is None:
        return "NULL"
    return "INTEGER" if isinstance(value, int | float) else "OCTETS"


def envelope_size(message: Message, size: int) -> int:
    """The octets of the response to `message` around `size` octets of bindings."""
    head = len(number_tlv(message["request_id"], "INTEGER", "")) + 6
    body = head + tlv_size(size)
    return tlv_size(3 + tlv_size(len(message["community"])) + tlv_size(body)) - size


# -- the schema ------------------------------------------------------------------------------------


class Octets(Adapter):  # type: ignore[type-arg]
    """What a value may be: a number, a text, bytes, or nothing. It only declares the field."""


_REQUEST_ID = "request_id" / Default(Int32sb, 0)
_STATUS = (
    "error" / Default(Enum(Int32sb, **ERRORS), "NO_ERROR"),
    "index" / Default(Int32sb, 0) * "which binding the error is of, from 1",
)
_BINDING = Struct(
    "oid" / GreedyString("ascii"),
    "type" / Default(Enum(Int8ub, **TYPES), "NULL") * "where none is said, that of the value",
    "value" / Default(Octets(GreedyBytes), None),
)
MESSAGE = Native(
    read_message,
    write_message,
    tell=tell_message,
    plain=True,
    parts=parts_of_message,
    lua=Path(__file__).with_name("message.lua"),
    like=FlatStruct(
        "version" / Default(Int8ub, 2) * "1, or 2 for v2c",
        "community" / Default(GreedyString("latin-1"), "public"),
        "pdu" / Enum(Int8ub, **PDUS),
        Switch(
            this.pdu,
            {
                "GETBULK": FlatStruct(
                    _REQUEST_ID,
                    "non_repeaters" / Default(Int32sb, 0),
                    "max_repetitions" / Default(Int32sb, 0),
                ),
                "TRAP": FlatStruct(
                    _REQUEST_ID,
                    *_STATUS,
                    "enterprise" / Default(GreedyString("ascii"), "0.0") * "in v1",
                    "agent_addr" / Default(GreedyString("ascii"), "0.0.0.0") * "in v1",
                    "generic_trap"
                    / Default(Enum(Int32sb, **GENERIC_TRAPS), "ENTERPRISE_SPECIFIC")
                    * "in v1",
                    "specific_trap" / Default(Int32sb, 0) * "in v1",
                    "time_stamp" / Default(Int32ub, 0) * "in v1, in 1/100 s since boot",
                ),
            },
            default=FlatStruct(_REQUEST_ID, *_STATUS),
        ),
        "bindings" / Default(GreedyRange(_BINDING), []),
    ),
)
