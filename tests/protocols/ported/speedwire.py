"""The multicast of an energy meter: tagged parts in a frame, OBIS values in the last (SMA EMETER)."""

import ipaddress
from typing import NamedTuple

import construct as cs
from construct import this

from iotsim import Protocol


class Version(NamedTuple):
    major: int
    minor: int
    build: int
    revision: str


class VersionAdapter(cs.Adapter):
    def _decode(self, obj, context, path):
        return Version(*obj[:3], chr(obj[3]))

    def _encode(self, obj, context, path):
        return bytes([*obj[:3], ord(obj[3])])


class MeterValue(cs.Adapter):
    """Watts from tenths, kilowatt hours from watt seconds; what is measured decides."""

    UNITS = {4: 10, 8: 3_600_000}  # noqa: RUF012

    def _decode(self, obj, context, path):
        return obj / self.UNITS[context.type]

    def _encode(self, obj, context, path):
        return round(obj * self.UNITS[context.type])


OBIS = cs.Struct(
    "channel" / cs.Int8ub,
    "index" / cs.Int8ub,
    "type" / cs.Int8ub,
    "tariff" / cs.Int8ub,
    "value"
    / cs.Switch(
        this.type,
        {
            0: VersionAdapter(cs.Bytes(4)),
            4: MeterValue(cs.Int32ub),
            8: MeterValue(cs.Int64ub),
        },
    ),
)
METER = cs.Struct(
    "protocol" / cs.Const(0x6069, cs.Int16ub),
    "susy_id" / cs.Int16ub,
    "serial" / cs.Int32ub,
    "ticker_ms" / cs.Int32ub,
    "values" / cs.GreedyRange(OBIS),
)
CONTENTS = {
    "END": cs.Pass,
    "METER": METER,
    "GROUP": cs.Int32ub,
    "ENDPOINT": cs.ExprAdapter(
        cs.Bytes(4), lambda obj, ctx: ipaddress.IPv4Address(obj), lambda obj, ctx: obj.packed
    ),
}
PART = cs.Struct(
    "length" / cs.Rebuild(cs.Int16ub, lambda ctx: len(CONTENTS[str(ctx.tag)].build(ctx.content))),
    "tag" / cs.Enum(cs.Int16ub, END=0, METER=0x10, ENDPOINT=0x30, GROUP=0x2A0),
    "content" / cs.FixedSized(this.length, cs.Switch(this.tag, CONTENTS)),
)
FRAME = cs.Struct(
    cs.Const(b"SMA\0"),
    "parts" / cs.RepeatUntil(lambda part, parts, ctx: part.tag == "END", PART),
)

PROTOCOL = Protocol(name="speedwire", message=FRAME, port=9522)

VECTORS = [
    (
        (
            "534d4100 0004 02a0 00000001 0038 0010 6069 015d 7149f2c5 0004d2a0"
            "00 01 04 00 000003e9 00 01 08 00 00000000daf29920 00 0d 04 00 00000000"
            "00 20 04 00 00000900 90 00 00 00 02001252 0000 0000"
        ),
        {
            "parts": [
                {"tag": "GROUP", "content": 1},
                {
                    "tag": "METER",
                    "content": {
                        "susy_id": 349,
                        "serial": 1900671685,
                        "ticker_ms": 316064,
                        "values": [
                            {"channel": 0, "index": 1, "type": 4, "tariff": 0, "value": 100.1},
                            {
                                "channel": 0,
                                "index": 1,
                                "type": 8,
                                "tariff": 0,
                                "value": 1020.37,
                            },
                            {"channel": 0, "index": 13, "type": 4, "tariff": 0, "value": 0.0},
                            {"channel": 0, "index": 32, "type": 4, "tariff": 0, "value": 230.4},
                            {
                                "channel": 144,
                                "index": 0,
                                "type": 0,
                                "tariff": 0,
                                "value": {"major": 2, "minor": 0, "build": 18, "revision": "R"},
                            },
                        ],
                    },
                },
                {"tag": "END", "content": None},
            ]
        },
    ),
    (
        "534d4100 0004 02a0 00000001 0004 0030 0a4d0107 0000 0000",
        {
            "parts": [
                {"tag": "GROUP", "content": 1},
                {"tag": "ENDPOINT", "content": ipaddress.IPv4Address("10.77.1.7")},
                {"tag": "END", "content": None},
            ]
        },
    ),
]
