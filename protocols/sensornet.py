"""SensorNet: a compact protocol for sensors with several measuring points.

Every message has a header, a body by its kind, and a CRC over all before it:

    magic "SN" | version | kind | length (2) | device (4) | seq (2) | body | crc (2)

``length`` counts the bytes that follow it. A gateway polls with READ and is answered by REPORT (one
point) or READINGS (several). A device may send both by itself, and the gateway confirms by ACK.
COMMAND is confirmed by ACK. A request that cannot be served is answered by ERROR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from construct import (
    BitsInteger,
    BitStruct,
    Const,
    Construct,
    Default,
    Enum,
    Flag,
    Float32b,
    Int8ub,
    Int16ub,
    Int32sb,
    Int32ub,
    PaddedString,
    Padding,
    PascalString,
    PrefixedArray,
    Struct,
    Switch,
    this,
)

from iotsim import Checksum, DecodeError, Errors, FlatStruct, Length, Protocol, crc16_ccitt

if TYPE_CHECKING:
    from collections.abc import Mapping

KIND = Enum(Int8ub, READ=1, REPORT=2, READINGS=3, COMMAND=4, ACK=5, ERROR=6)
UNIT = Enum(
    Int8ub, NONE=0, CELSIUS=1, PERCENT=2, PASCAL=3, VOLT=4, AMPERE=5, WATT=6, WATT_HOUR=7, LUX=8
)
STATUS = BitStruct(
    "quality" / Default(Enum(BitsInteger(2), GOOD=0, UNCERTAIN=1, STALE=2, BAD=3), "GOOD"),
    "alarm" / Default(Flag, False),
    "battery_low" / Default(Flag, False),
    Padding(4),
)
TYPE = Enum(Int8ub, FLOAT=0, INT=1, FLAG=2, TEXT=3)

READING = Struct(
    "point" / Int8ub,
    "type" / TYPE,
    "unit" / Default(UNIT, "NONE"),
    "value"
    / Switch(
        this.type,
        {"FLOAT": Float32b, "INT": Int32sb, "FLAG": Flag, "TEXT": PascalString(Int8ub, "utf8")},
    ),
)

ERRORS = {
    "MALFORMED": 1,
    "BAD_LENGTH": 2,
    "BAD_CRC": 3,
    "UNKNOWN_KIND": 4,
    "UNKNOWN_POINT": 5,
    "UNKNOWN_COMMAND": 6,
    "BUSY": 7,
}
BODIES: dict[str, Construct[Any, Any]] = {
    "READ": Struct("point" / Default(Int8ub, 0) * "255 asks for all points"),
    "REPORT": Struct(
        "point" / Default(Int8ub, 0),
        "unit" / Default(UNIT, "NONE"),
        "status" / STATUS,
        "value" / Float32b,
    ),
    "READINGS": Struct("status" / STATUS, "readings" / PrefixedArray(Int8ub, READING)),
    "COMMAND": Struct(
        "code" / Enum(Int8ub, REBOOT=1, IDENTIFY=2, SET_INTERVAL=3, SET_OUTPUT=4),
        "argument" / Default(Int32ub, 0) * "seconds of an interval, level of an output",
    ),
    "ACK": Struct("result" / Default(Enum(Int8ub, OK=0, PENDING=1, REFUSED=2), "OK")),
    "ERROR": Struct("error" / Enum(Int8ub, **ERRORS)),
}

MESSAGE = FlatStruct(
    "magic" / Const("SN", PaddedString(2, "ascii")),
    "version" / Default(Int8ub, 1),
    "kind" / KIND,
    "length" / Length(Int16ub),
    "device" / Int32ub * "the device's own number",
    "seq" / Int16ub * "a reply has that of its request",
    Switch(this.kind, BODIES),
    "crc" / Checksum(Int16ub, crc16_ccitt),
)

KIND_AT, LENGTH_AT, DEVICE_AT, SEQ_AT, HEADER = 3, 4, 6, 10, 12


def error_reply(error: DecodeError, data: bytes) -> dict[str, Any] | None:
    """The ERROR for a datagram that has our header; other noise is met with silence.

    An ERROR is never answered: two devices would go on for ever.
    """
    if len(data) < HEADER or data[:2] != b"SN" or data[KIND_AT] == KIND.encmapping["ERROR"]:
        return None
    if data[KIND_AT] not in KIND.decmapping:
        reason = "UNKNOWN_KIND"
    elif int.from_bytes(data[LENGTH_AT:DEVICE_AT], "big") != len(data) - DEVICE_AT:
        reason = "BAD_LENGTH"
    elif error.path == "crc":
        reason = "BAD_CRC"
    else:
        reason = "MALFORMED"
    device = int.from_bytes(data[DEVICE_AT:SEQ_AT], "big")
    seq = int.from_bytes(data[SEQ_AT:HEADER], "big")
    return {"kind": "ERROR", "error": reason, "device": device, "seq": seq}


def refuse(name: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The ERROR for a request; what a gateway confirms is none."""
    asked = request["kind"] in ("READ", "COMMAND")
    return {"kind": "ERROR", "error": name} if asked else None


PROTOCOL = Protocol(
    name="sensornet",
    message=MESSAGE,
    port=5600,
    echo=["device", "seq"],
    summary="{kind} {code}{error}{value} device={device} seq={seq}",
    error_reply=error_reply,
    errors=Errors(ERRORS, refuse),
    description="A compact protocol for sensors: readings, commands, acknowledgements, errors",
)

VECTORS = [
    (
        "534e 01 01 0009 00000007 0001 00 ea02",
        {"kind": "READ", "device": 7, "seq": 1, "point": 0},
    ),
    (
        "534e 01 02 000f 00000007 0001 00 01 00 41a0cccd 115f",
        {
            "kind": "REPORT",
            "device": 7,
            "seq": 1,
            "point": 0,
            "unit": "CELSIUS",
            "status": {"quality": "GOOD", "alarm": False, "battery_low": False},
            "value": 20.100000381469727,
        },
    ),
    (
        "534e010300220000000700026004 01000141a40000 02010300018bcd 03020001 040300026f6b c74f",
        {
            "kind": "READINGS",
            "device": 7,
            "seq": 2,
            "status": {"quality": "UNCERTAIN", "alarm": True, "battery_low": False},
            "readings": [
                {"point": 1, "type": "FLOAT", "unit": "CELSIUS", "value": 20.5},
                {"point": 2, "type": "INT", "unit": "PASCAL", "value": 101325},
                {"point": 3, "type": "FLAG", "unit": "NONE", "value": True},
                {"point": 4, "type": "TEXT", "unit": "NONE", "value": "ok"},
            ],
        },
    ),
    (
        "534e 01 04 000d 00000007 0003 03 0000003c 9b7c",
        {"kind": "COMMAND", "device": 7, "seq": 3, "code": "SET_INTERVAL", "argument": 60},
    ),
    (
        "534e 01 05 0009 00000007 0003 00 2155",
        {"kind": "ACK", "device": 7, "seq": 3, "result": "OK"},
    ),
    (
        "534e 01 06 0009 00000007 0004 07 79ea",
        {"kind": "ERROR", "device": 7, "seq": 4, "error": "BUSY"},
    ),
]
