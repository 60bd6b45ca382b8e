"""Solar inverters that are asked over UDP in frames of AA 55: running data, settings, identification."""

import datetime as dt

from construct import (
    Adapter,
    Byte,
    Checksum,
    Const,
    Enum,
    FlagsEnum,
    GreedyBytes,
    Int8ub,
    Int16sb,
    Int16ub,
    Int32ub,
    NamedTuple,
    PaddedString,
    Prefixed,
    Struct,
    Switch,
    Tell,
)

from iotsim import Protocol


class Scaled(Adapter):
    """A number in units of `step`."""

    def __init__(self, subcon, step):
        super().__init__(subcon)
        self.step = step

    def _decode(self, obj, context, path):
        return round(obj * self.step, 6)

    def _encode(self, obj, context, path):
        return round(obj / self.step)


class ClockAdapter(Adapter):
    """Six bytes, from the year after 2000 down to the second."""

    def _decode(self, obj, context, path):
        year, *rest = obj
        return dt.datetime(2000 + year, *rest)

    def _encode(self, obj, context, path):
        return [obj.year - 2000, obj.month, obj.day, obj.hour, obj.minute, obj.second]


CLOCK = ClockAdapter(Byte[6])
Voltage = Scaled(Int16ub, 0.1)
Current = Scaled(Int16sb, 0.1)
STRING = Struct("voltage" / Voltage, "current" / Current)

FRAME = Struct(
    "start" / Tell,
    Const(b"\xaa\x55"),
    "source" / Int8ub,
    "destination" / Int8ub,
    "control" / Enum(Int8ub, REGISTER=0, READ=1, EXECUTE=3),
    "function" / Int8ub,
    "data"
    / Prefixed(
        Int8ub,
        Switch(
            lambda ctx: (str(ctx.control), ctx.function),
            {
                ("READ", 0x01): Struct(),
                ("READ", 0x02): Struct(),
                ("READ", 0x81): Struct(
                    "strings" / STRING[2],
                    "grid" / Struct("voltage" / Voltage, "frequency" / Scaled(Int16ub, 0.01)),
                    "power" / Int16sb,
                    "mode" / Enum(Int16ub, WAIT=0, NORMAL=1, FAULT=2),
                    "temperature" / Scaled(Int16sb, 0.1),
                    "errors"
                    / FlagsEnum(Int32ub, gfci=1 << 0, grid_lost=1 << 1, fan=1 << 9, relay=1 << 25),
                    "total_kwh" / Scaled(Int32ub, 0.1),
                    "clock" / CLOCK,
                ),
                ("READ", 0x82): Struct(
                    "firmware" / NamedTuple("Firmware", "major minor", Byte[2]),
                    "model" / PaddedString(10, "ascii"),
                    "serial" / PaddedString(16, "ascii"),
                ),
                ("EXECUTE", 0x02): Struct("clock" / CLOCK),
                ("EXECUTE", 0x82): Struct("result" / Enum(Int8ub, OK=6, REFUSED=21)),
            },
            default=GreedyBytes,
        ),
    ),
    "end" / Tell,
    "checksum" / Checksum(Int16ub, sum, lambda ctx: ctx._io.getvalue()[ctx.start : ctx.end]),
)

PROTOCOL = Protocol(name="goodwe", message=FRAME, port=8899, summary="{control} {function:#04x}")

VECTORS = [
    (
        "aa55 c0 7f 01 02 00 0241",
        {"source": 0xC0, "destination": 0x7F, "control": "READ", "function": 2, "data": {}},
    ),
    (
        (
            "aa55 7f c0 01 81 20"
            "0e6e 0035 0000 fffe 0901 1387 0122 0001 0195 02000201 00018894 18051e0b2d0f 0890"
        ),
        {
            "source": 0x7F,
            "destination": 0xC0,
            "control": "READ",
            "function": 0x81,
            "data": {
                "strings": [
                    {"voltage": 369.4, "current": 5.3},
                    {"voltage": 0, "current": -0.2},
                ],
                "grid": {"voltage": 230.5, "frequency": 49.99},
                "power": 290,
                "mode": "NORMAL",
                "temperature": 40.5,
                "errors": {"gfci": True, "grid_lost": False, "fan": True, "relay": True},
                "total_kwh": 10050.0,
                "clock": dt.datetime(2024, 5, 30, 11, 45, 15),
            },
        },
    ),
    (
        "aa55 7f c0 01 82 1c 010e 47573338332d32000000 3937303138424c533030303100000000 0732",
        {
            "source": 0x7F,
            "destination": 0xC0,
            "control": "READ",
            "function": 0x82,
            "data": {
                "firmware": {"major": 1, "minor": 14},
                "model": "GW383-2",
                "serial": "97018BLS0001",
            },
        },
    ),
    (
        "aa55 c0 7f 03 02 06 18051e0b2d0f 02cb",
        {
            "source": 0xC0,
            "destination": 0x7F,
            "control": "EXECUTE",
            "function": 2,
            "data": {"clock": dt.datetime(2024, 5, 30, 11, 45, 15)},
        },
    ),
    (
        "aa55 7f c0 03 82 01 06 02ca",
        {
            "source": 0x7F,
            "destination": 0xC0,
            "control": "EXECUTE",
            "function": 0x82,
            "data": {"result": "OK"},
        },
    ),
    (
        "aa55 7f c0 00 99 02 beef 0486",
        {
            "source": 0x7F,
            "destination": 0xC0,
            "control": "REGISTER",
            "function": 0x99,
            "data": b"\xbe\xef",
        },
    ),
]
