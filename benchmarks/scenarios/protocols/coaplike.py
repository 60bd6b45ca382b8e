"""A CoAP-like header (RFC 7252, section 3): bit fields, a token by its length, options as bytes."""

from __future__ import annotations

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Default,
    Enum,
    GreedyBytes,
    Int8ub,
    Int16ub,
    this,
)

from iotsim import FlatStruct, Protocol

MESSAGE = FlatStruct(
    BitStruct(
        "version" / Default(BitsInteger(2), 1),
        "type" / Enum(BitsInteger(2), CON=0, NON=1, ACK=2, RST=3),
        "tkl" / BitsInteger(4),
    ),
    "code" / Enum(Int8ub, EMPTY=0, GET=1, CONTENT=0x45),
    "mid" / Int16ub,
    "token" / Bytes(this.tkl),
    "options" / GreedyBytes * "options and payload",
)

PROTOCOL = Protocol(
    name="coaplike",
    message=MESSAGE,
    port=5683,
    echo=["tkl", "mid", "token"],
    summary="{type} {code} mid={mid}",
)

VECTORS = [
    (
        "44 01 0007 01020304 b178",
        {
            "version": 1,
            "type": "CON",
            "tkl": 4,
            "code": "GET",
            "mid": 7,
            "token": bytes([1, 2, 3, 4]),
            "options": b"\xb1x",
        },
    )
]
