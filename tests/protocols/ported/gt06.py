"""GPS trackers of the GT06 kind: login, position, state; frames of 78 78 with a CRC-ITU."""

import datetime as dt

from construct import (
    Adapter,
    BitsInteger,
    BitStruct,
    Bytes,
    Checksum,
    Const,
    Default,
    Enum,
    ExprAdapter,
    FixedSized,
    Flag,
    FlagsEnum,
    GreedyBytes,
    Int8ub,
    Int16ub,
    Int24ub,
    Int32ub,
    Optional,
    Padding,
    RawCopy,
    Rebuild,
    Struct,
    Switch,
    this,
)

from iotsim import Protocol


def crc_itu(data):
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x8408 if crc & 1 else 0)
    return crc ^ 0xFFFF


class TimeAdapter(Adapter):
    def _decode(self, obj, context, path):
        day = dt.date(2000 + obj.year, obj.month, obj.day)
        return dt.datetime.combine(day, dt.time(obj.hour, obj.minute, obj.second), dt.UTC)

    def _encode(self, obj, context, path):
        year, month, day, hour, minute, second, *_ = obj.utctimetuple()
        return {
            "year": year - 2000,
            "month": month,
            "day": day,
            "hour": hour,
            "minute": minute,
            "second": second,
        }


TIME = TimeAdapter(
    Struct(*(name / Int8ub for name in ("year", "month", "day", "hour", "minute", "second")))
)


class Degrees(Adapter):
    """Degrees of an angle in 1/30000 of a minute; the course field, which comes later, has the sign."""

    def _decode(self, obj, context, path):
        return obj / 1_800_000

    def _encode(self, obj, context, path):
        return round(obj * 1_800_000)


IMEI = ExprAdapter(
    Bytes(8), lambda obj, ctx: obj.hex()[1:], lambda obj, ctx: bytes.fromhex("0" + obj)
)
CELL = Struct("mcc" / Int16ub, "mnc" / Int8ub, "lac" / Int16ub, "id" / Int24ub)
STATUS = Struct(
    "terminal" / FlagsEnum(Int8ub, armed=1, ignition=2, charging=4, tracking=64, disconnected=128),
    "voltage" / Enum(Int8ub, NONE=0, EXTREMELY_LOW=1, VERY_LOW=2, LOW=3, MEDIUM=4, HIGH=5, FULL=6),
    "signal" / Int8ub,
    "alarm" / Enum(Int8ub, NORMAL=0, SOS=1, POWER_CUT=2, VIBRATION=3),
    "language" / Default(Enum(Int8ub, CHINESE=1, ENGLISH=2), "ENGLISH"),
)
LOCATION = Struct(
    "time" / TIME,
    "gps" / BitStruct("bytes" / Default(BitsInteger(4), 12), "satellites" / BitsInteger(4)),
    "latitude" / Degrees(Int32ub),
    "longitude" / Degrees(Int32ub),
    "speed" / Int8ub,
    "course"
    / BitStruct(
        Padding(2),
        "realtime" / Default(Flag, False),
        "valid" / Flag,
        "west" / Flag,
        "north" / Flag,
        "degrees" / BitsInteger(10),
    ),
    "cell" / CELL,
)
BODIES = {
    "LOGIN": Optional(Struct("imei" / IMEI)),
    "LOCATION": LOCATION,
    "STATUS": Optional(STATUS),
    "COMMAND": GreedyBytes,
}


def length(ctx):
    """Kind, body, number and checksum."""
    return 5 + len(BODIES[str(ctx.kind)].build(ctx.body))


MESSAGE = Struct(
    "start" / Const(b"\x78\x78"),
    "packet"
    / RawCopy(
        Struct(
            "length" / Rebuild(Int8ub, length),
            "kind" / Enum(Int8ub, LOGIN=0x01, LOCATION=0x12, STATUS=0x13, COMMAND=0x80),
            "body" / FixedSized(this.length - 5, Switch(this.kind, BODIES)),
            "number" / Int16ub,
        )
    ),
    "crc" / Checksum(Int16ub, crc_itu, this.packet.data),
    "stop" / Const(b"\r\n"),
)

PROTOCOL = Protocol(
    name="gt06",
    message=MESSAGE,
    port=5023,
    echo=["packet.value.number"],
    summary="{packet.value.kind}",
)

VECTORS = [
    (
        "7878 0d 01 0123456789012345 0001 8cdd 0d0a",
        {"packet": {"value": {"kind": "LOGIN", "body": {"imei": "123456789012345"}, "number": 1}}},
    ),
    (
        "7878 05 01 0001 d9dc 0d0a",
        {"packet": {"value": {"kind": "LOGIN", "body": None, "number": 1}}},
    ),
    (
        "7878 1f 12 0b081d112e10 cf 027ac7eb 0c465849 00 148f 01cc 00 287d 001fb8 0003 8081 0d0a",
        {
            "packet": {
                "value": {
                    "kind": "LOCATION",
                    "body": {
                        "time": dt.datetime(2011, 8, 29, 17, 46, 16, tzinfo=dt.UTC),
                        "gps": {"satellites": 15},
                        "latitude": 0x027AC7EB / 1_800_000,
                        "longitude": 0x0C465849 / 1_800_000,
                        "speed": 0,
                        "course": {"valid": True, "west": False, "north": True, "degrees": 143},
                        "cell": {"mcc": 460, "mnc": 0, "lac": 10365, "id": 8120},
                    },
                    "number": 3,
                }
            }
        },
    ),
    (
        "7878 0a 13 40 04 04 00 01 000f dcee 0d0a",
        {
            "packet": {
                "value": {
                    "kind": "STATUS",
                    "body": {
                        "terminal": {"tracking": True},
                        "voltage": "MEDIUM",
                        "signal": 4,
                        "alarm": "NORMAL",
                        "language": "CHINESE",
                    },
                    "number": 15,
                }
            }
        },
    ),
    (
        "7878 0b 80 535441545553 0010 8ac0 0d0a",
        {"packet": {"value": {"kind": "COMMAND", "body": b"STATUS", "number": 16}}},
    ),
]
