"""Electric vehicles that report to a platform (GB/T 32960.3-2016, chapters 6 and 7, in part).

A quantity may be a number, or say that it is abnormal or invalid.
"""

import datetime as dt

from construct import (
    Adapter,
    BitsInteger,
    BitStruct,
    Checksum,
    Const,
    Default,
    Enum,
    ExprValidator,
    FlagsEnum,
    GreedyBytes,
    GreedyRange,
    Int8ub,
    Int16ub,
    Int32ub,
    Optional,
    PaddedString,
    Prefixed,
    PrefixedArray,
    Sequence,
    Struct,
    Switch,
    Tell,
    this,
)

from iotsim import Protocol


class Quantity(Adapter):
    """A number in units of `scale` from `offset` on, or what the two greatest integers say."""

    STATES = {1: "invalid", 2: "abnormal"}  # noqa: RUF012

    def __init__(self, subcon, scale=1, offset=0):
        super().__init__(subcon)
        self.scale, self.offset = scale, offset
        self.beyond = 256 ** subcon.sizeof()

    def _decode(self, obj, context, path):
        state = self.STATES.get(self.beyond - obj)
        return state or round(obj * self.scale + self.offset, 6)

    def _encode(self, obj, context, path):
        for distance, state in self.STATES.items():
            if obj == state:
                return self.beyond - distance
        return round((obj - self.offset) / self.scale)


class TimeAdapter(Adapter):
    """Six bytes in the time of Beijing."""

    ZONE = dt.timezone(dt.timedelta(hours=8))

    def _decode(self, obj, context, path):
        year, month, day, hour, minute, second = obj
        return dt.datetime(2000 + year, month, day, hour, minute, second, tzinfo=self.ZONE)

    def _encode(self, obj, context, path):
        at = obj.astimezone(self.ZONE)
        return [at.year - 2000, at.month, at.day, at.hour, at.minute, at.second]


TIME = TimeAdapter(Sequence(*[Int8ub] * 6))
GEAR = BitStruct(
    "spare" / Default(BitsInteger(2), 0),
    "driving" / Enum(BitsInteger(1), no=0, yes=1),
    "braking" / Enum(BitsInteger(1), no=0, yes=1),
    "gear" / Enum(BitsInteger(4), N=0, FIRST=1, SECOND=2, R=13, D=14, P=15),
)
PARTS = {
    "VEHICLE": Struct(
        "state" / Enum(Int8ub, ON=1, OFF=2, OTHER=3, ABNORMAL=0xFE, INVALID=0xFF),
        "charging" / Enum(Int8ub, PARKED=1, DRIVING=2, NONE=3, COMPLETE=4),
        "mode" / Enum(Int8ub, ELECTRIC=1, HYBRID=2, FUEL=3),
        "speed" / Quantity(Int16ub, 0.1),
        "mileage" / Quantity(Int32ub, 0.1),
        "voltage" / Quantity(Int16ub, 0.1),
        "current" / Quantity(Int16ub, 0.1, -1000),
        "charge" / Quantity(Int8ub),
        "converter" / Enum(Int8ub, WORKING=1, OFF=2),
        "gear" / GEAR,
        "insulation" / Int16ub,
        "accelerator" / Quantity(Int8ub),
        "brake" / Quantity(Int8ub),
    ),
    "MOTORS": PrefixedArray(
        Int8ub,
        Struct(
            "number" / ExprValidator(Int8ub, lambda obj, ctx: obj > 0),
            "temperature" / Quantity(Int8ub, 1, -40),
            "speed" / Quantity(Int16ub, 1, -20000),
        ),
    ),
    "POSITION": Struct(
        "status" / FlagsEnum(Int8ub, invalid=1, south=2, west=4),
        "longitude" / Quantity(Int32ub, 1e-6),
        "latitude" / Quantity(Int32ub, 1e-6),
    ),
    "ALARMS": Struct(
        "level" / Int8ub,
        "flags" / FlagsEnum(Int32ub, temperature=1, over_voltage=4, insulation=1 << 11),
        "faults" / PrefixedArray(Int8ub, Int32ub)[4],
    ),
}
REPORT = Struct(
    "time" / TIME,
    "parts"
    / GreedyRange(
        Struct(
            "kind" / Enum(Int8ub, VEHICLE=1, MOTORS=2, POSITION=5, ALARMS=7),
            "data" / Switch(this.kind, PARTS),
        )
    ),
)
LOGIN = Struct(
    "time" / TIME,
    "serial" / Int16ub,
    "iccid" / PaddedString(20, "ascii"),
    "subsystems" / PrefixedArray(Int8ub, Int8ub),
    Const(0, Int8ub),
)


