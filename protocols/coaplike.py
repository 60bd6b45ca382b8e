"""A CoAP-like protocol: the header of CoAP (RFC 7252, section 3), and the rest as bytes.

    version (2 bits) | type (2) | token length (4) | code | message id (2) | token | options

It is here as an example of bit fields, and as a measure of speed beside real CoAP servers. Options
and payload are not taken apart: ``options`` holds them as they are on the wire.
"""

from __future__ import annotations

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Const,
    Default,
    Enum,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Rebuild,
    len_,
    this,
)

from iotsim import FlatStruct, Protocol

CODE = Enum(
    Int8ub,
    EMPTY=0x00,
    GET=0x01,
    POST=0x02,
    PUT=0x03,
    DELETE=0x04,
    CREATED=0x41,
    DELETED=0x42,
    VALID=0x43,
    CHANGED=0x44,
    CONTENT=0x45,
    BAD_REQUEST=0x80,
    NOT_FOUND=0x84,
    METHOD_NOT_ALLOWED=0x85,
)

MESSAGE = FlatStruct(
    BitStruct(
        "version" / Const(1, BitsInteger(2)),
        "type" / Enum(BitsInteger(2), CONFIRMABLE=0, NON_CONFIRMABLE=1, ACKNOWLEDGEMENT=2, RESET=3),
        "token_length" / Rebuild(BitsInteger(4), len_(this._.token)),
    ),
    "code" / CODE,
    "message_id" / Int16ub,
    "token" / Bytes(this.token_length),
    "options" / Default(GreedyBytes, b"") * "options, and the payload after a byte 0xff",
)

PROTOCOL = Protocol(
    name="coaplike",
    message=MESSAGE,
    port=5683,
    echo=["message_id", "token"],
    summary="{code} {type} id={message_id} token={token}",
    description="The header of CoAP, with options and payload as bytes",
)

VECTORS = [
    (
        "42 01 1234 a1b2 b474656d70",
        {
            "version": 1,
            "type": "CONFIRMABLE",
            "token_length": 2,
            "code": "GET",
            "message_id": 0x1234,
            "token": b"\xa1\xb2",
            "options": b"\xb4temp",
        },
    ),
    (
        "62 45 1234 a1b2 c0ff32302e35",
        {
            "type": "ACKNOWLEDGEMENT",
            "code": "CONTENT",
            "message_id": 0x1234,
            "token": b"\xa1\xb2",
            "options": b"\xc0\xff20.5",
        },
    ),
    ("70 00 1235", {"type": "RESET", "code": "EMPTY", "message_id": 0x1235, "token": b""}),
]
