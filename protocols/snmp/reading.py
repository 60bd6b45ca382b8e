"""Messages, read. In those of v1, what it lacks is refused (RFC 3584, section 4)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from iotsim import DecodeError

from .ber import (
    LONGEST_SHORT,
    ONLY_V2,
    SEQUENCE,
    TYPE_NAMES,
    TYPES,
    check_end,
    number_in,
    oid_in,
    read_header,
    read_inside,
    read_integer,
    value_in,
)
from .vocabulary import (
    ERROR_NAMES,
    GENERIC_TRAP_NAMES,
    NO_ERROR,
    PDU_NAMES,
    PDUS,
    PDUS_V1,
    TRAP_V1,
    Binding,
    Message,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

OID = TYPES["OID"]
_LEAST_OCTETS = 13
_REMEMBERED_OCTETS = 512
_ZEROS = [bytes(count) for count in range(5)]


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
        community = 5 + data[1] - 0x80
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
    elif data[at : at + len(NO_ERROR)] == NO_ERROR:
        head["error"], head["index"] = "NO_ERROR", 0
        at += len(NO_ERROR)
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
    start, at = read_inside(data, at, end, OID, "enterprise")
    enterprise = oid_in(data[start:at], "enterprise", start)
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
            begin, at = read_inside(data, begin, stop, OID, ".oid")
            oid = oid_in(data[begin:at], ".oid", begin)
            tag, begin, after = read_header(data, at, stop, ".value")
            kind = TYPE_NAMES.get(tag)
            if kind is None or (version == 1 and kind in ONLY_V2):
                raise DecodeError(f"no value of v{version} has the tag 0x{tag:02x}", ".type", at)
            if after != stop:
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
        yield f"bindings.{count}.oid", begin, middle, oid_in(data[start:middle], "", start)
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
