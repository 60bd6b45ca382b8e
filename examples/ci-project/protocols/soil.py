"""The probes' protocol: a poll is answered by a reading. All numbers are big-endian."""

from construct import Const, Enum, Int8ub, Int16sb, Int16ub, Struct, Switch, this

from iotsim import Checksum, FlatStruct, Protocol, crc16_ccitt

MESSAGE = FlatStruct(
    "sync" / Const(b"\xa5\x5a"),
    "kind" / Enum(Int8ub, POLL=1, READING=2),
    "number" / Int16ub,
    Switch(
        this.kind,
        {
            "POLL": Struct(),
            "READING": Struct(
                "moisture" / Int16ub,  # 0.1 %
                "temperature" / Int16sb,  # 0.1 degrees
                "battery" / Int16ub,  # mV
            ),
        },
    ),
    "crc" / Checksum(Int16ub, crc16_ccitt),
)

PROTOCOL = Protocol(
    name="soil",
    message=MESSAGE,
    port=4780,
    echo=["number"],
    summary="{kind} #{number} {moisture}",
)

VECTORS = [
    ("a55a 01 0007 4278", {"kind": "POLL", "number": 7}),
    (
        "a55a 02 0007 00ea 00cd 0ce4 327c",
        {"kind": "READING", "number": 7, "moisture": 234, "temperature": 205, "battery": 3300},
    ),
]
