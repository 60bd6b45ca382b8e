"""CoAP's messages (RFC 7252, section 3): the schema.

What is absent on the wire is absent here. Two things are there always, since the standard gives the absence
a meaning: the ``payload`` ("" where there is none) of all messages but empty ones, and the ``path`` ("/") of
requests. What there is of `options`, and of the payload, has a file of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Check,
    Const,
    Default,
    Enum,
    Flag,
    GreedyBytes,
    GreedyRange,
    GreedyString,
    Int8ub,
    Int16ub,
    Int24ub,
    Int32ub,
    PascalString,
    Prefixed,
    Rebuild,
    Struct,
    len_,
    this,
)

from iotsim import EncodeError, FlatStruct, Native, Payload

from .codes import CODES, FORMATS
from .options import LARGEST_BLOCK, parts_of_rest, read_rest, tell_rest, write_rest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from iotsim import DecodeError

LARGEST_TOKEN = 8
BARE = 8
"""So many fields has a request with no option but its path: each option that it has is one more."""


def _optional(subcon: Any) -> Any:
    return Default(subcon, None)


_TEXT = GreedyString("utf8")
_TEXTS: Any = Default(GreedyRange(PascalString(Int8ub, "utf8")), [])
_OPAQUE = Prefixed(Int8ub, GreedyBytes)
_OPAQUES: Any = Default(GreedyRange(_OPAQUE), [])
_FORMAT = Enum(Int16ub, **FORMATS)
_BLOCK = Struct(
    "number" / Default(Int24ub, 0),
    "more" / Default(Flag, False),
    "size" / Default(Int16ub, LARGEST_BLOCK),
)
REST = Native(
    read_rest,
    write_rest,
    tell=tell_rest,
    parts=parts_of_rest,
    lua=Path(__file__).with_name("rest.lua"),
    like=Struct(
        "path" / Default(_TEXT, "/") * "the segments of Uri-Path, with slashes",
        "query" / _TEXTS * "a list of texts, of Uri-Query",
        "content_format" / _optional(_FORMAT),
        "accept" / _optional(_FORMAT),
        "observe" / _optional(Int24ub) * "of a request, 0 begins and 1 ends an observation",
        "max_age" / _optional(Int32ub) * "in seconds",
        "etag" / _OPAQUES,
        "if_match" / _OPAQUES,
        "if_none_match" / _optional(Flag),
        "location_path" / _TEXTS,
        "location_query" / _TEXTS,
        "uri_host" / _optional(_TEXT),
        "uri_port" / _optional(Int16ub),
        "block1" / _optional(_BLOCK) * "of the request's body",
        "block2" / _optional(_BLOCK) * "of the response's body",
        "size1" / _optional(Int32ub) * "of the request's body, in bytes",
        "size2" / _optional(Int32ub) * "of the response's body, in bytes",
        "proxy_uri" / _optional(_TEXT),
        "proxy_scheme" / _optional(_TEXT),
        "hop_limit" / _optional(Int8ub),
        "no_response" / _optional(Int8ub) * "2: no 2.xx, 8: no 4.xx, 16: no 5.xx, or sums",
        "echo" / _optional(_OPAQUE),
        "request_tag" / _OPAQUES,
        "options"
        / Default(GreedyRange(Struct("number" / Int16ub, "value" / GreedyBytes)), [])
        * "all others",
        "payload" / Default(Payload(), "") * "text if it is UTF-8, else bytes",
    ),
)

MESSAGE = FlatStruct(
    BitStruct(
        "version" / Const(1, BitsInteger(2)),
        "type" / Default(Enum(BitsInteger(2), CON=0, NON=1, ACK=2, RST=3), "CON"),
        "token_length" / Rebuild(BitsInteger(4), len_(this._.token)),
    ),
    Check(this.token_length <= LARGEST_TOKEN),
    "code" / Enum(Int8ub, **CODES),
    "message_id" / Default(Int16ub, 0),
    "token" / Default(Bytes(this.token_length), b""),
    REST,
)


def error_reply(error: DecodeError, data: bytes) -> dict[str, Any] | None:
    """A confirmable message that is none is rejected, all else ignored (section 4.2)."""
    if len(data) >= 4 and data[0] >> 4 == 0b0100:  # version 1, CON
        return {"type": "RST", "code": "EMPTY", "message_id": int.from_bytes(data[2:4], "big")}
    return None


def not_understood(message: Mapping[str, Any]) -> list[int]:
    """The numbers of its options that are critical, and not known here or not as they have to be (section
    5.4.1)."""
    return [one["number"] for one in message.get("options", ()) if one["number"] & 1]


def check_code(message: Mapping[str, Any]) -> None:
    """EncodeError for what a rule or a behavior says without a code, or with one that there is not."""
    code = message.get("code")
    if code is None:
        raise EncodeError("the message needs this field", "code")
    if isinstance(code, str) and code not in CODES:
        raise EncodeError(f"there is no {code!r}", "code")
