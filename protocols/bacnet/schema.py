"""The schema: the fields of all messages, and which message has which."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from construct import Default, Enum, Flag, Int8ub, Int16ub, Struct

from iotsim import Cbor, EncodeError, FlatStruct, Native

from .codes import (
    APDUS,
    DEFAULT_SERVICE,
    FUNCTIONS,
    NETWORK_MESSAGES,
    NPDU_FUNCTIONS,
    PRIORITIES,
)
from .message import kind_of, production, read_message, write_message
from .services import ACKS, CONFIRMED, REQUESTS, UNCONFIRMED

if TYPE_CHECKING:
    from collections.abc import Mapping

_ADDRESS: Any = Default(Struct("network" / Int16ub, "address" / Default(Cbor(), b"")), None)
_UNCONFIRMED_APART = {name: 256 + number for name, number in UNCONFIRMED.items()}
_ANYTHING = ("type", "value", "object", "property", "array_index")
_FIELDS = dict.fromkeys(
    [item.name for table in (REQUESTS, ACKS) for items in table.values() for item in items]
    + [*_ANYTHING, "error_class", "error_code", "error", "first_failed", "parameters"]
)
BVLC_FIELDS: dict[Any, tuple[str, ...]] = {
    "FORWARDED_NPDU": ("origin",),
    "BVLC_RESULT": ("result",),
    "REGISTER_FOREIGN_DEVICE": ("ttl",),
}
REPEATED = ("object", "property", "array_index")
"""What answers repeat, beside the number and the service."""
APART = frozenset({*_FIELDS, "origin", "result", "ttl", "reason"}.difference(REPEATED))
"""The fields that not all messages have."""
_NOTHING: Any = None
MESSAGE = Native(
    read_message,
    write_message,
    lua=Path(__file__).with_name("headers.lua"),
    like=FlatStruct(
        "function" / Default(Enum(Int8ub, **FUNCTIONS), "ORIGINAL_UNICAST_NPDU"),
        "origin" / Default(Cbor(), _NOTHING) * "of FORWARDED_NPDU: address and port",
        "result" / Default(Int16ub, 0) * "of BVLC_RESULT",
        "ttl" / Default(Int16ub, 0) * "of REGISTER_FOREIGN_DEVICE, in seconds",
        "data" / Default(Cbor(), b"") * "bytes: of a segment, a network message, a table",
        "network_priority" / Default(Enum(Int8ub, **PRIORITIES), "NORMAL"),
        "expecting_reply" / Default(Flag, _NOTHING),
        "destination" / _ADDRESS,
        "source" / _ADDRESS,
        "hop_count" / Default(Int8ub, 255),
        "network_message" / Default(Enum(Int8ub, **NETWORK_MESSAGES), _NOTHING),
        "apdu" / Default(Enum(Int8ub, **APDUS), _NOTHING) * "a request if none is said",
        "invoke_id" / Default(Int8ub, 0),
        "segmented_response_accepted" / Default(Flag, False),
        "max_segments" / Default(Int8ub, 0),
        "max_apdu" / Default(Int16ub, 1476),
        "sequence_number" / Default(Int8ub, _NOTHING),
        "more_follows" / Default(Flag, False),
        "window" / Default(Int8ub, 1),
        "negative" / Default(Flag, False),
        "server" / Default(Flag, True),
        "reason" / Default(Cbor(), "OTHER") * "of REJECT and ABORT",
        "service" / Default(Enum(Int16ub, **CONFIRMED, **_UNCONFIRMED_APART), DEFAULT_SERVICE),
        *(name / Default(Cbor(), _NOTHING) for name in _FIELDS),
    ),
)


def refuse_others(message: Mapping[str, Any]) -> None:
    """EncodeError if `message` has a field that only others have, which encoding passes over. What answers
    repeat, any answer may have."""
    own = _own_fields(message)
    for name in APART.intersection(message).difference(own):
        if message[name] is not None:
            service = message.get("service") or ""
            what = message.get("apdu") or message.get("network_message") or message.get("function")
            raise EncodeError(f"{service or what or DEFAULT_SERVICE} has no such field", name)


def has_npdu(message: Mapping[str, Any]) -> bool:
    """Whether the message is one of the network layer, and not of the BVLC alone."""
    function = message.get("function") or "ORIGINAL_UNICAST_NPDU"
    return FUNCTIONS.get(function, function) in NPDU_FUNCTIONS


def _own_fields(message: Mapping[str, Any]) -> list[str]:
    own = list(BVLC_FIELDS.get(message.get("function"), ()))
    if not has_npdu(message) or message.get("network_message"):
        return own
    apdu = kind_of(message)
    if apdu in ("REJECT", "ABORT"):
        return [*own, "reason"]
    if message.get("sequence_number") is not None or apdu in ("SIMPLE_ACK", "SEGMENT_ACK"):
        return own
    items = production(apdu, message.get("service") or DEFAULT_SERVICE)
    if items is None or message.get("parameters") is not None:
        return [*own, "parameters"]
    values = ["type"] if any(item.kind == "ANY" for item in items) else []
    return own + values + [item.name for item in items]
