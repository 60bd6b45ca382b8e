"""SNTP version 4 (RFC 4330, RFC 5905): a device as a time server, with an offset, a stratum and a leap of
its own.

All fields are big-endian (RFC 5905, section 7.3). Timestamps are numbers of 2**-32 seconds since 1900
(section 6), so that a client gets its own back bit by bit; ``root_delay`` and ``root_dispersion`` are
seconds.

Answered are requests of the versions 1 to 4 (RFC 4330, section 6), in the version that was asked: a CLIENT by
SERVER, and a SYMMETRIC_ACTIVE by SYMMETRIC_PASSIVE. In version 1, which has no modes, a request has mode 0.
``kiss`` makes every answer a kiss-o'-death (RFC 5905, section 7.4): stratum 0, leap UNKNOWN, and the code as
the reference. A request to a group is answered by the device's own address (manycast, RFC 5905, section 3.1).

Extension fields (RFC 7822) are taken and not looked at. A request with a message authentication code (RFC
5905, section 7.3; MD5 or SHA-1, by its length) is answered with one, if the model has its key and the code is
right, else by a crypto-NAK.

Not there: Autokey, NTS, AES-CMAC, and the broadcast and control modes, which are not answered.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Literal

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Default,
    Enum,
    ExprAdapter,
    GreedyBytes,
    GreedyRange,
    Int8sb,
    Int8ub,
    Int16ub,
    Int32sb,
    Int64ub,
    Struct,
)
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from iotsim import (
    DecodeError,
    EncodeError,
    FlatStruct,
    Native,
    Peer,
    Protocol,
    Session,
    Table,
    Value,
)

UNIX_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970 (RFC 5905, figure 4)."""
PRECISION = -20
"""Of the clock, as a power of two in seconds."""
UNSYNCHRONIZED = 16
"""A stratum, which is 0 in messages (RFC 5905, section 7.3)."""
LEAPS = {"none": "NONE", "insert": "INSERT", "delete": "DELETE", "unsynchronized": "UNKNOWN"}
ANSWERS = {"CLIENT": "SERVER", "SYMMETRIC_ACTIVE": "SYMMETRIC_PASSIVE"}

DIGESTS = {16: hashlib.md5, 20: hashlib.sha1}
"""By their size."""
KEY_ID_SIZE = 4
CRYPTO_NAK = bytes(KEY_ID_SIZE)
EXTENSION_HEADER = 4
LEAST_EXTENSION = 16
CODE_SIZES = (KEY_ID_SIZE, *(KEY_ID_SIZE + size for size in DIGESTS))
"""Of a message authentication code; the first is that of a crypto-NAK."""

Seconds: Any = ExprAdapter(
    Int32sb, lambda fixed, _: fixed / 65536, lambda value, _: round(value * 65536)
)


def read_extensions(data: bytes, at: int) -> tuple[list[dict[str, Any]], int]:
    """What is left, without what is as long as an authentication code may be (RFC 7822, section 7.5.1.4)."""
    extensions = []
    while len(data) - at not in (0, *CODE_SIZES):
        kind, length = (
            int.from_bytes(data[at : at + 2], "big"),
            int.from_bytes(data[at + 2 : at + 4], "big"),
        )
        if length < LEAST_EXTENSION or length % 4 or at + length > len(data):
            raise DecodeError(f"an extension field cannot have {length} bytes here")
        extensions.append({"type": kind, "value": data[at + EXTENSION_HEADER : at + length]})
        at += length
    return extensions, at


def write_extensions(extensions: list[dict[str, Any]]) -> bytes:
    written = b""
    for extension in extensions:
        length = EXTENSION_HEADER + len(extension["value"])
        if length < LEAST_EXTENSION or length % 4:
            raise EncodeError(f"an extension field cannot have {length} bytes")
        written += (
            extension["type"].to_bytes(2, "big") + length.to_bytes(2, "big") + extension["value"]
        )
    return written


