"""A protocol of seven or eleven bytes. Check it with: iotsim protocols check thermo"""

from construct import Const, Default, Enum, Flag, Float32b, Int8ub, Int16ub, Struct, Switch, this

from iotsim import Checksum, FlatStruct, Protocol, crc16_ccitt

MESSAGE = FlatStruct(
    "magic" / Const(b"T1"),
    "kind" / Enum(Int8ub, GET=1, VALUE=2, START=3),
    "number" / Int8ub,
    "unasked" / Default(Flag, False),
    Switch(
        this.kind,
        {"VALUE": Struct("celsius" / Float32b), "GET": Struct(), "START": Struct()},
    ),
    "crc" / Checksum(Int16ub, crc16_ccitt),  # over all before it
)

PROTOCOL = Protocol(
    name="thermo",
    message=MESSAGE,
    port=7700,
    echo=["number"],
    summary="{kind} #{number} {celsius}",
)

# Bytes on the wire and what they mean, both ways: take yours from the protocol's documents.
VECTORS = [
    ("5431 01 07 00 79c2", {"kind": "GET", "number": 7}),
    ("5431 02 07 00 41a40000 5863", {"kind": "VALUE", "number": 7, "celsius": 20.5}),
]
