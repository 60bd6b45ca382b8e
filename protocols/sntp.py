"""SNTP version 4 (RFC 4330, RFC 5905): a device as a time server, with an offset, a stratum and a leap of
its own.

All fields are big-endian (RFC 5905, section 7.3). Timestamps are numbers of 2**-32 seconds since 1900
(section 6), so that a client gets its own back bit by bit; ``root_delay`` and ``root_dispersion`` are
seconds. Answered are requests of mode CLIENT, with the version that was asked. ``kiss`` makes every answer
a kiss-o'-death (section 7.4): stratum 0, leap UNKNOWN, and the code as the reference.

Not there: authentication and extension fields (section 7.5), which are taken as ``rest`` and not looked at,
and the broadcast, symmetric and control modes, which are not answered.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    Default,
    Enum,
    ExprAdapter,
    GreedyBytes,
    Int8sb,
    Int8ub,
    Int32sb,
    Int64ub,
)
from pydantic import Field

from iotsim import FlatStruct, Peer, Protocol, Session, Table, Value

UNIX_EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970 (RFC 5905, figure 4)."""
PRECISION = -20
"""Of the clock, as a power of two in seconds."""
LEAPS = {"none": "NONE", "insert": "INSERT", "delete": "DELETE", "unsynchronized": "UNKNOWN"}

Seconds: Any = ExprAdapter(
    Int32sb, lambda fixed, _: fixed / 65536, lambda value, _: round(value * 65536)
)

MESSAGE = FlatStruct(
    BitStruct(
        "leap" / Default(Enum(BitsInteger(2), NONE=0, INSERT=1, DELETE=2, UNKNOWN=3), "NONE"),
        "version" / Default(BitsInteger(3), 4),
        "mode"
        / Enum(
            BitsInteger(3),
            SYMMETRIC_ACTIVE=1,
            SYMMETRIC_PASSIVE=2,
            CLIENT=3,
            SERVER=4,
            BROADCAST=5,
            CONTROL=6,
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
    "rest" / Default(GreedyBytes, b"") * "extensions and authentication",
)

Code = Annotated[str, Field(pattern=r"^[!-~]{1,4}$")]


class Model(Table):
    """``offset`` is how far the device's clock is ahead, in seconds."""

    stratum: Annotated[int, Field(ge=0, le=16)] = 2
    offset: Value = Field(0.0, validate_default=True)
    reference: Code = "LOCL"
    leap: Literal["none", "insert", "delete", "unsynchronized"] = "none"
    kiss: Code | None = None


class Sntp(Session):
    __slots__ = ()

    def respond(self, message: dict[str, Any], peer: Peer) -> dict[str, Any] | None:
        if message["mode"] != "CLIENT":
            return None
        model: Model = self.model
        now = ntp_time(self.wall_time + self.read(model.offset))
        answer = {
            "leap": LEAPS[model.leap],
            "version": message["version"],
            "mode": "SERVER",
            "stratum": model.stratum,
            "poll": message["poll"],
            "precision": PRECISION,
            "reference": reference_id(model.reference),
            "reference_time": now >> 32 << 32,
            "originate": message["transmit"],
            "receive": now,
            "transmit": now,
        }
        if model.kiss is not None:
            answer |= {"leap": "UNKNOWN", "stratum": 0, "reference": reference_id(model.kiss)}
        return answer


def ntp_time(unix_time: float) -> int:
    """A Unix time in seconds as a timestamp; it wraps in 2036, as that does."""
    return round((unix_time + UNIX_EPOCH) * (1 << 32)) % (1 << 64)


def reference_id(code: str) -> bytes:
    return code.encode().ljust(4, b"\0")


PROTOCOL = Protocol(
    name="sntp",
    message=MESSAGE,
    port=123,
    summary="{mode} version={version} stratum={stratum} leap={leap}",
    description="SNTP: a device as a time server",
    session=Sntp,
    model=Model,
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
