"""The codec alone: what a device does with one request, decode a READ and encode its REPORT.

Ours against construct, interpreted and compiled. Interpreted, it is the very schema of the protocol
file. construct's compiler leaves constructs that it does not know interpreted, so for it the schema
is written again with construct's own means, and spared the work that these cannot express: neither
length nor CRC is computed or verified there.
"""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from construct import (
    BitsInteger,
    BitStruct,
    Const,
    Enum,
    Flag,
    Float32b,
    Int8ub,
    Int16ub,
    Int32ub,
    Padding,
    Struct,
    Switch,
    this,
)

from iotsim.protocol.registry import load_protocol

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 7
SECONDS_PER_ROUND = 0.1

READ_BODY = Struct("point" / Int8ub)
REPORT_BODY = Struct(
    "point" / Int8ub,
    "unit" / Enum(Int8ub, NONE=0, CELSIUS=1),
    "status"
    / BitStruct(
        "quality" / Enum(BitsInteger(2), GOOD=0, UNCERTAIN=1, STALE=2, BAD=3),
        "alarm" / Flag,
        "battery_low" / Flag,
        Padding(4),
    ),
    "value" / Float32b,
)
PLAIN = Struct(
    "magic" / Const(b"SN"),
    "version" / Int8ub,
    "kind" / Enum(Int8ub, READ=1, REPORT=2),
    "length" / Int16ub,
    "device" / Int32ub,
    "seq" / Int16ub,
    # Compiled code that builds sees an Enum's number here, code that parses its name.
    "body"
    / Switch(this.kind, {"READ": READ_BODY, 1: READ_BODY, "REPORT": REPORT_BODY, 2: REPORT_BODY}),
    "crc" / Int16ub,
)
STATUS = {"quality": "GOOD", "alarm": False, "battery_low": False}
BODY = {"point": 0, "unit": "NONE", "status": STATUS, "value": 7.5}
HEADER = {"kind": "REPORT", "device": 7, "seq": 300}


def measure_codecs() -> dict[str, float]:
    """Microseconds for one decode and one encode, by who does it."""
    protocol = load_protocol("sensornet", []).protocol
    codec = protocol.codec
    read = codec.encode({"kind": "READ", "device": 7, "seq": 300})
    plain = PLAIN.compile()
    reply = {**HEADER, "value": 7.5}
    plain_reply = {**HEADER, "version": 1, "length": 15, "body": BODY, "crc": 0}
    contenders: dict[str, Callable[[], object]] = {
        "ours": lambda: (codec.decode(read), codec.encode(reply)),
        "construct, interpreted": lambda: (
            protocol.message.parse(read),
            protocol.message.build(reply),
        ),
        "construct, compiled": lambda: (plain.parse(read), plain.build(plain_reply)),
    }
    assert codec.encode(reply) == protocol.message.build(reply)
    assert plain.build(plain_reply)[:-2] == codec.encode(reply)[:-2]
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, work in contenders.items():
            times[name].append(seconds_each(work, SECONDS_PER_ROUND))
    return {name: statistics.median(taken) * 1e6 for name, taken in times.items()}


def seconds_each(work: Callable[[], object], seconds: float) -> float:
    """Processor time that ``work`` takes, on average of as many times as fit into ``seconds``."""
    count = 0
    begin = time.process_time()
    while (took := time.process_time() - begin) < seconds:
        for _ in range(50):
            work()
        count += 50
    return took / count