def exclusive_or(ctx):
    """All bytes from the command on, which the stream is asked for again."""
    ctx._io.seek(2)
    data = ctx._io.read(ctx._end - 2)
    total = 0
    for byte in data:
        total ^= byte
    return bytes([total])


MESSAGE = Struct(
    Const(b"##"),
    "command" / Enum(Int8ub, LOGIN=1, REPORT=2, REISSUE=3, LOGOUT=4, HEARTBEAT=7),
    "answer" / Default(Enum(Int8ub, OK=1, ERROR=2, DUPLICATE=3, COMMAND=0xFE), "COMMAND"),
    "vin" / PaddedString(17, "ascii"),
    "encryption" / Default(Enum(Int8ub, NONE=1, RSA=2, AES=3), "NONE"),
    "data"
    / Prefixed(
        Int16ub,
        Switch(
            this.command,
            {
                "LOGIN": LOGIN,
                "REPORT": REPORT,
                "REISSUE": REPORT,
                "LOGOUT": Struct("time" / TIME, "serial" / Int16ub),
                "HEARTBEAT": Optional(Struct("time" / TIME)),
            },
            default=GreedyBytes,
        ),
    ),
    "_end" / Tell,
    "check" / Checksum(Int8ub, lambda data: data[0], exclusive_or),
)

PROTOCOL = Protocol(
    name="vehicle", message=MESSAGE, port=32960, echo=["command", "vin"], summary="{command} {vin}"
)

AT = dt.datetime(2026, 5, 1, 12, 30, 15, tzinfo=TimeAdapter.ZONE)
VIN = "4c54455354303030303030303030303031"
VECTORS = [
    (
        (
            f"2323 01 fe {VIN} 01 0020 1a05010c1e0f 0007 3839383630303030303030303030303030303031"
            "02 01 02 00 8e"
        ),
        {
            "command": "LOGIN",
            "vin": "LTEST000000000001",
            "data": {
                "time": AT,
                "serial": 7,
                "iccid": "89860000000000000001",
                "subsystems": [1, 2],
            },
        },
    ),
    (
        (
            f"2323 02 fe {VIN} 01 0039 1a05010c1e0f"
            "01 01 03 01 01f4 00003039 0ed8 2774 55 01 2e 03e8 ff 00"
            "02 01 01 5a 4e20"
            "05 02 06b49d20 02625a00"
            "07 01 00000801 00 01 0000abcd 00 00"
            "e5"
        ),
        {
            "command": "REPORT",
            "vin": "LTEST000000000001",
            "data": {
                "time": AT,
                "parts": [
                    {
                        "kind": "VEHICLE",
                        "data": {
                            "state": "ON",
                            "charging": "NONE",
                            "mode": "ELECTRIC",
                            "speed": 50.0,
                            "mileage": 1234.5,
                            "voltage": 380.0,
                            "current": 10.0,
                            "charge": 85,
                            "converter": "WORKING",
                            "gear": {"driving": "yes", "braking": "no", "gear": "D"},
                            "insulation": 1000,
                            "accelerator": "invalid",
                            "brake": 0,
                        },
                    },
                    {
                        "kind": "MOTORS",
                        "data": [{"number": 1, "temperature": 50, "speed": 0}],
                    },
                    {
                        "kind": "POSITION",
                        "data": {
                            "status": {"invalid": False, "south": True, "west": False},
                            "longitude": 112.5,
                            "latitude": 40.0,
                        },
                    },
                    {
                        "kind": "ALARMS",
                        "data": {
                            "level": 1,
                            "flags": {"temperature": True, "insulation": True},
                            "faults": [[], [0xABCD], [], []],
                        },
                    },
                ],
            },
        },
    ),
    (
        f"2323 07 01 {VIN} 01 0000 5c",
        {"command": "HEARTBEAT", "answer": "OK", "vin": "LTEST000000000001", "data": None},
    ),
    (
        f"2323 07 fe {VIN} 01 0006 1a05010c1e0f a6",
        {"command": "HEARTBEAT", "vin": "LTEST000000000001", "data": {"time": AT}},
    ),
]
