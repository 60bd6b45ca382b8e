"""BACnet/IP: who is there, and who answers (ASHRAE 135, annex J and clauses 6, 16.10 and 20)."""

from construct import (
    BitsInteger,
    BitStruct,
    Bytes,
    BytesInteger,
    Const,
    Default,
    Enum,
    Flag,
    FocusedSeq,
    GreedyBytes,
    If,
    Int8ub,
    Int16ub,
    Optional,
    Padding,
    Rebuild,
    Struct,
    Switch,
    this,
)

from iotsim import FlatStruct, Length, Protocol


def size(number):
    return max(1, (number.bit_length() + 7) // 8)


def unsigned(tag, context=False):
    """An unsigned integer of as many bytes as its tag says, behind that tag."""
    return FocusedSeq(
        "value",
        "tag"
        / BitStruct(
            "number" / Const(tag, BitsInteger(4)),
            "context" / Const(context, Flag),
            "length" / Rebuild(BitsInteger(3), lambda ctx: size(ctx._.value)),
        ),
        "value" / BytesInteger(this.tag.length),
    )


OBJECT = Struct(
    Const(b"\xc4"),
    "id"
    / BitStruct(
        "type" / Enum(BitsInteger(10), ANALOG_INPUT=0, BINARY_OUTPUT=4, DEVICE=8),
        "instance" / BitsInteger(22),
    ),
)
WHO_IS = Struct(
    "limits" / Optional(Struct("low" / unsigned(0, True), "high" / unsigned(1, True))),
)
I_AM = Struct(
    "object" / OBJECT,
    "max_apdu" / unsigned(2),
    Const(b"\x91"),
    "segmentation" / Enum(Int8ub, BOTH=0, TRANSMIT=1, RECEIVE=2, NONE=3),
    "vendor" / unsigned(2),
)
STATION = Struct(
    "network" / Int16ub,
    "length" / Rebuild(Int8ub, lambda ctx: len(ctx.address)),
    "address" / Bytes(this.length),
)
MESSAGE = FlatStruct(
    "type" / Const(0x81, Int8ub),
    "function" / Enum(Int8ub, FORWARDED=4, UNICAST=10, BROADCAST=11),
    "length" / Length(Int16ub, of="message"),
    "origin" / If(this.function == "FORWARDED", Struct("ip" / Bytes(4), "port" / Int16ub)),
    "version" / Const(1, Int8ub),
    "control"
    / BitStruct(
        "network_message" / Default(Flag, False),
        Padding(1),
        "destination" / Default(Flag, False),
        Padding(1),
        "source" / Default(Flag, False),
        "expects_reply" / Default(Flag, False),
        "priority" / Default(BitsInteger(2), 0),
    ),
    "destination" / If(this.control.destination, STATION),
    "source" / If(this.control.source, STATION),
    "hops" / If(this.control.destination, Int8ub),
    "pdu" / BitStruct("kind" / Enum(BitsInteger(4), CONFIRMED=0, UNCONFIRMED=1), Padding(4)),
    "service" / Enum(Int8ub, I_AM=0, WHO_IS=8),
    "body" / Switch(this.service, {"WHO_IS": WHO_IS, "I_AM": I_AM}, default=GreedyBytes),
)

PROTOCOL = Protocol(name="bacnet", message=MESSAGE, port=47808, summary="{service}")

VECTORS = [
    (
        "81 0b 000c 01 20 ffff 00 ff 10 08",
        {
            "function": "BROADCAST",
            "control": {"destination": True},
            "destination": {"network": 0xFFFF, "address": b""},
            "hops": 255,
            "pdu": {"kind": "UNCONFIRMED"},
            "service": "WHO_IS",
            "body": {"limits": None},
        },
    ),
    (
        "81 0a 000d 01 00 10 08 09 07 1a 0100",
        {
            "function": "UNICAST",
            "control": {},
            "pdu": {"kind": "UNCONFIRMED"},
            "service": "WHO_IS",
            "body": {"limits": {"low": 7, "high": 256}},
        },
    ),
    (
        "81 04 001f 0a4d0102 bac0 01 08 0005 01 07 10 00 c4 020004d2 22 05c4 91 03 22 0104",
        {
            "function": "FORWARDED",
            "origin": {"ip": b"\x0a\x4d\x01\x02", "port": 47808},
            "control": {"source": True},
            "source": {"network": 5, "address": b"\x07"},
            "pdu": {"kind": "UNCONFIRMED"},
            "service": "I_AM",
            "body": {
                "object": {"id": {"type": "DEVICE", "instance": 1234}},
                "max_apdu": 1476,
                "segmentation": "NONE",
                "vendor": 260,
            },
        },
    ),
    (
        "81 0b 000a 01 00 10 63 beef",
        {
            "function": "BROADCAST",
            "control": {},
            "pdu": {"kind": "UNCONFIRMED"},
            "service": 0x63,
            "body": b"\xbe\xef",
        },
    ),
]
