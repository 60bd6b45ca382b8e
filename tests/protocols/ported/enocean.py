"""Radio modules: telegrams in frames of the EnOcean serial protocol 3, each part with a CRC-8."""

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
    If,
    Int8ub,
    Int16ub,
    Padding,
    RawCopy,
    Struct,
    Switch,
    this,
)

from iotsim import Protocol


def crc8(data):
    """CRC-8 with the polynomial 0x07."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


class Linear(Adapter):
    """A quantity from `low` to `high` over a byte that counts from `first` to `last`."""

    def __init__(self, first, last, low, high):
        super().__init__(Int8ub)
        self.first, self.last, self.low, self.high = first, last, low, high

    def _decode(self, obj, context, path):
        part = (obj - self.first) / (self.last - self.first)
        return round(self.low + part * (self.high - self.low), 2)

    def _encode(self, obj, context, path):
        part = (obj - self.low) / (self.high - self.low)
        return round(self.first + part * (self.last - self.first))


Address = ExprAdapter(
    Bytes(4),
    lambda obj, ctx: obj.hex(":").upper(),
    lambda obj, ctx: bytes.fromhex(obj.replace(":", "")),
)
RORG = Enum(Int8ub, RPS=0xF6, ONE_BYTE=0xD5, FOUR_BYTES=0xA5, VLD=0xD2)
TELEGRAM = Struct(
    "rorg" / RORG,
    "payload"
    / Switch(
        this.rorg,
        {
            "RPS": BitStruct(
                "first" / Enum(BitsInteger(3), AI=0, AO=1, BI=2, BO=3),
                "pressed" / Flag,
                "second" / Enum(BitsInteger(3), AI=0, AO=1, BI=2, BO=3),
                "two" / Flag,
            ),
            "ONE_BYTE": FlagsEnum(Int8ub, closed=1, learned=8),
            "FOUR_BYTES": Struct(
                Padding(1),
                "humidity" / Linear(0, 250, 0, 100),
                "temperature" / Linear(0, 250, 0, 40),
                "flags" / FlagsEnum(Int8ub, data=8, available=2),
            ),
            "VLD": Bytes(this._._.header.value.data_length - 6),
        },
    ),
    "sender" / Address,
    "status" / BitStruct(Padding(2), "t21" / Flag, "nu" / Flag, "repeated" / BitsInteger(4)),
)
OPTIONAL = Struct(
    "subtelegrams" / Default(Int8ub, 3),
    "destination" / Default(Address, "FF:FF:FF:FF"),
    "dbm" / ExprAdapter(Int8ub, lambda obj, ctx: -obj, lambda obj, ctx: -obj),
    "security" / Default(Int8ub, 0),
)
FRAME = Struct(
    Const(b"\x55"),
    "header"
    / RawCopy(
        Struct(
            "data_length" / Int16ub,
            "optional_length" / Int8ub,
            "type" / Enum(Int8ub, RADIO=1, RESPONSE=2, EVENT=4),
        )
    ),
    "header_crc" / Checksum(Int8ub, crc8, this.header.data),
    "body"
    / RawCopy(
        Struct(
            "data"
            / FixedSized(
                this._.header.value.data_length,
                Switch(
                    this._.header.value.type,
                    {
                        "RADIO": TELEGRAM,
                        "RESPONSE": Struct("code" / Enum(Int8ub, OK=0, ERROR=1, DENIED=4)),
                    },
                    GreedyBytes,
                ),
            ),
            "optional" / If(lambda this: this._.header.value.optional_length > 0, OPTIONAL),
        )
    ),
    "body_crc" / Checksum(Int8ub, crc8, this.body.data),
)

PROTOCOL = Protocol(name="enocean", message=FRAME, port=2222, summary="{header.value.type}")

VECTORS = [
    (
        "55 0007 07 01 7a f6 50 0029 5bf9 30 01 ffffffff 37 00 21",
        {
            "header": {"value": {"data_length": 7, "optional_length": 7, "type": "RADIO"}},
            "body": {
                "value": {
                    "data": {
                        "rorg": "RPS",
                        "payload": {"first": "BI", "pressed": True, "second": "AI", "two": False},
                        "sender": "00:29:5B:F9",
                        "status": {"t21": True, "nu": True, "repeated": 0},
                    },
                    "optional": {"subtelegrams": 1, "dbm": -55},
                }
            },
        },
    ),
    (
        "55 000a 07 01 eb a5 00 7d 7d 0a 0580e5f4 00 03 ffffffff 2d 00 02",
        {
            "header": {"value": {"data_length": 10, "optional_length": 7, "type": "RADIO"}},
            "body": {
                "value": {
                    "data": {
                        "rorg": "FOUR_BYTES",
                        "payload": {
                            "humidity": 50.0,
                            "temperature": 20.0,
                            "flags": {"data": True, "available": True},
                        },
                        "sender": "05:80:E5:F4",
                        "status": {"t21": False, "nu": False, "repeated": 0},
                    },
                    "optional": {"dbm": -45},
                }
            },
        },
    ),
    (
        "55 0007 00 01 11 d5 09 0580e5f4 02 4c",
        {
            "header": {"value": {"data_length": 7, "optional_length": 0, "type": "RADIO"}},
            "body": {
                "value": {
                    "data": {
                        "rorg": "ONE_BYTE",
                        "payload": {"closed": True, "learned": True},
                        "sender": "05:80:E5:F4",
                        "status": {"t21": False, "nu": False, "repeated": 2},
                    },
                    "optional": None,
                }
            },
        },
    ),
    (
        "55 000a 00 01 80 d2 04604105 01812345 00 6f",
        {
            "header": {"value": {"data_length": 10, "optional_length": 0, "type": "RADIO"}},
            "body": {
                "value": {
                    "data": {
                        "rorg": "VLD",
                        "payload": bytes.fromhex("04604105"),
                        "sender": "01:81:23:45",
                        "status": {"t21": False, "nu": False, "repeated": 0},
                    },
                    "optional": None,
                }
            },
        },
    ),
    (
        "55 0001 00 02 65 00 00",
        {
            "header": {"value": {"data_length": 1, "optional_length": 0, "type": "RESPONSE"}},
            "body": {"value": {"data": {"code": "OK"}, "optional": None}},
        },
    ),
    (
        "55 0003 00 04 a1 010203 48",
        {
            "header": {"value": {"data_length": 3, "optional_length": 0, "type": "EVENT"}},
            "body": {"value": {"data": b"\x01\x02\x03", "optional": None}},
        },
    ),
]