MESSAGE = FlatStruct(
    BitStruct(
        "leap" / Default(Enum(BitsInteger(2), NONE=0, INSERT=1, DELETE=2, UNKNOWN=3), "NONE"),
        "version" / Default(BitsInteger(3), 4),
        "mode"
        / Enum(
            BitsInteger(3),
            RESERVED=0,
            SYMMETRIC_ACTIVE=1,
            SYMMETRIC_PASSIVE=2,
            CLIENT=3,
            SERVER=4,
            BROADCAST=5,
            CONTROL=6,
            PRIVATE=7,
        ),
    ),
    "stratum" / Default(Int8ub, 0),
    "poll" / Default(Int8sb, 0) * "the interval between requests, as a power of two in seconds",
    "precision" / Default(Int8sb, 0) * "of the clock, as a power of two in seconds",
    "root_delay" / Default(Seconds, 0),
    "root_dispersion" / Default(Seconds, 0),
    "reference" / Default(Bytes(4), bytes(4)) * "where the time comes from, or a kiss code",
    "reference_time" / Default(Int64ub, 0) * "when the clock was set, in 2**-32 s since 1900",
    "originate" / Default(Int64ub, 0) * "when the client asked",
    "receive" / Default(Int64ub, 0) * "when the server heard",
    "transmit" / Default(Int64ub, 0) * "when this was sent",
    "extensions"
    / Default(
        Native(
            read_extensions,
            write_extensions,
            like=GreedyRange(Struct("type" / Int16ub, "value" / GreedyBytes)),
            lua=Path(__file__).with_name("sntp_extensions.lua"),
        ),
        [],
    ),
    "mac" / Default(GreedyBytes, b"") * "the number of a key, and a digest; a crypto-NAK has none",
)

CODE = re.compile(r"[!-~]{1,4}\Z")
Code = Annotated[str, Field(pattern=r"^[!-~]{1,4}$")]


def reference_id(text: str) -> bytes:
    """A code, or the IPv4 address of the server that is followed (RFC 5905, section 7.3). ValueError."""
    if CODE.match(text):
        return text.encode().ljust(4, b"\0")
    try:
        return IPv4Address(text).packed
    except ValueError:
        raise ValueError(
            f"a reference has up to 4 characters, or is an IPv4 address, not {text!r:.60}"
        ) from None


def _reference(text: str) -> str:
    reference_id(text)
    return text


def key_number(key: Any) -> int:
    text = str(key)
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:11]) < 1 << 32):
        raise ValueError("the number of a key is one from 1 to 4294967295")
    return int(text)


class Model(Table):
    stratum: Annotated[int, Field(ge=1, le=UNSYNCHRONIZED)] = 2
    offset: Value = Field(
        0.0, validate_default=True, description="how far the clock is ahead, in seconds"
    )
    reference: Annotated[str, AfterValidator(_reference)] = Field(
        "LOCL", description="a code, or of a stratum beyond 1 the address of its server"
    )
    leap: Literal["none", "insert", "delete", "unsynchronized"] = "none"
    kiss: Code | None = Field(
        None, description="the code of a kiss-o'-death, which each answer is then"
    )
    keys: dict[Annotated[int, BeforeValidator(key_number)], Value] = Field(
        default_factory=dict, description="of authentication, by number: a text, or bytes"
    )

    @model_validator(mode="after")
    def _is_a_time(self) -> Model:
        offset = self.offset
        if offset.evaluate is None and not isinstance(offset.literal, (int, float)):
            raise ValueError("offset is a number of seconds")
        return self


