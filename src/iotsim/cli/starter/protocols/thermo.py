"""A protocol of six to ten bytes. Check it with: iotsim protocols check thermo"""

from construct import Const, Default, Enum, Flag, Float32b, Int8ub, Int16ub, Struct, Switch, this

from iotsim import Checksum, Protocol, crc16_ccitt

MESSAGE = Struct(
    "magic" / Const(b"T1"),
    "kind" / Enum(Int8ub, GET=1, VALUE=2, START=3),
    "number" / Int8ub,
    "unasked" / Default(Flag, False),
    "celsius" / Switch(this.kind, {"VALUE": Float32b, "GET": Const(b""), "START": Const(b"")}),
    "crc" / Checksum(Int16ub, crc16_ccitt),
)

PROTOCOL = Protocol(
    name="thermo",
    message=MESSAGE,
    port=7700,
    echo=["number"],
    summary="{kind} #{number} {celsius}",
)
