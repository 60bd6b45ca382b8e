"""Messages, written in the shortest form."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from iotsim import EncodeError

from .ber import (
    LONGEST_SHORT,
    ONLY_V2,
    SEQUENCES,
    TYPES,
    address_tlv,
    normal_oid_tlv,
    number_tlv,
    oid_tlv,
    sequence_tlv,
    short_headers,
    tlv,
    tlv_size,
    value_tlv,
)
from .vocabulary import (
    ERRORS,
    GENERIC_TRAPS,
    NO_ERROR,
    PDU_NAMES,
    PDUS,
    PDUS_V1,
    TRAP_V1,
    Binding,
    Message,
)

OTHER_FORMS = frozenset({TRAP_V1, PDUS["GETBULK"]})
COMMON = 7
"""Fields of a message of any other form: version, community, PDU, request id, error, index, bindings."""
_VERSIONS = {1: bytes.fromhex("020100"), 2: bytes.fromhex("020101")}
_HEADERS = {tag: short_headers(tag) for tag in (*PDU_NAMES, TRAP_V1)}


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
        (SEQUENCES[whole], head, _HEADERS[tag][inside], fields, SEQUENCES[count], bindings)
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
        return NO_ERROR
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