class Sntp(Session):
    __slots__ = ()

    def respond(self, message: dict[str, Any], peer: Peer) -> dict[str, Any] | None:
        mode, version = message["mode"], message["version"]
        if version == 1 and mode == "RESERVED":
            mode = "CLIENT"
        if not 1 <= version <= 4 or mode not in ANSWERS or (peer.group and mode != "CLIENT"):
            return None
        model: Model = self.model
        now = ntp_time(self.wall_time + self.read(model.offset))
        # RFC 4330, section 4: when it was last set, which is 0 if it never was.
        is_synchronized = model.stratum < UNSYNCHRONIZED and model.leap != "unsynchronized"
        answer = {
            "leap": LEAPS[model.leap],
            "version": version,
            "mode": ANSWERS[mode],
            "stratum": model.stratum % UNSYNCHRONIZED,
            "poll": message["poll"],
            "precision": PRECISION,
            "reference": reference_id(model.reference),
            "reference_time": now >> 32 << 32 if is_synchronized else 0,
            "originate": message["transmit"],
            "receive": now,
            "transmit": now,
        }
        if model.kiss is not None:
            answer |= {"leap": "UNKNOWN", "stratum": 0, "reference": reference_id(model.kiss)}
        if message["mac"]:
            answer["mac"] = self.code(message, answer)
        return answer

    def code(self, request: dict[str, Any], answer: dict[str, Any]) -> bytes:
        """The authentication code of an answer: a crypto-NAK if that of its request is wrong."""
        given: bytes = request["mac"]
        number = int.from_bytes(given[:KEY_ID_SIZE], "big")
        cell, make = self.model.keys.get(number), DIGESTS.get(len(given) - KEY_ID_SIZE)
        if cell is None or make is None:
            return CRYPTO_NAK
        key = self.read(cell)
        secret = key if isinstance(key, bytes) else str(key).encode()
        if not hmac.compare_digest(given[KEY_ID_SIZE:], digest(make, secret, request)):
            return CRYPTO_NAK
        return given[:KEY_ID_SIZE] + digest(make, secret, answer)


def digest(make: Any, key: bytes, message: dict[str, Any]) -> bytes:
    """RFC 5905, section 7.3: of the key, and of all that stands before the code."""
    covered = PROTOCOL.codec.encode({**message, "mac": b""})
    made: bytes = make(key + covered, usedforsecurity=False).digest()
    return made


def ntp_time(unix_time: float) -> int:
    """A Unix time in seconds as a timestamp; it wraps in 2036, as that does."""
    return round((unix_time + UNIX_EPOCH) * (1 << 32)) % (1 << 64)


PROTOCOL = Protocol(
    name="sntp",
    message=MESSAGE,
    port=123,
    summary="{mode} version={version} stratum={stratum} leap={leap}",
    description="SNTP: a device as a time server",
    session=Sntp,
    model=Model,
    groups=["224.0.1.1", "ff02::101", "ff05::101"],
)

VECTORS = [
    # A client's first request: but for the first byte and its own time, all zero (RFC 4330, section 5).
    (
        "23" + 39 * "00" + "d4a8 2e30 8000 0000",
        {"leap": "NONE", "version": 4, "mode": "CLIENT", "transmit": 0xD4A82E30_80000000},
    ),
    (
        """
        24 01 06 ec 00000000 00000a00 47505300
        d4a82e2f00000000 d4a82e3080000000 d4a82e3090000000 d4a82e3090010000
        """,
        {
            "leap": "NONE",
            "version": 4,
            "mode": "SERVER",
            "stratum": 1,
            "poll": 6,
            "precision": -20,
            "root_delay": 0.0,
            "root_dispersion": 0.0390625,
            "reference": b"GPS\0",
            "reference_time": 0xD4A82E2F_00000000,
            "originate": 0xD4A82E30_80000000,
            "receive": 0xD4A82E30_90000000,
            "transmit": 0xD4A82E30_90010000,
        },
    ),
    (
        "e4 00 04 ec 00000000 00000000 52415445" + 8 * "00" + "d4a82e30 80000000" + 16 * "00",
        {
            "leap": "UNKNOWN",
            "version": 4,
            "mode": "SERVER",
            "stratum": 0,
            "poll": 4,
            "precision": -20,
            "reference": b"RATE",
            "originate": 0xD4A82E30_80000000,
        },
    ),
]
