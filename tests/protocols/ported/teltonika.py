"""GPS trackers that send records in Codec 8 over UDP, and what the server acknowledges them with."""

from datetime import UTC, datetime, timedelta

import construct as cs
from construct import len_, this

from iotsim import FlatStruct, Length, Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Milliseconds = cs.ExprAdapter(
    cs.Int64ub,
    lambda obj, ctx: EPOCH + timedelta(milliseconds=obj),
    lambda obj, ctx: (obj - EPOCH) // timedelta(milliseconds=1),
)
Degrees = cs.ExprAdapter(
    cs.Int32sb, lambda obj, ctx: obj / 10_000_000, lambda obj, ctx: round(obj * 10_000_000)
)


def elements(value):
    return cs.PrefixedArray(cs.Int8ub, cs.Struct("id" / cs.Int8ub, "value" / value))


def total(ctx):
    return sum(len(ctx.get(name) or []) for name in ("bytes", "words", "doubles", "quads"))


RECORD = cs.Struct(
    "time" / Milliseconds,
    "priority" / cs.Enum(cs.Int8ub, LOW=0, HIGH=1, PANIC=2),
    "gps"
    / cs.Struct(
        "longitude" / Degrees,
        "latitude" / Degrees,
        "altitude" / cs.Int16sb,
        "angle" / cs.Int16ub,
        "satellites" / cs.Int8ub,
        "speed" / cs.Int16ub,
    ),
    "event" / cs.Default(cs.Int8ub, 0),
    "total" / cs.Rebuild(cs.Int8ub, total),
    "bytes" / cs.Default(elements(cs.Int8ub), []),
    "words" / cs.Default(elements(cs.Int16ub), []),
    "doubles" / cs.Default(elements(cs.Int32ub), []),
    "quads" / cs.Default(elements(cs.Int64ub), []),
)
DATA = cs.Struct(
    "imei" / cs.PascalString(cs.Int16ub, "ascii"),
    "codec" / cs.Const(8, cs.Int8ub),
    "count" / cs.Rebuild(cs.Int8ub, len_(this.records)),
    "records" / RECORD[this.count],
    "count_again" / cs.Rebuild(cs.Int8ub, len_(this.records)),
    cs.Check(this.count == this.count_again),
)
MESSAGE = FlatStruct(
    "length" / Length(cs.Int16ub),
    "packet" / cs.Hex(cs.Int16ub),
    "type" / cs.Default(cs.Int8ub, 1),
    "avl_packet" / cs.Int8ub,
    "body" / cs.Select("data" / DATA, "accepted" / cs.Int8ub),
)

PROTOCOL = Protocol(
    name="teltonika", message=MESSAGE, port=5027, echo=["packet", "avl_packet"], summary="{packet}"
)

VECTORS = [
    (
        (
            "003d cafe 01 05 000f 333532303933303836343033363535 08 01"
            "0000016b4f815b30 01 00000000 00000000 0000 0000 00 0000 01 03"
            "02 15 03 01 01 01 42 5dbc 00 00 01"
        ),
        {
            "packet": 0xCAFE,
            "avl_packet": 5,
            "body": {
                "imei": "352093086403655",
                "records": [
                    {
                        "time": datetime(2019, 6, 13, 6, 23, 26, tzinfo=UTC),
                        "priority": "HIGH",
                        "gps": {
                            "longitude": 0.0,
                            "latitude": 0.0,
                            "altitude": 0,
                            "angle": 0,
                            "satellites": 0,
                            "speed": 0,
                        },
                        "event": 1,
                        "total": 3,
                        "bytes": [{"id": 21, "value": 3}, {"id": 1, "value": 1}],
                        "words": [{"id": 66, "value": 23996}],
                        "doubles": [],
                        "quads": [],
                    }
                ],
            },
        },
    ),
    ("0005 cafe 01 05 01", {"packet": 0xCAFE, "avl_packet": 5, "body": 1}),
    (
        (
            "0054 0001 01 06 000f 333532303933303836343033363535 08 02"
            "0000016b40d8ea30 00 0f0ea850 209a6900 0070 00d6 07 001e 00 00 00 00 00 00"
            "0000016b40d8f200 02 0f0ea8b4 dfa596f0 ffff 0000 07 0000 f0 00 00 00 00 00 02"
        ),
        {
            "packet": 1,
            "avl_packet": 6,
            "body": {
                "imei": "352093086403655",
                "records": [
                    {
                        "time": datetime(2019, 6, 10, 10, 4, 46, tzinfo=UTC),
                        "priority": "LOW",
                        "gps": {
                            "longitude": 25.2618832,
                            "latitude": 54.6990336,
                            "altitude": 112,
                            "angle": 214,
                            "satellites": 7,
                            "speed": 30,
                        },
                    },
                    {
                        "time": datetime(2019, 6, 10, 10, 4, 48, tzinfo=UTC),
                        "priority": "PANIC",
                        "gps": {
                            "longitude": 25.2618932,
                            "latitude": -54.2796048,
                            "altitude": -1,
                            "angle": 0,
                            "satellites": 7,
                            "speed": 0,
                        },
                        "event": 240,
                    },
                ],
            },
        },
    ),
]
